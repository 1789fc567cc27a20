//! From the nodes of a plan to chains: what stage each link of a chain is.

use std::sync::Arc;

use siltstone::Patterns;

use super::binary::VectorScalar;
use super::chain::{Chain, Origin, Stage};
use super::ordered_list::OrderedList;
use super::range::RangeCall;
use super::run::{Evaluation, unexpected};
use super::vector::{LabelTransform, SeriesFunction};
use crate::functions::Function;
use crate::plan::{Node, NodeId, NodeKind, RangeSource, SelectionId};
use crate::query_error::QueryError;
use crate::source::SelectRequest;

impl<'a> Evaluation<'a> {
    fn take_scalars(&mut self, ids: &[NodeId]) -> Result<Vec<Vec<f64>>, QueryError> {
        ids.iter().map(|id| self.take_scalar(*id)).collect()
    }

    /// The list of a selection.
    pub(super) fn list(&mut self, id: SelectionId) -> Result<Arc<OrderedList<'a>>, QueryError> {
        if let Some(list) = &self.lists[id.index()] {
            return Ok(list.clone());
        }
        let selection = self.plan.selection(id).request();
        let list = Arc::new(self.list_selection(&selection)?);
        self.lists[id.index()] = Some(list.clone());
        Ok(list)
    }

    pub(super) fn list_selection(
        &self,
        selection: &SelectRequest<'_>,
    ) -> Result<OrderedList<'a>, QueryError> {
        OrderedList::list(self.source, selection, self.meter())
    }

    /// The chain of the vector `id`: as long as it can be, or of the value that is held.
    pub(super) fn chain(&mut self, id: NodeId) -> Result<Chain<'a>, QueryError> {
        let node = self.plan.node(id);
        if self.values[id.index()].is_none() && node.kind.is_link() {
            return self.chain_to(node);
        }
        let series = self.take_vector(id)?;
        Ok(Chain { origin: Origin::Held(series, node.grid), stages: Vec::new() })
    }

    /// The chain that ends with `node`, which is a link of one.
    pub(super) fn chain_to(&mut self, node: &Node) -> Result<Chain<'a>, QueryError> {
        let plan = self.plan;
        let mut stages = Vec::new();
        if node.grid.count == 0 {
            // What has no step is not evaluated, so that it has no errors either.
            return Ok(Chain { origin: Origin::Held(Vec::new(), node.grid), stages });
        }
        let mut at = node;
        let origin = loop {
            if at.grid.count == 0 {
                // What has no step is not evaluated, so that it has no errors either.
                break Err((Vec::new(), at.grid));
            }
            stages.push(self.stage(at)?);
            match &at.kind {
                NodeKind::Lookup { selection, .. } => break Ok(*selection),
                NodeKind::RangeFunction { source: RangeSource::Stored(id), .. } => {
                    break Ok(*id);
                }
                kind => {
                    let Some(operand) = kind.link_operand() else {
                        return Err(QueryError::execution("a chain has no beginning"));
                    };
                    let next = plan.node(operand);
                    if self.values[operand.index()].is_some() || !next.kind.is_link() {
                        break Err((self.take_vector(operand)?, next.grid));
                    }
                    at = next;
                }
            }
        };
        stages.reverse();
        let origin = match origin {
            Ok(selection) => Origin::List(self.list(selection)?),
            Err((series, grid)) => Origin::Held(series, grid),
        };
        Ok(Chain { origin, stages })
    }

    /// The stage that a link of a chain is.
    fn stage(&mut self, node: &Node) -> Result<Stage, QueryError> {
        match &node.kind {
            NodeKind::Lookup { lookup, .. } => Ok(Stage::Lookup(*lookup, node.grid, node.span)),
            NodeKind::RangeFunction {
                function,
                windows,
                statistics,
                parameters,
                argument_span,
                ..
            } => {
                let call = RangeCall {
                    function: *function,
                    windows: *windows,
                    parameters: self.take_scalars(parameters)?,
                    features: self.features,
                    argument_span: *argument_span,
                };
                call.check()?;
                Ok(Stage::Range(call, *statistics))
            }
            NodeKind::SeriesFunction { function, parameters, .. } => {
                let parameters = self.take_scalars(parameters)?;
                SeriesFunction::prepare(*function, parameters, node.grid)
                    .map(Stage::Function)
                    .ok_or_else(|| unexpected(*function))
            }
            NodeKind::Negate(_) => Ok(Stage::Negate),
            NodeKind::LabelFunction { function, texts, .. } => {
                let made = label_transform(*function, texts, &mut self.patterns);
                // What was stopped says why.
                self.meter().check()?;
                made.map(Stage::Labels)
            }
            NodeKind::VectorScalar { op, return_bool, scalar, vector_is_left, .. } => {
                let operator = VectorScalar {
                    op: *op,
                    return_bool: *return_bool,
                    vector_is_left: *vector_is_left,
                    span: node.span,
                };
                Ok(Stage::Scalar(operator, self.take_scalar(*scalar)?))
            }
            _ => Err(QueryError::execution("no link of a chain")),
        }
    }
}

/// The arguments of `label_replace` and `label_join` behind the vector.
fn label_transform(
    function: Function,
    texts: &[Arc<[u8]>],
    patterns: &mut Patterns,
) -> Result<LabelTransform, QueryError> {
    match texts {
        [target, replacement, source, regex] if function == Function::LabelReplace => {
            LabelTransform::replace([target, replacement, source, regex], patterns)
        }
        [target, separator, sources @ ..] => {
            LabelTransform::join(target, separator, sources.iter().map(|source| &**source))
        }
        _ => Err(unexpected(function)),
    }
}
