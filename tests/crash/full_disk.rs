//! A full disk: nothing acknowledged is lost, nothing is left behind, and writes go on when there is
//! room again, without a restart.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, SimClock, SimFs, Vfs};
use siltstone::{Db, Durability, Error, Matcher, Options, TimeRange, WriteBatch};

use crate::findings::{batch, counts, files, labels, open, simple_options};
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
                        Error::StaleHandle(_) => write(),
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

/// Rows of values that do not compress: 8 bytes each in a segment.
fn noise(db: &Db, names: &[&str], rows: i64, round: i64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (i, name) in names.iter().enumerate() {
        let handle = db.series(&labels(name)).unwrap();
        for row in 0..rows {
            let time = (round * 10_000 + row) * 1000;
            let bits = (time + i as i64 + 1).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
            batch.push_bits(handle, time, bits).unwrap();
        }
    }
    batch
}

/// A delete sealed the active memtable, and for that flushed the one before, for which the reserve may
/// be too small: it was refused where it was needed.
#[test]
fn a_delete_needs_no_flush_on_a_full_disk() {
    let fs = SimFs::new();
    let reserving = |fs: &SimFs| {
        Db::open(DIR, Options { reserve_bytes: Some(8 << 10), ..simple_options(fs) }).unwrap()
    };
    let db = reserving(&fs);
    db.write(&noise(&db, &["old", "new"], 5000, 0)).unwrap();
    leave(&fs, 14 << 10);
    assert!(is_full(db.flush()), "there is room for a log, not for a segment");
    db.write(&noise(&db, &["old", "new"], 20, 1)).unwrap();
    leave(&fs, 0);
    let old = [Matcher::equal("__name__", "old")];
    db.delete(&old, TimeRange::ALL).unwrap();
    assert_eq!((samples(&db), db.stats().memtables_sealed), (5020, 2));
    assert!(is_full(db.write(&batch(&db, &["new"], 10))), "there is no room yet");
    db.delete(&old, TimeRange::ALL).unwrap();
    assert_eq!(db.stats().memtables_sealed, 2, "one more, and no more than that");
    for fate in [fs.fork(), fs.fork().crash(CrashPlan::ALL_LOST)] {
        fate.set_capacity(LARGE);
        assert_eq!(samples(&reserving(&fate)), 5020);
    }
    fs.set_capacity(LARGE);
    db.write(&noise(&db, &["old"], 10, 2)).unwrap();
    db.flush().unwrap();
    assert_eq!((samples(&db), db.stats().memtables_sealed), (5030, 0));
    assert_eq!(samples(&reserving(&fs.fork())), 5030);
}

/// There was room for one segment and not for all that the picker took: nothing was erased, and the
/// disk stayed full.
#[test]
fn deletes_empty_a_full_disk_segment_by_segment() {
    let fs = SimFs::new();
    let db = open_reserving(&fs).unwrap();
    for round in 0..6 {
        db.write(&noise(&db, &["new", "old"], 1000, round)).unwrap();
        db.flush().unwrap();
    }
    leave(&fs, 0);
    db.delete(&[Matcher::equal("__name__", "old")], TimeRange::ALL).unwrap();
    assert_eq!(samples(&db), 6000);
    let report = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.deleted, samples(&db)), (6000, 6000), "{report:?}");
    assert_eq!((db.stats().tombstones, db.stats().level0_segments), (0, 0));
    db.write(&batch(&db, &["old"], 1)).unwrap();
    assert_eq!((db.stats().reserve_bytes, db.stats().disk_full), (RESERVE, false), "it has healed");
    assert_eq!(samples(&open(&fs.fork(), Durability::Always).unwrap()), 6001);
}

/// As above, without anybody's asking: when the delete is old enough.
#[test]
fn a_full_disk_is_emptied_in_the_background() {
    let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(0)));
    let options = Options { reserve_bytes: Some(RESERVE), ..simple_options(&fs) };
    let db = Db::open(DIR, Options { clock: Arc::clone(&clock) as _, ..options }).unwrap();
    for round in 0..6 {
        db.write(&noise(&db, &["new", "old"], 1000, round)).unwrap();
        db.flush().unwrap();
    }
    leave(&fs, 0);
    db.delete(&[Matcher::equal("__name__", "old")], TimeRange::ALL).unwrap();
    // Nothing is fresh for so long that all windows are done with: the picker wants one merge of all.
    clock.advance(Duration::from_secs(3 * 86_400));
    let mut ticks = 0;
    while db.stats().disk_full {
        clock.advance(Duration::from_secs(400));
        let _ = db.tick();
        ticks += 1;
        assert!(ticks < 100, "{:?}", db.stats().merge_trouble);
    }
    assert_eq!((samples(&db), db.stats().samples_deleted), (6000, 6000));
    assert_eq!(db.stats().tombstones, 0);
}
