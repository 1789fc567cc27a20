//! A full disk: nothing acknowledged is lost, nothing is left behind, and writes go on when there is
//! room again, without a restart.

use std::path::Path;

use siltstone::sys::{CrashPlan, SimFs, Vfs};
use siltstone::{Db, Durability, Error, Matcher, Options, TimeRange};

use crate::findings::{batch, counts, files, open, simple_options};
use crate::workload::DIR;

const LARGE: u64 = 1 << 40;

/// Leaves `bytes` of free space.
fn leave(fs: &SimFs, bytes: u64) {
    let space = fs.free_space(Path::new("/")).unwrap();
    fs.set_capacity(space.total - space.available + bytes);
}

fn samples(db: &Db) -> usize {
    counts(db).iter().map(|(_, samples)| samples).sum()
}

fn is_full<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::DiskFull { .. }))
}

#[test]
fn writes_fail_on_a_full_disk_and_go_on_when_there_is_room() {
    for durability in [Durability::Always, Durability::Never] {
        let fs = SimFs::new();
        let db = open(&fs, durability).unwrap();
        db.write(&batch(&db, &["a"], 10)).unwrap();
        // What was allocated ahead still takes some.
        leave(&fs, 100);
        let mut acknowledged = 1;
        let group = || [0, 1].map(|_| db.submit(&batch(&db, &["b", "a"], 1000)).unwrap());
        loop {
            let tickets = group();
            db.commit_step();
            let answers = tickets.map(|ticket| ticket.poll().unwrap());
            if answers.iter().any(Result::is_err) {
                assert!(answers.into_iter().all(is_full), "one write, one answer");
                break;
            }
            acknowledged += 2;
        }
        assert!(acknowledged > 1, "preallocation was of no use");
        let expected = samples(&db);
        assert_eq!(expected, 2000);
        // Nothing piles up, however often it is tried.
        let before = fs.files();
        for _ in 0..50 {
            assert!(is_full(db.write(&batch(&db, &["c"], 1000))));
        }
        assert!(fs.files().len() <= before.len() + 1, "{:?}", fs.files());
        assert_eq!(samples(&db), expected, "reads go on");
        assert_eq!(samples(&open(&fs.fork(), durability).unwrap_or_else(|_| roomy(&fs))), expected);
        fs.set_capacity(LARGE);
        db.write(&batch(&db, &["d"], 10)).unwrap();
        assert_eq!(samples(&db), expected + 10);
        drop(db);
        let db = open(&fs.fork(), durability).unwrap();
        assert_eq!(samples(&db), expected + 10);
        assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
    }
}

/// The store as it opens once there is room.
fn roomy(fs: &SimFs) -> Db {
    let fork = fs.fork();
    fork.set_capacity(LARGE);
    open(&fork, Durability::Always).unwrap()
}

/// Every attempt left a temporary file with as much as had fitted, until the next opening.
#[test]
fn a_flush_that_finds_no_room_leaves_nothing_behind() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a", "b", "c"], 5000)).unwrap();
    for room in [0, 300, 700, 1100] {
        leave(&fs, room);
        assert!(is_full(db.flush()), "with {room} bytes");
        let free = fs.free_space(Path::new(DIR)).unwrap().available;
        assert!(is_full(db.flush()), "again with {room} bytes");
        assert_eq!(files(&fs, ".tmp"), Vec::<&Path>::new());
        assert_eq!(fs.free_space(Path::new(DIR)).unwrap().available, free, "space leaks");
        assert_eq!(samples(&db), 15_000);
    }
    assert_eq!(samples(&roomy(&fs)), 15_000);
    fs.set_capacity(LARGE);
    db.flush().unwrap();
    assert_eq!(samples(&db), 15_000);
    assert_eq!(samples(&roomy(&fs)), 15_000);
}

#[test]
fn opening_with_too_little_room_fails_or_works_and_harms_nothing() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["flushed"], 1000)).unwrap();
    db.flush().unwrap();
    db.write(&batch(&db, &["logged"], 3000)).unwrap();
    drop(db);
    let (mut refused, mut opened, mut stuck) = (0, 0, 0);
    for room in (0..8_000).step_by(97) {
        let disk = fs.fork();
        leave(&disk, room);
        match open(&disk, Durability::Always) {
            Err(error) => {
                assert!(is_full(Err::<(), _>(error)), "with {room} bytes");
                refused += 1;
            }
            Ok(db) => {
                assert_eq!(samples(&db), 4000, "with {room} bytes");
                assert!(db.open_report().findings.is_empty());
                opened += 1;
                let write = || db.write(&batch(&db, &["more"], 2000));
                if is_full(write()) {
                    stuck += 1;
                    disk.set_capacity(LARGE);
                    // The flush that comes first may free the series that has no samples yet.
                    let again = |error| match error {
                        Error::StaleHandle => write(),
                        error => Err(error),
                    };
                    write().or_else(again).unwrap();
                }
                let expected = 6000;
                assert_eq!(samples(&db), expected, "with {room} bytes");
                drop(db);
                assert_eq!(samples(&roomy(&disk)), expected, "with {room} bytes");
                continue;
            }
        }
        assert_eq!(samples(&roomy(&disk)), 4000, "with {room} bytes");
    }
    assert!(refused > 0 && opened > 0 && stuck > 0, "{refused} {opened} {stuck}");
}

const RESERVE: u64 = 64 << 10;

fn open_reserving(fs: &SimFs) -> Result<Db, Error> {
    Db::open(DIR, Options { reserve_bytes: Some(RESERVE), ..simple_options(fs) })
}

fn available(fs: &SimFs) -> u64 {
    fs.free_space(Path::new("/")).unwrap().available
}

/// Nothing at all is free: the flush goes through with the reserve, and writes, which would eat it,
/// wait until there is room to take it again.
#[test]
fn a_flush_goes_through_on_a_full_disk() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    assert_eq!((db.stats().reserve_bytes, db.stats().disk_full), (RESERVE, false));
    db.write(&batch(&db, &["a", "b"], 500)).unwrap();
    leave(&fs, 0);
    db.flush().unwrap();
    assert_eq!(db.stats().segments, 1);
    assert_eq!((db.stats().reserve_bytes, db.stats().disk_full), (0, true));
    // What the reserve left is not for writes, however often they are tried.
    leave(&fs, RESERVE);
    let free = available(&fs);
    for _ in 0..20 {
        assert!(is_full(db.write(&batch(&db, &["a"], 10))));
        db.tick().unwrap();
    }
    assert_eq!((available(&fs), samples(&db)), (free, 1000));
    assert!(db.stats().disk_full);
    // The next flush of what is in memory needs no reserve that is gone: there is space.
    leave(&fs, RESERVE + RESERVE / 2);
    db.tick().unwrap();
    assert_eq!((db.stats().reserve_bytes, db.stats().disk_full), (RESERVE, false), "heals itself");
    fs.set_capacity(LARGE);
    db.write(&batch(&db, &["c"], 10)).unwrap();
    assert_eq!(samples(&db), 1010);
    assert_eq!(samples(&open(&fs.fork(), Durability::Always).unwrap()), 1010);
}

/// What a full disk needs most: a delete is taken, hides at once, and survives.
#[test]
fn a_delete_goes_through_on_a_full_disk() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    db.write(&batch(&db, &["old"], 500)).unwrap();
    db.flush().unwrap();
    db.write(&batch(&db, &["new", "old"], 200)).unwrap();
    leave(&fs, 0);
    let old = [Matcher::equal("__name__", "old")];
    let bare = open(&fs.fork(), Durability::Always);
    assert!(bare.is_ok(), "the reserve of the one that died serves the next");
    db.delete(&old, TimeRange::ALL).unwrap();
    assert!(db.stats().disk_full);
    assert_eq!(samples(&db), 200);
    assert!(is_full(db.write(&batch(&db, &["new"], 10))), "writes do not eat what is left");
    // Another delete needs no reserve: there is some room behind the first.
    db.delete(&old, TimeRange::ALL).unwrap();
    for fate in [fs.fork(), fs.fork().crash(CrashPlan::ALL_LOST)] {
        assert_eq!(samples(&open_reserving(&fate).unwrap()), 200);
    }
    fs.set_capacity(LARGE);
    db.write(&batch(&db, &["old"], 10)).unwrap();
    assert_eq!(samples(&db), 210);
}

/// A write heals it too, without the timer; and the reserve is there for the next time.
#[test]
fn the_reserve_serves_again_and_again() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    for round in 1..=5 {
        fs.set_capacity(LARGE);
        db.write(&batch(&db, &["a", "b", "c"], 300 * round)).unwrap();
        assert_eq!(db.stats().reserve_bytes, RESERVE);
        leave(&fs, 0);
        db.flush().unwrap_or_else(|e| panic!("round {round}: {e}"));
        assert_eq!(db.stats().segments, round as u64);
    }
}

/// A reserve without which a full disk would be met by nothing: the store opens, and recovers.
#[test]
fn a_store_opens_on_a_full_disk() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    db.write(&batch(&db, &["logged"], 1000)).unwrap();
    leave(&fs, 0);
    drop(db);
    let db = open_reserving(&fs.fork()).unwrap();
    assert_eq!((samples(&db), db.stats().segments), (1000, 1));
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
    // The log that was recovered made room: the reserve is there again, or will be.
    let bare = SimFs::new();
    let db = open(&bare, Durability::Always).unwrap();
    db.write(&batch(&db, &["logged"], 1000)).unwrap();
    leave(&bare, 0);
    drop(db);
    assert!(is_full(open(&bare.fork(), Durability::Always)), "the reserve made the difference");
}

/// It is no part of the store: not listed, not copied, not read.
#[test]
fn the_reserve_is_nobodys_file() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    db.write(&batch(&db, &["a"], 10)).unwrap();
    assert_eq!(fs.file_len(&Path::new(DIR).join("RESERVE")).unwrap(), 0);
    db.checkpoint("/data/copy").unwrap();
    assert!(fs.read_file("/data/copy/RESERVE").is_err());
    db.close().unwrap();
    // Whoever opens it without one gives it back.
    let db = open(&fs.fork(), Durability::Always).unwrap();
    assert!(db.open_report().findings.is_empty());
    assert_eq!(db.stats().reserve_bytes_max, 0);
    let before = available(&fs);
    let db = open(&fs, Durability::Always).unwrap();
    assert!(available(&fs) > before + RESERVE / 2, "its space is free");
    assert_eq!(samples(&db), 10);
}
