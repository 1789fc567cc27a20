//! What an attach brings and where it stands among other writes, what may happen while one is under
//! way, and what is refused.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::db::attach::{AttachOptions, INPUTS_MAX, open_foreign};
use crate::db::{AcceptOptions, Background, Db, Options, Verify, WriteBatch};
use crate::read::QueryOptions;
use crate::sys::{SimClock, SimFs, SyncPoint, Vfs};
use crate::types::{Labels, Matcher, TimeRange};

const OWN: &str = "/own";
const OTHER: &str = "/other";

fn options(fs: &SimFs) -> Options {
    Options {
        background: Background::Manual,
        query_threads: 0,
        vfs: Arc::new(fs.clone()),
        clock: Arc::new(SimClock::new(1_700_000_000_000)),
        ..Options::default()
    }
}

fn open(fs: &SimFs, dir: &str) -> Db {
    let db = Db::open(dir, options(fs)).unwrap();
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
    db
}

/// Writes `value` at each of `times`.
fn write(db: &Db, name: &str, times: &[i64], value: u32) -> u64 {
    let series = db.series(&Labels::from_pairs([("__name__", name)]).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    times.iter().for_each(|&t| batch.push(series, t, f64::from(value)).unwrap());
    db.write(&batch).unwrap().seq
}

fn delete(db: &Db, name: &str, range: TimeRange) -> u64 {
    db.delete(&[Matcher::equal("__name__", name)], range).unwrap().seq
}

/// The samples of a series.
fn read(db: &Db, name: &str) -> Vec<(i64, f64)> {
    let snapshot = db.snapshot().unwrap();
    let matchers = [Matcher::equal("__name__", name)];
    let found = snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default()).unwrap();
    found.flat_map(|series| series.unwrap().columns.iter().collect::<Vec<_>>()).collect()
}

/// The files of the store in `dir`, without those of its log and manifest.
fn segment_files(fs: &SimFs, dir: &str) -> Vec<PathBuf> {
    let mut files = fs.files();
    files.retain(|path| path.starts_with(dir) && path.to_string_lossy().contains(".seg"));
    files
}

fn check_verifies(fs: &SimFs, dir: &str) {
    let mut findings = Vec::new();
    let check = Verify::new(Path::new(dir)).options(options(fs));
    check.on_finding(|finding| findings.push(finding.to_string())).run().unwrap();
    assert_eq!(findings, [""; 0]);
}

/// Another store with one series: what its last write says at `times`, in one segment.
fn other(fs: &SimFs, name: &str, times: &[i64], value: u32) {
    let db = open(fs, OTHER);
    write(&db, name, times, value);
    db.close().unwrap();
}

/// Takes the seq of an attach, does `meanwhile`, and goes on with it.
fn attach_around(db: &Db, meanwhile: impl FnOnce(u64)) -> Result<AttachReport> {
    let compactor = db.compactor();
    let foreign = open_foreign(compactor, Path::new(OTHER), AttachOptions::default()).unwrap();
    compactor.begin_attach(&mut compactor.lock_runner(), foreign).unwrap();
    let seq = compactor.lock_runner().attaching.as_ref().unwrap().report.seq;
    meanwhile(seq);
    loop {
        let runner = &mut *compactor.lock_runner();
        let step = compactor.attach_step(runner).inspect_err(|_| compactor.end_attach(runner));
        if let Some(report) = step? {
            return Ok(report);
        }
    }
}

/// What was written before is replaced and what is written later replaces, wherever either is.
#[test]
fn it_is_one_write_that_happens_now() {
    for flushes in 0..8 {
        let fs = SimFs::new();
        other(&fs, "m", &[1, 2, 3, 4], 20);
        let db = open(&fs, OWN);
        let flush = |bit: u32| (flushes >> bit & 1 == 1).then(|| db.flush().unwrap());
        let older = write(&db, "m", &[0, 1, 2], 10);
        flush(0);
        let snapshot_before = db.snapshot().unwrap();
        let report = db.attach(OTHER).unwrap();
        assert_eq!((report.samples, report.segments_in, report.segments_out), (4, 1, 1));
        assert!(report.seq > older && db.durable_seq() >= report.seq);
        db.wait_durable(report.seq).unwrap();
        flush(1);
        assert!(write(&db, "m", &[2, 3, 5], 30) > report.seq);
        flush(2);
        let expected = [(0, 10.0), (1, 20.0), (2, 30.0), (3, 30.0), (4, 20.0), (5, 30.0)];
        assert_eq!(read(&db, "m"), expected, "{flushes}");
        let options = QueryOptions::default();
        let seen = snapshot_before.select(&[], TimeRange::ALL, &options).unwrap();
        assert_eq!(seen.map(|series| series.unwrap().columns.len()).sum::<usize>(), 3);
        // Found again in the log behind a seq that no frame has, then merged.
        drop(db);
        let db = open(&fs, OWN);
        assert_eq!(read(&db, "m"), expected, "{flushes}, reopened");
        db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!(read(&db, "m"), expected, "{flushes}, merged");
        assert_eq!(db.stats().segments, 1);
        db.close().unwrap();
        check_verifies(&fs, OWN);
    }
}

/// Its own overwrites and deletes count in the other store's order, and mean nothing beyond it.
#[test]
fn the_other_store_has_the_last_word_on_what_it_holds() {
    let fs = SimFs::new();
    let from = open(&fs, OTHER);
    let day = 86_400_000;
    write(&from, "m", &[1, 2, 3, 5 * day], 1);
    from.flush().unwrap();
    write(&from, "m", &[2, 3, 4], 2);
    from.flush().unwrap();
    delete(&from, "m", TimeRange::new(3, 4));
    write(&from, "n", &[3, 9 * day], 3);
    from.close().unwrap();
    let expected = read(&open(&fs, OTHER), "m");
    assert_eq!(expected, [(1, 1.0), (2, 2.0), (4, 2.0), (5 * day, 1.0)]);
    let db = open(&fs, OWN);
    write(&db, "m", &[3], 7);
    let untouched = fs.fork();
    let report = db.attach(OTHER).unwrap();
    assert_eq!((report.segments_in, report.samples), (3, 6));
    assert_eq!((report.superseded, report.deleted), (1, 2));
    // The other store's delete is none of this one: what was written here stays.
    let mut all = expected.clone();
    all.insert(2, (3, 7.0));
    assert_eq!(read(&db, "m"), all);
    assert_eq!(read(&db, "n"), [(3, 3.0), (9 * day, 3.0)]);
    for meta in
        db.compactor().view.current().version.segments().iter().filter(|m| m.min_seq == report.seq)
    {
        assert_eq!((meta.max_seq, meta.tombstone_seq), (report.seq, 0));
        assert!(meta.level > 0, "cut by window already: no debt");
    }
    // An attached sample is deleted like one that was written.
    delete(&db, "m", TimeRange::ALL);
    assert_eq!(read(&db, "m"), []);
    db.close().unwrap();
    let db = open(&fs, OWN);
    assert_eq!((read(&db, "m").len(), read(&db, "n").len()), (0, 2));
    for path in untouched.files().iter().filter(|path| path.starts_with(OTHER)) {
        assert_eq!(fs.read_file(path).unwrap(), untouched.read_file(path).unwrap());
    }
}

/// A delete that is newer than the attach and applied to nothing listed was settled before the
/// attached samples were listed.
#[test]
fn a_delete_made_meanwhile_holds() {
    for older_rows in [false, true] {
        let fs = SimFs::new();
        other(&fs, "m", &[1, 2, 3], 1);
        let db = open(&fs, OWN);
        if older_rows {
            write(&db, "m", &[2], 5);
        }
        let report = attach_around(&db, |seq| {
            assert!(delete(&db, "m", TimeRange::new(2, 9)) > seq);
            db.flush().unwrap();
            while db.compactor().retire_tombstones().unwrap() {}
            db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
            while db.compactor().retire_tombstones().unwrap() {}
        });
        assert_eq!(report.unwrap().samples, 3);
        assert_eq!(read(&db, "m"), [(1, 1.0)]);
        drop(db);
        let db = open(&fs.crash(crate::sys::CrashPlan::ALL_LOST), OWN);
        assert_eq!(read(&db, "m"), [(1, 1.0)]);
        // Once it is carried out it goes, as always.
        db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        while db.compactor().retire_tombstones().unwrap() {}
        assert_eq!(db.compactor().view.current().version.tombstones().count(), 0);
        assert_eq!(read(&db, "m"), [(1, 1.0)]);
    }
}

/// A merge of what is older with what is newer would leave the attached samples no place in between.
#[test]
fn no_merge_reaches_across_it() {
    let fs = SimFs::new();
    other(&fs, "m", &[1, 2, 3], 2);
    let db = open(&fs, OWN);
    write(&db, "m", &[1, 2], 1);
    let report = attach_around(&db, |_| {
        for value in 3..7 {
            write(&db, "m", &[2, 4], value);
            db.flush().unwrap();
        }
        let report = db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()));
        assert!(report.unwrap().merges > 0, "what is newer is merged");
    });
    report.unwrap();
    let expected = [(1, 2.0), (2, 6.0), (3, 2.0), (4, 6.0)];
    assert_eq!(read(&db, "m"), expected);
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    assert_eq!((read(&db, "m"), db.stats().segments), (expected.to_vec(), 1));
    db.close().unwrap();
    check_verifies(&fs, OWN);
}

/// Closing does not wait for an attach; nothing of it is left, and what it held back goes.
#[test]
fn one_that_is_cut_short_leaves_nothing() {
    let fs = SimFs::new();
    let from = open(&fs, OTHER);
    for day in 0..3 {
        write(&from, "m", &[day * 86_400_000, day * 86_400_000 + 1], 1);
        from.flush().unwrap();
    }
    from.close().unwrap();
    let db = open(&fs, OWN);
    write(&db, "m", &[7], 5);
    db.flush().unwrap();
    let before = segment_files(&fs, OWN);
    let result = attach_around(&db, |_| {
        {
            let runner = &mut *db.compactor().lock_runner();
            // One group is done and another is begun.
            while runner.attaching.as_ref().unwrap().outputs.is_empty() {
                assert!(db.compactor().attach_step(runner).unwrap().is_none());
            }
            assert!(db.compactor().attach_step(runner).unwrap().is_none());
            assert!(segment_files(&fs, OWN).len() > before.len());
        }
        delete(&db, "nothing", TimeRange::ALL);
        db.close().unwrap();
    });
    assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    assert_eq!(segment_files(&fs, OWN), before);
    let db = open(&fs, OWN);
    assert_eq!(read(&db, "m"), [(7, 5.0)]);
    while db.compactor().retire_tombstones().unwrap() {}
    assert_eq!(
        db.compactor().view.current().version.tombstones().count(),
        0,
        "held back no longer"
    );
    db.close().unwrap();
    check_verifies(&fs, OWN);
}

/// While no manifest can be written, nobody knows whether one lists what was written for it.
#[test]
fn attempts_that_fail_leave_the_files_of_one() {
    let fs = SimFs::new();
    other(&fs, "m", &[1, 2], 1);
    let db = open(&fs, OWN);
    fs.fail_sync(SyncPoint::ManifestEdit, 0, ErrorKind::Other);
    (0..9).for_each(|skip| fs.fail_sync(SyncPoint::ManifestFile, skip, ErrorKind::Other));
    for _ in 0..4 {
        assert!(matches!(db.attach(OTHER), Err(Error::Io { .. })));
        assert_eq!(segment_files(&fs, OWN).len(), 1);
    }
    fs.heal();
    assert_eq!(db.attach(OTHER).unwrap().samples, 2);
    assert_eq!((segment_files(&fs, OWN).len(), read(&db, "m").len()), (1, 2));
    db.close().unwrap();
    check_verifies(&fs, OWN);
}

#[test]
fn a_segment_file_is_taken_with_what_its_store_says() {
    let fs = SimFs::new();
    let from = open(&fs, OTHER);
    write(&from, "m", &[1, 2], 1);
    from.flush().unwrap();
    delete(&from, "m", TimeRange::new(2, 3));
    from.close().unwrap();
    let file = segment_files(&fs, OTHER).remove(0);
    let db = open(&fs, OWN);
    let report = db.attach(&file).unwrap();
    assert_eq!((report.samples, report.deleted), (1, 1));
    // Alone it does not know of the delete.
    fs.create_dir(Path::new("/alone")).unwrap();
    let alone = Path::new("/alone").join(file.file_name().unwrap());
    fs.write_file(&alone, &fs.read_file(&file).unwrap()).unwrap();
    assert_eq!(db.attach(&alone).unwrap().samples, 2);
    assert_eq!(read(&db, "m"), [(1, 1.0), (2, 1.0)]);
    let missing = Path::new(OTHER).join("000999.seg");
    assert!(matches!(db.attach(missing), Err(Error::InvalidArgument(_))));
    assert!(matches!(db.attach("/alone/000999.seg"), Err(Error::Io { .. })));
}

#[test]
fn a_store_that_nobody_merged_is_compacted_first() {
    let fs = SimFs::new();
    let db = open(&fs, OWN);
    let from = open(&fs, OTHER);
    from.pause();
    for n in 0..=INPUTS_MAX as i64 {
        write(&from, "m", &[-n, n], 1);
        from.flush().unwrap();
    }
    let compacted = || from.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(()));
    let refused = db.attach(OTHER).unwrap_err().to_string();
    assert!(refused.contains("257 segments that overlap") && refused.contains("compact it first"));
    compacted().unwrap();
    from.close().unwrap();
    assert_eq!(db.attach(OTHER).unwrap().samples, 2 * INPUTS_MAX as u64 + 1);
}

#[test]
fn what_must_not_be_attached_is_refused() {
    let fs = SimFs::new();
    let db = open(&fs, OWN);
    write(&db, "m", &[1], 5);
    db.flush().unwrap();
    let own = segment_files(&fs, OWN).remove(0);
    let refused = |path: &Path, says: &str| match db.attach(path) {
        Err(error) => assert!(error.to_string().contains(says), "{path:?}: {error}"),
        Ok(report) => panic!("{path:?}: {report:?}"),
    };
    refused(Path::new(OWN), "belongs to this store");
    refused(&own, "belongs to this store");
    refused(Path::new("/nothing"), "not a siltstone store");
    let seconds = Options { ticks_per_second: 1, ..options(&fs) };
    Db::open("/seconds", seconds).unwrap().close().unwrap();
    refused(Path::new("/seconds"), "1 ticks per second, this store 1000");
    let from = open(&fs, OTHER);
    write(&from, "m", &[1], 6);
    refused(Path::new(OTHER), "1 samples in its log alone: flush it first");
    from.flush().unwrap();
    let aged = Options { ahead_max: Some(Duration::ZERO), ..options(&fs) };
    write(&from, "m", &[i64::MAX], 6);
    from.close().unwrap();
    let strict = Db::open("/strict", aged).unwrap();
    let error = strict.attach(OTHER).unwrap_err();
    assert!(error.to_string().contains("too far in the future"), "{error}");
    assert_eq!((read(&db, "m"), db.stats().segments), (vec![(1, 5.0)], 1));
    // An empty store is no error.
    Db::open("/empty", options(&fs)).unwrap().close().unwrap();
    assert_eq!(db.attach("/empty").unwrap(), AttachReport::default());
}

/// Each byte of a foreign segment is either of no account or makes the attach fail and names it; no
/// other value comes in.
#[test]
fn damage_is_named_and_never_laundered() {
    let disk = SimFs::new();
    other(&disk, "m", &(0..300).map(|t| t * 977).collect::<Vec<_>>(), 3);
    let file = segment_files(&disk, OTHER).remove(0);
    let len = disk.read_file(&file).unwrap().len() as u64;
    let whole = read(&open(&disk, OTHER), "m");
    drop(open(&disk, OWN));
    let (mut refused, mut of_values) = (0, 0);
    for offset in 0..len {
        let fs = disk.fork();
        fs.flip(&file, offset, 0x10).unwrap();
        let db = open(&fs, OWN);
        match db.attach(OTHER) {
            Ok(_) => assert_eq!(read(&db, "m"), whole, "byte {offset}"),
            Err(error) => {
                of_values += u64::from(error.to_string().contains("value block"));
                let path = match &error {
                    Error::Corrupt { path, .. } | Error::UnsupportedVersion { path, .. } => path,
                    Error::Lost(lost) => &lost.path,
                    _ => panic!("byte {offset}: {error}"),
                };
                assert_eq!(path, &file, "byte {offset}");
                assert_eq!((read(&db, "m").len(), segment_files(&fs, OWN).len()), (0, 0));
                refused += 1;
            }
        }
    }
    assert!(refused > 100 && of_values > 0, "{refused} of {len}, {of_values} in values");
}

/// A mask that hides nothing listed hid what was being attached beneath it, and was left out.
#[test]
fn what_is_lost_meanwhile_and_accepted_hides_what_is_attached() {
    let fs = SimFs::new();
    other(&fs, "m", &[1, 2, 3], 20);
    let db = open(&fs, OWN);
    let report = attach_around(&db, |seq| {
        assert!(write(&db, "m", &[2], 30) > seq);
        db.flush().unwrap();
        let segment = segment_files(&fs, OWN).pop().unwrap();
        fs.flip(&segment, 64, 1).unwrap();
        let report = db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(()));
        assert_eq!(report.unwrap().accepted_samples, 1);
    });
    assert_eq!(report.unwrap().samples, 3);
    for _ in 0..2 {
        assert_eq!(read(&db, "m"), [(1, 20.0), (3, 20.0)]);
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    }
    assert_eq!(db.losses().unwrap().accepted_samples, 0);
}

/// What is being attached is older than a segment that was flushed meanwhile, and is not listed yet: such a segment is
/// given up when it is, with masks over it.
#[test]
fn giving_up_a_segment_waits_for_what_is_attached_beneath_it() {
    let fs = SimFs::new();
    other(&fs, "m", &[1, 2, 3], 20);
    let db = open(&fs, OWN);
    let turn = db.compactor().attach_turn.lock().unwrap();
    let (report, accepting) = std::thread::scope(|scope| {
        let mut accepting = None;
        let report = attach_around(&db, |_| {
            write(&db, "m", &[2], 30);
            db.flush().unwrap();
            let segment = segment_files(&fs, OWN).pop().unwrap();
            let bytes = fs.read_file(&segment).unwrap();
            let at = bytes.windows(8).position(|word| word == b"__name__").unwrap();
            fs.flip(&segment, at as u64, 1).unwrap();
            let options = AcceptOptions { give_up_unreadable: true };
            let (db, (done, is_done)) = (&db, std::sync::mpsc::channel());
            let thread = scope.spawn(move || {
                let report = db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap();
                let _ = done.send(());
                report
            });
            // It would be done by then, if it did not wait.
            let _ = is_done.recv_timeout(Duration::from_millis(200));
            accepting = Some(thread);
        });
        drop(turn);
        (report.unwrap(), accepting.unwrap().join().unwrap())
    });
    assert_eq!((report.samples, accepting.given_up), (3, 1));
    for _ in 0..2 {
        assert_eq!(read(&db, "m"), [(1, 20.0), (3, 20.0)]);
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    }
}
