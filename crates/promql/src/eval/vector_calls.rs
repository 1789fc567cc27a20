//! Calls of functions that take whole instant vectors.

use std::sync::Arc;

use super::run::{Evaluation, unexpected};
use super::vector::Sort;
use crate::functions::Function;
use crate::plan::{Node, NodeId};
use crate::query_error::QueryError;
use crate::value::Series;

impl Evaluation<'_> {
    /// Evaluates a call whose arguments are evaluated.
    pub(super) fn vector_function(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Vec<Series>, QueryError> {
        match function {
            Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc => self.sort(node, function, arguments),
            _ => Err(unexpected(function)),
        }
    }

    pub(super) fn info(&mut self, _node: &Node) -> Result<Vec<Series>, QueryError> {
        Err(unexpected(Function::Info))
    }

    fn sort(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Vec<Series>, QueryError> {
        let [vector, labels @ ..] = arguments else { return Err(unexpected(function)) };
        let labels = labels.iter().map(|id| self.take_text(*id));
        let labels: Vec<Arc<[u8]>> = labels.collect::<Result<_, _>>()?;
        let series = self.take_vector(*vector)?;
        let sort = Sort::prepare(function, labels.iter().map(|label| &**label), node.span)
            .ok_or_else(|| unexpected(function))?;
        Ok(sort.apply(series, node.grid.count, &mut self.notes))
    }
}
