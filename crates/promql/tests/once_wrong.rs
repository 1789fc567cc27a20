//! Queries whose answers were wrong once, mostly found by comparison with the reference.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use siltstone_promql::{
    Answer, Engine, Features, LabelSet, MemorySource, Point, Query, QueryError,
};

/// Series that are written `name{label="value"}`, each with the value 1 every 15 s from 0 to 60 s.
fn source(series: &[&str]) -> MemorySource {
    let mut source = MemorySource::new();
    for labels in series {
        let (labels, _) = siltstone_promql::parse_series_labels(labels).unwrap();
        let labels = LabelSet::from_pairs(labels);
        (0..5).for_each(|at| source.insert(&labels, at * 15_000, 0, Point::Float(1.0)));
    }
    source
}

/// The answer of a range query from 0 to 60 s, optimised or not.
fn ask(source: &MemorySource, text: &str, optimise: bool) -> Result<Answer, QueryError> {
    let engine = Engine { optimise, ..Engine::default() };
    let features = Features { experimental_functions: true, ..Features::default() };
    let query = Query::parse(text, features)?;
    engine.range(source, &query, (0, 60_000), 30_000)
}

/// Parentheses around an argument are no part of it, a sign is, as in Prometheus.
#[test]
fn warnings_name_the_argument_in_its_parentheses() {
    let source = source(&["a_bucket{le=\"1\"}"]);
    for (query, place) in [
        ("quantile((scalar(a_bucket) + 1), a_bucket)", "(1:11)"),
        ("quantile((min_of(2, 3)), a_bucket)", "(1:11)"),
        ("quantile(+min_of(2, 3), a_bucket)", "(1:10)"),
        ("limit_ratio(((+step())), a_bucket)", "(1:15)"),
        ("histogram_quantile((max_of(2, 3)), a_bucket)", "(1:21)"),
        ("histogram_quantile(+scalar(a_bucket) + 1, a_bucket)", "(1:20)"),
    ] {
        for optimise in [true, false] {
            let warnings = ask(&source, query, optimise).unwrap().warnings();
            assert_eq!(warnings.len(), 1, "{query}: {warnings:?}");
            assert!(warnings[0].ends_with(place), "{query} {optimise}: {warnings:?}");
        }
    }
}

/// Without their names, the two series have the same labels; but nothing is made of them.
#[test]
fn absent_over_time_takes_series_that_differ_in_their_names() {
    let source = source(&["a{x=\"1\"}", "b{x=\"1\"}"]);
    for optimise in [true, false] {
        let answer = ask(&source, "absent_over_time({x=\"1\"}[1m])", optimise).unwrap();
        assert_eq!(format!("{:?}", answer.value), "Matrix([])");
        let present = ask(&source, "present_over_time({x=\"1\"}[1m])", optimise);
        assert!(present.is_err(), "here they are two results with the same labels");
        let inside = ask(&source, "absent_over_time((-{x=\"1\"})[1m:])", optimise);
        assert!(inside.is_err(), "and here two operands");
    }
}
