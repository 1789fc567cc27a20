//! Retention through the public API: what is dropped, when, and what never shows again.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, SimClock, SimFs, Vfs};
use siltstone::{Background, Db, Labels, Options, TimeRange};
use siltstone_testing::answers::{STORE, everything, labels, sim_clock, sim_options, write};

const HOUR: i64 = 3_600_000;
const DAY: Duration = Duration::from_secs(86_400);

fn series() -> Labels {
    labels(&[("__name__", "срок")])
}

/// A store that keeps a day, whose clock stands at its newest sample.
struct Store {
    fs: SimFs,
    clock: Arc<SimClock>,
    start: i64,
    db: Db,
}

impl Store {
    fn new(change: impl Fn(Options) -> Options) -> Self {
        let (fs, clock) = (SimFs::new(), sim_clock());
        let db = Db::open(STORE, change(sim_options(&fs, &clock))).unwrap();
        Self { start: clock.wall_ms(), fs, clock, db }
    }

    /// Writes and flushes rows at these hours, with these values.
    fn flush(&self, rows: &[(i64, u64)]) {
        let rows: Vec<(i64, u64)> = rows.iter().map(|&(h, v)| (self.start + h * HOUR, v)).collect();
        write(&self.db, &series(), &rows);
        self.db.flush().unwrap();
    }

    /// Hours pass; what is due in each is done.
    fn run(&self, hours: u64) {
        for _ in 0..hours {
            self.clock.advance(Duration::from_secs(3600));
            // On a full disk the log cannot go on.
            let _ = self.db.tick();
        }
    }

    fn reopen(self, change: impl Fn(Options) -> Options) -> Self {
        let Self { fs, clock, start, db } = self;
        db.close().unwrap();
        let db = Db::open(STORE, change(sim_options(&fs, &clock))).unwrap();
        Self { fs, clock, start, db }
    }

    /// The hours and values that a query sees.
    fn seen(&self) -> Vec<(i64, u64)> {
        let found = everything(&self.db.snapshot().unwrap());
        let rows = found.into_iter().flat_map(|(_, rows)| rows);
        rows.map(|(t, v)| ((t - self.start) / HOUR, v)).collect()
    }
}

fn a_day(options: Options) -> Options {
    Options { retention: Some(DAY), ..options }
}

#[test]
fn a_value_that_was_replaced_does_not_come_back_when_more_is_kept() {
    let store = Store::new(a_day);
    store.db.pause();
    store.flush(&[(0, 1), (30, 3)]);
    store.flush(&[(0, 2)]);
    store.run(26);
    store.db.resume();
    store.db.tick().unwrap();
    assert_eq!(store.db.stats().retention_horizon, Some(store.start + 2 * HOUR));
    assert_eq!(store.seen(), [(30, 3)]);
    let store = store.reopen(|options| Options { retention: Some(100 * DAY), ..options });
    let seen = store.seen();
    assert!(!seen.contains(&(0, 1)), "as it was before it was replaced: {seen:?}");
}

#[test]
fn a_merge_that_trims_brings_no_replaced_value_back() {
    let store = Store::new(a_day);
    store.flush(&[(0, 1), (40, 3)]);
    store.db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    store.db.pause();
    store.flush(&[(0, 2), (1, 2)]);
    store.run(26);
    store.db.resume();
    store.run(1);
    assert!(store.db.stats().merges > 1, "the new one was cut by window");
    let store = store.reopen(|options| options);
    assert_eq!(store.seen(), [(0, 2), (1, 2), (40, 3)]);
}

#[test]
fn compacting_erases_what_has_expired() {
    let store = Store::new(a_day);
    store.flush(&[(0, 1), (1, 2), (30, 3)]);
    store.db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    store.run(26);
    assert_eq!(store.db.stats().samples, 3);
    let report = store.db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.expired, store.db.stats().samples), (2, 1));
    store.clock.advance(Duration::from_secs(1));
    let report = store.db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.merges, 0, "there is nothing left to erase");
}

#[test]
fn the_limit_in_bytes_needs_no_clock() {
    let limited = |options| Options { retention_bytes: Some(1 << 20), ..a_day(options) };
    let noise = |store: &Store| {
        for hour in 0..8 {
            let value = |row: i64| (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let start = store.start + hour * HOUR;
            let rows: Vec<(i64, u64)> = (0..30_000).map(|row| (start + row, value(row))).collect();
            write(&store.db, &series(), &rows);
            store.db.flush().unwrap();
        }
    };
    let store = Store::new(a_day);
    noise(&store);
    store.clock.set_wall_ms(store.clock.wall_ms() + 1000 * 24 * HOUR);
    let store = store.reopen(limited);
    store.run(1);
    let stats = store.db.stats();
    let is_old = |horizon| horizon < store.start;
    assert!(stats.retention_horizon.is_none_or(is_old), "the clock is not believed");
    assert!(stats.segments_dropped > 0 && stats.segments < 8, "{stats:?}");
}

#[test]
fn a_store_that_is_open_for_some_hours_a_day_expires() {
    let store = Store::new(a_day);
    store.flush(&[(0, 1)]);
    store.flush(&[(1000, 2)]);
    // Closed for some days, then open for ten hours a day.
    let mut store = store;
    store.clock.set_wall_ms(store.clock.wall_ms() + 100 * HOUR);
    for day in 0..4 {
        store.clock.set_wall_ms(store.clock.wall_ms() + 14 * HOUR);
        store = store.reopen(a_day);
        store.run(10);
        store.flush(&[(1001 + day, 3)]);
    }
    store.run(1);
    assert_eq!(store.db.stats().segments_dropped + store.db.stats().segments, 6 - 1);
    assert!(store.seen().iter().all(|&(hour, _)| hour > 0), "{:?}", store.seen());
}

#[test]
fn what_has_expired_is_dropped_on_a_full_disk() {
    let reserved = |options| Options { reserve_bytes: Some(1 << 20), ..a_day(options) };
    let store = Store::new(reserved);
    store.flush(&[(0, 1)]);
    store.flush(&[(40, 2)]);
    let space = store.fs.free_space(STORE.as_ref()).unwrap();
    store.fs.set_capacity(space.total - space.available);
    store.run(26);
    assert_eq!(store.db.stats().segments_dropped, 1);
    assert_eq!(store.seen(), [(40, 2)]);
}

#[test]
fn retention_needs_no_thread_that_merges() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = Options {
        background: Background::Threads,
        compaction_threads: 0,
        retention_bytes: None,
        ..a_day(sim_options(&fs, &clock))
    };
    let db = Db::open(STORE, options).unwrap();
    let start = clock.wall_ms();
    for hour in [0, 40] {
        write(&db, &series(), &[(start + hour * HOUR, 1)]);
        db.flush().unwrap();
    }
    // An hour at a time, as a clock that is right goes on.
    for _ in 0..26 {
        clock.advance(Duration::from_secs(3600));
    }
    // A round of the flusher is a second; a minute is for a machine that is very busy.
    for _ in 0..600 {
        if db.stats().segments_dropped > 0 {
            break;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
    assert_eq!(db.stats().segments, 1);
}
