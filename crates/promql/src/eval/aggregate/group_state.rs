//! What each kind of aggregation does with the series of one group.
//!
//! `groups` keeps a state for every group and knows of no kind; `accumulator` picks the kind. A kind
//! is a [`Reduction`] or a [`Choice`], in a file of its own.

use crate::annotations::Annotations;
use crate::value::{LabelSet, Series, StepColumn};

use super::call::AggregateCall;
use super::input::InputSeries;

/// What an aggregation holds of one group.
pub(super) trait GroupState: Sized {
    /// The state of a group without series.
    fn new(call: &AggregateCall) -> Self;

    /// Takes a series whose rank is above those of all before.
    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, notes: &mut Annotations);

    /// Takes what `later`, which comes behind this state in the tree, has of the group. Ranks of the
    /// two interleave.
    fn merge(&mut self, call: &AggregateCall, later: Self);

    /// About how many bytes of heap the state holds. Constant time.
    fn heap_bytes(&self) -> usize;
}

/// A group state that makes one series of the group.
pub(super) trait Reduction: GroupState {
    /// The values of the group; notes go to `notes`.
    fn finish(self, call: &AggregateCall, notes: &mut Annotations) -> StepColumn;
}

/// A group state that makes any number of series of the group.
pub(super) trait Choice: GroupState {
    /// About how many bytes the columns of the result will hold.
    fn result_bytes(&self, call: &AggregateCall) -> usize;

    /// Appends the series of the group, which has `labels`, to `out`.
    fn finish(self, call: &AggregateCall, labels: &LabelSet, out: &mut Vec<Series>);
}
