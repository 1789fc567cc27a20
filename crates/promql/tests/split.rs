//! A query that has a reach is a matter of each step: evaluated over a range in parts, it gives what it
//! gives over the whole range, bit for bit; and it gives the same over the samples within its reach alone.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use siltstone_promql::{
    Answer, Engine, Features, LabelSet, MemorySource, Point, Query, QueryError, QueryValue, Reach,
};
use siltstone_promql_reference::Times;
use siltstone_promql_reference::generate::{case, choices};

type Series = Vec<(LabelSet, Vec<(i64, Point)>)>;
type Samples = [(LabelSet, Vec<(i64, f64)>)];

fn matrix(answer: Answer) -> Series {
    let QueryValue::Matrix(series) = answer.value else { panic!("a range query") };
    series.into_iter().map(|series| (series.labels, series.points)).collect()
}

/// Both parts as one, in order of labels.
fn joined(first: Series, second: Series) -> Series {
    let mut all = first;
    for (labels, points) in second {
        match all.iter_mut().find(|(own, _)| *own == labels) {
            Some((_, own)) => own.extend(points),
            None => all.push((labels, points)),
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn source(samples: &Samples, keep: impl Fn(i64) -> bool) -> MemorySource {
    let mut source = MemorySource::new();
    for (labels, samples) in samples {
        for (time, value) in samples.iter().filter(|(time, _)| keep(*time)) {
            source.insert(labels, *time, 0, Point::Float(*value));
        }
    }
    source
}

/// Whether there was anything to compare: a query that has a reach.
fn check(
    engine: &Engine,
    query: &Query,
    samples: &Samples,
    range: (i64, i64, i64),
    cut: usize,
) -> Result<bool, String> {
    match engine.reach(query, range.2) {
        Some(reach) => compare(engine, query, samples, (range, reach), cut),
        None => Ok(false),
    }
}

fn compare(
    engine: &Engine,
    query: &Query,
    samples: &Samples,
    ((start, end, step), reach): ((i64, i64, i64), Reach),
    cut: usize,
) -> Result<bool, String> {
    let count = (end - start) / step + 1;
    if count < 2 {
        return Ok(false);
    }
    let last = start + (cut as i64 % (count - 1)) * step;
    let all = source(samples, |_| true);
    let whole = engine.range(&all, query, (start, end), step);
    let parts = [(start, last), (last + step, end)].map(|(first, last)| {
        // Nothing beyond the reach matters.
        let within = source(samples, |time| {
            time >= first.saturating_sub(reach.before_ms)
                && time <= last.saturating_add(reach.after_ms)
        });
        engine.range(&within, query, (first, last), step)
    });
    let [first, second] = parts;
    match (whole, first, second) {
        (Ok(whole), Ok(first), Ok(second)) => {
            let is_noted =
                |answer: &Answer| !answer.warnings().is_empty() || !answer.infos().is_empty();
            if is_noted(&whole) != (is_noted(&first) || is_noted(&second)) {
                return Err("annotations".to_owned());
            }
            let (whole, parts) = (matrix(whole), joined(matrix(first), matrix(second)));
            if whole != parts {
                return Err(format!("cut behind {last}\n{whole:?}\n{parts:?}"));
            }
            Ok(!whole.is_empty())
        }
        (Err(QueryError::Limit { .. }), ..) => Ok(false),
        (Err(_), first, second) if first.is_err() || second.is_err() => Ok(false),
        (Ok(_), Err(error), _) | (Ok(_), _, Err(error)) => Err(format!("a part fails: {error}")),
        (Err(error), ..) => Err(format!("the whole fails only: {error}")),
    }
}

#[test]
fn random_queries_are_a_matter_of_each_step() {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if !asked {
        (config.cases, config.rng_seed) = (20_000, RngSeed::Fixed(1));
    }
    let cases = config.cases;
    let compared = AtomicU32::new(0);
    let mut runner = TestRunner::new(config);
    let outcome = runner.run(&(vec(any::<u8>(), 0..500), any::<u16>()), |(bytes, cut)| {
        let case = case(&mut choices(&bytes));
        let Times::Range { start, step, .. } = case.times else { return Ok(()) };
        let features = Features { delayed_name_removal: false, ..case.features };
        let Ok(query) = Query::parse(&case.query, features) else { return Ok(()) };
        let engine = Engine {
            lookback: case.settings.lookback,
            subquery_step: case.settings.subquery_step,
            ..Engine::default()
        };
        // Fractions, whose sums are rounded.
        let rough = |value: f64| if cut % 2 == 0 { value } else { value / 3.0 + 0.1 };
        let samples: Vec<_> = case
            .series
            .iter()
            .map(|series| {
                let samples = series.samples.iter().map(|(time, value)| (*time, rough(*value)));
                (series.labels.clone(), samples.collect())
            })
            .collect();
        let end = start + step * 12;
        let found = check(&engine, &query, &samples, (start, end, step), usize::from(cut))
            .map_err(|difference| TestCaseError::fail(format!("{case}{difference}")))?;
        compared.fetch_add(u32::from(found), Ordering::Relaxed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let compared = compared.into_inner();
    assert!(compared > cases / 20, "{compared} of {cases} had something to compare");
}

/// A value of one of three magnitudes: where the large ones cancel, it shows in which order such values
/// were added up.
fn wild(next: &mut impl FnMut(u64) -> u64) -> f64 {
    let magnitude = [1.0 / 7.0, 2f64.powi(60), 2f64.powi(120)][next(3) as usize];
    (next(5) as f64 - 2.0) * magnitude
}

/// Series that come and go, of fractions, with names and labels that meet.
fn rough_samples(seed: u64) -> Vec<(LabelSet, Vec<(i64, f64)>)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut all = Vec::new();
    for name in ["m", "n", "b_bucket", "w"] {
        let wide = if name == "w" { 60 } else { 5 };
        for x in 0..4u64 {
            for y in 0..wide {
                let le = ["0.1", "1", "1.0", "5", "+Inf"][y % 5];
                let (x, y) = (x.to_string(), y.to_string());
                let labels = match name {
                    "b_bucket" => LabelSet::from_pairs([("__name__", name), ("le", le), ("x", &x)]),
                    _ => LabelSet::from_pairs([("__name__", name), ("x", &x), ("y", &y)]),
                };
                let (from, to) = (next(60) as i64, 60 + next(120) as i64);
                let mut value = next(1000) as f64 / 7.0;
                let mut samples = Vec::new();
                for minute in from..to {
                    value = match next(20) {
                        0 => 0.1,
                        1 => value,
                        2 => continue,
                        _ => value + next(1000) as f64 / 13.0,
                    };
                    let wild = wild(&mut next);
                    let value = if name == "w" { wild } else { value };
                    samples.push((minute * 60_000 + next(1000) as i64, value));
                }
                all.push((labels, samples));
            }
        }
    }
    all
}

#[test]
fn queries_of_dashboards_are_a_matter_of_each_step() {
    let engine = Engine::default();
    let all: Vec<_> = (0..3).map(rough_samples).collect();
    let mut compared = 0;
    for text in [
        "sum(rate(m[5m]))",
        "avg by (x) (rate(m[5m]))",
        "stddev without (y) (m)",
        "sum(m * n)",
        "sum(m / on (x, y) group_left n)",
        "sum(m > 50)",
        "avg(m unless n > 100)",
        "sum by (x) (m) / sum by (x) (n offset 7m)",
        "sum by (x) (m) or sum by (x) (n)",
        "histogram_quantile(0.9, sum by (le) (rate(b_bucket[5m])))",
        "histogram_quantile(0.5, b_bucket)",
        "topk(3, m)",
        "bottomk(2, rate(m[5m]))",
        "quantile(0.3, m)",
        "count_values(\"v\", round(m / 100))",
        "max_over_time(sum(m)[20m:3m])",
        "quantile_over_time(0.7, m[10m])",
        "increase(m[1h]) > 100",
        "sum(rate(m[5m] offset -10m))",
        "sum(m - m offset 30m)",
        "absent(m{x=\"9\"})",
        "absent(m offset 2h)",
        "label_replace(m, \"y\", \"$1\", \"x\", \"(.*)\") > 900",
        "sum_over_time(m[1m])",
        "avg_over_time(m[5m:5m])",
        "scalar(sum(m)) + m",
        "changes(m[10m]) + resets(m[10m])",
        "min by (y) (irate(n[3m]))",
        "sum(sum by (y) (w))",
        "topk(3, sum by (y) (w))",
        "topk(3, sgn(sum by (y) (w)))",
        "bottomk(2, sgn(w or w offset 20m))",
        "topk(2, sgn(label_replace(sum by (y) (w), \"z\", \"$1\", \"y\", \".(.*)\")))",
        "avg(w / on (x, y) w offset 9m)",
        "sum(w * on (y) group_left m{x=\"0\"})",
        "sum(w or w offset 20m)",
        "stddev(w unless w offset 20m > 100)",
        "sum(label_replace(sum by (y) (w), \"z\", \"$1\", \"y\", \".(.*)\"))",
        "sum by (z) (label_replace(sum by (y) (w), \"z\", \"$1\", \"y\", \"(.).*\"))",
        "sum(-(w or m))",
        "sum(count_values by (x) (\"v\", round(w)))",
        "max_over_time(sum(sum by (y) (w))[20m:3m])",
        "sum_over_time(m[5m])",
        "avg_over_time(n[1h])",
        "stddev_over_time(m[7m] offset 3m)",
        "avg(avg_over_time(w[13m]))",
        "sum_over_time(rate(m[5m])[30m:1m])",
    ] {
        let query = Query::parse(text, Features::default()).unwrap();
        assert!(engine.reach(&query, 60_000).is_some(), "{text}");
        for (seed, samples) in (0u64..).zip(&all) {
            for step in [60_000, 300_000, 17_000] {
                let range = (3_600_000, 3_600_000 + 40 * step, step);
                let found = check(&engine, &query, samples, range, 13 * seed as usize + 5);
                compared += u32::from(found.unwrap_or_else(|e| panic!("{text} {step}: {e}")));
            }
        }
    }
    assert!(compared > 300, "{compared}");
}

/// Series of two names that take turns: at no time two of them have the same other labels.
fn samples_in_turns(seed: u64) -> Vec<(LabelSet, Vec<(i64, f64)>)> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % below
    };
    let mut all = Vec::new();
    for y in 0..80 {
        let y = format!("{y:02}");
        let labels = |name| LabelSet::from_pairs([("__name__", name), ("y", &*y)]);
        let (early, late) =
            [("t1", "t1"), ("t2", "t2"), ("t1", "t2"), ("t2", "t1")][next(4) as usize];
        let mut of = |minutes: std::ops::Range<i64>| -> Vec<(i64, f64)> {
            let mut wild = || wild(&mut next);
            minutes.map(|minute| (minute * 60_000, wild())).collect()
        };
        match early == late {
            true => all.push((labels(early), of(0..180))),
            false => {
                all.push((labels(early), of(0..80)));
                all.push((labels(late), of(90..180)));
            }
        }
    }
    all
}

/// Why these have no reach: in parts they give other bits, or no error.
#[test]
fn what_has_no_reach_is_no_matter_of_each_step() {
    let engine = Engine::default();
    // All that there is.
    let reach = Reach { before_ms: i64::MAX, after_ms: i64::MAX };
    let near = Reach { before_ms: 600_000, after_ms: 0 };
    for (text, reach, cut) in [
        ("topk(3, sgn({__name__=~\"t1|t2\"}))", near, 38),
        (
            "topk(3, label_replace({__name__=~\"t1|t2\"}, \"__name__\", \"t\", \"\", \"\"))",
            near,
            38,
        ),
        ("rate({__name__=~\"t1|t2\"}[5m])", near, 26),
        ("topk(5 - 1e19 * (time() < bool 5900), t1)", reach, 38),
        ("deriv(t1[10m])", near, 38),
        ("t1 - t1 @ end()", reach, 38),
        ("t1 * (end() - time())", reach, 38),
    ] {
        let features = Features { experimental_functions: true, ..Features::default() };
        let query = Query::parse(text, features).unwrap();
        assert_eq!(engine.reach(&query, 60_000), None, "{text}");
        let differs = (0..40).any(|seed| {
            let range = ((3_600_000, 3_600_000 + 80 * 60_000, 60_000), reach);
            compare(&engine, &query, &samples_in_turns(seed), range, cut).is_err()
        });
        assert!(differs, "{text}");
    }
}
