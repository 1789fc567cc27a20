//! Whether an answer is what a case expects. Each check says in its error what differs.

use crate::expect::{Expectations, Expected, Notes};
use crate::histogram::WrittenHistogram;
use crate::model::{
    Answer, CUSTOM_SCHEMA, Histogram, Labels, Sample, Times, Value, is_stale, show_labels,
};
use crate::series::Slot;

/// How far numbers may be apart, relative to the sum of their sizes.
const EPSILON: f64 = 1e-6;

/// Checks annotations of both severities.
pub(crate) fn check_annotations(expected: &Expectations, answer: &Answer) -> Result<(), String> {
    check_notes("warning", &expected.warnings, &answer.warnings)?;
    check_notes("info", &expected.infos, &answer.infos)
}

fn check_notes(kind: &str, expected: &Notes, found: &[String]) -> Result<(), String> {
    if expected.at_least_one && found.is_empty() {
        return Err(format!("no {kind}, but one is expected"));
    }
    if expected.none && !found.is_empty() {
        return Err(format!("unexpected {kind}s {found:?}"));
    }
    if expected.matches.is_empty() {
        return Ok(());
    }
    for text in &expected.matches {
        if !found.iter().any(|note| text.accepts(note)) {
            return Err(format!("no {kind} is {text:?}, but {found:?}"));
        }
    }
    match found.iter().find(|note| !expected.matches.iter().any(|text| text.accepts(note))) {
        Some(note) => Err(format!("unexpected {kind} {note:?}")),
        None => Ok(()),
    }
}

/// Checks the value of a query that was evaluated at `times`.
pub(crate) fn check_value(
    expected: &Expectations,
    times: Times,
    found: &Value,
) -> Result<(), String> {
    match (found, &expected.value) {
        (Value::Scalar(found), Expected::Scalar(value)) => equal_floats(*value, *found),
        (Value::Scalar(found), _) => Err(format!("the scalar {found}, but none is expected")),
        (Value::Text(found), Expected::Text(text)) if text == found => Ok(()),
        (Value::Text(found), text) => {
            Err(format!("the string {:?}, not {text:?}", String::from_utf8_lossy(found)))
        }
        (Value::Vector(found), Expected::Series(series)) => {
            check_vector(series, expected.ordered, found)
        }
        (Value::Matrix(_), _) if expected.ordered => {
            Err("a matrix, but an order of samples is expected".to_owned())
        }
        (Value::Matrix(found), Expected::Series(series)) => {
            check_matrix(series, expected.window.unwrap_or(times), found)
        }
        (Value::Vector(_) | Value::Matrix(_), value) => {
            Err(format!("series, but {value:?} is expected"))
        }
    }
}

fn check_vector(
    expected: &[(Labels, Vec<Slot>)],
    ordered: bool,
    found: &[(Labels, Sample)],
) -> Result<(), String> {
    for (at, (labels, sample)) in found.iter().enumerate() {
        let shown = show_labels(labels);
        let place = expected.iter().position(|(other, _)| other == labels);
        let place = place.ok_or_else(|| format!("surplus series {shown} {sample}"))?;
        if ordered && place != at {
            return Err(format!("{shown} is at place {}, not {}", at + 1, place + 1));
        }
        let slot = expected[place].1.first().ok_or("an expected series has no value")?;
        equal_samples(slot, sample).map_err(|e| format!("{shown}: {e}"))?;
        if found[..at].iter().any(|(other, _)| other == labels) {
            return Err(format!("{shown} comes twice"));
        }
    }
    check_none_is_missing(expected, |labels| found.iter().any(|(other, _)| other == labels))
}

fn check_none_is_missing(
    expected: &[(Labels, Vec<Slot>)],
    is_found: impl Fn(&Labels) -> bool,
) -> Result<(), String> {
    match expected.iter().find(|(labels, _)| !is_found(labels)) {
        Some((labels, _)) => Err(format!("missing series {}", show_labels(labels))),
        None => Ok(()),
    }
}

/// Checks that series are in order of their labels, each once.
pub(crate) fn check_sorted<T>(series: &[(Labels, T)]) -> Result<(), String> {
    match series.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        Some(pair) => {
            let (a, b) = (show_labels(&pair[0].0), show_labels(&pair[1].0));
            Err(format!("series are not in order: {a} before {b}"))
        }
        None => Ok(()),
    }
}

fn check_matrix(
    expected: &[(Labels, Vec<Slot>)],
    window: Times,
    found: &[(Labels, Vec<(i64, Sample)>)],
) -> Result<(), String> {
    check_sorted(found)?;
    for (labels, points) in found {
        let shown = show_labels(labels);
        let of_labels = expected.iter().find(|(other, _)| other == labels);
        let (_, slots) = of_labels.ok_or_else(|| format!("surplus series {shown}"))?;
        check_points(slots, window, points).map_err(|e| format!("{shown}: {e}"))?;
    }
    check_none_is_missing(expected, |labels| found.iter().any(|(other, _)| other == labels))
}

/// Checks the points of one series; slot `i` is at the `i`-th step of the window.
fn check_points(slots: &[Slot], window: Times, found: &[(i64, Sample)]) -> Result<(), String> {
    let (start, end, step) = match window {
        Times::Instant(time) => (time, time, 0),
        Times::Range { start, end, step } => (start, end, step),
    };
    let mut expected = Vec::new();
    for (at, slot) in (0_i64..).zip(slots) {
        let time = start + at * step;
        if time > end {
            return Err(format!("{} values are expected, more than there are steps", slots.len()));
        }
        if *slot != Slot::Omitted {
            expected.push((time, slot));
        }
    }
    // Prometheus's runner compares floats and histograms as two lists, each in order of time; a
    // series has one point at a time, so that one list in that order says the same.
    if let Some(pair) = found.windows(2).find(|pair| pair[0].0 >= pair[1].0) {
        return Err(format!("points are not in order of time: {} before {}", pair[0].0, pair[1].0));
    }
    let times = |times: &mut dyn Iterator<Item = i64>| times.collect::<Vec<_>>();
    let (wanted, had) =
        (times(&mut expected.iter().map(|p| p.0)), times(&mut found.iter().map(|p| p.0)));
    if wanted != had {
        return Err(format!("points at {had:?}, not at {wanted:?}"));
    }
    for ((time, slot), (_, sample)) in expected.iter().zip(found) {
        equal_samples(slot, sample).map_err(|e| format!("at {time}: {e}"))?;
    }
    Ok(())
}

fn equal_samples(expected: &Slot, found: &Sample) -> Result<(), String> {
    match (expected, found) {
        (Slot::Float(expected), Sample::Float(found)) => equal_floats(*expected, *found),
        (Slot::Histogram(expected), Sample::Histogram(found)) => equal_histograms(expected, found),
        (Slot::Histogram(expected), Sample::Float(found)) => {
            Err(format!("the float {found}, not {}", expected.histogram))
        }
        (Slot::Float(expected), Sample::Histogram(found)) => {
            Err(format!("the histogram {found}, not {expected}"))
        }
        (Slot::Omitted, found) => Err(format!("{found}, but nothing is expected")),
    }
}

fn equal_floats(expected: f64, found: f64) -> Result<(), String> {
    if almost_equal(expected, found) { Ok(()) } else { Err(format!("{found}, not {expected}")) }
}

/// Whether two numbers are as near as Prometheus's runner asks for.
pub(crate) fn almost_equal(a: f64, b: f64) -> bool {
    if is_stale(a) || is_stale(b) {
        return is_stale(a) && is_stale(b);
    }
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    let (sum, distance) = (a.abs() + b.abs(), (a - b).abs());
    // Also where one of them is 0: their distance is their sum then.
    if sum < f64::MIN_POSITIVE {
        return distance < EPSILON * f64::MIN_POSITIVE;
    }
    distance / sum.min(f64::MAX) < EPSILON
}

fn equal_histograms(expected: &WrittenHistogram, found: &Histogram) -> Result<(), String> {
    let (a, b) = (expected.histogram.compacted(), found.compacted());
    let buckets = |a: &[(i32, f64)], b: &[(i32, f64)]| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && almost_equal(a.1, b.1))
    };
    let equal = a.schema == b.schema
        && almost_equal(a.count, b.count)
        && almost_equal(a.sum, b.sum)
        && almost_equal(a.zero_count, b.zero_count)
        && a.zero_threshold == b.zero_threshold
        && (a.schema != CUSTOM_SCHEMA || a.custom_values == b.custom_values)
        && buckets(&a.positive, &b.positive)
        && buckets(&a.negative, &b.negative)
        && (!expected.hint_written || a.hint == b.hint);
    if equal { Ok(()) } else { Err(format!("{b}, not {a}")) }
}
