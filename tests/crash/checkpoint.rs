//! Checkpoints: whole or not there, whatever happens while one is made, and apart from their store.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use siltstone::sys::{CrashPlan, OpKind, SimClock, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Error, Matcher, ReadOnlyDb, TimeRange};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::enumerate::digest;
use crate::findings::{batch, open, simple_options};
use crate::workload::{DIR, options};

const COPY: &str = "/data/metrics/copy";

/// A store with two segments, a delete, and rows that are in memory alone.
pub(crate) fn filled(fs: &SimFs) -> Db {
    let db = open(fs, Durability::Always).unwrap();
    for (name, rows) in [("flushed", 50), ("twice", 70)] {
        db.write(&batch(&db, &[name], rows)).unwrap();
        db.flush().unwrap();
    }
    db.delete(&[Matcher::equal("__name__", "flushed")], TimeRange::new(0, 10_000)).unwrap();
    db.write(&batch(&db, &["twice", "unflushed"], 90)).unwrap();
    db
}

pub(crate) fn seen(db: &Db) -> Vec<OracleSeries> {
    read_all(&db.snapshot().unwrap()).unwrap()
}

/// What the store in `dir` holds, if there is one; it must be sound.
pub(crate) fn held(fs: &SimFs, dir: &str) -> Result<Option<Vec<OracleSeries>>, String> {
    if fs.read_file(Path::new(dir).join("CURRENT")).is_err() {
        return Ok(None);
    }
    let clock = Arc::new(SimClock::new(0));
    let of = |e: Error| e.to_string();
    let mut findings = Vec::new();
    let options = || options(fs, &clock, Durability::Always);
    let check = siltstone::Verify::new(Path::new(dir)).options(options());
    check.on_finding(|f| findings.push(f.to_string())).run().map_err(of)?;
    let reader = ReadOnlyDb::open(dir, options()).map_err(of)?;
    findings.extend(reader.open_report().findings.iter().map(ToString::to_string));
    let read = read_all(&reader.snapshot()).map_err(of)?;
    let db = Db::open(dir, options()).map_err(of)?;
    findings.extend(db.open_report().findings.iter().map(ToString::to_string));
    if !findings.is_empty() {
        return Err(format!("findings: {findings:?}"));
    }
    if seen(&db) != read { Err("readers disagree".into()) } else { Ok(Some(read)) }
}

#[test]
fn a_checkpoint_holds_everything_and_no_later_write_reaches_it() {
    let fs = SimFs::new();
    let db = filled(&fs);
    let expected = seen(&db);
    let report = db.checkpoint(COPY).unwrap();
    assert_eq!((report.segments, report.seq), (3, 4));
    let files = |dir: &str, ending: &str| -> Vec<PathBuf> {
        let names = fs.list(Path::new(dir)).unwrap().into_iter().map(|e| PathBuf::from(e.name));
        names.filter(|name| name.extension() == Some(ending.as_ref())).collect()
    };
    assert_eq!(files(DIR, "seg"), files(COPY, "seg"));
    assert_eq!((files(DIR, "tomb"), files(COPY, "tomb").len()), (files(COPY, "tomb"), 1));
    let len = |name: &PathBuf| fs.file_len(&Path::new(COPY).join(name)).unwrap();
    assert_eq!(report.bytes_linked, files(COPY, "seg").iter().map(len).sum::<u64>());
    // No byte of a segment was written: not even room for one was taken.
    let appended = |op: &siltstone::sys::Op| {
        matches!(op.kind, OpKind::Append { .. })
            && op.path.starts_with(COPY)
            && op.path.to_string_lossy().contains(".seg")
    };
    assert!(!fs.trace().iter().any(appended));
    db.write(&batch(&db, &["later"], 10)).unwrap();
    db.flush().unwrap();
    assert_eq!(held(&fs.crash(CrashPlan::ALL_LOST), COPY).unwrap(), Some(expected));
}

/// The copy is a store like another: it takes writes, which the first never sees.
#[test]
fn a_copy_goes_its_own_way() {
    let fs = SimFs::new();
    let db = filled(&fs);
    db.checkpoint(COPY).unwrap();
    let copy = Db::open(COPY, simple_options(&fs)).unwrap();
    let expected = seen(&db);
    assert_eq!(seen(&copy), expected);
    assert_eq!(copy.stats().last_seq, db.stats().last_seq, "seqs go on");
    copy.write(&batch(&copy, &["of the copy"], 5)).unwrap();
    copy.close().unwrap();
    assert_eq!(seen(&db), expected);
    assert_eq!(held(&fs.fork(), COPY).unwrap().unwrap().len(), expected.len() + 1);
    // A checkpoint of an empty store, and one of a checkpoint.
    let again = Db::open(COPY, simple_options(&fs)).unwrap();
    again.checkpoint("/data/third").unwrap();
    assert_eq!(held(&fs.fork(), "/data/third").unwrap().unwrap().len(), expected.len() + 1);
    let empty = Db::open("/data/empty", simple_options(&fs)).unwrap();
    assert_eq!(empty.checkpoint("/data/nothing").unwrap().segments, 0);
    assert_eq!(held(&fs.fork(), "/data/nothing").unwrap(), Some(Vec::new()));
}

/// The newest log file of the store in `dir`.
fn newest_log(fs: &SimFs, dir: &str) -> PathBuf {
    let mut found = fs.files();
    found.retain(|path| path.parent() == Some(Path::new(dir)));
    found.retain(|path| path.extension() == Some("wal".as_ref()));
    found.into_iter().max().unwrap()
}

/// A store and its copy, of which the one in `from` has gone on until its log file has a number that the one in
/// `to` has not given out, with writes to that file alone; and what the one in `to` holds.
fn apart(fs: &SimFs, from: &str, to: &str) -> (SimFs, Vec<OracleSeries>) {
    let db = filled(fs);
    db.checkpoint(COPY).unwrap();
    let copy = Db::open(COPY, simple_options(fs)).unwrap();
    let (ahead, behind) = if from == COPY { (&copy, &db) } else { (&db, &copy) };
    behind.write(&batch(behind, &["own"], 4)).unwrap();
    let number = |dir| newest_log(fs, dir).file_name().unwrap().to_owned();
    while number(from) <= number(to) || ahead.stats().last_seq <= behind.stats().last_seq {
        ahead.write(&batch(ahead, &["elsewhere"], 3)).unwrap();
        ahead.flush().unwrap();
    }
    ahead.write(&batch(ahead, &["foreign"], 5)).unwrap();
    let held = seen(behind);
    drop((db, copy));
    (fs.crash(CrashPlan::ALL_LOST), held)
}

/// It was replayed without a word while a copy had the uuid of its store.
#[test]
fn a_log_file_of_a_copy_is_of_another_store_to_the_first_and_the_reverse() {
    for (from, to) in [(COPY, DIR), (DIR, COPY)] {
        let (fs, held) = apart(&SimFs::new(), from, to);
        let stray = newest_log(&fs, from);
        let path = Path::new(to).join(stray.file_name().unwrap());
        assert!(!fs.files().contains(&path), "{path:?} is a log file of its own");
        fs.write_file(&path, &fs.read_file(&stray).unwrap()).unwrap();
        let is_named = |findings: &[siltstone::Finding]| {
            assert!(findings.len() == 1 && findings[0].path == path, "{to}: {findings:?}");
            assert!(findings[0].message.contains("store"), "{to}: {findings:?}");
        };
        let reader = ReadOnlyDb::open(to, simple_options(&fs)).unwrap();
        is_named(&reader.open_report().findings);
        assert_eq!(read_all(&reader.snapshot()).unwrap(), held, "{to}");
        let (mut found, dir) = (Vec::new(), Path::new(to));
        let verify = siltstone::Verify::new(dir).options(simple_options(&fs));
        let report = verify.on_finding(|f| found.push(f.to_string())).run().unwrap();
        assert!(report.findings == 1 && found[0].contains(path.to_str().unwrap()), "{found:?}");
        let db = Db::open(to, simple_options(&fs)).unwrap();
        is_named(&db.open_report().findings);
        assert_eq!(seen(&db), held, "{to}");
        db.close().unwrap();
        // What it was is kept, and nothing of it comes in later.
        assert!(fs.files().contains(&dir.join("quarantine").join(path.file_name().unwrap())));
        assert_eq!(self::held(&fs, to).unwrap(), Some(held), "{to}");
    }
}

/// Not even if the store is through with the log files of that number: those it removes when it is opened.
#[test]
fn a_log_file_of_a_copy_with_an_old_number_is_named_and_kept() {
    let (fs, _) = apart(&SimFs::new(), COPY, DIR);
    let stray = newest_log(&fs, COPY);
    let path = Path::new(DIR).join(stray.file_name().unwrap());
    let db = open(&fs, Durability::Always).unwrap();
    while newest_log(&fs, DIR) <= path {
        db.write(&batch(&db, &["own"], 4)).unwrap();
        db.flush().unwrap();
    }
    let held = seen(&db);
    db.close().unwrap();
    fs.write_file(&path, &fs.read_file(&stray).unwrap()).unwrap();
    let db = open(&fs, Durability::Always).unwrap();
    let findings = &db.open_report().findings;
    assert!(findings.len() == 1 && findings[0].path == path, "{findings:?}");
    assert_eq!(seen(&db), held);
    db.close().unwrap();
    assert!(
        fs.files().contains(&Path::new(DIR).join("quarantine").join(path.file_name().unwrap()))
    );
    assert_eq!(self::held(&fs, DIR).unwrap(), Some(held));
}

/// Over a log file of the store: what that alone held is lost, which is said, and nothing comes in its place.
#[test]
fn a_log_file_of_a_copy_over_that_of_its_store_is_not_replayed() {
    let fs = SimFs::new();
    filled(&fs).checkpoint(COPY).unwrap();
    let log = |dir| newest_log(&fs, dir).file_name().unwrap().to_owned();
    // Each opening begins the next log file.
    while log(DIR) != log(COPY) {
        let behind = if log(DIR) < log(COPY) { DIR } else { COPY };
        Db::open(behind, simple_options(&fs)).unwrap().close().unwrap();
    }
    let write = |dir: &str, name: &str, batches: u64| {
        let db = Db::open(dir, simple_options(&fs)).unwrap();
        let held = seen(&db);
        (0..batches).for_each(|_| assert!(db.write(&batch(&db, &[name], 3)).unwrap().durable));
        held
    };
    let held = write(DIR, "own", 1);
    write(COPY, "foreign", 2);
    assert_eq!(log(DIR), log(COPY));
    let path = newest_log(&fs, DIR);
    fs.write_file(&path, &fs.read_file(newest_log(&fs, COPY)).unwrap()).unwrap();
    let db = open(&fs, Durability::Always).unwrap();
    let findings = &db.open_report().findings;
    assert!(findings.len() == 1 && findings[0].path == path, "{findings:?}");
    assert_eq!(seen(&db), held);
}

#[test]
fn a_place_that_is_taken_is_refused_and_left_alone() {
    let fs = SimFs::new();
    let db = filled(&fs);
    fs.create_dir(Path::new("/data/empty")).unwrap();
    fs.create_dir(Path::new("/data/full")).unwrap();
    fs.write_file("/data/full/000001.seg", b"of someone else").unwrap();
    fs.write_file("/data/file", b"a file").unwrap();
    let before = fs.files();
    let inside = format!("{DIR}/quarantine");
    let temporary = format!("{DIR}/backup.tmp");
    for taken in ["/data/empty", "/data/full", "/data/file", DIR, "/", &inside, &temporary] {
        let refused = db.checkpoint(taken).unwrap_err();
        assert!(matches!(refused, Error::InvalidArgument(_)), "{taken}: {refused}");
    }
    let missing = db.checkpoint("/data/no/parent").unwrap_err();
    assert!(matches!(missing, Error::Io { .. }), "{missing}");
    assert_eq!(fs.files(), before);
    assert_eq!(db.stats().segments, 2, "nothing was even flushed");
    db.checkpoint(Path::new(DIR).join("monday")).unwrap();
    db.close().unwrap();
    assert!(matches!(db.checkpoint(COPY), Err(Error::Closed)));
}

/// The operations of a checkpoint: the first and the one behind the last.
fn span_of_checkpoint() -> (u64, u64) {
    let fs = SimFs::new();
    let db = filled(&fs);
    let first = fs.ops();
    db.checkpoint(COPY).unwrap();
    (first, fs.ops())
}

#[test]
fn whatever_fails_nothing_is_left_and_the_store_goes_on() {
    let (first, end) = span_of_checkpoint();
    let mut failures = 0;
    for op in first..end {
        for kind in [ErrorKind::StorageFull, ErrorKind::CrossesDevices, ErrorKind::Other] {
            let fs = SimFs::new();
            let db = filled(&fs);
            let expected = seen(&db);
            fs.fail_op(op, kind);
            let made = db.checkpoint(COPY);
            let place = format!("{kind:?} of {:?}", fs.trace().iter().find(|o| o.number == op));
            if let Err(error) = made {
                failures += 1;
                assert!(!fs.files().iter().any(|path| path.starts_with(COPY)), "{place}");
                assert_eq!(fs.list(Path::new(COPY)).unwrap_err().kind(), ErrorKind::NotFound);
                if matches!(fs.trace()[op as usize].kind, OpKind::HardLink { .. })
                    && kind == ErrorKind::CrossesDevices
                {
                    assert!(error.to_string().contains("another file system"), "{error}");
                }
                db.checkpoint(COPY).unwrap_or_else(|e| panic!("{place}, then {e}"));
            }
            assert_eq!(seen(&db), expected, "{place}");
            let copy = held(&fs.crash(CrashPlan::ALL_LOST), COPY);
            assert_eq!(copy.unwrap_or_else(|e| panic!("{place}: {e}")), Some(expected), "{place}");
        }
    }
    assert!(failures > 30, "{failures} of {first}..{end}");
}

/// A crash at every operation: the checkpoint is whole or no store, and the store has all it had.
fn crash_everywhere(ignored: Option<SyncPoint>) -> Result<u64, String> {
    let (first, end) = span_of_checkpoint();
    let mut states = 0;
    for op in first..=end {
        let fs = SimFs::new();
        let db = filled(&fs);
        let expected = seen(&db);
        ignored.into_iter().for_each(|point| fs.ignore_sync(point));
        fs.crash_at(op);
        let made = db.checkpoint(COPY).is_ok();
        let mut seen_disks = HashSet::new();
        for plan in CrashPlan::spread(op << 8, 40) {
            let survivor = fs.crash(plan);
            let place = |e| format!("crash at {op}, {plan:?}, acknowledged: {made}: {e}");
            states += 1;
            if !seen_disks.insert(digest(&survivor)) {
                continue;
            }
            if held(&survivor, DIR).map_err(place)?.as_ref() != Some(&expected) {
                return Err(place("the store changed".into()));
            }
            match held(&survivor, COPY).map_err(place)? {
                Some(copy) if copy == expected => {}
                None if !made => {}
                Some(_) => return Err(place("the checkpoint is not the store".into())),
                None => return Err(place("the checkpoint is gone".into())),
            }
        }
    }
    Ok(states)
}

#[test]
fn a_checkpoint_is_whole_or_no_store_after_a_crash() {
    assert!(crash_everywhere(None).unwrap() > 3000);
}

/// Each sync of a checkpoint is there for a reason. The log's are not: what ends behind them is
/// covered by those of the manifest, and an empty log that is torn holds nothing.
#[test]
fn a_checkpoint_needs_its_syncs() {
    for point in [
        SyncPoint::StoreDirectory,
        SyncPoint::ManifestFile,
        SyncPoint::ManifestDirectory,
        SyncPoint::CurrentData,
        SyncPoint::CurrentDirectory,
    ] {
        let broken = crash_everywhere(Some(point));
        println!("without {point:?}: {}", broken.as_ref().err().map_or("", String::as_str));
        assert!(broken.is_err(), "{point:?} is of no use");
    }
}
