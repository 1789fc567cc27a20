//! `sum_over_time` and `avg_over_time`.
//!
//! Floats are summed up with compensation (Kahan as improved by Neumaier); the average is the sum
//! divided by the number of samples, or, where the sum would overflow, the mean carried from sample
//! to sample, as Prometheus does. A window with floats and histograms has no result. Histograms:
//! [`super::histogram_sums`].

use crate::histogram::{HistogramMean, HistogramSum, Kahan, Summary};
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::exact_sums::{ExactSums, are_added_exactly};
use super::histogram_sums::{HistogramSums, Memory};
use super::notes::{Note, SeriesNotes};
use super::sample_counts::SampleCounts;
use super::two_stacks::{Combine, Cuts, TwoStacks};
use super::window::{Run, each_window, histogram_work};

/// Sums of values below this overflow in no window that fits into memory.
const ORDINARY_MAX: f64 = 1e290;

const NAN: u8 = 1;
const PLUS_INFINITY: u8 = 2;
const MINUS_INFINITY: u8 = 4;
const HUGE: u8 = 8;

/// The sum of some samples: of those below [`ORDINARY_MAX`] the sum, of others what there was.
///
/// Compensated sums cannot carry infinities, and where a sum overflows on the way depends on the
/// order of additions, so what is not ordinary is kept apart.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Total {
    sum: Kahan,
    /// What else there was: bits.
    special: u8,
}

impl From<f64> for Total {
    fn from(sum: f64) -> Self {
        Self { sum: sum.into(), special: 0 }
    }
}

impl Total {
    #[inline]
    fn push(&mut self, value: f64) {
        if value.abs() < ORDINARY_MAX {
            self.sum.push(value);
        } else {
            self.special |= special(value);
        }
    }
}

/// The bit of a value that is not ordinary.
#[cold]
fn special(value: f64) -> u8 {
    if value.is_nan() {
        NAN
    } else if value.is_finite() {
        HUGE
    } else if value > 0.0 {
        PLUS_INFINITY
    } else {
        MINUS_INFINITY
    }
}

/// The sum or the average that samples which are not ordinary make, unless it must be computed.
fn special_total(special: u8) -> Option<f64> {
    let infinities = PLUS_INFINITY | MINUS_INFINITY;
    if special & HUGE != 0 {
        None
    } else if special & NAN != 0 || special & infinities == infinities {
        Some(f64::NAN)
    } else if special & PLUS_INFINITY != 0 {
        Some(f64::INFINITY)
    } else {
        Some(f64::NEG_INFINITY)
    }
}

struct Totals<'a>(&'a [f64]);

impl Combine for Totals<'_> {
    type Partial = Total;

    #[inline]
    fn one(&self, at: usize) -> Total {
        let mut total = Total::default();
        total.push(self.0[at]);
        total
    }

    #[inline]
    fn append(&self, partial: &mut Total, at: usize) {
        partial.push(self.0[at]);
    }

    #[inline]
    fn join(&self, older: &Total, newer: &Total) -> Total {
        let mut older = *older;
        older.sum.push(newer.sum.sum);
        older.sum.compensation += newer.sum.compensation;
        older.special |= newer.special;
        older
    }
}

/// Memory that is used again for every series.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    totals: Vec<Total>,
    /// Sums of whole numbers from the start of the series.
    exact: Vec<i64>,
    /// The samples that stand for others.
    pub(super) counted: Vec<(usize, u64)>,
}

/// `sum_over_time`.
pub(super) fn sum(
    input: &Input<'_>,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let values = input.samples.floats.values;
    let finish = |total: Total, run: Run, _| match total.special {
        0 => total.sum.total(),
        special => special_total(special).unwrap_or_else(|| {
            input.work(run.len());
            plain_sum(run.of(values))
        }),
    };
    evaluate::<HistogramSum>(input, finish, scratch, notes, out)
}

/// `avg_over_time`.
pub(super) fn avg(
    input: &Input<'_>,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let values = input.samples.floats.values;
    let finish = |total: Total, run: Run, count: u64| match total.special {
        0 => {
            let count = count as f64;
            total.sum.sum / count + total.sum.compensation / count
        }
        special => special_total(special).unwrap_or_else(|| {
            input.work(run.len());
            plain_avg(run.of(values))
        }),
    };
    evaluate::<HistogramMean>(input, finish, scratch, notes, out)
}

fn evaluate<S: Summary>(
    input: &Input<'_>,
    finish: impl Fn(Total, Run, u64) -> f64,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let values = input.samples.floats.values;
    let totals = Totals(values);
    // What is read as an outline was looked at before.
    let are_exact = !input.samples.float_counts.is_empty() || are_added_exactly(values);
    debug_assert!(!are_exact || are_added_exactly(values));
    // With `@` the windows of all steps are one.
    let are_shared = input.windows.overlap() || input.windows.shift.at.is_some();
    let exact = are_exact.then(|| match are_shared {
        true => ExactSums::of_overlapping(values, &mut scratch.exact),
        false => ExactSums::Values(values),
    });
    let counts = SampleCounts::new(input.samples.float_counts, &mut scratch.counted);
    let mut memory = Memory::<S>::default();
    let mut histograms = HistogramSums::new(input.samples.histograms.values, &mut memory);
    let mut stacks = TwoStacks::new(&mut scratch.totals);
    let mut cuts = Cuts::of(&input.windows, input.samples.floats.timestamps);
    each_window(input, |window| {
        let total = match &exact {
            Some(exact) => {
                (!window.floats.is_empty()).then(|| Total::from(exact.of(window.floats)))
            }
            None => stacks.slide_to(&window, &mut cuts, &totals),
        };
        if window.histograms.is_empty() {
            if let Some(total) = total {
                let count = counts.of(window.floats);
                out.set_float(window.step, finish(total, window.floats, count));
            }
        } else if total.is_some() {
            notes.add(Note::Mixed);
        } else {
            if let Some(histogram) = histograms.window(window.histograms, notes) {
                out.push_histogram(window.step, histogram);
            }
            if histograms.were_one_by_one() {
                histogram_work(input, window.histograms);
            }
        }
    })
}

/// The compensated sum in the order of the samples, infinite once it overflowed.
fn plain_sum(values: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    values.iter().for_each(|value| sum.push(*value));
    sum.total()
}

/// The average in the order of the samples: once the sum overflows, the mean is carried on instead.
fn plain_avg(values: &[f64]) -> f64 {
    let mut sum = Kahan::default();
    for (at, value) in values.iter().enumerate() {
        let before = sum;
        sum.push(*value);
        if sum.sum.is_infinite() && at > 0 {
            return carried_mean(before, at, values);
        }
    }
    let count = values.len() as f64;
    sum.sum / count + sum.compensation / count
}

/// The average of `values`, of which the first `summed` have the sum `sum`.
fn carried_mean(sum: Kahan, summed: usize, values: &[f64]) -> f64 {
    let mut count = summed as f64;
    let mut mean = Kahan { sum: sum.sum / count, compensation: sum.compensation / count };
    for value in &values[summed..] {
        count += 1.0;
        let share = (count - 1.0) / count;
        mean = Kahan { sum: share * mean.sum, compensation: share * mean.compensation };
        mean.push(value / count);
    }
    mean.total()
}
