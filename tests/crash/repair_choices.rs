//! What a repair of a manifest keeps, what it must not take, and what it must not bring back: a test for each of its
//! choices that stores as they are left seldom come to.

use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, OpKind, SimFs, SyncPoint, Vfs};
use siltstone::{Durability, Error, Fate, Repair, TimeRange};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::findings::{files, labels, open, simple_options};
use crate::manifest_tail::{content, frames, manifest, stores, write};
use crate::repair::richer;
use crate::repair_copies::{own_files, stray_segment};
use crate::repairing::{apply, current, holds};
use crate::workload::DIR;

/// Whenever the power goes, what the damaged manifest held is there still, in its place or in quarantine.
#[test]
fn a_damaged_manifest_is_kept_through_a_crash_of_its_repair() {
    let store = &richer()[0];
    let path = manifest(&store.fs);
    let mut damaged = store.fs.read_file(&path).unwrap();
    let end = damaged.len();
    damaged[end - 40..].fill(0x55);
    store.fs.write_file(&path, &damaged).unwrap();
    let whole = store.fs.fork();
    assert!(apply(&whole).unwrap().is_needed());
    let mut states = 0;
    for op in store.fs.ops()..=whole.ops() {
        let crashed = store.fs.fork();
        crashed.crash_at(op);
        drop(apply(&crashed));
        for plan in CrashPlan::spread(op, 3) {
            let found = content(&crashed.crash(plan));
            let is_kept = found.iter().any(|(_, bytes)| *bytes == damaged);
            assert!(is_kept, "operation {op}, {plan:?}: {:?}", crashed.files());
            states += 1;
        }
    }
    assert!(states > 50, "{states}");
}

/// Two flushes of samples of two windows far apart, each too large to be joined with the other by a merge.
fn of_two_windows() -> SimFs {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let mut random = 1u64;
    for rows in [90_000i64, 10] {
        for start in [0, 1_000_000_000_000] {
            let mut batch = siltstone::WriteBatch::new();
            for row in 0..rows {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let value = f64::from_bits(random >> 2);
                batch.push(db.series(&labels("a")).unwrap(), start + row, value).unwrap();
            }
            db.write(&batch).unwrap();
        }
        db.flush().unwrap();
    }
    db.close().unwrap();
    fs
}

/// The outputs of a merge are written one after the other: where the last of them is not there, nor a manifest,
/// the inputs are what counts.
#[test]
fn a_merge_that_was_cut_short_is_not_taken() {
    let before = of_two_windows();
    let merge = |fs: &SimFs| -> siltstone::Result<(u64, Vec<OracleSeries>)> {
        let db = open(fs, Durability::Always)?;
        let (ops, held) = (fs.ops(), read_all(&db.snapshot()?)?);
        db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()))?;
        Ok((ops, held))
    };
    let whole = before.fork();
    let (first, held) = merge(&whole).unwrap();
    let named = whole.trace().into_iter().filter(|op| {
        let is_segment = op.path.to_string_lossy().contains(".seg");
        op.number >= first && is_segment && matches!(op.kind, OpKind::Rename { .. })
    });
    let named: Vec<u64> = named.map(|op| op.number).collect();
    assert_eq!(named.len(), 2, "one output a window");
    let mut unpublished = 0;
    for op in [named[0], named[0] + 1, named[1] - 1, named[1], named[1] + 1] {
        let fs = before.fork();
        fs.crash_at(op);
        drop(merge(&fs));
        let fs = fs.crash(CrashPlan::ALL_KEPT);
        fs.remove(&manifest(&fs)).unwrap();
        let plan = apply(&fs).unwrap();
        unpublished += plan.segments.iter().filter(|s| s.fate == Fate::Unpublished).count();
        holds(&fs, &held, &format!("operation {op}"));
    }
    assert!(unpublished > 1, "{unpublished}");
}

/// A segment that an edit has removed, and in whose place there is none, stays removed, although its file is there.
#[test]
fn what_an_edit_has_removed_is_not_listed_again() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    write(&db, "a");
    db.flush().unwrap();
    let reader = db.snapshot().unwrap();
    db.delete(&[siltstone::Matcher::equal("__name__", "a")], TimeRange::ALL).unwrap();
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    db.tick().unwrap();
    write(&db, "b");
    db.flush().unwrap();
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    assert_eq!(held.len(), 1);
    drop((db, reader));
    let fs = fs.crash(CrashPlan::ALL_KEPT);
    let path = manifest(&fs);
    let mut bytes = fs.read_file(&path).unwrap();
    let starts = frames(&bytes);
    // The snapshot, which is of an empty store.
    bytes[starts[0]..starts[1]].fill(0);
    fs.write_file(&path, &bytes).unwrap();
    let plan = apply(&fs).unwrap();
    assert!(plan.segments.iter().any(|segment| segment.fate == Fate::Removed), "{plan:?}");
    holds(&fs, &held, "a segment that was removed");
}

/// A manifest that lies there still, older than the one that `CURRENT` names, is not the whole of it.
#[test]
fn an_older_manifest_is_not_taken_for_the_one_that_is_gone() {
    let fs = SimFs::new();
    let mut older = Vec::new();
    for name in ["a", "b"] {
        let db = open(&fs, Durability::Always).unwrap();
        write(&db, name);
        db.flush().unwrap();
        db.close().unwrap();
        let path = manifest(&fs);
        older.push((path.clone(), fs.read_file(&path).unwrap()));
    }
    let db = open(&fs.fork(), Durability::Always).unwrap();
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    fs.remove(&older[1].0).unwrap();
    fs.write_file(&older[0].0, &older[0].1).unwrap();
    assert!(!apply(&fs).unwrap().is_exact);
    holds(&fs, &held, "an older manifest");
}

/// A segment that was flushed and that no edit lists, as after a crash, while the log of it is damaged in the middle:
/// the segment has what the log has lost.
#[test]
fn a_segment_is_left_to_the_log_only_if_that_has_all_of_it() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    ["a", "b", "c"].into_iter().for_each(|name| write(&db, name));
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    fs.fail_sync(SyncPoint::ManifestEdit, 0, std::io::ErrorKind::Other);
    assert!(db.flush().is_err());
    let fs = fs.crash(CrashPlan::ALL_KEPT);
    drop(db);
    let fate = |fs: &SimFs| {
        fs.remove(&manifest(fs)).unwrap();
        let plan = apply(fs).unwrap();
        let segments = plan.segments.iter().map(|segment| segment.fate).collect::<Vec<_>>();
        let db = open(fs, Durability::Always).unwrap();
        assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), held, "{segments:?}");
        segments
    };
    assert_eq!(fate(&fs.fork()), [Fate::InLog]);
    let logs = files(&fs, ".wal").into_iter();
    let log = logs.max_by_key(|path| fs.read_file(path).unwrap().len()).unwrap();
    let bytes = fs.read_file(&log).unwrap();
    let starts: Vec<usize> =
        (256..bytes.len()).filter(|&at| bytes[at..].starts_with(b"SWFr")).collect();
    let middle = starts[starts.len() / 2] + 60;
    fs.flip(&log, middle as u64, 1).unwrap();
    assert_eq!(fate(&fs), [Fate::Kept]);
}

#[test]
fn what_cannot_be_decided_is_refused_and_named() {
    let store = &stores()[0];
    let nothing = SimFs::new();
    nothing.create_dir_all(Path::new(DIR)).unwrap();
    assert!(matches!(apply(&nothing), Err(Error::NotAStore { .. })));
    assert!(nothing.files().is_empty(), "no lock file in a directory that is no store");
    let fs = store.fs.fork();
    fs.remove(&manifest(&fs)).unwrap();
    let plan = Repair::new(Path::new(DIR)).options(simple_options(&fs)).plan();
    assert!(plan.unwrap_err().to_string().contains("ticks"), "no manifest says the time scale");
    // Whose directory it is: without a manifest all log files must be of one store, and without these all segments.
    let refused = |fs: &SimFs| match apply(fs) {
        Err(Error::InvalidArgument(why)) => assert!(why.contains("files of 2 stores"), "{why}"),
        other => panic!("{other:?}"),
    };
    fs.remove(&stray_segment(&fs)).unwrap();
    let is_log = |path: &&PathBuf| path.extension().is_some_and(|e| e == "wal");
    let files = fs.files();
    let mut others = files.iter().filter(|path| path.starts_with("/data/unrelated"));
    let log = fs.read_file(others.find(is_log).unwrap()).unwrap();
    fs.write_file(Path::new(DIR).join("000900.wal"), &log).unwrap();
    refused(&fs);
    own_files(&fs, "wal").iter().for_each(|log| fs.remove(log).unwrap());
    stray_segment(&fs);
    refused(&fs);
    // A listed segment that is gone stays listed: its time is not answered by what is older.
    let fs = store.fs.fork();
    fs.remove(&current()).unwrap();
    let gone = fs.files().into_iter().find(|path| path.extension().is_some_and(|e| e == "seg"));
    fs.remove(&gone.clone().unwrap()).unwrap();
    let plan = apply(&fs).unwrap();
    let lost: Vec<_> = plan.segments.iter().filter(|s| s.fate == Fate::Unreadable).collect();
    assert_eq!(lost.len(), 1);
    assert_eq!((Some(&lost[0].path), lost[0].samples), (gone.as_ref(), plan.lost_samples));
    let db = open(&fs, Durability::Always).unwrap();
    assert!(read_all(&db.snapshot().unwrap()).is_err());
    // While a process has the store open, nothing is repaired.
    fs.write_file(current(), &[0; 38]).unwrap();
    assert!(matches!(apply(&fs), Err(Error::Locked { .. })));
    drop(db);
}

/// What the manifest lists of deletes is in their files, too, from which a manifest would be made again: one that is
/// gone or damaged is written anew, and nothing else is changed.
#[test]
fn a_file_of_deletes_is_written_anew_from_the_manifest() {
    let stores = richer();
    let store = stores.iter().find(|store| store.what == "deletes that wait").unwrap();
    let file = own_files(&store.fs, "tomb").pop().unwrap();
    let whole = store.fs.read_file(&file).unwrap();
    for what in ["gone", "damaged", "cut"] {
        let fs = store.fs.fork();
        match what {
            "gone" => fs.remove(&file).unwrap(),
            "damaged" => fs.flip(&file, 60, 1).unwrap(),
            _ => fs.write_file(&file, &whole[..50]).unwrap(),
        }
        let before = fs.read_file(manifest(&fs)).unwrap();
        let plan = apply(&fs).unwrap();
        assert!(plan.is_needed() && plan.is_exact, "{what}: {plan:?}");
        assert_eq!(plan.tombstone_files, std::slice::from_ref(&file), "{what}");
        assert_eq!(plan.kept().count(), own_files(&fs, "seg").len(), "{what}: {plan:?}");
        assert_eq!(fs.read_file(&file).unwrap(), whole, "{what}");
        assert_eq!(fs.read_file(manifest(&fs)).unwrap(), before, "{what}: the manifest was right");
        holds(&fs, &store.held, what);
    }
}
