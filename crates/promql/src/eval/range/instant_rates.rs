//! `irate` and `idelta`: how the last two samples of a window differ.
//!
//! Prometheus's definition (`instantValue`): `idelta` is the difference of the two values; `irate` is
//! that difference, or after a reset the last value alone, divided by the seconds between the two.
//! Nothing is extrapolated. Two samples of different kinds have no result.

use std::sync::Arc;

use siltstone::Timestamp;

use crate::histogram::Histogram;
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::counter_resets::starts_anew;
use super::histogram_rates::difference;
use super::notes::{Note, SeriesNotes};
use super::window::{Window, each_window};

/// A sample of either kind. A start of 0 is unknown, or not to be looked at.
#[derive(Clone, Copy)]
struct Sample<'a> {
    time: Timestamp,
    start: Timestamp,
    value: Value<'a>,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

/// Evaluates `irate` if `is_rate`, else `idelta`.
pub(super) fn evaluate(
    input: &Input<'_>,
    is_rate: bool,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    each_window(input, |window| {
        let Some((before, last)) = last_two(input, &window) else { return };
        let seconds = last.time.saturating_sub(before.time) as f64 / 1000.0;
        let anew = is_rate && starts_anew((before.start, before.time), (last.start, last.time));
        match (before.value, last.value) {
            (Value::Float(old), Value::Float(new)) => {
                let value = if is_rate && (new < old || anew) { new } else { new - old };
                out.set_float(window.step, if is_rate { value / seconds } else { value });
            }
            (Value::Histogram(old), Value::Histogram(new)) => {
                let anew = is_rate && (anew || new.is_reset_after(old));
                let Some(mut value) = difference(old, new, (is_rate, anew), notes) else { return };
                if is_rate {
                    value.div(seconds);
                }
                out.push_histogram(window.step, Arc::new(value));
            }
            _ => notes.add(Note::Mixed),
        }
    })
}

/// The last two samples of a window, the older one first, if there are two.
fn last_two<'a>(input: &'a Input<'_>, window: &Window) -> Option<(Sample<'a>, Sample<'a>)> {
    let (floats, histograms) = (&input.samples.floats, &input.samples.histograms);
    let (float_starts, histogram_starts) = (input.starts(floats), input.starts(histograms));
    let float = |back: usize| {
        let at = window.floats.end.checked_sub(back).filter(|at| *at >= window.floats.first)?;
        let start = float_starts.get(at).copied().unwrap_or(0);
        let value = Value::Float(floats.values[at]);
        Some(Sample { time: floats.timestamps[at], start, value })
    };
    let histogram = |back: usize| {
        let run = window.histograms;
        let at = run.end.checked_sub(back).filter(|at| *at >= run.first)?;
        let start = histogram_starts.get(at).copied().unwrap_or(0);
        let value = Value::Histogram(&histograms.values[at]);
        Some(Sample { time: histograms.timestamps[at], start, value })
    };
    if window.histograms.is_empty() {
        return Some((float(2)?, float(1)?));
    }
    let later = |a: Option<Sample<'a>>, b: Option<Sample<'a>>| match (a, b) {
        (Some(a), Some(b)) => Some((a.time > b.time, if a.time > b.time { a } else { b })),
        (Some(a), None) => Some((true, a)),
        (None, b) => Some((false, b?)),
    };
    let (was_float, last) = later(float(1), histogram(1))?;
    let (_, before) =
        if was_float { later(float(2), histogram(1))? } else { later(float(1), histogram(2))? };
    Some((before, last))
}
