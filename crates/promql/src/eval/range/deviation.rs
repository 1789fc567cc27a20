//! `stddev_over_time` and `stdvar_over_time`: deviation and variance of the population of a window.
//!
//! The variance is the mean of the squared distances from the mean, by Welford's recurrence (1962)
//! with compensated sums, as in Prometheus; aggregates of neighbouring samples are combined by the
//! formula of Chan, Golub and LeVeque (1979), which the recurrence is a case of. NaN and infinities
//! make NaN. Histograms are ignored beside floats; alone they have no result.

use crate::histogram::Kahan;
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::notes::{Note, SeriesNotes};
use super::two_stacks::{Combine, Cuts, TwoStacks};
use super::window::each_window;

/// Squares of values below this, and their sums, do not overflow.
const ORDINARY_MAX: f64 = 1e140;

/// Number, mean and squared distances of some samples.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Moments {
    count: f64,
    mean: Kahan,
    /// The sum of the squared distances from the mean.
    squares: Kahan,
    /// Whether a value was not ordinary, so that its window is computed from its samples.
    special: bool,
}

impl Moments {
    #[inline]
    fn push(&mut self, value: f64) {
        self.special |= value.is_nan() || value.abs() >= ORDINARY_MAX;
        self.count += 1.0;
        let distance = value - self.mean.total();
        self.mean.push(distance / self.count);
        self.squares.push(distance * (value - self.mean.total()));
    }

    fn variance(&self) -> f64 {
        self.squares.total() / self.count
    }
}

struct AllMoments<'a>(&'a [f64]);

impl Combine for AllMoments<'_> {
    type Partial = Moments;

    #[inline]
    fn one(&self, at: usize) -> Moments {
        let mut moments = Moments::default();
        moments.push(self.0[at]);
        moments
    }

    #[inline]
    fn append(&self, partial: &mut Moments, at: usize) {
        partial.push(self.0[at]);
    }

    #[inline]
    fn join(&self, older: &Moments, newer: &Moments) -> Moments {
        let mut older = *older;
        let count = older.count + newer.count;
        let distance =
            (newer.mean.sum - older.mean.sum) + (newer.mean.compensation - older.mean.compensation);
        let share = newer.count / count;
        older.mean.push(distance * share);
        older.squares.push(newer.squares.sum);
        older.squares.compensation += newer.squares.compensation;
        older.squares.push(distance * distance * older.count * share);
        older.count = count;
        older.special |= newer.special;
        older
    }
}

/// Evaluates the variance of each window and what `finish` makes of it.
pub(super) fn evaluate(
    input: &Input<'_>,
    finish: impl Fn(f64) -> f64,
    partials: &mut Vec<Moments>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let values = input.samples.floats.values;
    let moments = AllMoments(values);
    let mut stacks = TwoStacks::new(partials);
    let mut cuts = Cuts::of(&input.windows, input.samples.floats.timestamps);
    each_window(input, |window| {
        let Some(found) = stacks.slide_to(&window, &mut cuts, &moments) else { return };
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        let variance = if found.special {
            input.work(window.floats.len());
            special_variance(window.floats.of(values))
        } else {
            found.variance()
        };
        out.set_float(window.step, finish(variance));
    })
}

/// The variance of samples of which some are not ordinary.
fn special_variance(values: &[f64]) -> f64 {
    if values.iter().any(|value| !value.is_finite()) {
        return f64::NAN;
    }
    let mut moments = Moments::default();
    values.iter().for_each(|value| moments.push(*value));
    moments.variance()
}
