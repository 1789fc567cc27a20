//! A call of a function of a range vector: what it may be called with, and what a family gets of it.

use std::cell::Cell;

use crate::ast::{RangeMode, Span};
use crate::eval::grid::Windows;
use crate::eval::meter::Meter;
use crate::flags::Features;
use crate::functions::Function;
use crate::query_error::QueryError;
use crate::source::{KindColumn, SampleColumns};
use crate::value::LabelSet;

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
    /// The samples of `series` in `windows`, which are those of the call or fewer.
    pub(super) fn new(call: &'a RangeCall, windows: Windows, series: &RangeSeries<'a>) -> Self {
        let (samples, meter) = (series.samples, series.meter);
        Self { windows, samples, call, meter, work: Cell::new(0) }
    }

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
    pub(super) fn is_fixed(&self) -> bool {
        let steady = |values: &Vec<f64>| {
            values.windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
        };
        self.windows.shift.at.is_some()
            && self.function != Function::PredictLinear
            && self.parameters.iter().all(steady)
    }
}
