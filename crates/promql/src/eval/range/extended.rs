//! `rate`, `increase` and `delta` over `anchored` and `smoothed` windows.
//!
//! Prometheus's definition (`extendedRate`): nothing is extrapolated. `anchored` counts from the last
//! sample up to the start of the window to the last sample in it. `smoothed` counts from the value at
//! the start of the window to that at its end, each interpolated between the samples around it;
//! between a sample and a lower one a counter is taken to have begun anew from zero right behind the
//! first. A sample outside of the window is looked at if it is less than the lookback away (behind
//! the window: up to the lookback). Without a sample up to the start, the first one in the window
//! stands for it; without one behind the window, the last one in it. Floats and histograms in that
//! wider window make no result.

use siltstone::Timestamp;

use crate::ast::RangeMode;
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::counter_resets::{Places, find_resets};
use super::extended_ends::{before_end, ends};
use super::extended_histograms::ExtendedHistograms;
use super::notes::{Note, SeriesNotes};
use super::rate_kind::RateKind;
use super::window::{ExtendedWindow, Run, each_extended_window, histogram_work};

/// Evaluates one of the functions.
pub(super) fn evaluate(
    input: &Input<'_>,
    kind: RateKind,
    resets: &mut Vec<usize>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let (floats, histograms) = (input.samples.floats, input.samples.histograms);
    let smoothed = input.windows.mode == RangeMode::Smoothed;
    resets.clear();
    if kind.is_counter {
        find_resets(&floats, &[], |before, value| value < before, resets);
    }
    let mut extended_floats = ExtendedFloats {
        smoothed,
        is_counter: kind.is_counter,
        timestamps: floats.timestamps,
        values: floats.values,
        resets: Places::new(resets),
    };
    let extended_histograms = ExtendedHistograms::new(kind.is_counter, smoothed, histograms);
    let divisor = if kind.per_second { input.windows.range as f64 / 1000.0 } else { 1.0 };
    each_extended_window(input, smoothed, |window| {
        let step = window.inner.step;
        if window.histograms.is_empty() {
            if let Some(value) = extended_floats.window(window) {
                out.set_float(step, value / divisor);
            }
        } else if !window.floats.is_empty() {
            notes.add(Note::Mixed);
        } else {
            histogram_work(input, window.histograms);
            if let Some(histogram) = extended_histograms.window(window, divisor, notes) {
                out.push_histogram(step, histogram);
            }
        }
    })
}

struct ExtendedFloats<'a> {
    smoothed: bool,
    is_counter: bool,
    timestamps: &'a [Timestamp],
    values: &'a [f64],
    resets: Places<'a>,
}

impl ExtendedFloats<'_> {
    fn window(&mut self, window: &ExtendedWindow) -> Option<f64> {
        let (inner, reach) = (window.inner.floats, window.floats);
        let (first, last) = ends(&window.inner, (reach, inner), self.timestamps, self.smoothed)?;
        let (start, end) = (window.inner.start, window.inner.end);
        let left = if self.smoothed && self.timestamps[first] < start {
            self.interpolate(first, start)
        } else {
            self.values[first]
        };
        let right = if self.smoothed && last > reach.first && self.timestamps[last] > end {
            self.interpolate(last - 1, end)
        } else {
            self.values[last]
        };
        let mut increase = right - left;
        if self.is_counter {
            increase += self.lost(left, right, before_end(&window.inner, inner, self.timestamps));
        }
        Some(increase)
    }

    /// The value at `time` between sample `before` and the next one.
    fn interpolate(&self, before: usize, time: Timestamp) -> f64 {
        let (from, to) = (self.timestamps[before], self.timestamps[before + 1]);
        let (mut low, high) = (self.values[before], self.values[before + 1]);
        if self.is_counter && high < low {
            low = 0.0;
        }
        let share = (high - low) * time.saturating_sub(from) as f64;
        low + share / to.saturating_sub(from) as f64
    }

    /// What a counter lost by resets on the way from `left` over the samples `between` to `right`.
    fn lost(&mut self, left: f64, right: f64, between: Run) -> f64 {
        let resets = self.resets.within(between);
        let values = between.of(self.values);
        let (Some(first), Some(last)) = (values.first(), values.last()) else {
            return if right < left { left } else { 0.0 };
        };
        let mut lost = if *first < left { left } else { 0.0 };
        for at in resets {
            lost += self.values[at - 1];
        }
        lost + if right < *last { *last } else { 0.0 }
    }
}
