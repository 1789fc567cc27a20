//! Deletes: what one costs, what tombstones cost a scan, and the merge that erases what they hide.
//!
//! `cargo bench -p siltstone --bench delete`; `-- scan` only the scans.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group};
use siltstone::{
    Background, Clock, CompactReport, Db, Durability, Labels, Matcher, Options, QueryOptions,
    SeriesHandle, Snapshot, SystemClock, TimeRange, WriteBatch,
};
use support::{Series, tsbs_like};

const SERIES: usize = 500;
const ROWS: usize = 4800;
const SEGMENTS: usize = 4;
/// Deletes after which a store is made anew, so that those before cost the next ones little.
const DELETES: usize = 100;
/// Rounds of scans, each of one scan per number of tombstones; the median counts.
const ROUNDS: usize = 21;

/// A store of `SEGMENTS` segments, all of its samples flushed.
struct Store {
    // Dropped before its directory.
    db: Db,
    _dir: tempfile::TempDir,
}

fn open(dir: &Path, durability: Durability) -> Db {
    let options = Options {
        durability,
        background: Background::Manual,
        memory_budget_bytes: 4 << 30,
        query_threads: 0,
        ..Options::default()
    };
    Db::open(dir, options).unwrap()
}

impl Store {
    fn filled(series: &[Series], durability: Durability) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = open(dir.path(), Durability::Never);
        let handles = handles(&db, series.len());
        for rows in (0..ROWS).collect::<Vec<_>>().chunks(ROWS / SEGMENTS) {
            rows.iter().for_each(|&row| write(&db, &handles, series, row));
            db.flush().unwrap();
        }
        db.close().unwrap();
        Self { db: open(dir.path(), durability), _dir: dir }
    }
}

fn handles(db: &Db, count: usize) -> Vec<SeriesHandle> {
    let handle = |i: usize| {
        let host = i.to_string();
        db.series(&Labels::from_pairs([("__name__", "usage"), ("host", &host)]).unwrap()).unwrap()
    };
    (0..count).map(handle).collect()
}

fn write(db: &Db, handles: &[SeriesHandle], series: &[Series], row: usize) {
    let mut batch = WriteBatch::new();
    for (handle, series) in handles.iter().zip(series) {
        batch.push(*handle, series.timestamps[row], series.values[row]).unwrap();
    }
    db.write(&batch).unwrap();
}

/// The row that a delete begins at: a prime spreads them over all segments, each to another place.
fn first_row(number: usize) -> usize {
    number * 7919 % (ROWS - 10)
}

/// Deletes ten samples of one series, of another one for each number.
fn delete_of_one(db: &Db, series: &[Series], number: usize) {
    let host = number % series.len();
    let times = &series[host].timestamps[first_row(number)..];
    let matchers = [Matcher::equal("__name__", "usage"), Matcher::equal("host", host.to_string())];
    let receipt = db.delete(&matchers, TimeRange::new(times[0], times[10])).unwrap();
    assert_eq!(receipt.series, 1);
}

/// Deletes a sample of every series, at the same time of each.
fn delete_of_all(db: &Db, series: &[Series], number: usize) {
    let time = series[0].timestamps[first_row(number)];
    db.delete(&[Matcher::equal("__name__", "usage")], TimeRange::closed(time, time)).unwrap();
}

/// A store and how many deletes it has had.
struct Deletes<'a> {
    series: &'a [Series],
    store: Store,
    done: usize,
}

impl<'a> Deletes<'a> {
    fn new(series: &'a [Series]) -> Self {
        let store = Store::filled(series, Durability::Always);
        // The first one opens the segments.
        delete_of_one(&store.db, series, 0);
        Self { series, store, done: 1 }
    }

    /// The time of so many deletes; `prepare` comes before each and does not count.
    fn time(&mut self, iters: u64, prepare: impl Fn(&Db, usize)) -> Duration {
        let mut took = Duration::ZERO;
        for _ in 0..iters {
            if self.done > DELETES {
                *self = Self::new(self.series);
            }
            prepare(&self.store.db, self.done);
            let clock = SystemClock::new();
            delete_of_one(&self.store.db, self.series, self.done);
            took += clock.monotonic();
            self.done += 1;
        }
        took
    }
}

fn delete(c: &mut Criterion) {
    let series = tsbs_like(SERIES, ROWS);
    let mut group = c.benchmark_group("delete, durable");
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.bench_function("nothing in memory", |b| {
        let mut deletes = Deletes::new(&series);
        b.iter_custom(|iters| deletes.time(iters, |_, _| {}));
    });
    group.bench_function("a memtable to seal", |b| {
        let mut deletes = Deletes::new(&series);
        let prepare = |db: &Db, i: usize| {
            // Or the delete would wait for the flush of those sealed before.
            db.flush().unwrap();
            write(db, &handles(db, SERIES), &series, i);
        };
        b.iter_custom(|iters| deletes.time(iters, prepare));
    });
    group.finish();
}

fn scan(snapshot: &Snapshot) -> (u64, Duration) {
    let clock = SystemClock::new();
    let mut samples = 0;
    let mut visit = |_: &Labels, columns: &siltstone::Columns| {
        samples += black_box(columns).len() as u64;
        ControlFlow::Continue(())
    };
    snapshot.scan(&[], TimeRange::ALL, &QueryOptions::default(), &mut visit).unwrap();
    (samples, clock.monotonic())
}

/// A scan of everything beside that of the same store without tombstones, in turn.
fn scans(name: &str, series: &[Series], delete: fn(&Db, &[Series], usize)) {
    let counts = [0, 1, 100, 1000];
    let stores: Vec<Store> = counts
        .iter()
        .map(|&count| {
            let store = Store::filled(series, Durability::Never);
            (0..count).for_each(|number| delete(&store.db, series, number));
            store
        })
        .collect();
    let snapshots: Vec<Snapshot> = stores.iter().map(|s| s.db.snapshot().unwrap()).collect();
    let mut times = vec![Vec::new(); counts.len()];
    for _ in 0..ROUNDS {
        for (times, snapshot) in times.iter_mut().zip(&snapshots) {
            times.push(scan(snapshot).1);
        }
    }
    let medians: Vec<f64> = times
        .iter_mut()
        .map(|times| {
            times.sort_unstable();
            times[times.len() / 2].as_secs_f64()
        })
        .collect();
    for ((count, median), snapshot) in counts.iter().zip(&medians).zip(&snapshots) {
        println!(
            "scan, {count} tombstones {name}: {:.2} ms, {:.3} x, {} of {} samples",
            median * 1e3,
            median / medians[0],
            scan(snapshot).0,
            SERIES * ROWS,
        );
    }
}

fn hiding() {
    // Ratios of one run, which criterion has no place for; its filter selects this part as well.
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if filter.is_some_and(|filter| !"scan".contains(&*filter)) {
        return;
    }
    let series = tsbs_like(SERIES, ROWS);
    scans("of one series each", &series, delete_of_one);
    scans("of every series", &series, delete_of_all);
}

fn compact(db: &Db) -> CompactReport {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn erase(c: &mut Criterion) {
    let series = tsbs_like(SERIES, ROWS);
    let all = (SERIES * ROWS) as u64;
    let mut group = c.benchmark_group("compact");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(all));
    for (name, merged, deleted) in [
        ("level 0, nothing deleted", false, 0),
        ("level 0, a tenth of the series deleted", false, all / 10),
        ("merged before, a tenth of the series deleted", true, all / 10),
    ] {
        let filled = || {
            let store = Store::filled(&series, Durability::Never);
            if merged {
                compact(&store.db);
            }
            if deleted > 0 {
                let tenth = Matcher::regex("host", ".*7").unwrap();
                store.db.delete(&[tenth], TimeRange::ALL).unwrap();
            }
            store
        };
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                filled,
                |store| assert_eq!(compact(&store.db).deleted, deleted),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, delete, erase);

fn main() {
    benches();
    hiding();
}
