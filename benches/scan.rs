//! Reading through `Snapshot`: whole series, batches, and out of a memtable, on the caller's thread and on two of a pool.
//!
//! `cargo bench -p siltstone --bench scan`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::ops::ControlFlow;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::{
    Background, Db, Durability, Labels, Matcher, Options, QueryOptions, Snapshot, TimeRange,
    WriteBatch,
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

criterion_group!(benches, read);
criterion_main!(benches);
