//! From the syntax tree to the plan.

use std::collections::HashMap;

use super::label_use;
use super::prune::prune;
use super::select::{Purpose, Selections};
use super::statistics::statistics;
use super::steps::Steps;
use super::{Lookup, LookupValue, Node, NodeId, NodeKind, Plan, PlanOptions, RangeSource, Times};
use crate::ast::{
    Aggregate, Ast, Binary, BinaryOp, Expr, ExprId, ExprKind, RangeMode, Selector, Span, UnaryOp,
    ValueType,
};
use crate::eval::binary::scalar_scalar;
use crate::eval::grid::Windows;
use crate::eval::vector::{QueryTimes, negated};
use crate::functions::Function;
use crate::query_error::QueryError;

/// Makes the plan of `ast` at `times`.
///
/// # Errors
/// [`QueryError::BadTimes`] for times that make no sense, those of duration expressions among them,
/// [`QueryError::Limit`] for too many steps, [`QueryError::Execution`] for functions that `anchored` or
/// `smoothed` windows are not made for.
pub(crate) fn build(ast: &Ast, times: Times, options: PlanOptions) -> Result<Plan, QueryError> {
    let steps = Steps::new(ast, times, options)?;
    let mut grid = steps.grid(ast.root());
    grid.count = steps.repeated(ast.root()).unwrap_or(grid.count);
    let mut builder = Builder {
        ast,
        steps,
        query: times.of_query(),
        options,
        nodes: Vec::with_capacity(ast.nodes().len()),
        selections: Selections::default(),
        readers: HashMap::new(),
        made: vec![None; ast.nodes().len()],
        parents: parents(ast),
        statistics: statistics(ast),
    };
    for index in 0..ast.nodes().len() {
        builder.add_expression(ExprId::at(index))?;
    }
    let nodes = prune(builder.nodes);
    let mut selections = builder.selections.finish();
    if options.optimise {
        label_use::push_down(&nodes, &mut selections);
    }
    Ok(Plan { nodes, selections, grid, times })
}

/// For each expression the one whose operand it is; the root has itself.
fn parents(ast: &Ast) -> Vec<ExprId> {
    let mut parents = vec![ast.root(); ast.nodes().len()];
    for index in 0..ast.nodes().len() {
        let id = ExprId::at(index);
        ast.for_each_operand(id, |operand| parents[operand.index()] = id);
    }
    parents
}

pub(super) struct Builder<'a> {
    pub(super) ast: &'a Ast,
    pub(super) steps: Steps,
    pub(super) query: QueryTimes,
    pub(super) options: PlanOptions,
    pub(super) nodes: Vec<Node>,
    pub(super) selections: Selections,
    /// The nodes that read selections, by what they compute of them.
    pub(super) readers: HashMap<String, NodeId>,
    /// The node of each expression; a selector in a range has none.
    pub(super) made: Vec<Option<NodeId>>,
    pub(super) parents: Vec<ExprId>,
    /// For each expression whether only the counts and sums of its histograms matter.
    pub(super) statistics: Vec<bool>,
}

impl Builder<'_> {
    /// Makes the node of `id`, whose operands have theirs.
    fn add_expression(&mut self, id: ExprId) -> Result<(), QueryError> {
        let ast = self.ast;
        let expression = ast.get(id);
        let kind = match &expression.kind {
            ExprKind::Paren(inner) => {
                self.made[id.index()] = self.made[inner.index()];
                self.add_repeat(id);
                return Ok(());
            }
            ExprKind::Range { .. } | ExprKind::Subquery(_)
                if id != ast.without_parens(ast.root()) =>
            {
                // What reads it makes its node: a function of a range vector.
                return Ok(());
            }
            ExprKind::Selector(_) if self.is_in_range(id) => return Ok(()),
            ExprKind::Number { value, .. } => NodeKind::Number(*value),
            ExprKind::String(text) => NodeKind::Text(text.clone()),
            ExprKind::Selector(selector) => self.lookup(id, selector, LookupValue::Sample)?,
            ExprKind::Range { .. } | ExprKind::Subquery(_) => {
                let (source, windows) = self.range_vector(id, None)?;
                NodeKind::Samples { source, windows }
            }
            ExprKind::Unary { op, operand } => {
                let operand = self.made(*operand)?;
                match (op, expression.value_type) {
                    (UnaryOp::Plus, _) => {
                        self.made[id.index()] = Some(operand);
                        self.add_repeat(id);
                        return Ok(());
                    }
                    (UnaryOp::Minus, ValueType::Scalar) => self.negate_scalar(operand),
                    (UnaryOp::Minus, _) => NodeKind::Negate(operand),
                }
            }
            ExprKind::Binary(binary) => self.binary(binary)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            ExprKind::Call { function, arguments } => self.call(id, *function, arguments)?,
        };
        self.add_node(id, kind);
        Ok(())
    }

    /// Adds the node of the expression `id`, and its repetition where it has one.
    fn add_node(&mut self, id: ExprId, kind: NodeKind) {
        let Expr { span, value_type, .. } = self.ast.get(id);
        let grid = self.steps.grid(id);
        let node = Node { kind, grid, span: *span, value_type: *value_type, users: 0 };
        self.made[id.index()] = Some(self.push_once(node));
        self.add_repeat(id);
    }

    pub(super) fn add_repeat(&mut self, id: ExprId) {
        let (Some(count), Some(made)) = (self.steps.repeated(id), self.made[id.index()]) else {
            return;
        };
        let mut grid = self.nodes[made.index()].grid;
        grid.count = count;
        let Expr { span, value_type, .. } = self.ast.get(id);
        // A constant is as good at every step.
        if let NodeKind::Number(_) = self.nodes[made.index()].kind {
            self.nodes[made.index()].grid = grid;
            return;
        }
        let kind = NodeKind::Repeat(made);
        let node = Node { kind, grid, span: *span, value_type: *value_type, users: 0 };
        self.made[id.index()] = Some(self.push(node));
    }

    pub(super) fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) - 1)
    }

    /// The node of an operand.
    pub(super) fn made(&self, id: ExprId) -> Result<NodeId, QueryError> {
        self.made[id.index()]
            .ok_or_else(|| QueryError::execution("a range vector is no operand here"))
    }

    pub(super) fn all_made(&self, ids: &[ExprId]) -> Result<Vec<NodeId>, QueryError> {
        ids.iter().map(|id| self.made(*id)).collect()
    }

    fn is_in_range(&self, id: ExprId) -> bool {
        matches!(self.ast.get(self.parents[id.index()]).kind, ExprKind::Range { .. })
    }

    pub(super) fn lookup(
        &mut self,
        id: ExprId,
        selector: &Selector,
        what: LookupValue,
    ) -> Result<NodeKind, QueryError> {
        let what = if selector.mode == RangeMode::Smoothed { LookupValue::Smoothed } else { what };
        let shift = self.steps.shift(&selector.shift)?;
        let lookback = self.options.lookback;
        let statistics = self.statistics[id.index()];
        let lookup = Lookup { shift, lookback, what, statistics };
        let grid = self.steps.grid(id);
        let purpose = Purpose { function: None, range: None, step: grid.step };
        let times = lookup.needed(grid);
        let share = self.options.optimise;
        let selection = self.selections.add(&selector.matchers, times, purpose, share);
        Ok(NodeKind::Lookup { lookup, selection })
    }

    /// Where the samples of the range vector `id` come from, for `function`.
    pub(super) fn range_vector(
        &mut self,
        id: ExprId,
        function: Option<Function>,
    ) -> Result<(RangeSource, Windows), QueryError> {
        let ast = self.ast;
        let grid = self.steps.grid(id);
        let lookback = self.options.lookback;
        match &ast.get(id).kind {
            ExprKind::Subquery(subquery) => {
                let windows = Windows {
                    grid,
                    shift: self.steps.shift(&subquery.shift)?,
                    range: self.steps.range(&subquery.range)?,
                    mode: RangeMode::Inside,
                    lookback,
                };
                Ok((RangeSource::Subquery(self.made(subquery.operand)?), windows))
            }
            ExprKind::Range { selector, range } => {
                let ExprKind::Selector(selector) = &ast.get(*selector).kind else {
                    return Err(QueryError::execution("a range needs a selector"));
                };
                let range = self.steps.range(range)?;
                let shift = self.steps.shift(&selector.shift)?;
                let windows = Windows { grid, shift, range, mode: selector.mode, lookback };
                let function = function.map(|function| function.name());
                let purpose = Purpose { function, range: Some(range), step: grid.step };
                let times = if grid.count == 0 { (0, -1) } else { windows.needed() };
                let share = self.options.optimise;
                let id = self.selections.add(&selector.matchers, times, purpose, share);
                Ok((RangeSource::Stored(id), windows))
            }
            _ => Err(QueryError::execution("expected a range vector")),
        }
    }

    fn negate_scalar(&self, operand: NodeId) -> NodeKind {
        match self.constant(operand) {
            Some(value) => NodeKind::Number(negated(value)),
            None => NodeKind::NegateScalar(operand),
        }
    }

    /// The value of a node that is a number, if constants may be folded.
    pub(super) fn constant(&self, id: NodeId) -> Option<f64> {
        match self.nodes[id.index()].kind {
            NodeKind::Number(value) if self.options.optimise => Some(value),
            _ => None,
        }
    }

    fn binary(&mut self, binary: &Binary) -> Result<NodeKind, QueryError> {
        let (left, right) = (self.made(binary.left)?, self.made(binary.right)?);
        let (op, return_bool) = (binary.op, binary.return_bool);
        let types = (self.ast.get(binary.left).value_type, self.ast.get(binary.right).value_type);
        Ok(match (types, &binary.matching) {
            ((ValueType::Scalar, ValueType::Scalar), _)
                if matches!(op, BinaryOp::TrimUpper | BinaryOp::TrimLower) =>
            {
                let message = format!("operator \"{op}\" not allowed for Scalar operations");
                return Err(QueryError::execution(message));
            }
            ((ValueType::Scalar, ValueType::Scalar), _) => {
                match (self.constant(left), self.constant(right)) {
                    (Some(a), Some(b)) => NodeKind::Number(scalar_scalar(op, &[a], &[b])[0]),
                    _ => NodeKind::ScalarScalar { op, left, right },
                }
            }
            ((ValueType::Vector, ValueType::Vector), Some(matching)) => {
                let matching = matching.clone();
                NodeKind::VectorVector { op, return_bool, matching, left, right }
            }
            ((left_type, _), _) => {
                let vector_is_left = left_type == ValueType::Vector;
                let (vector, scalar) = if vector_is_left { (left, right) } else { (right, left) };
                NodeKind::VectorScalar { op, return_bool, vector, scalar, vector_is_left }
            }
        })
    }

    /// The place of an argument as Prometheus shows it: parentheses around it are not part of it, a
    /// sign is.
    pub(super) fn span_inside(&self, id: ExprId) -> Span {
        self.ast.get(self.ast.without_parens(id)).span
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<NodeKind, QueryError> {
        let operand = self.span_inside(aggregate.operand);
        let parameter = aggregate.parameter.map_or(operand, |p| self.span_inside(p));
        Ok(NodeKind::Aggregate {
            op: aggregate.op,
            grouping: aggregate.grouping.clone(),
            parameter: aggregate.parameter.map(|p| self.made(p)).transpose()?,
            operand: self.made(aggregate.operand)?,
            spans: (parameter, operand),
        })
    }
}
