//! Segments that nothing lists: which of them opening removes, which it sets aside, and for how long.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, Op, OpKind, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Snapshot, TimeRange};

use crate::findings::{batch, counts, files, open};
use crate::workload::DIR;

fn quarantined(fs: &SimFs) -> Vec<String> {
    let inside = fs.files().into_iter().filter(|p| p.to_string_lossy().contains("/quarantine/"));
    let names = inside.map(|p| p.file_name().unwrap().to_string_lossy().into_owned());
    names.filter(|name| !name.ends_with(".elsewhere")).collect()
}

/// A store whose four flushes were merged while a snapshot holds them.
fn merged(fs: &SimFs) -> (Db, Snapshot) {
    let db = open(fs, Durability::Always).unwrap();
    for name in ["a", "b", "c", "d"] {
        db.write(&batch(&db, &[name], 2)).unwrap();
        db.flush().unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(files(fs, ".seg").len(), 5);
    (db, snapshot)
}

/// Opens what a crash left: the inputs of the merge are gone, for good.
fn assert_cleared(fs: &SimFs, what: &str) {
    let db = open(fs, Durability::Always).unwrap();
    assert_eq!(counts(&db).len(), 4, "{what}");
    drop(db);
    assert_eq!(files(fs, ".seg").len(), 1, "{what}: {:?}", fs.files());
    assert!(quarantined(fs).is_empty(), "{what}: {:?}", quarantined(fs));
}

/// The new manifest of the first opening knew nothing of what earlier edits had removed.
#[test]
fn the_inputs_of_a_merge_go_although_opening_was_cut_short() {
    let fs = SimFs::new();
    let store = merged(&fs);
    let found = fs.fork();
    drop(store);
    let first = found.ops();
    let whole = found.fork();
    drop(open(&whole, Durability::Always).unwrap());
    for op in first..whole.ops() {
        let fs = found.fork();
        fs.crash_at(op);
        let _ = open(&fs, Durability::Always);
        for plan in CrashPlan::spread(op, 2) {
            assert_cleared(&fs.fork().crash(plan), &format!("op {op}, {plan:?}"));
        }
    }
}

#[test]
fn the_inputs_of_a_merge_go_although_the_manifest_was_rolled() {
    let fs = SimFs::new();
    let (db, snapshot) = merged(&fs);
    for _ in 0..2 {
        db.write(&batch(&db, &["a"], 2)).unwrap();
        fs.fail_sync(SyncPoint::ManifestEdit, 0, ErrorKind::Other);
        db.flush().unwrap_err();
        db.flush().unwrap();
    }
    let after = fs.fork();
    drop((snapshot, db));
    let db = open(&after, Durability::Always).unwrap();
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    drop(db);
    assert_cleared(&after, "after two rolls");
}

fn in_store(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// A store of one segment and a log whose recovery was cut short three times, each time before the edit
/// that lists the segment which it wrote. Names and bytes of these: one in its place, two set aside.
fn with_orphans() -> (SimFs, Vec<String>, u64) {
    let mut fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.flush().unwrap();
    db.write(&batch(&db, &["b"], 3)).unwrap();
    fs = fs.crash(CrashPlan::ALL_LOST);
    let listed = files(&fs, ".seg");
    drop(db);
    for _ in 0..3 {
        let (first, whole) = (fs.ops(), fs.fork());
        drop(open(&whole, Durability::Always).unwrap());
        let trace = whole.trace();
        let is_edit = |op: &&Op| {
            let is_manifest = op.path.to_string_lossy().contains("MANIFEST-");
            op.number >= first && is_manifest && matches!(op.kind, OpKind::Append { .. })
        };
        // The snapshot comes first.
        fs.crash_at(trace.iter().filter(is_edit).nth(1).unwrap().number);
        open(&fs, Durability::Always).unwrap_err();
        fs = fs.crash(CrashPlan::ALL_LOST);
    }
    let mut found = files(&fs, ".seg");
    found.retain(|path| !listed.contains(path));
    assert_eq!(quarantined(&fs).len(), 2);
    let bytes = fs.read_file(&found[0]).unwrap().len() as u64;
    let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
    let mut names: Vec<String> = found.iter().map(name).collect();
    names.sort();
    assert_eq!(names.len(), 3, "{found:?}");
    (fs, names, bytes)
}

#[test]
fn orphans_take_a_hundredth_of_the_disk_and_the_oldest_go_first() {
    let (fs, orphans, bytes) = with_orphans();
    fs.set_capacity(250 * bytes);
    drop(open(&fs, Durability::Always).unwrap());
    assert_eq!(quarantined(&fs).len(), 3, "for one opening each stays");
    let damaged = ["000050.seg", "000050.seg.damage.jsonl", "000051.wal"];
    for name in damaged {
        fs.write_file(in_store("quarantine").join(name), &vec![0; bytes as usize]).unwrap();
    }
    let db = open(&fs, Durability::Always).unwrap();
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
    drop(db);
    let kept = [&[&*orphans[1], &*orphans[2]][..], &damaged].concat();
    assert_eq!(quarantined(&fs), kept);
    fs.set_capacity(99 * bytes);
    drop(open(&fs, Durability::Always).unwrap());
    assert_eq!(quarantined(&fs), damaged);
    let db = open(&fs, Durability::Always).unwrap();
    assert_eq!(counts(&db).len(), 2);
    assert!(files(&fs, ".elsewhere").is_empty(), "{:?}", fs.files());
}

#[test]
fn orphans_stay_while_anything_is_missing() {
    let (fs, orphans, bytes) = with_orphans();
    fs.set_capacity(99 * bytes);
    fs.remove(&files(&fs, ".seg")[0]).unwrap();
    for _ in 0..2 {
        let db = open(&fs, Durability::Always).unwrap();
        assert_eq!(db.open_report().findings.len(), 1);
        drop(db);
        assert_eq!(quarantined(&fs), orphans);
    }
}

/// However opening is cut short, what the log had is known to have been there.
#[test]
fn an_orphan_that_was_replayed_is_never_reported() {
    let (fs, orphans, _) = with_orphans();
    let (first, whole) = (fs.ops(), fs.fork());
    drop(open(&whole, Durability::Always).unwrap());
    for op in first..=whole.ops() {
        let cut = fs.fork();
        cut.crash_at(op);
        let _ = open(&cut, Durability::Always);
        for plan in CrashPlan::spread(op, 6) {
            let left = cut.fork().crash(plan);
            let db = open(&left, Durability::Always).unwrap();
            let findings = &db.open_report().findings;
            assert!(findings.is_empty(), "op {op}, {plan:?}: {findings:?}");
            let warnings = &db.open_report().warnings;
            assert!(warnings.is_empty(), "op {op}, {plan:?}: {warnings:?}");
            assert_eq!(counts(&db).len(), 2, "op {op}, {plan:?}");
            let aside = quarantined(&left);
            assert!(orphans.iter().all(|name| aside.contains(name)), "op {op}, {plan:?}");
        }
    }
}

/// A store with an unlisted segment, which opening sets aside, and whose bytes no other file has.
fn with_orphan() -> (SimFs, Vec<u8>) {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.close().unwrap();
    let bytes = [fs.read_file(&files(&fs, ".seg")[0]).unwrap(), vec![7; 99]].concat();
    fs.write_file(in_store("000101.seg"), &bytes).unwrap();
    (fs, bytes)
}

/// Whether the orphan is, whole, where it was and in quarantine.
fn places(fs: &SimFs, bytes: &[u8]) -> [bool; 2] {
    ["000101.seg", "quarantine/000101.seg"]
        .map(|name| fs.read_file(in_store(name)).is_ok_and(|found| found == bytes))
}

/// Opens the store after a crash at each operation of an opening that sets a file aside: never is the
/// file without a name, and the next opening ends with one, for good. How many states that were.
fn crash_while_set_aside(ignored: Option<SyncPoint>) -> Result<u64, String> {
    let (fs, bytes) = with_orphan();
    let without = |fs: &SimFs| ignored.into_iter().for_each(|point| fs.ignore_sync(point));
    let first = fs.ops();
    let whole = fs.fork();
    drop(open(&whole, Durability::Always).unwrap());
    assert_eq!(places(&whole, &bytes), [false, true]);
    let mut states = 0;
    for op in first..whole.ops() {
        let cut = fs.fork();
        without(&cut);
        cut.crash_at(op);
        let _ = open(&cut, Durability::Always);
        for plan in CrashPlan::spread(op, 6) {
            let left = cut.fork().crash(plan);
            let check = |fs: &SimFs, is_good: bool, what: &str| match is_good {
                true => Ok(()),
                false => Err(format!("op {op}, {plan:?}, {what}: {:?}", fs.files())),
            };
            check(&left, places(&left, &bytes).contains(&true), "lost")?;
            without(&left);
            drop(open(&left, Durability::Always).unwrap());
            check(&left, places(&left, &bytes) == [false, true], "opened")?;
            let later = left.crash(CrashPlan::ALL_LOST);
            check(&later, places(&later, &bytes).contains(&true), "lost later")?;
            if ignored.is_none() {
                check(&later, places(&later, &bytes) == [false, true], "moved for good")?;
            }
            states += 1;
        }
    }
    Ok(states)
}

#[test]
fn what_is_set_aside_is_never_lost_and_ends_in_one_place() {
    let states = crash_while_set_aside(None).unwrap();
    assert!(states > 100, "{states}");
}

#[test]
fn setting_aside_needs_its_syncs() {
    for point in [SyncPoint::SetAside, SyncPoint::QuarantineName] {
        let violation = crash_while_set_aside(Some(point)).expect_err("it is useless");
        println!("without {point:?}: {violation}");
    }
    crash_while_set_aside(Some(SyncPoint::SetAsideSource)).unwrap();
}

/// Whatever fails, the file is where it was or in quarantine, and the next opening finishes the move.
#[test]
fn setting_aside_that_fails_loses_nothing() {
    let (fs, bytes) = with_orphan();
    let whole = fs.fork();
    drop(open(&whole, Durability::Always).unwrap());
    for op in fs.ops()..whole.ops() {
        let failing = fs.fork();
        failing.fail_op(op, ErrorKind::Other);
        drop(open(&failing, Durability::Always));
        for plan in [CrashPlan::ALL_LOST, CrashPlan::ALL_KEPT] {
            let left = failing.fork().crash(plan);
            assert!(places(&left, &bytes).contains(&true), "op {op}, {plan:?}: {:?}", left.files());
            drop(open(&left, Durability::Always).unwrap());
            assert_eq!(places(&left, &bytes), [false, true], "op {op}, {plan:?}");
        }
    }
}
