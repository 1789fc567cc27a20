//! Native histograms in `anchored` and `smoothed` windows: the rules of [`super::extended`] done with
//! histograms (Prometheus's `extendedHistogramRate`).
//!
//! Exponential and custom buckets do not mix. Results are gauges.

use std::sync::Arc;

use siltstone::Timestamp;

use crate::histogram::{CounterResetHint, Histogram};
use crate::source::KindColumn;

use super::extended_ends::ends;
use super::histogram_rates::{add, is_gauge, subtract};
use super::notes::{Note, SeriesNotes};
use super::window::ExtendedWindow;

/// The histograms of a series, and where their counter was reset.
pub(super) struct ExtendedHistograms<'a> {
    is_counter: bool,
    smoothed: bool,
    timestamps: &'a [Timestamp],
    values: &'a [Arc<Histogram>],
    /// For each histogram, whether its counter was reset before it; empty if it is no counter.
    resets: Vec<bool>,
}

/// The histograms from which and to which a window counts, and their places.
struct Ends {
    first: usize,
    last: usize,
    left: Histogram,
    right: Histogram,
}

impl<'a> ExtendedHistograms<'a> {
    /// Compares the histograms of `column`, if they are those of a counter.
    pub(super) fn new(
        is_counter: bool,
        smoothed: bool,
        column: KindColumn<'a, Arc<Histogram>>,
    ) -> Self {
        let mut resets = Vec::new();
        if is_counter && !column.is_empty() {
            resets.push(false);
            let pairs = column.values.windows(2);
            resets.extend(pairs.map(|pair| pair[1].is_reset_after(&pair[0])));
        }
        let (timestamps, values) = (column.timestamps, column.values);
        Self { is_counter, smoothed, timestamps, values, resets }
    }

    /// The result of a window without floats, if it has one, divided by `divisor`.
    pub(super) fn window(
        &self,
        window: &ExtendedWindow,
        divisor: f64,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<Arc<Histogram>> {
        let runs = (window.histograms, window.inner.histograms);
        let (first, last) = ends(&window.inner, runs, self.timestamps, self.smoothed)?;
        self.check(&self.values[first..=last], notes)?;
        let (start, end) = (window.inner.start, window.inner.end);
        let left = if self.smoothed && self.timestamps[first] < start {
            self.interpolate(first, start, notes)?
        } else {
            Histogram::clone(&self.values[first])
        };
        let before_last = last > window.histograms.first;
        let right = if self.smoothed && before_last && self.timestamps[last] > end {
            self.interpolate(last - 1, end, notes)?
        } else {
            Histogram::clone(&self.values[last])
        };
        if !self.is_counter && (!is_gauge(&left) || !is_gauge(&right)) {
            notes.add(Note::NotGauge);
        }
        let mut increase = right.clone();
        subtract(&mut increase, &left, notes)?;
        if self.is_counter {
            let ends = Ends { first, last, left, right };
            if let Some(lost) = self.lost(&ends, start, notes)? {
                add(&mut increase, &lost, notes)?;
            }
        }
        if divisor != 1.0 {
            increase.div(divisor);
        }
        increase.hint = CounterResetHint::Gauge;
        increase.compact();
        Some(Arc::new(increase))
    }

    /// Whether the buckets of `histograms` mix. Notes gauges among counters, too.
    fn check(&self, histograms: &[Arc<Histogram>], notes: &mut SeriesNotes<'_>) -> Option<()> {
        let is_custom = histograms.first()?.is_custom();
        for histogram in histograms {
            if histogram.is_custom() != is_custom {
                notes.add(Note::MixedLayouts);
                return None;
            }
            if self.is_counter && is_gauge(histogram) {
                notes.add(Note::NotCounter);
            }
        }
        Some(())
    }

    /// The histogram at `time` between histogram `before` and the next one.
    fn interpolate(
        &self,
        before: usize,
        time: Timestamp,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<Histogram> {
        let at = before + 1;
        let (from, to) = (self.timestamps[before], self.timestamps[at]);
        let (low, high) = (&self.values[before], &self.values[at]);
        if time == from || time == to {
            return Some(Histogram::clone(if time == from { low } else { high }));
        }
        let share = time.saturating_sub(from) as f64 / to.saturating_sub(from) as f64;
        let mut result = Histogram::clone(high);
        if self.is_reset(at) {
            result.mul(share);
            return Some(result);
        }
        subtract(&mut result, low, notes)?;
        result.mul(share);
        add(&mut result, low, notes)?;
        Some(result)
    }

    /// Whether the counter was reset before histogram `at`.
    fn is_reset(&self, at: usize) -> bool {
        self.resets.get(at).copied().unwrap_or(false)
    }

    /// What the counter lost by resets on the way from one end of the window to the other; the inner
    /// `None` is nothing. `start` is that of the window.
    ///
    /// The last histogram is looked at only as the right end, and a reset that the left end was
    /// interpolated over is in that end already.
    fn lost(
        &self,
        ends: &Ends,
        start: Timestamp,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<Option<Histogram>> {
        let mut next = ends.first + 1;
        let mut before = &ends.left;
        if self.smoothed && self.timestamps[ends.first] < start && self.is_reset(next) {
            before = &self.values[next];
            next += 1;
        }
        if next > ends.last {
            return Some(None);
        }
        let mut lost: Option<Histogram> = None;
        let mut lose = |histogram: &Histogram| match &mut lost {
            None => {
                lost = Some(histogram.clone());
                Some(())
            }
            Some(lost) => add(lost, histogram, notes),
        };
        for (at, histogram) in self.values.iter().enumerate().take(ends.last).skip(next) {
            // A left end that was interpolated without a reset lies between its neighbours.
            if self.is_reset(at) {
                lose(before)?;
            }
            before = histogram;
        }
        if ends.right.is_reset_after(before) {
            lose(before)?;
        }
        Some(lost)
    }
}
