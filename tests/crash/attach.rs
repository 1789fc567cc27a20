//! Attaches cut short: whatever happens, a store has all of what it attaches or nothing, and both
//! stores are sound.

use std::collections::HashSet;
use std::io::ErrorKind;

use siltstone::sys::{CrashPlan, Op, OpKind, SimFs, SyncPoint};
use siltstone::{Db, Durability, Matcher, TimeRange};
use siltstone_testing::oracle::OracleSeries;

use crate::checkpoint::{filled, held, seen};
use crate::enumerate::digest;
use crate::findings::{batch, files, open, simple_options};
use crate::workload::DIR;

const OTHER: &str = "/data/metrics/other";

/// A store beside another one, which has two segments that overlap, one apart, and a delete.
fn pair(fs: &SimFs) -> Db {
    let other = Db::open(OTHER, simple_options(fs)).unwrap();
    for (names, rows) in [(&["twice", "foreign"][..], 40), (&["twice"], 60)] {
        other.write(&batch(&other, names, rows)).unwrap();
        other.flush().unwrap();
    }
    other.delete(&[Matcher::equal("__name__", "foreign")], TimeRange::new(0, 5000)).unwrap();
    other.close().unwrap();
    filled(fs)
}

/// What the store holds before and after, and the operations of the attach: the first and the one
/// behind the last.
fn whole() -> (Vec<OracleSeries>, Vec<OracleSeries>, (u64, u64)) {
    let fs = SimFs::new();
    let db = pair(&fs);
    let (before, first) = (seen(&db), fs.ops());
    db.attach(OTHER).unwrap();
    let after = seen(&db);
    assert_ne!(before, after);
    (before, after, (first, fs.ops()))
}

fn crash_everywhere(ignored: Option<SyncPoint>) -> Result<(u64, [u64; 2]), String> {
    let (before, after, (first, end)) = whole();
    let (mut states, mut found) = (0, [0; 2]);
    for op in first..=end {
        let fs = SimFs::new();
        let db = pair(&fs);
        ignored.into_iter().for_each(|point| fs.ignore_sync(point));
        fs.crash_at(op);
        let acknowledged = db.attach(OTHER).is_ok();
        let mut seen_disks = HashSet::new();
        for plan in CrashPlan::spread(op << 8, 20) {
            let survivor = fs.crash(plan);
            let place = |e: String| format!("crash at {op}, {plan:?}, done: {acknowledged}: {e}");
            states += 1;
            if !seen_disks.insert(digest(&survivor)) {
                continue;
            }
            let held = held(&survivor.fork(), DIR).map_err(place)?.unwrap_or_default();
            let all = held == after;
            if !all && (acknowledged || held != before) {
                return Err(place("neither all of it nor nothing".into()));
            }
            found[usize::from(all)] += 1;
            if op % 5 == 0 {
                // What is attached again is there once.
                let db = open(&survivor, Durability::Always).map_err(|e| place(e.to_string()))?;
                db.attach(OTHER).map_err(|e| place(e.to_string()))?;
                assert_eq!(seen(&db), after);
            }
        }
    }
    Ok((states, found))
}

#[test]
fn all_of_it_or_nothing_survives_a_crash() {
    let (states, found) = crash_everywhere(None).unwrap();
    println!("{states} states, {found:?} without and with it");
    // The edit that lists everything is the last operation but its sync.
    assert!(states > 500 && found[0] > 100 && found[1] > 0, "{states} {found:?}");
}

#[test]
fn an_attach_needs_its_syncs() {
    for point in [SyncPoint::SegmentData, SyncPoint::SegmentDirectory, SyncPoint::ManifestEdit] {
        let broken = crash_everywhere(Some(point));
        println!("without {point:?}: {}", broken.as_ref().err().map_or("", String::as_str));
        assert!(broken.is_err(), "{point:?} is of no use");
    }
}

/// The operation that creates the first segment of an attach: before it the memtable is flushed, which
/// leaves files of its own to the next opening.
fn first_own(first: u64) -> u64 {
    let fs = SimFs::new();
    pair(&fs).attach(OTHER).unwrap();
    let trace = fs.trace();
    let is_new = |op: &&Op| {
        let path = op.path.to_string_lossy();
        op.number >= first && op.kind == OpKind::Create && path.ends_with(".seg.tmp")
    };
    trace.iter().filter(is_new).nth(1).unwrap().number
}

#[test]
fn whatever_fails_nothing_is_left_and_the_next_one_succeeds() {
    let (before, after, (first, end)) = whole();
    let own = first_own(first);
    let mut failures = 0;
    for op in first..end {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other] {
            let fs = SimFs::new();
            let db = pair(&fs);
            fs.fail_op(op, kind);
            let made = db.attach(OTHER);
            let place = format!("{kind:?} of {:?}", fs.trace().iter().find(|o| o.number == op));
            if let Err(error) = made {
                failures += 1;
                assert_eq!(seen(&db), before, "{place}: {error}");
                fs.heal();
                db.attach(OTHER).unwrap_or_else(|e| panic!("{place}, then {e}"));
            }
            assert_eq!(seen(&db), after, "{place}");
            db.close().unwrap();
            if op >= own {
                let listed = db.stats().segments as usize + 2;
                assert_eq!(files(&fs, ".seg").len(), listed, "{place}: a file is left");
            }
            let held = held(&fs.crash(CrashPlan::ALL_LOST), DIR);
            assert_eq!(held.unwrap_or_else(|e| panic!("{place}: {e}")), Some(after.clone()));
        }
    }
    assert!(failures > 20, "{failures} of {first}..{end}");
}

/// The log goes on behind a seq that no frame has.
#[test]
fn what_is_written_later_is_newer_after_a_crash_too() {
    let fs = SimFs::new();
    let db = pair(&fs);
    let report = db.attach(OTHER).unwrap();
    let ack = db.write(&batch(&db, &["twice"], 3)).unwrap();
    assert_eq!(ack.seq, report.seq + 1);
    db.delete(&[Matcher::equal("__name__", "foreign")], TimeRange::ALL).unwrap();
    let expected = seen(&db);
    for plan in [CrashPlan::ALL_LOST, CrashPlan::ALL_KEPT] {
        let survivor = fs.crash(plan);
        assert_eq!(held(&survivor.fork(), DIR).unwrap().as_ref(), Some(&expected));
        let db = open(&survivor, Durability::Always).unwrap();
        assert!(db.write(&batch(&db, &["later"], 1)).unwrap().seq > ack.seq);
    }
}
