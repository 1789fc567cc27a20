//! Which family evaluates a call, and the memory that each uses again.
//!
//! The one file that knows all families; none of them knows another's memory.

use crate::annotations::{Annotation, Annotations};
use crate::ast::RangeMode;
use crate::eval::grid::Grid;
use crate::functions::Function;
use crate::query_error::QueryError;
use crate::value::{LabelSet, METRIC_TYPE, StepColumn, is_absent};

use super::call::{Input, RangeCall, RangeSeries};
use super::deviation::{self, Moments};
use super::extrema::{self, Extreme};
use super::notes::SeriesNotes;
use super::positions::{self, Position};
use super::rate_kind::RateKind;
use super::regression::{self, Line};
use super::transitions::{self, Transition};
use super::{extended, instant_rates, quantiles, rates, smoothing, sums};

/// Memory that is used again for every series of a thread.
#[derive(Debug, Default)]
pub(crate) struct RangeScratch {
    pub(super) rates: rates::Scratch,
    pub(super) transitions: transitions::Scratch,
    pub(super) sums: sums::Scratch,
    pub(super) moments: Vec<Moments>,
    pub(super) lines: Vec<Line>,
    pub(super) extremes: Vec<Extreme>,
    pub(super) quantiles: quantiles::Scratch,
}

/// Evaluates `call` over one series: writes to `out`, which holds no value yet, one value at each
/// step that has one, and adds to `notes` what there is to say.
///
/// The result of [`Function::AbsentOverTime`] is that of `present_over_time`; the caller, who sees
/// all series, turns it round.
///
/// # Errors
/// If a parameter is out of range in a way that Prometheus refuses (`double_exponential_smoothing`),
/// and a window has samples there. The time is up, or the evaluation was cancelled.
pub(crate) fn evaluate(
    call: &RangeCall,
    series: &RangeSeries<'_>,
    scratch: &mut RangeScratch,
    notes: &mut Annotations,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    let steps = call.windows.grid.count;
    let mut windows = call.windows;
    let fixed = steps > 1 && call.is_fixed();
    if fixed {
        windows.grid = Grid { count: 1, ..windows.grid };
        out.reset(1);
    }
    let input = Input::new(call, windows, series);
    let mut notes = SeriesNotes::new(notes, series.labels, call.argument_span);
    dispatch(&input, scratch, &mut notes, out)?;
    if matches!(call.function, Function::Rate | Function::Increase) {
        note_non_counter(call, series.labels, &mut notes, out);
    }
    if fixed {
        out.repeat(steps);
    }
    Ok(())
}

fn dispatch(
    input: &Input<'_>,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    use Function as F;
    match input.call.function {
        F::Rate => rate(input, RateKind::RATE, scratch, notes, out),
        F::Increase => rate(input, RateKind::INCREASE, scratch, notes, out),
        F::Delta => rate(input, RateKind::DELTA, scratch, notes, out),
        F::Irate => instant_rates::evaluate(input, true, notes, out),
        F::Idelta => instant_rates::evaluate(input, false, notes, out),
        F::Deriv => regression::deriv(input, &mut scratch.lines, notes, out),
        F::PredictLinear => regression::predict_linear(input, &mut scratch.lines, notes, out),
        F::Changes => {
            transitions::evaluate(input, Transition::Change, &mut scratch.transitions, out)
        }
        F::Resets => transitions::evaluate(input, Transition::Reset, &mut scratch.transitions, out),
        F::SumOverTime => sums::sum(input, &mut scratch.sums, notes, out),
        F::AvgOverTime => sums::avg(input, &mut scratch.sums, notes, out),
        F::MinOverTime => extrema::min(input, &mut scratch.extremes, notes, out),
        F::MaxOverTime => extrema::max(input, &mut scratch.extremes, notes, out),
        F::TsOfMinOverTime => extrema::ts_of_min(input, &mut scratch.extremes, notes, out),
        F::TsOfMaxOverTime => extrema::ts_of_max(input, &mut scratch.extremes, notes, out),
        F::StddevOverTime => {
            deviation::evaluate(input, f64::sqrt, &mut scratch.moments, notes, out)
        }
        F::StdvarOverTime => deviation::evaluate(input, |v| v, &mut scratch.moments, notes, out),
        F::QuantileOverTime => quantiles::quantile(input, &mut scratch.quantiles, notes, out),
        F::MadOverTime => quantiles::mad(input, &mut scratch.quantiles, notes, out),
        F::CountOverTime => positions::count(input, &mut scratch.sums.counted, out),
        F::PresentOverTime | F::AbsentOverTime => positions::present(input, out),
        F::FirstOverTime => positions::value(input, Position::First, out),
        F::LastOverTime => positions::value(input, Position::Last, out),
        F::TsOfFirstOverTime => positions::timestamp(input, Position::First, out),
        F::TsOfLastOverTime => positions::timestamp(input, Position::Last, out),
        F::DoubleExponentialSmoothing => smoothing::evaluate(input, notes, out),
        other => {
            let name = other.name();
            Err(QueryError::execution(format!("{name} takes no range vector")))
        }
    }
}

fn rate(
    input: &Input<'_>,
    kind: RateKind,
    scratch: &mut RangeScratch,
    notes: &mut SeriesNotes<'_>,
    out: &mut StepColumn,
) -> Result<(), QueryError> {
    match input.windows.mode {
        RangeMode::Inside => rates::evaluate(input, kind, &mut scratch.rates, notes, out),
        RangeMode::Anchored | RangeMode::Smoothed => {
            extended::evaluate(input, kind, &mut scratch.rates.resets, notes, out)
        }
    }
}

/// Tells that a series with a float result of `rate` or `increase` does not look like a counter: by
/// its name, or with `type_and_unit_labels` by its type.
fn note_non_counter(
    call: &RangeCall,
    labels: &LabelSet,
    notes: &mut SeriesNotes<'_>,
    out: &StepColumn,
) {
    let metric = labels.metric_name();
    if metric.is_empty() {
        return;
    }
    let annotation = if call.features.type_and_unit_labels {
        let type_label = labels.get(METRIC_TYPE);
        if matches!(type_label, "counter" | "histogram") {
            return;
        }
        let type_label = type_label.to_owned();
        Annotation::PossibleNonCounterLabel { metric: metric.to_owned(), type_label }
    } else {
        if ["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.ends_with(end)) {
            return;
        }
        Annotation::PossibleNonCounter { metric: metric.to_owned() }
    };
    if out.floats().iter().any(|value| !is_absent(*value)) {
        notes.add_other(annotation);
    }
}
