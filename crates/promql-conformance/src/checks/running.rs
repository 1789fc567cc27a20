//! What the runner complains of: cases against answers that are given beforehand.

use std::cell::RefCell;

use crate::language::{Language, Setting};
use crate::model::{Answer, Hint, Histogram, Labels, Sample, Times, Value};
use crate::run::{FileReport, Miss, run_script};
use crate::store::StoredSample;
use crate::verdict::{judge, read_known};

/// A language whose queries all answer what a function says.
struct Canned<F> {
    answer: F,
    /// Whether a query is pinned, and the times and settings of all evaluations.
    seen: RefCell<Vec<(bool, Times, Setting)>>,
}

impl<F: Fn(bool, Times, Setting) -> Result<Answer, String>> Language for Canned<F> {
    /// Whether it is pinned.
    type Query = bool;
    type Store = ();

    fn parse(&self, text: &str) -> Result<bool, String> {
        if text == "wrong" { Err("1:1: parse error".to_owned()) } else { Ok(false) }
    }

    fn pinned(&self, _: &bool, _: i64) -> Option<bool> {
        Some(true)
    }

    fn insert(&self, _: &mut (), _: &Labels, _: &[StoredSample]) {}

    fn evaluate(
        &self,
        _: &(),
        query: &bool,
        times: Times,
        setting: Setting,
    ) -> Result<Answer, String> {
        self.seen.borrow_mut().push((*query, times, setting));
        (self.answer)(*query, times, setting)
    }
}

fn canned<F: Fn(bool, Times, Setting) -> Result<Answer, String>>(answer: F) -> Canned<F> {
    Canned { answer, seen: RefCell::default() }
}

fn labels(name: &str) -> Labels {
    [("a".to_owned(), name.to_owned())].into()
}

fn plain(value: Value) -> Answer {
    Answer { value, warnings: vec![], infos: vec![] }
}

/// These series, as a vector or as a matrix with the same value at each step.
fn series_at(times: Times, series: &[(&str, Sample)]) -> Value {
    match times {
        Times::Instant(_) => {
            Value::Vector(series.iter().map(|(a, s)| (labels(a), s.clone())).collect())
        }
        Times::Range { start, end, step } => {
            let times: Vec<i64> =
                (0..).map(|i| start + i * step).take_while(|t| *t <= end).collect();
            let points = |s: &Sample| times.iter().map(|t| (*t, s.clone())).collect();
            let mut matrix: Vec<_> = series.iter().map(|(a, s)| (labels(a), points(s))).collect();
            matrix.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Matrix(matrix)
        }
    }
}

/// `{a="y"} 2` before `{a="x"} 1`, with a warning and an info.
fn two_series(times: Times) -> Answer {
    Answer {
        value: series_at(times, &[("y", Sample::Float(2.0)), ("x", Sample::Float(1.0))]),
        warnings: vec!["PromQL warning: odd (1:3)".to_owned()],
        infos: vec!["PromQL info: so (1:1)".to_owned()],
    }
}

/// Why the only case of a script misses; empty if it passes.
fn miss<L: Language>(language: &L, script: &str) -> String {
    let mut report = run_script(language, "own.test", script, None).unwrap();
    assert_eq!(report.lines.len(), 1, "one case");
    report.misses.pop().map_or(String::new(), |miss| miss.reason)
}

/// Asserts that each body passes below `eval`, or misses with a reason that holds a text.
fn assert_reasons<L: Language>(language: &L, eval: &str, bodies: &[(&str, &str)]) {
    for (body, reason) in bodies {
        let found = miss(language, &format!("{eval}\n{body}"));
        assert!(found.contains(reason), "{body}: {found}");
        assert_eq!(found.is_empty(), reason.is_empty(), "{body}: {found}");
    }
}

#[test]
fn wrong_values_series_orders_and_annotations_are_found() {
    let right = "{a=\"x\"} 1\n{a=\"y\"} 2";
    let with = |lines: &str| format!("{lines}\n{right}");
    let cases = [
        (right.to_owned(), ""),
        ("{a=\"x\"} 1\n{a=\"y\"} 2.1".to_owned(), "{a=\"y\"}: 2, not 2.1"),
        ("{a=\"x\"} 1\n{a=\"y\"} {{}}".to_owned(), "the float 2, not {{"),
        ("{a=\"x\"} 1".to_owned(), "surplus series {a=\"y\"}"),
        (String::new(), "surplus series"),
        (format!("{right}\n{{a=\"z\"}} 3"), "missing series {a=\"z\"}"),
        ("{a=\"x\"} 1\n{b=\"y\"} 2".to_owned(), "surplus series"),
        ("5".to_owned(), "series, but Scalar(5.0)"),
        (with("expect ordered"), "is at place 1, not 2"),
        ("expect ordered\n{a=\"y\"} 2\n{a=\"x\"} 1".to_owned(), ""),
        (with("expect warn"), ""),
        (with("expect warn msg: PromQL warning: odd (1:3)"), ""),
        (with("expect warn msg: PromQL warning: odd (1:4)"), "no warning is"),
        (with("expect warn regex: d+ .1:3"), ""),
        (with("expect warn regex: ^odd"), "no warning is"),
        (with("expect info msg: PromQL info: so (1:2)"), "no info is"),
        (with("expect no_warn"), "unexpected warnings"),
        (with("expect no_info"), "unexpected infos"),
        (with("expect fail"), "no error, but one is expected"),
        ("expect string \"x\"".to_owned(), "series, but Text"),
    ];
    let cases: Vec<(&str, &str)> = cases.iter().map(|(body, why)| (body.as_str(), *why)).collect();
    let language = canned(|_, times, _| Ok(two_series(times)));
    assert_reasons(&language, "eval instant at 1m q", &cases);
    assert_reasons(&language, "eval_ordered instant at 1m q", &[(right, "is at place")]);
}

#[test]
fn every_warning_needs_a_line_and_every_line_a_warning() {
    let language = canned(|_, times, _| {
        let warnings =
            vec!["PromQL warning: a (1:1)".to_owned(), "PromQL warning: b (1:1)".to_owned()];
        Ok(Answer { value: series_at(times, &[]), warnings, infos: vec![] })
    });
    assert_reasons(
        &language,
        "eval instant at 1m q",
        &[
            ("expect warn regex: a\nexpect warn regex: b", ""),
            ("expect warn regex: : a", "unexpected warning \"PromQL warning: b (1:1)\""),
            ("expect warn regex: a\nexpect warn regex: b\nexpect warn regex: c", "no warning is"),
            ("expect info", "no info is"),
        ],
    );
    assert_reasons(&language, "eval_warn instant at 1m q", &[("", "")]);
    assert_reasons(&language, "eval_info instant at 1m q", &[("", "no info, but one is expected")]);
}

#[test]
fn errors_must_have_the_text_that_is_expected() {
    let language = canned(|_, _, _| Err("duplicate series".to_owned()));
    assert_reasons(
        &language,
        "eval instant at 1m q",
        &[
            ("", "error: duplicate series"),
            ("expect fail", ""),
            ("expect fail msg: duplicate series", ""),
            ("expect fail msg: duplicate", "error: duplicate series, not"),
            ("expect fail msg:\"duplicate series\"", "error: duplicate series, not"),
            ("expect fail regex: ^dup", ""),
            ("expect fail regex: many", "error: duplicate series, not"),
        ],
    );
    assert_reasons(
        &language,
        "eval_fail instant at 1m q",
        &[
            ("", ""),
            ("expected_fail_message duplicate series", ""),
            ("expected_fail_message other", "not"),
            ("expected_fail_regexp s.r", ""),
            ("expected_fail_regexp x", "not"),
        ],
    );
    assert!(miss(&language, "eval instant at 1m wrong\n expect fail").contains("does not parse"));
}

#[test]
fn matrices_are_compared_point_by_point() {
    let matrix = |points: Vec<(i64, Sample)>| {
        let matrix = Value::Matrix(vec![(labels("x"), points)]);
        canned(move |_, _, _| Ok(plain(matrix.clone())))
    };
    let (one, minute) = (Sample::Float(1.0), 60_000);
    let language = matrix(vec![(0, one.clone()), (2 * minute, one.clone())]);
    assert_reasons(
        &language,
        "eval range from 0 to 2m step 1m q",
        &[
            ("{a=\"x\"} 1 _ 1", ""),
            ("{a=\"x\"} 1 _ 2", "at 120000: 1, not 2"),
            ("{a=\"x\"} 1 1 1", "points at [0, 120000], not at [0, 60000, 120000]"),
            ("{a=\"x\"} 1 _ {{}}", "the float 1, not {{"),
            ("{a=\"x\"} 1", "points at"),
            ("{a=\"x\"} 1 _ 1 _", "more than there are steps"),
            ("{a=\"x\"} 1 _ 1\n{a=\"y\"} 1 _ 1", "missing series"),
            ("", "surplus series"),
            ("expect ordered\n{a=\"x\"} 1 _ 1", "an order"),
        ],
    );
    assert_reasons(
        &language,
        "eval instant at 9m q",
        &[("expect range vector from 0 to 2m step 2m\n{a=\"x\"} 1 1", "")],
    );
    assert!(
        language.seen.borrow().iter().any(|(_, times, _)| *times == Times::Instant(2 * minute))
    );
    let language = matrix(vec![(minute, one.clone()), (0, one)]);
    assert_reasons(
        &language,
        "eval range from 0 to 1m step 1m q",
        &[("{a=\"x\"} 1 1", "not in order of time")],
    );
    let unsorted = Value::Matrix(vec![(labels("y"), vec![]), (labels("x"), vec![])]);
    let language = canned(move |_, _, _| Ok(plain(unsorted.clone())));
    assert_reasons(
        &language,
        "eval range from 0 to 1m step 1m q",
        &[("{a=\"x\"} _\n{a=\"y\"} _", "series are not in order")],
    );
}

#[test]
fn histograms_are_compared_in_all_that_they_have() {
    let histogram = Histogram {
        count: 3.0,
        sum: 5.0,
        zero_count: 1.0,
        zero_threshold: 0.5,
        positive: vec![(0, 0.0), (1, 2.0)],
        hint: Hint::NotReset,
        ..Histogram::default()
    };
    let sample = Sample::Histogram(Box::new(histogram));
    let language = canned(move |_, times, _| Ok(plain(series_at(times, &[("x", sample.clone())]))));
    let all = [
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[2 0 0] offset:1", ""),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2] counter_reset_hint:not_reset", ""),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2] counter_reset_hint:unknown", "not"),
        ("schema:1 count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2]", "not"),
        ("count:4 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2]", "not"),
        ("count:3 sum:6 z_bucket:1 z_bucket_w:0.5 buckets:[0 2]", "not"),
        ("count:3 sum:5 z_bucket:2 z_bucket_w:0.5 buckets:[0 2]", "not"),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.50000001 buckets:[0 2]", "not"),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[2]", "not"),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2 1]", "not"),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 n_buckets:[0 2]", "not"),
        ("count:3 sum:5 z_bucket:1 z_bucket_w:0.5 buckets:[0 2] n_buckets:[1]", "not"),
    ];
    for (body, reason) in all {
        let body = format!("{{a=\"x\"}} {{{{{body}}}}}");
        assert_reasons(&language, "eval instant at 1m q", &[(&body, reason)]);
    }
    assert_reasons(&language, "eval instant at 1m q", &[("{a=\"x\"} 1", "the histogram {{")]);
}

#[test]
fn scalars_and_strings_are_compared() {
    let language = canned(|_, times, _| {
        Ok(plain(match times {
            Times::Instant(_) => Value::Scalar(5.0),
            Times::Range { start, .. } => {
                let points = [0, 60_000, 120_000].map(|t| (start + t, Sample::Float(5.0)));
                Value::Matrix(vec![(Labels::new(), points.to_vec())])
            }
        }))
    });
    assert_reasons(
        &language,
        "eval instant at 1m q",
        &[("5", ""), ("6", "5, not 6"), ("{} 5", "none is expected"), ("", "none is expected")],
    );
    let language = canned(|_, _, _| Ok(plain(Value::Text(b"a\xc5".to_vec()))));
    assert_reasons(
        &language,
        "eval instant at 1m q",
        &[
            (r#"expect string "a\xc5""#, ""),
            ("expect string \"a\"", "the string"),
            ("5", "the string"),
        ],
    );
}

#[test]
fn an_instant_query_is_also_run_pinned_and_as_a_range() {
    let language = canned(|_, times, _| Ok(plain(series_at(times, &[("x", Sample::Float(1.0))]))));
    let body = "{a=\"x\"} 1";
    assert_reasons(&language, "eval instant at 5m q", &[(body, "")]);
    let seen = language.seen.borrow();
    let runs: Vec<(bool, Times)> = seen.iter().step_by(4).map(|s| (s.0, s.1)).collect();
    let at = |time: i64| {
        let (start, end) = (time - 60_000, time + 60_000);
        [Times::Instant(time), Times::Range { start, end, step: 60_000 }]
    };
    let minute = 60_000;
    let mut expected: Vec<(bool, Times)> = at(5 * minute).map(|times| (false, times)).to_vec();
    for time in [-50 * minute, 0, minute, 5 * minute, 50 * minute] {
        expected.extend(at(time).map(|times| (true, times)));
    }
    assert_eq!(runs, expected);
    drop(seen);

    let is_pinned_at = |wanted: i64| {
        canned(move |pinned, times, _| {
            let value = if pinned && times == Times::Instant(wanted) { 2.0 } else { 1.0 };
            Ok(plain(series_at(times, &[("x", Sample::Float(value))])))
        })
    };
    let why = "with @ 300000 ms, at -3000000 ms: {a=\"x\"}: 2, not 1";
    assert_reasons(&is_pinned_at(-3_000_000), "eval instant at 5m q", &[(body, why)]);
    assert_reasons(&is_pinned_at(-1000), "eval instant at 0 q", &[(body, "at -1000 ms")]);

    let in_range = |answer: fn(Times) -> Result<Answer, String>| {
        canned(move |_, times, _| match times {
            Times::Instant(_) => Ok(plain(series_at(times, &[("x", Sample::Float(1.0))]))),
            Times::Range { .. } => answer(times),
        })
    };
    let eval = "eval instant at 5m q";
    let wrong = in_range(|times| Ok(plain(series_at(times, &[("x", Sample::Float(2.0))]))));
    assert_reasons(&wrong, eval, &[(body, "as a range query: {a=\"x\"}: 2, not 1")]);
    assert_reasons(&wrong, "eval instant at 5m q + start()", &[(body, "")]);
    assert_reasons(&wrong, eval, &[("expect ordered\n{a=\"x\"} 1", "")]);
    let error = in_range(|_| Err("no".to_owned()));
    assert_reasons(&error, eval, &[(body, "as a range query: error: no")]);
    assert_reasons(&error, eval, &[("expect ordered\n{a=\"x\"} 1", "as a range query: error: no")]);
}

#[test]
fn settings_must_answer_the_same_bits() {
    for odd in Setting::OTHERS {
        let language = canned(move |_, times, setting| {
            let value = if setting == odd { 1.0 + f64::EPSILON } else { 1.0 };
            Ok(plain(series_at(times, &[("x", Sample::Float(value))])))
        });
        let reason = miss(&language, "eval instant at 5m q\n{a=\"x\"} 1");
        assert!(reason.starts_with(&format!("{odd:?} answers")), "{reason}");
    }
    let language =
        canned(
            |_, _, setting| {
                if setting == Setting::Default { Err("a".to_owned()) } else { Err("b".to_owned()) }
            },
        );
    assert!(miss(&language, "eval instant at 5m q\n expect fail").contains("error: b"));
}

#[test]
fn a_panic_is_a_miss() {
    let language = canned(|_, _, _| panic!("index out of bounds"));
    let script = "eval instant at 5m q\n\neval instant at 5m q\n";
    let report = run_script(&language, "own.test", script, None).unwrap();
    assert_eq!((report.lines.len(), report.passed()), (2, 0));
    assert_eq!(report.misses[1].reason, "panic: index out of bounds");
    let report = run_script(&language, "own.test", script, Some(3)).unwrap();
    assert_eq!(report.lines, [3]);
}

#[test]
fn only_listed_misses_are_excused_and_only_while_they_miss() {
    let report = || FileReport {
        name: "a.test".to_owned(),
        lines: vec![1, 5, 9],
        misses: vec![Miss { line: 5, query: "q".to_owned(), reason: "why".to_owned() }],
    };
    let judged = |list: &str| judge(&[report()], &read_known(list).unwrap());
    let fine = judged("# why\na.test:5 not yet\nabsent.test:7 x\n");
    assert!(fine.faults.is_empty(), "{:?}", fine.faults);
    assert!(fine.text.contains("known miss a.test:5 q\n    why\n"));
    assert!(fine.text.ends_with("a.test: 2/3\nknown misses: 1\ntotal: 2/3\n"), "{}", fine.text);
    assert_eq!(judged("").faults, ["a.test:5 misses and is not listed"]);
    let passes = judged("a.test:5 not yet\na.test:9 not yet");
    assert_eq!(passes.faults, ["a.test:9 passes: take it off the list of misses"]);
    assert!(passes.text.contains("total: 2/3"));
    for wrong in ["a.test 5", "a.test:5", "a.test:x why", "a.test:5 x\na.test:5 y"] {
        assert!(read_known(wrong).is_err(), "{wrong}");
    }
}
