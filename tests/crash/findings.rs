//! What the enumeration once found in the engine, each as a test of its own.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, OpKind, SimClock, SimFs, SyncPoint, Vfs};
use siltstone::{Db, Durability, Labels, Options, Result, WriteBatch};
use siltstone_testing::record::read_all;

use crate::workload::{DIR, options};

pub(crate) fn open(fs: &SimFs, durability: Durability) -> Result<Db> {
    Db::open(DIR, options(fs, &Arc::new(SimClock::new(0)), durability))
}

pub(crate) fn simple_options(fs: &SimFs) -> Options {
    options(fs, &Arc::new(SimClock::new(0)), Durability::Always)
}

pub(crate) fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)]).unwrap()
}

/// A batch of `rows` samples of each of `names`.
pub(crate) fn batch(db: &Db, names: &[&str], rows: i64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for name in names {
        let handle = db.series(&labels(name)).unwrap();
        (0..rows).for_each(|t| batch.push(handle, t * 1000, t as f64).unwrap());
    }
    batch
}

/// The number of samples of each series, by its name.
pub(crate) fn counts(db: &Db) -> Vec<(String, usize)> {
    let found = read_all(&db.snapshot().unwrap()).unwrap();
    found
        .into_iter()
        .map(|(labels, samples)| (labels.get("__name__").unwrap().to_owned(), samples.len()))
        .collect()
}

/// The files with this ending, by their number.
pub(crate) fn files(fs: &SimFs, ending: &str) -> Vec<PathBuf> {
    let mut files = fs.files();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files
}

/// Only the directory above the store was synced: those above that, as new, were lost with it.
#[test]
fn a_new_store_survives_with_its_new_parents() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    assert!(db.write(&batch(&db, &["a"], 1)).unwrap().durable);
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("a".to_owned(), 1)]);
}

/// What only the log of a process that was killed had, unsynced, was flushed by the next opening. When the disk then
/// lost the edit that lists the segment, those batches were taken for the end of a torn write.
#[test]
fn an_edit_of_a_recovery_that_the_disk_has_lost_is_missed() {
    let fs = SimFs::new();
    let interval = Durability::Interval(Duration::from_millis(100));
    let db = open(&fs, interval).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    drop(db);
    let fs = fs.fork();
    fs.ignore_sync(SyncPoint::ManifestEdit);
    fs.ignore_sync(SyncPoint::WalRemoved);
    let db = open(&fs, interval).unwrap();
    assert_eq!(db.durable_seq(), 1, "it is in a segment, for all that is known");
    let fs = fs.crash(CrashPlan::ALL_LOST);
    let log = files(&fs, ".wal").remove(0);
    let named = |findings: &[siltstone::Finding]| {
        findings.iter().any(|finding| finding.to_string().contains(&*log.to_string_lossy()))
    };
    let reader = siltstone::ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    assert!(named(&reader.open_report().findings), "{:?}", reader.open_report());
    let db = open(&fs, interval).unwrap();
    assert!(named(&db.open_report().findings), "{:?}", db.open_report());
}

/// An empty log file was removed without a word in the manifest, and was missed by the header of the
/// next one.
#[test]
fn the_removal_of_an_empty_log_is_no_loss() {
    let fs = SimFs::new();
    drop(open(&fs, Durability::Always).unwrap());
    drop(open(&fs, Durability::Always).unwrap());
    let db = open(&fs.crash(CrashPlan::ALL_KEPT), Durability::Always).unwrap();
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
}

/// Of a batch behind a torn frame, those samples came back whose series an older frame had defined.
#[test]
fn a_batch_comes_back_whole_or_not_at_all() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    db.write(&batch(&db, &["first"], 1)).unwrap();
    db.write(&batch(&db, &["torn"], 1)).unwrap();
    db.write(&batch(&db, &["first", "torn", "new"], 2)).unwrap();
    let wal = files(&fs, ".wal").pop().unwrap();
    let mut bytes = fs.read_file(&wal).unwrap();
    let second = bytes[256..].windows(4).skip(1).position(|w| w == b"SWFr").unwrap() + 257;
    bytes[second..second + 8].fill(0);
    let survivor = fs.fork();
    survivor.write_file(&wal, &bytes).unwrap();
    let db = open(&survivor, Durability::Never).unwrap();
    assert_eq!(counts(&db), [("first".to_owned(), 1)]);
    assert_eq!(db.open_report().lost_rows, 0, "nothing of it had been promised");
    assert!(db.open_report().torn_bytes > 0);
}

/// A log that an earlier process had not synced was called durable by the header of the next one,
/// when opening could not flush it; after a power cut its tail was reported as damage.
#[test]
fn what_an_earlier_process_did_not_sync_is_not_called_durable() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    db.write(&batch(&db, &["a"], 10)).unwrap();
    let killed = fs.fork();
    killed.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    let db = open(&killed, Durability::Never).unwrap();
    assert_eq!((counts(&db).len(), db.durable_seq()), (1, 0));
    let after = open(&killed.fork().crash(CrashPlan::ALL_LOST), Durability::Never).unwrap();
    assert_eq!(after.open_report().findings.len(), 0, "{:?}", after.open_report());
    db.tick().unwrap();
    assert_eq!(db.durable_seq(), 1);
}

/// Behind an interrupted creation of a log file, the length that its successor gives of the file
/// before it was forgotten: batches that had failed came back, with seqs that were given again.
#[test]
fn a_failed_group_does_not_come_back_behind_an_interrupted_creation() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let space = fs.free_space("/".as_ref()).unwrap();
    let frame_bytes = 40 + 32 + 8 + 100 * 16; // about one batch of a hundred rows
    fs.set_capacity(space.total - space.available + frame_bytes + 600);
    let tickets = ["whole", "cut"].map(|name| db.submit(&batch(&db, &[name], 100)).unwrap());
    // Preallocation, append, truncation; then sync, creation, header, removal.
    fs.fail_op(fs.ops() + 2, ErrorKind::Other);
    fs.fail_op(fs.ops() + 6, ErrorKind::Other);
    db.commit_step();
    assert!(tickets.iter().all(|ticket| ticket.poll().unwrap().is_err()));
    assert!(db.write(&batch(&db, &["refused"], 1)).is_err());
    assert_eq!(files(&fs, ".wal").len(), 2, "{:?}", fs.trace());
    fs.set_capacity(1 << 40);
    db.write(&batch(&db, &["good"], 1)).unwrap();
    let db = open(&fs.fork(), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("good".to_owned(), 1)]);
    assert_eq!(db.open_report().findings.len(), 0, "{:?}", db.open_report());
}

/// When the segment could not be opened after the edit that lists it, the memtable was flushed again,
/// which the manifest refused for ever.
#[test]
fn a_read_that_fails_during_a_flush_only_delays_it() {
    let mut failed = 0;
    for read in 0..12 {
        let fs = SimFs::new();
        let db = open(&fs, Durability::Always).unwrap();
        db.write(&batch(&db, &["a"], 10)).unwrap();
        fs.fail_read(fs.reads() + read, ErrorKind::Other);
        failed += usize::from(db.flush().is_err());
        fs.heal();
        db.flush().unwrap();
        assert_eq!((db.stats().segments, counts(&db)), (1, vec![("a".to_owned(), 10)]));
    }
    assert!(failed > 0, "no read was met");
}

/// END, written behind frames that no sync had covered, was taken for a proof of them: a tear in
/// front of it was reported as damage, and half a batch came back.
#[test]
fn a_tear_in_front_of_an_end_is_no_damage() {
    let write = |fs: &SimFs| {
        let db = open(fs, Durability::Never).unwrap();
        for (names, rows) in [(&["first"][..], 300), (&["torn"], 300), (&["first", "torn"], 3)] {
            db.write(&batch(&db, names, rows)).unwrap();
        }
        let _ = db.flush();
    };
    let whole = SimFs::new();
    write(&whole);
    let end = SyncPoint::WalEnd;
    let end = whole.trace().into_iter().find(|op| op.kind.sync_point() == Some(end)).unwrap();
    for seed in 0..64 {
        let fs = SimFs::new();
        fs.crash_at(end.number);
        write(&fs);
        let db = open(&fs.crash(CrashPlan::torn(seed)), Durability::Never).unwrap();
        let report = db.open_report();
        assert_eq!((report.findings.len(), report.lost_rows), (0, 0), "seed {seed}: {report:?}");
    }
}

/// After a close whose flush had failed, a clone could still flush: into a directory that another
/// process had opened since.
#[test]
fn a_closed_store_leaves_its_files_alone() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    let seq = db.write(&batch(&db, &["a"], 10)).unwrap().seq;
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    assert!(db.close().is_err());
    let next = open(&fs, Durability::Never).unwrap();
    fs.take_trace();
    assert!(matches!(db.flush(), Err(siltstone::Error::Closed)));
    assert!(matches!(db.tick(), Err(siltstone::Error::Closed)));
    db.wait_durable(seq).unwrap(); // its log was synced
    assert!(!db.submit(&batch(&next, &["b"], 1)).is_ok_and(|_| db.commit_step()));
    drop(db);
    assert!(fs.trace().is_empty(), "{:?}", fs.trace());
    assert_eq!(counts(&next), [("a".to_owned(), 10)]);
}

/// Of two commit steps at once, the one with the younger batches could commit first: the older write
/// then won over the younger.
#[test]
fn batches_are_committed_in_the_order_of_their_submission() {
    let db = open(&SimFs::new(), Durability::Never).unwrap();
    let batch = batch(&db, &["a"], 1);
    let done = std::sync::atomic::AtomicBool::new(false);
    let tickets = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    db.commit_step();
                }
            });
        }
        let tickets: Vec<_> = (0..3000).map(|_| db.submit(&batch).unwrap()).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        tickets
    });
    while db.commit_step() {}
    let seqs = tickets.iter().map(|ticket| ticket.poll().unwrap().unwrap().seq);
    assert!(seqs.is_sorted());
}

/// The timer synced what was older than the interval, and so looked a round too late: a power cut
/// took up to twice the interval.
#[test]
fn an_interval_is_the_most_that_a_power_cut_takes() {
    let interval = Duration::from_secs(1);
    let fs = SimFs::new();
    let clock = Arc::new(SimClock::new(0));
    let db = Db::open(DIR, options(&fs, &clock, Durability::Interval(interval))).unwrap();
    let seq = db.write(&batch(&db, &["a"], 1)).unwrap().seq;
    let round = Duration::from_millis(250);
    for _ in 0..3 {
        clock.advance(round);
        db.write(&batch(&db, &["b"], 1)).unwrap();
        db.tick().unwrap();
    }
    assert!(db.durable_seq() >= seq, "the next round comes at or after the interval");
}

/// Two log files that gave one seq twice made replay panic, at every opening.
#[test]
fn a_seq_given_twice_is_a_finding_and_no_panic() {
    use siltstone::wal::{
        BatchColumns, Definitions, EncodedBatch, RecordKind, WalHeader, WalWriter,
    };
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    let seq = db.write(&batch(&db, &["a"], 10)).unwrap().seq;
    let killed = fs.fork();
    let uuid = siltstone::manifest::load(&killed, DIR.as_ref()).unwrap().uuid;
    let header = WalHeader {
        uuid,
        file_number: 99,
        salt: 1,
        last_seq: 0,
        predecessor: siltstone::wal::Predecessor::default(),
    };
    let path = PathBuf::from(DIR).join("000099.wal");
    let mut wal = WalWriter::create(&killed, DIR.as_ref(), path, header).unwrap();
    let columns = BatchColumns { run_rows: &[1], timestamps: &[7], values: &[7] };
    let mut definitions = Definitions::default();
    definitions.push(&labels("b"));
    let mut twice = EncodedBatch::new(&columns, Vec::new());
    twice.complete([0].into_iter(), 0, &definitions).unwrap();
    wal.append(RecordKind::Batch, &[(seq, twice.payload())]).unwrap();
    let db = open(&killed, Durability::Always).unwrap();
    let findings = &db.open_report().findings;
    assert!(findings.iter().any(|f| f.to_string().contains("000099.wal")), "{findings:?}");
    assert_eq!(counts(&db), [("a".to_owned(), 10)]);
}

/// A store that was opened on a disk without room for a new log removed its last one with the first
/// flush that worked; after a crash the next opening reported a loss.
#[test]
fn a_store_is_never_without_a_log() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    drop(db);
    let mut opened = 0;
    for room in (0..1000).step_by(20) {
        let disk = fs.fork();
        let space = disk.free_space(Path::new("/")).unwrap();
        disk.set_capacity(space.total - space.available + room);
        let Ok(db) = open(&disk, Durability::Always) else { continue };
        opened += 1;
        disk.set_capacity(1 << 40);
        db.tick().unwrap();
        for plan in CrashPlan::spread(7, 2) {
            let db = open(&disk.fork().crash(plan), Durability::Always).unwrap();
            let findings = &db.open_report().findings;
            assert!(findings.is_empty(), "{room} bytes, {plan:?}: {findings:?}");
            assert_eq!(counts(&db), [("a".to_owned(), 3)]);
        }
    }
    assert!(opened > 0);
}

/// A store that is opened with less memory flushes a log in parts. Cut short behind the first, recovery goes on
/// there: what is in a segment is not replayed a second time.
#[test]
fn a_recovery_that_was_cut_short_between_two_flushes_goes_on_behind_the_first() {
    let fs = SimFs::new();
    let large =
        Options { memory_budget_bytes: 128 << 20, wal_bytes_max: 128 << 20, ..simple_options(&fs) };
    let db = Db::open(DIR, large).unwrap();
    db.write(&batch(&db, &["a"], 200_000)).unwrap();
    db.write(&batch(&db, &["a", "c"], 2)).unwrap();
    drop(db);
    let whole = fs.fork();
    drop(open(&whole, Durability::Always).unwrap());
    let is_edit = |op: &&siltstone::sys::Op| {
        op.number >= fs.ops() && op.kind == OpKind::SyncData(SyncPoint::ManifestEdit)
    };
    let trace = whole.trace();
    let edits: Vec<u64> = trace.iter().filter(is_edit).map(|op| op.number).collect();
    assert!(edits.len() >= 2, "one a part: {edits:?}");
    let cut = fs.fork();
    cut.crash_at(edits[0] + 1);
    let _ = open(&cut, Durability::Always);
    for plan in [CrashPlan::ALL_LOST, CrashPlan::ALL_KEPT] {
        let disk = cut.crash(plan);
        let db = open(&disk, Durability::Always).unwrap();
        let report = db.open_report();
        assert!(report.findings.is_empty(), "{plan:?}: {report:?}");
        assert_eq!(report.recovered_batches, 1, "{plan:?}: {report:?}");
        assert_eq!(counts(&db), [("a".to_owned(), 200_000), ("c".to_owned(), 2)]);
    }
}
