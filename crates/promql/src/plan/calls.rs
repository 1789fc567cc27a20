//! Calls of functions, as nodes of a plan.

use std::sync::Arc;

use super::build::Builder;
use super::{Lookup, LookupValue, Node, NodeId, NodeKind};
use crate::ast::{ExprId, ExprKind, RangeMode, ValueType};
use crate::eval::grid::{Grid, Shift};
use crate::eval::vector::{absent_labels, constant, extreme};
use crate::functions::Function;
use crate::query_error::QueryError;
use crate::value::LabelSet;

impl Builder<'_> {
    pub(super) fn call(
        &mut self,
        id: ExprId,
        function: Function,
        arguments: &[ExprId],
    ) -> Result<NodeKind, QueryError> {
        let is_range = |a: &ExprId| self.ast.get(*a).value_type == ValueType::Matrix;
        if let Some(range) = arguments.iter().copied().find(is_range) {
            return self.range_function(id, function, arguments, range);
        }
        match function {
            Function::Timestamp | Function::StartTimestamp => self.timestamp(function, arguments),
            Function::Info => self.info(arguments),
            Function::Absent => {
                let labels = self.labels_of_absent(arguments[0]);
                Ok(NodeKind::Absent { operand: self.made(arguments[0])?, labels })
            }
            Function::LabelReplace | Function::LabelJoin => {
                let texts = arguments[1..].iter().map(|a| self.text(*a)).collect();
                let operand = self.made(arguments[0])?;
                Ok(NodeKind::LabelFunction { function, operand, texts })
            }
            _ if arguments.is_empty() || takes_scalars(function) => {
                let arguments = self.all_made(arguments)?;
                Ok(match self.constant_call(function, &arguments) {
                    Some(value) => NodeKind::Number(value),
                    None => NodeKind::ScalarFunction { function, arguments },
                })
            }
            _ if makes_series_of_series(function) => {
                let operand = self.made(arguments[0])?;
                let parameters = self.all_made(&arguments[1..])?;
                Ok(NodeKind::SeriesFunction { function, operand, parameters })
            }
            _ => {
                let spans = arguments.iter().map(|a| self.span_inside(*a)).collect();
                let arguments = self.all_made(arguments)?;
                Ok(NodeKind::VectorFunction { function, arguments, spans })
            }
        }
    }

    /// The value of a call that is the same at every step, if constants may be folded.
    fn constant_call(&self, function: Function, arguments: &[NodeId]) -> Option<f64> {
        let values = match arguments {
            [] if self.options.optimise && function != Function::Time => {
                constant(function, self.query, Grid::instant(0))
            }
            [left, right] => extreme(function, &[self.constant(*left)?], &[self.constant(*right)?]),
            _ => None,
        };
        values?.first().copied()
    }

    /// A call of a function of a range vector.
    fn range_function(
        &mut self,
        id: ExprId,
        function: Function,
        arguments: &[ExprId],
        range: ExprId,
    ) -> Result<NodeKind, QueryError> {
        let range = self.ast.without_parens(range);
        let first = self.ast.without_parens(arguments[0]);
        let argument_span = self.ast.get(first).span;
        let others = arguments.iter().copied().filter(|a| self.ast.without_parens(*a) != range);
        let parameters = self.all_made(&others.collect::<Vec<_>>())?;
        let (source, windows) = self.range_vector(range, Some(function))?;
        let kind = NodeKind::RangeFunction {
            function,
            source,
            windows,
            statistics: self.statistics[range.index()],
            parameters,
            argument_span,
        };
        if function != Function::AbsentOverTime {
            return Ok(kind);
        }
        let (grid, span) = (self.steps.grid(id), self.ast.get(id).span);
        let node = Node { kind, grid, span, value_type: ValueType::Vector, users: 0 };
        let operand = self.push_once(node);
        let labels = self.labels_of_absent(arguments[0]);
        Ok(NodeKind::AbsentOverTime { operand, labels })
    }

    /// `timestamp` and `start_timestamp`: of a plain selector those of its samples, of other
    /// expressions the time of the step and nothing.
    fn timestamp(
        &mut self,
        function: Function,
        arguments: &[ExprId],
    ) -> Result<NodeKind, QueryError> {
        let argument = self.ast.without_parens(arguments[0]);
        let what = match function {
            Function::Timestamp => LookupValue::Timestamp,
            _ => LookupValue::StartTimestamp,
        };
        if let ExprKind::Selector(selector) = &self.ast.get(argument).kind
            && selector.mode == RangeMode::Inside
        {
            return self.lookup(argument, selector, what);
        }
        let operand = self.made(arguments[0])?;
        Ok(NodeKind::SeriesFunction { function, operand, parameters: Vec::new() })
    }

    fn info(&mut self, arguments: &[ExprId]) -> Result<NodeKind, QueryError> {
        let second = arguments.get(1).map(|a| &self.ast.get(self.ast.without_parens(*a)).kind);
        let matchers = match second {
            Some(ExprKind::Selector(selector)) => selector.matchers.clone(),
            _ => Vec::new(),
        };
        let shift = self.shift_of_first_selector(arguments[0])?;
        let operand = self.made(arguments[0])?;
        let what = LookupValue::Sample;
        let lookback = self.options.lookback;
        let lookup = Lookup { shift, lookback, what, statistics: false };
        Ok(NodeKind::Info { operand, matchers, lookup })
    }

    /// Where the selector in `whole` looks that was written first, seen from the steps of `whole`:
    /// subqueries around it shift it, too.
    fn shift_of_first_selector(&self, whole: ExprId) -> Result<Shift, QueryError> {
        let ast = self.ast;
        // In post-order the parts of an expression are the ones right before it.
        let within = ast.get(whole).span;
        let is_part = |id: &usize| {
            let part = &ast.nodes()[*id];
            let inside = part.span.start >= within.start && part.span.end <= within.end;
            inside && matches!(part.kind, ExprKind::Selector(_))
        };
        let Some(first) = (0..=whole.index()).find(is_part) else { return Ok(Shift::default()) };
        let mut id = ExprId::at(first);
        let mut shift = Shift::default();
        loop {
            let own = match &ast.get(id).kind {
                ExprKind::Selector(selector) => self.steps.shift(&selector.shift)?,
                ExprKind::Subquery(subquery) => self.steps.shift(&subquery.shift)?,
                _ => Shift::default(),
            };
            if shift.at.is_none() {
                shift.at = own.at;
                shift.offset = shift.offset.saturating_add(own.offset);
            }
            if id == whole {
                return Ok(shift);
            }
            id = self.parents[id.index()];
        }
    }

    /// The bytes of an argument that is a text.
    fn text(&self, id: ExprId) -> Arc<[u8]> {
        match &self.ast.get(self.ast.without_parens(id)).kind {
            ExprKind::String(text) => text.clone(),
            _ => Arc::from([]),
        }
    }

    /// The labels of what `absent` and `absent_over_time` answer: those that a selector requires.
    fn labels_of_absent(&self, argument: ExprId) -> LabelSet {
        let mut id = self.ast.without_parens(argument);
        if let ExprKind::Range { selector, .. } = self.ast.get(id).kind {
            id = selector;
        }
        match &self.ast.get(id).kind {
            ExprKind::Selector(selector) => absent_labels(selector),
            _ => LabelSet::default(),
        }
    }
}

/// Whether a function goes between scalars and instant vectors.
fn takes_scalars(function: Function) -> bool {
    matches!(function, Function::Vector | Function::Scalar | Function::MinOf | Function::MaxOf)
}

/// Whether a function makes of each series one series, from its own values alone.
fn makes_series_of_series(function: Function) -> bool {
    !matches!(
        function,
        Function::HistogramQuantile
            | Function::HistogramQuantiles
            | Function::HistogramFraction
            | Function::Sort
            | Function::SortDesc
            | Function::SortByLabel
            | Function::SortByLabelDesc
    )
}
