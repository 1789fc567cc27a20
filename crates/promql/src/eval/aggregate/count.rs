//! `count`: how many series of a group have a value; and `group`: 1 where any has one.
//!
//! Both stream, hold one float for each group and step, and take native histograms like floats.

use crate::annotations::Annotations;
use crate::value::{ABSENT, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::group_state::Reduction;
use super::input::InputSeries;

/// The number of values of one group at each step.
#[derive(Debug)]
pub(super) struct Count {
    counts: Vec<f64>,
}

impl GroupState for Count {
    fn new(call: &AggregateCall) -> Self {
        Self { counts: vec![0.0; call.steps] }
    }

    fn add(&mut self, _: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        for (count, value) in self.counts.iter_mut().zip(input.values.floats()) {
            *count += f64::from(u8::from(!is_absent(*value)));
        }
        for (step, _) in input.values.histograms() {
            self.counts[*step as usize] += 1.0;
        }
    }

    fn merge(&mut self, _: &AggregateCall, later: Self) {
        for (count, theirs) in self.counts.iter_mut().zip(&later.counts) {
            *count += theirs;
        }
    }

    fn heap_bytes(&self) -> usize {
        8 * self.counts.len()
    }
}

impl Count {
    /// The counts, [`ABSENT`] where nothing was counted.
    fn into_floats(self) -> Vec<f64> {
        let mut counts = self.counts;
        counts.iter_mut().filter(|count| **count == 0.0).for_each(|count| *count = ABSENT);
        counts
    }
}

impl Reduction for Count {
    fn finish(self, _: &AggregateCall, _: &mut Annotations) -> StepColumn {
        StepColumn::from_floats(self.into_floats())
    }
}

/// Where one group has a value.
#[derive(Debug)]
pub(super) struct Presence(Count);

impl GroupState for Presence {
    fn new(call: &AggregateCall) -> Self {
        Self(Count::new(call))
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations) {
        self.0.add(call, input, notes);
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        self.0.merge(call, later.0);
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}

impl Reduction for Presence {
    fn finish(self, _: &AggregateCall, _: &mut Annotations) -> StepColumn {
        let mut values = self.0.into_floats();
        values.iter_mut().filter(|value| !is_absent(**value)).for_each(|value| *value = 1.0);
        StepColumn::from_floats(values)
    }
}
