//! Merging level-0 segments: 10,000 series in 12 segments, in time order and with overlaps.
//!
//! `cargo bench -p siltstone --bench merge`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use std::ops::ControlFlow;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::{Background, Db, Durability, Labels, Options, TimeRange, WriteBatch};
use support::{Series, tsbs_like};

const SERIES: usize = 10_000;
const ROWS: usize = 1080;
const SEGMENTS: usize = 12;

/// A store with `SEGMENTS` level-0 segments; every `late`-th one is of the hour before. The directory
/// outlives the store.
fn filled(series: &[Series], late: usize) -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        durability: Durability::Never,
        background: Background::Manual,
        ..Options::default()
    };
    let db = Db::open(dir.path(), options).unwrap();
    let handle = |i: usize| {
        let host = format!("host-{i}");
        db.series(&Labels::from_pairs([("__name__", "usage"), ("host", &host)]).unwrap()).unwrap()
    };
    let handles: Vec<_> = (0..series.len()).map(handle).collect();
    let mut batch = WriteBatch::new();
    for segment in 0..SEGMENTS {
        let rows = ROWS / SEGMENTS;
        let start = if segment % late == late - 1 { segment - 1 } else { segment } * rows;
        for row in start..start + rows {
            batch.clear();
            for (&handle, series) in handles.iter().zip(series) {
                batch.push(handle, series.timestamps[row], series.values[row]).unwrap();
            }
            db.write(&batch).unwrap();
        }
        db.flush().unwrap();
    }
    (db, dir)
}

fn merge(c: &mut Criterion) {
    let series = tsbs_like(SERIES, ROWS);
    let mut group = c.benchmark_group("merge");
    group.sample_size(10).throughput(Throughput::Elements((SERIES * ROWS) as u64));
    for (name, late) in [("in order", usize::MAX), ("every third one overlaps", 3)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                || filled(&series, late),
                |(db, _)| {
                    let go_on = &mut |_: &_| ControlFlow::Continue(());
                    let report = db.compact(TimeRange::ALL, go_on).unwrap();
                    assert_eq!(report.samples, (SERIES * ROWS) as u64);
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, merge);
criterion_main!(benches);
