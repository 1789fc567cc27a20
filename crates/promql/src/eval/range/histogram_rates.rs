//! `rate`, `increase`, `delta`, and the difference of `irate` and `idelta`, for native histograms.
//!
//! Prometheus's definition (`histogramRate`), which is that of floats done with histograms: the last
//! one minus the first, for counters plus the one before each reset, in the coarsest resolution of
//! all that matter, extrapolated by the counts of observations. The first histogram does not matter
//! to a counter that was reset right behind it. Exponential and custom buckets do not mix. Results
//! are gauges.

use std::sync::Arc;

use siltstone::Timestamp;

use crate::histogram::{CounterResetHint, Histogram};
use crate::source::KindColumn;

use super::counter_resets::{find_overlaps, find_resets, start_within, starts_anew};
use super::extrapolation::{Beginning, Sampled, factor};
use super::notes::{Note, SeriesNotes};
use super::rate_kind::RateKind;
use super::window::{Run, Window};

/// The histograms of a series, and where their counter was reset.
pub(super) struct HistogramRates<'a> {
    kind: RateKind,
    column: KindColumn<'a, Arc<Histogram>>,
    /// Empty if they are not to be looked at.
    starts: &'a [Timestamp],
    resets: Vec<usize>,
    overlaps: Vec<usize>,
}

impl<'a> HistogramRates<'a> {
    /// Compares the histograms of `column`, if they are those of a counter.
    pub(super) fn new(
        kind: RateKind,
        column: KindColumn<'a, Arc<Histogram>>,
        starts: &'a [Timestamp],
    ) -> Self {
        let (mut resets, mut overlaps) = (Vec::new(), Vec::new());
        if kind.is_counter {
            let falls = |before: &Arc<Histogram>, histogram: &Arc<Histogram>| {
                histogram.is_reset_after(before)
            };
            find_resets(&column, starts, falls, &mut resets);
            find_overlaps(column.timestamps, starts, &mut overlaps);
        }
        Self { kind, column, starts, resets, overlaps }
    }

    /// The result of a window with histograms and no floats, if it has one.
    pub(super) fn window(
        &self,
        window: &Window,
        range_seconds: f64,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<Arc<Histogram>> {
        let run = window.histograms;
        let times = run.of(self.column.timestamps);
        let (&[first_time, ..], &[.., last_time]) = (times, times) else { return None };
        let first = &self.column.values[run.first];
        let increase = if run.len() > 1 { Some(self.increase(run, notes)?) } else { None };
        let start = start_within(self.starts, run, (window.start, first_time));
        let (mut result, beginning) = match (start, increase) {
            (None, None) => return None,
            (Some(start), None) => (Histogram::clone(first), Beginning::At(start)),
            (Some(start), Some(mut increase)) => {
                add(&mut increase, first, notes)?;
                (increase, Beginning::At(start))
            }
            (None, Some(increase)) => {
                let grew = self.kind.is_counter && increase.count > 0.0 && first.count >= 0.0;
                let share = grew.then(|| first.count / increase.count);
                (increase, Beginning::Extrapolated(share))
            }
        };
        let sampled = Sampled {
            window_start: window.start,
            window_end: window.end,
            first: first_time,
            last: last_time,
            count: run.len(),
        };
        let factor = factor(&sampled, beginning);
        result.mul(if self.kind.per_second { factor / range_seconds } else { factor });
        Some(Arc::new(result))
    }

    /// The increase between the first and the last of at least two histograms.
    fn increase(&self, run: Run, notes: &mut SeriesNotes<'_>) -> Option<Histogram> {
        let histograms = run.of(self.column.values);
        let ([first, second, ..], [.., last]) = (histograms, histograms) else {
            return None;
        };
        let resets = between(&self.resets, run);
        // What the last histogram is counted from: the first, or zero if its counter ended there.
        let from_zero = resets.first() == Some(&(run.first + 1));
        let zero = from_zero.then(|| Arc::new(Histogram::empty_like(second)));
        let base = zero.as_ref().unwrap_or(first);
        let resolution = self.resolution(histograms, base, notes)?;
        let mut increase = Histogram::clone(last);
        increase.reduce_to(resolution);
        subtract(&mut increase, base, notes)?;
        if self.kind.is_counter {
            if !between(&self.overlaps, run).is_empty() {
                notes.add(Note::OverlappingStart);
            }
            if from_zero && self.is_reset_after_zero(run.first + 1, base) {
                add(&mut increase, base, notes)?;
            }
            for at in resets.iter().skip(usize::from(from_zero)) {
                add(&mut increase, &self.column.values[at - 1], notes)?;
            }
        } else if !is_gauge(first) || !is_gauge(last) {
            notes.add(Note::NotGauge);
        }
        increase.hint = CounterResetHint::Gauge;
        increase.compact();
        Some(increase)
    }

    /// The coarsest schema of the histograms that matter, unless their buckets do not mix. Notes
    /// gauges among counters, too.
    fn resolution(
        &self,
        histograms: &[Arc<Histogram>],
        base: &Histogram,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<i32> {
        let [first, inner @ .., last] = histograms else { return None };
        let mut resolution = base.schema().min(last.schema());
        let mut gauges = self.kind.is_counter && (is_gauge(first) || is_gauge(last));
        let mixed_ends = last.is_custom() != base.is_custom();
        let mut mixed = mixed_ends;
        if self.kind.is_counter && !mixed {
            for histogram in inner {
                gauges |= is_gauge(histogram);
                resolution = resolution.min(histogram.schema());
                mixed |= histogram.is_custom() != base.is_custom();
            }
        }
        // Prometheus forgets the first warning if it meets other buckets between the two ends.
        if gauges && (!mixed || mixed_ends) {
            notes.add(Note::NotCounter);
        }
        if mixed {
            notes.add(Note::MixedLayouts);
            return None;
        }
        Some(resolution)
    }

    /// Whether histogram `at` follows a reset also in comparison with `zero`, which only its hint or
    /// its start timestamp can say.
    fn is_reset_after_zero(&self, at: usize, zero: &Histogram) -> bool {
        let by_start = !self.starts.is_empty() && {
            let sample = |at: usize| (self.starts[at], self.column.timestamps[at]);
            starts_anew(sample(at - 1), sample(at))
        };
        by_start || self.column.values[at].is_reset_after(zero)
    }
}

/// Those of `places`, which are in order, between samples that both are in `run`.
fn between(places: &[usize], run: Run) -> &[usize] {
    let first = places.partition_point(|at| *at <= run.first);
    let end = places.partition_point(|at| *at < run.end);
    &places[first..end.max(first)]
}

/// What `irate` (if `is_rate`) and `idelta` make of the last two histograms of a window: `new - old`,
/// or `new` alone if a counter began `anew` between the two.
pub(super) fn difference(
    old: &Histogram,
    new: &Histogram,
    (is_rate, anew): (bool, bool),
    notes: &mut SeriesNotes<'_>,
) -> Option<Histogram> {
    let (some, all) = (is_gauge(old) || is_gauge(new), is_gauge(old) && is_gauge(new));
    if is_rate && some {
        notes.add(Note::NotCounter);
    } else if !is_rate && !all {
        notes.add(Note::NotGauge);
    }
    let mut result = new.clone();
    if !anew {
        subtract(&mut result, old, notes)?;
    }
    result.hint = CounterResetHint::Gauge;
    result.compact();
    Some(result)
}

/// Whether the histogram says that it is no counter.
pub(super) fn is_gauge(histogram: &Histogram) -> bool {
    histogram.hint == CounterResetHint::Gauge
}

/// Adds `other`; `None` if the buckets do not mix, which is noted. That two hints collide is not:
/// resets are dealt with otherwise.
pub(super) fn add(
    sum: &mut Histogram,
    other: &Histogram,
    notes: &mut SeriesNotes<'_>,
) -> Option<()> {
    match sum.add(other) {
        Ok(combined) if combined.bounds_reconciled => notes.add(Note::BucketsAdded),
        Ok(_) => {}
        Err(_) => {
            notes.add(Note::MixedLayouts);
            return None;
        }
    }
    Some(())
}

/// Subtracts `other`, like [`add`].
pub(super) fn subtract(
    from: &mut Histogram,
    other: &Histogram,
    notes: &mut SeriesNotes<'_>,
) -> Option<()> {
    match from.sub(other) {
        Ok(combined) if combined.bounds_reconciled => notes.add(Note::BucketsSubtracted),
        Ok(_) => {}
        Err(_) => {
            notes.add(Note::MixedLayouts);
            return None;
        }
    }
    Some(())
}
