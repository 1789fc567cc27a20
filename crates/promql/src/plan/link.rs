//! Which nodes of a plan make of each series one series: the *links* of chains.
//!
//! The evaluator runs a chain of links series by series, without holding what lies between.

use super::{NodeId, NodeKind, RangeSource};

impl NodeKind {
    /// Whether a node makes of each series one series, and so can be a part of a chain.
    pub(crate) fn is_link(&self) -> bool {
        matches!(self, Self::Lookup { .. } | Self::RangeFunction { .. })
            || self.link_operand().is_some()
    }

    /// The vector that a link of a chain takes; none where the chain begins.
    pub(crate) fn link_operand(&self) -> Option<NodeId> {
        match self {
            Self::RangeFunction { source: RangeSource::Subquery(operand), .. }
            | Self::SeriesFunction { operand, .. }
            | Self::LabelFunction { operand, .. }
            | Self::VectorScalar { vector: operand, .. }
            | Self::Negate(operand) => Some(*operand),
            _ => None,
        }
    }
}
