//! `min` and `max` of a group. NaN gives way to any other value, so that it is the result only where
//! all values are NaN.
//!
//! Both stream and hold one float for each group and step. Native histograms are ignored, with an
//! info.

use crate::annotations::Annotations;
use crate::ast::AggregateOp;
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::input::InputSeries;

/// The smallest or the largest float of one group at each step.
#[derive(Debug)]
pub(super) struct Extremum {
    values: Vec<f64>,
}

impl Extremum {
    fn take(&mut self, call: &AggregateCall, floats: &[f64]) {
        if call.op == AggregateOp::Max {
            self.replace(floats, |own, value| own < value);
        } else {
            self.replace(floats, |own, value| own > value);
        }
    }

    /// Takes each float that is present and for which `gives_way` says that the value at hand does.
    /// A value that is absent is a NaN, like others.
    #[inline]
    fn replace(&mut self, floats: &[f64], gives_way: impl Fn(f64, f64) -> bool) {
        for (own, value) in self.values.iter_mut().zip(floats) {
            let takes = !is_absent(*value) && (own.is_nan() || gives_way(*own, *value));
            *own = if takes { *value } else { *own };
        }
    }
}

impl GroupState for Extremum {
    fn new(call: &AggregateCall) -> Self {
        Self { values: vec![ABSENT; call.steps] }
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations) {
        if !input.values.histograms().is_empty() {
            call.histogram_ignored(notes);
        }
        self.take(call, input.values.floats());
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        self.take(call, &later.values);
    }

    fn heap_bytes(&self) -> usize {
        8 * self.values.len()
    }
}

impl Reduction for Extremum {
    fn finish(self, _: &AggregateCall, _: &mut Annotations) -> StepColumn {
        StepColumn::from_floats(self.values)
    }
}
