//! `quantile_over_time` and `mad_over_time`, from the values of the window in order.
//!
//! The ordered values move with the window: see [`super::sorted_window`]. For quantiles, NaN is below
//! all other values; a deviation of values with NaN among them is NaN. Histograms are ignored beside
//! floats; alone they have no result.

use crate::annotations::Annotation;
use crate::go_float::format_g;
use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::notes::{Note, SeriesNotes};
use super::sorted_window::{SortedValues, SortedWindow, order_key};
use super::window::each_window;

/// The quantile `q` of `count` values, of which `at` tells each by its index in order, NaN first:
/// Prometheus's definition. NaN of nothing and for `q` NaN, an infinity for `q` outside of 0 to 1, else
/// the value at rank `q * (n - 1)`, between two values their weighted mean.
fn quantile_of(q: f64, count: usize, at: impl Fn(usize) -> f64) -> f64 {
    if count == 0 || q.is_nan() {
        return f64::NAN;
    }
    match rank(q, count) {
        Ok((lower, upper, weight)) => at(lower) * (1.0 - weight) + at(upper) * weight,
        Err(infinity) => infinity,
    }
}

/// The places of the two values between which the quantile lies, and the weight of the second one.
fn rank(q: f64, count: usize) -> Result<(usize, usize, f64), f64> {
    if q < 0.0 {
        return Err(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return Err(f64::INFINITY);
    }
    let rank = q * (count - 1) as f64;
    let lower = rank.floor();
    // `q` is at most 1, so that the rank is that of a value.
    let at = lower as usize;
    Ok((at, (at + 1).min(count - 1), rank - lower))
}

/// Memory that is used again for every series.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The values of a window in order.
    sorted: SortedValues,
    pub(super) deviations: Vec<f64>,
}

/// `quantile_over_time`.
pub(super) fn quantile(
    input: &Input<'_>,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let parameter = input.call.parameters.first().map_or(&[][..], Vec::as_slice);
    let mut sorted = SortedWindow::new(input.samples.floats.values, &mut scratch.sorted);
    let mut refused = None;
    each_window(input, |window| {
        if window.floats.is_empty() {
            return;
        }
        let q = parameter.get(window.step).copied().unwrap_or(f64::NAN);
        if !(0.0..=1.0).contains(&q) && refused != Some(q.to_bits()) {
            refused = Some(q.to_bits());
            notes.add_other(Annotation::InvalidQuantile { quantile: format_g(q) });
        }
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        let (sorted, work) = sorted.slide(window.floats);
        input.work(work);
        out.set_float(window.step, quantile_of(q, sorted.len(), |at| sorted.at(at)));
    })
}

/// `mad_over_time`: the median of the distances from the median.
pub(super) fn mad(
    input: &Input<'_>,
    scratch: &mut Scratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let mut sorted = SortedWindow::new(input.samples.floats.values, &mut scratch.sorted);
    let distances = &mut scratch.deviations;
    each_window(input, |window| {
        if window.floats.is_empty() {
            return;
        }
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        let (sorted, work) = sorted.slide(window.floats);
        input.work(work);
        out.set_float(window.step, median_distance(sorted, distances, input));
    })
}

/// The median of the distances of `sorted` from its median; NaN if there is NaN.
fn median_distance(sorted: &SortedValues, distances: &mut Vec<f64>, input: &Input<'_>) -> f64 {
    let count = sorted.len();
    if count == 0 || sorted.at(0).is_nan() {
        return f64::NAN;
    }
    let median = quantile_of(0.5, count, |at| sorted.at(at));
    if !(sorted.at(0).is_finite() && sorted.at(count - 1).is_finite()) {
        input.work(count.saturating_mul(8));
        distances.clear();
        distances.extend((0..count).map(|at| order_key((sorted.at(at) - median).abs())));
        distances.sort_unstable_by(f64::total_cmp);
        return quantile_of(0.5, count, |at| distances[at]);
    }
    let near = nearest(sorted, median, (count - 1) / 2);
    if count % 2 == 1 {
        return near;
    }
    near * 0.5 + nearest(sorted, median, count / 2) * 0.5
}

/// The distance with index `rank` among the distances of `sorted` from `median` in order.
///
/// The nearest `rank + 1` values are neighbours. Where they begin is found by binary search: as long
/// as the value behind them is nearer than the first of them, they begin farther up.
fn nearest(sorted: &SortedValues, median: f64, rank: usize) -> f64 {
    let (mut low, mut high) = (0, sorted.len() - rank - 1);
    while low < high {
        let middle = low.midpoint(high);
        if median - sorted.at(middle) > sorted.at(middle + rank + 1) - median {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let distance = |at: usize| (sorted.at(at) - median).abs();
    distance(low).max(distance(low + rank))
}
