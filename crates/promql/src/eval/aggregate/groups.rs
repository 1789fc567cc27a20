//! Groups: finding the group of a series, and its state.

use std::collections::HashMap;

use crate::annotations::Annotations;
use crate::value::{LabelSet, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::GroupState;
use super::input::InputSeries;

/// A group with its state.
#[derive(Debug)]
pub(super) struct Group<S> {
    pub(super) labels: LabelSet,
    /// The rank of its first series: groups are in this order, as in Prometheus.
    pub(super) first_rank: u32,
    /// The last step, from 1, at which a series has a value that is marked to lose its name.
    pub(super) last_drop: usize,
    pub(super) state: S,
}

/// The groups of an accumulator.
#[derive(Debug)]
pub(super) struct Groups<S> {
    /// By the encoding of the labels that make the group.
    by_key: HashMap<Box<[u8]>, usize>,
    groups: Vec<Group<S>>,
    /// The key of the latest series; its memory is used again.
    key: Vec<u8>,
    /// The group of the latest series.
    latest: usize,
    heap_bytes: usize,
}

impl<S> Default for Groups<S> {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            groups: Vec::new(),
            key: Vec::new(),
            latest: usize::MAX,
            heap_bytes: 0,
        }
    }
}

impl<S: GroupState> Groups<S> {
    /// Adds a series to its group.
    pub(super) fn add(
        &mut self,
        call: &AggregateCall,
        input: &InputSeries<'_>,
        notes: &mut Annotations,
    ) {
        let at = self.find(call, input);
        let group = &mut self.groups[at];
        if input.drop_name {
            group.last_drop = group.last_drop.max(steps_until_last(input.values));
        }
        let before = group.state.heap_bytes();
        group.state.add(call, input, notes);
        self.heap_bytes = self.heap_bytes.saturating_sub(before) + group.state.heap_bytes();
    }

    /// The place of the group of `input`, which is made if there is none.
    fn find(&mut self, call: &AggregateCall, input: &InputSeries<'_>) -> usize {
        call.groups.write_key(input.labels, &mut self.key);
        // Series come in order of labels, so that neighbours often share a group.
        let latest = self.groups.get(self.latest);
        if latest.is_none_or(|group| group.labels.encoded() != self.key) {
            self.latest = match self.by_key.get(self.key.as_slice()) {
                Some(at) => *at,
                None => {
                    let labels = input.labels.filter(|name| call.groups.keeps(name));
                    debug_assert_eq!(labels.encoded(), self.key, "one rule, written twice");
                    self.push(Group {
                        labels,
                        first_rank: input.rank,
                        last_drop: 0,
                        state: S::new(call),
                    })
                }
            };
        }
        self.latest
    }

    fn push(&mut self, group: Group<S>) -> usize {
        let key: Box<[u8]> = group.labels.encoded().into();
        // The key and the labels hold the same bytes.
        self.heap_bytes += 2 * key.len() + size_of::<Group<S>>() + group.state.heap_bytes();
        self.by_key.insert(key, self.groups.len());
        self.groups.push(group);
        self.groups.len() - 1
    }

    /// Merges each group of `later` with its namesake here.
    pub(super) fn merge(&mut self, call: &AggregateCall, later: Self) {
        for theirs in later.groups {
            let Some(at) = self.by_key.get(theirs.labels.encoded()) else {
                self.push(theirs);
                continue;
            };
            let own = &mut self.groups[*at];
            own.first_rank = own.first_rank.min(theirs.first_rank);
            own.last_drop = own.last_drop.max(theirs.last_drop);
            let before = own.state.heap_bytes();
            own.state.merge(call, theirs.state);
            self.heap_bytes = self.heap_bytes.saturating_sub(before) + own.state.heap_bytes();
        }
    }

    /// The groups in the order of their first series.
    pub(super) fn into_ordered(self) -> Vec<Group<S>> {
        let mut groups = self.groups;
        groups.sort_unstable_by_key(|group| group.first_rank);
        groups
    }

    /// About how many bytes of heap all of it holds. Constant time.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}

/// The number of steps up to the last one with a value.
pub(super) fn steps_until_last(values: &StepColumn) -> usize {
    let float = values.floats().iter().rposition(|value| !is_absent(*value));
    let histogram = values.histograms().last().map(|(step, _)| *step as usize);
    float.max(histogram).map_or(0, |step| step + 1)
}
