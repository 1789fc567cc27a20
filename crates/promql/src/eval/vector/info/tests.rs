//! Joins of base series with info series.

use std::sync::Arc;

use siltstone::{Cancel, SystemClock};

use super::super::join_info;
use super::*;
use crate::eval::meter::Limits;
use crate::eval::meter::Meter;
use crate::query_error::QueryError;
use crate::value::{ABSENT, StepColumn, is_absent};

fn base(labels: &[(&str, &str)], floats: &[f64]) -> Series {
    let values = StepColumn::from_floats(floats.to_vec());
    Series { labels: LabelSet::from_pairs(labels.iter().copied()), drop_name: false, values }
}

/// An info series with the times of its samples, of which a negative one is none.
fn info(labels: &[(&str, &str)], times: &[i64]) -> InfoSeries {
    let sample = |time: &i64| if *time < 0 { InfoSample::None } else { InfoSample::Float(*time) };
    InfoSeries {
        labels: LabelSet::from_pairs(labels.iter().copied()),
        samples: times.iter().map(sample).collect(),
    }
}

/// A meter that allows so many bytes.
fn meter(bytes: u64) -> Meter {
    let limits = Limits { bytes, ..Limits::default() };
    Meter::new(limits, Cancel::default(), Arc::new(SystemClock::new()))
}

fn joined(call: &Info, base: &[Series], info: &[InfoSeries]) -> Vec<String> {
    let text = |series: &Series| {
        let value = |v: &f64| if is_absent(*v) { "_".to_owned() } else { v.to_string() };
        let values: Vec<String> = series.values.floats().iter().map(value).collect();
        format!("{} {}", series.labels, values.join(" "))
    };
    join_info(call, (base, info), &meter(1 << 20)).unwrap().iter().map(text).collect()
}

fn failed(call: &Info, base: &[Series], info: &[InfoSeries]) -> String {
    join_info(call, (base, info), &meter(1 << 20)).unwrap_err().to_string()
}

fn plain() -> Series {
    base(&[("__name__", "m"), ("instance", "a"), ("job", "1"), ("own", "x")], &[0.0, 1.0, 2.0])
}

fn target() -> InfoSeries {
    let labels =
        [("__name__", "target_info"), ("instance", "a"), ("job", "1"), ("data", "d"), ("own", "y")];
    info(&labels, &[0, 5, 5])
}

fn with(matchers: &[Matcher]) -> Info {
    Info::prepare(matchers)
}

#[test]
fn labels_of_the_target_are_added() {
    let expected = [r#"{__name__="m", data="d", instance="a", job="1", own="x"} 0 1 2"#];
    assert_eq!(joined(&Info::prepare(&[]), &[plain()], &[target()]), expected);
    let named = with(&[Matcher::equal("__name__", "target_info")]);
    assert_eq!(joined(&named, &[plain()], &[target()]), expected);
    // Only labels that are named are added, and those that are there stay.
    let only = with(&[Matcher::equal("own", "y")]);
    let expected = [r#"{__name__="m", instance="a", job="1", own="x"} 0 1 2"#];
    assert_eq!(joined(&only, &[plain()], &[target()]), expected);
}

#[test]
fn without_an_info_series_a_matcher_decides() {
    let other = base(&[("__name__", "m"), ("instance", "a"), ("job", "2")], &[1.0, 1.0, 1.0]);
    let unchanged = [r#"{__name__="m", instance="a", job="2"} 1 1 1"#];
    let other = [other];
    assert_eq!(joined(&Info::prepare(&[]), &other, &[target()]), unchanged);
    let any = with(&[Matcher::regex("data", ".*").unwrap()]);
    assert_eq!(joined(&any, &other, &[target()]), unchanged);
    let some = with(&[Matcher::regex("data", ".+").unwrap()]);
    assert!(joined(&some, &other, &[target()]).is_empty());
    // At one step only.
    let mut target = target();
    target.samples[1] = InfoSample::None;
    let expected = [r#"{__name__="m", data="d", instance="a", job="1", own="x"} 0 _ 2"#];
    assert_eq!(joined(&some, &[plain()], &[target]), expected);
}

#[test]
fn the_newest_sample_wins() {
    let labels =
        |data| [("__name__", "target_info"), ("instance", "a"), ("job", "1"), ("data", data)];
    let (old, new) = (info(&labels("old"), &[0, 5, -1]), info(&labels("new"), &[-1, 6, 6]));
    let expected = [
        r#"{__name__="m", data="old", instance="a", job="1", own="x"} 0 _ _"#,
        r#"{__name__="m", data="new", instance="a", job="1", own="x"} _ 1 2"#,
    ];
    let call = Info::prepare(&[]);
    assert_eq!(joined(&call, &[plain()], &[new.clone(), old.clone()]), expected);
    assert_eq!(joined(&call, &[plain()], &[old.clone(), new]), expected);
    let same = info(&labels("new"), &[-1, 5, 6]);
    let expected = concat!(
        r#"found duplicate series for info metric: existing {__name__="target_info", "#,
        r#"data="new", instance="a", job="1"} @ 5, new {__name__="target_info", data="old", "#,
        r#"instance="a", job="1"} @ 5"#
    );
    assert_eq!(failed(&call, &[plain()], &[old.clone(), same.clone()]), expected);
    // Where there is no base series, nobody looks.
    let gap = base(&[("__name__", "m")], &[0.0, ABSENT, 2.0]);
    assert_eq!(join_info(&call, (&[gap], &[old, same]), &meter(1 << 20)).unwrap().len(), 1);
}

#[test]
fn several_info_metrics_must_agree() {
    let matchers = [Matcher::regex("__name__", ".+_info").unwrap()];
    let call = with(&matchers);
    let build = |labels: &[(&str, &str)]| {
        let all = [&[("__name__", "build_info"), ("instance", "a"), ("job", "1")], labels].concat();
        info(&all, &[0, 0, 0])
    };
    let agreeing = build(&[("data", "d"), ("build", "b"), ("own", "z")]);
    let expected = [r#"{__name__="m", build="b", data="d", instance="a", job="1", own="x"} 0 1 2"#];
    assert_eq!(joined(&call, &[plain()], &[target(), agreeing]), expected);
    let differing = build(&[("data", "other")]);
    assert_eq!(failed(&call, &[plain()], &[target(), differing]), "conflicting label: data");
}

#[test]
fn info_series_among_the_base_get_nothing() {
    let mut itself = plain();
    itself.labels = target().labels;
    let expected = [r#"{__name__="target_info", data="d", instance="a", job="1", own="y"} 0 1 2"#];
    let mut series = target();
    series.labels = series.labels.with("more", "z");
    let (itself, series) = ([itself], [series]);
    assert_eq!(joined(&Info::prepare(&[]), &itself, &series), expected);
    // All matchers of the name must match.
    let (a, b) = (Matcher::regex("__name__", ".+_info"), Matcher::regex("__name__", "build.*"));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(with(std::slice::from_ref(&a)).is_info(&itself[0].labels));
    assert!(!with(&[a, b]).is_info(&itself[0].labels));
    assert!(with(&[Matcher::equal("more", "z")]).is_info(&itself[0].labels));
}

#[test]
fn negative_matchers_of_the_name_leave_info_metrics() {
    let call = with(&[Matcher::not_equal("__name__", "build_info")]);
    assert!(!call.is_info(&plain().labels) && call.is_info(&target().labels));
    let expected = [r#"{__name__="m", data="d", instance="a", job="1", own="x"} 0 1 2"#];
    assert_eq!(joined(&call, &[plain()], &[target()]), expected);
    let selection = call.selection(&[plain()]).unwrap();
    let matches = |name: &str| {
        selection.matchers.iter().filter(|m| m.name() == "__name__").all(|m| m.matches(name))
    };
    assert!(matches("target_info") && !matches("build_info") && !matches("m"));
}

#[test]
fn results_with_equal_labels_are_an_error() {
    let mut other = plain();
    other.labels = other.labels.with("data", "d");
    let error = failed(&Info::prepare(&[]), &[plain(), other], &[target()]);
    assert_eq!(error, "vector cannot contain metrics with the same labelset");
}

#[test]
fn histograms_pass_and_the_name_still_goes() {
    let mut histogram = base(&[("__name__", "m"), ("instance", "a"), ("job", "1")], &[ABSENT; 3]);
    histogram.values.push_histogram(1, Arc::default());
    histogram.drop_name = true;
    let result =
        join_info(&Info::prepare(&[]), (&[histogram], &[target()]), &meter(1 << 20)).unwrap();
    assert_eq!(result[0].labels.get("data"), "d");
    assert!(result[0].drop_name && result[0].values.histogram(1).is_some());
    let mut target = target();
    target.samples[1] = InfoSample::Histogram;
    let error = failed(&Info::prepare(&[]), &[plain()], &[target]);
    assert_eq!(error, "info sample should be float");
}

#[test]
fn the_selection_is_that_of_the_base() {
    let call = with(&[Matcher::regex("data", ".+").unwrap()]);
    let other = base(&[("__name__", "m"), ("instance", "b.c|d")], &[1.0]);
    let text = |selection: &InfoSelection| {
        selection.matchers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    let selection = call.selection(&[plain(), other.clone()]).unwrap();
    let expected = r#"__name__="target_info", data=~".+", instance=~"a|b\\.c\\|d", job="1""#;
    assert_eq!(text(&selection), expected);
    assert!(selection.accepts(&target().labels));
    assert!(selection.matchers[2].matches("b.c|d") && !selection.matchers[2].matches("bxc|d"));
    assert!(!selection.accepts(&target().labels.with("instance", "b")));
    assert!(call.selection(&[base(&[("__name__", "m")], &[1.0])]).is_none());
    // Info series themselves do not count.
    let mut itself = plain();
    itself.labels = target().labels;
    assert!(Info::prepare(&[]).selection(&[itself]).is_none());
    // Without `job`, it is not asked for; long lists are not either, but tested.
    let selection = Info::prepare(&[]).selection(&[other]).unwrap();
    assert_eq!(text(&selection), r#"__name__="target_info", instance="b.c|d""#);
    let many: Vec<Series> =
        (0..2000).map(|at| base(&[("instance", &format!("host-{at}"))], &[1.0])).collect();
    let selection = Info::prepare(&[]).selection(&many).unwrap();
    assert_eq!(selection.matchers.len(), 1);
    assert!(selection.accepts(&LabelSet::from_pairs([("instance", "host-1999")])));
    assert!(!selection.accepts(&LabelSet::from_pairs([("instance", "host-2000")])));
}

#[test]
fn series_with_one_identifying_label_match_info_series_with_one() {
    let one = base(&[("__name__", "m"), ("instance", "a")], &[1.0, 1.0, 1.0]);
    let custom = info(&[("__name__", "target_info"), ("instance", "a"), ("data", "e")], &[0, 0, 0]);
    let expected = [r#"{__name__="m", data="e", instance="a"} 1 1 1"#];
    assert_eq!(joined(&Info::prepare(&[]), &[one], &[target(), custom]), expected);
}

#[test]
fn columns_of_the_result_are_held_before_they_are_made() {
    // At each step another one of 50 info series wins.
    let steps = 50;
    let info_series = |winner: usize| {
        let number = winner.to_string();
        let labels = [("__name__", "target_info"), ("instance", "a"), ("job", "1"), ("n", &number)];
        let times: Vec<i64> = (0..steps).map(|step| i64::from(step == winner) * 2 - 1).collect();
        info(&labels, &times)
    };
    let all: Vec<InfoSeries> = (0..steps).map(info_series).collect();
    let one = base(&[("__name__", "m"), ("instance", "a"), ("job", "1")], &vec![1.0; steps]);
    let call = Info::prepare(&[]);
    let needed = (steps * steps * 8) as u64;
    let enough = meter(4 * needed);
    assert_eq!(join_info(&call, (std::slice::from_ref(&one), &all), &enough).unwrap().len(), steps);
    assert!(enough.bytes_peak() > needed, "{}", enough.bytes_peak());
    assert_eq!(enough.bytes_held(), 0);
    let refused = join_info(&call, (&[one], &all), &meter(needed)).unwrap_err();
    assert!(matches!(refused, QueryError::Limit { .. }), "{refused}");
}
