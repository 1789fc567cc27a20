//! Copies of stores, whose segments carry the uuids of others, without their manifests.

use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, SimFs, Vfs};
use siltstone::{Db, Durability, TimeRange};
use siltstone_testing::record::read_all;

use crate::findings::{labels, open, simple_options};
use crate::manifest_tail::{Left, frames, manifest, write};
use crate::repairing::{apply, holds, merge};
use crate::workload::DIR;

/// A copy of a store, as `leave` leaves it. The first has merged, and has deletes that wait.
fn left_copy(what: &'static str, leave: impl FnOnce(&SimFs)) -> Left {
    let fs = SimFs::new();
    let db = Db::open("/data/metrics/first", simple_options(&fs)).unwrap();
    for name in ["a", "b", "c"] {
        write(&db, name);
        db.flush().unwrap();
    }
    merge(&db, TimeRange::ALL);
    later(&db, "c");
    db.delete(&[siltstone::Matcher::equal("__name__", "b")], TimeRange::new(0, 1500)).unwrap();
    db.checkpoint(DIR).unwrap();
    leave(&fs);
    drop(db);
    let fs = fs.crash(CrashPlan::ALL_LOST);
    let db = open(&fs.fork(), Durability::Always).unwrap();
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    assert!(db.open_report().findings.is_empty(), "{what}: {:?}", db.open_report());
    Left { what, fs, held }
}

/// Writes samples far from those of [`write`], and flushes them.
fn later(db: &Db, name: &str) {
    let series = db.series(&labels(name)).unwrap();
    let mut batch = siltstone::WriteBatch::new();
    (0..4).for_each(|t| batch.push(series, LATER + t * 1000, 7.0).unwrap());
    db.write(&batch).unwrap();
    db.flush().unwrap();
}

/// Months later, in milliseconds.
const LATER: i64 = 10_000_000_000;

pub(crate) fn copies() -> Vec<Left> {
    let as_made = |_: &SimFs| ();
    let written = |fs: &SimFs| {
        let db = open(fs, Durability::Always).unwrap();
        write(&db, "a");
        db.flush().unwrap();
        // Of the first there are now segments that were merged here, and some that were not.
        merge(&db, TimeRange::new(0, 10_000));
        write(&db, "d");
        db.flush().unwrap();
        db.delete(&[siltstone::Matcher::equal("__name__", "c")], TimeRange::new(0, 1500)).unwrap();
        write(&db, "e");
    };
    let of_copy = |fs: &SimFs| {
        let db = open(fs, Durability::Always).unwrap();
        later(&db, "d");
        db.checkpoint("/data/metrics/second").unwrap();
        db.close().unwrap();
        fs.list(Path::new(DIR)).unwrap().into_iter().filter(|entry| !entry.is_dir).for_each(|e| {
            fs.remove(&Path::new(DIR).join(e.name)).unwrap();
        });
        fs.remove_dir(Path::new(DIR)).unwrap();
        let db = Db::open("/data/metrics/second", simple_options(fs)).unwrap();
        db.checkpoint(DIR).unwrap();
        let db = open(fs, Durability::Always).unwrap();
        later(&db, "e");
    };
    vec![
        left_copy("a copy as it was made", as_made),
        left_copy("a copy that was written to and merged in part", written),
        left_copy("a copy of a copy", of_copy),
    ]
}

/// The files of the store with this ending.
pub(crate) fn own_files(fs: &SimFs, ending: &str) -> Vec<PathBuf> {
    let mut files = fs.files();
    files.retain(|path| path.parent() == Some(Path::new(DIR)));
    files.retain(|path| path.extension().is_some_and(|e| e == ending));
    files
}

/// Each uuid that the segments in the directory carry, and how many do.
fn writers(fs: &SimFs) -> Vec<([u8; 16], usize)> {
    let mut writers = std::collections::BTreeMap::<[u8; 16], usize>::new();
    for file in own_files(fs, "seg") {
        let uuid = fs.read_file(&file).unwrap()[16..32].try_into().unwrap();
        *writers.entry(uuid).or_default() += 1;
    }
    writers.into_iter().collect()
}

fn ids(fs: &SimFs) -> siltstone::types::StoreIds {
    siltstone::manifest::load(fs, Path::new(DIR)).unwrap().ids()
}

/// The log says whose directory it is; the plan, what is taken for segments of the store that was copied.
#[test]
fn a_copy_without_its_manifest_is_the_same_copy_again_and_the_plan_says_what_it_takes() {
    let mut without_log = 0;
    for store in copies() {
        let (what, before) = (store.what, ids(&store.fs));
        let writers = writers(&store.fs);
        let foreign = writers.iter().filter(|(uuid, _)| *uuid != before.own).count();
        assert!(foreign > 0, "{what}");
        let of_both =
            what.contains("merged").then_some(2).or(what.contains("of a copy").then_some(3));
        assert!(of_both.is_none_or(|of_both| writers.len() == of_both), "{what}: {writers:?}");
        let path = manifest(&store.fs);
        let starts = frames(&store.fs.read_file(&path).unwrap());
        let overwrite = |at: usize, len: usize| {
            let fs = store.fs.fork();
            let mut bytes = fs.read_file(&path).unwrap();
            bytes[at..at + len].fill(0x55);
            fs.write_file(&path, &bytes).unwrap();
            fs
        };
        let gone = store.fs.fork();
        gone.remove(&path).unwrap();
        for fs in [gone, overwrite(0, 56), overwrite(starts[0], 24)] {
            let plan = apply(&fs).unwrap();
            let taken = plan.warnings.iter().filter(|w| w.message.contains("another store"));
            assert_eq!(taken.count(), foreign, "{what}: {plan:?}");
            let after = ids(&fs);
            assert_eq!(after.own, before.own, "{what}");
            assert!(after.origins().iter().all(|origin| before.has(origin)), "{what}");
            holds(&fs, &store.held, what);
        }
        // Where the log is gone too, tombstone files say whose it is.
        let fs = store.fs.fork();
        fs.remove(&path).unwrap();
        own_files(&fs, "wal").iter().for_each(|log| fs.remove(log).unwrap());
        if !own_files(&fs, "tomb").is_empty() {
            without_log += 1;
            apply(&fs).unwrap();
            assert_eq!(ids(&fs).own, before.own, "{what}");
        }
        // Where the snapshot can be read it says all of them, and what is of none stays where it is.
        let Some(&behind) = starts.get(1) else { continue };
        let fs = overwrite(behind, 24);
        let stray = stray_segment(&fs);
        let plan = apply(&fs).unwrap();
        let named: Vec<_> =
            plan.warnings.iter().filter(|w| w.message.contains("another store")).collect();
        assert!(named.len() == 1 && named[0].path == stray, "{what}: {plan:?}");
        assert!(named[0].message.contains("left where it is") && fs.files().contains(&stray));
        assert_eq!(ids(&fs), before, "{what}");
    }
    assert!(without_log > 0);
}

/// Puts a segment of an unrelated store into the directory.
pub(crate) fn stray_segment(fs: &SimFs) -> PathBuf {
    let other = Db::open("/data/unrelated", simple_options(fs)).unwrap();
    let taken = fs.files();
    loop {
        write(&other, "unrelated");
        other.flush().unwrap();
        let segments = fs.files().into_iter().filter(|path| path.starts_with("/data/unrelated"));
        let newest = segments.filter(|path| path.extension().is_some_and(|e| e == "seg")).max();
        let newest = newest.unwrap();
        let stray = Path::new(DIR).join(newest.file_name().unwrap());
        if !taken.contains(&stray) {
            fs.write_file(&stray, &fs.read_file(&newest).unwrap()).unwrap();
            return stray;
        }
    }
}
