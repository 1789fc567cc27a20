//! Segments given up, cut short: whatever happens, one is given up or not, nothing older shows in its place, and
//! asking again gives up the rest.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;

use siltstone::sys::{CrashPlan, SimFs, SyncPoint, Vfs};
use siltstone::{AcceptOptions, AcceptReport, Db, Durability, Matcher, TimeRange};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::checkpoint::{held, seen};
use crate::enumerate::digest;
use crate::findings::{batch, files, open, simple_options};
use crate::manifest_tail::{frames, manifest};
use crate::repairing::{apply, holds, merge};
use crate::workload::DIR;

/// How the segments cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Gone,
    Cut,
    /// The index: found only when it is read.
    Index,
}

/// A store of three layers, with a delete that was carried out in the oldest after the two above it were damaged, and
/// rows that are in memory alone.
fn damaged(fs: &SimFs, damage: Damage) -> Db {
    let db = open(fs, Durability::Always).unwrap();
    for (names, rows) in [(&["a", "b"][..], 60), (&["a"], 20), (&["b"], 40)] {
        db.write(&batch(&db, names, rows)).unwrap();
        db.flush().unwrap();
    }
    db.close().unwrap();
    for path in files(fs, ".seg").split_off(1) {
        let bytes = fs.read_file(&path).unwrap();
        match damage {
            Damage::Gone => fs.remove(&path).unwrap(),
            Damage::Cut => fs.write_file(&path, &bytes[..bytes.len() / 2]).unwrap(),
            Damage::Index => {
                let at = bytes.windows(8).position(|word| word == b"__name__").unwrap();
                fs.flip(&path, at as u64, 1).unwrap();
            }
        }
    }
    // What is damaged is so on the disk, whatever a crash takes.
    fs.sync_dir(Path::new(DIR), SyncPoint::SegmentDirectory).unwrap();
    let db = open(fs, Durability::Always).unwrap();
    db.delete(&[Matcher::equal("__name__", "a")], TimeRange::new(0, 5000)).unwrap();
    merge(&db, TimeRange::ALL);
    db.write(&batch(&db, &["later"], 3)).unwrap();
    db
}

fn give_up(db: &Db) -> siltstone::Result<AcceptReport> {
    let options = AcceptOptions { give_up_unreadable: true };
    db.accept_losses(options, |_, _| ControlFlow::Continue(()))
}

/// What the store holds afterwards, and the operations of giving up: the first and the one behind the last.
fn whole(damage: Damage) -> (Vec<OracleSeries>, (u64, u64)) {
    let fs = SimFs::new();
    let db = damaged(&fs, damage);
    let first = fs.ops();
    let report = give_up(&db).unwrap();
    assert_eq!((report.given_up, report.findings.len()), (2, 0), "{damage:?}: {report:?}");
    let after = seen(&db);
    let count = |name: &str| {
        let found = after.iter().find(|(labels, _)| labels.get("__name__") == Some(name));
        found.map(|(_, samples)| samples.len())
    };
    // Layers of 20 and 40 rows: of which series, nobody knows.
    assert_eq!([count("a"), count("b"), count("later")], [Some(20), Some(20), Some(3)]);
    (after, (first, fs.ops()))
}

/// Goes on from a crash: the store opens, shows nothing that is not to be shown, and can give up what it still has.
/// How many segments the crash had left to be given up.
fn go_on(fs: &SimFs, after: &[OracleSeries]) -> Result<u64, String> {
    let fail = |e: siltstone::Error| e.to_string();
    let db = open(fs, Durability::Always).map_err(fail)?;
    let is_listed = |path: &Path| path.parent() == Some(Path::new(DIR));
    if let Some(finding) = db.open_report().findings.iter().find(|f| !is_listed(&f.path)) {
        return Err(format!("set aside: {finding}"));
    }
    if let Ok(read) = read_all(&db.snapshot().map_err(fail)?)
        && read != after
    {
        return Err("what is older shows, or what is certain does not".into());
    }
    let report = give_up(&db).map_err(fail)?;
    if !report.findings.is_empty() {
        return Err(format!("{report:?}"));
    }
    if seen(&db) != after {
        return Err("given up later, it holds something else".into());
    }
    db.close().map_err(fail)?;
    match held(fs, DIR)? {
        Some(found) if found == after => Ok(report.given_up),
        _ => Err("opened again, it holds something else".into()),
    }
}

#[test]
fn each_is_given_up_or_not_after_a_crash() {
    for damage in [Damage::Gone, Damage::Cut, Damage::Index] {
        let (after, (first, end)) = whole(damage);
        let (mut states, mut left) = (0, [0; 3]);
        for op in first..=end {
            let fs = SimFs::new();
            let db = damaged(&fs, damage);
            fs.crash_at(op);
            let is_done = give_up(&db).is_ok();
            let mut seen_disks = HashSet::new();
            for plan in CrashPlan::spread(op << 8, 20) {
                let survivor = fs.crash(plan);
                if !seen_disks.insert(digest(&survivor)) {
                    continue;
                }
                states += 1;
                let place = format!("{damage:?}, crash at {op}, {plan:?}, done: {is_done}");
                let given_up = go_on(&survivor, &after).unwrap_or_else(|e| panic!("{place}: {e}"));
                assert!(!is_done || given_up == 0, "{place}: acknowledged, and undone");
                left[given_up as usize] += 1;
            }
        }
        println!("{damage:?}: {states} states, {left:?} with none, one and two left");
        assert!(left.iter().all(|&states| states > 0), "{damage:?}: {left:?}");
    }
}

/// A failure leaves the segment listed and no file behind, and the next attempt succeeds.
#[test]
fn a_failure_changes_nothing() {
    for damage in [Damage::Gone, Damage::Index] {
        let (after, (first, end)) = whole(damage);
        for op in first..end {
            let fs = SimFs::new();
            let db = damaged(&fs, damage);
            fs.fail_op(op, std::io::ErrorKind::Other);
            let failed = give_up(&db).is_err();
            fs.heal();
            if failed && db.fault().is_some() {
                drop(db);
                go_on(&fs, &after).unwrap_or_else(|e| panic!("{damage:?}, {op}: {e}"));
                continue;
            }
            give_up(&db).unwrap_or_else(|e| panic!("{damage:?}, {op}: {e}"));
            assert_eq!(seen(&db), after, "{damage:?}, {op}");
            db.close().unwrap();
            let listed = siltstone::ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
            let own = files(&fs, ".seg").into_iter().filter(|f| f.parent() == Some(Path::new(DIR)));
            assert_eq!(own.count(), listed.segments().len(), "{damage:?}, {op}: nothing is left");
            drop(listed);
            assert_eq!(held(&fs, DIR).unwrap().as_ref(), Some(&after), "{damage:?}, {op}");
        }
    }
}

/// What the files say of themselves is enough: the masks are in the place of what was given up, which does not come back.
#[test]
fn a_manifest_made_again_hides_the_same() {
    for damage in [Damage::Gone, Damage::Cut, Damage::Index] {
        let fs = SimFs::new();
        let db = damaged(&fs, damage);
        give_up(&db).unwrap();
        let after = seen(&db);
        db.close().unwrap();
        let manifest = manifest(&fs);
        let bytes = fs.read_file(&manifest).unwrap();
        let removed = fs.fork();
        removed.remove(&manifest).unwrap();
        let flipped = frames(&bytes).into_iter().map(|at| {
            let harmed = fs.fork();
            harmed.flip(&manifest, at as u64 + 20, 4).unwrap();
            harmed
        });
        for (i, harmed) in flipped.chain([removed]).enumerate() {
            apply(&harmed).unwrap();
            holds(&harmed, &after, &format!("{damage:?}, {i}"));
        }
    }
}
