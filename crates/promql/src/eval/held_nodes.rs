//! Which nodes of a plan are evaluated by themselves, and which within a chain.
//!
//! [`run`](super::run) asks once, before it evaluates the first node.

use super::run::Evaluation;
use crate::functions::Function;
use crate::plan::{Node, NodeId, NodeKind, RangeSource};
use crate::query_error::QueryError;

impl Evaluation<'_> {
    /// Which nodes are evaluated by themselves: all but those inside a chain.
    pub(super) fn held_nodes(&mut self) -> Result<Vec<bool>, QueryError> {
        let mut held = vec![false; self.plan.nodes.len()];
        held[self.plan.root().index()] = true;
        for index in (0..held.len()).rev() {
            let kind = &self.plan.nodes[index].kind;
            if held[index] {
                kind.for_each_operand(|operand| held[operand.index()] = true);
            }
            // The vector that a chain is made of is no value of its own if it can be a part.
            if let Some(operand) = self.chained_operand(kind) {
                let node = self.plan.node(operand);
                let operand = operand.index();
                let is_part = self.optimise && node.kind.is_link();
                if is_part && !self.is_worth_holding(node)? {
                    held[operand] = false;
                    self.plan.nodes[operand].kind.for_each_operand(|o| held[o.index()] = true);
                }
            }
        }
        Ok(held)
    }

    /// Whether a node with several users is evaluated once and held for all of them, rather than
    /// once in the chain of each: if what it holds is a small part of what the query may hold.
    fn is_worth_holding(&mut self, node: &Node) -> Result<bool, QueryError> {
        let selection = match &node.kind {
            NodeKind::Lookup { selection, .. } => *selection,
            NodeKind::RangeFunction { source: RangeSource::Stored(id), .. } => *id,
            _ => return Ok(false),
        };
        if node.users < 2 {
            return Ok(false);
        }
        let values = self.list(selection)?.len().saturating_mul(node.grid.count);
        Ok(values.saturating_mul(size_of::<f64>()) as u64 <= self.meter().limits().bytes / 8)
    }

    /// The vector that the node takes series by series.
    fn chained_operand(&self, kind: &NodeKind) -> Option<NodeId> {
        match kind {
            NodeKind::Aggregate { operand, .. }
            | NodeKind::Absent { operand, .. }
            | NodeKind::AbsentOverTime { operand, .. } => Some(*operand),
            NodeKind::ScalarFunction { function: Function::Scalar, arguments } => {
                arguments.first().copied()
            }
            NodeKind::Samples { source: RangeSource::Subquery(operand), .. } => Some(*operand),
            _ => kind.link_operand(),
        }
    }
}
