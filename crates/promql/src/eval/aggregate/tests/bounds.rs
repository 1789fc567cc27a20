//! What aggregations may use: memory is held before it is there.

use super::*;
use AggregateOp::{CountValues, Limitk, Topk};

fn count_values(steps: usize) -> AggregateCall {
    call(CountValues, &by(&[]), Parameter::Label(Arc::from(*b"v")), steps)
}

/// A series with another value at each step, from `first` on.
fn rising(first: usize, steps: usize) -> Row {
    let points: Vec<Option<Point>> = (0..steps).map(|step| float((first + step) as f64)).collect();
    row(&[("i", &first.to_string())], &points)
}

fn accumulated<'a>(call: &'a AggregateCall, rows: &[Row]) -> Accumulator<'a> {
    let mut accumulator = Accumulator::new(call);
    add(&mut accumulator, rows, |_| true, &mut Annotations::default());
    accumulator
}

#[test]
fn values_that_are_counted_say_what_their_columns_will_hold() {
    let steps = 200;
    let call = count_values(steps);
    let held = accumulated(&call, &[rising(0, steps)]).heap_bytes();
    let columns = steps * steps * 8;
    assert!((columns..columns + 400 * steps).contains(&held), "{held} of {columns}");
}

#[test]
fn counting_stops_where_the_caller_refuses_the_result() {
    let steps = 1000;
    let call = count_values(steps).within(100_000);
    let held = accumulated(&call, &[rising(0, steps), rising(5000, steps)]).heap_bytes();
    assert!((100_001..120_000).contains(&held), "{held}");
}

#[test]
fn counts_are_the_same_however_many_steps_have_one() {
    let steps = 3000;
    let call = count_values(steps);
    // Each third step first, then each second, then all: steps come between those that are there.
    let each = |nth: usize| {
        let points: Vec<Option<Point>> =
            (0..steps).map(|step| if step % nth == 0 { float(7.0) } else { None }).collect();
        row(&[("nth", &nth.to_string())], &points)
    };
    let rows = [each(300), each(3), each(2), each(1), each(30)];
    let expected: Vec<f64> = (0..steps)
        .map(|step| [300, 3, 2, 1, 30].iter().filter(|nth| step % **nth == 0).count() as f64)
        .collect();
    for shares in [[0, 0, 0, 0, 0], [0, 1, 0, 1, 0], [1, 1, 1, 1, 0], [1, 0, 0, 0, 1]] {
        let (result, _) = run_in_shares(&call, &rows, &shares, 2);
        assert_eq!(result.len(), 1);
        assert_eq!(result[0].values.floats(), expected, "{shares:?}");
    }
}

#[test]
fn chosen_series_are_held_before_they_are_made() {
    let steps = 100;
    // At each step another series has its only value.
    let rows: Vec<Row> = (0..steps)
        .map(|at| {
            let points: Vec<Option<Point>> =
                (0..steps).map(|step| if step == at { float(1.0) } else { None }).collect();
            row(&[("i", &at.to_string())], &points)
        })
        .collect();
    let columns = (steps * steps * 8) as u64;
    for (op, parameter) in [
        (Topk, Parameter::Scalar(vec![1.0; steps])),
        (Limitk, Parameter::Scalar(vec![1.0; steps])),
        (CountValues, Parameter::Label(Arc::from(*b"i"))),
    ] {
        let rows = if op == CountValues { vec![rising(0, steps)] } else { rows.clone() };
        let call = call(op, &by(&[]), parameter, steps);
        let mut notes = Annotations::default();
        let enough = meter(1 << 24);
        let result = accumulated(&call, &rows).finish(&enough, &mut notes).expect("enough");
        assert_eq!((result.len(), enough.bytes_held()), (steps, 0), "{op:?}");
        assert!(enough.bytes_peak() > columns, "{op:?}: {}", enough.bytes_peak());
        let result = accumulated(&call, &rows).finish(&meter(columns), &mut notes);
        assert!(result.is_err(), "{op:?}");
    }
}

#[test]
fn what_was_driven_out_is_no_part_of_the_result() {
    // Each value drives out the one before.
    let rows: Vec<Row> = (0..100).map(|first| rising(first, 50)).collect();
    let call = call(Topk, &by(&[]), Parameter::Scalar(vec![1.0; 50]), 50);
    let accumulated = accumulated(&call, &rows);
    let (held, meter) = (accumulated.heap_bytes() as u64, meter(1 << 24));
    let result = accumulated.finish(&meter, &mut Annotations::default()).expect("enough");
    assert_eq!(result.len(), 1);
    assert!(meter.bytes_peak() < held + 1000, "{} {held}", meter.bytes_peak());
}
