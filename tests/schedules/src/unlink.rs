//! The files of segments that were merged: counted, and removed when nobody reads them any more.
//!
//! What must hold in every order: a snapshot reads its segments however late; each file is removed once; when the
//! last reader has left, it goes with the next look.

use siltstone::Db;
use siltstone::sys::SimFs;

use crate::explore::explore;
use crate::store::{
    STORE, assert_removed_once, compact, open, read, read_now, segments, spawn, write,
};

/// Takes a snapshot, and reads it now or later: the first read opens the files.
fn hold_and_read(db: &Db, fs: &SimFs) {
    let all = [("a".to_owned(), 0, 0), ("a".to_owned(), 1, 1)];
    let first = db.snapshot().unwrap();
    let second = first.clone();
    drop(first);
    assert_eq!(read(&second), all);
    let third = db.snapshot().unwrap();
    drop(second);
    // Were a file of it removed, its name would be gone while the snapshot lives.
    assert!(!segments(fs, STORE).is_empty());
    assert_eq!(read(&third), all);
}

fn merge_beside_snapshots() {
    let fs = SimFs::new();
    {
        let db = open(&fs);
        for value in 0..2 {
            write(&db, &[("a", value, value as u64)]);
            db.flush().unwrap();
        }
        db.close().unwrap();
    }
    // Opened again, no segment has been read yet.
    let db = open(&fs);
    let disk = fs.clone();
    let reader = spawn(&db, move |db| hold_and_read(&db, &disk));
    let merger = spawn(&db, |db| compact(&db));
    let ticker = spawn(&db, |db| (0..2).for_each(|_| db.tick().unwrap()));
    for thread in [reader, merger, ticker] {
        thread.join().unwrap();
    }
    assert_eq!(read_now(&db).len(), 2);
    db.tick().unwrap();
    let stats = db.stats();
    assert_eq!((stats.segments, stats.segments_obsolete), (1, 0));
    assert_eq!(segments(&fs, STORE).len(), 1, "a file is left");
    assert_removed_once(&fs);
}

#[test]
fn a_snapshot_keeps_the_files_that_it_reads() {
    explore("merge beside snapshots", merge_beside_snapshots);
}

/// A store is closed, and the next owner merges what a snapshot of the first one still reads.
fn snapshot_beyond_its_store() {
    let fs = SimFs::new();
    let db = open(&fs);
    for value in 0..2 {
        write(&db, &[("a", value, value as u64)]);
        db.flush().unwrap();
    }
    let reader = spawn(&db, |db| {
        let Ok(snapshot) = db.snapshot() else { return };
        drop(db);
        for _ in 0..2 {
            assert_eq!(read(&snapshot).len(), 2);
        }
    });
    let closer = spawn(&db, |db| db.close().unwrap());
    drop(db);
    closer.join().unwrap();
    let next = open(&fs);
    compact(&next);
    next.tick().unwrap();
    reader.join().unwrap();
    assert_eq!(read_now(&next).len(), 2);
    assert_eq!(segments(&fs, STORE).len(), 1, "a file is left");
    assert_removed_once(&fs);
}

#[test]
fn a_snapshot_outlives_its_store() {
    explore("snapshot beyond its store", snapshot_beyond_its_store);
}
