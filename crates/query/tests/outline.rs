//! Long windows over segments: chunks whose summary is enough are not read, and nothing else changes.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::ops::ControlFlow;

use siltstone::{
    Db, Labels, Matcher, Options, Outline, QueryOptions, Snapshot, TimeRange, Wanted, WriteBatch,
};
use siltstone_query::{
    Engine, Features, LabelSet, MemorySource, Point, Query, QueryValue, StoreSource,
};

const DAY_MS: i64 = 86_400_000;
const DAYS: i64 = 30;
const SCRAPE_MS: i64 = 15_000;
/// A Monday.
const START: i64 = 19_723 * DAY_MS;

/// What a series is called, when it is scraped after a round time, and its values.
type Kind = (&'static str, i64, fn(i64) -> f64);

/// The series of the test: scraped at round times and beside them, whole numbers and fractions, a
/// counter, one that has fractions later on, and one that ends with a stale marker.
fn series() -> Vec<Kind> {
    vec![
        ("round", 0, |n| (scattered(n) % 101) as f64),
        ("beside", 7_321, |n| (scattered(n) % 101) as f64),
        ("tenths", 2_000, |n| (scattered(n) % 1_000) as f64 / 10.0),
        ("counter", 0, |n| (n * 3 + (scattered(n) % 3) as i64) as f64),
        ("later", 0, |n| (scattered(n) % 1_000) as f64 / if n < 80_000 { 1.0 } else { 10.0 }),
        ("ends", 0, |n| if n == 100_000 { stale() } else { (scattered(n) % 7) as f64 }),
    ]
}

fn scattered(n: i64) -> u64 {
    (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

fn stale() -> f64 {
    f64::from_bits(siltstone::types::STALE_MARKER_BITS)
}

fn labels(kind: &str) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("kind", kind)]).unwrap()
}

/// The same month in a compacted store, and in memory.
fn month(dir: &std::path::Path) -> (Db, MemorySource) {
    let db = Db::open(dir, Options::default()).unwrap();
    let mut memory = MemorySource::new();
    for (kind, offset, value) in series() {
        let handle = db.series(&labels(kind)).unwrap();
        let last = if kind == "ends" { 100_001 } else { DAYS * DAY_MS / SCRAPE_MS };
        let samples: Vec<(i64, f64)> =
            (0..last).map(|n| (START + offset + n * SCRAPE_MS, value(n))).collect();
        for part in samples.chunks(50_000) {
            let mut batch = WriteBatch::new();
            part.iter().for_each(|(t, v)| batch.push(handle, *t, *v).unwrap());
            db.write(&batch).unwrap();
        }
        let points = samples.iter().map(|(t, v)| (*t, 0, Point::Float(*v)));
        memory.extend(&LabelSet::from(&labels(kind)), points);
    }
    db.flush().unwrap();
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    (db, memory)
}

/// The points of an answer as bits.
fn bits(value: QueryValue) -> Vec<(LabelSet, Vec<(i64, u64)>)> {
    let QueryValue::Matrix(series) = value else { panic!("a range query answers series") };
    let point = |(t, point): (i64, Point)| match point {
        Point::Float(value) => (t, value.to_bits()),
        Point::Histogram(_) => panic!("there are no histograms"),
    };
    series.into_iter().map(|s| (s.labels, s.points.into_iter().map(point).collect())).collect()
}

/// The part of the bytes of values that days of a kind of series touch.
fn touched(snapshot: &Snapshot, kind: &str, wanted: Wanted) -> f64 {
    let matchers = [Matcher::equal("kind", kind)];
    let range = TimeRange::closed(START + 1, START + DAYS * DAY_MS);
    let set = snapshot.list(&matchers, range, &QueryOptions::default()).unwrap();
    let outline = Outline::new(wanted, START + DAY_MS, (DAY_MS, DAYS as usize), DAY_MS);
    let (whole, some) = (set.cost(None).unwrap(), set.cost(Some(&outline)).unwrap());
    assert!(whole.chunks >= 120, "{whole:?}");
    some.bytes as f64 / whole.bytes as f64
}

#[test]
fn days_of_a_month_touch_few_bytes_and_answer_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (db, memory) = month(dir.path());
    let snapshot = db.snapshot().unwrap();
    let stored = StoreSource::new(&snapshot);
    let all = (DAYS * DAY_MS / SCRAPE_MS) as u64;
    for function in ["count", "min", "max", "sum", "avg", "last", "present", "ts_of_last"] {
        for kind in series().into_iter().map(|(kind, ..)| kind) {
            for (window, step) in [("1d", DAY_MS), ("7d", DAY_MS), ("36h", 6 * 3_600_000)] {
                let text = format!("{function}_over_time(m{{kind=\"{kind}\"}}[{window}])");
                let features = Features { experimental_functions: true, ..Features::default() };
                let query = Query::parse(&text, features).unwrap();
                let times = (START + DAY_MS, START + DAYS * DAY_MS);
                let expected = Engine::default().range(&memory, &query, times, step).unwrap();
                let found = stored.range(&Engine::default(), &query, times, step).unwrap();
                let read = found.samples_read;
                assert_eq!(bits(found.value), bits(expected.value), "{text} each {step}");
                let is_rounded =
                    matches!(function, "sum" | "avg") && matches!(kind, "tenths" | "later");
                if !is_rounded && kind != "ends" && step == DAY_MS && window == "1d" {
                    // A window that ends at the first sample of a chunk may have its smallest one, which
                    // of a counter each is; and what follows it in the chunk is not the last.
                    let is_cut =
                        function.ends_with("last") || (function, kind) == ("min", "counter");
                    let read_max = if is_cut { all / 3 } else { all / 20 };
                    assert!(read <= read_max, "{text}: {read} of {all} samples");
                }
            }
        }
    }
    for wanted in [Wanted::Count, Wanted::Min, Wanted::Max, Wanted::Sum] {
        for kind in ["round", "beside"] {
            let part = touched(&snapshot, kind, wanted);
            println!("{wanted:?} of {kind}, a month at 1 d: {:.2} % of the bytes", part * 100.0);
            assert!(part < 0.05, "{wanted:?} of {kind}: {part}");
        }
    }
    db.close().unwrap();
}

#[test]
fn lookups_at_days_read_few_chunks() {
    let dir = tempfile::tempdir().unwrap();
    let (db, memory) = month(dir.path());
    let stored = StoreSource::new(&db.snapshot().unwrap());
    let query = Query::parse("m", Features::default()).unwrap();
    let times = (START + DAY_MS - 1, START + DAYS * DAY_MS - 1);
    let expected = Engine::default().range(&memory, &query, times, DAY_MS).unwrap();
    let found = stored.range(&Engine::default(), &query, times, DAY_MS).unwrap();
    assert!(found.samples_read < 20_000, "{} samples of 800,000", found.samples_read);
    assert_eq!(bits(found.value), bits(expected.value));
    db.close().unwrap();
}
