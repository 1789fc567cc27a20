//! `double_exponential_smoothing`: the smoothed value at the end of a window.
//!
//! Double exponential smoothing (Holt 1957, without a season): a level that follows the values by
//! the smoothing factor, and a trend that follows the differences of levels by the trend factor, both
//! above 0 and below 1. The level begins with the first value and the trend with the difference of
//! the first two. Each level depends on all before it, so every window is computed from its samples.
//! Histograms are ignored beside floats; a window with fewer than two floats has no result.

use crate::query_error::QueryError;
use crate::value::StepColumn;

use super::call::Input;
use super::notes::{Note, SeriesNotes};
use super::window::each_window;

/// Evaluates it.
///
/// # Errors
/// At a step with samples, if a factor is out of range; NaN is not, and gives NaN.
pub(super) fn evaluate(
    input: &Input<'_>,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let values = input.samples.floats.values;
    let parameters = &input.call.parameters;
    let parameter = |number: usize, step: usize| {
        let values = parameters.get(number);
        values.and_then(|values| values.get(step)).copied().unwrap_or(f64::NAN)
    };
    let mut error = None;
    each_window(input, |window| {
        if window.is_empty() || error.is_some() {
            return;
        }
        let factors =
            Factors { smoothing: parameter(0, window.step), trend: parameter(1, window.step) };
        if let Err(refused) = factors.check() {
            error = Some(refused);
            return;
        }
        if window.is_mixed() {
            notes.add(Note::HistogramsIgnored);
        }
        input.work(window.floats.len());
        if let Some(level) = factors.level(window.floats.of(values)) {
            out.set_float(window.step, level);
        }
    })?;
    error.map_or(Ok(()), Err)
}

struct Factors {
    smoothing: f64,
    trend: f64,
}

impl Factors {
    fn check(&self) -> Result<(), QueryError> {
        let named = [("smoothing", "sf", self.smoothing), ("trend", "tf", self.trend)];
        for (name, short, value) in named {
            if value <= 0.0 || value >= 1.0 {
                let value = if value.is_infinite() {
                    format!("{}Inf", if value > 0.0 { '+' } else { '-' })
                } else {
                    format!("{value:.6}")
                };
                return Err(QueryError::execution(format!(
                    "invalid {name} factor. Expected: 0 < {short} < 1, got: {value}"
                )));
            }
        }
        Ok(())
    }

    /// The level behind the last of at least two values.
    fn level(&self, values: &[f64]) -> Option<f64> {
        let &[first, second, ref rest @ ..] = values else { return None };
        let mut trend = second - first;
        let mut level_before = first;
        let mut level = self.smoothing * second + (1.0 - self.smoothing) * (first + trend);
        for value in rest {
            trend = self.trend * (level - level_before) + (1.0 - self.trend) * trend;
            level_before = level;
            level = self.smoothing * value + (1.0 - self.smoothing) * (level + trend);
        }
        Some(level)
    }
}
