//! `sum`: the sum of a group, of floats with Kahan's and Neumaier's compensation.
//!
//! Streams; holds two floats for each group and step. Where a group has floats and native histograms
//! at a step, it has no result there, with a warning.

use crate::annotations::Annotations;
use crate::histogram::{HistogramSum, Kahan};
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::histograms::Histograms;
use super::input::InputSeries;

/// Columns of compensated sums. A sum is [`ABSENT`] until there is a float at its step.
#[derive(Debug)]
pub(super) struct FloatSums {
    pub(super) sums: Vec<f64>,
    pub(super) compensations: Vec<f64>,
}

impl FloatSums {
    pub(super) fn new(steps: usize) -> Self {
        Self { sums: vec![ABSENT; steps], compensations: vec![0.0; steps] }
    }

    /// Adds the floats of a series, step by step. Written without branches, so that the compiler can
    /// take several steps at once.
    pub(super) fn add(&mut self, floats: &[f64]) {
        let columns = self.sums.iter_mut().zip(&mut self.compensations);
        for ((sum, compensation), &value) in columns.zip(floats) {
            let added = kahan_add(Kahan { sum: *sum, compensation: *compensation }, value);
            let is_first = is_absent(*sum);
            let next = if is_first { value } else { added.sum };
            let rest = if is_first { 0.0 } else { added.compensation };
            let keep = is_absent(value);
            *sum = if keep { *sum } else { next };
            *compensation = if keep { *compensation } else { rest };
        }
    }

    /// Adds the sums of `later` and their compensation.
    pub(super) fn merge(&mut self, later: &Self) {
        for step in 0..self.sums.len() {
            if let Some(theirs) = later.at(step) {
                self.set(step, self.at(step).map_or(theirs, |own| combined(own, theirs)));
            }
        }
    }

    /// The sum at `step`, if there was a float.
    pub(super) fn at(&self, step: usize) -> Option<Kahan> {
        let sum = self.sums[step];
        (!is_absent(sum)).then(|| Kahan { sum, compensation: self.compensations[step] })
    }

    pub(super) fn set(&mut self, step: usize, sum: Kahan) {
        self.sums[step] = sum.sum;
        self.compensations[step] = sum.compensation;
    }

    pub(super) fn heap_bytes(&self) -> usize {
        16 * self.sums.len()
    }
}

/// `sum` with `value` added, by the algorithm of Kahan as improved by Neumaier (1974). An infinite
/// sum has no compensation.
#[inline]
fn kahan_add(sum: Kahan, value: f64) -> Kahan {
    let total = sum.sum + value;
    let own_is_larger = sum.sum.abs() >= value.abs();
    let large = if own_is_larger { sum.sum } else { value };
    let small = if own_is_larger { value } else { sum.sum };
    let compensation = sum.compensation + ((large - total) + small);
    Kahan { sum: total, compensation: if total.is_infinite() { 0.0 } else { compensation } }
}

/// Two compensated sums as one. Neither's error is lost: that of this addition and both of theirs add
/// up.
pub(super) fn combined(own: Kahan, theirs: Kahan) -> Kahan {
    let both = kahan_add(own, theirs.sum);
    let is_infinite = both.sum.is_infinite();
    let compensation = if is_infinite { 0.0 } else { both.compensation + theirs.compensation };
    Kahan { sum: both.sum, compensation }
}

/// The sum of one group.
#[derive(Debug)]
pub(super) struct Sum {
    floats: FloatSums,
    histograms: Histograms<HistogramSum>,
}

impl GroupState for Sum {
    fn new(call: &AggregateCall) -> Self {
        Self { floats: FloatSums::new(call.steps), histograms: Histograms::new() }
    }

    fn add(&mut self, _: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        self.floats.add(input.values.floats());
        self.histograms.add(input);
    }

    fn merge(&mut self, _: &AggregateCall, later: Self) {
        self.floats.merge(&later.floats);
        self.histograms.merge(later.histograms);
    }

    fn heap_bytes(&self) -> usize {
        self.floats.heap_bytes() + self.histograms.heap_bytes()
    }
}

impl Reduction for Sum {
    fn finish(self, call: &AggregateCall, notes: &mut Annotations) -> StepColumn {
        let FloatSums { mut sums, compensations } = self.floats;
        for (sum, compensation) in sums.iter_mut().zip(&compensations) {
            *sum = if is_absent(*sum) { ABSENT } else { *sum + compensation };
        }
        let mut column = StepColumn::from_floats(sums);
        self.histograms.finish_into(&mut column, call, notes);
        column
    }
}
