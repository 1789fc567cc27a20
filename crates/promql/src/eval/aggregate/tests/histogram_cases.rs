//! Named cases of native histograms.

use super::*;
use AggregateOp::{Avg, Count, Group, Max, Min, Quantile, Stddev, Stdvar, Sum};

fn named(points: Vec<Vec<Option<Point>>>) -> Vec<Row> {
    let rows = points.into_iter().enumerate();
    rows.map(|(at, points)| row(&[("__name__", &format!("m{at}"))], &points)).collect()
}

/// The result at the first step, and the notes, of all ways to cut the rows into three shares.
fn in_all_shares(op: AggregateOp, rows: &[Row]) -> (Option<Point>, Vec<String>) {
    let parameter = if op == Quantile { scalar(0.5) } else { Parameter::None };
    let call = call(op, &by(&[]), parameter, 1);
    let exponents = 0..u32::try_from(rows.len()).expect("few rows");
    let mut all = (0..3_usize.pow(exponents.end)).map(|cut| {
        let shares: Vec<usize> = exponents.clone().map(|at| cut / 3_usize.pow(at) % 3).collect();
        let (result, notes) = run_in_shares(&call, rows, &shares, 3);
        (result.first().and_then(|series| series.values.get(0)), texts(&notes))
    });
    let first = all.next().expect("one way at least");
    all.for_each(|other| assert_eq!(other, first));
    first
}

fn histogram_of(point: Option<Point>) -> Histogram {
    match point {
        Some(Point::Histogram(histogram)) => (*histogram).clone(),
        other => panic!("no histogram: {other:?}"),
    }
}

#[test]
fn histograms_are_summed_and_averaged() {
    let rows = named(vec![
        vec![point(exponential(4.0, &[1.0, 2.0, 1.0]))],
        vec![point(exponential(2.0, &[1.0, 0.0, 1.0, 0.0]))],
    ]);
    let (sum, notes) = in_all_shares(Sum, &rows);
    assert!(histogram_of(sum).same(&exponential(6.0, &[2.0, 2.0, 2.0])), "compacted");
    assert!(notes.is_empty());
    let (mean, notes) = in_all_shares(Avg, &rows);
    assert!(histogram_of(mean).same(&exponential(3.0, &[1.0, 1.0, 1.0])));
    assert!(notes.is_empty());
    for (op, value) in [(Count, 2.0), (Group, 1.0)] {
        assert_eq!(in_all_shares(op, &rows), (float(value), Vec::new()));
    }
}

#[test]
fn the_numbers_of_histograms_are_compensated() {
    let counts = [25.0, 1e100, -1e100, 5.0];
    let rows = named(counts.map(|count| vec![point(exponential(count, &[count]))]).to_vec());
    let (sum, _) = run(&call(Sum, &by(&[]), Parameter::None, 1), &rows);
    assert!(histogram_of(sum[0].values.get(0)).same(&exponential(30.0, &[30.0])));
}

#[test]
fn floats_and_histograms_have_no_sum() {
    let mixed = named(vec![vec![float(1.0)], vec![point(exponential(1.0, &[1.0]))]]);
    let reversed: Vec<Row> = mixed.iter().rev().cloned().collect();
    let text = "PromQL warning: encountered a mix of histograms and floats for aggregation (1:8)";
    for rows in [mixed, reversed] {
        for op in [Sum, Avg] {
            assert_eq!(in_all_shares(op, &rows), (None, vec![text.to_owned()]));
        }
        assert_eq!(in_all_shares(Count, &rows), (float(2.0), Vec::new()));
    }
}

#[test]
fn a_mix_spoils_its_step_only() {
    let rows = named(vec![
        vec![float(1.0), float(2.0), None],
        vec![point(exponential(1.0, &[1.0])), float(3.0), point(exponential(1.0, &[1.0]))],
    ]);
    let (result, notes) = run(&call(Sum, &by(&[]), Parameter::None, 3), &rows);
    let column = &result[0].values;
    assert_eq!((column.get(0), column.get(1)), (None, float(5.0)));
    assert!(column.histogram(2).is_some());
    assert_eq!(texts(&notes).len(), 1);
}

#[test]
fn exponential_and_custom_buckets_have_no_sum() {
    let (a, b) = (point(exponential(1.0, &[1.0])), point(custom(&[5.0], &[1.0])));
    let text = |metric: &str| {
        format!(
            "PromQL warning: vector contains a mix of histograms with exponential and custom \
             buckets schemas for metric name \"{metric}\" (1:8)"
        )
    };
    for (points, misfit) in [
        ([&a, &b, &b, &a], "m1"),
        ([&a, &a, &b, &a], "m2"),
        ([&b, &b, &b, &a], "m3"),
        ([&b, &a, &a, &a], "m1"),
    ] {
        let rows = named(points.map(|point| vec![point.clone()]).to_vec());
        for op in [Sum, Avg] {
            assert_eq!(in_all_shares(op, &rows), (None, vec![text(misfit)]));
        }
    }
}

#[test]
fn different_custom_bounds_are_reconciled() {
    let rows = named(vec![
        vec![point(custom(&[5.0, 10.0], &[1.0]))],
        vec![point(custom(&[10.0], &[1.0]))],
    ]);
    let (sum, notes) = in_all_shares(Sum, &rows);
    assert!(histogram_of(sum).same(&custom(&[10.0], &[2.0])));
    let text = "PromQL info: mismatched custom buckets were reconciled during aggregation (1:8)";
    assert_eq!(notes, [text]);
}

#[test]
fn colliding_hints_give_a_warning() {
    let of = |hint| vec![point(hinted(exponential(1.0, &[1.0]), hint))];
    use CounterResetHint::{Gauge, NotReset, Reset, Unknown};
    let text = "PromQL warning: conflicting counter resets during histogram aggregation (1:8)";
    for (hints, result, warns) in [
        ([NotReset, NotReset, NotReset], NotReset, false),
        ([NotReset, Unknown, NotReset], Unknown, false),
        ([NotReset, Gauge, Unknown], Gauge, false),
        ([NotReset, Unknown, Reset], Unknown, true),
        ([Gauge, NotReset, Reset], Gauge, true),
    ] {
        let rows = named(hints.map(of).to_vec());
        for op in [Sum, Avg] {
            let (sum, notes) = in_all_shares(op, &rows);
            assert_eq!(histogram_of(sum).hint, result, "{hints:?}");
            assert_eq!(notes == [text], warns, "{hints:?} {notes:?}");
        }
    }
}

#[test]
fn some_aggregations_ignore_histograms() {
    let rows = named(vec![vec![point(exponential(1.0, &[1.0]))], vec![float(3.0)]]);
    for (op, value) in [(Min, 3.0), (Max, 3.0), (Stddev, 0.0), (Stdvar, 0.0), (Quantile, 3.0)] {
        let text = |op: AggregateOp| {
            format!("PromQL info: ignored histogram in {} aggregation (1:8)", op.as_str())
        };
        assert_eq!(in_all_shares(op, &rows), (float(value), vec![text(op)]));
        assert_eq!(in_all_shares(op, &rows[..1]), (None, vec![text(op)]));
        assert_eq!(in_all_shares(op, &rows[1..]), (float(value), Vec::new()));
    }
}
