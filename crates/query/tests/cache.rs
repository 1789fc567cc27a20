//! The result cache tries to lie: random histories of a store, and after each step queries of panels that
//! move, answered by the cache and by the plain engine on the same snapshot. Both must be equal bit for
//! bit, in labels and in order, notes and errors included.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use siltstone::sys::{Clock, SimClock, SimFs};
use siltstone::{
    Background, Db, Labels, Matcher, MemoryPool, Options, Snapshot, TimeRange, WriteBatch,
};
use siltstone_query::{
    Answer, CacheUse, Engine, Features, Query, QueryError, QueryValue, ResultCache, StoreSource,
};

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// The store keeps samples for so long.
const KEPT: Duration = Duration::from_secs(3 * 3600);
const STALE: u64 = 0x7ff0_0000_0000_0002;

const QUERIES: &[&str] = &[
    "m",
    "rate(m[5m])",
    "sum(rate(m[5m]))",
    "sum by (x) (rate(m[3m]))",
    "avg without (y) (g)",
    "increase(m[10m] offset 20m)",
    "g offset -10m",
    "sum(g offset -3m) - sum(g offset 3m)",
    "max_over_time(g[7m])",
    "max_over_time(rate(m[2m])[10m:1m])",
    "count_over_time(g[10m:])",
    "min_over_time(sum(g)[5m:30s] offset 2m)",
    "absent(g{x=\"7\"})",
    "absent(g{x=\"1\",y=\"1\"})",
    "absent_over_time(g{x=\"1\"}[2m])",
    "topk(2, g)",
    "bottomk(1, rate(m[5m]))",
    "topk(2, sum by (x) (g))",
    "m / on (x, y) g",
    "sum by (x) (m) / on (x) group_left sum by (x) (g)",
    "sum(m * g)",
    "sum(sum by (y) (rate(m[5m])))",
    "sum(g or m)",
    "avg_over_time(g[5m])",
    "stddev_over_time(g[4m] offset -2m)",
    "avg(sum_over_time(g[10m:45s]))",
    "deriv(g[5m])",
    "g > 50",
    "g > bool 50",
    "g == 3",
    "g unless m > 300",
    "g and g offset 15m",
    "g or m",
    "g @ 1700000000",
    "g - g @ end()",
    "count_values(\"value\", round(g / 30))",
    "label_replace(g, \"z\", \"$1\", \"x\", \"(.*)\") > 20",
    "histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))",
    "histogram_quantile(0.5, b_bucket)",
    "quantile(0.3, g)",
    "quantile(1.5, g)",
    "stddev(g)",
    "count(g) + scalar(sum(g))",
    "sum_over_time(g[5m])",
    "sum_over_time(g[30s])",
    "timestamp(g) - time()",
    "day_of_week() + minute()",
    "rate({x=\"1\"}[5m])",
    "changes(g[10m]) > 2",
    "{__name__=~\"g|m\",x=\"1\"}",
    "-{x=\"1\",y=\"0\"}",
    "rate(g[5m])",
    "1 + 1",
    "sort(g)",
];

/// Numbers that are the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn between(&mut self, first: i64, end: i64) -> i64 {
        first + self.below((end - first) as u64) as i64
    }
}

/// A panel: a query and the range that it shows.
struct Panel {
    query: Query,
    start: i64,
    end: i64,
    step: i64,
}

/// How much was asked and how much of it was there.
#[derive(Default)]
struct Tally {
    answers: u64,
    steps: u64,
    cached: u64,
    points: u64,
    continued: std::collections::BTreeSet<String>,
}

fn notes(answer: &Answer) -> (Vec<String>, Vec<String>) {
    (answer.warnings(), answer.infos())
}

/// Asks both on one snapshot.
fn ask(
    cache: &ResultCache,
    snapshot: &Snapshot,
    engine: &Engine,
    panel: &Panel,
    tally: &mut Tally,
) {
    let source = StoreSource::new(snapshot);
    let (range, step) = ((panel.start, panel.end), panel.step);
    let expected = source.range(engine, &panel.query, range, step);
    let found = cache.range(&source, engine, &panel.query, range, step);
    let text = panel.query.text();
    match (found, expected) {
        (Ok((found, used)), Ok(expected)) => {
            let place = format!("{text} {range:?} {step} {used:?}");
            assert_eq!(found.value, expected.value, "{place}");
            assert_eq!(notes(&found), notes(&expected), "{place}");
            let steps = (range.1 - range.0) as u64 / step as u64 + 1;
            if let CacheUse::Partial { steps } | CacheUse::Whole { steps } = used {
                tally.cached += steps;
                tally.continued.insert(text.to_owned());
            }
            tally.steps += steps;
            tally.answers += 1;
            if let QueryValue::Matrix(series) = expected.value {
                tally.points += series.iter().map(|one| one.points.len() as u64).sum::<u64>();
            }
        }
        (Err(found), Err(expected)) => {
            assert_eq!(found.to_string(), expected.to_string(), "{text}")
        }
        (found, expected) => panic!("{text}: {found:?} {expected:?}"),
    }
}

fn labels(pairs: &[(&str, String)]) -> Labels {
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).unwrap()
}

fn all_series() -> Vec<Labels> {
    let mut all = Vec::new();
    for name in ["m", "g"] {
        for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)] {
            let (x, y) = (x.to_string(), y.to_string());
            all.push(labels(&[("__name__", name.to_owned()), ("x", x), ("y", y)]));
        }
    }
    for le in ["0.1", "1", "1.0", "5", "+Inf"] {
        all.push(labels(&[("__name__", "b_bucket".to_owned()), ("le", le.to_owned())]));
    }
    all
}

struct History {
    clock: Arc<SimClock>,
    /// Ticks of a millisecond.
    ticks: i64,
    options: Options,
    db: Db,
    random: Random,
    series: Vec<Labels>,
    counters: Vec<f64>,
    attached: u32,
    panels: Vec<Panel>,
}

impl History {
    fn new(seed: u64) -> Self {
        let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(1_700_000_000_000)));
        let options = Options {
            background: Background::Manual,
            query_threads: 0,
            vfs: Arc::new(fs.clone()),
            clock: Arc::clone(&clock) as _,
            retention: Some(KEPT),
            level0_merge: 4,
            ticks_per_second: if seed % 5 == 3 { 1_000_000 } else { 1000 },
            ..Options::default()
        };
        let db = Db::open("/store", options.clone()).unwrap();
        let series = all_series();
        let counters = vec![0.0; series.len()];
        let random = Random(seed);
        let (attached, panels) = (0, Vec::new());
        let ticks = db.ticks_per_second() as i64 / 1000;
        Self { clock, ticks, options, db, random, series, counters, attached, panels }
    }

    fn now(&self) -> i64 {
        self.clock.wall_ms()
    }

    /// The next value of a series; gauges are fractions, whole numbers and zeros.
    fn value(&mut self, number: usize) -> u64 {
        let random = &mut self.random;
        if random.below(40) == 0 {
            return STALE;
        }
        let is_gauge = (5..10).contains(&number);
        let value = match random.below(12) {
            0 => 3.0,
            1 => 0.0,
            2 if is_gauge => -0.0,
            3 if !is_gauge => {
                self.counters[number] = 0.0;
                0.1
            }
            _ if is_gauge => random.below(1000) as f64 / 7.0,
            _ => {
                self.counters[number] += random.below(1000) as f64 / 13.0;
                self.counters[number]
            }
        };
        value.to_bits()
    }

    fn scrape(&mut self) {
        self.clock.advance(Duration::from_secs(15 + self.random.below(3) * 15));
        let now = self.now();
        let mut batch = WriteBatch::new();
        for number in 0..self.series.len() {
            if self.random.below(8) == 0 {
                continue;
            }
            let handle = self.db.series(&self.series[number]).unwrap();
            let bits = self.value(number);
            let time = now * self.ticks - self.random.between(0, 2000 * self.ticks);
            batch.push_bits(handle, time, bits).unwrap();
        }
        self.db.write(&batch).unwrap();
    }

    /// A few samples of any time, on top of others or between them.
    fn late(&mut self, db: &Db) {
        let mut batch = WriteBatch::new();
        let (at, length) = (self.random.between(-200, 2) * MINUTE, self.random.between(1, 300));
        for _ in 0..self.random.below(5) + 1 {
            let number = self.random.below(self.series.len() as u64) as usize;
            let handle = db.series(&self.series[number]).unwrap();
            let time = self.now() + at + self.random.between(0, length) * SECOND;
            let time = time * self.ticks + self.random.between(0, self.ticks);
            batch.push_bits(handle, time, self.value(number)).unwrap();
        }
        db.write(&batch).unwrap();
    }

    fn delete(&mut self) {
        let matcher = match self.random.below(4) {
            0 => Matcher::equal("__name__", "g"),
            1 => Matcher::regex("__name__", ".+").unwrap(),
            _ => Matcher::equal("x", self.random.below(3).to_string()),
        };
        let start = self.now() - self.random.between(0, 200) * MINUTE;
        let end = start + self.random.between(1, 40) * MINUTE;
        let range = TimeRange::new(start * self.ticks, end * self.ticks);
        self.db.delete(&[matcher], range).unwrap();
    }

    fn step(&mut self) {
        match self.random.below(40) {
            0..=17 => self.scrape(),
            18..=21 => self.late(&self.db.clone()),
            22..=23 => self.delete(),
            24..=25 => self.db.flush().unwrap(),
            26 => {
                let go_on = &mut |_: &_| ControlFlow::Continue(());
                drop(self.db.compact(TimeRange::ALL, go_on).unwrap());
            }
            27..=28 => self.db.tick().unwrap(),
            29 => {
                // Retention moves on.
                self.clock.advance(Duration::from_secs(60 * (1 + self.random.below(30))));
                self.db.tick().unwrap();
            }
            30 if self.random.below(3) == 0 => {
                self.db.close().unwrap();
                self.db = Db::open("/store", self.options.clone()).unwrap();
            }
            31 if self.random.below(2) == 0 => self.attach(),
            _ => {}
        }
    }

    fn attach(&mut self) {
        self.attached += 1;
        let dir = format!("/other{}", self.attached);
        let options = Options { retention: None, ..self.options.clone() };
        let other = Db::open(&dir, options).unwrap();
        self.late(&other);
        other.flush().unwrap();
        other.close().unwrap();
        self.db.attach(&dir).unwrap();
    }

    /// A panel, moved, resized or new.
    fn next_panel(&mut self) -> usize {
        let now = self.now();
        let random = &mut self.random;
        if self.panels.len() < 24 || random.below(60) == 0 {
            let text = QUERIES[random.below(QUERIES.len() as u64) as usize];
            let query = Query::parse(text, Features::default()).unwrap();
            let step = [30, 60, 45, 17][random.below(4) as usize] * SECOND;
            let end = now + random.between(-170, 5) * MINUTE * random.between(0, 2);
            let start = end - random.between(5, 60) * step;
            self.panels.push(Panel { query, start, end, step });
            if self.panels.len() > 24 {
                self.panels.swap_remove(random.below(24) as usize);
            }
            return self.panels.len() - 1;
        }
        let number = random.below(24) as usize;
        let panel = &mut self.panels[number];
        match random.below(12) {
            0..=4 => {
                // Up to now.
                let moved = (now - panel.end).div_euclid(panel.step) * panel.step;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            5..=6 => {
                let moved = random.between(-3, 8) * panel.step;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            7 => panel.start -= random.between(0, 20) * panel.step,
            8 => panel.end -= ((panel.end - panel.start) / panel.step / 2) * panel.step,
            9 => panel.end += random.between(0, 9) * panel.step,
            10 => {
                // Other steps of the same query.
                let moved = random.between(-40, 40) * SECOND;
                (panel.start, panel.end) = (panel.start + moved, panel.end + moved);
            }
            _ => {}
        }
        panel.start = panel.start.max(panel.end - 120 * panel.step);
        number
    }
}

#[test]
fn what_is_kept_is_never_different() {
    let mut tally = Tally::default();
    for seed in 0..24u64 {
        let mut history = History::new(seed * 7919 + 1);
        (0..60).for_each(|_| history.scrape());
        // The last one is so small that answers drive each other out.
        let cache = ResultCache::new(if seed % 8 == 7 { 96 << 10 } else { 8 << 20 });
        let engines = [(5 * MINUTE, MINUTE), (40 * SECOND, MINUTE), (5 * MINUTE, 8 * SECOND)];
        let engines = engines.map(|(lookback, subquery_step)| Engine {
            lookback,
            subquery_step,
            ..Engine::default()
        });
        let mut old: Option<Snapshot> = None;
        for _ in 0..400 {
            history.step();
            let snapshot = history.db.snapshot().unwrap();
            if history.random.below(10) == 0 {
                old = Some(snapshot.clone());
            }
            for _ in 0..3 {
                let number = history.next_panel();
                let panel = &history.panels[number];
                let engine = &engines[history.random.below(12).saturating_sub(9) as usize];
                // Now and then somebody is still at an older moment.
                let asked = old.as_ref().filter(|_| history.random.below(6) == 0);
                ask(&cache, asked.unwrap_or(&snapshot), engine, panel, &mut tally);
                let stats = cache.stats();
                assert!(stats.bytes <= stats.bytes_max, "{stats:?}");
            }
        }
    }
    let Tally { answers, steps, cached, points, continued } = tally;
    println!("{answers} answers, {cached} of {steps} steps were kept, {points} points");
    println!("continued: {} queries", continued.len());
    assert!(answers > 20_000 && points > 1_000_000, "{answers} {points}");
    assert!(cached * 3 > steps, "a third of the steps at least: {cached} of {steps}");
    assert!(continued.len() > QUERIES.len() / 2, "{continued:?}");
    assert!(!continued.iter().any(|text| text.contains('@') || text.contains("sort")));
}

#[test]
fn beside_writers_nothing_is_different() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let done = AtomicBool::new(false);
    let cache = ResultCache::new(8 << 20);
    let series = all_series();
    let base = 1_700_000_000_000 / MINUTE * MINUTE;
    std::thread::scope(|scope| {
        for writer in 0..2u64 {
            let (db, done, series) = (&db, &done, &series);
            scope.spawn(move || {
                let mut random = Random(writer + 1);
                for t in 0..2000i64 {
                    let mut batch = WriteBatch::new();
                    for labels in series.iter().skip(writer as usize).step_by(2) {
                        let handle = db.series(labels).unwrap();
                        let late = if random.below(20) == 0 { random.between(0, t + 1) } else { 0 };
                        let time = base + (t - late) * 5 * SECOND;
                        batch.push(handle, time, random.below(1000) as f64 / 7.0).unwrap();
                    }
                    db.write(&batch).unwrap();
                    if t % 300 == 299 {
                        db.flush().unwrap();
                    }
                    if t % 400 == 399 {
                        let end = base + random.between(0, t) * 5 * SECOND;
                        let range = TimeRange::new(end - 3 * MINUTE, end);
                        db.delete(&[Matcher::equal("x", "1")], range).unwrap();
                    }
                }
                done.store(true, Ordering::Release);
            });
        }
        for reader in 0..2usize {
            let (db, done, cache) = (&db, &done, &cache);
            scope.spawn(move || {
                let (mut tally, mut asked) = (Tally::default(), reader);
                while !done.load(Ordering::Acquire) {
                    let snapshot = db.snapshot().unwrap();
                    let newest = snapshot.extent().map_or(base, |(_, last)| last);
                    let text = QUERIES[asked % QUERIES.len()];
                    asked += 1;
                    let query = Query::parse(text, Features::default()).unwrap();
                    let end = newest.div_euclid(MINUTE) * MINUTE;
                    let panel = Panel { query, start: end - HOUR, end, step: MINUTE };
                    ask(cache, &snapshot, &Engine::default(), &panel, &mut tally);
                }
                assert!(tally.answers > 50, "{}", tally.answers);
            });
        }
    });
    assert!(cache.stats().partial > 0, "{:?}", cache.stats());
    db.close().unwrap();
}

/// A store with one gauge, a sample a minute for two hours.
fn gauge(db: &Db) -> i64 {
    let base = 1_700_000_000_000 / HOUR * HOUR;
    let handle = db.series(&labels(&[("__name__", "g".to_owned())])).unwrap();
    let mut batch = WriteBatch::new();
    (0..120).for_each(|t| batch.push(handle, base + t * MINUTE, t as f64).unwrap());
    db.write(&batch).unwrap();
    base
}

#[test]
fn a_panel_that_moves_reads_what_is_new() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let (cache, engine) = (ResultCache::new(1 << 20), Engine::default());
    let query = Query::parse("max_over_time(g[2m])", Features::default()).unwrap();
    let ask = |text: &Query, start: i64, end: i64| {
        let source = StoreSource::new(&db.snapshot().unwrap());
        let range = (base + start * MINUTE, base + end * MINUTE);
        let (answer, used) = cache.range(&source, &engine, text, range, MINUTE).unwrap();
        (used, answer.samples_read)
    };
    assert_eq!(ask(&query, 10, 70), (CacheUse::Miss, 62));
    assert_eq!(ask(&query, 10, 70), (CacheUse::Whole { steps: 61 }, 0));
    assert_eq!(ask(&query, 11, 71), (CacheUse::Partial { steps: 60 }, 2));
    assert_eq!(ask(&query, 8, 73), (CacheUse::Partial { steps: 61 }, 4 + 3));
    // The same query, written otherwise.
    let same = Query::parse(" max_over_time ( g [120s] )", Features::default()).unwrap();
    assert_eq!(ask(&same, 9, 20), (CacheUse::Whole { steps: 12 }, 0));
    // A late sample of minute 30 is seen at minutes 30 and 31, and half a minute behind at 31 and 32.
    let handle = db.series(&labels(&[("__name__", "g".to_owned())])).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(handle, base + 30 * MINUTE + 30 * SECOND, 1000.0).unwrap();
    db.write(&batch).unwrap();
    let (used, read) = ask(&query, 8, 73);
    assert_eq!(used, CacheUse::Partial { steps: 73 - 32 });
    assert!(read < 40, "{read}");
    assert_eq!(ask(&query, 8, 73).0, CacheUse::Whole { steps: 66 });
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.partial, stats.whole), (1, 3, 3));
    assert_eq!(stats.queries, 1);
    db.close().unwrap();
}

#[test]
fn memory_is_counted_and_limits_hold() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g", Features::default()).unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap());
    let range = (base + HOUR, base + HOUR + 50 * MINUTE);
    let pool = MemoryPool::new(8 << 20, 4);
    for expected in [CacheUse::Miss, CacheUse::Whole { steps: 51 }] {
        let memory = pool.query(u64::MAX);
        let engine = Engine::default().counting_in(memory.clone());
        let (answer, used) = cache.range(&source, &engine, &query, range, MINUTE).unwrap();
        assert_eq!(used, expected);
        let QueryValue::Matrix(series) = &answer.value else { panic!("{answer:?}") };
        assert_eq!(memory.bytes_held(), series[0].points.len() as u64 * 24, "{used:?}");
    }
    // Without room for the answer.
    let engine = Engine::default().counting_in(MemoryPool::new(1000, 1).query(1000));
    let refused = cache.range(&source, &engine, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Memory(_))), "{refused:?}");
    let mut engine = Engine::default();
    engine.limits.steps = 50;
    let refused = cache.range(&source, &engine, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Limit { what: "steps", .. })), "{refused:?}");
    let cancelled = Engine::default();
    cancelled.cancel.cancel();
    let refused = cache.range(&source, &cancelled, &query, range, MINUTE);
    assert!(matches!(refused, Err(QueryError::Cancelled)), "{refused:?}");
    // Off.
    let off = ResultCache::new(0);
    for _ in 0..2 {
        let (_, used) = off.range(&source, &Engine::default(), &query, range, MINUTE).unwrap();
        assert_eq!(used, CacheUse::Unfit);
    }
    assert_eq!(off.stats().bytes, 0);
    db.close().unwrap();
}

/// Damage that somebody meets ends what was computed of the segment before.
#[test]
#[expect(clippy::disallowed_methods, reason = "damages the file of a store")]
fn what_was_kept_of_a_damaged_segment_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let (mut batch, mut random) = (WriteBatch::new(), Random(1));
    let base = 1_700_000_000_000 / HOUR * HOUR;
    for name in ["first", "last"] {
        for number in 0..200 {
            let pairs = [("__name__", name.to_owned()), ("number", number.to_string())];
            let handle = db.series(&labels(&pairs)).unwrap();
            for t in 0..60 {
                let value = random.below(1 << 40) as f64 / 7.0;
                batch.push(handle, base + t * MINUTE, value).unwrap();
            }
        }
    }
    db.write(&batch).unwrap();
    db.flush().unwrap();
    let cache = ResultCache::new(1 << 20);
    let ask = |text: &str| {
        let query = Query::parse(text, Features::default()).unwrap();
        let source = StoreSource::new(&db.snapshot().unwrap());
        let range = (base, base + HOUR);
        cache.range(&source, &Engine::default(), &query, range, MINUTE).map(|(_, used)| used)
    };
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Miss);
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "seg");
    let mut files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path());
    let path = files.find(is_segment).unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    // The values of the last series lie in the second half.
    let middle = bytes.len() * 6 / 10;
    bytes[middle..middle + 8].iter_mut().for_each(|byte| *byte ^= 0x55);
    std::fs::write(&path, bytes).unwrap();
    // Nobody has met it yet.
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    let error = ask("sum(last)").unwrap_err();
    assert!(matches!(error, QueryError::Source(_)), "{error}");
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Miss);
    // It is known now.
    assert!(ask("sum(last)").is_err());
    assert_eq!(ask("sum(first)").unwrap(), CacheUse::Whole { steps: 61 });
    db.close().unwrap();
}

#[test]
fn of_a_store_that_leaves_out_damage_nothing_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    let base = gauge(&db);
    let cache = ResultCache::new(1 << 20);
    let query = Query::parse("g", Features::default()).unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap()).skipping_damage(Default::default());
    for _ in 0..2 {
        let range = (base, base + HOUR);
        let used = cache.range(&source, &Engine::default(), &query, range, MINUTE).unwrap().1;
        assert_eq!((used, cache.stats().bytes), (CacheUse::Unfit, 0));
    }
    db.close().unwrap();
}
