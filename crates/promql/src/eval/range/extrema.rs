//! `min_over_time`, `max_over_time` and the times of these samples.
//!
//! NaN counts only where there is nothing else. Of equal values `min` and `max` take the first and
//! `ts_of_min` and `ts_of_max` the last, as Prometheus does (zeros of both signs are equal). The
//! times are in seconds. Histograms are ignored beside floats; alone they have no result.

use siltstone::Timestamp;

use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::notes::{Note, SeriesNotes};
use super::two_stacks::{Combine, TwoStacks};
use super::window::{Run, each_window};

/// The extreme sample of some.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extreme {
    value: f64,
    time: Timestamp,
}

/// Values that are compared side by side, so that the compiler can use vector instructions.
const LANES: usize = 8;

/// Takes the newer of two values if `better(newer, older)`, or if the older is NaN.
struct Extremes<'a, B> {
    timestamps: &'a [Timestamp],
    values: &'a [f64],
    better: B,
    /// No number is worse.
    worst: f64,
}

impl<B: Fn(f64, f64) -> bool> Extremes<'_, B> {
    /// The best of many values, unless nothing is better than `worst`. Zeros of either sign may stand
    /// for each other.
    fn best(&self, values: &[f64]) -> Option<f64> {
        let (rows, rest) = values.as_chunks::<LANES>();
        let mut lanes = [self.worst; LANES];
        for row in rows {
            for (best, value) in lanes.iter_mut().zip(row) {
                // NaN is not better than anything.
                *best = if (self.better)(*value, *best) { *value } else { *best };
            }
        }
        let better = |old, new: &f64| if (self.better)(*new, old) { *new } else { old };
        let best = lanes.iter().chain(rest).fold(self.worst, better);
        (best != self.worst).then_some(best)
    }
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

    #[inline]
    fn all(&self, run: Run) -> Option<Extreme> {
        let values = &self.values[run.first..run.end];
        let best = if values.len() < 2 * LANES { None } else { self.best(values) };
        let Some(best) = best else {
            let samples = (run.first..run.end).map(|at| self.one(at));
            return samples.reduce(|older, newer| self.join(&older, &newer));
        };
        // Of equal values the last, if that is better than its equals; the values' own bits.
        let is_best = |value: &f64| *value == best;
        let at = match (self.better)(best, best) {
            true => values.iter().rposition(is_best),
            false => values.iter().position(is_best),
        };
        at.map(|at| self.one(run.first + at))
    }
}

/// `min_over_time`.
pub(super) fn min(
    input: &Input<'_>,
    partials: &mut Vec<Extreme>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(
        input,
        (|new, old| new < old, f64::INFINITY, |found| found.value),
        partials,
        notes,
        out,
    )
}

/// `max_over_time`.
pub(super) fn max(
    input: &Input<'_>,
    partials: &mut Vec<Extreme>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(
        input,
        (|new, old| new > old, f64::NEG_INFINITY, |found| found.value),
        partials,
        notes,
        out,
    )
}

/// `ts_of_min_over_time`.
pub(super) fn ts_of_min(
    input: &Input<'_>,
    partials: &mut Vec<Extreme>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new <= old, f64::INFINITY, seconds), partials, notes, out)
}

/// `ts_of_max_over_time`.
pub(super) fn ts_of_max(
    input: &Input<'_>,
    partials: &mut Vec<Extreme>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, (|new, old| new >= old, f64::NEG_INFINITY, seconds), partials, notes, out)
}

fn seconds(found: Extreme) -> f64 {
    found.time as f64 / 1000.0
}

fn evaluate(
    input: &Input<'_>,
    (better, worst, finish): (impl Fn(f64, f64) -> bool, f64, impl Fn(Extreme) -> f64),
    partials: &mut Vec<Extreme>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let floats = input.samples.floats;
    let extremes = Extremes { timestamps: floats.timestamps, values: floats.values, better, worst };
    let mut stacks = TwoStacks::new(partials);
    each_window(input, |window| {
        let Some(found) = stacks.slide(window.floats, &extremes) else { return };
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        out.set_float(window.step, finish(found));
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks at all samples of runs, many and few, as one after the other.
    fn check(values: &[f64], better: impl Fn(f64, f64) -> bool, worst: f64) {
        let timestamps: Vec<Timestamp> = (0..).take(values.len()).collect();
        let extremes = Extremes { timestamps: &timestamps, values, better, worst };
        for first in [0, values.len() / 3] {
            let run = Run { first, end: values.len() };
            let found = extremes.all(run).map(|found| (found.time, found.value.to_bits()));
            let samples = (first..run.end).map(|at| extremes.one(at));
            let expected = samples.reduce(|older, newer| extremes.join(&older, &newer));
            assert_eq!(found, expected.map(|one| (one.time, one.value.to_bits())), "{values:?}");
        }
    }

    proptest! {
        #[test]
        fn many_samples_have_the_same_extremes_as_one_after_the_other(
            values in prop::collection::vec(
                prop::sample::select(vec![
                    f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1.0, 2.5, -1.0, -2.5,
                ]),
                0..70,
            ),
            kinds in prop::sample::subsequence((0..9usize).collect::<Vec<_>>(), 1..5),
        ) {
            let few = [f64::NAN, 0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, 1.0, 2.5, -1.0, -2.5];
            // Of a few kinds alone, too: all equal, all NaN, zeros of both signs.
            let alike: Vec<f64> =
                (0..values.len()).map(|at| few[kinds[at * 7 % kinds.len()]]).collect();
            for values in [&values, &alike] {
                check(values, |new, old| new < old, f64::INFINITY);
                check(values, |new, old| new > old, f64::NEG_INFINITY);
                check(values, |new, old| new <= old, f64::INFINITY);
                check(values, |new, old| new >= old, f64::NEG_INFINITY);
            }
        }
    }
}
