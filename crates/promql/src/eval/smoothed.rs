//! `selector smoothed`: at each step the value between the samples around it.

use std::sync::Arc;

use siltstone::Timestamp;

use super::grid::Grid;
use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::ast::Span;
use crate::histogram::{CounterResetHint, Histogram};
use crate::plan::Lookup;
use crate::source::{KindColumn, SampleColumns};
use crate::value::{LabelSet, StepColumn};

/// Where annotations of a series belong.
pub(super) struct Blamed<'a> {
    pub(super) labels: &'a LabelSet,
    pub(super) span: Span,
    pub(super) notes: &'a mut Annotations,
}

/// Interpolates one series, which has no stale markers, at all steps. Of the samples less than the
/// lookback before and at most the lookback behind the time looked at, `t`: one at `t` counts as it
/// is; between two the value lies on the line between them; behind the last it stays; before the
/// first there is none.
///
/// Histograms that are no gauges are taken as counters: between one and a reset the counter is taken
/// to have begun anew from zero right behind the first. Where floats and histograms lie around `t`
/// there is no value, and a warning.
pub(super) fn smooth(
    lookup: &Lookup,
    grid: Grid,
    series: &SampleColumns<'_>,
    mut blamed: Blamed<'_>,
    out: &mut StepColumn,
) {
    for step in 0..grid.count {
        let time = lookup.shift.apply(grid.time(step));
        let start = time.saturating_sub(lookup.lookback);
        let end = time.saturating_add(lookup.lookback);
        let floats = within(&series.floats, start, end);
        let histograms = within(&series.histograms, start, end);
        if !floats.is_empty() && !histograms.is_empty() {
            let metric = blamed.labels.metric_name().to_owned();
            blamed.notes.add(Annotation::MixedFloatsHistograms { metric }, blamed.span);
        } else if let Some(place) = place(floats.timestamps, time) {
            let line = |low: &f64, high: &f64, share: f64| Some(low + (high - low) * share);
            if let Some(value) = at_place(&floats, place, line) {
                out.set_float(step, value);
            }
        } else if let Some(place) = place(histograms.timestamps, time) {
            let line = |low: &Arc<Histogram>, high: &Arc<Histogram>, share: f64| {
                between(low, high, share, &mut blamed)
            };
            if let Some(histogram) = at_place(&histograms, place, line) {
                out.push_histogram(step, histogram);
            }
        }
    }
}

/// The samples with `start < t <= end`.
fn within<'a, T>(
    column: &KindColumn<'a, T>,
    start: Timestamp,
    end: Timestamp,
) -> KindColumn<'a, T> {
    let first = column.timestamps.partition_point(|t| *t <= start);
    let last = column.timestamps.partition_point(|t| *t <= end);
    column.slice(first..last.max(first))
}

/// Where a time lies among samples.
#[derive(Clone, Copy)]
enum Place {
    /// At this sample, or behind it where it is the last.
    At(usize),
    /// Between this sample and the next, at this share of the way.
    Behind(usize, f64),
}

/// Where `time` lies; `None` before the first sample.
fn place(timestamps: &[Timestamp], time: Timestamp) -> Option<Place> {
    let before = timestamps.partition_point(|t| *t <= time).checked_sub(1)?;
    let from = timestamps[before];
    Some(match timestamps.get(before + 1) {
        Some(to) if from != time => {
            let way = time.saturating_sub(from) as f64;
            Place::Behind(before, way / to.saturating_sub(from) as f64)
        }
        _ => Place::At(before),
    })
}

fn at_place<T: Clone>(
    column: &KindColumn<'_, T>,
    place: Place,
    line: impl FnOnce(&T, &T, f64) -> Option<T>,
) -> Option<T> {
    match place {
        Place::At(at) => Some(column.values[at].clone()),
        Place::Behind(at, share) => line(&column.values[at], &column.values[at + 1], share),
    }
}

/// The histogram at a share of the way from `low` to `high`; none between exponential and custom
/// buckets.
fn between(
    low: &Histogram,
    high: &Histogram,
    share: f64,
    blamed: &mut Blamed<'_>,
) -> Option<Arc<Histogram>> {
    if low.is_custom() != high.is_custom() {
        let metric = blamed.labels.metric_name().to_owned();
        blamed.notes.add(Annotation::MixedExponentialCustomHistograms { metric }, blamed.span);
        return None;
    }
    let mut result = high.clone();
    let is_counter = low.hint != CounterResetHint::Gauge && high.hint != CounterResetHint::Gauge;
    if is_counter && high.is_reset_after(low) {
        result.mul(share);
        return Some(Arc::new(result));
    }
    let note = |during, blamed: &mut Blamed<'_>| {
        blamed.notes.add(Annotation::MismatchedCustomBuckets { during }, blamed.span);
    };
    if result.sub(low).is_ok_and(|difference| difference.bounds_reconciled) {
        note(HistogramOperation::Subtraction, blamed);
    }
    result.mul(share);
    if result.add(low).is_ok_and(|sum| sum.bounds_reconciled) {
        note(HistogramOperation::Addition, blamed);
    }
    result.hint = high.hint;
    Some(Arc::new(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_lies_at_or_between_samples() {
        let place = |time| match place(&[10, 20, 40], time) {
            None => (usize::MAX, 0.0),
            Some(Place::At(at)) => (at, 0.0),
            Some(Place::Behind(at, share)) => (at, share),
        };
        assert_eq!(place(9), (usize::MAX, 0.0));
        assert_eq!(place(10), (0, 0.0));
        assert_eq!(place(15), (0, 0.5));
        assert_eq!(place(25), (1, 0.25));
        assert_eq!(place(40), (2, 0.0));
        assert_eq!(place(99), (2, 0.0));
    }
}
