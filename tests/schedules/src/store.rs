//! The store under test: on a simulated disk, without threads of its own, and what is read of it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use shuttle::thread::{self, JoinHandle};
use siltstone::sys::{CrashPlan, OpKind, SimClock, SimFs};
use siltstone::{
    Ack, Background, Db, DeleteReceipt, Durability, Labels, Matcher, Options, QueryOptions, Result,
    Snapshot, TimeRange, WriteBatch,
};

/// Where the store lies.
pub(crate) const STORE: &str = "/store";

/// One sample: the name of its series, its time, its value.
pub(crate) type Sample = (String, i64, u64);

pub(crate) fn options(fs: &SimFs, durability: Durability) -> Options {
    Options {
        durability,
        background: Background::Manual,
        query_threads: 0,
        memory_budget_bytes: 16 << 20,
        wal_bytes_max: 1 << 20,
        vfs: Arc::new(fs.clone()),
        clock: Arc::new(SimClock::new(1_700_000_000_000)),
        ..Options::default()
    }
}

pub(crate) fn open_at(fs: &SimFs, dir: &str) -> Db {
    Db::open(dir, options(fs, Durability::Always)).unwrap()
}

/// Opens the store, or makes it.
pub(crate) fn open(fs: &SimFs) -> Db {
    open_at(fs, STORE)
}

pub(crate) fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)]).unwrap()
}

/// Writes samples as one batch.
pub(crate) fn try_write(db: &Db, samples: &[(&str, i64, u64)]) -> Result<Ack> {
    let mut batch = WriteBatch::new();
    for &(name, time, value) in samples {
        batch.push(db.series(&labels(name))?, time, value as f64)?;
    }
    db.write(&batch)
}

pub(crate) fn write(db: &Db, samples: &[(&str, i64, u64)]) -> Ack {
    try_write(db, samples).unwrap()
}

/// Everything that a snapshot holds, in label and time order.
pub(crate) fn read(snapshot: &Snapshot) -> Vec<Sample> {
    let mut found = Vec::new();
    for series in snapshot.select(&[], TimeRange::ALL, &QueryOptions::default()).unwrap() {
        let series = series.unwrap();
        let name = series.labels.iter().next().unwrap().1.to_owned();
        found.extend(series.columns.iter().map(|(time, value)| (name.clone(), time, value as u64)));
    }
    found
}

/// What the store holds now.
pub(crate) fn read_now(db: &Db) -> Vec<Sample> {
    read(&db.snapshot().unwrap())
}

pub(crate) fn delete(db: &Db, name: &str) -> DeleteReceipt {
    db.delete(&[Matcher::equal("__name__", name)], TimeRange::ALL).unwrap()
}

/// Merges all that can be.
pub(crate) fn compact(db: &Db) {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).map(drop).unwrap();
}

/// The names of the segments in a directory.
pub(crate) fn segments(fs: &SimFs, dir: &str) -> Vec<String> {
    let files = fs.files();
    let own = files.iter().filter(|file| file.parent() == Some(Path::new(dir)));
    let names = own.filter_map(|file| file.file_name()?.to_str());
    names.filter(|name| name.ends_with(".seg")).map(str::to_owned).collect()
}

/// Each segment was removed once at most, and no removal of one was refused.
pub(crate) fn assert_removed_once(fs: &SimFs) {
    let trace = fs.trace();
    let is_segment = |path: &Path| path.extension().is_some_and(|kind| kind == "seg");
    let mut removed: Vec<_> = trace
        .iter()
        .filter(|op| op.kind == OpKind::Remove && is_segment(&op.path))
        .inspect(|op| assert_eq!(op.error, None, "{op:?}"))
        .map(|op| op.path.clone())
        .collect();
    let all = removed.len();
    removed.sort();
    removed.dedup();
    assert_eq!(removed.len(), all, "a segment was removed twice");
}

/// The disk as it would be had the power failed now, with nothing but what was synced.
pub(crate) fn after_power_cut(fs: &SimFs) -> SimFs {
    fs.fork().crash(CrashPlan::ALL_LOST)
}

/// Starts a thread of the program.
pub(crate) fn spawn<T: Send + 'static>(
    db: &Db,
    run: impl FnOnce(Db) -> T + Send + 'static,
) -> JoinHandle<T> {
    let db = db.clone();
    thread::spawn(move || run(db))
}
