//! What operators may use: memory is held before it is there, and long work looks at the clock.

use siltstone::{Cancel, SystemClock};

use super::vectors::{Query, query};
use super::{Arc, meter, series};
use crate::annotations::Annotations;
use crate::ast::BinaryOp;
use crate::eval::meter::{Limits, Meter};
use crate::query_error::QueryError;
use crate::value::{LabelSet, Series, StepColumn};

/// `number` series with a value at the steps that `has` says.
fn vector(
    label: &str,
    number: usize,
    steps: usize,
    has: impl Fn(usize, usize) -> bool,
) -> Vec<Series> {
    let one = |at: usize| {
        let mut values = StepColumn::absent(steps);
        (0..steps).filter(|step| has(at, *step)).for_each(|step| values.set_float(step, 1.0));
        Series {
            labels: LabelSet::from_pairs([(label, &at.to_string())]),
            drop_name: false,
            values,
        }
    };
    (0..number).map(one).collect()
}

fn run(
    query: &Query,
    meter: &Meter,
    (left, right): (&[Series], &[Series]),
) -> Result<Vec<Series>, QueryError> {
    let operator = query.operator(left[0].values.steps(), meter);
    operator.evaluate(left.to_vec(), right.to_vec(), &mut Annotations::default())
}

#[test]
fn duplicates_are_found_before_there_are_pairs() {
    let many = vector("a", 100, 1, |_, _| true);
    let meter = meter(1 << 20);
    let query = query(BinaryOp::Mul).on(&[]).group_left(&["a"]);
    let error = run(&query, &meter, (&many, &many)).unwrap_err().to_string();
    assert!(error.contains("found duplicate series for the match group {}"), "{error}");
    // Pairs would hold a megabyte.
    assert!(meter.bytes_peak() < 100, "{}", meter.bytes_peak());
}

#[test]
fn pairs_are_made_before_the_step_of_a_duplicate_only() {
    let many = vector("a", 100, 50, |_, _| true);
    // They take turns, but for the last step; each has a value at ten steps.
    let one = vector("b", 50, 50, |at, step| step == 5 || step % 50 == at);
    let meter = meter(1 << 22);
    let query = query(BinaryOp::Mul).on(&[]).group_left(&["b"]);
    let error = run(&query, &meter, (&many, &one)).unwrap_err().to_string();
    assert!(error.contains("found duplicate series"), "{error}");
    // Five of the fifty find anything.
    let pairs = 100 * 5 * (50 * 8 + 200);
    assert!(meter.bytes_peak() < pairs, "{}", meter.bytes_peak());
}

#[test]
fn an_error_before_the_duplicate_comes_first() {
    let many = [series("m a=1", "1 1 1 1"), series("m a=2", "_ 1 1 1")];
    let duplicates = [series("n b=1", "1 1 1 1"), series("n b=2", "_ _ 1 1")];
    let (result, notes) = query(BinaryOp::Mul).on(&[]).run(&many, &duplicates);
    let error = "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)";
    assert_eq!((result.unwrap_err(), notes), (error.to_owned(), Vec::new()));
}

#[test]
fn copies_of_columns_are_held_before_they_are_made() {
    let many = vector("a", 40, 40, |_, _| true);
    let one = vector("b", 40, 40, |at, step| step == at);
    let query = query(BinaryOp::Mul).on(&[]).group_left(&["b"]);
    let enough = meter(1 << 24);
    let results = run(&query, &enough, (&many, &one)).unwrap();
    assert_eq!(results.len(), 40 * 40);
    assert_eq!(enough.bytes_held(), 0, "the caller holds the results");
    // Those of the last turn take the columns of the operand.
    assert!(enough.bytes_peak() > 39 * 40 * 40 * 8, "{}", enough.bytes_peak());
    let error = run(&query, &meter(100_000), (&many, &one)).unwrap_err();
    assert!(matches!(error, QueryError::Limit { .. }), "{error}");
}

#[test]
fn an_operator_between_columns_holds_labels_only() {
    let vector = vector("a", 40, 1000, |_, _| true);
    let meter = meter(1 << 24);
    assert_eq!(run(&query(BinaryOp::Mul), &meter, (&vector, &vector)).unwrap().len(), 40);
    assert!(meter.bytes_peak() < 40 * 1000, "{}", meter.bytes_peak());
}

#[test]
fn columns_that_fill_in_are_held() {
    let left = vector("a", 1, 10, |_, _| true);
    let right = vector("b", 100, 10, |_, _| true);
    let query = query(BinaryOp::Add).on(&["b"]).fill(Some(0.0), None);
    let enough = meter(1 << 24);
    assert_eq!(run(&query, &enough, (&left, &right)).unwrap().len(), 100);
    assert_eq!(enough.bytes_held(), 0);
    assert!(enough.bytes_peak() > 100 * 10 * 8, "{}", enough.bytes_peak());
}

#[test]
fn results_of_histograms_are_held() {
    let many: Vec<Series> = (0..50).map(|at| series(&format!("m a={at}"), "h0 h1 h0 h1")).collect();
    let query = query(BinaryOp::Add).on(&[]).group_left(&[]);
    let enough = meter(1 << 24);
    let results = run(&query, &enough, (&many, &[series("n", "h0 h0 h0 h0")])).unwrap();
    let bytes: usize = results.iter().map(|series| series.values.heap_bytes()).sum();
    assert_eq!((results.len(), enough.bytes_held()), (50, 0));
    assert!(enough.bytes_peak() >= bytes as u64, "{} of {bytes}", enough.bytes_peak());
}

#[test]
fn long_work_looks_at_the_clock() {
    let cancel = Cancel::default();
    cancel.cancel();
    let new = || Meter::new(Limits::default(), cancel.clone(), Arc::new(SystemClock::new()));
    // Many pairs that do not meet, duplicates, many columns that do, and others that fill in.
    let turns = vector("a", 400, 400, |at, step| at == step);
    let often = vector("a", 400, 400, |_, _| true);
    let apart = vector("b", 400, 400, |_, _| true);
    let cases = [
        (query(BinaryOp::Mul).on(&[]).group_left(&["a"]), &turns, &turns),
        (query(BinaryOp::Mul).on(&[]), &often, &often),
        (query(BinaryOp::Mul), &often, &often),
        (query(BinaryOp::Mul).on(&["b"]).fill(Some(1.0), None), &often, &apart),
        (query(BinaryOp::And), &often, &often),
        (query(BinaryOp::Or).on(&[]), &often, &apart),
    ];
    for (at, (query, left, right)) in cases.iter().enumerate() {
        let got = run(query, &new(), (left, right)).map(|series| series.len());
        assert!(matches!(got, Err(QueryError::Cancelled)), "case {at}: {got:?}");
    }
}
