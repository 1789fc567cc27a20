//! Sealing, flushing and publishing, beside readers.
//!
//! What must hold in every order: every snapshot has each sample that was acknowledged before it was taken,
//! wherever that lies by then, and nothing that was never written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use siltstone::sys::SimFs;
use siltstone::{Changes, Snapshot};

use crate::explore::{explore, repeat};
use crate::store::{
    STORE, assert_removed_once, compact, open, read, read_now, segments, spawn, write,
};

/// Samples that are written.
const SAMPLES: u64 = 3;

fn flush_beside_readers() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, &[("a", 0, 0)]);
    // Not of the schedule: who is told of an acknowledgement knows it at once.
    let acknowledged = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&acknowledged);
    let writer = spawn(&db, move |db| {
        for value in 1..=SAMPLES {
            write(&db, &[("a", value as i64, value)]);
            told.store(value, SeqCst);
        }
    });
    let flusher = spawn(&db, |db| (0..2).for_each(|_| db.flush().unwrap()));
    let reader = spawn(&db, move |db| {
        let mut before = None;
        for _ in 0..4 {
            let known = acknowledged.load(SeqCst);
            let snapshot = db.snapshot().unwrap();
            assert_changes_are_known(before.as_ref(), &snapshot);
            before = Some(snapshot.clone());
            for _ in 0..2 {
                let values: Vec<u64> = read(&snapshot).iter().map(|sample| sample.2).collect();
                let all: Vec<u64> = (0..values.len() as u64).collect();
                assert_eq!(values, all, "samples are missing in the middle");
                assert!(values.len() as u64 > known, "{known} was acknowledged, not in {values:?}");
            }
        }
    });
    for thread in [writer, flusher, reader] {
        thread.join().unwrap();
    }
    assert_eq!(read_now(&db).len() as u64, SAMPLES + 1);
    db.close().unwrap();
    drop(db);
    let db = open(&fs);
    assert_eq!(read_now(&db).len() as u64, SAMPLES + 1, "after opening it again");
}

/// What an earlier snapshot does not have and a later one has lies where it says that something has changed.
fn assert_changes_are_known(before: Option<&Snapshot>, now: &Snapshot) {
    let Some(before) = before else { return };
    let seen = read(before);
    let Changes::Within(ranges) = now.changed_since(&before.mark()) else { return };
    for sample in read(now).iter().filter(|sample| !seen.contains(sample)) {
        let is_told = ranges.iter().any(|range| range.contains(&sample.1));
        assert!(is_told, "{sample:?} is new, and only {ranges:?} are said to have changed");
    }
}

#[test]
fn a_flush_takes_nothing_from_a_reader() {
    explore("flush beside a reader", flush_beside_readers);
}

#[test]
fn a_schedule_can_be_run_again() {
    repeat(flush_beside_readers, 20);
}

/// Flushes and merges by several threads at once, as `tick` and callers do them.
fn merge_beside_readers() {
    let fs = SimFs::new();
    let db = open(&fs);
    for value in 0..2 {
        write(&db, &[("a", value, value as u64), ("b", 7, value as u64)]);
        db.flush().unwrap();
    }
    let merger = spawn(&db, |db| compact(&db));
    let ticker = spawn(&db, |db| {
        write(&db, &[("a", 2, 2)]);
        db.flush().unwrap();
        db.tick().unwrap();
    });
    let reader = spawn(&db, |db| {
        for _ in 0..3 {
            let seen = read_now(&db);
            assert!(seen.len() == 3 || seen.len() == 4, "{seen:?}");
            assert!(seen.contains(&("b".into(), 7, 1)), "an older value came back: {seen:?}");
        }
    });
    for thread in [merger, ticker, reader] {
        thread.join().unwrap();
    }
    assert_eq!(read_now(&db).len(), 4);
    db.tick().unwrap();
    assert_eq!(segments(&fs, STORE).len() as u64, db.stats().segments, "a file is left");
    assert_removed_once(&fs);
}

#[test]
fn a_merge_takes_nothing_from_a_reader() {
    explore("merge beside a reader", merge_beside_readers);
}
