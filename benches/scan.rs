//! Reading through `Snapshot`: whole series, batches, and out of a memtable, on the caller's thread and on two of a pool.
//!
//! `cargo bench -p siltstone --bench scan`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::{
    Background, Bucket, Db, Durability, Labels, Matcher, Options, QueryOptions, Snapshot,
    TimeRange, WriteBatch,
};
use support::Series;

/// Where the samples are when they are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Segment,
    Memtable,
}

/// A store with the samples of `series`, written scrape by scrape.
fn store(dir: &std::path::Path, series: &[Series], place: Place, threads: usize) -> Db {
    let options = Options {
        durability: Durability::Never,
        background: Background::Manual,
        memory_budget_bytes: 4 << 30,
        wal_bytes_max: 4 << 30,
        query_threads: threads,
        ..Options::default()
    };
    let db = Db::open(dir, options).unwrap();
    let handles: Vec<_> = series.iter().map(|s| db.series(&labels(&s.pairs)).unwrap()).collect();
    let rows = series.iter().map(|s| s.timestamps.len()).max().unwrap_or(0);
    let mut batch = WriteBatch::new();
    for row in 0..rows {
        for (handle, series) in handles.iter().zip(series) {
            if let (Some(&t), Some(&v)) = (series.timestamps.get(row), series.values.get(row)) {
                batch.push(*handle, t, v).unwrap();
            }
        }
        db.write(&batch).unwrap();
        batch.clear();
    }
    if place == Place::Segment {
        db.flush().unwrap();
    }
    db
}

/// Some label set that tells the series apart: all pairs as one text.
fn labels(pairs: &[(String, String)]) -> Labels {
    let text = format!("{pairs:?}");
    let id = blake3::hash(text.as_bytes()).to_hex();
    let group = &id.as_str()[..1];
    Labels::from_pairs([("__name__", "bench"), ("group", group), ("text", &text)]).unwrap()
}

fn select(snapshot: &Snapshot, matchers: &[Matcher], options: &QueryOptions) -> u64 {
    let selection = snapshot.select(matchers, TimeRange::ALL, options).unwrap();
    selection.map(|series| black_box(series.unwrap()).columns.len() as u64).sum()
}

fn scan(snapshot: &Snapshot, options: &QueryOptions) -> u64 {
    let mut samples = 0;
    let mut visit = |_: &Labels, columns: &siltstone::Columns| {
        samples += black_box(columns).len() as u64;
        ControlFlow::Continue(())
    };
    snapshot.scan(&[], TimeRange::ALL, options, &mut visit).unwrap();
    samples
}

/// The sum of every bucket's values, folded from whole series: what an aggregation saves.
fn select_and_fold(snapshot: &Snapshot, step: i64, options: &QueryOptions) -> u64 {
    let mut samples = 0;
    for series in snapshot.select(&[], TimeRange::ALL, options).unwrap() {
        let columns = series.unwrap().columns;
        let rows = columns.timestamps.iter().zip(columns.values.f64());
        let rows: Vec<(i64, f64)> = rows.map(|(&t, &v)| (t.div_euclid(step), v)).collect();
        for bucket in rows.chunk_by(|a, b| a.0 == b.0) {
            let (mut sum, mut min, mut max) = (0.0, f64::INFINITY, f64::NEG_INFINITY);
            for &(_, value) in bucket {
                sum += value;
                min = value.min(min);
                max = value.max(max);
            }
            black_box((sum, min, max, bucket[0], bucket[bucket.len() - 1]));
            samples += bucket.len() as u64;
        }
    }
    samples
}

fn aggregate(snapshot: &Snapshot, step: i64, options: &QueryOptions) -> u64 {
    // Starts on a multiple of every step, so that chunks lie within buckets.
    let range = TimeRange::new(0, i64::MAX);
    let series = snapshot.aggregate(&[], range, step, options).unwrap();
    let samples = |bucket: &Bucket| bucket.values.map_or(0, |v| v.count) + bucket.stale_markers;
    series.map(|s| black_box(s.unwrap()).buckets.iter().map(samples).sum::<u64>()).sum()
}

fn steps(c: &mut Criterion) {
    let Some(series) = support::recording("node-1s") else { return };
    let samples: u64 = series.iter().map(|s| s.timestamps.len() as u64).sum();
    let dir = tempfile::tempdir().unwrap();
    let db = store(dir.path(), &series, Place::Segment, 0);
    let (snapshot, options) = (db.snapshot().unwrap(), QueryOptions::default());
    let mut group = c.benchmark_group("steps");
    group.sample_size(10);
    group.throughput(Throughput::Elements(samples));
    for (name, step) in [("1 h", 3_600_000), ("1 min", 60_000)] {
        assert_eq!(aggregate(&snapshot, step, &options), samples);
        let case = format!("node-1s, {name}");
        group.bench_function(BenchmarkId::new("select and fold", &case), |b| {
            b.iter(|| select_and_fold(&snapshot, step, &options));
        });
        group.bench_function(BenchmarkId::new("aggregate", &case), |b| {
            b.iter(|| aggregate(&snapshot, step, &options));
        });
    }
    group.finish();
}

fn read(c: &mut Criterion) {
    let recording = support::recording("node-1s").map(|series| ("node-1s", series));
    let generated = ("tsbs", support::tsbs_like(2000, 1000));
    let options = QueryOptions::default();
    let mut group = c.benchmark_group("read");
    group.sample_size(20);
    for (name, series) in recording.into_iter().chain([generated]) {
        let samples: u64 = series.iter().map(|s| s.timestamps.len() as u64).sum();
        for (threads, place) in [(0, Place::Segment), (2, Place::Segment), (0, Place::Memtable)] {
            let dir = tempfile::tempdir().unwrap();
            let db = store(dir.path(), &series, place, threads);
            let snapshot = db.snapshot().unwrap();
            assert_eq!(select(&snapshot, &[], &options), samples, "every sample is read");
            let from = match place {
                Place::Segment => "segment",
                Place::Memtable => "memtable",
            };
            let case = format!("{name}, {from}, {threads} threads");
            group.throughput(Throughput::Elements(samples));
            group.bench_function(BenchmarkId::new("select", &case), |b| {
                b.iter(|| select(&snapshot, &[], &options));
            });
            group.bench_function(BenchmarkId::new("scan", &case), |b| {
                b.iter(|| scan(&snapshot, &options));
            });
            let one_group = [Matcher::equal("group", "7")];
            let some = select(&snapshot, &one_group, &options);
            group.throughput(Throughput::Elements(some));
            group.bench_function(BenchmarkId::new("select 1/16", &case), |b| {
                b.iter(|| select(&snapshot, &one_group, &options));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, read, steps);
criterion_main!(benches);
