//! `min_over_time`, `max_over_time` and the times of these samples.
//!
//! NaN counts only where there is nothing else. Of equal values `min` and `max` take the first and
//! `ts_of_min` and `ts_of_max` the last, as Prometheus does (zeros of both signs are equal). The
//! times are in seconds. Histograms are ignored beside floats; alone they have no result.

use siltstone::Timestamp;

use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::{Input, RangeScratch};
use super::notes::{Note, SeriesNotes};
use super::two_stacks::{Combine, TwoStacks};
use super::window::each_window;

/// The extreme sample of some.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extreme {
    value: f64,
    time: Timestamp,
}

/// Takes the newer of two values if `better(newer, older)`, or if the older is NaN.
struct Extremes<'a, B> {
    timestamps: &'a [Timestamp],
    values: &'a [f64],
    better: B,
}

impl<B: Fn(f64, f64) -> bool> Combine for Extremes<'_, B> {
    type Partial = Extreme;

    #[inline]
    fn one(&self, at: usize) -> Extreme {
        Extreme { value: self.values[at], time: self.timestamps[at] }
    }

    #[inline]
    fn append(&self, partial: &mut Extreme, at: usize) {
        *partial = self.join(partial, &self.one(at));
    }

    #[inline]
    fn join(&self, older: &Extreme, newer: &Extreme) -> Extreme {
        let newer_is_better = (self.better)(newer.value, older.value) || older.value.is_nan();
        if newer_is_better { *newer } else { *older }
    }
}

/// `min_over_time`.
pub(super) fn min(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new < old, |found| found.value), scratch, notes, out)
}

/// `max_over_time`.
pub(super) fn max(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new > old, |found| found.value), scratch, notes, out)
}

/// `ts_of_min_over_time`.
pub(super) fn ts_of_min(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new <= old, seconds), scratch, notes, out)
}

/// `ts_of_max_over_time`.
pub(super) fn ts_of_max(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new >= old, seconds), scratch, notes, out)
}

fn seconds(found: Extreme) -> f64 {
    found.time as f64 / 1000.0
}

fn evaluate(
    input: &Input<'_>,
    (better, finish): (impl Fn(f64, f64) -> bool, impl Fn(Extreme) -> f64),
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let floats = input.samples.floats;
    let extremes = Extremes { timestamps: floats.timestamps, values: floats.values, better };
    let mut stacks = TwoStacks::new(&mut scratch.extremes);
    each_window(input, |window| {
        let Some(found) = stacks.slide(window.floats, &extremes) else { return };
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        out.set_float(window.step, finish(found));
    })
}
