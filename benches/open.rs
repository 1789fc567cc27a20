//! Opening a store: an empty one, one whose process was killed with 64 MiB of log to replay, and one
//! of 10,000 segments, also read-only, refreshed, and with its first statistics.
//!
//! `cargo bench -p siltstone --bench open`

#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use siltstone::manifest::{Manifest, StoreOptions, Version, VersionEdit};
use siltstone::segment::{SegmentInfo, SegmentWriter};
use siltstone::sys::{DiskFs, ReadMode, SimFs, Vfs};
use siltstone::types::FileName;
use siltstone::{Background, Db, Durability, Labels, Options, ReadOnlyDb, SegmentMeta, WriteBatch};

const SERIES: usize = 10_000;
const BATCH_ROWS: usize = 5_000;
const WAL_BYTES: u64 = 64 << 20;
const SEGMENTS: u64 = 10_000;
const UUID: [u8; 16] = [7; 16];

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

/// Writes one tiny segment to `dir`; in memory first, which spares a sync.
fn tiny_segment(dir: &Path, number: u64) -> SegmentMeta {
    let sim = SimFs::new();
    let vfs: Arc<dyn Vfs> = Arc::new(sim.clone());
    let info =
        SegmentInfo { uuid: UUID, min_seq: number, max_seq: number, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(&vfs, Path::new("/"), number, info).unwrap();
    writer.begin_series(&Labels::from_pairs([("__name__", "m")]).unwrap()).unwrap();
    writer.chunk(&[number as i64 * 60_000], &[1.0]).unwrap();
    let meta = writer.finish().unwrap();
    let name = FileName::Segment(number).to_string();
    let bytes = sim.read_file(Path::new("/").join(&name)).unwrap();
    DiskFs.create_new(&dir.join(&name)).unwrap().append(&bytes).unwrap();
    meta
}

/// A store of many segments in `dir`.
fn many_segments(dir: &Path) {
    let added = (1..=SEGMENTS).map(|number| tiny_segment(dir, number)).collect();
    let edit = VersionEdit {
        added,
        next_file_number: Some(SEGMENTS + 1),
        last_seq: Some(SEGMENTS),
        ..VersionEdit::default()
    };
    let version = Version::default().apply(&edit).unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(DiskFs);
    let fixed = StoreOptions { ticks_per_second: 1000 };
    Manifest::create_copy(&vfs, dir, UUID, fixed, version).unwrap();
    Db::open(dir, options()).unwrap().close().unwrap();
}

fn open_segments(c: &mut Criterion) {
    let mut group = c.benchmark_group("10,000 segments");
    group.sample_size(10).warm_up_time(Duration::from_secs(1));
    let dir = tempfile::tempdir().unwrap();
    many_segments(dir.path());
    let open = || Db::open(dir.path(), options()).unwrap();
    group.bench_function("open", |b| b.iter_with_large_drop(open));
    group.bench_function("first stats", |b| {
        b.iter_batched(open, |db| (db.stats(), db), BatchSize::PerIteration);
    });
    let open = || ReadOnlyDb::open(dir.path(), options()).unwrap();
    group.bench_function("open read-only", |b| b.iter_with_large_drop(open));
    let mut reader = open();
    group.bench_function("refresh at rest", |b| b.iter(|| reader.refresh().unwrap()));
    group.finish();
}

criterion_group!(benches, open, open_segments);
criterion_main!(benches);
