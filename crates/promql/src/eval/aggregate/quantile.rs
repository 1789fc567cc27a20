//! `quantile`: the value below which a part of a group lies.
//!
//! Holds its input: a float for each series and step. With the values of a step in order, NaN first,
//! the quantile `q` of `n` values is at rank `q * (n - 1)`, between two values in proportion. A `q`
//! below 0 gives -Inf, above 1 +Inf, NaN gives NaN (the call warns of all of them). Native histograms
//! are ignored, with an info.

use std::cmp::Ordering;

use crate::annotations::Annotations;
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::input::InputSeries;

/// The values of one group.
#[derive(Debug)]
pub(super) struct Quantile {
    /// The columns of the series with a float, one behind the other.
    rows: Vec<f64>,
}

impl GroupState for Quantile {
    fn new(_: &AggregateCall) -> Self {
        Self { rows: Vec::new() }
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations) {
        if !input.values.histograms().is_empty() {
            call.histogram_ignored(notes);
        }
        let floats = input.values.floats();
        if floats.iter().any(|value| !is_absent(*value)) {
            self.rows.extend_from_slice(floats);
        }
    }

    fn merge(&mut self, _: &AggregateCall, later: Self) {
        // The order of the rows does not matter: the values are sorted.
        self.rows.extend_from_slice(&later.rows);
    }

    fn heap_bytes(&self) -> usize {
        8 * self.rows.capacity()
    }
}

impl Reduction for Quantile {
    fn finish(self, call: &AggregateCall, _: &mut Annotations) -> StepColumn {
        let mut values = Vec::with_capacity(self.rows.len().checked_div(call.steps).unwrap_or(0));
        let mut result = vec![ABSENT; call.steps];
        for (step, &q) in call.parameter.quantiles().iter().enumerate() {
            values.clear();
            let column = self.rows.iter().skip(step).step_by(call.steps);
            values.extend(column.filter(|value| !is_absent(**value)));
            if !values.is_empty() {
                result[step] = quantile(q, &mut values);
            }
        }
        StepColumn::from_floats(result)
    }
}

/// The quantile `q` of `values`, which are at least one; their order is lost. Takes linear time.
fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let rank = q * (values.len() - 1) as f64;
    let weight = rank - rank.floor();
    let (_, lower, above) = values.select_nth_unstable_by(rank as usize, nan_first);
    let lower = *lower;
    // Prometheus, too, multiplies the upper value by a weight of 0, so that an infinity there gives
    // NaN even where the rank is whole.
    let upper = above.iter().copied().min_by(nan_first).unwrap_or(lower);
    lower * (1.0 - weight) + upper * weight
}

/// The order of numbers, with all NaNs before them. -0 is before 0, so that which of them a rank
/// finds does not depend on the order of the series.
fn nan_first(a: &f64, b: &f64) -> Ordering {
    b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(b))
}
