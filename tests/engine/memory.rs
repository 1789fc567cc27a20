//! The memory budget under series that come and go, and at its limit.

use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{SimClock, SimFs};
use siltstone::{
    Background, Db, Durability, Error, Labels, Limit, Matcher, Options, Stats, TimeRange,
    WriteBatch,
};
use siltstone_testing::answers::{self, STORE, everything, labels, sim_clock, sim_options, write};

const BUDGET: u64 = 16 << 20;

fn options(fs: &SimFs, clock: &Arc<SimClock>) -> Options {
    Options { memory_budget_bytes: BUDGET, ..sim_options(fs, clock) }
}

fn open() -> (Db, Arc<SimClock>) {
    let (fs, clock) = (SimFs::new(), sim_clock());
    (Db::open(STORE, options(&fs, &clock)).unwrap(), clock)
}

fn name_of(series: usize) -> Labels {
    let (host, metric) = ((series / 10).to_string(), (series % 10).to_string());
    // Long, so that the registry is full before the memtable is.
    let pod = format!("{series:0>100}");
    labels(&[("__name__", "churn"), ("host", &host), ("metric", &metric), ("pod", &pod)])
}

/// One sample at `time` of each series for which there is room; returns how many there were.
fn write_each(db: &Db, series: impl Iterator<Item = usize>, time: i64) -> usize {
    let all: Vec<usize> = series.collect();
    let mut written = 0;
    for part in all.chunks(500) {
        loop {
            let mut batch = WriteBatch::new();
            for &series in part {
                match db.series(&name_of(series)) {
                    Ok(handle) => batch.push(handle, time, series as f64).unwrap(),
                    Err(Error::LimitExceeded(exceeded)) => {
                        assert!(matches!(exceeded.limit, Limit::ActiveSeries { .. }), "{exceeded}");
                    }
                    Err(error) => panic!("{error}"),
                }
            }
            match db.write(&batch) {
                Ok(_) => written += batch.rows(),
                Err(Error::StaleHandle(_)) => continue,
                Err(error) => panic!("{error}"),
            }
            break;
        }
    }
    written
}

/// What must hold at any moment.
fn check_bounds(stats: &Stats) {
    let used = stats.registry_used_bytes;
    assert!(used <= stats.registry_bytes_max + 100_000, "{used} of {}", stats.registry_bytes_max);
    assert!(stats.registry_bytes <= stats.registry_bytes_max * 5 / 4, "{}", stats.registry_bytes);
    let all = stats.registry_bytes + stats.memtable_bytes + stats.cache_bytes + stats.queue_bytes;
    assert!(all <= BUDGET, "{all} bytes");
}

/// A window of `active` series moves over `series` of them; each gets `samples` samples.
fn churn(db: &Db, series: usize, active: usize, samples: usize) {
    let step = active / samples;
    let mut end = 0;
    for round in 0.. {
        end += step;
        let window = end.saturating_sub(active)..end.min(series);
        if window.is_empty() {
            break;
        }
        let active = window.len();
        assert_eq!(write_each(db, window, round), active, "nobody is refused");
        check_bounds(&db.stats());
    }
}

#[test]
fn series_in_turn_are_never_refused() {
    let (db, _) = open();
    churn(&db, 60_000, 3_200, 4);
    let stats = db.stats();
    assert_eq!((stats.series_refused, stats.samples), (0, 240_000));
    assert!(stats.early_seals > 1, "{stats:?}");
    assert!(stats.early_seals <= 12, "each makes room for many: {}", stats.early_seals);
    assert!(stats.series_evicted > 30_000);
    let first = name_of(7);
    let matchers: Vec<Matcher> = first.iter().map(|(n, v)| Matcher::equal(n, v)).collect();
    let found = answers::select(&db.snapshot().unwrap(), &matchers, TimeRange::ALL);
    let expected: Vec<(i64, u64)> = (0..4).map(|t| (t, 7f64.to_bits())).collect();
    assert_eq!(found, [(first, expected)]);
}

#[test]
fn too_many_at_once_are_refused_and_the_known_go_on() {
    let (db, _) = open();
    let known = write_each(&db, 0..40_000, 0);
    assert!((10_000..30_000).contains(&known), "{known}");
    // Round after round, also across flushes: those that were first, and nobody else.
    for round in 1..12 {
        if round % 4 == 0 {
            db.flush().unwrap();
        }
        assert_eq!(write_each(&db, 0..known, round), known, "round {round}");
        assert_eq!(write_each(&db, known..known + 3000, round), 0, "round {round}");
        check_bounds(&db.stats());
    }
    let stats = db.stats();
    assert_eq!(stats.early_seals, 0, "sealing would make no room");
    assert_eq!(stats.active_series as usize, known);
    assert_eq!(stats.series_refused as usize, 40_000 - known + 11 * 3000);
}

#[test]
fn rest_makes_room_after_a_while() {
    let (db, clock) = open();
    let known = write_each(&db, 0..40_000, 0);
    assert_eq!(write_each(&db, known..known + 10, 1), 0);
    clock.advance(Duration::from_secs(301));
    // Half of them are heard of again: the others are idle.
    assert_eq!(write_each(&db, 0..known / 2, 2), known / 2);
    assert_eq!(write_each(&db, known..known + 1000, 2), 1000);
    assert_eq!(db.stats().early_seals, 1);
    assert_eq!(write_each(&db, 0..known / 2, 3), known / 2);
}

#[test]
fn series_that_are_never_written_make_room() {
    let (db, clock) = open();
    let kept = write_each(&db, 0..100, 0);
    let looked_up =
        |from: usize| (from..).take_while(|series| db.series(&name_of(*series)).is_ok()).count();
    let ghosts = looked_up(1000);
    assert!(ghosts > 10_000, "{ghosts}");
    check_bounds(&db.stats());
    assert!(
        db.series(&name_of(1_000_000)).is_err(),
        "whoever asked for them may be about to write"
    );
    clock.advance(Duration::from_secs(61));
    assert!(looked_up(2_000_000) > ghosts / 4, "without a flush");
    assert_eq!((db.stats().flushes, db.stats().early_seals), (0, 0));
    check_bounds(&db.stats());
    // Whatever comes and goes, what was written stays.
    assert_eq!(write_each(&db, 0..100, 1), kept);
    assert_eq!(everything(&db.snapshot().unwrap()).len(), kept);
    // A handle that has gone is stale, and never another series.
    clock.advance(Duration::from_secs(61));
    let (gone, mut batch) = (db.series(&name_of(3_000_000)).unwrap(), WriteBatch::new());
    batch.push(gone, 2, 1.0).unwrap();
    clock.advance(Duration::from_secs(61));
    looked_up(4_000_000);
    assert!(matches!(db.write(&batch), Err(Error::StaleHandle(_))));
}

#[test]
fn long_labels_count_for_what_they_are() {
    let (db, _) = open();
    let text = "x".repeat(4000);
    let mut admitted = 0u64;
    for i in 0..5000 {
        match db.series(&labels(&[("i", &format!("{i}{text}"))])) {
            Ok(_) => admitted += 1,
            Err(Error::LimitExceeded(_)) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let stats = db.stats();
    assert!(admitted * 4000 < stats.registry_bytes_max, "{admitted}");
    assert!(admitted * 6000 > stats.registry_bytes_max, "{admitted}");
    check_bounds(&stats);
}

#[test]
fn a_snapshot_keeps_its_series_and_lets_them_go() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = Options { series_max: Some(100), ..options(&fs, &clock) };
    let db = Db::open(STORE, options).unwrap();
    assert_eq!(write_each(&db, 0..100, 0), 100);
    let snapshot = db.snapshot().unwrap();
    db.flush().unwrap();
    clock.advance(Duration::from_secs(301));
    assert!(db.stats().snapshot_bytes > 0);
    assert_eq!(write_each(&db, 100..110, 1), 0, "no flush would free them");
    assert_eq!((db.stats().flushes, everything(&snapshot).len()), (1, 100));
    drop(snapshot);
    clock.advance(Duration::from_secs(1));
    assert_eq!(write_each(&db, 100..110, 1), 10);
    assert_eq!(db.stats().snapshot_bytes, 0);
}

#[test]
fn threads_wait_for_the_flush_that_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        memory_budget_bytes: BUDGET,
        durability: Durability::Never,
        background: Background::Threads,
        // Not this test's subject.
        admission_wait: Duration::from_secs(600),
        ..Options::default()
    };
    let db = Db::open(dir.path(), options).unwrap();
    churn(&db, 60_000, 3_200, 4);
    let stats = db.stats();
    assert_eq!((stats.series_refused, stats.samples), (0, 240_000));
    assert!(stats.early_seals > 0);
    db.close().unwrap();
}

#[test]
fn the_queue_is_bounded_and_refuses_or_waits() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = Options { queue_bytes_max: Some(10_000), ..options(&fs, &clock) };
    let db = Db::open(STORE, options).unwrap();
    let series = db.series(&labels(&[("a", "1")])).unwrap();
    let batch = |rows: i64| {
        let mut batch = WriteBatch::new();
        (0..rows).for_each(|t| batch.push(series, t, 0.5).unwrap());
        batch
    };
    let tickets: Vec<_> = (0..4).map(|_| db.submit(&batch(100)).unwrap()).collect();
    assert!(db.stats().queue_bytes >= 4 * 1600);
    let Err(error @ Error::LimitExceeded(_)) = db.submit(&batch(300)) else { panic!("no limit") };
    let text = error.to_string();
    assert!(text.contains("of at most 10000"), "{text}");
    assert_eq!(db.stats().queue_refused, 1);
    // A write makes room for itself.
    db.write(&batch(300)).unwrap();
    assert!(tickets.iter().all(|ticket| ticket.poll().unwrap().is_ok()));
    // One batch may be larger than the queue, if it is alone.
    let large = db.submit(&batch(5000)).unwrap();
    assert!(matches!(db.submit(&batch(1)), Err(Error::LimitExceeded(_))));
    assert!(db.commit_step());
    assert!(large.poll().unwrap().is_ok());
    db.submit(&batch(1)).unwrap();
    assert!(db.commit_step());
    assert_eq!(db.stats().batches_written, 7);
}

#[test]
fn writers_share_a_small_queue() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = Options { queue_bytes_max: Some(1000), ..options(&fs, &clock) };
    let db = Db::open(STORE, options).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..8 {
            let db = db.clone();
            scope.spawn(move || {
                for time in 0..200 {
                    write(&db, &name_of(writer), &[(time, 1)]);
                }
            });
        }
    });
    assert_eq!((db.stats().samples, db.stats().queue_refused), (1600, 0));
}
