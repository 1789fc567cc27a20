//! Findings of `tools/promqldiff`, each with the smallest query and data that show it.
//!
//! The tool asks a Prometheus server and this crate the same random queries; where they differed and
//! this crate was wrong, the case stands here.

use siltstone_promql::{
    Answer, Engine, Features, LabelSet, MemorySource, Point, Query, QueryError, QueryValue,
};

/// The time of the queries; samples are at it.
const NOW: i64 = 600_000;

/// A source in which series of these labels have the value 1 now.
fn source(series: &[&[(&str, &str)]]) -> MemorySource {
    let mut source = MemorySource::new();
    for labels in series {
        let labels = LabelSet::from_pairs(labels.iter().copied());
        source.insert(&labels, NOW, 0, Point::Float(1.0));
    }
    source
}

fn instant(source: &MemorySource, text: &str) -> Result<Answer, QueryError> {
    let features = Features { duration_expressions: true, ..Features::default() };
    Engine::default().instant(source, &Query::parse(text, features)?, NOW)
}

#[test]
fn a_range_vector_in_parentheses_is_an_answer() {
    let source = source(&[&[("__name__", "m")]]);
    for text in ["(m[5m])", "((m[5m:1m]))"] {
        let QueryValue::Matrix(series) = instant(&source, text).unwrap().value else {
            panic!("{text} is a range vector");
        };
        assert_eq!(series[0].points, [(NOW, Point::Float(1.0))], "{text}");
    }
}

#[test]
fn absent_over_time_does_not_mind_metrics_with_equal_labels() {
    let source = source(&[&[("__name__", "a"), ("x", "1")], &[("__name__", "b"), ("x", "1")]]);
    let present = instant(&source, "absent_over_time({x=\"1\"}[1m])").unwrap();
    assert_eq!(present.value, QueryValue::Vector(Vec::new()));
    let error = instant(&source, "present_over_time({x=\"1\"}[1m])").unwrap_err();
    assert_eq!(error.to_string(), "vector cannot contain metrics with the same labelset");
}

#[test]
fn a_length_without_a_good_value_is_a_bad_query() {
    let source = source(&[]);
    for (text, message) in [
        ("m[5m % (1)]", "2:9: duration must be greater than 0"),
        ("m[(1m) - 1h]", "3:11: duration must be greater than 0"),
        ("m[5m:-(1+1)]", "5:10: duration must be greater than 0"),
        ("m[1h / (1 - 1)]", "2:13: division by zero"),
    ] {
        let error = instant(&source, text).unwrap_err();
        assert!(matches!(error, QueryError::BadTimes(_)), "{text}");
        assert_eq!(error.to_string(), message, "{text}");
    }
}

#[test]
fn a_window_of_less_than_a_millisecond_holds_nothing() {
    let source = source(&[&[("__name__", "m")]]);
    let samples = instant(&source, "m[1s ^ -1 / 1000000]").unwrap();
    assert_eq!(samples.value, QueryValue::Matrix(Vec::new()));
    let rate = instant(&source, "rate(m[1ms / 11])").unwrap();
    assert_eq!(rate.value, QueryValue::Vector(Vec::new()));
    // A step that short is the default one, of a minute.
    let QueryValue::Vector(count) =
        instant(&source, "count_over_time(m[150s:1ms / 2] @ 660)").unwrap().value
    else {
        panic!("an instant vector");
    };
    assert_eq!(count[0].points, [(NOW, Point::Float(2.0))]);
}

#[test]
fn texts_are_sorted_by_their_runs_of_digits() {
    let values = ["0.0009", "6.4e-07", "10", "0.5", "9"];
    let labels = values.map(|v| [("__name__", "m"), ("le", v)]);
    let labels: Vec<&[(&str, &str)]> = labels.iter().map(|l| l.as_slice()).collect();
    let features = Features { experimental_functions: true, ..Features::default() };
    let query = Query::parse("sort_by_label(m, \"le\")", features).unwrap();
    let answer = Engine::default().instant(&source(&labels), &query, NOW).unwrap();
    let QueryValue::Vector(series) = answer.value else { panic!("an instant vector") };
    let sorted: Vec<&str> = series.iter().map(|s| s.labels.get("le")).collect();
    assert_eq!(sorted, ["0.5", "0.0009", "6.4e-07", "9", "10"]);
}

#[test]
fn absent_has_no_label_that_another_matcher_takes_series_of_away() {
    for text in ["absent(x{a!=\"1\", a=\"2\"})", "absent_over_time(x{a!~\"b.*\", a=\"2\"}[5m])"] {
        let answer = instant(&source(&[]), text).unwrap();
        let QueryValue::Vector(series) = answer.value else { panic!("an instant vector") };
        assert!(series[0].labels.is_empty(), "{text}");
    }
}

#[test]
fn what_is_mended_without_observations_is_not_told() {
    let mut source = MemorySource::new();
    for (le, count) in [("0.1", 0.0), ("1", -5.0), ("+Inf", -9.0)] {
        let labels = LabelSet::from_pairs([("__name__", "b"), ("le", le)]);
        source.insert(&labels, NOW, 0, Point::Float(count));
    }
    let answer = instant(&source, "histogram_quantile(0.5, b)").unwrap();
    let QueryValue::Vector(series) = &answer.value else { panic!("an instant vector") };
    assert!(matches!(series[0].points[0].1, Point::Float(value) if value.is_nan()));
    assert_eq!(answer.infos(), [""; 0]);
}

#[test]
fn a_subquery_without_steps_has_no_errors() {
    let source = source(&[&[("__name__", "m")]]);
    let answer =
        instant(&source, "label_replace(m, \"a\", \"\", \"a\", \"(\")[1s:1m] @ 601").unwrap();
    assert_eq!(answer.value, QueryValue::Matrix(Vec::new()));
    let text = "sum_over_time(label_replace(m, \"a\", \"\", \"a\", \"(\")[1s:1m] @ 601)";
    assert_eq!(instant(&source, text).unwrap().value, QueryValue::Vector(Vec::new()));
    let error = instant(&source, "label_replace(m, \"a\", \"\", \"a\", \"(\")").unwrap_err();
    assert_eq!(error.to_string(), "invalid regular expression in label_replace(): (");
}

#[test]
fn the_type_of_a_range_query_is_looked_at_before_its_lengths() {
    let features = Features { duration_expressions: true, ..Features::default() };
    let query = Query::parse("m[5m % 1]", features).unwrap();
    let error = Engine::default().range(&source(&[]), &query, (0, NOW), 1000).unwrap_err();
    assert!(error.to_string().starts_with("invalid expression type \"range vector\""), "{error}");
}
