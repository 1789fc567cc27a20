//! A memtable of 10,000 series x 100 samples to a durable segment.
//!
//! `cargo bench -p siltstone --bench flush`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::{Background, Db, Durability, Labels, Options, WriteBatch};
use support::{Series, tsbs_like};

const SERIES: usize = 10_000;
const ROWS: usize = 100;

/// A store with all samples in its memtable. The directory outlives the store.
fn filled(series: &[Series]) -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        durability: Durability::Never,
        background: Background::Manual,
        ..Options::default()
    };
    let db = Db::open(dir.path(), options).unwrap();
    let handle = |(i, _): (usize, &Series)| {
        let host = format!("host-{i}");
        db.series(&Labels::from_pairs([("__name__", "usage"), ("host", &host)]).unwrap()).unwrap()
    };
    let handles: Vec<_> = series.iter().enumerate().map(handle).collect();
    let mut batch = WriteBatch::new();
    for row in 0..ROWS {
        batch.clear();
        for (handle, series) in handles.iter().zip(series) {
            batch.push(*handle, series.timestamps[row], series.values[row]).unwrap();
        }
        db.write(&batch).unwrap();
    }
    (db, dir)
}

fn flush(c: &mut Criterion) {
    let series = tsbs_like(SERIES, ROWS);
    let mut group = c.benchmark_group("flush");
    group.sample_size(10).throughput(Throughput::Elements((SERIES * ROWS) as u64));
    group.bench_function("10k series x 100", |b| {
        b.iter_batched_ref(
            || filled(&series),
            |(db, _)| db.flush().unwrap(),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, flush);
criterion_main!(benches);
