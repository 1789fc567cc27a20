//! Named cases of the aggregations that make one series of a group.

use super::*;
use AggregateOp::{Avg, Count, Group, Max, Min, Quantile, Stddev, Stdvar, Sum};

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn sums_are_compensated() {
    assert_eq!(only(Sum, &floats(&[2.0, 8.0, 1e100, -1e100])), 10.0);
    assert_eq!(only(Avg, &floats(&[2.0, 8.0, 1e100, -1e100])), 2.5);
    let rows = floats(&[1e100, 2.0, 8.0, -1e100]);
    let (result, _) =
        run_in_shares(&call(Sum, &by(&[]), Parameter::None, 1), &rows, &[0, 0, 1, 1], 2);
    assert_eq!(result[0].values.floats(), [10.0], "both sides' compensation is kept");
}

#[test]
fn infinities_and_nan_in_sums() {
    for op in [Sum, Avg] {
        assert_eq!(only(op, &floats(&[INF, 2.0])), INF);
        assert_eq!(only(op, &floats(&[2.0, -INF])), -INF);
        assert_eq!(only(op, &floats(&[0.0, INF, 0.0, INF])), INF);
        assert!(only(op, &floats(&[INF, -INF])).is_nan());
        assert!(only(op, &floats(&[NAN, 2.0])).is_nan());
        assert!(only(op, &floats(&[2.0, NAN])).is_nan());
        assert_eq!(only(op, &floats(&[INF])), INF);
    }
}

#[test]
fn a_mean_does_not_overflow() {
    let big = 9.988_465_674_311_58e307;
    assert_eq!(only(Sum, &floats(&[big, big])), INF);
    assert_eq!(only(Avg, &floats(&[big; 4])), big);
    assert_eq!(only(Avg, &floats(&[-big; 4])), -big);
    assert_eq!(only(Avg, &floats(&[-big, -big, big, big])), 0.0);
    for count in 1..100 {
        let mean = only(Avg, &floats(&vec![-f64::MAX; count]));
        assert!(mean.is_finite() && mean / f64::MAX < -1.0 + 1e-15, "{count}: {mean}");
    }
    let call = call(Avg, &by(&[]), Parameter::None, 1);
    for shares in [[0, 1, 1, 0], [0, 0, 1, 1], [0, 0, 0, 1], [1, 0, 0, 0]] {
        let rows = floats(&[-big, -big, big, big]);
        let (result, _) = run_in_shares(&call, &rows, &shares, 2);
        assert_eq!(result[0].values.floats(), [0.0], "{shares:?}");
    }
}

#[test]
fn a_mean_of_equal_values_is_that_value() {
    for count in 1..=30 {
        assert_eq!(only(Avg, &floats(&vec![52.0; count])), 52.0);
    }
}

#[test]
fn only_steps_that_overflow_are_scaled() {
    let rows = [
        row(&[("a", "1")], &[float(f64::MAX), float(1e-310), None]),
        row(&[("a", "2")], &[float(f64::MAX), float(3e-310), float(5.0)]),
        row(&[("a", "3")], &[float(0.0), float(2e-310), None]),
    ];
    let (result, _) = run(&call(Avg, &by(&[]), Parameter::None, 3), &rows);
    let mean = result[0].values.floats();
    assert!((mean[0] / (f64::MAX / 3.0 * 2.0) - 1.0).abs() < 1e-15);
    assert!((mean[1] / 2e-310 - 1.0).abs() < 1e-10, "{}", mean[1]);
    assert_eq!(mean[2], 5.0);
}

#[test]
fn nan_gives_way_in_min_and_max() {
    assert_eq!(only(Max, &floats(&[NAN, 3.0, 4.0])), 4.0);
    assert_eq!(only(Min, &floats(&[3.0, NAN, 4.0])), 3.0);
    assert_eq!(only(Max, &floats(&[-INF, NAN])), -INF);
    assert!(only(Min, &floats(&[NAN, NAN])).is_nan());
}

#[test]
fn deviations_of_numbers_that_are_not_finite_are_nan() {
    for op in [Stddev, Stdvar] {
        for values in [&[NAN][..], &[INF], &[-INF, 1.0], &[1.0, INF, 2.0], &[1.0, NAN]] {
            assert!(only(op, &floats(values)).is_nan(), "{values:?}");
        }
        assert_eq!(only(op, &floats(&[7.0])), 0.0);
        assert_eq!(only(op, &floats(&[13.3, 13.3, 13.3])), 0.0);
    }
    assert_eq!(only(Stdvar, &floats(&[1.0, 2.0])), 0.25);
    assert_eq!(only(Stddev, &floats(&[1.0, 2.0])), 0.5);
    // Numbers far from zero: the sum of squares minus the square of the sum would give 0.
    let far = [1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0];
    assert!((only(Stdvar, &floats(&far)) - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn count_and_group_look_at_presence_alone() {
    assert_eq!(only(Count, &floats(&[NAN, INF, 0.0])), 3.0);
    assert_eq!(only(Group, &floats(&[NAN])), 1.0);
}

#[test]
fn series_without_a_value_make_no_result() {
    let rows = [row(&[("a", "1")], &[None, None]), row(&[("a", "2")], &[None, float(4.0)])];
    for op in [Sum, Avg, Count, Min, Max, Group, Stddev, Stdvar] {
        let (result, _) = run(&call(op, &by(&["a"]), Parameter::None, 2), &rows);
        assert_eq!(result.len(), 1, "{op:?}");
        assert_eq!(result[0].labels, labels(&[("a", "2")]));
        assert!(!result[0].values.is_present(0) && result[0].values.is_present(1));
        assert!(run(&call(op, &by(&[]), Parameter::None, 2), &[]).0.is_empty());
    }
}

fn quantile_of(q: f64, values: &[f64]) -> f64 {
    let (result, _) = run(&call(Quantile, &by(&[]), scalar(q), 1), &floats(values));
    result[0].values.floats()[0]
}

#[test]
fn quantiles_lie_between_neighbours() {
    assert!((quantile_of(0.8, &[1.0, 0.0]) - 0.8).abs() < 1e-15);
    assert!((quantile_of(0.8, &[0.0, 4.0, 1.0]) - 2.8).abs() < 1e-15);
    assert_eq!(quantile_of(0.0, &[3.0, 1.0, 2.0]), 1.0);
    assert_eq!(quantile_of(1.0, &[3.0, 1.0, 2.0]), 3.0);
    assert_eq!(quantile_of(0.5, &[3.0]), 3.0);
}

#[test]
fn nan_is_the_smallest_value_of_a_quantile() {
    assert!((quantile_of(0.8, &[0.0, 1.0, NAN]) - 0.6).abs() < 1e-15);
    assert!(quantile_of(0.2, &[0.0, 1.0, NAN]).is_nan());
    assert_eq!(quantile_of(1.0, &[NAN, NAN, -7.0]), -7.0);
    // The upper neighbour counts with a weight of 0, and 0 times infinity is NaN; so in Prometheus.
    assert!(quantile_of(0.0, &[1.0, INF]).is_nan());
}

#[test]
fn quantiles_outside_their_range() {
    assert_eq!(quantile_of(-0.1, &[1.0]), -INF);
    assert_eq!(quantile_of(1.1, &[1.0]), INF);
    assert!(quantile_of(NAN, &[1.0]).is_nan());
}

#[test]
fn the_quantile_varies_with_the_step() {
    let rows = [
        row(&[("a", "1")], &[float(1.0), None, float(1.0)]),
        row(&[("a", "2")], &[float(2.0), None, None]),
    ];
    let parameter = Parameter::Scalar(vec![0.0, 0.5, 1.0]);
    let (result, _) = run(&call(Quantile, &by(&[]), parameter, 3), &rows);
    let values: Vec<_> = result[0].values.iter().collect();
    assert_eq!(values, [(0, Point::Float(1.0)), (2, Point::Float(1.0))]);
}

#[test]
fn groups_by_listed_labels() {
    let metric = [("__name__", "m"), ("__type__", "counter"), ("a", "1"), ("b", "2")];
    let result_of = |grouping: &Grouping| {
        let rows = [row(&metric, &[float(1.0)])];
        run(&call(Sum, grouping, Parameter::None, 1), &rows).0[0].labels.clone()
    };
    assert_eq!(result_of(&by(&[])), labels(&[]));
    assert_eq!(result_of(&by(&["b", "a", "b", "c"])), labels(&[("a", "1"), ("b", "2")]));
    assert_eq!(result_of(&by(&["__name__"])), labels(&[("__name__", "m")]));
    let kept = labels(&[("__type__", "counter"), ("a", "1"), ("b", "2")]);
    assert_eq!(result_of(&without(&[])), kept, "the type is no part of the name here");
    assert_eq!(result_of(&without(&["b", "__type__", "z"])), labels(&[("a", "1")]));
}

#[test]
fn texts_of_two_labels_do_not_run_together() {
    let rows = [
        row(&[("a", "aa"), ("b", "bb")], &[float(1.0)]),
        row(&[("a", "a"), ("b", "abb")], &[float(2.0)]),
        row(&[("b", "aa")], &[float(4.0)]),
    ];
    for grouping in [by(&["a", "b"]), without(&[])] {
        assert_eq!(run(&call(Sum, &grouping, Parameter::None, 1), &rows).0.len(), 3);
    }
}

#[test]
fn groups_come_in_the_order_of_their_first_series() {
    let rows = [
        row(&[("a", "1"), ("b", "z")], &[float(1.0)]),
        row(&[("a", "2"), ("b", "a")], &[float(2.0)]),
        row(&[("a", "3"), ("b", "z")], &[float(4.0)]),
    ];
    let call = call(Sum, &by(&["b"]), Parameter::None, 1);
    for shares in [[0, 0, 0], [1, 0, 0], [0, 1, 2], [2, 1, 0]] {
        let (result, _) = run_in_shares(&call, &rows, &shares, 3);
        let order: Vec<&str> = result.iter().map(|series| series.labels.get("b")).collect();
        assert_eq!(order, ["z", "a"], "{shares:?}");
    }
}

#[test]
fn a_group_loses_its_name_if_a_series_does_at_its_last_step() {
    let mut rows = vec![
        row(&[("__name__", "m"), ("a", "1")], &[float(1.0), float(1.0)]),
        row(&[("__name__", "m"), ("a", "2")], &[float(1.0), None]),
    ];
    let call = call(Sum, &by(&["__name__"]), Parameter::None, 2);
    let drops = |rows: &[Row]| run_in_shares(&call, rows, &[1, 0], 2).0[0].drop_name;
    assert!(!drops(&rows));
    rows[1].drop_name = true;
    assert!(!drops(&rows), "the marked series has no value at the last step");
    (rows[0].drop_name, rows[1].drop_name) = (true, false);
    assert!(drops(&rows));
}
