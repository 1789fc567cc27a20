//! What must hold of every answer: it has the same bits whatever plan, limits and threads there are,
//! stays within the limits, and exists at the ends of time.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use siltstone_promql::{
    Answer, Engine, Features, LabelSet, Limits, MemorySource, Point, Query, QueryError, QueryValue,
};

const MIB: u64 = 1 << 20;

fn stale() -> f64 {
    f64::from_bits(0x7ff0_0000_0000_0002)
}

fn source(series: usize, samples: usize) -> MemorySource {
    let mut source = MemorySource::new();
    for number in 0..series {
        let labels = LabelSet::from_pairs([("__name__", "m"), ("i", &format!("{number:06}"))]);
        let points = (0..samples).map(|at| {
            let value = ((at * 7919 + number * 104_729) % 1_000_003) as f64 * 0.1;
            (at as i64 * 1000, 0, Point::Float(value))
        });
        source.extend(&labels, points);
    }
    source
}

fn engine(bytes: u64) -> Engine {
    Engine { limits: Limits { bytes, ..Limits::default() }, ..Engine::default() }
}

fn features() -> Features {
    Features { delayed_name_removal: false, ..Features::experimental() }
}

fn range(engine: &Engine, s: &MemorySource, query: &str, steps: i64) -> Result<Answer, QueryError> {
    let query = Query::parse(query, features()).unwrap();
    engine.range(s, &query, (0, (steps - 1) * 1000), 1000)
}

/// Runs `query` with a limit of 8 MiB: it is refused, or has held no more.
fn stays_within(s: &MemorySource, query: &str, steps: i64) {
    let shown: String = query.chars().take(70).collect();
    match range(&engine(8 * MIB), s, query, steps) {
        Ok(answer) => assert!(answer.bytes_peak <= 8 * MIB, "{shown}: {}", answer.bytes_peak),
        Err(QueryError::Limit { .. }) => {}
        Err(error) => panic!("{shown}: {error}"),
    }
}

#[test]
fn bytes_are_bounded_by_the_limit() {
    let some = source(1000, 100);
    let few = source(3, 100);
    let nested = |times: usize, inner: &str, open: &str, close: &str| {
        format!("{}{inner}{}", open.repeat(times), close.repeat(times))
    };
    let scalars = nested(60, "time()", "time() + (", ")");
    let doubled = nested(22, "m", "label_replace(", r#", "i", "$1$1", "i", "(.*)")"#);
    let versions = nested(200, "m", "abs(", ")");
    let cases: Vec<(&MemorySource, String, i64)> = vec![
        (&few, scalars, 1_000_000),
        (&some, "m @ 5".into(), 20_000),
        (&few, r#"count_values("v", vector(time()))"#.into(), 8_000),
        (&few, doubled, 1),
        (&some, versions, 1),
        (&few, "scalar(m)".into(), 1_000_000),
        (&few, "absent(m)".into(), 1_000_000),
        (&few, "vector(1)".into(), 1_000_000),
        (&few, "1".into(), 5_000_000),
        (&few, "sum_over_time(vector(1)[5000s:1ms])".into(), 1),
        (&few, "m + on(i) fill(0) (m offset 1y)".into(), 300_000),
        (&few, "histogram_quantiles(m, \"q\", time())".into(), 300_000),
        (&some, "count(m) + count(m @ 5)".into(), 20_000),
    ];
    let mut churn = MemorySource::new();
    for number in 0..400 {
        let i = format!("{number}");
        let many = LabelSet::from_pairs([("__name__", "many"), ("i", &i)]);
        churn.extend(&many, (0..400).map(|t| (t * 1000, 0, Point::Float(1.0))));
        let one = LabelSet::from_pairs([("__name__", "one"), ("pod", &i)]);
        churn.insert(&one, number * 1000, 0, Point::Float(1.0));
        churn.insert(&one, number * 1000 + 500, 0, Point::Float(stale()));
    }
    stays_within(&churn, "sum(many * on() group_left(pod) one)", 400);
    stays_within(&churn, "sum(topk(1, one))", 400);
    for (s, query, steps) in cases {
        stays_within(s, &query, steps);
    }
}

#[test]
fn duplicates_of_a_match_are_found_before_the_pairs_are_made() {
    // The pairs would take 72 MB.
    let error = range(&engine(8 * MIB), &source(3000, 1), "m * on() group_left(i) m", 1);
    assert!(error.unwrap_err().to_string().starts_with("found duplicate series"));
}

fn values(answer: &Answer) -> Vec<(String, Vec<u64>)> {
    let (QueryValue::Matrix(series) | QueryValue::Vector(series)) = &answer.value else {
        panic!("series")
    };
    let bits = |point: &Point| match point {
        Point::Float(value) => value.to_bits(),
        Point::Histogram(_) => 0,
    };
    let one = |s: &siltstone_promql::ResultSeries| {
        (s.labels.to_string(), s.points.iter().map(|(_, p)| bits(p)).collect())
    };
    series.iter().map(one).collect()
}

/// The same series, some of which the source lists although they have nothing to say.
fn with_idle_series(series: usize, idle: usize) -> MemorySource {
    let mut s = source(series, 100);
    for number in 0..idle {
        let labels = LabelSet::from_pairs([("__name__", "m"), ("idle", &number.to_string())]);
        // Older than any step's lookback, but within what the first step reads.
        s.insert(&labels, 0, 0, Point::Float(f64::from_bits(0x7ff0_0000_0000_0002)));
    }
    s
}

/// How many values differ of two answers with the same series and times.
fn differing(a: &Answer, b: &Answer) -> usize {
    let (a, b) = (values(a), values(b));
    let shape = |series: &[(String, Vec<u64>)]| -> Vec<(String, usize)> {
        series.iter().map(|(labels, values)| (labels.clone(), values.len())).collect()
    };
    assert!(!a.is_empty(), "nothing to compare");
    assert_eq!(shape(&a), shape(&b));
    let pairs = a.iter().zip(&b).flat_map(|(a, b)| a.1.iter().zip(&b.1));
    pairs.filter(|(a, b)| a != b).count()
}

#[test]
fn a_sum_does_not_depend_on_listed_series_without_values() {
    let (plain, idle) = (source(60, 100), with_idle_series(60, 60));
    let mut wrong = Vec::new();
    for query in ["sum(m)", "avg(m)", "stdvar(m)", "sum(exp(m / 1000))", "stdvar(rate(m[5s]))"] {
        let a = range(&Engine::default(), &plain, query, 100).unwrap();
        let b = range(&Engine::default(), &idle, query, 100).unwrap();
        wrong.push((query, differing(&a, &b)));
    }
    assert!(wrong.iter().all(|(_, count)| *count == 0), "{wrong:?}");
}

#[test]
fn neither_optimisation_nor_threads_change_a_bit() {
    let mut wrong = Vec::new();
    let others = [
        Engine { optimise: false, ..Engine::default() },
        Engine { parallel: false, ..Engine::default() },
        Engine { optimise: false, parallel: false, ..Engine::default() },
    ];
    // Enough values for operators between vectors to use threads, too.
    for (s, kind) in [(source(400, 100), "all"), (with_idle_series(60, 60), "idle")] {
        for query in [
            "stdvar(m)",
            "stdvar(rate(m[5s]))",
            "sum(rate(m[5s]))",
            "avg(rate(m[5s]))",
            "stdvar(abs(m))",
            r#"stdvar(label_replace(m, "j", "$1", "i", "(.*)"))"#,
            "stdvar(m) + stdvar(rate(m[5s]))",
            "topk(3, exp(m / 1000))",
            "quantile(0.3, exp(m / 1000))",
            "sum(m / ignoring (x) rate(m[5s]))",
            "m / on (i) exp(m / 1000)",
        ] {
            let a = range(&Engine::default(), &s, query, 100).unwrap();
            for engine in &others {
                let b = range(engine, &s, query, 100).unwrap();
                wrong.push((kind, query, engine.optimise, differing(&a, &b)));
            }
        }
    }
    assert!(wrong.iter().all(|(.., count)| *count == 0), "{wrong:?}");
}

#[test]
fn limits_do_not_change_a_bit() {
    let s = source(300, 100);
    let query = "stdvar(rate(m[5s])) * count(rate(m[5s]))";
    let a = range(&engine(1 << 30), &s, query, 100).unwrap();
    // An eighth of it is less than 300 series x 100 steps x 8 bytes.
    let b = range(&engine(1_900_000), &s, query, 100).unwrap();
    assert_eq!(differing(&a, &b), 0);
}

#[test]
fn annotations_are_the_same_every_time() {
    let mut s = MemorySource::new();
    for number in 0..3000 {
        let name = format!("metric_{number:05}");
        let labels = LabelSet::from_pairs([("__name__", name.as_str())]);
        s.extend(&labels, (0..10).map(|t| (t * 1000, 0, Point::Float(t as f64))));
    }
    let query = Query::parse(r#"sum(rate({__name__=~"metric.*"}[5s]))"#, Features::experimental());
    let query = query.unwrap();
    let infos = || {
        let answer = Engine::default().instant(&s, &query, 9000).unwrap();
        answer.infos()
    };
    let first = infos();
    assert_eq!(first.len(), 1000, "as many as are kept");
    assert_eq!(first, infos());
}

/// Queries with windows near and far, of all kinds.
fn queries_of_all_windows() -> Vec<String> {
    let mut all = vec!["time()".to_owned(), "hour()".into(), "m".into(), "timestamp(m)".into()];
    for f in [
        "rate",
        "irate",
        "deriv",
        "sum_over_time",
        "quantile_over_time",
        "last_over_time",
        "ts_of_last_over_time",
        "changes",
        "delta",
        "stddev_over_time",
        "mad_over_time",
        "predict_linear",
        "double_exponential_smoothing",
        "absent_over_time",
    ] {
        for w in [
            "m[5m]",
            "m[200y]",
            "m[5m] offset 200y",
            "m[5m] offset -200y",
            "m[5m:1s]",
            "m[1y:1y] offset -200y",
            "m[1h] anchored",
            "m[1h] smoothed",
            "m[200y] smoothed",
        ] {
            all.push(match f {
                "quantile_over_time" => format!("{f}(0.5, {w})"),
                "predict_linear" => format!("{f}({w}, 1e18)"),
                "double_exponential_smoothing" => format!("{f}({w}, 0.5, 0.5)"),
                _ => format!("{f}({w})"),
            });
        }
    }
    for text in [
        "info(m offset -200y)",
        "info(m @ 9e15)",
        "m smoothed",
        "m offset -200y smoothed",
        "sum_over_time(m[5m:1s] @ 9e15)",
    ] {
        all.push(text.into());
    }
    all
}

#[test]
fn ends_of_time() {
    let mut s = source(2, 10);
    let labels = LabelSet::from_pairs([("__name__", "m"), ("i", "end")]);
    for t in [i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX] {
        s.insert(&labels, t, 0, Point::Float(1.0));
    }
    let mut panics = Vec::new();
    for text in &queries_of_all_windows() {
        let query = Query::parse(text, Features::experimental());
        let query = query.unwrap_or_else(|error| panic!("{text}: {error}"));
        for t in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
            let run = || {
                let e = Engine { parallel: false, ..Engine::default() };
                let _ = e.instant(&s, &query, t);
                let _ = e.range(&s, &query, (t, t.saturating_add(5000)), 1000);
                let _ = e.range(&s, &query, (i64::MIN, i64::MAX), i64::MAX / 2);
                let _ = e.range(&s, &query, (t, t), i64::MAX);
                let e = Engine { lookback: i64::MAX, subquery_step: i64::MAX, ..e };
                let _ = e.instant(&s, &query, t);
                let _ = e.explain(&s, &query, (t, t), 1);
            };
            if std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err() {
                panics.push((text.clone(), t));
            }
        }
    }
    assert!(panics.is_empty(), "{panics:#?}");
}

#[test]
fn errors_quote_as_go_does() {
    let mut s = MemorySource::new();
    for name in ["a", "b"] {
        let labels = LabelSet::from_pairs([("__name__", name), ("x", "\u{0}\u{7f}\u{200b}")]);
        s.insert(&labels, 0, 0, Point::Float(1.0));
    }
    let query = r#"{__name__=~"a|b"} + on(x) group_right() {__name__=~"a|b"}"#;
    let error = range(&Engine::default(), &s, query, 1).unwrap_err().to_string();
    assert!(error.contains(r#"x="\x00\x7f\u200b""#), "{error}");
}
