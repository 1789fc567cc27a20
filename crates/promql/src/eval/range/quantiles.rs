//! `quantile_over_time` and `mad_over_time`, from the values of the window in order.
//!
//! The ordered values move with the window: what leaves is removed and what enters is inserted, each
//! found by binary search; where much changes at once they are sorted anew. For quantiles, NaN is below
//! all other values; a deviation of values with NaN among them is NaN. Histograms are ignored beside floats; alone they have no result.

use crate::annotations::Annotation;
use crate::go_float::format_g;
use crate::value::StepColumn;

use super::call::{Input, RangeScratch};
use super::notes::{Note, SeriesNotes};
use super::window::{Run, each_window};

/// The quantile `q` of `sorted`, which is in order with NaN first: Prometheus's definition. NaN of
/// nothing and for `q` NaN, an infinity for `q` outside of 0 to 1, else the value at rank
/// `q * (n - 1)`, between two values their weighted mean.
pub(crate) fn quantile_of_sorted(q: f64, sorted: &[f64]) -> f64 {
    if sorted.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    match rank(q, sorted.len()) {
        Ok((lower, upper, weight)) => sorted[lower] * (1.0 - weight) + sorted[upper] * weight,
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

/// `quantile_over_time`.
pub(super) fn quantile(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) {
    let parameter = input.call.parameters.first().map_or(&[][..], Vec::as_slice);
    let mut sorted = SortedWindow::new(input.samples.floats.values, &mut scratch.sorted);
    let mut refused = None;
    each_window(&input.windows, &input.samples, |window| {
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
        let sorted = sorted.slide(window.floats);
        out.set_float(window.step, quantile_of_sorted(q, sorted));
    });
}

/// `mad_over_time`: the median of the distances from the median.
pub(super) fn mad(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) {
    let mut sorted = SortedWindow::new(input.samples.floats.values, &mut scratch.sorted);
    let distances = &mut scratch.deviations;
    each_window(&input.windows, &input.samples, |window| {
        if window.floats.is_empty() {
            return;
        }
        if !window.histograms.is_empty() {
            notes.add(Note::HistogramsIgnored);
        }
        let sorted = sorted.slide(window.floats);
        out.set_float(window.step, median_distance(sorted, distances));
    });
}

/// The median of the distances of `sorted` from its median; NaN if there is NaN.
fn median_distance(sorted: &[f64], distances: &mut Vec<f64>) -> f64 {
    let (Some(least), Some(greatest)) = (sorted.first(), sorted.last()) else { return f64::NAN };
    if least.is_nan() {
        return f64::NAN;
    }
    let median = quantile_of_sorted(0.5, sorted);
    if !(least.is_finite() && greatest.is_finite()) {
        distances.clear();
        distances.extend(sorted.iter().map(|value| order_key((value - median).abs())));
        distances.sort_unstable_by(f64::total_cmp);
        return quantile_of_sorted(0.5, distances);
    }
    let count = sorted.len();
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
fn nearest(sorted: &[f64], median: f64, rank: usize) -> f64 {
    let (mut low, mut high) = (0, sorted.len() - rank - 1);
    while low < high {
        let middle = low.midpoint(high);
        if median - sorted[middle] > sorted[middle + rank + 1] - median {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let distance = |at: usize| (sorted[at] - median).abs();
    distance(low).max(distance(low + rank))
}

/// The value by which values are ordered: one NaN for all, which the total order of floats puts
/// before all numbers.
#[inline]
fn order_key(value: f64) -> f64 {
    if value.is_nan() { -f64::NAN.abs() } else { value }
}

/// The values of a window in order.
struct SortedWindow<'s, 'a> {
    values: &'a [f64],
    sorted: &'s mut Vec<f64>,
    run: Run,
}

impl<'s, 'a> SortedWindow<'s, 'a> {
    fn new(values: &'a [f64], memory: &'s mut Vec<f64>) -> Self {
        memory.clear();
        Self { values, sorted: memory, run: Run::default() }
    }

    /// Moves the window to `run`, whose ends are not before those of the run before.
    fn slide(&mut self, run: Run) -> &[f64] {
        let entering = Run { first: self.run.end.max(run.first), end: run.end };
        let leaving = Run { first: self.run.first, end: run.first.min(self.run.end) };
        // Moving the values behind an insertion is cheap beside sorting, but not free.
        let few = (run.len() / 16).max(4);
        if entering.len() + leaving.len() > few {
            self.sorted.clear();
            self.sorted.extend(run.of(self.values).iter().map(|value| order_key(*value)));
            self.sorted.sort_unstable_by(f64::total_cmp);
        } else {
            for value in leaving.of(self.values) {
                let value = order_key(*value);
                let at = self.sorted.partition_point(|held| held.total_cmp(&value).is_lt());
                self.sorted.remove(at);
            }
            for value in entering.of(self.values) {
                let value = order_key(*value);
                let at = self.sorted.partition_point(|held| held.total_cmp(&value).is_lt());
                self.sorted.insert(at, value);
            }
        }
        self.run = run;
        self.sorted
    }
}
