//! `rate`, `increase` and `delta`: how much a series grew over a window.
//!
//! Prometheus's definition (`extrapolatedRate`). With the samples `v1 .. vn` of the window,
//!
//! - the increase is `vn - v1`, for counters plus the value before each reset;
//! - it is extrapolated to the whole window (see [`super::extrapolation`]), for counters not beyond
//!   the time at which they would have been zero;
//! - `rate` divides by the length of the window in seconds.
//!
//! A counter whose first sample has a start timestamp within the window was zero at that time: the
//! increase then is `v1` more, nothing is extrapolated before, and a single sample is enough.
//! Otherwise a window needs two samples. A window with floats and histograms has no result.

use siltstone::Timestamp;

use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::counter_resets::{Places, find_overlaps, find_resets, start_within};
use super::exact_sums::ExactResets;
use super::extrapolation::{Beginning, Sampled, factor};
use super::histogram_rates::HistogramRates;
use super::notes::{Note, SeriesNotes};
use super::rate_kind::RateKind;
use super::window::{Window, each_window, histogram_work};

/// Memory that is used again for every series.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// Indices of counter resets.
    pub(super) resets: Vec<usize>,
    /// Indices of overlapping start timestamps.
    overlaps: Vec<usize>,
    /// Sums of whole numbers from the start of the series.
    exact: Vec<i64>,
}

/// The floats of a series, and where its counter was reset.
struct FloatRates<'a> {
    kind: RateKind,
    range_seconds: f64,
    timestamps: &'a [Timestamp],
    values: &'a [f64],
    /// Empty if they are not to be looked at.
    starts: &'a [Timestamp],
    resets: Places<'a>,
    /// What was lost in them, where no sum is rounded; then `resets` is not needed, and empty.
    exact: Option<ExactResets<'a>>,
    overlaps: Places<'a>,
}

/// Evaluates one of the functions over windows as they are.
pub(super) fn evaluate(
    input: &Input<'_>,
    kind: RateKind,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let (floats, histograms) = (input.samples.floats, input.samples.histograms);
    scratch.resets.clear();
    scratch.overlaps.clear();
    let starts = if kind.is_counter { input.starts(&floats) } else { &[] };
    let looks_at_values_alone = kind.is_counter && starts.is_empty();
    let exact = if looks_at_values_alone {
        ExactResets::new(floats.values, &mut scratch.exact)
    } else {
        None
    };
    if kind.is_counter && exact.is_none() {
        find_resets(&floats, starts, |before, value| value < before, &mut scratch.resets);
        find_overlaps(floats.timestamps, starts, &mut scratch.overlaps);
    }
    let range_seconds = input.windows.range as f64 / 1000.0;
    let mut float_rates = FloatRates {
        kind,
        range_seconds,
        timestamps: floats.timestamps,
        values: floats.values,
        starts,
        resets: Places::new(&scratch.resets),
        exact,
        overlaps: Places::new(&scratch.overlaps),
    };
    let starts = if kind.is_counter { input.starts(&histograms) } else { &[] };
    let histogram_rates =
        (!histograms.is_empty()).then(|| HistogramRates::new(kind, histograms, starts));
    each_window(input, |window| {
        if window.histograms.is_empty() {
            if let Some(value) = float_rates.window(&window, notes) {
                out.set_float(window.step, value);
            }
        } else if window.is_mixed() {
            notes.add(Note::Mixed);
        } else if let Some(rates) = &histogram_rates {
            histogram_work(input, window.histograms);
            if let Some(histogram) = rates.window(&window, range_seconds, notes) {
                out.push_histogram(window.step, histogram);
            }
        }
    })
}

impl FloatRates<'_> {
    #[inline]
    fn window(&mut self, window: &Window, notes: &mut SeriesNotes<'_>) -> Option<f64> {
        let run = window.floats;
        let (timestamps, values) = (run.of(self.timestamps), run.of(self.values));
        let (&[first, ..], &[.., last]) = (values, values) else { return None };
        let (&[first_time, ..], &[.., last_time]) = (timestamps, timestamps) else { return None };
        let mut increase = last - first;
        match &self.exact {
            Some(exact) => increase += exact.between(run),
            None => self.resets.within(run).iter().for_each(|at| increase += self.values[at - 1]),
        }
        if !self.overlaps.within(run).is_empty() {
            notes.add(Note::OverlappingStart);
        }
        let beginning = match start_within(self.starts, run, (window.start, first_time)) {
            Some(start) => {
                increase += first;
                Beginning::At(start)
            }
            None if values.len() == 1 => return None,
            None => {
                let grew = self.kind.is_counter && increase > 0.0 && first >= 0.0;
                Beginning::Extrapolated(grew.then(|| first / increase))
            }
        };
        let sampled = Sampled {
            window_start: window.start,
            window_end: window.end,
            first: first_time,
            last: last_time,
            count: values.len(),
        };
        let factor = factor(&sampled, beginning);
        let factor = if self.kind.per_second { factor / self.range_seconds } else { factor };
        Some(increase * factor)
    }
}
