//! Compaction through the public API: what readers, snapshots and operators see of it.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use siltstone::sys::{
    Clock, CrashPlan, DataSurvival, DirectorySurvival, SimClock, SimFs, SyncPoint, Vfs,
};
use siltstone::{
    Background, CompactReport, Db, Error, Event, Labels, Matcher, Observer, Options, QueryOptions,
    ReadOnlyDb, TimeRange, WriteBatch,
};

#[allow(dead_code, reason = "shared with other test programs")]
#[path = "support/answers.rs"]
mod answers;

use answers::{STORE, everything, labels, select, sim_clock, sim_options, write};

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

/// Each flush while it is under way would be another merge, and each delete another rewrite.
#[test]
fn a_compaction_ends_while_writes_and_deletes_go_on() {
    let (_, _, db) = store(3, |options| options);
    let (mut steps, mut before) = (0, None);
    let report = db.compact(TimeRange::ALL, &mut |_| {
        before.get_or_insert_with(|| db.stats().samples);
        steps += 1;
        write(&db, &series(1), &[(START + steps * 60_000, 1)]);
        db.flush().unwrap();
        let range = TimeRange::new(START, START + steps * 60_000);
        db.delete(&[Matcher::equal("i", "2")], range).unwrap();
        if steps > 200 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let report = report.unwrap();
    assert!(!report.cancelled, "it never ends: {report:?}");
    assert_eq!((report.merges, Some(report.samples)), (1, before), "what there was at first");
    assert_eq!(db.stats().level0_segments, steps as u64, "what came since is left");
    compact(&db);
    assert_eq!(db.stats().level0_segments, 0);
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
    let after = everything(&db.snapshot().unwrap());
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

/// A store of six closed days, the first of which cannot be read, nor can what a delete applies to.
fn store_with_a_bad_sector() -> (SimFs, Arc<SimClock>, Db, PathBuf) {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    for day in 0..6 {
        write(&db, &series(0), &[(START + day * 24 * HOUR, 1), (START + day * 24 * HOUR + 1, 2)]);
        db.flush().unwrap();
    }
    db.delete(&[Matcher::equal("i", "0")], TimeRange::new(0, START + 1)).unwrap();
    db.close().unwrap();
    // Opened again, nothing of it is cached.
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    let victim = files(&fs, "seg")[0].clone();
    let bytes = fs.read_file(&victim).unwrap().len() as u64;
    fs.make_unreadable(&victim, 0..bytes, ErrorKind::Other);
    (fs, clock, db, victim)
}

#[test]
fn a_segment_that_cannot_be_read_is_left_alone_after_some_tries_and_the_rest_goes_on() {
    let (fs, clock, db, victim) = store_with_a_bad_sector();
    clock.advance(Duration::from_secs(10 * 86_400));
    let mut failures = 0;
    while db.stats().segments_excluded == 0 {
        failures += u64::from(db.tick().is_err());
        assert!(failures < 20, "it is tried again for ever");
        let trouble = db.stats().merge_trouble;
        assert!(trouble.is_none_or(|trouble| trouble.contains(victim.to_str().unwrap())));
        clock.advance(Duration::from_secs(300));
    }
    assert!(failures > 1, "an error may pass: it is tried again");
    (0..20).for_each(|_| db.tick().unwrap());
    let stats = db.stats();
    assert_eq!((stats.level0_segments, stats.segments_excluded, stats.tombstones), (1, 1, 1));
    assert_eq!((stats.corruption, stats.merges > 0), (0, true));
    assert!(fs.read_file(&victim).is_ok(), "it stays where it is");
}

#[test]
fn a_segment_that_cannot_be_read_is_left_out_of_what_was_asked_for() {
    let (fs, _, db, victim) = store_with_a_bad_sector();
    let report = compact(&db);
    assert_eq!(report.findings.len(), 1, "{report:?}");
    assert_eq!(report.findings[0].path, victim);
    let stats = db.stats();
    assert_eq!((stats.level0_segments, stats.segments_excluded, stats.tombstones), (1, 0, 1));
    fs.heal();
    let report = compact(&db);
    assert!(report.findings.is_empty(), "it was not given up: {report:?}");
    assert_eq!((db.stats().level0_segments, report.deleted), (0, 1));
    while db.stats().tombstones > 0 {
        db.tick().unwrap();
    }
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

/// Six closed days of a quarter of a MiB each that are not merged yet, and a small merged segment from
/// which a delete erases the first half; and how large all files are.
fn store_with_deletes(change: impl FnOnce(Options) -> Options) -> (SimFs, Arc<SimClock>, Db) {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, change(sim_options(&fs, &clock))).unwrap();
    let noise = |at: i64, count: i64| -> Vec<(i64, u64)> {
        let bits = |t: i64| (t as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (at..at + count).map(|t| (t, bits(t))).collect()
    };
    let early = START - 90 * 24 * HOUR;
    write(&db, &series(1), &noise(early, 1000));
    compact(&db);
    db.delete(&[Matcher::equal("i", "1")], TimeRange::new(0, early + 500)).unwrap();
    db.pause();
    for day in 0..6 {
        write(&db, &series(0), &noise(START + day * 24 * HOUR, 30_000));
        db.flush().unwrap();
    }
    clock.advance(Duration::from_secs(10 * 86_400));
    db.resume();
    (fs, clock, db)
}

/// Leaves so many bytes free.
fn leave_free(fs: &SimFs, bytes: u64) {
    let space = fs.free_space(Path::new(STORE)).unwrap();
    fs.set_capacity(space.total - space.available + bytes);
}

#[test]
fn a_nearly_full_disk_merges_what_there_is_room_for() {
    let (fs, clock, db) = store_with_deletes(|options| options);
    // For three days of six at most.
    leave_free(&fs, db.stats().level0_bytes * 2 / 3);
    for _ in 0..20 {
        let _ = db.tick();
        clock.advance(Duration::from_secs(300));
    }
    let stats = db.stats();
    assert_eq!(
        (stats.level0_segments, stats.samples_deleted),
        (0, 500),
        "{:?}",
        stats.merge_trouble
    );
    assert_eq!((stats.tombstones, stats.merge_trouble), (0, None));
}

#[test]
fn the_reserve_is_not_given_back_for_what_it_does_not_suffice_for() {
    let reserve = |bytes| move |options| Options { reserve_bytes: Some(bytes), ..options };
    for (reserved, free, held) in [(4 << 10, 1 << 10, true), (64 << 10, 1 << 10, false)] {
        let (fs, clock, db) = store_with_deletes(reserve(reserved));
        leave_free(&fs, free);
        let _ = db.tick();
        clock.advance(Duration::from_secs(300));
        let stats = db.stats();
        assert_eq!(stats.reserve_bytes > 0, held, "{reserved}");
        assert_eq!(stats.samples_deleted, if held { 0 } else { 500 });
        assert!(stats.merge_trouble.is_some(), "the rest does not fit");
    }
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

/// Three merged days, and one level-0 segment that overlaps them all: three merges, the first of which
/// alone takes level-0 segments.
fn store_of_three_merges(change: impl FnOnce(Options) -> Options) -> Db {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let tight =
        |options| Options { level0_merge: 3, level0_slowdown: 4, level0_stall: 5, ..options };
    let db = Db::open(STORE, change(tight(sim_options(&fs, &clock)))).unwrap();
    let days = |bits: u64| -> Vec<(i64, u64)> {
        let day = |day: i64| {
            (0..40_000).map(move |t| (START - day * 24 * HOUR + t, bits.wrapping_mul(t as u64)))
        };
        (400..403).flat_map(day).collect()
    };
    write(&db, &series(0), &days(0x9e37_79b9_7f4a_7c15));
    compact(&db);
    write(&db, &series(0), &days(0x7f4a_7c15_9e37_79b9));
    db
}

#[test]
fn level0_is_split_between_the_merges_of_an_explicit_compaction() {
    let notes = Arc::new(Notes::default());
    let observer = Arc::clone(&notes) as Arc<dyn Observer>;
    let db = store_of_three_merges(|options| Options { observer: Some(observer), ..options });
    let (mut most, mut t) = (0, START);
    notes.0.lock().unwrap().clear();
    db.compact(TimeRange::new(0, START - HOUR), &mut |now| {
        while now.merges == 1 && db.stats().level0_segments < 4 {
            t += 1;
            write(&db, &series(1), &[(t, 1)]);
            db.flush().unwrap();
        }
        most = most.max(db.stats().level0_segments);
        ControlFlow::Continue(())
    })
    .unwrap();
    let started = std::mem::take(&mut *notes.0.lock().unwrap());
    let started: Vec<String> = started.into_iter().filter(|n| n.starts_with("started")).collect();
    let expected = ["started 1", "started 2", "started 4", "started 3"];
    assert_eq!((started.as_slice(), most), (expected.map(String::from).as_slice(), 4));
    assert_eq!(db.stats().level0_segments, 0);
}

#[test]
fn nobody_stalls_for_a_merge_that_takes_no_level0_segment() {
    let db =
        store_of_three_merges(|options| Options { background: Background::Threads, ..options });
    let mut t = START;
    db.compact(TimeRange::new(0, START - HOUR), &mut |now| {
        while now.merges == 1 && db.stats().level0_segments < 6 {
            t += 1;
            // That would wait for the merge which waits for it.
            write(&db, &series(1), &[(t, 1)]);
            db.flush().unwrap();
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    assert_eq!(db.stats().stalls, 0);
    db.close().unwrap();
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
