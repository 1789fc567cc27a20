//! The errors of matching series.

use crate::ast::Cardinality;
use crate::value::LabelSet;

use super::signature::MatchKey;

/// Series that match in a way that is not allowed, and the step at which they do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MatchError {
    pub(super) step: usize,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// Two series of the "one" side have the same signature; the later is at `place`.
    Duplicate { place: usize, series: [LabelSet; 2] },
    /// Two pairs have results that cannot be told apart.
    NotUnique,
}

impl MatchError {
    /// Two series of the "one" side have one signature; the later of them is at `place` there.
    pub(super) fn duplicate(step: usize, place: usize, mut series: [LabelSet; 2]) -> Self {
        series.sort_unstable();
        Self { step, kind: Kind::Duplicate { place, series } }
    }

    /// The results of two pairs cannot be told apart.
    pub(super) fn not_unique(step: usize) -> Self {
        Self { step, kind: Kind::NotUnique }
    }

    /// The one that Prometheus finds first: the one at the earlier step. At one step the "one" side
    /// is looked at in its order before pairs are made.
    pub(super) fn first(self, other: Self) -> Self {
        let rank = |error: &Self| match error.kind {
            Kind::Duplicate { place, .. } => (error.step, place),
            Kind::NotUnique => (error.step, usize::MAX),
        };
        if rank(&other) < rank(&self) { other } else { self }
    }

    /// In the words of Prometheus.
    pub(super) fn message(&self, key: &MatchKey, cardinality: Cardinality) -> String {
        match &self.kind {
            Kind::Duplicate { series: [first, second], .. } => {
                let side = if cardinality == Cardinality::OneToMany { "left" } else { "right" };
                let group = key.labels(first);
                format!(
                    "found duplicate series for the match group {group} on the {side} hand-side of \
                     the operation: [{first}, {second}];many-to-many matching not allowed: \
                     matching labels must be unique on one side"
                )
            }
            Kind::NotUnique if cardinality == Cardinality::OneToOne => {
                "multiple matches for labels: many-to-one matching must be explicit \
                 (group_left/group_right)"
                    .to_owned()
            }
            Kind::NotUnique => {
                "multiple matches for labels: grouping labels must ensure unique matches".to_owned()
            }
        }
    }
}
