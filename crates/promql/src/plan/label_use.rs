//! What a selection is told of the aggregation that takes its series.

use super::{LookupValue, Node, NodeId, NodeKind, PlannedSelection, RangeSource, SelectionId};
use crate::ast::AggregateOp;

/// Tells the selections under `by` which labels the result keeps, where nothing else takes their series.
pub(super) fn push_down(nodes: &[Node], selections: &mut [PlannedSelection]) {
    for node in nodes {
        let NodeKind::Aggregate { op, grouping, operand, .. } = &node.kind else { continue };
        if grouping.without || keeps_all_labels(*op) {
            continue;
        }
        let Some(selection) = selection_of_chain(nodes, *operand) else { continue };
        let selection = &mut selections[selection.index()];
        // A node that several operators take was asked for by each of them.
        if selection.readers > 1 {
            continue;
        }
        selection.labels_kept = Some(grouping.labels.clone());
        if let NodeKind::Lookup { lookup, .. } = &nodes[operand.index()].kind {
            selection.function = Some(op.as_str());
            selection.names_go = lookup.what != LookupValue::Sample;
        }
    }
}

/// The selection that a chain of functions from series to series reads.
fn selection_of_chain(nodes: &[Node], mut id: NodeId) -> Option<SelectionId> {
    loop {
        id = match &nodes[id.index()].kind {
            NodeKind::Lookup { selection, .. } => return Some(*selection),
            NodeKind::RangeFunction { source: RangeSource::Stored(selection), .. } => {
                return Some(*selection);
            }
            NodeKind::SeriesFunction { operand, .. } | NodeKind::Negate(operand) => *operand,
            NodeKind::VectorScalar { vector, .. } => *vector,
            _ => return None,
        };
    }
}

/// Whether an aggregation yields series with all their labels.
fn keeps_all_labels(op: AggregateOp) -> bool {
    use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
    matches!(op, Topk | Bottomk | Limitk | LimitRatio)
}
