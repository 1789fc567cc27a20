//! Random operands, parameters and shares against plain references that look at one step at a time.

use std::thread;

use proptest::prelude::*;

use super::*;
use AggregateOp::{
    Avg, Bottomk, Count, CountValues, Group, LimitRatio, Limitk, Max, Min, Quantile, Stddev,
    Stdvar, Sum, Topk,
};

const STEPS: usize = 3;
const SHARES: usize = 5;

/// An operand with a share for each row.
#[derive(Debug, Clone)]
struct Case {
    rows: Vec<Row>,
    shares: Vec<usize>,
    parameter: Vec<f64>,
}

fn any_point() -> impl Strategy<Value = Option<Point>> {
    prop_oneof![
        3 => Just(None),
        8 => (-3..4_i32).prop_map(|value| float(f64::from(value))),
        4 => (-1000..1000_i32).prop_map(|value| float(f64::from(value) / 8.0)),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0])
            .prop_map(float),
    ]
}

fn any_case() -> impl Strategy<Value = Case> {
    let any_row = (0..4_u8, prop::collection::vec(any_point(), STEPS), 0..SHARES);
    let parameter = prop::collection::vec(-1..6_i32, STEPS);
    (prop::collection::vec(any_row, 0..40), parameter).prop_map(|(rows, parameter)| {
        let (rows, shares) = rows
            .into_iter()
            .enumerate()
            .map(|(at, (group, points, share))| {
                let (i, g) = (format!("{at:02}"), group.to_string());
                (row(&[("__name__", "m"), ("i", &i), ("g", &g)], &points), share)
            })
            .unzip();
        let parameter = parameter.into_iter().map(f64::from).collect();
        Case { rows, shares, parameter }
    })
}

fn prepared(op: AggregateOp, case: &Case) -> AggregateCall {
    let parameter = match op {
        Topk | Bottomk | Limitk => Parameter::Scalar(case.parameter.clone()),
        Quantile => Parameter::Scalar(case.parameter.iter().map(|k| k / 4.0).collect()),
        LimitRatio => Parameter::Scalar(case.parameter.iter().map(|k| k / 8.0).collect()),
        CountValues => Parameter::Label(b"v".as_slice().into()),
        _ => Parameter::None,
    };
    call(op, &by(&["g"]), parameter, STEPS)
}

/// The floats of group `g` at a step, in order of rank.
fn group_at(case: &Case, g: &str, step: usize) -> Vec<f64> {
    let rows = case.rows.iter().filter(|row| row.labels.get("g") == g);
    rows.filter_map(|row| match row.values.get(step) {
        Some(Point::Float(value)) => Some(value),
        _ => None,
    })
    .collect()
}

/// The value of one group at one step, by the definition.
fn naive(op: AggregateOp, values: &[f64], parameter: f64) -> Option<f64> {
    let n = values.len() as f64;
    let sum: f64 = values.iter().sum();
    let numbers = || values.iter().copied().filter(|value| !value.is_nan());
    let variance = values.iter().map(|value| (value - sum / n).powi(2)).sum::<f64>() / n;
    let result = match op {
        _ if values.is_empty() => return None,
        Sum => sum,
        Avg => sum / n,
        Count => n,
        Group => 1.0,
        Min => numbers().reduce(f64::min).unwrap_or(f64::NAN),
        Max => numbers().reduce(f64::max).unwrap_or(f64::NAN),
        Stdvar => variance,
        Stddev => variance.sqrt(),
        Quantile => naive_quantile(values, parameter / 4.0),
        _ => unreachable!("no reduction"),
    };
    Some(result)
}

fn naive_quantile(values: &[f64], q: f64) -> f64 {
    if !(0.0..=1.0).contains(&q) {
        return if q < 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    let mut sorted: Vec<f64> = values.iter().copied().filter(|value| value.is_nan()).collect();
    let mut numbers: Vec<f64> = values.iter().copied().filter(|value| !value.is_nan()).collect();
    numbers.sort_by(f64::total_cmp);
    sorted.append(&mut numbers);
    let rank = q * (sorted.len() - 1) as f64;
    let (lower, weight) = (rank.floor() as usize, rank - rank.floor());
    let upper = (lower + 1).min(sorted.len() - 1);
    sorted[lower] * (1.0 - weight) + sorted[upper] * weight
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-3)
}

/// All bits of a result.
fn bits(result: &[Series]) -> Vec<(LabelSet, bool, Vec<u64>)> {
    let column = |series: &Series| series.values.floats().iter().map(|v| v.to_bits()).collect();
    result.iter().map(|s| (s.labels.clone(), s.drop_name, column(s))).collect()
}

/// The shares as in `run_in_shares`, with a thread for each side of each merge.
fn run_in_threads(call: &AggregateCall, case: &Case) -> Vec<Series> {
    fn tree<'a>(
        call: &'a AggregateCall,
        case: &Case,
        from: usize,
        width: usize,
    ) -> Option<Accumulator<'a>> {
        if from >= SHARES {
            return None;
        }
        if width == 1 {
            let mut notes = Annotations::default();
            let mut leaf = Accumulator::new(call);
            add(&mut leaf, &case.rows, |at| case.shares[at] == from, &mut notes);
            return Some(leaf);
        }
        let half = width / 2;
        thread::scope(|scope| {
            let right = scope.spawn(|| tree(call, case, from + half, half));
            let mut left = tree(call, case, from, half)?;
            if let Some(right) = right.join().expect("no panic") {
                left.merge(right);
            }
            Some(left)
        })
    }
    let mut notes = Annotations::default();
    tree(call, case, 0, SHARES.next_power_of_two())
        .expect("a share")
        .finish(&meter(1 << 24), &mut notes)
        .expect("little")
}

proptest! {
    #[test]
    fn reductions_are_those_of_each_step(case in any_case()) {
        for op in [Sum, Avg, Count, Group, Min, Max, Stdvar, Stddev, Quantile] {
            let call = prepared(op, &case);
            let (result, _) = run_in_shares(&call, &case.rows, &case.shares, SHARES);
            for g in ["0", "1", "2", "3"] {
                let series = result.iter().find(|series| series.labels.get("g") == g);
                for step in 0..STEPS {
                    let values = group_at(&case, g, step);
                    let expected = naive(op, &values, case.parameter[step]);
                    let got = series.and_then(|series| series.values.get(step));
                    match (&got, expected) {
                        (None, None) => {}
                        (Some(Point::Float(got)), Some(expected)) if close(*got, expected) => {}
                        _ => prop_assert!(false, "{op:?} {values:?}: {got:?} {expected:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn topk_and_bottomk_keep_the_best_values(case in any_case()) {
        for op in [Topk, Bottomk] {
            let call = prepared(op, &case);
            let (result, _) = run_in_shares(&call, &case.rows, &case.shares, SHARES);
            for (g, step) in (0..4).flat_map(|g| (0..STEPS).map(move |step| (g, step))) {
                let g = g.to_string();
                let mut best = group_at(&case, &g, step);
                // NaN last; the sign of a zero does not matter.
                let key = |v: f64| match op {
                    _ if v.is_nan() => f64::INFINITY,
                    Topk => -v,
                    _ => v,
                };
                best.sort_by(|a, b| {
                    (a.is_nan(), key(*a)).partial_cmp(&(b.is_nan(), key(*b))).expect("no NaN")
                });
                best.truncate(case.parameter[step].max(0.0) as usize);
                let of_group = result.iter().filter(|series| series.labels.get("g") == g);
                let mut got: Vec<f64> = of_group
                    .map(|series| series.values.floats()[step])
                    .filter(|value| !crate::value::is_absent(*value))
                    .collect();
                got.sort_by(|a, b| {
                    (a.is_nan(), key(*a)).partial_cmp(&(b.is_nan(), key(*b))).expect("no NaN")
                });
                prop_assert_eq!(got.len(), best.len());
                prop_assert!(got.iter().zip(&best).all(|(a, b)| close(*a, *b)), "{got:?} {best:?}");
            }
        }
    }

    /// How the series are cut changes nothing at all where no rounding is involved; ties included.
    #[test]
    fn choices_do_not_depend_on_shares(case in any_case()) {
        for op in [Topk, Bottomk, Limitk, LimitRatio, CountValues, Quantile, Count, Group] {
            let call = prepared(op, &case);
            let (result, _) = run_in_shares(&call, &case.rows, &case.shares, SHARES);
            prop_assert_eq!(bits(&result), bits(&run(&call, &case.rows).0), "{:?}", op);
        }
    }

    #[test]
    fn threads_change_no_bit(case in any_case()) {
        for op in [Sum, Avg, Stdvar, Stddev, Min, Max, Topk, Bottomk, Quantile] {
            let call = prepared(op, &case);
            let (result, _) = run_in_shares(&call, &case.rows, &case.shares, SHARES);
            prop_assert_eq!(bits(&result), bits(&run_in_threads(&call, &case)), "{:?}", op);
        }
    }

    #[test]
    fn limitk_keeps_the_first_of_each_step(case in any_case()) {
        let call = prepared(Limitk, &case);
        let (result, _) = run_in_shares(&call, &case.rows, &case.shares, SHARES);
        for (g, step) in (0..4).flat_map(|g| (0..STEPS).map(move |step| (g, step))) {
            let g = g.to_string();
            let present = |labels: &LabelSet, values: &StepColumn| {
                (labels.get("g") == g && values.is_present(step)).then(|| labels.clone())
            };
            let k = case.parameter[step].max(0.0) as usize;
            let expected: Vec<_> =
                case.rows.iter().filter_map(|r| present(&r.labels, &r.values)).take(k).collect();
            let got: Vec<_> = result.iter().filter_map(|s| present(&s.labels, &s.values)).collect();
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn memory_is_accounted_for(case in any_case()) {
        for op in [Sum, Avg, Count, Max, Stdvar, Topk, Limitk, LimitRatio, CountValues, Quantile] {
            let call = prepared(op, &case);
            let mut notes = Annotations::default();
            let mut accumulator = Accumulator::new(&call);
            add(&mut accumulator, &case.rows, |_| true, &mut notes);
            let held = accumulator.heap_bytes();
            let result = accumulator.finish(&meter(1 << 24), &mut notes).expect("little");
            let needed: usize = result.iter().map(|series| 8 * series.values.len()).sum();
            prop_assert!(held >= needed, "{op:?}: {held} {needed}");
        }
    }
}
