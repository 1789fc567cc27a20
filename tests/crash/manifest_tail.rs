//! Damage at the end of the manifest of a store that has acknowledged what the last edit says: opening
//! refuses, changes nothing, and names the manifest. And a last frame that is really torn still opens.

use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Error, ReadOnlyDb, TimeRange, Verify};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::findings::{batch, counts, files, open, simple_options};
use crate::workload::DIR;

pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

pub(crate) fn content(fs: &SimFs) -> Files {
    fs.files().into_iter().map(|path| (path.clone(), fs.read_file(&path).unwrap())).collect()
}

pub(crate) fn manifest(fs: &SimFs) -> PathBuf {
    let mut found = fs.files();
    let is_ours = |path: &Path| {
        path.parent() == Some(Path::new(DIR)) && path.to_string_lossy().contains("MANIFEST-")
    };
    found.retain(|path| is_ours(path));
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// Where the frames of a manifest start.
pub(crate) fn frames(bytes: &[u8]) -> Vec<usize> {
    (56..bytes.len()).step_by(8).filter(|&at| bytes[at..].starts_with(b"EDIT")).collect()
}

pub(crate) fn write(db: &Db, name: &str) {
    assert!(db.write(&batch(db, &[name], 3)).unwrap().durable);
}

/// Two flushed generations.
fn flushed(fs: &SimFs) -> Db {
    let db = open(fs, Durability::Always).unwrap();
    for name in ["a", "b"] {
        write(&db, name);
        db.flush().unwrap();
    }
    db
}

/// A store that somebody has used and left, and what it holds.
pub(crate) struct Left {
    pub(crate) what: &'static str,
    pub(crate) fs: SimFs,
    pub(crate) held: Vec<OracleSeries>,
}

pub(crate) fn left(what: &'static str, leave: impl FnOnce(&SimFs, Db)) -> Left {
    let fs = SimFs::new();
    let db = flushed(&fs);
    leave(&fs, db);
    let fs = fs.crash(CrashPlan::ALL_LOST);
    let db = open(&fs.fork(), Durability::Always).unwrap();
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    assert!(db.open_report().findings.is_empty(), "{what}: {:?}", db.open_report());
    Left { what, fs, held }
}

pub(crate) fn stores() -> Vec<Left> {
    vec![
        left("closed", |_, db| db.close().unwrap()),
        left("closed after a last write", |_, db| {
            write(&db, "c");
            db.close().unwrap();
        }),
        left("killed after a flush", |_, db| drop(db)),
        left("killed after a flush and later writes", |_, db| {
            write(&db, "c");
            write(&db, "d");
            drop(db);
        }),
        left("killed after an attach", |fs, db| {
            let other = Db::open("/data/other", simple_options(fs)).unwrap();
            write(&other, "foreign");
            other.close().unwrap();
            // What is older is in a segment before the attach is listed.
            write(&db, "c");
            db.attach("/data/other").unwrap();
            drop(db);
        }),
        left("killed after a merge and a tick", |_, db| {
            db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            db.tick().unwrap();
            drop(db);
        }),
    ]
}

/// Opens a damaged copy in each way: the right answer, or a refusal that names the manifest and changes
/// nothing. Whether it was refused.
fn judge(store: &Left, damage: &str, harm: impl FnOnce(&mut Vec<u8>)) -> bool {
    let place = format!("{}, {damage}", store.what);
    let fs = store.fs.fork();
    let path = manifest(&fs);
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let mut bytes = fs.read_file(&path).unwrap();
    harm(&mut bytes);
    fs.write_file(&path, &bytes).unwrap();
    let before = content(&fs);
    let check = |error: &Error| {
        assert!(matches!(error, Error::Corrupt { .. }), "{place}: {error}");
        assert!(error.to_string().contains(&name), "{place}: {error}");
    };
    let mut findings = Vec::new();
    let verify = Verify::new(Path::new(DIR)).options(simple_options(&fs));
    verify.on_finding(|finding| findings.push(finding.to_string())).run().unwrap();
    let reader = ReadOnlyDb::open(DIR, simple_options(&fs));
    let read = reader.map(|reader| read_all(&reader.snapshot()).unwrap());
    assert_eq!(content(&fs), before, "{place}: who only reads has changed something");
    match (open(&fs, Durability::Always), read) {
        (Ok(db), Ok(read)) => {
            assert!(db.open_report().findings.is_empty(), "{place}: {:?}", db.open_report());
            assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), store.held, "{place}: owner");
            assert_eq!(read, store.held, "{place}: reader");
            false
        }
        (Err(owner), Err(reader)) => {
            check(&owner);
            check(&reader);
            assert!(findings.iter().any(|f| f.contains(&name)), "{place}: verify: {findings:?}");
            assert_eq!(content(&fs), before, "{place}: opening has changed something");
            true
        }
        (owner, reader) => panic!(
            "{place}: the owner says {:?}, a reader {:?}",
            owner.map(|_| ()),
            reader.map(|_| ())
        ),
    }
}

#[test]
fn damage_of_the_last_frame_is_refused_and_changes_nothing() {
    for store in stores() {
        let bytes = store.fs.read_file(manifest(&store.fs)).unwrap();
        let last = *frames(&bytes).last().unwrap();
        let flip = |bytes: &mut Vec<u8>| bytes[last + 30] ^= 1;
        assert!(judge(&store, "a bit of the last frame", flip), "{}: opened", store.what);
        let zero = |bytes: &mut Vec<u8>| bytes[last..].fill(0);
        assert!(judge(&store, "the last frame zeroed", zero), "{}: opened", store.what);
        let half = |bytes: &mut Vec<u8>| bytes.truncate(last + 16);
        assert!(judge(&store, "the last frame cut", half), "{}: opened", store.what);
    }
}

#[test]
fn no_flipped_byte_of_the_manifest_shows_an_older_state() {
    for store in stores() {
        let len = store.fs.read_file(manifest(&store.fs)).unwrap().len();
        for at in 0..len {
            let refused = judge(&store, &format!("byte {at}"), |bytes| bytes[at] ^= 1 << (at % 8));
            assert!(refused, "{}: nobody named it for byte {at}", store.what);
        }
    }
}

/// Of a store that the log speaks for, an end that is missing at the boundary of a frame is missed too.
#[test]
fn a_manifest_without_its_last_frames_is_refused() {
    for store in stores() {
        if store.what == "killed after a flush" {
            continue; // Below: nothing was written since.
        }
        let bytes = store.fs.read_file(manifest(&store.fs)).unwrap();
        for at in frames(&bytes).into_iter().skip(1) {
            let refused = judge(&store, &format!("cut to {at}"), |bytes| bytes.truncate(at));
            assert!(refused, "{}: opened when cut to {at}", store.what);
        }
    }
}

/// What else speaks for an edit that the log does not name yet: the log file that a flush has removed, beside
/// the segment with its rows; the inputs that a merge has removed.
#[test]
fn what_an_edit_removed_proves_it() {
    let flush = left("killed after a flush", |_, db| drop(db));
    let bytes = flush.fs.read_file(manifest(&flush.fs)).unwrap();
    let last = *frames(&bytes).last().unwrap();
    assert!(
        judge(&flush, "without its last edit", |bytes| bytes.truncate(last)),
        "a flush: opened"
    );
    // The death of the process alone: after a power cut the inputs are back, and needed.
    let fs = SimFs::new();
    let db = flushed(&fs);
    let held = read_all(&db.snapshot().unwrap()).unwrap();
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    drop(db);
    let merge = Left { what: "killed after a merge", fs, held };
    let bytes = merge.fs.read_file(manifest(&merge.fs)).unwrap();
    let last = *frames(&bytes).last().unwrap();
    assert!(judge(&merge, "the last edit torn", |bytes| bytes[last..].fill(0)), "a merge: opened");
}

/// Before an attach is acknowledged, the log says durably that its edit is durable: without that sync a
/// power cut takes the proof.
#[test]
fn the_proof_of_an_attach_needs_its_sync() {
    for is_synced in [true, false] {
        let fs = SimFs::new();
        let other = Db::open("/data/other", simple_options(&fs)).unwrap();
        write(&other, "foreign");
        other.close().unwrap();
        let db = flushed(&fs);
        if !is_synced {
            fs.ignore_sync(SyncPoint::WalFrames);
        }
        db.attach("/data/other").unwrap();
        let fs = fs.crash(CrashPlan::ALL_LOST);
        let path = manifest(&fs);
        let mut bytes = fs.read_file(&path).unwrap();
        let last = *frames(&bytes).last().unwrap();
        bytes[last..].fill(0);
        fs.write_file(&path, &bytes).unwrap();
        let opened = open(&fs, Durability::Always);
        assert_eq!(opened.is_err(), is_synced, "synced: {is_synced}");
    }
}

/// Whatever a crash leaves of the edit under way, the store opens with all that was acknowledged.
#[test]
fn a_torn_last_frame_still_opens() {
    let mut torn = 0;
    for (script, later) in [("flush", false), ("flush with a later write", true)] {
        let fs = SimFs::new();
        let db = flushed(&fs);
        write(&db, "c");
        if later {
            db.tick().unwrap();
        }
        fs.ignore_sync(SyncPoint::ManifestEdit);
        let first = fs.ops();
        let whole = fs.fork();
        drop(db);
        let db = open(&whole, Durability::Always);
        drop(db);
        for op in first..whole.ops() {
            let cut = fs.fork();
            cut.crash_at(op);
            let _ = open(&cut, Durability::Always);
            for plan in CrashPlan::spread(op, 6) {
                let found = cut.crash(plan);
                let db = open(&found, Durability::Always);
                let db = db.unwrap_or_else(|e| panic!("{script}, op {op}, {plan:?}: {e}"));
                assert_eq!(counts(&db).len(), 3, "{script}, op {op}, {plan:?}");
                torn += 1;
            }
        }
    }
    assert!(torn > 100, "{torn}");
}

/// A segment of this store that no manifest lists, and whose batches no log has, although none is missing:
/// what recovery makes of a log that was never synced. Its name.
fn with_unpromised(fs: &SimFs, later: impl FnOnce(Db)) -> String {
    let db = flushed(fs);
    let branch = fs.fork();
    drop(db);
    let before = files(&branch, ".seg");
    let db = open(&branch, Durability::Always).unwrap();
    write(&db, "unpromised");
    db.flush().unwrap();
    drop(db);
    let new = files(&branch, ".seg").into_iter().find(|path| !before.contains(path)).unwrap();
    later(open(fs, Durability::Always).unwrap());
    fs.write_file(&new, &branch.read_file(&new).unwrap()).unwrap();
    new.file_name().unwrap().to_string_lossy().into_owned()
}

/// The output of a merge of segments that the store has lost. Its name.
fn with_unexplained(fs: &SimFs) -> String {
    let db = flushed(fs);
    let branch = fs.fork();
    drop(db);
    let before = files(&branch, ".seg");
    let db = open(&branch, Durability::Always).unwrap();
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    drop(db);
    let new = files(&branch, ".seg").into_iter().find(|path| !before.contains(path)).unwrap();
    fs.remove(&before[0]).unwrap();
    fs.write_file(&new, &branch.read_file(&new).unwrap()).unwrap();
    new.file_name().unwrap().to_string_lossy().into_owned()
}

/// Opens the store again and again on a disk of which the segment takes more than a hundredth: it stays,
/// with that many findings that name it, or warnings.
fn stays(fs: &SimFs, name: &str, expected: (usize, usize)) {
    let kept = PathBuf::from(DIR).join("quarantine").join(name);
    let bytes = fs.read_file(PathBuf::from(DIR).join(name)).unwrap();
    let count = |found: &[siltstone::Finding]| {
        found.iter().filter(|finding| finding.to_string().contains(name)).count()
    };
    for opening in 0..4 {
        fs.set_capacity(20 * bytes.len() as u64 + 50_000);
        let db = open(fs, Durability::Always).unwrap();
        let report = db.open_report();
        let found = (count(&report.findings), count(&report.warnings));
        assert_eq!(found, expected, "opening {opening}: {report:?}");
        drop(db);
        assert_eq!(fs.read_file(&kept).unwrap(), bytes, "opening {opening}: it is gone");
        let reader = ReadOnlyDb::open(DIR, simple_options(fs)).unwrap();
        let report = reader.open_report();
        assert_eq!((count(&report.findings), count(&report.warnings)), expected, "{report:?}");
        let (mut findings, mut warnings) = (0, 0);
        let verify = Verify::new(Path::new(DIR)).options(simple_options(fs));
        let verify = verify.on_finding(|f| findings += usize::from(f.to_string().contains(name)));
        verify.on_warning(|w| warnings += usize::from(w.to_string().contains(name))).run().unwrap();
        assert_eq!((findings, warnings), expected, "verify after opening {opening}");
    }
    // Who has looked at it removes it.
    fs.remove(&kept).unwrap();
    let db = open(fs, Durability::Always).unwrap();
    assert_eq!(count(&db.open_report().findings) + count(&db.open_report().warnings), 0);
}

#[test]
fn a_segment_that_nothing_explains_stays_and_is_a_finding() {
    let fs = SimFs::new();
    let name = with_unexplained(&fs);
    stays(&fs, &name, (1, 0));
    let fs = SimFs::new();
    drop(flushed(&fs));
    fs.write_file(PathBuf::from(DIR).join("000077.seg"), &[7; 999]).unwrap();
    stays(&fs, "000077.seg", (1, 0));
}

#[test]
fn a_segment_that_nobody_was_promised_stays_and_is_a_warning() {
    let fs = SimFs::new();
    let name = with_unpromised(&fs, drop);
    stays(&fs, &name, (0, 1));
}

/// A log that has lost something does not say what was promised.
#[test]
fn a_segment_that_a_damaged_log_may_have_had_is_a_finding() {
    for (what, harm) in [("its first batch", 296..300), ("its header", 0..256)] {
        let fs = SimFs::new();
        let name = with_unpromised(&fs, |db| {
            write(&db, "x");
            write(&db, "y");
        });
        let log = files(&fs, ".wal").pop().unwrap();
        let mut bytes = fs.read_file(&log).unwrap();
        bytes[harm].fill(0x55);
        fs.write_file(&log, &bytes).unwrap();
        let db = open(&fs, Durability::Always).unwrap();
        let report = db.open_report();
        assert!(report.warnings.is_empty(), "{what}: {report:?}");
        let names_it = report.findings.iter().any(|finding| finding.to_string().contains(&name));
        assert!(names_it && report.findings.len() == 2, "{what}: {report:?}");
    }
}

/// The segment of a flush that failed, and came back: its batches are in another by now.
#[test]
fn a_segment_whose_batches_are_in_another_is_no_finding() {
    let fs = SimFs::new();
    let db = flushed(&fs);
    write(&db, "c");
    let branch = fs.fork();
    fs.fail_sync(SyncPoint::SegmentData, 0, std::io::ErrorKind::Other);
    db.flush().unwrap_err();
    db.flush().unwrap();
    let twin = open(&branch, Durability::Always).unwrap();
    twin.flush().unwrap();
    drop((db, twin));
    let listed = files(&fs, ".seg");
    let failed = files(&branch, ".seg").into_iter().find(|path| !listed.contains(path)).unwrap();
    fs.write_file(&failed, &branch.read_file(&failed).unwrap()).unwrap();
    let db = open(&fs, Durability::Always).unwrap();
    let report = db.open_report();
    assert_eq!((report.findings.len(), report.warnings.len()), (0, 0), "{report:?}");
    assert_eq!(counts(&db).len(), 3);
}
