//! Samples as range functions take them: stored ones without stale markers, and the values of a
//! subquery at its steps.

use std::sync::Arc;

use siltstone::Timestamp;
use siltstone::types::STALE_MARKER_BITS;

use super::grid::Grid;
use crate::histogram::{CounterResetHint, Histogram};
use crate::source::{KindColumn, SampleColumns};
use crate::value::{StepColumn, is_absent};

/// Samples as a range function takes them, made of what has stale markers or is a subquery's.
#[derive(Default)]
pub(super) struct SampleBuffer {
    float_times: Vec<Timestamp>,
    floats: Vec<f64>,
    float_counts: Vec<u32>,
    float_starts: Vec<Timestamp>,
    histogram_times: Vec<Timestamp>,
    histograms: Vec<Arc<Histogram>>,
    histogram_starts: Vec<Timestamp>,
}

impl SampleBuffer {
    /// The same samples without stale markers; copied only if there are any.
    pub(super) fn without_stale_markers<'b>(
        &'b mut self,
        columns: &SampleColumns<'b>,
    ) -> SampleColumns<'b> {
        let is_stale = |value: &f64| value.to_bits() == STALE_MARKER_BITS;
        let mut clean = *columns;
        // Without an early end, so that several values are looked at at a time.
        let floats = columns.floats.values;
        if floats.iter().fold(false, |any, value| any | is_stale(value)) {
            let (times, values, starts) =
                (&mut self.float_times, &mut self.floats, &mut self.float_starts);
            clean.floats = copy_if(&columns.floats, times, values, starts, |v| !is_stale(v));
            self.float_counts.clear();
            let counts = columns.float_counts.iter().zip(floats);
            let counts = counts.filter(|(_, value)| !is_stale(value)).map(|(count, _)| *count);
            self.float_counts.extend(counts);
            clean.float_counts = &self.float_counts;
        }
        if columns.histograms.values.iter().any(|histogram| histogram.is_stale()) {
            let (times, values, starts) =
                (&mut self.histogram_times, &mut self.histograms, &mut self.histogram_starts);
            let keep = |value: &Arc<Histogram>| !value.is_stale();
            clean.histograms = copy_if(&columns.histograms, times, values, starts, keep);
        }
        clean
    }

    /// The values at the steps of `grid` as samples. Counter reset hints of histograms are
    /// forgotten: between two steps there may have been samples.
    pub(super) fn of_steps(&mut self, values: &StepColumn, grid: Grid) -> SampleColumns<'_> {
        self.float_times.clear();
        self.floats.clear();
        self.histogram_times.clear();
        self.histograms.clear();
        for (step, value) in values.floats().iter().enumerate() {
            if !is_absent(*value) {
                self.float_times.push(grid.time(step));
                self.floats.push(*value);
            }
        }
        for (step, histogram) in values.histograms() {
            self.histogram_times.push(grid.time(*step as usize));
            self.histograms.push(without_reset_hint(histogram));
        }
        SampleColumns {
            floats: KindColumn {
                timestamps: &self.float_times,
                values: &self.floats,
                start_timestamps: &[],
            },
            float_counts: &[],
            histograms: KindColumn {
                timestamps: &self.histogram_times,
                values: &self.histograms,
                start_timestamps: &[],
            },
        }
    }
}

/// The histogram, which no longer says whether it follows a counter reset.
fn without_reset_hint(histogram: &Arc<Histogram>) -> Arc<Histogram> {
    match histogram.hint {
        CounterResetHint::Unknown | CounterResetHint::Gauge => histogram.clone(),
        CounterResetHint::Reset | CounterResetHint::NotReset => {
            let mut unknown = Histogram::clone(histogram);
            unknown.hint = CounterResetHint::Unknown;
            Arc::new(unknown)
        }
    }
}

/// Copies the samples whose value is to be kept.
fn copy_if<'b, T: Clone>(
    column: &KindColumn<'_, T>,
    times: &'b mut Vec<Timestamp>,
    values: &'b mut Vec<T>,
    starts: &'b mut Vec<Timestamp>,
    keep: impl Fn(&T) -> bool,
) -> KindColumn<'b, T> {
    times.clear();
    values.clear();
    starts.clear();
    for (at, value) in column.values.iter().enumerate().filter(|(_, value)| keep(value)) {
        times.push(column.timestamps[at]);
        values.push(value.clone());
        starts.extend(column.start_timestamps.get(at));
    }
    KindColumn { timestamps: times, values, start_timestamps: starts }
}
