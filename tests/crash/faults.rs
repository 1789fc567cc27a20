//! Errors of single operations: syncs of the log, and any other operation in turn.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use siltstone::sys::{CrashPlan, OpKind, SimFs, SyncPoint};
use siltstone::{Db, Durability, Error, Matcher, Options, ReadOnlyDb, TimeRange};
use siltstone_testing::record::{Fate, read_all};

use crate::enumerate::check;
use crate::findings::{batch, counts, files, labels, open, simple_options};
use crate::workload::{DIR, Script};

fn names(db: &Db) -> Vec<String> {
    counts(db).into_iter().map(|(name, _)| name).collect()
}

/// A file whose sync failed is neither synced nor written again.
fn assert_abandoned(fs: &SimFs) {
    let trace = fs.trace();
    let failed = trace.iter().position(|op| op.error == Some(ErrorKind::Other)).unwrap();
    for op in &trace[failed + 1..] {
        let touched = matches!(op.kind, OpKind::SyncData(_) | OpKind::Append { .. });
        assert!(!touched || op.path != trace[failed].path, "{op:?} after {:?}", trace[failed]);
    }
}

#[test]
fn a_failed_sync_of_the_log_acknowledges_nothing_and_its_file_is_abandoned() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let first = db.write(&batch(&db, &["first"], 3)).unwrap();
    fs.take_trace();
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    let tickets = ["a", "b", "c"].map(|name| db.submit(&batch(&db, &[name], 3)).unwrap());
    assert!(db.commit_step());
    for ticket in tickets {
        let answer = ticket.poll().unwrap();
        let Err(Error::DurabilityUnknown { durable_seq }) = answer else { panic!("{answer:?}") };
        assert_eq!(durable_seq, first.seq);
    }
    assert_eq!(db.durable_seq(), first.seq);
    assert_eq!(names(&db), ["a", "b", "c", "first"], "what was written stays visible");
    let only = open(&fs.fork().crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(names(&only), ["first"]);
    assert_eq!(only.open_report().findings.len(), 0, "a torn write is no damage");

    // The next write finds the memtable in a segment and goes to another file.
    let last = db.write(&batch(&db, &["last"], 3)).unwrap();
    assert!(last.durable && db.durable_seq() >= last.seq);
    assert_abandoned(&fs);
    let all = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(names(&all), ["a", "b", "c", "first", "last"]);
}

/// An idle writer's memtable was not evacuated: the tick failed at the poisoned log before it came to
/// the flush, for ever.
#[test]
fn a_tick_flushes_what_a_failed_sync_left_unknown() {
    let interval = Durability::Interval(Duration::from_millis(50));
    for durability in [Durability::Always, interval, Durability::Never] {
        let fs = SimFs::new();
        let db = open(&fs, durability).unwrap();
        fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
        let answer = db.write(&batch(&db, &["a"], 3));
        let doubtful = answer.and_then(|ack| db.wait_durable(ack.seq));
        assert!(matches!(doubtful, Err(Error::DurabilityUnknown { durable_seq: 0 })));
        assert_eq!(db.durable_seq(), 0);
        db.tick().unwrap();
        assert_eq!(db.durable_seq(), 1, "{durability:?}");
        assert_abandoned(&fs);
        let db = open(&fs.crash(CrashPlan::ALL_LOST), durability).unwrap();
        assert_eq!(names(&db), ["a"]);
    }
}

/// A later log's sync was taken for a proof of the batches in the poisoned one.
#[test]
fn nothing_unknown_is_called_durable_and_no_write_goes_on_before_it_is_safe() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    let doubtful = db.write(&batch(&db, &["a"], 3)).unwrap();
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    assert!(db.wait_durable(doubtful.seq).is_err());
    assert_eq!(db.stats().memtables_durability_unknown, 1);
    let more = batch(&db, &["refused"], 1);
    for attempt in 0..3 {
        fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::StorageFull);
        assert!(matches!(db.write(&more), Err(Error::DiskFull { .. })), "attempt {attempt}");
        fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::StorageFull);
        assert!(db.wait_durable(doubtful.seq).is_err(), "attempt {attempt}");
        assert_eq!(db.durable_seq(), 0);
    }
    assert_eq!(db.stats().fault, None, "a full disk heals");
    fs.heal();
    db.write(&batch(&db, &["b"], 3)).unwrap();
    db.wait_durable(doubtful.seq).unwrap();
    assert!(db.durable_seq() >= doubtful.seq);
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Never).unwrap();
    assert!(names(&db).contains(&"a".to_owned()));
}

/// A disk that refused the log and then the segment was trusted again with the next write.
#[test]
fn a_memtable_of_unknown_durability_that_cannot_be_flushed_ends_the_writing() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let more = batch(&db, &["a"], 3);
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    assert!(matches!(db.write(&more), Err(Error::DurabilityUnknown { .. })));
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    assert!(db.write(&more).is_err());
    fs.heal();
    let refused = db.write(&more);
    assert!(matches!(&refused, Err(Error::Failed(why)) if why.contains("log")), "{refused:?}");
    assert!(matches!(db.series(&labels("new")), Err(Error::Failed(_))));
    assert!(db.stats().fault.is_some());
    assert_eq!(names(&db), ["a"], "reads go on");
    // So do flushes: what is in memory is brought to safety all the same.
    db.tick().unwrap();
    assert_eq!((db.durable_seq(), db.stats().memtables_durability_unknown), (1, 0));
    assert!(matches!(db.write(&more), Err(Error::Failed(_))));
    db.close().unwrap();
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("a".to_owned(), 3)]);
    db.write(&batch(&db, &["b"], 1)).unwrap();
}

/// A disk on which every sync fails has no other log for what the first one held: the store was never
/// said to have failed, and refused each write anew.
#[test]
fn a_log_of_unknown_durability_that_no_other_can_follow_ends_the_writing() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let more = batch(&db, &["a"], 3);
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    assert!(matches!(db.write(&more), Err(Error::DurabilityUnknown { .. })));
    // A full disk heals.
    fs.fail_sync(SyncPoint::WalHeader, 0, ErrorKind::StorageFull);
    assert!(matches!(db.write(&more), Err(Error::DiskFull { .. })));
    assert_eq!(db.fault(), None);
    fs.fail_sync(SyncPoint::WalHeader, 0, ErrorKind::Other);
    assert!(matches!(db.write(&more), Err(Error::Io { .. })));
    let refused = db.write(&more);
    assert!(matches!(&refused, Err(Error::Failed(why)) if why.contains("log")), "{refused:?}");
    assert!(db.fault().is_some());
    assert_eq!(names(&db), ["a"], "reads go on");
    // What is in memory is brought to safety all the same, once the disk lets it.
    fs.heal();
    db.tick().unwrap();
    assert_eq!((db.durable_seq(), db.stats().memtables_durability_unknown), (1, 0));
    assert!(matches!(db.write(&more), Err(Error::Failed(_))));
    db.close().unwrap();
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("a".to_owned(), 3)]);
    db.write(&batch(&db, &["b"], 1)).unwrap();
}

#[test]
fn a_failed_edit_of_the_manifest_loses_nothing() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    for point in [SyncPoint::ManifestEdit, SyncPoint::ManifestFile, SyncPoint::CurrentDirectory] {
        fs.fail_sync(point, 0, ErrorKind::Other);
        assert!(db.flush().is_err(), "{point:?}");
        for plan in CrashPlan::spread(7, 4) {
            let survivor = open(&fs.fork().crash(plan), Durability::Always).unwrap();
            assert_eq!(names(&survivor), ["a"], "{point:?}, {plan:?}");
        }
        db.write(&batch(&db, &["a"], 3)).unwrap();
    }
    db.flush().unwrap();
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("a".to_owned(), 3)]);
}

/// Each attempt left the segment that it had written, until the next opening set it aside.
#[test]
fn a_flush_that_fails_behind_its_segment_leaves_nothing() {
    let fs = SimFs::new();
    let options = Options { reserve_bytes: Some(1 << 20), ..simple_options(&fs) };
    let db = Db::open(DIR, options).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.flush().unwrap();
    db.delete(&[Matcher::equal("__name__", "a")], TimeRange::new(0, 1)).unwrap();
    db.write(&batch(&db, &["b"], 3)).unwrap();
    let written = |fs: &SimFs| (files(fs, ".seg").len(), files(fs, ".tomb").len());
    for _ in 0..3 {
        fs.fail_sync(SyncPoint::TombstonesData, 0, ErrorKind::Other);
        assert!(db.flush().is_err());
        assert_eq!(written(&fs), (1, 0));
    }
    // The manifest may list them now, until another is the live one.
    fs.fail_sync(SyncPoint::ManifestEdit, 0, ErrorKind::Other);
    assert!(db.flush().is_err());
    for _ in 0..3 {
        assert_eq!(written(&fs), (2, 1));
        fs.fail_sync(SyncPoint::ManifestFile, 0, ErrorKind::Other);
        assert!(db.flush().is_err());
    }
    for plan in CrashPlan::spread(7, 4) {
        let survivor = open(&fs.fork().crash(plan), Durability::Always).unwrap();
        assert_eq!(counts(&survivor), [("a".into(), 2), ("b".into(), 3)], "{plan:?}");
    }
    // On a full disk the reserve makes it two attempts.
    fs.fail_sync(SyncPoint::ManifestEdit, 0, ErrorKind::StorageFull);
    db.flush().unwrap();
    assert_eq!(written(&fs), (2, 1));
    assert_eq!(counts(&db), [("a".into(), 2), ("b".into(), 3)]);
}

/// Lets each operation of a workload fail once, and some time later the power.
fn fail_every_operation(durability: Durability, seed: u64) -> u64 {
    let script = Script { seed, steps: 25, durability };
    let whole = SimFs::new();
    script.run(&whole);
    let mut runs = 0;
    let trace = whole.trace();
    for op in 0..whole.ops() {
        if trace[op as usize].kind.sync_point() == Some(SyncPoint::StoreDirectory) {
            // The store was not made, and its user was told. The directory that is nevertheless seen
            // can never be made durable, and the seam has no way to make it anew.
            continue;
        }
        for later in [2, 9, 40, u64::MAX - op] {
            let fs = SimFs::new();
            fs.fail_op(op, ErrorKind::Other);
            fs.crash_at(op + later);
            let record = script.run(&fs);
            let fault = fs.trace().into_iter().find(|op| op.error == Some(ErrorKind::Other));
            for (disk, floor) in [
                (fs.fork(), Fate::Written),
                (fs.crash(CrashPlan::ALL_LOST), Fate::Durable),
                (fs.crash(CrashPlan::torn(op)), Fate::Durable),
            ] {
                check(&disk, &record, floor).unwrap_or_else(|e| {
                    panic!("{durability:?}: {fault:?} failed, then after {later} {floor:?}: {e}")
                });
            }
            runs += 1;
        }
    }
    runs
}

#[test]
fn no_single_fault_loses_what_was_acknowledged() {
    let interval = Durability::Interval(Duration::from_millis(100));
    for (seed, durability) in [(21, Durability::Always), (22, interval), (23, Durability::Never)] {
        let runs = fail_every_operation(durability, seed);
        println!("{durability:?}: {runs} runs with a fault");
        assert!(runs > 200);
    }
}

#[test]
fn writes_of_one_byte_are_as_good_as_others() {
    let script = Script { seed: 31, steps: 8, durability: Durability::Always };
    let fs = SimFs::new();
    fs.set_write_bytes_max(1);
    let record = script.run(&fs);
    assert_eq!(record.promised(Fate::Durable), record.batches.len());
    check(&fs.fork(), &record, Fate::Written).unwrap();
    for op in (0..fs.ops()).step_by(fs.ops() as usize / 40) {
        let fs = SimFs::new();
        fs.set_write_bytes_max(1);
        fs.crash_at(op);
        let record = script.run(&fs);
        check(&fs.fork(), &record, Fate::Written).unwrap();
        check(&fs.crash(CrashPlan::torn(op)), &record, Fate::Durable).unwrap();
    }
}

#[test]
fn a_read_only_disk_is_read() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.flush().unwrap();
    db.write(&batch(&db, &["b"], 3)).unwrap();
    drop(db);
    (fs.ops()..fs.ops() + 10_000).for_each(|op| fs.fail_op(op, ErrorKind::ReadOnlyFilesystem));
    let refused = open(&fs, Durability::Always);
    assert!(matches!(refused, Err(Error::Io { .. })), "{refused:?}");
    let reader = ReadOnlyDb::open(DIR, crate::findings::simple_options(&fs)).unwrap();
    let found = read_all(&reader.snapshot()).unwrap();
    assert_eq!(
        found.iter().map(|(l, _)| l.clone()).collect::<Vec<_>>(),
        [labels("a"), labels("b")]
    );
    fs.heal();
    assert_eq!(names(&open(&fs, Durability::Always).unwrap()), ["a", "b"]);
    assert_eq!(files(&fs, ".tmp"), Vec::<&Path>::new());
}

/// Whatever fails in a flush, a merge or a delete: an error says that writes have stopped exactly where
/// they have.
#[test]
fn an_error_says_that_writes_have_stopped_only_where_they_have() {
    let prepare = || {
        let fs = SimFs::new();
        let db = open(&fs, Durability::Always).unwrap();
        for name in ["a", "b"] {
            db.write(&batch(&db, &[name], 3)).unwrap();
            db.flush().unwrap();
        }
        db.write(&batch(&db, &["a"], 3)).unwrap();
        (fs, db)
    };
    let work = |db: &Db| {
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let results = [
            db.flush(),
            db.delete(&[Matcher::equal("__name__", "a")], TimeRange::new(0, 1)).map(drop),
            db.compact(TimeRange::ALL, go_on).map(drop),
            db.tick(),
        ];
        results.into_iter().filter_map(Result::err).collect::<Vec<_>>()
    };
    let (fs, db) = prepare();
    let first = fs.ops();
    assert!(work(&db).is_empty());
    let (mut failed, mut stopped) = (0, 0);
    for op in first..fs.ops() {
        for kind in [ErrorKind::Other, ErrorKind::StorageFull] {
            let (fs, db) = prepare();
            fs.fail_op(op, kind);
            let errors = work(&db);
            fs.heal();
            let says_so = errors.iter().any(|error| matches!(error, Error::Failed(_)));
            let fault = db.stats().fault;
            let place = format!("op {op}, {kind:?}: {errors:?}, {fault:?}");
            assert!(!says_so || fault.is_some(), "{place}");
            assert_eq!(db.write(&batch(&db, &["a"], 1)).is_ok(), fault.is_none(), "{place}");
            failed += u64::from(!errors.is_empty());
            stopped += u64::from(fault.is_some());
        }
    }
    assert!(failed > 20 && stopped == 0, "{failed}, {stopped}");
}

/// Recovery whose flush fails keeps the logs: what it has read is in memory, and nowhere else.
#[test]
fn a_recovery_that_cannot_flush_keeps_the_logs() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let seq = db.write(&batch(&db, &["a"], 3)).unwrap().seq;
    drop(db);
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    let db = open(&fs, Durability::Always).unwrap();
    assert_eq!(names(&db), ["a"]);
    assert!(db.durable_seq() < seq, "a log that an earlier process wrote may not be synced");
    for plan in [CrashPlan::ALL_LOST, CrashPlan::ALL_KEPT] {
        let cut = open(&fs.fork().crash(plan), Durability::Always).unwrap();
        assert_eq!(names(&cut), ["a"], "{plan:?}");
    }
    db.tick().unwrap();
    db.flush().unwrap();
    assert!(db.durable_seq() >= seq);
    assert_eq!(names(&open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap()), ["a"]);
}

/// A batch whose frame cannot be written is refused, and nobody sees it, then or later.
#[test]
fn what_could_not_be_written_is_shown_to_nobody() {
    for durability in [Durability::Always, Durability::Never] {
        let fs = SimFs::new();
        let db = open(&fs, durability).unwrap();
        db.write(&batch(&db, &["a"], 3)).unwrap();
        // The append of the next commit, and what may come before it.
        (fs.ops()..fs.ops() + 4).for_each(|op| fs.fail_op(op, ErrorKind::Other));
        assert!(db.write(&batch(&db, &["lost"], 3)).is_err());
        assert_eq!(names(&db), ["a"], "{durability:?}");
        fs.heal();
        db.write(&batch(&db, &["b"], 3)).unwrap();
        db.flush().unwrap();
        assert_eq!(names(&db), ["a", "b"], "{durability:?}");
        db.close().unwrap();
        assert_eq!(names(&open(&fs, durability).unwrap()), ["a", "b"], "{durability:?}");
    }
}
