//! From the syntax tree to the plan.

use std::collections::HashMap;
use std::sync::Arc;

use super::prune::prune;
use super::select::{Purpose, Selections};
use super::steps::Steps;
use super::{
    Lookup, LookupValue, Node, NodeId, NodeKind, Plan, PlanOptions, RangeSource, SelectionId, Times,
};
use crate::ast::{
    Aggregate, AggregateOp, Ast, Binary, Expr, ExprId, ExprKind, RangeMode, Selector, UnaryOp,
    ValueType,
};
use crate::eval::binary::scalar_scalar;
use crate::eval::grid::{Grid, Shift, Windows};
use crate::eval::vector::{QueryTimes, absent_labels, constant, extreme};
use crate::functions::Function;
use crate::query_error::QueryError;
use crate::value::LabelSet;

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
        builder.add_expression(ExprId(u32::try_from(index).unwrap_or(u32::MAX)))?;
    }
    builder.push_down_labels();
    let nodes = prune(builder.nodes);
    Ok(Plan { nodes, selections: builder.selections.finish(), grid, times })
}

/// For each expression the one whose operand it is; the root has itself.
fn parents(ast: &Ast) -> Vec<ExprId> {
    let mut parents = vec![ast.root(); ast.nodes().len()];
    for index in 0..ast.nodes().len() {
        let id = ExprId(u32::try_from(index).unwrap_or(u32::MAX));
        ast.for_each_operand(id, |operand| parents[operand.index()] = id);
    }
    parents
}

/// For each expression whether only the counts and sums of its histograms matter: it is within
/// `histogram_count`, `histogram_sum` or `histogram_avg`, and neither in a subquery nor in a function
/// that looks at buckets, as Prometheus finds it.
fn statistics(ast: &Ast) -> Vec<bool> {
    let mut within = vec![(false, false); ast.nodes().len()];
    for index in (0..within.len()).rev() {
        let id = ExprId(u32::try_from(index).unwrap_or(u32::MAX));
        let (mut counts, mut buckets) = within[index];
        match &ast.get(id).kind {
            ExprKind::Subquery(_) => buckets = true,
            ExprKind::Call { function, .. } => match function {
                Function::HistogramCount | Function::HistogramSum | Function::HistogramAvg => {
                    counts = true;
                }
                Function::HistogramQuantile
                | Function::HistogramQuantiles
                | Function::HistogramFraction => buckets = true,
                _ => {}
            },
            _ => {}
        }
        ast.for_each_operand(id, |operand| within[operand.index()] = (counts, buckets));
    }
    within.into_iter().map(|(counts, buckets)| counts && !buckets).collect()
}

struct Builder<'a> {
    ast: &'a Ast,
    steps: Steps,
    query: QueryTimes,
    options: PlanOptions,
    nodes: Vec<Node>,
    selections: Selections,
    /// The nodes that read selections, by what they compute of them.
    readers: HashMap<String, NodeId>,
    /// The node of each expression; a selector in a range has none.
    made: Vec<Option<NodeId>>,
    parents: Vec<ExprId>,
    /// For each expression whether only the counts and sums of its histograms matter.
    statistics: Vec<bool>,
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

    /// Adds `node`; one that reads a selection only if there is no equal one, which then blames the
    /// later place: of equal annotations the last one counts anyway.
    fn push_once(&mut self, node: Node) -> NodeId {
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

    fn add_repeat(&mut self, id: ExprId) {
        let (Some(count), Some(made)) = (self.steps.repeated(id), self.made[id.index()]) else {
            return;
        };
        let mut grid = self.nodes[made.index()].grid;
        grid.count = count;
        let Expr { span, value_type, .. } = self.ast.get(id);
        // A constant is as good at every step.
        if let NodeKind::Number(value) = self.nodes[made.index()].kind {
            self.nodes[made.index()].grid = grid;
            self.nodes[made.index()].kind = NodeKind::Number(value);
            return;
        }
        let kind = NodeKind::Repeat(made);
        let node = Node { kind, grid, span: *span, value_type: *value_type, users: 0 };
        self.made[id.index()] = Some(self.push(node));
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) - 1)
    }

    /// The node of an operand.
    fn made(&self, id: ExprId) -> Result<NodeId, QueryError> {
        self.made[id.index()]
            .ok_or_else(|| QueryError::execution("a range vector is no operand here"))
    }

    fn all_made(&self, ids: &[ExprId]) -> Result<Vec<NodeId>, QueryError> {
        ids.iter().map(|id| self.made(*id)).collect()
    }

    fn is_in_range(&self, id: ExprId) -> bool {
        matches!(self.ast.get(self.parents[id.index()]).kind, ExprKind::Range { .. })
    }

    fn lookup(
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
    fn range_vector(
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
                Ok((RangeSource::Selection(id), windows))
            }
            _ => Err(QueryError::execution("expected a range vector")),
        }
    }

    fn negate_scalar(&self, operand: NodeId) -> NodeKind {
        match self.constant(operand) {
            Some(value) => NodeKind::Number(-value),
            None => NodeKind::NegateScalar(operand),
        }
    }

    /// The value of a node that is a number, if constants may be folded.
    fn constant(&self, id: NodeId) -> Option<f64> {
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

    fn aggregate(&mut self, aggregate: &Aggregate) -> Result<NodeKind, QueryError> {
        Ok(NodeKind::Aggregate {
            op: aggregate.op,
            grouping: aggregate.grouping.clone(),
            parameter: aggregate.parameter.map(|p| self.made(p)).transpose()?,
            operand: self.made(aggregate.operand)?,
        })
    }

    fn call(
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
                let arguments = self.all_made(arguments)?;
                Ok(NodeKind::VectorFunction { function, arguments })
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
        let is_absent = function == Function::AbsentOverTime;
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
        if !is_absent {
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
        let mut id = ExprId(u32::try_from(first).unwrap_or(u32::MAX));
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

    /// Tells the selections under `by` which labels the result keeps.
    fn push_down_labels(&mut self) {
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
            let selection = self.selections.get_mut(selection);
            selection.labels_kept = (selection.readers == 1).then_some(labels);
            selection.function = selection.function.or(Some(function));
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

/// Whether a function goes between scalars and instant vectors.
fn takes_scalars(function: Function) -> bool {
    matches!(function, Function::Vector | Function::Scalar | Function::MinOf | Function::MaxOf)
}

/// Whether an aggregation yields series with all their labels.
fn keeps_all_labels(op: AggregateOp) -> bool {
    use AggregateOp::{Bottomk, LimitRatio, Limitk, Topk};
    matches!(op, Topk | Bottomk | Limitk | LimitRatio)
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
