//! Segments that nothing lists: which of them opening removes, which it sets aside, and for how long.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Snapshot, TimeRange};

use crate::findings::{batch, counts, files, open};
use crate::workload::DIR;

fn quarantined(fs: &SimFs) -> Vec<String> {
    let inside = fs.files().into_iter().filter(|p| p.to_string_lossy().contains("/quarantine/"));
    inside.map(|p| p.file_name().unwrap().to_string_lossy().into_owned()).collect()
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

/// A store of one segment with orphans of the same size beside it. Bytes of each.
fn with_orphans(fs: &SimFs, orphans: &[&str]) -> u64 {
    let db = open(fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.close().unwrap();
    let bytes = fs.read_file(&files(fs, ".seg")[0]).unwrap();
    for name in orphans {
        fs.write_file(in_store(name), &bytes).unwrap();
    }
    bytes.len() as u64
}

#[test]
fn orphans_take_a_hundredth_of_the_disk_and_the_oldest_go_first() {
    let fs = SimFs::new();
    let bytes = with_orphans(&fs, &["000101.seg", "000103.seg", "000102.seg"]);
    fs.set_capacity(250 * bytes);
    drop(open(&fs, Durability::Always).unwrap());
    assert_eq!(quarantined(&fs).len(), 3, "for one opening each stays");
    let damaged = ["000050.seg", "000050.seg.damage.jsonl", "000051.wal"];
    for name in damaged {
        fs.write_file(in_store("quarantine").join(name), &vec![0; bytes as usize]).unwrap();
    }
    drop(open(&fs, Durability::Always).unwrap());
    let kept = [&damaged[..], &["000102.seg", "000103.seg"]].concat();
    assert_eq!(quarantined(&fs), kept);
    fs.set_capacity(99 * bytes);
    drop(open(&fs, Durability::Always).unwrap());
    assert_eq!(quarantined(&fs), damaged);
}

#[test]
fn orphans_stay_while_anything_is_missing() {
    let fs = SimFs::new();
    let bytes = with_orphans(&fs, &["000101.seg", "000102.seg"]);
    fs.set_capacity(99 * bytes);
    fs.remove(&files(&fs, ".seg")[0]).unwrap();
    for _ in 0..2 {
        let db = open(&fs, Durability::Always).unwrap();
        assert_eq!(db.open_report().findings.len(), 1);
        drop(db);
        assert_eq!(quarantined(&fs), ["000101.seg", "000102.seg"]);
    }
}
