//! Compaction through the public API: what readers, snapshots and operators see of it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use siltstone::sys::{
    Clock, CrashPlan, DataSurvival, DirectorySurvival, SimClock, SimFs, SyncPoint,
};
use siltstone::{
    CompactReport, Db, Error, Event, Labels, Matcher, Observer, Options, QueryOptions, ReadOnlyDb,
    TimeRange, WriteBatch,
};
use siltstone_testing::answers::{
    self, STORE, everything, labels, salvage, select, sim_clock, sim_options, write,
};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000;

fn series(i: usize) -> Labels {
    labels(&[("__name__", "قياس"), ("i", &i.to_string())])
}

/// A store with `segments` level-0 segments that overlap, an hour each.
fn store(segments: i64, change: impl FnOnce(Options) -> Options) -> (SimFs, Arc<SimClock>, Db) {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, change(sim_options(&fs, &clock))).unwrap();
    for segment in 0..segments {
        for i in 0..3 {
            let start = START + segment * HOUR;
            let rows: Vec<(i64, u64)> =
                (0..120).map(|row| (start + row * 60_000, (segment * 1000 + row) as u64)).collect();
            write(&db, &series(i), &rows);
        }
        db.flush().unwrap();
    }
    (fs, clock, db)
}

fn compact(db: &Db) -> CompactReport {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn files(fs: &SimFs, extension: &str) -> Vec<PathBuf> {
    let is = |path: &PathBuf| path.extension().is_some_and(|e| e == extension);
    fs.files().into_iter().filter(is).collect()
}

#[test]
fn compacting_changes_no_answer_and_leaves_one_segment_a_window() {
    let (fs, _, db) = store(6, |options| options);
    let before = everything(&db.snapshot().unwrap());
    let report = compact(&db);
    assert_eq!(everything(&db.snapshot().unwrap()), before);
    assert_eq!((report.samples, report.superseded), (6 * 3 * 120, 5 * 3 * 60));
    let stats = db.stats();
    assert_eq!((stats.segments, stats.level0_segments, stats.segments_obsolete), (1, 0, 0));
    assert_eq!(files(&fs, "seg").len(), 1);
    let logs = files(&fs, "wal");
    let wal_bytes: usize = logs.iter().map(|log| fs.read_file(log).unwrap().len()).sum();
    assert!(wal_bytes <= 256 + 40, "no batch is left in the log");
    assert_eq!(compact(&db).merges, 0, "nothing is gained by another one");
    db.close().unwrap();
    let db = Db::open(STORE, sim_options(&fs, &sim_clock())).unwrap();
    assert!(db.open_report().findings.is_empty());
    assert_eq!(everything(&db.snapshot().unwrap()), before);
}

#[test]
fn a_snapshot_reads_on_and_its_files_go_with_it() {
    let (fs, _, db) = store(4, |options| options);
    let snapshot = db.snapshot().unwrap();
    let before = everything(&db.snapshot().unwrap());
    compact(&db);
    write(&db, &series(0), &[(START, 7)]);
    let stats = db.stats();
    assert_eq!((stats.segments_obsolete, files(&fs, "seg").len()), (4, 5));
    // Its segments are opened only now.
    assert_eq!(everything(&snapshot), before);
    drop(snapshot);
    db.tick().unwrap();
    assert_eq!((db.stats().segments_obsolete, files(&fs, "seg").len()), (0, 1));
}

#[test]
fn a_snapshot_that_outlives_its_store_reads_on() {
    let (fs, _, db) = store(4, |options| options);
    let snapshot = db.snapshot().unwrap();
    let before = everything(&db.snapshot().unwrap());
    db.close().unwrap();
    let db = Db::open(STORE, sim_options(&fs, &sim_clock())).unwrap();
    compact(&db);
    assert_eq!(files(&fs, "seg").len(), 1);
    assert_eq!(everything(&snapshot), before);
}

#[test]
fn a_cancelled_compaction_leaves_everything_as_it_was() {
    let (fs, _, db) = store(4, |options| options);
    let (before, seg) = (everything(&db.snapshot().unwrap()), fs.files());
    for steps in 1..4 {
        let mut left = steps;
        let report = db.compact(TimeRange::ALL, &mut |_| {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        assert!(report.unwrap().cancelled);
        assert_eq!(fs.files(), seg, "after {steps} steps");
        assert_eq!(everything(&db.snapshot().unwrap()), before);
    }
}

#[test]
fn a_tick_merges_when_it_is_time_and_a_pause_holds_it() {
    let quick = |options| Options { flush_interval: Duration::from_secs(10), ..options };
    let (_, clock, db) = store(5, quick);
    db.pause();
    clock.advance(Duration::from_secs(3 * 86_400));
    (0..20).for_each(|_| db.tick().unwrap());
    assert_eq!((db.stats().segments, db.stats().merges_paused), (5, true));
    assert!(!db.compaction_plan().merges.is_empty());
    db.resume();
    (0..20).for_each(|_| db.tick().unwrap());
    let stats = db.stats();
    assert_eq!((stats.segments, stats.level0_segments), (1, 0));
    assert!(stats.merges > 0 && stats.merge_bytes_written > 0 && stats.flush_bytes_written > 0);
    assert!(db.compaction_plan().merges.is_empty());
}

#[test]
fn a_damaged_block_is_quarantined_with_its_series_and_range() {
    let (fs, _, db) = store(3, |options| options);
    let before = everything(&db.snapshot().unwrap());
    // The oldest: nothing lies below its first hour. The first value block follows the header.
    let victim = files(&fs, "seg")[0].clone();
    fs.flip(&victim, 64, 1).unwrap();
    let report = compact(&db);
    assert!(report.damaged_rows > 0 && report.findings.is_empty(), "{report:?}");
    assert!(report.damage.iter().all(|range| range.path == victim));
    let (after, errors) = salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL);
    let lost = |error: &Error| matches!(error, Error::Lost(lost) if lost.path == victim);
    assert!(!errors.is_empty() && errors.iter().all(lost), "{errors:?}");
    let rows = |found: &[answers::Series]| found.iter().map(|s| s.1.len()).sum::<usize>();
    assert!(rows(&after) < rows(&before), "what was only there is gone, and said so");
    let quarantine = Path::new(STORE).join("quarantine");
    let name = victim.file_name().unwrap().to_str().unwrap();
    let lines = fs.read_file(quarantine.join(format!("{name}.damage.jsonl"))).unwrap();
    assert_eq!(String::from_utf8(lines).unwrap().lines().count(), report.damage.len());
    assert!(fs.read_file(quarantine.join(name)).is_ok(), "the file is kept");
    assert!(fs.read_file(&victim).is_err());
    assert_eq!(db.stats().blocks_quarantined, report.damage.len() as u64);
}

#[test]
fn a_damaged_index_keeps_its_segment_where_it_is_and_the_rest_goes_on() {
    let (fs, _, db) = store(3, |options| options);
    write(&db, &series(0), &[(START - 90 * 24 * HOUR, 1)]);
    db.flush().unwrap();
    write(&db, &series(0), &[(START - 90 * 24 * HOUR + 1, 1)]);
    db.flush().unwrap();
    let reader = ReadOnlyDb::open(STORE, sim_options(&fs, &sim_clock())).unwrap();
    let description = reader.segment(reader.segments()[3].file_number).unwrap();
    let index = description.sections.iter().find(|section| section.name == "label blocks").unwrap();
    let victim = Path::new(STORE).join(format!("{:06}.seg", description.meta.file_number));
    fs.flip(&victim, index.offset + index.bytes / 2, 1).unwrap();
    let report = compact(&db);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].path, victim);
    assert!(report.merges > 0, "the others are merged");
    assert!(fs.read_file(&victim).is_ok());
    assert_eq!(db.stats().segments_excluded, 1);
    assert!(compact(&db).findings.is_empty(), "it is not tried again");
}

#[test]
fn a_disk_without_room_is_refused_before_a_byte_is_written() {
    let (fs, _, db) = store(4, |options| options);
    let seg = files(&fs, "seg");
    let used: u64 = fs.files().iter().map(|f| fs.read_file(f).unwrap().len() as u64).sum();
    fs.set_capacity(used + 1024);
    let refused = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(refused, Err(Error::DiskFull { .. })), "{refused:?}");
    assert_eq!(files(&fs, "seg"), seg);
    assert!(db.stats().merge_trouble.is_some());
    fs.set_capacity(u64::MAX);
    assert!(compact(&db).merges > 0);
    assert_eq!(db.stats().merge_trouble, None);
}

#[test]
fn deleted_samples_leave_every_file() {
    let (fs, _, db) = store(3, |options| options);
    db.delete(&[Matcher::equal("i", "1")], TimeRange::ALL).unwrap();
    db.delete(&[Matcher::equal("i", "none")], TimeRange::ALL).unwrap();
    let before = everything(&db.snapshot().unwrap());
    let report = compact(&db);
    assert_eq!(report.deleted, 3 * 120);
    assert_eq!(everything(&db.snapshot().unwrap()), before);
    db.tick().unwrap();
    assert_eq!((db.stats().tombstones, files(&fs, "tomb").len()), (0, 0));
    write(&db, &series(1), &[(START, 5)]);
    compact(&db);
    let found = select(&db.snapshot().unwrap(), &[Matcher::equal("i", "1")], TimeRange::ALL);
    assert_eq!(found, [(series(1), vec![(START, 5)])], "written after the delete");
}

#[test]
fn retention_drops_hides_and_trims() {
    let keep = |options| Options { retention: Some(Duration::from_secs(86_400)), ..options };
    let (fs, clock, db) = store(4, keep);
    // The clock runs on by more than a day; new samples prove that it is right.
    for _ in 0..26 {
        clock.advance(Duration::from_secs(3600));
        db.tick().unwrap();
    }
    write(&db, &series(9), &[(START + 26 * HOUR, 1)]);
    db.tick().unwrap();
    let horizon = db.stats().retention_horizon.unwrap();
    assert_eq!(horizon, START + 2 * HOUR, "a day before the wall clock");
    let found = everything(&db.snapshot().unwrap());
    assert!(found.iter().flat_map(|s| &s.1).all(|&(t, _)| t >= horizon), "the rest is hidden");
    let segments = db.stats().segments_dropped;
    assert_eq!(segments, 1, "the first ends before the horizon");
    compact(&db);
    assert_eq!(everything(&db.snapshot().unwrap()), found);
    assert!(db.stats().samples_expired > 0);
    db.close().unwrap();
    // Without a limit nothing is hidden: what has expired is gone.
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), found);
}

#[test]
fn a_clock_that_jumps_while_the_store_is_closed_drops_nothing_for_a_day() {
    let keep = |options| Options { retention: Some(Duration::from_secs(86_400)), ..options };
    let (fs, clock, db) = store(2, keep);
    db.close().unwrap();
    // Set to a wrong year, by which samples come too.
    let year = Duration::from_secs(365 * 86_400);
    clock.set_wall_ms(clock.wall_ms() + year.as_millis() as i64);
    let db = Db::open(STORE, keep(sim_options(&fs, &clock))).unwrap();
    let before = everything(&db.snapshot().unwrap());
    write(&db, &series(9), &[(clock.wall_ms(), 1)]);
    for _ in 0..23 {
        db.tick().unwrap();
        assert_eq!(db.stats().segments_dropped, 0, "the clock is not believed yet");
        clock.advance(Duration::from_secs(3600));
    }
    let found = everything(&db.snapshot().unwrap());
    assert!(before.iter().all(|series| found.contains(series)));
    clock.advance(Duration::from_secs(2 * 3600));
    db.tick().unwrap();
    assert!(db.stats().segments_dropped > 0, "after a day it is");
}

/// A batch that was refused counted as the newest sample, by which others expired.
#[test]
fn what_is_refused_expires_nothing() {
    let keep = |options| Options { retention: Some(Duration::from_secs(86_400)), ..options };
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, keep(sim_options(&fs, &clock))).unwrap();
    let old = [(START - 30 * 24 * HOUR, 1)];
    write(&db, &series(0), &old);
    let handle = db.series(&series(0)).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(handle, START, 1.0).unwrap();
    fs.fail_op(fs.ops(), std::io::ErrorKind::Other);
    assert!(db.write(&batch).is_err());
    fs.heal();
    db.tick().unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), [(series(0), old.to_vec())]);
    db.write(&batch).unwrap();
    db.tick().unwrap();
    assert_eq!(everything(&db.snapshot().unwrap())[0].1.len(), 1, "now it counts");
}

/// The segment that replaced a value went, the one that held it did not: until somebody looked at the
/// clock, a store that was opened anew showed it again.
#[test]
fn what_was_replaced_does_not_come_back_with_a_restart() {
    // No flush is due, so that nothing is merged.
    let (day, long) = (Duration::from_secs(86_400), Duration::from_secs(100 * 86_400));
    let keep = |options| Options { retention: Some(day), flush_interval: long, ..options };
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, keep(sim_options(&fs, &clock))).unwrap();
    let rows: Vec<(i64, u64)> = (0..30).map(|hour| (START + hour * HOUR, 1)).collect();
    write(&db, &series(0), &rows);
    db.flush().unwrap();
    write(&db, &series(0), &[(START + HOUR, 2)]);
    db.flush().unwrap();
    for _ in 0..26 {
        clock.advance(Duration::from_secs(3600));
        db.tick().unwrap();
    }
    assert_eq!(
        db.stats().segments_dropped,
        0,
        "what replaced it stays as long as what it replaced"
    );
    let found = everything(&db.snapshot().unwrap());
    assert_eq!(found[0].1[0], (START + 2 * HOUR, 1));
    let reopened = |clock: &Arc<SimClock>| {
        let fork = fs.fork();
        everything(&Db::open(STORE, keep(sim_options(&fork, clock))).unwrap().snapshot().unwrap())
    };
    assert!(!reopened(&clock)[0].1.contains(&(START + HOUR, 1)));
    // Also if the clock is not to be believed.
    clock.set_wall_ms(clock.wall_ms() - 400 * 86_400_000);
    assert!(!reopened(&clock)[0].1.contains(&(START + HOUR, 1)));
}

/// A damaged input stays under its name while a snapshot reads it. Whether it is evidence or garbage
/// is known from the report alone.
#[test]
fn damage_is_remembered_through_a_power_cut() {
    let survives = |ignored: Option<SyncPoint>| {
        let (fs, clock, db) = store(3, |options| options);
        let victim = files(&fs, "seg")[0].clone();
        fs.flip(&victim, 64, 1).unwrap();
        let snapshot = db.snapshot().unwrap();
        ignored.into_iter().for_each(|point| fs.ignore_sync(point));
        compact(&db);
        let plan = CrashPlan { data: DataSurvival::Lost, directories: DirectorySurvival::Lost };
        let after = fs.crash(plan);
        drop((snapshot, db));
        let _db = Db::open(STORE, sim_options(&after, &clock)).unwrap();
        let name = victim.file_name().unwrap().to_str().unwrap();
        let quarantine = Path::new(STORE).join("quarantine");
        let report = after.read_file(quarantine.join(format!("{name}.damage.jsonl")));
        let told = report.is_ok_and(|text| !text.is_empty());
        told && after.read_file(quarantine.join(name)).is_ok()
    };
    assert!(survives(None));
    assert!(!survives(Some(SyncPoint::DamageReport)));
    assert!(!survives(Some(SyncPoint::DamageDirectory)));
}

/// Notes the kinds of events.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Observer for Notes {
    fn event(&self, event: &Event<'_>) {
        let kind = match event {
            Event::Flushed { .. } => "flushed".into(),
            Event::MergeStarted { inputs, .. } => format!("started {}", inputs.len()),
            Event::Merged { outputs, .. } => format!("merged to {}", outputs.len()),
            other => format!("{other:?}"),
        };
        self.0.lock().unwrap().push(kind);
    }
}

#[test]
fn an_observer_is_told() {
    let notes = Arc::new(Notes::default());
    let observer = Arc::clone(&notes) as Arc<dyn Observer>;
    let (.., db) = store(2, |options| Options { observer: Some(observer), ..options });
    compact(&db);
    assert_eq!(*notes.0.lock().unwrap(), ["flushed", "flushed", "started 2", "merged to 1"]);
}

#[test]
fn threads_merge_and_close_stops_them() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { query_threads: 0, ..Options::default() };
    let db = Db::open(dir.path(), options).unwrap();
    // Old samples: their windows have closed, so that four flushes are merged.
    for flush in 0..4 {
        let mut batch = WriteBatch::new();
        let handle = db.series(&series(0)).unwrap();
        (0..50).for_each(|row| batch.push(handle, START + flush * 50 + row, row as f64).unwrap());
        db.write(&batch).unwrap();
        db.flush().unwrap();
    }
    // Waits for the event, however long it takes; a test that hangs has failed.
    while db.stats().level0_segments > 0 {
        std::thread::yield_now();
    }
    let snapshot = db.snapshot().unwrap();
    let found = snapshot.count_series(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
    assert_eq!((found, everything(&snapshot)[0].1.len()), (1, 200));
    db.close().unwrap();
    let again = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(()));
    assert!(matches!(again, Err(Error::Closed)));
}
