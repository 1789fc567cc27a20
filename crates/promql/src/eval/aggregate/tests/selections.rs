//! Named cases of the aggregations that choose series, and of `count_values`.

use super::*;
use AggregateOp::{Bottomk, CountValues, LimitRatio, Limitk, Topk};

/// The label `i` of each series of a result, with its number of values.
fn chosen(result: &[Series]) -> Vec<(String, usize)> {
    result.iter().map(|series| (series.labels.get("i").to_owned(), series.values.len())).collect()
}

fn names(result: &[Series]) -> Vec<&str> {
    result.iter().map(|series| series.labels.get("i")).collect()
}

#[test]
fn an_instant_topk_is_in_order_of_values() {
    let rows = floats(&[300.0, f64::NAN, 700.0, 100.0, 800.0]);
    let names_of = |op, k| {
        let result = run(&call(op, &by(&[]), scalar(k), 1), &rows).0;
        names(&result).join(" ")
    };
    assert_eq!(names_of(Topk, 3.0), "04 02 00");
    assert_eq!(names_of(Bottomk, 3.7), "03 00 02");
    assert_eq!(names_of(Topk, 9_999_999_999.0), "04 02 00 03 01");
    assert_eq!(names_of(Bottomk, 5.0), "03 00 02 04 01");
    assert_eq!(names_of(Topk, 0.9), "");
}

#[test]
fn topk_keeps_labels_and_marks() {
    let mut rows = floats(&[1.0, 2.0]);
    rows[1].drop_name = true;
    let (result, _) = run(&call(Topk, &by(&[]), scalar(1.0), 1), &rows);
    assert_eq!(result[0].labels, labels(&[("__name__", "x"), ("i", "01")]));
    assert!(result[0].drop_name);
}

#[test]
fn ties_depend_on_rank_and_not_on_shares() {
    let rows = floats(&[0.0, 0.0, 0.0, 5.0]);
    let call = call(Topk, &by(&[]), scalar(3.0), 1);
    for cut in 0..16_usize {
        let shares: Vec<usize> = (0..4).map(|at| cut >> at & 1).collect();
        let (result, _) = run_in_shares(&call, &rows, &shares, 2);
        assert_eq!(names(&result), ["03", "01", "02"], "{shares:?}");
    }
}

#[test]
fn k_varies_with_the_step() {
    let rows: Vec<Row> =
        (0..4).map(|at| row(&[("i", &at.to_string())], &vec![float(f64::from(at)); 4])).collect();
    let counts_of = |op| {
        let parameter = Parameter::Scalar(vec![0.0, 1.0, 3.0, 99.0]);
        let result = run(&call(op, &by(&[]), parameter, 4), &rows).0;
        (0..4).map(|step| result.iter().filter(|s| s.values.is_present(step)).count()).collect()
    };
    for op in [Topk, Bottomk, Limitk] {
        let counts: Vec<usize> = counts_of(op);
        assert_eq!(counts, [0, 1, 3, 4], "{op:?}");
    }
    let parameter = Parameter::Scalar(vec![0.0, 1.0, 3.0, 99.0]);
    let result = run(&call(Topk, &by(&[]), parameter, 4), &rows).0;
    let expected = [("0", 1), ("1", 2), ("2", 2), ("3", 3)].map(|(i, n)| (i.to_owned(), n));
    assert_eq!(chosen(&result), expected);
}

#[test]
fn topk_ignores_histograms_where_it_keeps_anything() {
    let rows = [
        row(&[("i", "0")], &[point(exponential(1.0, &[1.0])), None]),
        row(&[("i", "1")], &[None, float(1.0)]),
    ];
    let notes_of = |ks: [f64; 2]| {
        let call = call(Topk, &by(&[]), Parameter::Scalar(ks.to_vec()), 2);
        let (result, notes) = run(&call, &rows);
        (result.len(), texts(&notes))
    };
    let text = "PromQL info: ignored histogram in topk aggregation (1:1)".to_owned();
    assert_eq!(notes_of([1.0, 1.0]), (1, vec![text]));
    assert_eq!(notes_of([0.0, 1.0]), (1, Vec::new()));
}

#[test]
fn limitk_takes_the_first_with_a_value() {
    let rows = [
        row(&[("i", "0")], &[None, float(1.0)]),
        row(&[("i", "1")], &[point(exponential(1.0, &[1.0])), float(1.0)]),
        row(&[("i", "2")], &[float(1.0), float(1.0)]),
        row(&[("i", "3")], &[float(1.0), float(1.0)]),
    ];
    let call = call(Limitk, &by(&[]), Parameter::Scalar(vec![2.0, 2.0]), 2);
    for cut in 0..16_usize {
        let shares: Vec<usize> = (0..4).map(|at| cut >> at & 1).collect();
        let (result, notes) = run_in_shares(&call, &rows, &shares, 2);
        let expected = [("0", 1), ("1", 2), ("2", 1)].map(|(i, n)| (i.to_owned(), n));
        assert_eq!(chosen(&result), expected, "{shares:?}");
        assert!(result[1].values.histogram(0).is_some() && texts(&notes).is_empty());
    }
}

#[test]
fn selections_choose_within_groups() {
    let group = ["a", "b", "a", "b", "a"];
    let rows: Vec<Row> = (0..5)
        .map(|at| row(&[("g", group[at]), ("i", &at.to_string())], &[float(at as f64)]))
        .collect();
    let names_of = |op| {
        let result = run(&call(op, &by(&["g"]), scalar(2.0), 1), &rows).0;
        names(&result).join(" ")
    };
    assert_eq!(names_of(Topk), "4 2 3 1");
    assert_eq!(names_of(Bottomk), "0 2 1 3");
    assert_eq!(names_of(Limitk), "0 2 1 3");
}

#[test]
fn a_ratio_and_its_complement_share_the_series() {
    let mut rows = floats(&[1.0; 50]);
    rows.push(row(&[("i", "h")], &[point(exponential(1.0, &[1.0]))]));
    let names_of = |ratio| {
        let result = run(&call(LimitRatio, &by(&[]), scalar(ratio), 1), &rows).0;
        names(&result).iter().map(|&name| name.to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names_of(1.0).len(), 51, "histograms are kept");
    assert_eq!(names_of(-1.0).len(), 51);
    assert!(names_of(0.0).is_empty());
    for ratio in [0.2, 0.5, 0.8] {
        let (sample, rest) = (names_of(ratio), names_of(ratio - 1.0));
        assert!(sample.iter().all(|name| !rest.contains(name)));
        assert_eq!(sample.len() + rest.len(), 51);
        let expected = 51.0 * ratio;
        assert!((sample.len() as f64 - expected).abs() < 15.0, "{ratio}: {}", sample.len());
    }
}

#[test]
fn the_ratio_varies_with_the_step() {
    let histogram = point(exponential(1.0, &[1.0]));
    let points = [float(1.0), histogram.clone(), float(1.0), histogram];
    let rows = [row(&[("i", "0")], &points)];
    let call = call(LimitRatio, &by(&[]), Parameter::Scalar(vec![0.0, 1.0, -1.0, 0.0]), 4);
    let (result, _) = run(&call, &rows);
    let present = [0, 1, 2, 3].map(|step| result[0].values.is_present(step));
    assert_eq!(present, [false, true, true, false]);
}

fn versions() -> Vec<Row> {
    let of =
        |i: &str, job: &str, point| row(&[("__name__", "v"), ("i", i), ("job", job)], &[point]);
    vec![
        of("0", "a", float(6.0)),
        of("1", "a", float(6.0)),
        of("2", "b", float(-0.0)),
        of("3", "b", float(f64::INFINITY)),
        of("4", "b", float(f64::NAN)),
        of("5", "b", float(-f64::NAN)),
        of("6", "b", point(exponential(1.0, &[1.0]))),
        of("7", "b", point(exponential(1.0, &[1.0]))),
        of("8", "b", float(1e21)),
    ]
}

fn counted(grouping: &Grouping, label: &str) -> Vec<(LabelSet, f64)> {
    let rows = versions();
    let call = call(CountValues, grouping, Parameter::Label(label.as_bytes().into()), 1);
    let shares: Vec<usize> = (0..rows.len()).map(|at| at % 3).collect();
    let (result, notes) = run_in_shares(&call, &rows, &shares, 3);
    assert!(texts(&notes).is_empty());
    result.into_iter().map(|series| (series.labels, series.values.floats()[0])).collect()
}

#[test]
fn values_are_counted_by_their_text() {
    let counts = counted(&by(&[]), "v");
    let of = |text: &str| counts.iter().find(|(set, _)| set.get("v") == text).map(|(_, n)| *n);
    let big = "1000000000000000000000";
    for (text, count) in [("6", 2.0), ("-0", 1.0), ("+Inf", 1.0), ("NaN", 2.0), (big, 1.0)] {
        assert_eq!(of(text), Some(count), "{text}");
    }
    assert_eq!(of("{count:1, sum:2, (1,2]:1}"), Some(2.0));
    assert_eq!(counts.len(), 6);
}

#[test]
fn values_are_counted_at_each_step() {
    let rows = [
        row(&[("i", "0")], &[float(1.0), float(2.0), float(2.0), None]),
        row(&[("i", "1")], &[float(2.0), float(2.0), None, None]),
    ];
    let call = call(CountValues, &by(&[]), Parameter::Label(b"v".as_slice().into()), 4);
    let (result, _) = run(&call, &rows);
    let counts: Vec<(&str, Vec<(usize, Point)>)> =
        result.iter().map(|s| (s.labels.get("v"), s.values.iter().collect())).collect();
    let one = |step, count| (step, Point::Float(count));
    assert_eq!(
        counts,
        [("1", vec![one(0, 1.0)]), ("2", vec![one(0, 1.0), one(1, 2.0), one(2, 1.0)])]
    );
}

#[test]
fn the_label_of_values_overwrites_others() {
    let six = (labels(&[("job", "6")]), 2.0);
    assert!(counted(&by(&["job"]), "job").contains(&six));
    assert!(counted(&by(&["job"]), "i").contains(&(labels(&[("i", "6"), ("job", "a")]), 2.0)));
    assert!(counted(&without(&["i"]), "job").contains(&six));
    assert!(counted(&without(&["i", "job"]), "v").contains(&(labels(&[("v", "6")]), 2.0)));
    assert!(counted(&by(&[]), "__name__").contains(&(labels(&[("__name__", "6")]), 2.0)));
}

#[test]
fn a_label_of_values_that_is_dropped_leaves_one_count() {
    assert_eq!(counted(&without(&["i", "job", "v"]), "v"), [(labels(&[]), 9.0)]);
    assert_eq!(counted(&without(&["i", "job"]), "__name__"), [(labels(&[]), 9.0)]);
}
