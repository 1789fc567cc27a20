//! A call of a function of a range vector: what it may be called with, and which family evaluates it.

use std::cell::Cell;

use crate::annotations::{Annotation, Annotations};
use crate::ast::{RangeMode, Span};
use crate::eval::grid::{Grid, Windows};
use crate::eval::meter::Meter;
use crate::flags::Features;
use crate::functions::Function;
use crate::query_error::QueryError;
use crate::source::{KindColumn, SampleColumns};
use crate::value::{LabelSet, METRIC_TYPE, StepColumn, is_absent};

use super::deviation::{self, Moments};
use super::extrema::{self, Extreme};
use super::notes::SeriesNotes;
use super::positions::{self, Position};
use super::rates::{self, RateKind};
use super::regression::{self, Line};
use super::sorted_window::SortedValues;
use super::transitions::{self, Transition};
use super::{extended, instant_rates, quantiles, smoothing, sums};

/// A call of a function of a range vector, prepared once for all series.
#[derive(Debug)]
pub(crate) struct RangeCall {
    pub(crate) function: Function,
    pub(crate) windows: Windows,
    /// The scalar arguments in the order written, each with a value for every step.
    pub(crate) parameters: Vec<Vec<f64>>,
    pub(crate) features: Features,
    /// The first argument, which annotations blame, as in Prometheus: the range vector, or the
    /// quantile where that is written before it.
    pub(crate) argument_span: Span,
}

/// A series as a function of a range vector gets it.
pub(crate) struct RangeSeries<'a> {
    pub(crate) labels: &'a LabelSet,
    /// Without stale markers.
    pub(crate) samples: SampleColumns<'a>,
    /// What knows of the time limit and the cancellation.
    pub(crate) meter: &'a Meter,
}

/// Memory that is used again for every series of a thread.
#[derive(Debug, Default)]
pub(crate) struct RangeScratch {
    /// Indices of counter resets, or of what else happens between two samples.
    pub(super) places: Vec<usize>,
    /// Indices of overlapping start timestamps.
    pub(super) overlaps: Vec<usize>,
    /// Timestamps of floats and histograms together.
    pub(super) timestamps: Vec<i64>,
    /// For each sample how often something happened before it.
    pub(super) counts: Vec<u64>,
    /// The samples that stand for others.
    pub(super) counted: Vec<(usize, u64)>,
    pub(super) sums: Vec<sums::Total>,
    /// Sums of whole numbers from the start of the series.
    pub(super) exact: Vec<i64>,
    pub(super) moments: Vec<Moments>,
    pub(super) lines: Vec<Line>,
    pub(super) extremes: Vec<Extreme>,
    /// The values of a window in order.
    pub(super) sorted: SortedValues,
    pub(super) deviations: Vec<f64>,
}

/// What the families work on.
pub(super) struct Input<'a> {
    pub(super) windows: Windows,
    pub(super) samples: SampleColumns<'a>,
    pub(super) call: &'a RangeCall,
    pub(super) meter: &'a Meter,
    /// Work that was done since the clock was last thought of.
    work: Cell<usize>,
}

impl<'a> Input<'a> {
    /// Says that so much work, in floats looked at, is done for one window, beyond what entered it.
    #[inline]
    pub(super) fn work(&self, work: usize) {
        self.work.set(self.work.get().saturating_add(work));
    }

    /// The work that was done since the last call.
    #[inline]
    pub(super) fn take_work(&self) -> usize {
        self.work.take()
    }

    /// The start timestamps of `column` if they are to be looked at, else none.
    pub(super) fn starts<T>(&self, column: &KindColumn<'a, T>) -> &'a [i64] {
        if self.call.features.start_timestamps { column.start_timestamps } else { &[] }
    }
}

impl RangeCall {
    /// Whether the function can be called with windows of this kind. To be asked once before any
    /// series is read: it is an error also where there is none.
    ///
    /// # Errors
    /// With Prometheus's text, if the windows are `anchored` or `smoothed` and the function does not
    /// know what to do with samples beside them.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        use Function as F;
        let rates = matches!(self.function, F::Delta | F::Increase | F::Rate);
        let (mode, able, allowed) = match self.windows.mode {
            RangeMode::Inside => return Ok(()),
            RangeMode::Anchored => {
                let able = rates || matches!(self.function, F::Changes | F::Resets);
                ("anchored", able, "changes, delta, increase, rate, resets")
            }
            RangeMode::Smoothed => ("smoothed", rates, "delta, increase, rate"),
        };
        if able {
            return Ok(());
        }
        Err(QueryError::execution(format!(
            "{mode} modifier can only be used with: {allowed} - not with {}",
            self.function.name()
        )))
    }

    /// Whether the result is the same at all steps: the window is fixed by `@`, and nothing else
    /// moves.
    fn is_fixed(&self) -> bool {
        let steady = |values: &Vec<f64>| {
            values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
        };
        self.windows.shift.at.is_some()
            && self.function != Function::PredictLinear
            && self.parameters.iter().all(steady)
    }
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
    let (samples, meter) = (series.samples, series.meter);
    let input = Input { windows, samples, call, meter, work: Cell::new(0) };
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
        F::Deriv => regression::deriv(input, scratch, notes, out),
        F::PredictLinear => regression::predict_linear(input, scratch, notes, out),
        F::Changes => transitions::evaluate(input, Transition::Change, scratch, out),
        F::Resets => transitions::evaluate(input, Transition::Reset, scratch, out),
        F::SumOverTime => sums::sum(input, scratch, notes, out),
        F::AvgOverTime => sums::avg(input, scratch, notes, out),
        F::MinOverTime => extrema::min(input, scratch, notes, out),
        F::MaxOverTime => extrema::max(input, scratch, notes, out),
        F::TsOfMinOverTime => extrema::ts_of_min(input, scratch, notes, out),
        F::TsOfMaxOverTime => extrema::ts_of_max(input, scratch, notes, out),
        F::StddevOverTime => deviation::evaluate(input, f64::sqrt, scratch, notes, out),
        F::StdvarOverTime => deviation::evaluate(input, |v| v, scratch, notes, out),
        F::QuantileOverTime => quantiles::quantile(input, scratch, notes, out),
        F::MadOverTime => quantiles::mad(input, scratch, notes, out),
        F::CountOverTime => positions::count(input, scratch, out),
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
        RangeMode::Inside => rates::evaluate(input, kind, scratch, notes, out),
        RangeMode::Anchored | RangeMode::Smoothed => {
            extended::evaluate(input, kind, scratch, notes, out)
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
