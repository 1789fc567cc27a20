//! What depends only on which samples a window has: `count_over_time`, `present_over_time`, the first
//! and the last sample and their times (in seconds). Floats and histograms count alike.

use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::sample_counts::SampleCounts;
use super::window::{Run, Window, each_window};

/// Which sample of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Position {
    First,
    Last,
}

/// A sample of the window.
enum Found {
    Float(usize),
    Histogram(usize),
}

/// `count_over_time`: the number of samples.
pub(super) fn count(
    input: &Input<'_>,
    counted: &mut Vec<(usize, u64)>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let floats = SampleCounts::new(input.samples.float_counts, counted);
    each_window(input, |window| {
        if !window.is_empty() {
            let count = floats.of(window.floats) + window.histograms.len() as u64;
            out.set_float(window.step, count as f64);
        }
    })
}

/// `present_over_time`: 1 where there is a sample.
pub(super) fn present(input: &Input<'_>, out: &mut StepColumn) -> Result<(), QueryError> {
    each_window(input, |window| {
        if !window.is_empty() {
            out.set_float(window.step, 1.0);
        }
    })
}

/// `first_over_time` and `last_over_time`: the value of that sample, of whatever kind.
pub(super) fn value(
    input: &Input<'_>,
    position: Position,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    each_window(input, |window| match find(input, &window, position) {
        Some(Found::Float(at)) => out.set_float(window.step, input.samples.floats.values[at]),
        Some(Found::Histogram(at)) => {
            out.push_histogram(window.step, input.samples.histograms.values[at].clone());
        }
        None => {}
    })
}

/// `ts_of_first_over_time` and `ts_of_last_over_time`.
pub(super) fn timestamp(
    input: &Input<'_>,
    position: Position,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    each_window(input, |window| {
        let time = match find(input, &window, position) {
            Some(Found::Float(at)) => input.samples.floats.timestamps[at],
            Some(Found::Histogram(at)) => input.samples.histograms.timestamps[at],
            None => return,
        };
        out.set_float(window.step, time as f64 / 1000.0);
    })
}

#[inline]
fn find(input: &Input<'_>, window: &Window, position: Position) -> Option<Found> {
    let at = |run: Run| match position {
        _ if run.is_empty() => None,
        Position::First => Some(run.first),
        Position::Last => Some(run.last()),
    };
    match (at(window.floats), at(window.histograms)) {
        (Some(float), None) => Some(Found::Float(float)),
        (None, histogram) => histogram.map(Found::Histogram),
        (Some(float), Some(histogram)) => {
            let float_time = input.samples.floats.timestamps[float];
            let histogram_time = input.samples.histograms.timestamps[histogram];
            let float_is_first = float_time < histogram_time;
            Some(if float_is_first == (position == Position::First) {
                Found::Float(float)
            } else {
                Found::Histogram(histogram)
            })
        }
    }
}
