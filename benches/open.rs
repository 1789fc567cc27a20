//! Opening a store: an empty one, and one whose process was killed with 64 MiB of log to replay.
//!
//! `cargo bench -p siltstone --bench open`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::sys::{DiskFs, ReadMode, Vfs};
use siltstone::{Background, Db, Durability, Labels, Options, WriteBatch};

const SERIES: usize = 10_000;
const BATCH_ROWS: usize = 5_000;
const WAL_BYTES: u64 = 64 << 20;

fn options() -> Options {
    Options {
        durability: Durability::Never,
        background: Background::Manual,
        memory_budget_bytes: 4 << 30,
        wal_bytes_max: 4 << 30,
        ..Options::default()
    }
}

fn bytes_of(dir: &Path) -> u64 {
    DiskFs.list(dir).unwrap().iter().map(|entry| entry.len).sum()
}

/// Fills the log of a store in `dir` and lets the store go as a killed process would: a dropped
/// store writes nothing more. Answers with the samples.
fn killed(dir: &Path) -> u64 {
    let db = Db::open(dir, options()).unwrap();
    let handle = |i| {
        let host = format!("host-{i}");
        db.series(&Labels::from_pairs([("__name__", "usage"), ("host", &host)]).unwrap()).unwrap()
    };
    let handles: Vec<_> = (0..SERIES).map(handle).collect();
    let mut batch = WriteBatch::new();
    let (mut timestamp, mut samples) = (1_700_000_000_000, 0);
    while bytes_of(dir) < WAL_BYTES {
        timestamp += 10_000;
        for part in handles.chunks(BATCH_ROWS) {
            batch.clear();
            for (i, &series) in part.iter().enumerate() {
                batch.push(series, timestamp, i as f64).unwrap();
            }
            db.write(&batch).unwrap();
            samples += part.len() as u64;
        }
    }
    samples
}

/// Opening may write to the store, so each iteration has its own copy.
fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in DiskFs.list(from).unwrap().iter().filter(|entry| !entry.is_dir) {
        let file = DiskFs.open_read(&from.join(&entry.name)).unwrap();
        let bytes = file.read(0, entry.len as usize, ReadMode::Pread).unwrap();
        DiskFs.create_new(&to.path().join(&entry.name)).unwrap().append(&bytes).unwrap();
    }
    to
}

fn open(c: &mut Criterion) {
    let mut group = c.benchmark_group("open");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    let empty = tempfile::tempdir().unwrap();
    Db::open(empty.path(), options()).unwrap().close().unwrap();
    let killed_dir = tempfile::tempdir().unwrap();
    let samples = killed(killed_dir.path());
    for (name, dir, samples) in [("empty", &empty, 0), ("64 MiB of WAL", &killed_dir, samples)] {
        if samples > 0 {
            group.throughput(Throughput::Elements(samples));
        }
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                // The store comes before its directory and is dropped first, outside the time.
                || (None, copied(dir.path())),
                |(db, dir)| *db = Some(Db::open(dir.path(), options()).unwrap()),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, open);
criterion_main!(benches);
