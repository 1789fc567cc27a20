//! Merging where not all goes well: what cannot be read, what does not fit, what comes meanwhile. The rest
//! goes on.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use siltstone::sys::{SimClock, SimFs, Vfs};
use siltstone::{
    Background, CompactReport, Db, Event, Labels, Matcher, Observer, Options, TimeRange,
};
use siltstone_testing::answers::{STORE, labels, sim_clock, sim_options, write};

const HOUR: i64 = 3_600_000;
const START: i64 = 1_700_000_000_000;

fn series(i: usize) -> Labels {
    labels(&[("__name__", "m"), ("i", &i.to_string())])
}

fn compact(db: &Db) -> CompactReport {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn segment_files(fs: &SimFs) -> Vec<PathBuf> {
    fs.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "seg")).collect()
}

/// Notes how many segments each merge takes.
#[derive(Debug, Default)]
struct Sizes(Mutex<Vec<usize>>);

impl Observer for Sizes {
    fn event(&self, event: &Event<'_>) {
        if let Event::MergeStarted { inputs, .. } = event {
            self.0.lock().unwrap().push(inputs.len());
        }
    }
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
    let victim = segment_files(&fs)[0].clone();
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

/// Each flush while it is under way would be another merge, and each delete another rewrite.
#[test]
fn a_compaction_ends_while_writes_and_deletes_go_on() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    for i in 0..3 {
        write(&db, &series(i), &[(START, 1), (START + HOUR, 2)]);
        db.flush().unwrap();
    }
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
    let sizes = Arc::new(Sizes::default());
    let observer = Arc::clone(&sizes) as Arc<dyn Observer>;
    let db = store_of_three_merges(|options| Options { observer: Some(observer), ..options });
    let (mut most, mut t) = (0, START);
    sizes.0.lock().unwrap().clear();
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
    assert_eq!((sizes.0.lock().unwrap().as_slice(), most), ([1, 2, 4, 3].as_slice(), 4));
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
