//! Nodes that several operators take.

use super::build::Builder;
use super::{Node, NodeId, NodeKind, RangeSource};

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
            NodeKind::RangeFunction { source: RangeSource::Stored(_), parameters, .. } => {
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
}
