//! `deriv` and `predict_linear`: the least-squares line through the samples of a window.
//!
//! With the means of times and values, the slope is the sum of the products of the distances from
//! the means, divided by the sum of the squared distances of the times. Means and sums are carried
//! with compensation from sample to sample and combined by the formulas of Chan, Golub and LeVeque
//! (1979). Values that are all the same have the slope 0, but infinite ones NaN; any other window
//! with NaN or an infinity gives NaN. Histograms are ignored beside floats; a window with fewer than
//! two floats has no result.

use siltstone::Timestamp;

use crate::histogram::Kahan;
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::notes::{Note, SeriesNotes};
use super::two_stacks::{Combine, TwoStacks};
use super::window::{Window, each_window};

/// What some samples tell about their line. Times are in milliseconds since the first sample of the
/// column: whole numbers, so that samples close to each other do not suffer from those far away.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Line {
    count: f64,
    time: Kahan,
    value: Kahan,
    /// The sum of the products of the distances from both means.
    products: Kahan,
    /// The sum of the squared distances from the mean time.
    squares: Kahan,
    special: bool,
}

impl Line {
    #[inline]
    fn push(&mut self, time: f64, value: f64) {
        self.special |= !value.is_finite();
        self.count += 1.0;
        let (ahead, above) = (time - self.time.total(), value - self.value.total());
        self.time.push(ahead / self.count);
        self.value.push(above / self.count);
        self.products.push(ahead * (value - self.value.total()));
        self.squares.push(ahead * (time - self.time.total()));
    }

    #[inline]
    fn join(&mut self, newer: &Self) {
        let count = self.count + newer.count;
        let (ahead, above) = (apart(newer.time, self.time), apart(newer.value, self.value));
        let share = newer.count / count;
        self.time.push(ahead * share);
        self.value.push(above * share);
        merge(&mut self.products, newer.products);
        merge(&mut self.squares, newer.squares);
        self.products.push(ahead * above * self.count * share);
        self.squares.push(ahead * ahead * self.count * share);
        self.count = count;
        self.special |= newer.special;
    }

    /// Per second.
    fn slope(&self) -> f64 {
        if self.special { f64::NAN } else { self.products.total() / self.squares.total() * 1000.0 }
    }
}

/// How much more `a` is than `b`.
#[inline]
fn apart(a: Kahan, b: Kahan) -> f64 {
    (a.sum - b.sum) + (a.compensation - b.compensation)
}

#[inline]
fn merge(sum: &mut Kahan, other: Kahan) {
    sum.push(other.sum);
    sum.compensation += other.compensation;
}

struct Lines<'a> {
    origin: Timestamp,
    timestamps: &'a [Timestamp],
    values: &'a [f64],
}

impl Lines<'_> {
    #[inline]
    fn since_origin(&self, time: Timestamp) -> f64 {
        time.saturating_sub(self.origin) as f64
    }
}

impl Combine for Lines<'_> {
    type Partial = Line;

    #[inline]
    fn one(&self, at: usize) -> Line {
        let mut line = Line::default();
        self.append(&mut line, at);
        line
    }

    #[inline]
    fn append(&self, partial: &mut Line, at: usize) {
        partial.push(self.since_origin(self.timestamps[at]), self.values[at]);
    }

    #[inline]
    fn join(&self, older: &Line, newer: &Line) -> Line {
        let mut joined = *older;
        joined.join(newer);
        joined
    }
}

/// `deriv`: the slope, per second.
pub(super) fn deriv(
    input: &Input<'_>,
    partials: &mut Vec<Line>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    evaluate(input, |_, fit| fit.slope, partials, notes, out)
}

/// `predict_linear`: the line some seconds after the time of the step, whatever the offset of the
/// window.
pub(super) fn predict_linear(
    input: &Input<'_>,
    partials: &mut Vec<Line>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let parameter = input.call.parameters.first().map_or(&[][..], Vec::as_slice);
    let grid = input.windows.grid;
    let predict = |window: &Window, fit: &Fit| {
        let seconds = parameter.get(window.step).copied().unwrap_or(f64::NAN);
        let intercept = fit.at(grid.time(window.step));
        fit.slope * seconds + intercept
    };
    evaluate(input, predict, partials, notes, out)
}

/// The line of a window.
struct Fit {
    /// Per second.
    slope: f64,
    /// The mean value.
    value: f64,
    /// The mean time, in milliseconds since `origin`.
    time: f64,
    origin: Timestamp,
}

impl Fit {
    /// The value of the line at `time`.
    fn at(&self, time: Timestamp) -> f64 {
        let ahead = time.saturating_sub(self.origin) as f64 - self.time;
        self.value + self.slope * (ahead / 1000.0)
    }
}

fn evaluate(
    input: &Input<'_>,
    finish: impl Fn(&Window, &Fit) -> f64,
    partials: &mut Vec<Line>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let floats = input.samples.floats;
    let (timestamps, values) = (floats.timestamps, floats.values);
    let origin = timestamps.first().copied().unwrap_or(0);
    let lines = Lines { origin, timestamps, values };
    let mut stacks = TwoStacks::new(partials);
    // The last sample up to the window's end that differs from the one before it; and how many
    // samples were looked at for it.
    let (mut differing, mut seen) = (0, 1);
    each_window(input, |window| {
        let run = window.floats;
        let Some(line) = stacks.slide(run, &lines) else { return };
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        while seen < run.end {
            if values[seen] != values[seen - 1] {
                differing = seen;
            }
            seen += 1;
        }
        if run.len() < 2 {
            return;
        }
        let first = values[run.first];
        let fit = if differing <= run.first && first.is_finite() {
            Fit { slope: 0.0, value: first, time: 0.0, origin }
        } else {
            let (value, time) = (line.value.total(), line.time.total());
            Fit { slope: line.slope(), value, time, origin }
        };
        out.set_float(window.step, finish(&window, &fit));
    })
}
