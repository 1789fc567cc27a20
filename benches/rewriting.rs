//! How often bytes are rewritten, and what late data costs the ingest: days of samples pass through a
//! store by a simulated clock, on one thread, flushes and merges included.
//!
//! Prints for each load the bytes of segments written over those at rest when nothing more comes, and
//! samples per second of this thread's processor time; for late data also beside the same samples in
//! order. Default options, so that a flush comes every two hours or when the memtable is full.
//!
//! `cargo bench -p siltstone --bench rewriting`, with the name of a load to run that alone.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::SimClock;
use siltstone::{Background, Db, Durability, Error, Labels, Options, SeriesHandle, WriteBatch};
use support::{Random, processor_seconds};

const START_MS: i64 = 1_700_006_400_000;
const DAY_MS: i64 = 86_400_000;
/// How late a sample may be.
const LATE_DAYS: i64 = 30;

/// Which samples come late.
#[derive(Clone, Copy, PartialEq)]
enum Late {
    Never,
    /// One in ten, each by a time of its own.
    Scattered,
    /// Those of one host in ten, which deliver six hours at once, by a time of their own.
    Backlogs,
}

struct Load {
    name: &'static str,
    series: usize,
    interval_ms: i64,
    days: i64,
    late: Late,
}

/// What a load came to.
struct Outcome {
    samples: u64,
    /// Written over at rest.
    written: f64,
    per_second: f64,
}

/// Series of a host.
const HOST_SERIES: usize = 10;

/// A store, and who writes to it.
struct Writer {
    db: Db,
    clock: Arc<SimClock>,
    labels: Vec<Labels>,
    handles: Vec<SeriesHandle>,
    levels: Vec<f64>,
    random: Random,
    /// By when they come: (series, time, value).
    withheld: BTreeMap<i64, Vec<(usize, i64, f64)>>,
    batch: WriteBatch,
    seconds: f64,
    samples: u64,
}

impl Writer {
    fn new(dir: &std::path::Path, series: usize) -> Self {
        let clock = Arc::new(SimClock::new(START_MS));
        let options = Options {
            durability: Durability::Never,
            background: Background::Manual,
            clock: Arc::clone(&clock) as _,
            ..Options::default()
        };
        let db = Db::open(dir, options).unwrap();
        let labels = |i: usize| {
            let (host, gauge) = (format!("host_{:04}", i / HOST_SERIES), i % HOST_SERIES);
            let name = format!("cpu_usage_{gauge}");
            let pairs =
                [("__name__", name.as_str()), ("hostname", &host), ("region", "eu-central-1")];
            Labels::from_pairs(pairs).unwrap()
        };
        let labels: Vec<Labels> = (0..series).map(labels).collect();
        let handles = labels.iter().map(|labels| db.series(labels).unwrap()).collect();
        let (levels, random) = (vec![50.0; series], Random(42));
        let (withheld, batch) = (BTreeMap::new(), WriteBatch::new());
        let (seconds, samples) = (0.0, 0);
        Self { db, clock, labels, handles, levels, random, withheld, batch, seconds, samples }
    }

    /// The delivery of what a host or a series measured at `time`, if that is late.
    fn delivery(&mut self, late: Late, series: usize, time: i64, interval: i64) -> Option<i64> {
        let is_late = match late {
            Late::Never => false,
            Late::Scattered => self.random.bits().is_multiple_of(10),
            Late::Backlogs => {
                let part = time.div_euclid(DAY_MS / 4) as u64;
                let host = (series / HOST_SERIES) as u64;
                Random(host << 32 ^ part).bits().is_multiple_of(10)
            }
        };
        is_late.then(|| {
            let by = |unit: f64| (unit * (LATE_DAYS * DAY_MS) as f64) as i64;
            let at = match late {
                Late::Backlogs => {
                    let part = time.div_euclid(DAY_MS / 4);
                    let host = (series / HOST_SERIES) as u64;
                    let unit = Random(host << 32 ^ !part as u64).unit();
                    (part + 1) * (DAY_MS / 4) + by(unit)
                }
                _ => time + by(self.random.unit()),
            };
            (at.div_euclid(interval) + 1) * interval
        })
    }

    fn step(&mut self, time: i64, interval: i64, late: Late) {
        let mut rows = Vec::with_capacity(self.labels.len());
        for series in 0..self.labels.len() {
            let level = self.levels[series] + self.random.normal();
            self.levels[series] = level.clamp(0.0, 100.0);
            let value = self.levels[series].floor();
            match self.delivery(late, series, time, interval) {
                Some(at) => self.withheld.entry(at).or_default().push((series, time, value)),
                None => rows.push((series, time, value)),
            }
        }
        let later = self.withheld.split_off(&(time + 1));
        rows.extend(std::mem::replace(&mut self.withheld, later).into_values().flatten());
        self.samples += rows.len() as u64;
        let start = processor_seconds();
        self.write(&rows);
        self.clock.advance(Duration::from_millis(interval as u64));
        self.db.tick().unwrap();
        self.seconds += processor_seconds() - start;
    }

    fn write(&mut self, rows: &[(usize, i64, f64)]) {
        loop {
            self.batch.clear();
            for &(series, time, value) in rows {
                self.batch.push(self.handles[series], time, value).unwrap();
            }
            match self.db.write(&self.batch) {
                // A host that was silent since the last flush.
                Err(Error::StaleHandle(_)) => {
                    let handle = |labels: &Labels| self.db.series(labels).unwrap();
                    self.handles = self.labels.iter().map(handle).collect();
                }
                written => {
                    written.unwrap();
                    return;
                }
            }
        }
    }

    /// Two days pass in which nothing comes.
    fn rest(&mut self) {
        let start = processor_seconds();
        for _ in 0..48 {
            self.clock.advance(Duration::from_secs(3600));
            self.db.tick().unwrap();
            while !self.db.compaction_plan().merges.is_empty() {
                self.db.tick().unwrap();
            }
        }
        self.seconds += processor_seconds() - start;
    }
}

impl Load {
    fn run(&self) -> Outcome {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::new(dir.path(), self.series);
        let end = START_MS + self.days * DAY_MS;
        for time in (START_MS..end).step_by(self.interval_ms as usize) {
            writer.step(time, self.interval_ms, self.late);
        }
        let live = writer.db.stats();
        writer.rest();
        let stats = writer.db.stats();
        let written = stats.flush_bytes_written + stats.merge_bytes_written;
        let bytes = stats.bytes_by_kind;
        let at_rest = bytes.values + bytes.timestamps + bytes.index + bytes.other_segment;
        let outcome = Outcome {
            samples: writer.samples,
            written: written as f64 / at_rest as f64,
            per_second: writer.samples as f64 / writer.seconds,
        };
        println!(
            "{}: {:.1} M samples, {} flushes, {} merges; written {:.2} times ({:.2} by flushes), {:.3} bytes \
             a sample at rest; {} segments at the end, {} at rest; {:.2} M samples/s of processor time",
            self.name,
            outcome.samples as f64 / 1e6,
            stats.flushes,
            stats.merges,
            outcome.written,
            stats.flush_bytes_written as f64 / at_rest as f64,
            at_rest as f64 / stats.samples as f64,
            live.segments,
            stats.segments,
            outcome.per_second / 1e6,
        );
        writer.db.close().unwrap();
        outcome
    }
}

fn main() {
    let wanted = std::env::args().nth(1).filter(|name| !name.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_deref().is_none_or(|wanted| name.contains(wanted));
    if is_wanted("day") {
        let (series, interval_ms) = (10_000, 10_000);
        Load { name: "day", series, interval_ms, days: 1, late: Late::Never }.run();
    }
    if !is_wanted("late") {
        return;
    }
    let load = |name, late| Load { name, series: 2_000, interval_ms: 60_000, days: 60, late };
    let in_order = load("late, in order", Late::Never).run();
    for (name, late) in [
        ("late, backlogs of six hours", Late::Backlogs),
        ("late, one sample in ten", Late::Scattered),
    ] {
        let outcome = load(name, late).run();
        println!(
            "  {:.0} % of the rate in order",
            100.0 * outcome.per_second / in_order.per_second
        );
    }
}
