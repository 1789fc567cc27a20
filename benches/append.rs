//! Writing through `Db`: samples of known series, and series seen for the first time, under each
//! durability.
//!
//! `cargo bench -p siltstone --bench append`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::{Background, Db, Durability, Labels, Options, WriteBatch};

const SERIES: usize = 10_000;
const BATCH_ROWS: usize = 5_000;
/// The interval of the server's default; its timer runs beside the writes.
const INTERVAL: Duration = Duration::from_secs(1);

const POLICIES: [(&str, Durability); 3] = [
    ("always", Durability::Always),
    ("interval 1s", Durability::Interval(INTERVAL)),
    ("never", Durability::Never),
];

fn open(dir: &Path, durability: Durability) -> Db {
    let background = match durability {
        Durability::Interval(_) => Background::Threads,
        Durability::Always | Durability::Never => Background::Manual,
    };
    // Room for every iteration: flushes have a benchmark of their own.
    let (memory_budget_bytes, wal_bytes_max) = (4 << 30, 4 << 30);
    let options = Options {
        durability,
        background,
        memory_budget_bytes,
        wal_bytes_max,
        ..Options::default()
    };
    Db::open(dir, options).unwrap()
}

fn labels(generation: u64) -> impl Iterator<Item = Labels> {
    (0..SERIES).map(move |i| {
        let (host, generation) = (format!("host-{i}"), generation.to_string());
        let pairs = [
            ("__name__", "node_cpu_seconds_total"),
            ("cpu", "0"),
            ("generation", generation.as_str()),
            ("instance", host.as_str()),
            ("mode", "idle"),
        ];
        Labels::from_pairs(pairs).unwrap()
    })
}

/// A round of one sample a series, in batches.
fn known_series(c: &mut Criterion) {
    let mut group = c.benchmark_group("append known series");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    for (name, durability) in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), durability);
        let handles: Vec<_> = labels(0).map(|labels| db.series(&labels).unwrap()).collect();
        let mut batch = WriteBatch::new();
        let mut timestamp = 1_700_000_000_000;
        group.bench_function(name, |b| {
            b.iter(|| {
                timestamp += 10_000;
                for part in handles.chunks(BATCH_ROWS) {
                    batch.clear();
                    for (i, &series) in part.iter().enumerate() {
                        batch.push(series, timestamp, i as f64).unwrap();
                    }
                    db.write(&batch).unwrap();
                }
            });
        });
    }
}

/// Labels to a handle to a written sample, all of them new.
fn new_series(c: &mut Criterion) {
    let mut group = c.benchmark_group("append new series");
    group.sample_size(10).throughput(Throughput::Elements(SERIES as u64));
    for (name, durability) in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), durability);
        let mut batch = WriteBatch::new();
        let mut generation = 0;
        let mut unseen = || {
            generation += 1;
            labels(generation).collect::<Vec<_>>()
        };
        group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_secs(1));
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                &mut unseen,
                |labels| {
                    for part in labels.chunks(BATCH_ROWS) {
                        batch.clear();
                        for labels in part {
                            let series = db.series(labels).unwrap();
                            batch.push(series, 1_700_000_000_000, 1.0).unwrap();
                        }
                        db.write(&batch).unwrap();
                    }
                },
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group!(benches, known_series, new_series);
criterion_main!(benches);
