//! Windows that move over the columns of a series.
//!
//! The ends of the windows never fall from step to step (steps are in time order, and `@` keeps them
//! where they are), so each end moves over a column once: two pointers, whatever the number of
//! steps. Samples and steps mostly come at equal distances, so an end is looked for first as far on as it
//! moved before.

use siltstone::Timestamp;

use crate::eval::meter::Ticker;
use crate::query_error::QueryError;

use super::call::Input;

/// Neighbouring samples of a column: the indices from `first` up to and without `end`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: usize,
    /// At least `first`.
    pub(super) end: usize,
}

impl Run {
    /// The number of samples.
    #[inline]
    pub(super) fn len(self) -> usize {
        self.end - self.first
    }

    #[inline]
    pub(super) fn is_empty(self) -> bool {
        self.end == self.first
    }

    /// The index of the last sample; there is one.
    #[inline]
    pub(super) fn last(self) -> usize {
        self.end - 1
    }

    /// The entries of `column` in this run.
    #[inline]
    pub(super) fn of<T>(self, column: &[T]) -> &[T] {
        &column[self.first..self.end]
    }
}

/// The samples of one column in a window that moves on.
#[derive(Debug)]
pub(super) struct Slider<'a> {
    timestamps: &'a [Timestamp],
    run: Run,
    /// By how much the two ends moved last.
    moved: (usize, usize),
}

impl<'a> Slider<'a> {
    /// Over samples at `timestamps`, which increase.
    pub(super) fn new(timestamps: &'a [Timestamp]) -> Self {
        Self { timestamps, run: Run::default(), moved: (0, 0) }
    }

    /// The samples with `start < t <= end`. Neither end is before that of the call before.
    #[inline]
    pub(super) fn move_to(&mut self, start: Timestamp, end: Timestamp) -> Run {
        let before = self.run;
        self.run.end = behind(self.timestamps, (before.end, self.moved.1), end);
        self.run.first = behind(self.timestamps, (before.first, self.moved.0), start);
        self.moved = (self.run.first - before.first, self.run.end - before.end);
        self.run
    }
}

/// The place of the first time after `bound`, at or behind `from`; looked for first `guess` places further.
#[inline]
fn behind(times: &[Timestamp], (from, guess): (usize, usize), bound: Timestamp) -> usize {
    let guess = (from + guess).min(times.len());
    let is_before = |at: usize| times[at] <= bound;
    if guess > from && !is_before(guess - 1) {
        // Less far than before.
        return from + times[from..guess].partition_point(|t| *t <= bound);
    }
    if guess == times.len() || !is_before(guess) {
        return guess;
    }
    // In steps that double: all before `low` are up to the bound.
    let (mut low, mut step) = (guess + 1, 1);
    while low + step <= times.len() && is_before(low + step - 1) {
        low += step;
        step *= 2;
    }
    let high = (low + step).min(times.len());
    low + times[low..high].partition_point(|t| *t <= bound)
}

/// The samples of a series in the window of one step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) step: usize,
    /// Exclusive.
    pub(super) start: Timestamp,
    /// Inclusive.
    pub(super) end: Timestamp,
    pub(super) floats: Run,
    pub(super) histograms: Run,
}

impl Window {
    /// Whether there is no sample at all.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Whether there are samples of both kinds.
    #[inline]
    pub(super) fn is_mixed(&self) -> bool {
        !self.floats.is_empty() && !self.histograms.is_empty()
    }
}

/// How many floats are looked at in the time that a histogram takes.
const HISTOGRAM_WORK: usize = 64;

/// Calls `visit` with the window of every step, in order.
///
/// Now and then it looks at the clock and at the cancellation. It knows of the samples that enter the
/// windows; what looks at all samples of a window says so with [`Input::work`].
///
/// # Errors
/// The time is up, or the evaluation was cancelled.
#[inline]
pub(super) fn each_window(
    input: &Input<'_>,
    mut visit: impl FnMut(Window),
) -> Result<(), QueryError> {
    let (windows, samples) = (&input.windows, &input.samples);
    let mut ticker = Ticker::new(input.meter);
    let mut floats = Slider::new(samples.floats.timestamps);
    let mut histograms = Slider::new(samples.histograms.timestamps);
    for step in 0..windows.grid.count {
        let end = windows.end(step);
        let start = end.saturating_sub(windows.range);
        let seen = histograms.run.end;
        let (floats, histograms) = (floats.move_to(start, end), histograms.move_to(start, end));
        let entered = histograms.end - seen + usize::from(!histograms.is_empty());
        ticker.tick(1 + HISTOGRAM_WORK * entered + input.take_work())?;
        visit(Window { step, start, end, floats, histograms });
    }
    Ok(())
}

/// Says that all histograms of a window are looked at: see [`Input::work`].
pub(super) fn histogram_work(input: &Input<'_>, run: Run) {
    input.work(run.len().saturating_mul(HISTOGRAM_WORK));
}

/// A window and the samples around it that `anchored` and `smoothed` may look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct ExtendedWindow {
    /// What lies in the window itself.
    pub(super) inner: Window,
    /// The floats of the window and those within the lookback beside it.
    pub(super) floats: Run,
    /// The histograms of the window and those within the lookback beside it.
    pub(super) histograms: Run,
}

/// Calls `visit` with the window of every step, in order, together with the samples less than the
/// lookback before it and, if `ahead`, those up to the lookback behind it.
///
/// # Errors
/// Those of [`each_window`].
pub(super) fn each_extended_window(
    input: &Input<'_>,
    ahead: bool,
    mut visit: impl FnMut(&ExtendedWindow),
) -> Result<(), QueryError> {
    let (windows, samples) = (&input.windows, &input.samples);
    let mut floats = Slider::new(samples.floats.timestamps);
    let mut histograms = Slider::new(samples.histograms.timestamps);
    let reach = if ahead { windows.lookback } else { 0 };
    each_window(input, |inner| {
        let start = inner.start.saturating_sub(windows.lookback);
        let end = inner.end.saturating_add(reach);
        let floats = floats.move_to(start, end);
        let histograms = histograms.move_to(start, end);
        visit(&ExtendedWindow { inner, floats, histograms });
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_window_holds_the_samples_between_its_ends(
            gaps in prop::collection::vec(prop_oneof![8 => Just(10i64), 1 => 1i64..200], 0..200),
            start in -50i64..100,
            length in 1i64..400,
            step in 1i64..300,
        ) {
            let times: Vec<i64> = gaps.iter().scan(0, |t, gap| { *t += gap; Some(*t) }).collect();
            let mut slider = Slider::new(&times);
            for at in 0..40 {
                let end = start + at * step;
                let run = slider.move_to(end - length, end);
                let first = times.partition_point(|t| *t <= end - length);
                let past = times.partition_point(|t| *t <= end);
                prop_assert_eq!(run, Run { first, end: past });
            }
        }
    }
}
