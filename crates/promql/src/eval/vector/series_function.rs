//! Functions that make one series of one series, step by step: mathematics, clamping and rounding,
//! parts of dates, statistics of native histograms, `timestamp`, and the unary minus.
//!
//! A call is prepared once for its node of the plan, then applied to the columns of its series in
//! place, in any order and on any thread. It streams: nothing is held between series. None of these
//! functions annotates, and all of them drop the name of the metric, which is the caller's part.
//!
//! Functions of floats drop histograms silently, and functions of histograms drop floats.

use std::sync::Arc;

use super::calendar::{DateFunction, Moment, date_function};
use super::math::{FloatFunction, float_function, go_max, go_min};
use crate::eval::grid::Grid;
use crate::functions::Function;
use crate::histogram::Histogram;
use crate::value::{ABSENT, StepColumn, is_absent};

/// A call of such a function with all but its series.
#[derive(Debug, Clone)]
pub(crate) struct SeriesFunction {
    kind: Kind,
}

/// A function of a native histogram.
type HistogramFunction = fn(&Histogram) -> f64;

/// The function of one histogram that `function` is: its count, its sum, or the mean, variance and
/// standard deviation that are estimated from its buckets. `None` for all other functions.
fn histogram_function(function: Function) -> Option<HistogramFunction> {
    Some(match function {
        Function::HistogramCount => |histogram| histogram.count,
        Function::HistogramSum => |histogram| histogram.sum,
        Function::HistogramAvg => Histogram::mean,
        Function::HistogramStdvar => Histogram::variance,
        Function::HistogramStddev => |histogram| histogram.variance().sqrt(),
        _ => return None,
    })
}

/// Parameters have a value for each step.
#[derive(Debug, Clone)]
enum Kind {
    Float(FloatFunction),
    Date(DateFunction),
    Histogram(HistogramFunction),
    Clamp { low: Vec<f64>, high: Vec<f64> },
    Round { nearest: Vec<f64> },
    Timestamp(Grid),
}

impl SeriesFunction {
    /// Prepares `function` with its scalar arguments in the order written, each with a value for
    /// every step of `grid`. `None` if it is no function of this kind, or not with that many
    /// parameters.
    ///
    /// `timestamp` is the variant for anything but a plain selector: the time of the step.
    pub(crate) fn prepare(
        function: Function,
        parameters: Vec<Vec<f64>>,
        grid: Grid,
    ) -> Option<Self> {
        let mut parameters = parameters.into_iter();
        let constant = |value| vec![value; grid.count];
        let kind = match function {
            Function::Clamp => Kind::Clamp { low: parameters.next()?, high: parameters.next()? },
            Function::ClampMin => {
                Kind::Clamp { low: parameters.next()?, high: constant(f64::INFINITY) }
            }
            Function::ClampMax => {
                Kind::Clamp { low: constant(f64::NEG_INFINITY), high: parameters.next()? }
            }
            Function::Round => {
                Kind::Round { nearest: parameters.next().unwrap_or_else(|| constant(1.0)) }
            }
            Function::Timestamp => Kind::Timestamp(grid),
            _ => float_function(function)
                .map(Kind::Float)
                .or_else(|| date_function(function).map(Kind::Date))
                .or_else(|| histogram_function(function).map(Kind::Histogram))?,
        };
        Some(Self { kind })
    }

    /// Replaces the values of one series by those of the function.
    pub(crate) fn apply(&self, values: &mut StepColumn) {
        match &self.kind {
            Kind::Float(function) => map_floats(values, |_, value| function(value)),
            Kind::Date(function) => {
                map_floats(values, |_, value| function(Moment::from_value(value)) as f64);
            }
            Kind::Histogram(function) => map_histograms(values, *function),
            Kind::Clamp { low, high } => clamp(values, low, high),
            Kind::Round { nearest } => {
                map_floats(values, |step, value| round(value, nearest[step]));
            }
            Kind::Timestamp(grid) => step_times(values, grid),
        }
    }
}

/// The unary minus: the sign of floats, and of all counts and the sum of histograms, is turned.
pub(crate) fn negate(values: &mut StepColumn) {
    for value in values.floats_mut().iter_mut().filter(|value| !is_absent(**value)) {
        *value = negated(*value);
    }
    for (_, histogram) in values.histograms_mut() {
        Arc::make_mut(histogram).mul(-1.0);
    }
}

/// `-value`, which is never the value that stands for none.
pub(crate) fn negated(value: f64) -> f64 {
    present(-value)
}

/// `max(low, min(high, value))`, both as Go's `math` has them; no value at steps with `high < low`.
/// A NaN stays one, as does a NaN bound, unless the other bound is an infinity that decides.
fn clamp(values: &mut StepColumn, low: &[f64], high: &[f64]) {
    map_floats(values, |step, value| go_max(low[step], go_min(high[step], value)));
    for (step, value) in values.floats_mut().iter_mut().enumerate() {
        if high[step] < low[step] {
            *value = ABSENT;
        }
    }
}

/// The multiple of `nearest` next to `value`, halves up. By the inverse of `nearest`, as Prometheus
/// computes it: that keeps 0.1 and its like more exact than a division does.
fn round(value: f64, nearest: f64) -> f64 {
    let inverse = 1.0 / nearest;
    (value * inverse + 0.5).floor() / inverse
}

/// The time of the step in seconds, wherever there is a value.
fn step_times(values: &mut StepColumn, grid: &Grid) {
    let times = |step: usize| grid.time(step) as f64 / 1000.0;
    for (step, value) in values.floats_mut().iter_mut().enumerate() {
        if !is_absent(*value) {
            *value = times(step);
        }
    }
    map_with_histograms(values, |step, _| times(step));
}

/// Replaces floats and drops histograms.
fn map_floats(values: &mut StepColumn, function: impl Fn(usize, f64) -> f64) {
    values.clear_histograms();
    for (step, value) in values.floats_mut().iter_mut().enumerate() {
        if !is_absent(*value) {
            *value = present(function(step, *value));
        }
    }
}

/// Drops floats and puts the value of each histogram in its place.
fn map_histograms(values: &mut StepColumn, function: HistogramFunction) {
    values.floats_mut().fill(ABSENT);
    map_with_histograms(values, |_, histogram| function(histogram));
}

/// Puts a float in the place of each histogram.
fn map_with_histograms(values: &mut StepColumn, function: impl Fn(usize, &Histogram) -> f64) {
    for (step, histogram) in std::mem::take(values.histograms_mut()) {
        let step = step as usize;
        values.set_float(step, present(function(step, &histogram)));
    }
}

/// `value`, unless it has the bits that say that there is none: turning the sign of a certain
/// signalling NaN gives these, and the sum of a histogram may be any NaN.
#[inline]
fn present(value: f64) -> f64 {
    if is_absent(value) { f64::NAN } else { value }
}

#[cfg(test)]
mod tests;
