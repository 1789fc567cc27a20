//! Aggregations by few labels: a store holds no more of the others, and answers are the same.

#![expect(clippy::unwrap_used, reason = "a test")]

use siltstone::{Db, Labels, Matcher, MemoryPool, Options, QueryMemory, TimeRange, WriteBatch};
use siltstone_promql::source::Hints;
use siltstone_promql::{Control, Queryable, SelectRequest};
use siltstone_query::{Engine, Features, Query, QueryValue, StoreSource};

const MINUTE: i64 = 60_000;
const SERIES: usize = 3_000;

/// Labels with numbers of one digit and more, so that Prometheus orders them in another way than the store.
fn labels(number: usize) -> Labels {
    let pad = "x".repeat(200);
    Labels::from_pairs([
        ("__name__", "requests_total".to_owned()),
        ("instance", number.to_string()),
        ("region", format!("r{}", number % 7)),
        ("شهر", (number % 13).to_string()),
        ("pad", pad),
    ])
    .unwrap()
}

/// Values whose sums have other bits in another order.
fn value(number: usize, minute: i64) -> f64 {
    let spread = (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 44;
    (spread as f64 / 7.0) * minute as f64 + 0.1
}

fn write(db: &Db, numbers: impl IntoIterator<Item = usize>, minutes: std::ops::Range<i64>) {
    let mut batch = WriteBatch::new();
    for number in numbers {
        let handle = db.series(&labels(number)).unwrap();
        for minute in minutes.clone() {
            batch.push(handle, minute * MINUTE, value(number, minute)).unwrap();
        }
    }
    db.write(&batch).unwrap();
}

const QUERIES: [&str; 13] = [
    "sum by (region) ({__name__=~\"requests_.*\"})",
    "max by (__name__, region) ({__name__!=\"\"} > 100)",
    "sum by (region, __name__) ({__name__!=\"\"})",
    "sum by (region) (rate(requests_total[5m]))",
    "avg by (\"شهر\", region) (requests_total)",
    "stddev(requests_total * 2 - 1)",
    "quantile by (instance) (0.5, max_over_time(requests_total[3m]))",
    "count_values by (region) (\"value\", -requests_total)",
    "sum by (region) (rate(requests_total[5m])) / on () group_left () sum(rate(requests_total[5m]))",
    "sum by (region) (requests_total) + on (region) group_left max by (region) (requests_total)",
    "sum by (absent) (clamp_max(requests_total{instance=~\"1.*\"}, 5))",
    "sum by (region) (timestamp(requests_total))",
    "min by (region) (label_replace(requests_total, \"region\", \"$1\", \"instance\", \"(.).*\"))",
];

/// The answers with their bits: as they are, and over all labels, since a plan that is not optimised tells no
/// list which of them matter.
fn check(db: &Db, what: &str) {
    let source = StoreSource::new(&db.snapshot().unwrap());
    for text in QUERIES {
        let query = Query::parse(text, Features::default()).unwrap();
        let answer = |optimise| {
            let engine = Engine { optimise, ..Engine::default() };
            let range = (6 * MINUTE, 9 * MINUTE);
            let answer = source.range(&engine, &query, range, MINUTE).map_err(|e| e.to_string());
            answer.map(|answer| bits(&answer.value)).unwrap_or_else(|error| vec![error])
        };
        assert_eq!(answer(true), answer(false), "{what}: {text}");
    }
}

fn bits(value: &QueryValue) -> Vec<String> {
    let QueryValue::Matrix(series) = value else { panic!("{value:?}") };
    let one = |one: &siltstone_query::ResultSeries| {
        let points = one.points.iter().map(|point| format!("{point:?}")).collect::<Vec<_>>();
        format!("{} {}", one.labels, points.join(" "))
    };
    assert!(!series.is_empty());
    series.iter().map(one).collect()
}

#[test]
fn what_is_kept_of_labels_changes_no_answer() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    write(&db, 0..SERIES, 0..6);
    check(&db, "in memory");
    db.flush().unwrap();
    check(&db, "in a segment");
    write(&db, (0..SERIES).filter(|number| number % 3 > 0), 6..10);
    check(&db, "in a segment and in memory");
    db.delete(&[Matcher::equal("region", "r3")], TimeRange::new(0, 8 * MINUTE)).unwrap();
    check(&db, "with a delete");
    let typed = labels(1).iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect::<Vec<_>>();
    let typed = typed.into_iter().chain([("__type__".to_owned(), "counter".to_owned())]);
    let handle = db.series(&Labels::from_pairs(typed).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    (5..10).for_each(|minute| batch.push(handle, minute * MINUTE, 7.0).unwrap());
    db.write(&batch).unwrap();
    // Two series are the same without what goes with the name: that must be noticed.
    let source = StoreSource::new(&db.snapshot().unwrap());
    let query = Query::parse(QUERIES[3], Features::default()).unwrap();
    let range = (6 * MINUTE, 9 * MINUTE);
    let error = source.range(&Engine::default(), &query, range, MINUTE).unwrap_err();
    assert!(error.to_string().contains("same labelset"), "{error}");
    check(&db, "with a type");
    db.close().unwrap();
}

#[test]
fn a_sum_over_many_series_holds_few_of_their_labels() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    write(&db, 0..SERIES, 0..6);
    db.flush().unwrap();
    let source = StoreSource::new(&db.snapshot().unwrap());
    let peak = |text: &str| {
        let query = Query::parse(text, Features::default()).unwrap();
        let pool = MemoryPool::new(1 << 30, 1);
        let memory: QueryMemory = pool.query(u64::MAX);
        let engine = Engine::default().counting_in(memory.clone());
        source.instant(&engine, &query, 5 * MINUTE).unwrap();
        drop(engine);
        // What is left is the answer.
        assert!(memory.bytes_held() < 1000, "{text}");
        memory.bytes_peak()
    };
    let all = peak("topk by (region) (2, requests_total)");
    let kept = peak("sum by (region) (requests_total)");
    println!("bytes held at most: all labels {all}, those of the result {kept}");
    let labels: u64 = (0..SERIES).map(|number| labels(number).encoded().len() as u64).sum();
    assert!(all > labels, "{all} of {labels}");
    assert!(kept < labels / 4, "{kept} of {labels}");
    // What is kept is counted while it is listed.
    let kept = ["pad".to_owned(), "instance".to_owned()];
    let hints = Hints { labels_kept: Some(&kept), ..Hints::default() };
    let matchers = [Matcher::equal("__name__", "requests_total")];
    let selection = SelectRequest { matchers: &matchers, start: 0, end: 5 * MINUTE, hints };
    let list = |bytes_max: u64| {
        let memory = QueryMemory::new(bytes_max);
        let control = Control { memory: Some(memory.clone()), ..Control::default() };
        let held = source.list(&selection, &control).map(|_| memory.bytes_peak());
        assert!(held.is_err() || memory.bytes_held() == 0);
        held
    };
    let held = list(u64::MAX).unwrap();
    assert!(held > labels, "{held} of {labels}");
    assert!(list(labels / 2).unwrap_err().to_string().contains("memory"));
    db.close().unwrap();
}
