//! Nodes that several operators take, and what a selection is told of its use.

use super::build::Builder;
use super::{Node, NodeId, NodeKind, RangeSource, SelectionId};
use crate::ast::AggregateOp;

impl Builder<'_> {
    /// Adds `node`; one that reads a selection only if there is no equal one, which then blames the
    /// later place: of equal annotations the last one counts anyway.
    pub(super) fn push_once(&mut self, node: Node) -> NodeId {
        let Some(key) = self.shared_key(&node) else { return self.push(node) };
        if let Some(equal) = self.readers.get(&key).copied() {
            self.blame_later_place(equal, &node);
            return equal;
        }
        let id = self.push(node);
        self.readers.insert(key, id);
        id
    }

    fn blame_later_place(&mut self, equal: NodeId, later: &Node) {
        let equal = &mut self.nodes[equal.index()];
        equal.span = later.span;
        if let NodeKind::RangeFunction { argument_span, .. } = &mut equal.kind
            && let NodeKind::RangeFunction { argument_span: later, .. } = &later.kind
        {
            *argument_span = *later;
        }
    }

    /// What two nodes have in common that read the same and compute the same of it; `None` for
    /// nodes that are not shared.
    fn shared_key(&self, node: &Node) -> Option<String> {
        let parameters = match &node.kind {
            NodeKind::Lookup { .. } => Vec::new(),
            NodeKind::RangeFunction { source: RangeSource::Selection(_), parameters, .. } => {
                let constants = parameters.iter().map(|id| self.constant(*id));
                constants.collect::<Option<Vec<f64>>>()?
            }
            _ => return None,
        };
        let kind = match &node.kind {
            NodeKind::Lookup { lookup, selection } => format!("{lookup:?} {selection:?}"),
            NodeKind::RangeFunction { function, source, windows, statistics, .. } => {
                format!("{function:?} {source:?} {windows:?} {statistics}")
            }
            _ => return None,
        };
        let bits: Vec<u64> = parameters.into_iter().map(f64::to_bits).collect();
        self.options.optimise.then(|| format!("{kind} {bits:?} {:?}", node.grid))
    }

    /// Tells the selections under `by` which labels the result keeps.
    pub(super) fn push_down_labels(&mut self) {
        for index in 0..self.nodes.len() {
            let NodeKind::Aggregate { op, grouping, operand, .. } = &self.nodes[index].kind else {
                continue;
            };
            if grouping.without || keeps_all_labels(*op) {
                continue;
            }
            let labels = grouping.labels.clone();
            let (operand, function) = (*operand, op.as_str());
            let Some(selection) = self.selection_of_chain(operand) else { continue };
            let is_first = matches!(self.nodes[operand.index()].kind, NodeKind::Lookup { .. });
            let selection = self.selections.get_mut(selection);
            if selection.readers > 1 {
                continue;
            }
            selection.labels_kept = Some(labels);
            if is_first {
                selection.function = Some(function);
            }
        }
    }

    /// The selection that a chain of functions from series to series reads.
    fn selection_of_chain(&self, mut id: NodeId) -> Option<SelectionId> {
        loop {
            id = match &self.nodes[id.index()].kind {
                NodeKind::Lookup { selection, .. } => return Some(*selection),
                NodeKind::RangeFunction { source: RangeSource::Selection(selection), .. } => {
                    return Some(*selection);
                }
                NodeKind::SeriesFunction { operand, .. } | NodeKind::Negate(operand) => *operand,
                NodeKind::VectorScalar { vector, .. } => *vector,
                _ => return None,
            };
        }
    }
}

/// Whether an aggregation yields series with all their labels.
fn keeps_all_labels(op: AggregateOp) -> bool {
    use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
    matches!(op, Topk | Bottomk | Limitk | LimitRatio)
}
