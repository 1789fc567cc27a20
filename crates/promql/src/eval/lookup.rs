//! Instant lookups: the newest sample of a series at each step.

use siltstone::Timestamp;
use siltstone::types::STALE_MARKER_BITS;

use super::grid::Grid;
use crate::plan::{Lookup, LookupValue};
use crate::source::{KindColumn, SampleColumns};
use crate::value::StepColumn;

/// The sample that a lookup finds: its place in the column of its kind.
#[derive(Debug, Clone, Copy)]
enum Found {
    Float(usize),
    Histogram(usize),
}

/// Looks up one series at all steps. At a step the newest sample counts that is not behind the time
/// looked at, `t`, and newer than `t - lookback`; where that is a stale marker there is none.
pub(super) fn look_up(
    lookup: &Lookup,
    grid: Grid,
    series: &SampleColumns<'_>,
    out: &mut StepColumn,
) {
    if lookup.what == LookupValue::Sample && series.histograms.is_empty() {
        look_up_floats(lookup, grid, &series.floats, out);
        return;
    }
    let (floats, histograms) = (&series.floats, &series.histograms);
    let (mut next_float, mut next_histogram) = (0, 0);
    for step in 0..grid.count {
        let time = lookup.shift.apply(grid.time(step));
        next_float = advance(floats.timestamps, next_float, time);
        next_histogram = advance(histograms.timestamps, next_histogram, time);
        let newest = newest(series, next_float, next_histogram);
        let Some((found, sample_time)) = newest else { continue };
        if sample_time <= time.saturating_sub(lookup.lookback) {
            continue;
        }
        write(lookup.what, series, found, (step, sample_time), out);
    }
}

/// The plain case, which most queries are.
fn look_up_floats(lookup: &Lookup, grid: Grid, floats: &KindColumn<'_, f64>, out: &mut StepColumn) {
    let mut next = 0;
    for (step, value) in out.floats_mut().iter_mut().enumerate() {
        let time = lookup.shift.apply(grid.time(step));
        next = advance(floats.timestamps, next, time);
        if next > 0 && floats.timestamps[next - 1] > time.saturating_sub(lookup.lookback) {
            // A stale marker is what stands for no value.
            *value = floats.values[next - 1];
        }
    }
}

/// The place of the first sample behind `time`, at or behind `from`.
#[inline]
fn advance(timestamps: &[Timestamp], from: usize, time: Timestamp) -> usize {
    let rest = &timestamps[from..];
    // Steps are often a sample or a few apart; where they are not, search.
    for (at, t) in rest.iter().take(8).enumerate() {
        if *t > time {
            return from + at;
        }
    }
    from + 8.min(rest.len()) + rest.get(8..).map_or(0, |far| far.partition_point(|t| *t <= time))
}

/// The later one of the last samples before two places.
fn newest(
    series: &SampleColumns<'_>,
    next_float: usize,
    next_histogram: usize,
) -> Option<(Found, Timestamp)> {
    let float = next_float.checked_sub(1).map(|at| (series.floats.timestamps[at], at));
    let histogram = next_histogram.checked_sub(1).map(|at| (series.histograms.timestamps[at], at));
    match (float, histogram) {
        (Some((float, at)), Some((histogram, _))) if float > histogram => {
            Some((Found::Float(at), float))
        }
        (_, Some((histogram, at))) => Some((Found::Histogram(at), histogram)),
        (Some((float, at)), None) => Some((Found::Float(at), float)),
        (None, None) => None,
    }
}

/// Writes what is wanted of the sample that was found, unless it is a stale marker.
fn write(
    what: LookupValue,
    series: &SampleColumns<'_>,
    found: Found,
    (step, time): (usize, Timestamp),
    out: &mut StepColumn,
) {
    let (is_stale, starts, at) = match found {
        Found::Float(at) => {
            let is_stale = series.floats.values[at].to_bits() == STALE_MARKER_BITS;
            (is_stale, series.floats.start_timestamps, at)
        }
        Found::Histogram(at) => {
            let is_stale = series.histograms.values[at].is_stale();
            (is_stale, series.histograms.start_timestamps, at)
        }
    };
    if is_stale {
        return;
    }
    match (what, found) {
        (LookupValue::Timestamp, _) => out.set_float(step, time as f64 / 1000.0),
        (LookupValue::StartTimestamp, _) => {
            let start = starts.get(at).copied().unwrap_or(0);
            out.set_float(step, start as f64 / 1000.0);
        }
        (_, Found::Float(at)) => out.set_float(step, series.floats.values[at]),
        (_, Found::Histogram(at)) => {
            out.push_histogram(step, series.histograms.values[at].clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::eval::grid::Shift;
    use crate::histogram::Histogram;
    use crate::value::{Point, is_absent};

    fn floats(lookup: &Lookup, grid: Grid, samples: &[(i64, f64)]) -> Vec<Option<f64>> {
        let (timestamps, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
        let column = KindColumn { timestamps: &timestamps, values: &values, start_timestamps: &[] };
        let series = SampleColumns { floats: column, ..SampleColumns::default() };
        let mut out = StepColumn::absent(grid.count);
        look_up(lookup, grid, &series, &mut out);
        out.floats().iter().map(|v| Some(*v).filter(|v| !is_absent(*v))).collect()
    }

    fn lookup(what: LookupValue, shift: Shift) -> Lookup {
        Lookup { shift, lookback: 5, what, statistics: false }
    }

    #[test]
    fn the_newest_sample_within_the_lookback_counts() {
        let grid = Grid { start: 0, step: 2, count: 8 };
        let stale = f64::from_bits(STALE_MARKER_BITS);
        let samples = [(1, 10.0), (3, 30.0), (10, stale), (13, 40.0)];
        let plain = lookup(LookupValue::Sample, Shift::default());
        let expected = [None, Some(10.0), Some(30.0), Some(30.0), None, None, None, Some(40.0)];
        assert_eq!(floats(&plain, grid, &samples), expected);
        let times = lookup(LookupValue::Timestamp, Shift::default());
        assert_eq!(floats(&times, grid, &samples)[1], Some(0.001));
        let shifted = lookup(LookupValue::Sample, Shift { at: Some(5), offset: 3 });
        assert_eq!(floats(&shifted, grid, &samples), [Some(10.0); 8]);
    }

    #[test]
    fn kinds_are_mixed_by_time() {
        let histograms = [Arc::new(Histogram::default())];
        let series = SampleColumns {
            floats: KindColumn { timestamps: &[1, 3], values: &[1.0, 3.0], start_timestamps: &[] },
            histograms: KindColumn { timestamps: &[2], values: &histograms, start_timestamps: &[] },
            ..SampleColumns::default()
        };
        let grid = Grid { start: 1, step: 1, count: 3 };
        let mut out = StepColumn::absent(3);
        look_up(&lookup(LookupValue::Sample, Shift::default()), grid, &series, &mut out);
        assert_eq!(out.get(0), Some(Point::Float(1.0)));
        assert!(matches!(out.get(1), Some(Point::Histogram(_))));
        assert_eq!(out.get(2), Some(Point::Float(3.0)));
    }

    #[test]
    fn far_samples_are_found() {
        let samples: Vec<(i64, f64)> = (0..100).map(|t| (t, t as f64)).collect();
        let grid = Grid { start: 0, step: 33, count: 4 };
        let plain = lookup(LookupValue::Sample, Shift::default());
        let expected = [Some(0.0), Some(33.0), Some(66.0), Some(99.0)];
        assert_eq!(floats(&plain, grid, &samples), expected);
    }
}
