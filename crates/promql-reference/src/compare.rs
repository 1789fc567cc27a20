//! Asks both evaluators, and compares what they say.
//!
//! The evaluator under test answers in four settings, optimised or not and on one thread or on
//! several. Threads must not change a bit of an answer nor a word of a refusal, and optimisation no
//! annotation. The reference answers three times, twice with roundings exaggerated to
//! 1e-13. Its answer and those of the other have to be equal to 1e-9, relative or absolute; any NaN is equal to any; a refusal is equal to a
//! refusal.
//!
//! What cannot be compared is told and not counted as equal: where the language leaves the answer
//! open, where exaggerated roundings change the answer (a comparison of two computed values, a
//! difference of nearly equal ones), and what the reference does not know.

use siltstone_promql::ast::ValueType;
use siltstone_promql::{
    Answer, Engine, LabelSet, Limits, Point, Query, QueryError, QueryValue, ResultSeries,
};

use crate::evaluate::{Settings, Times, evaluate};
use crate::generate::Case;
use crate::value::{self, Failure, Value};

/// Largest difference, relative or absolute.
const TOLERANCE: f64 = 1e-9;
/// To what roundings are exaggerated.
const EXAGGERATED: f64 = 1e-13;

/// How a comparison ended without a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Both have the same answer, which is not empty.
    Equal,
    /// Both have the same answer, which is empty.
    Empty,
    /// Both refuse.
    Refused,
    /// The language leaves the answer open, or it depends on roundings.
    Open,
    /// The reference cannot evaluate this.
    Unsupported,
}

/// Evaluates `case` with both.
///
/// # Errors
/// A difference, in words.
pub fn check(case: &Case) -> Result<Verdict, String> {
    let query = Query::parse(&case.query, case.features)
        .map_err(|error| format!("{}: {error}", case.query))?;
    let found = ask_in_all_settings(case, &query)?;
    let root_type = query.ast().get(query.ast().root()).value_type;
    let is_range = matches!(case.times, Times::Range { .. });
    if is_range && matches!(root_type, ValueType::Matrix | ValueType::String) {
        return match found.optimised {
            Err(_) => Ok(Verdict::Refused),
            Ok(value) => Err(format!("a range query for {root_type:?}: {value:?}")),
        };
    }
    let ask = |rounding| {
        let settings = Settings { rounding, ..case.settings };
        evaluate(query.ast(), &case.series, case.times, settings)
    };
    let expected = ask(0.0);
    if expected == Err(Failure::Unsupported) {
        return Ok(Verdict::Unsupported);
    }
    if expected.as_ref().is_ok_and(|answer| answer.is_open) {
        return Ok(Verdict::Open);
    }
    let flat = flatten(&expected, is_range);
    let is_steady = |rounding| {
        let other = ask(rounding);
        let is_open = other.as_ref().is_ok_and(|answer| answer.is_open);
        !is_open && difference(&flatten(&other, is_range), &flat).is_none()
    };
    if !is_steady(EXAGGERATED) || !is_steady(-0.7 * EXAGGERATED) {
        return Ok(Verdict::Open);
    }
    for found in [found.optimised, found.plain] {
        if let Some(difference) = difference(&flatten_found(&found), &flat) {
            return Err(format!("{difference}\nfound {found:?}\nexpected {expected:?}"));
        }
    }
    Ok(match flat {
        None => Verdict::Refused,
        Some(flat) if flat.is_empty() => Verdict::Empty,
        Some(_) => Verdict::Equal,
    })
}

/// The answer in all four settings. What is evaluated at the same time changes no bit; optimisation
/// may change in which order sums are added, and which of several refusals comes first.
fn ask_in_all_settings(case: &Case, query: &Query) -> Result<Asked, String> {
    let source = case.source();
    let ask = |optimise, parallel| {
        let engine = Engine {
            lookback: case.settings.lookback,
            subquery_step: case.settings.subquery_step,
            limits: Limits { time: None, ..Limits::default() },
            optimise,
            parallel,
            ..Engine::default()
        };
        match case.times {
            Times::Instant(time) => engine.instant(&source, query, time),
            Times::Range { start, end, step } => engine.range(&source, query, (start, end), step),
        }
    };
    let answers = [true, false].map(|optimise| {
        let (one, several) = (ask(optimise, false), ask(optimise, true));
        let texts = (exact_text(&one), exact_text(&several));
        if texts.0 == texts.1 {
            return Ok((several, notes(&one)));
        }
        Err(format!("optimise {optimise}, one thread:\n{}\nseveral:\n{}", texts.0, texts.1))
    });
    let [optimised, plain] = answers;
    let ((optimised, notes), (plain, plain_notes)) = (optimised?, plain?);
    if notes != plain_notes {
        return Err(format!("optimised {notes:?}, but else {plain_notes:?}"));
    }
    Ok(Asked { optimised: optimised.map(|a| a.value), plain: plain.map(|a| a.value) })
}

/// The answers of the evaluator under test.
struct Asked {
    optimised: Result<QueryValue, QueryError>,
    plain: Result<QueryValue, QueryError>,
}

/// Warnings and infos of an answer, without their places: of two that differ in it only, one stays.
fn notes(answer: &Result<Answer, QueryError>) -> Vec<String> {
    let Ok(answer) = answer else { return Vec::new() };
    let without_place = |note: String| match note.rsplit_once(" (") {
        Some((text, _)) => text.to_owned(),
        None => note,
    };
    let notes = answer.warnings().into_iter().chain(answer.infos());
    let mut notes: Vec<String> = notes.map(without_place).collect();
    notes.sort();
    notes
}

/// All of an answer, floats as their bits.
fn exact_text(answer: &Result<Answer, QueryError>) -> String {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return error.to_string(),
    };
    let point = |(time, point): &(i64, Point)| match point {
        Point::Float(value) => format!(" {time}:{value}={:x}", value.to_bits()),
        Point::Histogram(histogram) => format!(" {time}:{histogram:?}"),
    };
    let line = |series: &ResultSeries| {
        format!("{}{}\n", series.labels, series.points.iter().map(point).collect::<String>())
    };
    let value = match &answer.value {
        QueryValue::Scalar(value) => format!("{value}={:x}", value.to_bits()),
        QueryValue::String(text) => format!("{text:?}"),
        QueryValue::Vector(all) | QueryValue::Matrix(all) => all.iter().map(line).collect(),
    };
    format!("{value}\n{:?}", (answer.warnings(), answer.infos()))
}

/// All samples of an answer, in order of labels and times. A scalar has no labels, and a text is a
/// label.
type Flat = Vec<(LabelSet, i64, f64)>;

fn flatten(answer: &Result<value::Answer, Failure>, is_range: bool) -> Option<Flat> {
    let answer = answer.as_ref().ok()?;
    let scalar_time = |time: &i64| if is_range { *time } else { 0 };
    let mut flat: Flat = match &answer.value {
        Value::Scalar(numbers) => {
            let timed = answer.times.iter().zip(numbers);
            timed.map(|(time, x)| (LabelSet::default(), scalar_time(time), *x)).collect()
        }
        Value::Vector(vectors) => {
            let timed = answer.times.iter().zip(vectors);
            let of_vector = |(time, vector): (&i64, &Vec<value::Sample>)| {
                let time = *time;
                vector.iter().map(move |s| (s.labels.clone(), time, s.value)).collect::<Vec<_>>()
            };
            timed.flat_map(of_vector).collect()
        }
        Value::Text(text) => vec![text_sample(text)],
        Value::Matrix(series) => {
            let of_series = |s: &value::Series| {
                let labels = s.labels.clone();
                s.samples.iter().map(|(t, x)| (labels.clone(), *t, *x)).collect::<Vec<_>>()
            };
            series.iter().flat_map(of_series).collect()
        }
    };
    flat.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Some(flat)
}

fn flatten_found(value: &Result<QueryValue, QueryError>) -> Option<Flat> {
    let mut flat: Flat = match value.as_ref().ok()? {
        QueryValue::Scalar(number) => vec![(LabelSet::default(), 0, *number)],
        QueryValue::String(text) => vec![text_sample(text)],
        QueryValue::Vector(series) | QueryValue::Matrix(series) => {
            let number = |point: &Point| match point {
                Point::Float(value) => *value,
                Point::Histogram(histogram) => histogram.count,
            };
            let of_series = |s: &ResultSeries| {
                let labels = s.labels.clone();
                s.points.iter().map(|(t, p)| (labels.clone(), *t, number(p))).collect::<Vec<_>>()
            };
            series.iter().flat_map(of_series).collect()
        }
    };
    flat.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    Some(flat)
}

fn text_sample(text: &[u8]) -> (LabelSet, i64, f64) {
    (LabelSet::from_pairs([("text", format!("{text:?}"))]), 0, 0.0)
}

/// The first difference between an answer (or a refusal) and the expected one.
fn difference(found: &Option<Flat>, expected: &Option<Flat>) -> Option<String> {
    let (found, expected) = match (found, expected) {
        (None, None) => return None,
        (None, Some(_)) => return Some("refused, but there is an answer".to_owned()),
        (Some(_), None) => return Some("answered, but it should be refused".to_owned()),
        (Some(found), Some(expected)) => (found, expected),
    };
    for (found, expected) in found.iter().zip(expected) {
        if (&found.0, found.1) != (&expected.0, expected.1) || !are_close(found.2, expected.2) {
            return Some(format!("found {found:?}, expected {expected:?}"));
        }
    }
    let (found_len, expected_len) = (found.len(), expected.len());
    (found_len != expected_len).then(|| format!("{found_len} samples, expected {expected_len}"))
}

fn are_close(a: f64, b: f64) -> bool {
    let is_near = (a - b).abs() <= TOLERANCE * f64::max(1.0, f64::max(a.abs(), b.abs()));
    a == b || (a.is_nan() && b.is_nan()) || (is_near && a.is_finite() && b.is_finite())
}
