//! The calls of histogram functions, over classic buckets and native histograms.

use std::sync::Arc;

use siltstone::{Cancel, SystemClock};

use super::*;
use crate::annotations::Severity;
use crate::eval::meter::Limits;
use crate::histogram::{Buckets, HistogramParts};
use crate::value::ABSENT;

fn meter() -> Meter {
    Meter::new(Limits::default(), Cancel::default(), Arc::new(SystemClock::new()))
}

fn span(at: usize) -> Span {
    Span::new(at, at + 1)
}

fn features(delayed_name_removal: bool) -> Features {
    Features { delayed_name_removal, ..Features::default() }
}

/// A bucket of `m`, or what its name is.
fn bucket(name: &str, le: &str, floats: &[f64]) -> Series {
    let labels = LabelSet::from_pairs([("__name__", name), ("le", le), ("a", "1")]);
    Series { labels, drop_name: false, values: StepColumn::from_floats(floats.to_vec()) }
}

/// A series of native histograms at the steps that are given: four observations in (0.5, 1].
fn native(name: &str, steps: usize, at: &[usize]) -> Series {
    let parts = HistogramParts {
        count: 4.0,
        sum: 3.0,
        positive: Buckets::from_dense(0, &[4.0]).unwrap(),
        ..HistogramParts::default()
    };
    let histogram = Arc::new(Histogram::try_from(parts).unwrap());
    let mut values = StepColumn::absent(steps);
    at.iter().for_each(|step| values.push_histogram(*step, histogram.clone()));
    let labels = LabelSet::from_pairs([("__name__", name), ("a", "1")]);
    Series { labels, drop_name: false, values }
}

fn quantile(values: &[f64], features: Features) -> HistogramCall {
    let spans = [span(0), span(1)];
    let parameters = vec![values.to_vec()];
    HistogramCall::prepare(Function::HistogramQuantile, parameters, None, &spans, features).unwrap()
}

/// The result as texts, sorted, and the annotations.
fn applied(call: &HistogramCall, series: &[Series], steps: usize) -> (Vec<String>, Vec<String>) {
    let mut notes = Annotations::default();
    let result = call.apply(series, steps, &meter(), &mut notes).unwrap();
    let text = |series: &Series| {
        let values: Vec<String> = series
            .values
            .floats()
            .iter()
            .map(|v| if crate::value::is_absent(*v) { "_".into() } else { v.to_string() })
            .collect();
        let drop = if series.drop_name { " drop" } else { "" };
        format!("{}{drop} {}", series.labels, values.join(" "))
    };
    let mut lines: Vec<String> = result.iter().map(text).collect();
    lines.sort();
    let mut texts = notes.texts(Severity::Warning, "0123456789");
    texts.extend(notes.texts(Severity::Info, "0123456789"));
    (lines, texts)
}

#[test]
fn classic_buckets_are_grouped_by_their_other_labels() {
    let series = [
        bucket("m", "+Inf", &[10.0, 20.0, 1.0]),
        bucket("m", "3", &[8.0, ABSENT, 1.0]),
        bucket("n", "3", &[ABSENT, 20.0, ABSENT]),
        bucket("m", "1.0", &[4.0, 10.0, ABSENT]),
        bucket("n", "+Inf", &[ABSENT, 20.0, ABSENT]),
    ];
    let (lines, notes) = applied(&quantile(&[0.4, 0.5, 0.5], features(true)), &series, 3);
    let expected =
        [r#"{__name__="m", a="1"} drop 1 1 1.5"#, r#"{__name__="n", a="1"} drop _ 1.5 _"#];
    assert_eq!((lines, notes), (expected.map(str::to_owned).to_vec(), vec![]));
}

#[test]
fn without_delayed_removal_names_go_at_once() {
    let series = [bucket("m", "1", &[4.0, ABSENT]), bucket("m", "+Inf", &[4.0, ABSENT])];
    let later = [bucket("n", "1", &[ABSENT, 4.0]), bucket("n", "+Inf", &[ABSENT, 4.0])];
    let call = quantile(&[0.5, 0.5], features(false));
    let (lines, _) = applied(&call, &[series.clone(), later].concat(), 2);
    assert_eq!(lines, [r#"{a="1"} 0.5 0.5"#]);
    let both = [bucket("n", "1", &[4.0, 4.0]), bucket("n", "+Inf", &[4.0, 4.0])];
    let mut notes = Annotations::default();
    let error = call.apply(&[series, both].concat(), 2, &meter(), &mut notes).unwrap_err();
    assert_eq!(error.to_string(), "vector cannot contain metrics with the same labelset");
}

#[test]
fn a_native_histogram_with_the_labels_of_a_classic_one_excludes_both() {
    let series = [
        bucket("m", "1", &[4.0, ABSENT, 4.0]),
        native("m", 3, &[1, 2]),
        bucket("m", "+Inf", &[4.0, ABSENT, 4.0]),
    ];
    let (lines, notes) = applied(&quantile(&[1.0; 3], features(true)), &series, 3);
    assert_eq!(lines, [r#"{__name__="m", a="1"} drop 1 1 _"#]);
    let warning = "PromQL warning: vector contains a mix of classic and native histograms";
    assert_eq!(notes, [format!("{warning} for metric name \"m\" (1:2)")]);
    let (_, notes) = applied(&quantile(&[1.0; 3], features(false)), &series, 3);
    assert_eq!(notes, [format!("{warning} (1:2)")]);
}

#[test]
fn bounds_that_are_no_numbers_are_left_out() {
    let series = [
        bucket("m", "x", &[4.0]),
        bucket("m", "", &[4.0]),
        bucket("m", "1", &[4.0]),
        bucket("m", "+Inf", &[4.0]),
    ];
    let (lines, notes) = applied(&quantile(&[1.0], features(true)), &series, 1);
    assert_eq!(lines, [r#"{__name__="m", a="1"} drop 1"#]);
    let warning = "PromQL warning: bucket label \"le\" is missing or has a malformed value of";
    let expected = ["\"\"", "\"x\""];
    let expected = expected.map(|value| format!("{warning} {value} for metric name \"m\" (1:2)"));
    assert_eq!(notes, expected);
}

#[test]
fn counts_that_decrease_are_told() {
    let series = [bucket("m", "1", &[4.0]), bucket("m", "2", &[3.0]), bucket("m", "+Inf", &[8.0])];
    let (_, notes) = applied(&quantile(&[0.5], features(true)), &series, 1);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("needed to be fixed for monotonicity") && notes[0].ends_with("(1:2)")
    );
    let (lines, notes) = applied(&quantile(&[2.0], features(true)), &series, 1);
    assert_eq!(lines, [r#"{__name__="m", a="1"} drop inf"#]);
    let expected = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:1)";
    assert_eq!(notes, [expected], "no counts were needed");
}

#[test]
fn quantiles_are_checked_without_histograms() {
    let (lines, notes) = applied(&quantile(&[f64::NAN, 0.5, -0.1], features(true)), &[], 3);
    assert!(lines.is_empty());
    let expected = ["-0.1", "NaN"].map(|value| {
        format!("PromQL warning: quantile value should be between 0 and 1, got {value} (1:1)")
    });
    assert_eq!(notes, expected);
}

#[test]
fn several_quantiles_are_told_apart_by_a_label() {
    let series = [bucket("m", "1", &[4.0, 4.0]), bucket("m", "+Inf", &[4.0, 4.0])];
    let call = |label: &[u8], parameters: &[[f64; 2]]| {
        let spans: Vec<Span> = (0..parameters.len() + 2).map(span).collect();
        let parameters = parameters.iter().map(|p| p.to_vec()).collect();
        let function = Function::HistogramQuantiles;
        HistogramCall::prepare(function, parameters, Some(label), &spans, features(true)).unwrap()
    };
    let two = call(b"q", &[[0.0, -0.0], [0.25, 1.0]]);
    assert_eq!(two.series_per_histogram(), 3);
    let (lines, notes) = applied(&two, &[series.to_vec(), vec![native("n", 2, &[1])]].concat(), 2);
    let expected = [
        r#"{__name__="m", a="1", q="0.0"} drop 0 0"#,
        r#"{__name__="m", a="1", q="0.25"} drop 0.25 _"#,
        r#"{__name__="m", a="1", q="1.0"} drop _ 1"#,
        r#"{__name__="n", a="1", q="0.0"} drop _ 0.5"#,
        r#"{__name__="n", a="1", q="1.0"} drop _ 1"#,
    ];
    assert_eq!((lines, notes), (expected.map(str::to_owned).to_vec(), vec![]));
    let mut notes = Annotations::default();
    assert!(call(b"q", &[[0.5; 2], [0.5; 2]]).apply(&series, 2, &meter(), &mut notes).is_err());
    assert!(call(b"q", &[[2.0; 2]]).apply(&series, 2, &meter(), &mut notes).is_ok());
    let warning = "PromQL warning: quantile value should be between 0 and 1, got 2 (1:3)";
    assert_eq!(notes.texts(Severity::Warning, "0123456"), [warning]);
}

#[test]
fn nan_observations_are_told_at_the_vector() {
    let parts = HistogramParts {
        count: 8.0,
        sum: f64::NAN,
        positive: Buckets::from_dense(0, &[4.0]).unwrap(),
        ..HistogramParts::default()
    };
    let mut one = native("m", 1, &[]);
    one.values.push_histogram(0, Arc::new(Histogram::try_from(parts).unwrap()));
    let (lines, notes) = applied(&quantile(&[0.75], features(true)), &[one.clone()], 1);
    assert_eq!(lines, [r#"{__name__="m", a="1"} drop NaN"#]);
    let info = "PromQL info: input to histogram_quantile has NaN observations, result is NaN for \
                metric name \"m\" (1:2)";
    assert_eq!(notes, [info]);
    let spans = [span(3), span(4), span(5)];
    let parameters = vec![vec![0.0], vec![1.0]];
    let function = Function::HistogramFraction;
    let call = HistogramCall::prepare(function, parameters, None, &spans, features(false)).unwrap();
    let (lines, notes) = applied(&call, &[one], 1);
    assert_eq!(lines, [r#"{a="1"} 0.5"#]);
    let info = "PromQL info: input to histogram_fraction has NaN observations, which are excluded \
                from all fractions (1:6)";
    assert_eq!(notes, [info]);
}

#[test]
fn texts_of_quantiles_are_those_of_open_metrics() {
    for (value, text) in [
        (0.0, "0.0"),
        (-0.0, "0.0"),
        (1.0, "1.0"),
        (0.99, "0.99"),
        (-0.1, "-0.1"),
        (1e-7, "1e-07"),
        (1e6, "1e+06"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
    ] {
        assert_eq!(quantile_text(value), text);
    }
}

#[test]
fn many_steps_can_be_cancelled() {
    let steps = 1 << 16;
    let cancel = Cancel::default();
    cancel.cancel();
    let meter = Meter::new(Limits::default(), cancel, Arc::new(SystemClock::new()));
    let buckets = [bucket("m", "1", &vec![4.0; steps]), bucket("m", "+Inf", &vec![4.0; steps])];
    let call = quantile(&vec![0.5; steps], features(true));
    for series in [&buckets[..], &[native("m", steps, &(0..steps).collect::<Vec<_>>())]] {
        let cancelled = call.apply(series, steps, &meter, &mut Annotations::default());
        assert!(matches!(cancelled, Err(QueryError::Cancelled)));
    }
}
