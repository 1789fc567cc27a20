//! Deletes, against snapshots and writers, wherever the rows are.
//!
//! What must hold in every order: a snapshot that was taken before keeps what it had; one that is taken after the
//! answer has nothing of what is older; rows with a higher seq than the delete are seen, those with a lower one
//! are not; who does not see the delete sees no row that is newer than it.

use siltstone::sys::SimFs;
use siltstone::{Db, Matcher, TimeRange};

use crate::explore::explore;
use crate::store::{Sample, delete, open, read, read_now, spawn, write};

/// Where the rows lie that are deleted.
#[derive(Clone, Copy, PartialEq)]
enum Rows {
    Active,
    /// In the active memtable, with an older one in a segment.
    Flushed,
    /// In a memtable that is sealed and flushed meanwhile.
    BeingFlushed,
}

/// The row that was there before.
fn is_old(sample: &Sample) -> bool {
    sample.2 == 1
}

/// Reads again and again: the old row, once gone, stays gone, and while it is there nothing is newer.
fn watch(db: &Db) {
    let mut was_gone = false;
    for _ in 0..3 {
        let snapshot = db.snapshot().unwrap();
        let seen = read(&snapshot);
        let gone = !seen.iter().any(is_old);
        assert!(gone || !was_gone, "a deleted row came back: {seen:?}");
        was_gone = gone;
        assert_eq!(read(&snapshot), seen, "a snapshot changed");
    }
}

fn delete_beside_all(rows: Rows) {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, &[("gone", 1, 1), ("kept", 1, 7)]);
    if rows == Rows::Flushed {
        db.flush().unwrap();
    }
    let before = db.snapshot().unwrap();
    let flusher = spawn(&db, move |db| (rows == Rows::BeingFlushed).then(|| db.flush().unwrap()));
    let deleter = spawn(&db, |db| {
        let receipt = delete(&db, "gone");
        let seen = read_now(&db);
        assert!(!seen.iter().any(is_old), "seen after the delete: {seen:?}");
        receipt
    });
    let writer = spawn(&db, |db| {
        let written = [2, 3].map(|time| (write(&db, &[("gone", time, time as u64)]).seq, time));
        (written, read_now(&db))
    });
    let watcher = spawn(&db, |db| watch(&db));
    let receipt = deleter.join().unwrap();
    let seq = receipt.seq;
    let (written, seen) = writer.join().unwrap();
    watcher.join().unwrap();
    flusher.join().unwrap();
    let kept = ("kept".to_owned(), 1, 7);
    // Who does not see the delete must see no row that is newer than it.
    if seen.iter().any(is_old) {
        assert!(written.iter().all(|w| w.0 < seq), "older and newer rows, no delete: {seen:?}");
    }
    let hidden = 1 + written.iter().filter(|w| w.0 < seq).count();
    assert_eq!(receipt.samples, hidden as u64, "the receipt counts what is older, {written:?}");
    let newer = written.iter().filter(|w| w.0 > seq);
    let expected: Vec<Sample> =
        newer.map(|w| ("gone".to_owned(), w.1, w.1 as u64)).chain([kept.clone()]).collect();
    assert_eq!(read_now(&db), expected, "the delete has the seq {seq}: {written:?}");
    assert_eq!(read(&before), [("gone".to_owned(), 1, 1), kept], "a snapshot changed");
    drop(before);
    db.flush().unwrap();
    assert_eq!(read_now(&db), expected, "after a flush");
    db.close().unwrap();
    drop(db);
    assert_eq!(read_now(&open(&fs)), expected, "after opening it again");
}

#[test]
fn rows_of_the_active_memtable() {
    explore("delete of the active memtable", || delete_beside_all(Rows::Active));
}

#[test]
fn rows_of_a_segment() {
    explore("delete of a segment", || delete_beside_all(Rows::Flushed));
}

#[test]
fn rows_that_are_being_flushed() {
    explore("delete beside a flush", || delete_beside_all(Rows::BeingFlushed));
}

/// There is one sample before the delete, none after it, and one again when the next is written: never two.
fn preview_beside_a_delete() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, &[("gone", 1, 1)]);
    // The active memtable is empty, so that the delete finds nothing to seal.
    db.flush().unwrap();
    let deleter = spawn(&db, |db| {
        delete(&db, "gone");
        write(&db, &[("gone", 2, 2)]);
    });
    let previewer = spawn(&db, |db| {
        for _ in 0..3 {
            let matchers = [Matcher::equal("__name__", "gone")];
            let samples = db.preview_delete(&matchers, TimeRange::ALL).unwrap().samples;
            assert!(samples <= 1, "a row that is newer than a delete, without the delete");
        }
    });
    deleter.join().unwrap();
    previewer.join().unwrap();
    assert_eq!(read_now(&db), [("gone".to_owned(), 2, 2)]);
}

#[test]
fn a_preview_is_of_one_moment() {
    explore("preview beside a delete", preview_beside_a_delete);
}
