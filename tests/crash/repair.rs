//! A manifest that is damaged in every way, and the repair: the store opens again with what it held, nothing
//! deleted is back, and a crash at any operation of the repair only means that it is done again.

use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Error, Fate, Repair, RepairPlan, TimeRange, Verify};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::{self, Record, read_all};

use crate::enumerate::{digest, seeds};
use crate::findings::{batch, files, labels, open, simple_options};
use crate::manifest_tail::{Left, content, frames, left, manifest, stores, write};
use crate::workload::{DIR, Script};

const TICKS: u64 = 1000;

fn repair<T>(fs: &SimFs, act: impl FnOnce(Repair<'_>) -> T) -> T {
    let repair = Repair::new(Path::new(DIR)).options(simple_options(fs));
    act(repair.ticks_per_second(TICKS))
}

pub(crate) fn apply(fs: &SimFs) -> siltstone::Result<RepairPlan> {
    repair(fs, |repair| repair.apply())
}

fn current() -> PathBuf {
    Path::new(DIR).join("CURRENT")
}

/// What a closed, merged store with deletes has that the others have not.
pub(crate) fn richer() -> Vec<Left> {
    let merge = |db: &Db| merge(db, TimeRange::ALL);
    vec![
        left("deletes that wait", |_, db| {
            db.delete(&[siltstone::Matcher::equal("__name__", "a")], TimeRange::new(0, 1500))
                .unwrap();
            write(&db, "a");
            db.flush().unwrap();
            drop(db);
        }),
        left("deletes that were carried out", |_, db| {
            db.delete(&[siltstone::Matcher::equal("__name__", "a")], TimeRange::ALL).unwrap();
            merge(&db);
            db.tick().unwrap();
            write(&db, "c");
            db.flush().unwrap();
            db.close().unwrap();
        }),
        left("deletes in the log alone", |_, db| {
            write(&db, "c");
            db.delete(&[siltstone::Matcher::equal("__name__", "b")], TimeRange::ALL).unwrap();
            write(&db, "d");
            drop(db);
        }),
        left("merged twice, a reader in between", |_, db| {
            let reader = db.snapshot().unwrap();
            merge(&db);
            db.write(&batch(&db, &["a", "c"], 2)).unwrap();
            merge(&db);
            write(&db, "e");
            drop(db);
            drop(reader);
        }),
    ]
}

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

fn merge(db: &Db, range: TimeRange) {
    db.compact(range, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
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

fn copies() -> Vec<Left> {
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

type Harm = Box<dyn Fn(&SimFs)>;

/// Ways to harm the manifest of a store, with names.
fn harms(store: &Left) -> Vec<(String, Harm)> {
    let path = manifest(&store.fs);
    let bytes = store.fs.read_file(&path).unwrap();
    let mut harms: Vec<(String, Harm)> = Vec::new();
    let write_manifest = |bytes: Vec<u8>| -> Harm {
        let path = path.clone();
        Box::new(move |fs: &SimFs| fs.write_file(&path, &bytes).unwrap())
    };
    let remove_current: Harm = Box::new(|fs| fs.remove(&current()).unwrap());
    let zero_current: Harm = Box::new(|fs| fs.write_file(current(), &[0; 38]).unwrap());
    harms.push(("CURRENT removed".into(), remove_current));
    harms.push(("CURRENT zeroed".into(), zero_current));
    let starts = frames(&bytes);
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(bytes.len());
        for at in [start, start + 9, start + 20, start + 24, end - 9] {
            let mut bad = bytes.clone();
            bad[at] ^= 4;
            harms.push((format!("a bit of frame {i}, byte {at}"), write_manifest(bad)));
        }
        let mut zeroed = bytes.clone();
        zeroed[start..end].fill(0);
        harms.push((format!("frame {i} zeroed"), write_manifest(zeroed)));
        let mut both = bytes.clone();
        both[start..end].fill(0xff);
        let (write, path) = (write_manifest(both), current());
        harms.push((
            format!("frame {i} overwritten, CURRENT gone"),
            Box::new(move |fs| {
                write(fs);
                fs.remove(&path).unwrap();
            }),
        ));
        harms.push((format!("cut at frame {i}"), write_manifest(bytes[..start].to_vec())));
        // Without the snapshot, the edit behind it passes for one.
        if i > 0 {
            let spliced = [&bytes[..start], &bytes[end..]].concat();
            harms.push((format!("frame {i} taken out"), write_manifest(spliced)));
        }
    }
    let mut header = bytes.clone();
    header[17] ^= 1;
    harms.push(("a bit of the header".into(), write_manifest(header)));
    let mut header = bytes.clone();
    header[..56].fill(0);
    harms.push(("the header zeroed".into(), write_manifest(header)));
    harms.push(("all zeroed".into(), write_manifest(vec![0; bytes.len()])));
    let path = path.clone();
    harms.push(("the manifest removed".into(), Box::new(move |fs| fs.remove(&path).unwrap())));
    harms
}

/// Opens after the repair, twice, and holds it against what the store held.
pub(crate) fn holds(fs: &SimFs, held: &[OracleSeries], place: &str) {
    for _ in 0..2 {
        let db = open(fs, Durability::Always).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert!(db.open_report().findings.is_empty(), "{place}: {:?}", db.open_report());
        assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), held, "{place}");
        db.close().unwrap();
    }
    let mut findings = Vec::new();
    let verify = Verify::new(Path::new(DIR)).options(simple_options(fs));
    verify.on_finding(|finding| findings.push(finding.to_string())).run().unwrap();
    assert!(findings.is_empty(), "{place}: {findings:?}");
    assert!(!repair(fs, |repair| repair.plan()).unwrap().is_needed(), "{place}: still to do");
}

#[test]
fn a_store_opens_again_with_what_it_held() {
    let (mut needed, mut exact) = (0, 0);
    for store in stores().into_iter().chain(richer()).chain(copies()) {
        for (what, harm) in harms(&store) {
            let place = format!("{}, {what}", store.what);
            let fs = store.fs.fork();
            harm(&fs);
            let before = content(&fs);
            let plan =
                repair(&fs, |repair| repair.plan()).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(content(&fs), before, "{place}: a plan has changed something");
            assert_eq!(plan.is_needed(), open(&fs.fork(), Durability::Always).is_err(), "{place}");
            if !plan.is_needed() {
                continue;
            }
            needed += 1;
            exact += usize::from(plan.is_exact);
            if what.contains("bit of") {
                assert!(plan.is_exact, "{place}: {plan:?}");
            }
            assert_eq!(plan.lost_samples, 0, "{place}: {plan:?}");
            let done = apply(&fs).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert_eq!(format!("{done:?}"), format!("{plan:?}"), "{place}");
            let kept = |files: Vec<(PathBuf, Vec<u8>)>| {
                let mut bytes: Vec<_> = files.into_iter().map(|(_, bytes)| bytes).collect();
                bytes.retain(|bytes| bytes.len() > 56);
                bytes
            };
            let now = kept(content(&fs));
            let is_there = kept(before).iter().all(|bytes| now.contains(bytes));
            assert!(is_there, "{place}: a file is gone");
            holds(&fs, &store.held, &place);
        }
    }
    println!("{needed} damaged manifests repaired, {exact} of them exactly");
    assert!(needed > 300 && exact > 100, "{needed} {exact}");
}

/// The files of the store with this ending.
fn own_files(fs: &SimFs, ending: &str) -> Vec<PathBuf> {
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
fn stray_segment(fs: &SimFs) -> PathBuf {
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

#[test]
fn a_crash_or_fault_at_any_operation_of_a_repair_is_no_harm() {
    let mut states = 0;
    for store in richer().into_iter().chain(copies()) {
        let fs = store.fs.fork();
        fs.remove(&manifest(&fs)).unwrap();
        let fs = fs.crash(CrashPlan::ALL_KEPT);
        let whole = fs.fork();
        apply(&whole).unwrap();
        for op in fs.ops()..whole.ops() {
            let place = format!("{}, operation {op}", store.what);
            let crashed = fs.fork();
            crashed.crash_at(op);
            drop(apply(&crashed));
            let mut seen = std::collections::HashSet::new();
            for plan in CrashPlan::spread(op, 3) {
                let again = crashed.crash(plan);
                if seen.insert(digest(&again)) {
                    states += 1;
                    apply(&again).unwrap_or_else(|e| panic!("{place}, {plan:?}: {e}"));
                    holds(&again, &store.held, &format!("{place}, {plan:?}"));
                }
            }
            let failing = fs.fork();
            failing.fail_op(op, std::io::ErrorKind::Other);
            let _ = apply(&failing);
            apply(&failing).unwrap_or_else(|e| panic!("{place}, failed: {e}"));
            holds(&failing, &store.held, &format!("{place}, failed"));
        }
    }
    println!("{states} crash states of repairs");
    assert!(states > 100, "{states}");
}

/// After every crash of a workload the manifests are lost, or a frame of one: what was acknowledged is there.
#[test]
fn what_was_acknowledged_outlives_a_crash_and_the_manifest() {
    let mut states = 0;
    // With the second, a power cut brings back a log file behind which one is missing.
    for seed in [71, 76].into_iter().chain(77..76 + seeds()) {
        let script = Script { seed, steps: 40, durability: Durability::Always };
        let fs = SimFs::new();
        script.run(&fs);
        for op in 0..=fs.ops() {
            let fs = SimFs::new();
            fs.crash_at(op);
            let record = script.run(&fs);
            let mut seen = std::collections::HashSet::new();
            for plan in CrashPlan::spread(seed + op, 2) {
                let survivor = fs.crash(plan);
                if seen.insert(digest(&survivor)) {
                    states += lose_manifest(&survivor, &record, op)
                        .unwrap_or_else(|e| panic!("seed {seed}, crash at {op}, {plan:?}: {e}"));
                }
            }
        }
    }
    println!("{states} crash states repaired without their manifest");
    assert!(states > 500, "{states}");
}

fn lose_manifest(survivor: &SimFs, record: &Record, op: u64) -> Result<u64, String> {
    let manifests: Vec<PathBuf> = survivor
        .files()
        .into_iter()
        .filter(|path| path.parent() == Some(Path::new(DIR)))
        .filter(|path| path.to_string_lossy().contains("MANIFEST-"))
        .collect();
    let mut states = 0;
    for is_whole in [true, false] {
        let fs = survivor.fork();
        for path in &manifests {
            let bytes = fs.read_file(path).unwrap();
            let starts = frames(&bytes);
            match starts.get(op as usize % starts.len().max(1)) {
                Some(&start) if !is_whole => {
                    let mut bad = bytes.clone();
                    bad[start..bytes.len().min(start + 24)].fill(0x55);
                    fs.write_file(path, &bad).unwrap();
                }
                _ => fs.remove(path).unwrap(),
            }
        }
        match apply(&fs) {
            Ok(plan) if plan.is_needed() => {}
            // A torn end, which nothing shows to have been durable.
            Ok(_) => continue,
            Err(Error::NotAStore { .. } | Error::Io { .. })
                if record.promised(record::Fate::Durable) == 0 =>
            {
                continue;
            }
            Err(error) => return Err(format!("all of it {is_whole}: repair: {error}")),
        }
        states += 1;
        let db = open(&fs, Durability::Always).map_err(|e| format!("{is_whole}: open: {e}"))?;
        let found = read_all(&db.snapshot().unwrap()).map_err(|e| e.to_string())?;
        record
            .explain_prefix(&found, record::Fate::Durable)
            .map_err(|e| format!("all of it {is_whole}: {e}"))?;
    }
    Ok(states)
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
