//! What a snapshot says has changed since another one: everywhere else both must have the same samples.
//!
//! Random histories of everything that changes what readers see, and of everything that must not. After
//! each step the new snapshot is compared with those kept, in both directions.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use siltstone::sys::{Clock, SimClock, SimFs};
use siltstone::{
    Background, Changes, Db, Labels, Matcher, Options, QueryOptions, Snapshot, TimeRange,
    WriteBatch,
};
use siltstone_testing::answers::{STORE, everything, labels, sim_clock, sim_options};

const MINUTE: i64 = 60_000;
/// Snapshots that are kept for comparison.
const KEPT: usize = 10;

/// Places where a later snapshot was compared with an earlier one, samples that were not said to have
/// changed.
static COMPARED: AtomicU64 = AtomicU64::new(0);

/// One step of a history. Times are minutes from the present one.
#[derive(Debug, Clone)]
enum Op {
    /// A batch: (series, time, value).
    Write(Vec<(usize, i64, u8)>),
    /// Batches that become visible together.
    Group(Vec<Vec<(usize, i64, u8)>>),
    /// Samples of now.
    Scrape(u8),
    Delete(usize, i64, i64),
    Flush,
    Compact,
    Tick,
    /// So many minutes pass, then a tick.
    Wait(u16),
    /// Another store joins, with these samples.
    Attach(Vec<(usize, i64, u8)>),
    Reopen,
}

fn row() -> impl Strategy<Value = (usize, i64, u8)> {
    // Most are recent, some are a day late and near the horizon.
    let time = prop_oneof![4 => -30i64..10, 2 => -1500i64..-1380, 1 => -3000i64..0];
    (0usize..4, time, any::<u8>())
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => vec(row(), 1..6).prop_map(Op::Write),
        1 => vec(vec(row(), 1..4), 1..4).prop_map(Op::Group),
        8 => any::<u8>().prop_map(Op::Scrape),
        2 => (0usize..5, -1500i64..10, 1i64..600).prop_map(|(s, at, len)| Op::Delete(s, at, len)),
        3 => Just(Op::Flush),
        1 => Just(Op::Compact),
        2 => Just(Op::Tick),
        3 => (1u16..300).prop_map(Op::Wait),
        1 => vec(row(), 1..8).prop_map(Op::Attach),
        1 => Just(Op::Reopen),
    ]
}

fn series(number: usize) -> Labels {
    labels(&[("__name__", "m"), ("number", &number.to_string())])
}

type Content = BTreeSet<(Labels, i64, u64)>;

fn content(snapshot: &Snapshot) -> Content {
    let all = everything(snapshot).into_iter();
    all.flat_map(|(labels, rows)| rows.into_iter().map(move |(t, v)| (labels.clone(), t, v)))
        .collect()
}

struct Kept {
    snapshot: Snapshot,
    content: Content,
    opening: usize,
}

struct History {
    fs: SimFs,
    clock: Arc<SimClock>,
    options: Options,
    db: Db,
    opening: usize,
    attached: usize,
    kept: Vec<Kept>,
}

impl History {
    fn new(change: impl Fn(Options) -> Options) -> Self {
        let (fs, clock) = (SimFs::new(), sim_clock());
        let options = change(sim_options(&fs, &clock));
        let db = Db::open(STORE, options.clone()).unwrap();
        Self { fs, clock, options, db, opening: 0, attached: 0, kept: Vec::new() }
    }

    fn now(&self) -> i64 {
        self.clock.wall_ms()
    }

    fn batch(&self, db: &Db, rows: &[(usize, i64, u8)]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for &(number, minutes, value) in rows {
            let handle = db.series(&series(number)).unwrap();
            let time = self.now() + minutes * MINUTE;
            batch.push(handle, time, f64::from(value)).unwrap();
        }
        batch
    }

    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(rows) => drop(self.db.write(&self.batch(&self.db, rows)).unwrap()),
            Op::Group(batches) => {
                for rows in batches {
                    self.db.submit(&self.batch(&self.db, rows)).unwrap();
                }
                while self.db.commit_step() {}
            }
            Op::Scrape(value) => {
                self.clock.advance(Duration::from_secs(60));
                let rows: Vec<_> = (0..4).map(|number| (number, 0, *value)).collect();
                self.db.write(&self.batch(&self.db, &rows)).unwrap();
            }
            Op::Delete(number, at, length) => {
                let matcher = match number {
                    4 => Matcher::equal("__name__", "m"),
                    number => Matcher::equal("number", number.to_string()),
                };
                let start = self.now() + at * MINUTE;
                let range = TimeRange::new(start, start + length * MINUTE);
                self.db.delete(&[matcher], range).unwrap();
            }
            Op::Flush => self.db.flush().unwrap(),
            Op::Compact => {
                let go_on = &mut |_: &_| ControlFlow::Continue(());
                self.db.compact(TimeRange::ALL, go_on).unwrap();
            }
            Op::Tick => self.db.tick().unwrap(),
            Op::Wait(minutes) => {
                self.clock.advance(Duration::from_secs(60 * u64::from(*minutes)));
                self.db.tick().unwrap();
            }
            Op::Attach(rows) => self.attach(rows),
            Op::Reopen => {
                self.db.close().unwrap();
                self.db = Db::open(STORE, self.options.clone()).unwrap();
                self.opening += 1;
            }
        }
    }

    fn attach(&mut self, rows: &[(usize, i64, u8)]) {
        self.attached += 1;
        let dir = format!("/other{}", self.attached);
        let other = Db::open(&dir, sim_options(&self.fs, &self.clock)).unwrap();
        other.write(&self.batch(&other, rows)).unwrap();
        other.flush().unwrap();
        other.close().unwrap();
        self.db.attach(&dir).unwrap();
    }

    /// Compares what is there now with what was there, and keeps it.
    fn check(&mut self) {
        let snapshot = self.db.snapshot().unwrap();
        let now = Kept { content: content(&snapshot), snapshot, opening: self.opening };
        for then in &self.kept {
            let changes = now.snapshot.changed_since(&then.snapshot.mark());
            if now.opening == then.opening {
                let back = then.snapshot.changed_since(&now.snapshot.mark());
                assert_eq!(changes, back, "both ways");
            }
            let ranges = match changes {
                Changes::Within(ranges) => ranges,
                _ if now.opening == then.opening => panic!("nothing is forgotten so soon"),
                _ => continue,
            };
            assert_eq!(now.opening, then.opening, "of another opening nothing is known");
            let is_same = |(_, t, _): &&(Labels, i64, u64)| !ranges.iter().any(|r| r.contains(t));
            let kept = now.content.iter().filter(is_same);
            COMPARED.fetch_add(kept.clone().count() as u64, Ordering::Relaxed);
            let before: Vec<_> = then.content.iter().filter(is_same).collect();
            assert_eq!(kept.collect::<Vec<_>>(), before, "outside of {ranges:?}");
        }
        if self.kept.len() == KEPT {
            // Some stay for long.
            self.kept.remove(self.kept.len() / 2);
        }
        self.kept.push(now);
    }
}

fn run(change: impl Fn(Options) -> Options, ops: &[Op]) {
    let mut history = History::new(change);
    history.check();
    for op in ops {
        history.apply(op);
        history.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn outside_of_what_has_changed_nothing_has(ops in vec(op(), 1..60)) {
        run(|options| Options { retention: Some(Duration::from_secs(86_400)), ..options }, &ops);
        run(|options| options, &ops);
    }
}

#[test]
fn what_is_neutral_is_said_to_change_nothing() {
    let mut history = History::new(|options| options);
    history.apply(&Op::Scrape(1));
    history.apply(&Op::Flush);
    history.apply(&Op::Scrape(2));
    let mark = history.db.snapshot().unwrap().mark();
    for op in [Op::Flush, Op::Compact, Op::Tick, Op::Wait(10)] {
        history.apply(&op);
        let changes = history.db.snapshot().unwrap().changed_since(&mark);
        assert_eq!(changes, Changes::Within(vec![]), "{op:?}");
    }
    let now = history.now();
    history.apply(&Op::Write(vec![(0, -5, 1), (0, -3, 2)]));
    history.apply(&Op::Delete(0, 100, 10));
    let changes = history.db.snapshot().unwrap().changed_since(&mark);
    let late = now - 5 * MINUTE..=now - 3 * MINUTE;
    let deleted = now + 100 * MINUTE..=now + 110 * MINUTE - 1;
    assert_eq!(changes, Changes::Within(vec![late, deleted]));
}

/// What is dropped because there is too much of it is no longer there, whatever the horizon says.
#[test]
fn drops_by_size_are_changes() {
    let options = |options| Options { retention_bytes: Some(1 << 20), ..options };
    let mut history = History::new(options);
    let start = history.now();
    let mut seed = 1u64;
    for segment in 0..8 {
        let handle = history.db.series(&series(0)).unwrap();
        let mut batch = WriteBatch::new();
        for row in 0..30_000 {
            // Bits that do not compress.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let time = start + (segment * 30_000 + row) * 1000;
            batch.push_bits(handle, time, seed ^ (seed >> 29) & !(0x7ff << 52)).unwrap();
        }
        history.db.write(&batch).unwrap();
        history.db.flush().unwrap();
        history.check();
        history.apply(&Op::Tick);
        history.check();
    }
    let gone = history.db.stats().segments_dropped;
    assert!(gone > 2, "{gone} segments were dropped");
}

/// What a merge leaves out because it is damaged is no longer there, and what somebody has read before is
/// not to be used.
#[test]
#[expect(clippy::disallowed_methods, reason = "damages the file of a store")]
fn damage_is_a_change_when_it_is_met() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { background: Background::Manual, ..Options::default() };
    let db = Db::open(dir.path(), options).unwrap();
    let write = |start: i64| {
        let mut batch = WriteBatch::new();
        let mut seed = start as u64 + 1;
        for number in 0..100 {
            let handle = db.series(&series(number)).unwrap();
            for row in 0..60 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                batch.push(handle, start + row * MINUTE, (seed >> 20) as f64 / 7.0).unwrap();
            }
        }
        db.write(&batch).unwrap();
        db.flush().unwrap();
    };
    write(0);
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "seg");
    let mut files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(is_segment).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&path, bytes).unwrap();
    write(100 * MINUTE);
    let extent = 0..=59 * MINUTE;
    let changes = |mark: &_| db.snapshot().unwrap().changed_since(mark);
    let before = db.snapshot().unwrap();
    let list = before.list(&[], TimeRange::ALL, &QueryOptions::default()).unwrap();
    let numbers: Vec<u32> = (0..100).collect();
    assert_eq!(changes(&before.mark()), Changes::Within(vec![]), "nobody has met it");
    assert!(list.fold(&numbers, &mut |_, _| ControlFlow::Continue(())).is_err());
    assert_eq!(changes(&before.mark()), Changes::Within(vec![extent.clone()]));
    let met = db.snapshot().unwrap().mark();
    assert!(list.fold(&numbers, &mut |_, _| ControlFlow::Continue(())).is_err());
    assert_eq!(changes(&met), Changes::Within(vec![]), "it is known");
    let report = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(report.damaged_rows > 0, "{report:?}");
    let Changes::Within(ranges) = changes(&met) else { panic!("this is known") };
    assert!(ranges.iter().any(|r| r.contains(extent.start()) && r.contains(extent.end())));
    db.close().unwrap();
}

/// A snapshot that is taken while others write is compared with another one, again and again.
#[test]
fn marks_taken_beside_writers_are_exact() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..2 {
            let (db, done) = (&db, &done);
            scope.spawn(move || {
                let labels = series(number);
                let mut handle = db.series(&labels).unwrap();
                for t in 0..1500i64 {
                    let mut batch = WriteBatch::new();
                    // Every seventh is late.
                    let time = if t % 7 == 3 { t * 10 - 3000 } else { t * 10 };
                    batch.push(handle, time, t as f64).unwrap();
                    // The other writer may have flushed twice since this one's last row.
                    let renew = |_| {
                        handle = db.series(&labels)?;
                        Ok(handle)
                    };
                    db.write_renewing(&mut batch, renew).unwrap();
                    if t % 400 == 399 {
                        db.flush().unwrap();
                    }
                    if t % 500 == 499 {
                        let range = TimeRange::new(t * 10 - 900, t * 10 - 500);
                        db.delete(&[Matcher::equal("number", number.to_string())], range).unwrap();
                    }
                }
                done.store(true, Ordering::Release);
            });
        }
        let mut then = db.snapshot().unwrap();
        let mut compared = 0;
        while !done.load(Ordering::Acquire) || compared < 10 {
            let now = db.snapshot().unwrap();
            let Changes::Within(ranges) = now.changed_since(&then.mark()) else { panic!() };
            let same = |snapshot: &Snapshot| -> Vec<_> {
                let all = content(snapshot).into_iter();
                all.filter(|(_, t, _)| !ranges.iter().any(|r| r.contains(t))).collect()
            };
            assert_eq!(same(&now), same(&then), "outside of {ranges:?}");
            compared += 1;
            then = now;
        }
    });
    db.close().unwrap();
}

/// Last by name: what was compared above must have been something.
#[test]
fn zz_comparisons_had_something_to_compare() {
    run(|options| options, &[Op::Scrape(1), Op::Scrape(2), Op::Flush, Op::Scrape(3)]);
    assert!(COMPARED.load(Ordering::Relaxed) > 0);
}
