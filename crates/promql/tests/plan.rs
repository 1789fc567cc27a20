//! Plans as text: what is evaluated at which steps, what is read, and what is shared.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use siltstone_promql::{Engine, Features, LabelSet, MemorySource, Point, Query, QueryError};

fn source() -> MemorySource {
    let mut source = MemorySource::new();
    for name in ["a_total", "b_total"] {
        for job in ["api", "db"] {
            let labels = LabelSet::from_pairs([("__name__", name), ("job", job)]);
            source.extend(&labels, (0..100).map(|i| (i * 15_000, 0, Point::Float(i as f64))));
        }
    }
    source
}

fn query(text: &str) -> Query {
    Query::parse(text, Features::experimental()).unwrap()
}

/// The lines of the plan of `text` at 600, 660, ... 1200 s.
fn plan(text: &str) -> Vec<String> {
    let engine = Engine::default();
    let text = engine.explain(&source(), &query(text), (600_000, 1_200_000), 60_000).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn constants_are_folded() {
    let steps = "[11 steps of 60000 ms from 600000 ms]";
    assert_eq!(plan("2 * (3 + 4) ^ 2 - -1"), [format!("number 99  {steps}")]);
    assert_eq!(plan("end() - start()"), [format!("number 600  {steps}")]);
}

#[test]
fn step_invariant_parts_have_one_step() {
    let lines = plan("sum(rate(a_total[5m] @ 900)) * 2 + time()");
    let expected = [
        "vector + scalar  [11 steps of 60000 ms from 600000 ms]",
        "  repeat  [11 steps of 60000 ms from 600000 ms]",
        "    vector * scalar  [at 600000 ms]",
        "      sum by []  [at 600000 ms]",
        "        rate over windows of 300000 ms of selection 0 at 900000 ms  [at 600000 ms]",
        "      number 2  [at 600000 ms]",
        "  time  [11 steps of 60000 ms from 600000 ms]",
        "selection 0: {__name__=\"a_total\"} 600001..=900000 ms, for rate over 300000 ms, keeps []",
        "selection 0 has 2 series, about 40 samples",
    ];
    assert_eq!(lines, expected, "{}", lines.join("\n"));
}

#[test]
fn subqueries_have_steps_of_their_own() {
    let lines = plan("max_over_time(rate(a_total[1m])[5m:30s] offset 1m)");
    let expected = [
        "max_over_time over windows of 300000 ms of a subquery offset 60000 ms  \
         [11 steps of 60000 ms from 600000 ms]",
        "  rate over windows of 60000 ms of selection 0  [30 steps of 30000 ms from 270000 ms]",
        "selection 0: {__name__=\"a_total\"} 210001..=1140000 ms, for rate over 60000 ms",
        "selection 0 has 2 series, about 124 samples",
    ];
    assert_eq!(lines, expected, "{}", lines.join("\n"));
}

#[test]
fn what_reads_and_computes_the_same_is_shared() {
    let lines = plan("rate(a_total[5m]) / on (job) sum by (job) (rate(a_total[5m]))");
    let shared = lines.iter().filter(|line| line.contains("rate over windows"));
    assert!(shared.clone().count() == 2 && shared.clone().all(|l| l.ends_with("taken by several")));
    assert!(lines.iter().any(|line| line.ends_with("read by 2")), "{}", lines.join("\n"));
    let other = plan("rate(a_total[5m]) / on (job) sum by (job) (rate(a_total[10m]))");
    assert!(!other.iter().any(|line| line.contains("several")), "{}", other.join("\n"));
}

#[test]
fn a_source_is_told_what_takes_its_samples_first() {
    let told = |text: &str| {
        let lines = plan(text);
        let line = lines.iter().find(|line| line.starts_with("selection 0: ")).unwrap();
        line.split_once(" ms").unwrap().1.to_owned()
    };
    assert_eq!(told("sum by (job) (a_total)"), ", for sum, keeps [\"job\"]");
    assert_eq!(told("sum by (job) (abs(a_total))"), ", keeps [\"job\"]");
    assert_eq!(told("sum by (job) (a_total) + on (job) a_total"), ", read by 2");
    let rates = "sum by (job) (rate(a_total[5m])) + sum by (job) (increase(a_total[5m]))";
    assert_eq!(told(rates), ", read by 2");
}

#[test]
fn shared_samples_are_read_once_if_there_is_room() {
    let read = |text: &str, bytes: u64, optimise: bool| {
        let mut engine = Engine { optimise, ..Engine::default() };
        engine.limits.bytes = bytes;
        let answer = engine.range(&source(), &query(text), (600_000, 1_200_000), 60_000).unwrap();
        (answer.samples_read, answer.value.clone(), answer.infos())
    };
    let once = read("sum(rate(a_total[5m]))", 1 << 20, true).0;
    let text = "sum(rate(a_total[5m])) / count(rate(a_total[5m]))";
    let (shared, value, infos) = read(text, 1 << 20, true);
    assert_eq!(shared, once);
    // Little room: both aggregations read the samples for themselves, and hold none of the rates.
    let (streamed, same, _) = read(text, 1200, true);
    assert_eq!((streamed, &same), (2 * once, &value));
    let (plain, same, plain_infos) = read(text, 1 << 20, false);
    assert_eq!((plain, &same, &plain_infos), (2 * once, &value, &infos));
    // A query that needs more than it may hold is refused.
    let mut engine = Engine::default();
    engine.limits.bytes = 100;
    let error = engine.range(&source(), &query("a_total"), (600_000, 1_200_000), 60_000);
    assert!(matches!(error, Err(QueryError::Limit { what: "bytes of values", max: 100 })));
}

#[test]
fn annotations_of_what_is_shared_blame_the_last_place() {
    let mut source = MemorySource::new();
    let labels = LabelSet::from_pairs([("__name__", "gauge")]);
    source.extend(&labels, (0..100).map(|i| (i * 15_000, 0, Point::Float(i as f64))));
    let infos = |optimise| {
        let engine = Engine { optimise, ..Engine::default() };
        let query = query("rate(gauge[5m]) + rate(gauge[5m])");
        engine.instant(&source, &query, 900_000).unwrap().infos()
    };
    let text = "PromQL info: metric might not be a counter, name does not end in \
                _total/_sum/_count/_bucket: \"gauge\" (1:24)";
    assert_eq!(infos(true), [text]);
    assert_eq!(infos(false), [text]);
}
