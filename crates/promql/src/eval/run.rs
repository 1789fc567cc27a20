//! Runs the nodes of a plan in order.
//!
//! A node's value is held until its operator takes it. What can be a part of a chain is evaluated
//! with the chain, by the node that the chain leads to.

use std::sync::Arc;

use super::aggregate::{Accumulator, AggregateCall, AggregateNode, AggregateSpans, Parameter};
use super::binary::{VectorScalar, VectorVector, scalar_scalar};
use super::chain::{Chain, OrderedList, Origin, Runner, Stage};
use super::engine::ResultSeries;
use super::merge::merge_same_labels;
use super::meter::Meter;
use super::range::RangeCall;
use super::vector::{
    LabelTransform, Presence, SeriesFunction, SoleValue, constant, date_of_steps, extreme,
    vector_of,
};
use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Grouping, ValueType};
use crate::flags::Features;
use crate::functions::Function;
use crate::plan::{Node, NodeId, NodeKind, Plan, RangeSource, SelectionId};
use crate::query_error::QueryError;
use crate::source::{Queryable, Selection};
use crate::value::{LabelSet, Series, Value};

/// The value of a plan's root.
pub(super) enum RootValue {
    Scalar(Vec<f64>),
    String(Arc<[u8]>),
    Vector(Vec<Series>),
    /// The samples of a range vector.
    Samples(Vec<ResultSeries>),
}

/// The evaluation of one plan.
pub(super) struct Evaluation<'a> {
    pub(super) plan: &'a Plan,
    pub(super) source: &'a dyn Queryable,
    pub(super) features: Features,
    optimise: bool,
    pub(super) runner: Runner<'a>,
    /// The lists of the selections, made when they are needed.
    lists: Vec<Option<Arc<OrderedList<'a>>>>,
    /// The values of the nodes that are evaluated and not taken yet.
    values: Vec<Option<Value>>,
    /// For each node how many of its users have not taken its value.
    users: Vec<usize>,
    pub(super) notes: Annotations,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        source: &'a dyn Queryable,
        (features, optimise): (Features, bool),
        runner: Runner<'a>,
    ) -> Self {
        Self {
            plan,
            source,
            features,
            optimise,
            runner,
            lists: plan.selections.iter().map(|_| None).collect(),
            values: plan.nodes.iter().map(|_| None).collect(),
            users: plan.nodes.iter().map(|node| node.users).collect(),
            notes: Annotations::default(),
        }
    }

    pub(super) fn meter(&self) -> &'a Meter {
        self.runner.meter
    }

    /// Evaluates the plan.
    pub(super) fn run(mut self) -> Result<(RootValue, Annotations), QueryError> {
        let held = self.held_nodes()?;
        let plan = self.plan;
        for (node, slot) in plan.nodes.iter().zip(0..) {
            // A number is made where it is taken.
            if !held[slot] || matches!(node.kind, NodeKind::Number(_)) {
                continue;
            }
            self.meter().check()?;
            if let NodeKind::Samples { source, windows } = &node.kind {
                let series = self.samples(*source, windows)?;
                return Ok((RootValue::Samples(series), self.notes));
            }
            let value = match node.value_type {
                ValueType::Vector if node.grid.count == 0 => Value::Vector(Vec::new()),
                _ => self.evaluate(node)?,
            };
            let value = self.settle(value, node)?;
            self.values[slot] = Some(value);
        }
        let root = match self.take(plan.root())? {
            Value::Scalar(values) => RootValue::Scalar(values),
            Value::String(text) => RootValue::String(text),
            Value::Vector(series) => RootValue::Vector(drop_names(series)?),
        };
        Ok((root, self.notes))
    }

    /// Drops names at once where they are not dropped at the end, and makes one of series with the
    /// same labels.
    fn settle(&mut self, value: Value, node: &Node) -> Result<Value, QueryError> {
        let Value::Vector(mut series) = value else { return Ok(value) };
        series.retain(|series| !series.values.is_empty());
        let drops = !self.runner.delayed_names && series.iter().any(|series| series.drop_name);
        if drops {
            for series in series.iter_mut().filter(|series| series.drop_name) {
                series.labels = series.labels.without_metric();
                series.drop_name = false;
            }
        }
        // With one step, equal labels are an error at the end only: the name may come back.
        if drops || (self.runner.delayed_names && node.grid.count > 1) {
            series = merge_same_labels(series)?;
        }
        self.meter().hold(series.iter().map(Series::held_bytes).sum())?;
        Ok(Value::Vector(series))
    }

    /// Which nodes are evaluated by themselves: all but those inside a chain.
    fn held_nodes(&mut self) -> Result<Vec<bool>, QueryError> {
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
                let is_part = self.optimise && is_link(&node.kind);
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
            NodeKind::RangeFunction { source: RangeSource::Selection(id), .. } => *id,
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
            _ => link_operand(kind),
        }
    }

    /// Takes the value of a node that was evaluated.
    pub(super) fn take(&mut self, id: NodeId) -> Result<Value, QueryError> {
        let node = self.plan.node(id);
        if let NodeKind::Number(value) = node.kind {
            return Ok(Value::Scalar(vec![value; node.grid.count]));
        }
        let slot = &mut self.values[id.index()];
        let users = &mut self.users[id.index()];
        *users = users.saturating_sub(1);
        if *users > 0
            && let Some(Value::Vector(series)) = slot
        {
            self.runner.meter.hold(series.iter().map(Series::held_bytes).sum())?;
            return Ok(Value::Vector(series.clone()));
        }
        slot.take().ok_or_else(|| QueryError::execution("an operand was not evaluated"))
    }

    pub(super) fn take_scalar(&mut self, id: NodeId) -> Result<Vec<f64>, QueryError> {
        match self.take(id)? {
            Value::Scalar(values) => Ok(values),
            _ => Err(QueryError::execution("expected a scalar")),
        }
    }

    fn take_scalars(&mut self, ids: &[NodeId]) -> Result<Vec<Vec<f64>>, QueryError> {
        ids.iter().map(|id| self.take_scalar(*id)).collect()
    }

    fn take_vector(&mut self, id: NodeId) -> Result<Vec<Series>, QueryError> {
        match self.take(id)? {
            Value::Vector(series) => Ok(series),
            _ => Err(QueryError::execution("expected an instant vector")),
        }
    }

    /// Takes a vector that is then used up. A chain gives back what its series held one by one.
    pub(super) fn use_vector(&mut self, id: NodeId) -> Result<Vec<Series>, QueryError> {
        let series = self.take_vector(id)?;
        self.meter().release(series.iter().map(Series::held_bytes).sum());
        Ok(series)
    }

    pub(super) fn take_text(&mut self, id: NodeId) -> Result<Arc<[u8]>, QueryError> {
        match self.take(id)? {
            Value::String(text) => Ok(text),
            _ => Err(QueryError::execution("expected a text")),
        }
    }

    fn evaluate(&mut self, node: &Node) -> Result<Value, QueryError> {
        let steps = node.grid.count;
        match &node.kind {
            NodeKind::Text(text) => Ok(Value::String(text.clone())),
            NodeKind::NegateScalar(operand) => {
                let values = self.take_scalar(*operand)?;
                Ok(Value::Scalar(values.into_iter().map(|value| -value).collect()))
            }
            NodeKind::ScalarScalar { op, left, right } => {
                let (left, right) = (self.take_scalar(*left)?, self.take_scalar(*right)?);
                Ok(Value::Scalar(scalar_scalar(*op, &left, &right)))
            }
            NodeKind::ScalarFunction { function, arguments } => {
                self.scalar_function(node, *function, arguments)
            }
            NodeKind::Repeat(operand) => self.repeat(*operand, steps),
            NodeKind::Absent { operand, labels } | NodeKind::AbsentOverTime { operand, labels } => {
                self.absent(*operand, labels, steps)
            }
            NodeKind::Aggregate { op, grouping, parameter, operand } => {
                self.aggregate(node, (*op, grouping), *parameter, *operand)
            }
            NodeKind::VectorVector { op, return_bool, matching, left, right } => {
                let (left, right) = (self.use_vector(*left)?, self.use_vector(*right)?);
                let operator = VectorVector {
                    op: *op,
                    matching,
                    return_bool: *return_bool,
                    span: node.span,
                    features: self.features,
                    steps,
                };
                operator.evaluate(left, right, &mut self.notes).map(Value::Vector)
            }
            NodeKind::VectorFunction { function, arguments } => {
                self.vector_function(node, *function, arguments).map(Value::Vector)
            }
            NodeKind::Info { operand, matchers, lookup } => {
                self.info(node.grid, (*operand, matchers), *lookup).map(Value::Vector)
            }
            _ => {
                let chain = self.chain_to(node)?;
                self.runner.collect(chain, &mut self.notes).map(Value::Vector)
            }
        }
    }

    fn repeat(&mut self, operand: NodeId, steps: usize) -> Result<Value, QueryError> {
        Ok(match self.take(operand)? {
            Value::Scalar(values) => {
                Value::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps])
            }
            Value::Vector(mut series) => {
                for series in &mut series {
                    self.runner.meter.release(series.held_bytes());
                    series.values.repeat(steps);
                }
                Value::Vector(series)
            }
            text @ Value::String(_) => text,
        })
    }

    fn scalar_function(
        &mut self,
        node: &Node,
        function: Function,
        arguments: &[NodeId],
    ) -> Result<Value, QueryError> {
        let steps = node.grid.count;
        match (function, arguments) {
            (Function::Scalar, [operand]) => {
                let chain = self.chain(*operand)?;
                let make = || SoleValue::new(steps);
                let sole = self.runner.run(chain, &make, &mut self.notes)?;
                Ok(Value::Scalar(sole.unwrap_or_else(make).finish()))
            }
            (Function::Vector, [scalar]) => {
                Ok(Value::Vector(vector_of(self.take_scalar(*scalar)?)))
            }
            (_, [left, right]) => {
                let (left, right) = (self.take_scalar(*left)?, self.take_scalar(*right)?);
                extreme(function, &left, &right)
                    .map(Value::Scalar)
                    .ok_or_else(|| unexpected(function))
            }
            _ => {
                let query = self.plan.times.of_query();
                let scalar = constant(function, query, node.grid).map(Value::Scalar);
                scalar
                    .or_else(|| date_of_steps(function, node.grid).map(Value::Vector))
                    .ok_or_else(|| unexpected(function))
            }
        }
    }

    fn absent(
        &mut self,
        operand: NodeId,
        labels: &LabelSet,
        steps: usize,
    ) -> Result<Value, QueryError> {
        let chain = self.chain(operand)?;
        let make = || Presence::new(steps);
        let presence = self.runner.run(chain, &make, &mut self.notes)?;
        Ok(Value::Vector(presence.unwrap_or_else(make).absent(labels.clone())))
    }

    fn aggregate(
        &mut self,
        node: &Node,
        (op, grouping): (AggregateOp, &Grouping),
        parameter: Option<NodeId>,
        operand: NodeId,
    ) -> Result<Value, QueryError> {
        let spans = AggregateSpans {
            whole: node.span,
            operand: self.plan.node(operand).span,
            parameter: parameter.map_or(node.span, |p| self.plan.node(p).span),
        };
        let parameter = match parameter {
            None => Parameter::None,
            Some(id) if self.plan.node(id).value_type == ValueType::String => {
                Parameter::Label(self.take_text(id)?)
            }
            Some(id) => Parameter::Scalar(self.take_scalar(id)?),
        };
        let chain = self.chain(operand)?;
        let call = AggregateNode { op, grouping, spans };
        let steps = node.grid.count;
        let call = AggregateCall::prepare(call, parameter, steps, &mut self.notes)?;
        let make = || Accumulator::new(&call);
        let gathered = self.runner.run(chain, &make, &mut self.notes)?;
        let Some(gathered) = gathered else { return Ok(Value::Vector(Vec::new())) };
        Ok(Value::Vector(gathered.finish(&mut self.notes)))
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
        selection: &Selection<'_>,
    ) -> Result<OrderedList<'a>, QueryError> {
        let list = self.source.list(selection, self.meter().cancel());
        let list = OrderedList::new(list.map_err(QueryError::Source)?);
        self.meter().list_series(list.len())?;
        Ok(list)
    }

    /// The chain of the vector `id`: as long as it can be, or of the value that is held.
    pub(super) fn chain(&mut self, id: NodeId) -> Result<Chain<'a>, QueryError> {
        let node = self.plan.node(id);
        if self.values[id.index()].is_none() && is_link(&node.kind) {
            return self.chain_to(node);
        }
        let series = self.take_vector(id)?;
        Ok(Chain { origin: Origin::Held(series, node.grid), stages: Vec::new() })
    }

    /// The chain that ends with `node`, which is a link of one.
    fn chain_to(&mut self, node: &Node) -> Result<Chain<'a>, QueryError> {
        let plan = self.plan;
        let mut stages = Vec::new();
        let mut at = node;
        let origin = loop {
            if at.grid.count == 0 {
                // What has no step is not evaluated, so that it has no errors either.
                break Err((Vec::new(), at.grid));
            }
            stages.push(self.stage(at)?);
            match &at.kind {
                NodeKind::Lookup { selection, .. } => break Ok(*selection),
                NodeKind::RangeFunction { source: RangeSource::Selection(id), .. } => {
                    break Ok(*id);
                }
                kind => {
                    let Some(operand) = link_operand(kind) else {
                        return Err(QueryError::execution("a chain has no beginning"));
                    };
                    let next = plan.node(operand);
                    if self.values[operand.index()].is_some() || !is_link(&next.kind) {
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
                label_transform(*function, texts).map(Stage::Labels)
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

/// Whether a node makes of each series one series, and so can be a part of a chain.
fn is_link(kind: &NodeKind) -> bool {
    matches!(kind, NodeKind::Lookup { .. } | NodeKind::RangeFunction { .. })
        || link_operand(kind).is_some()
}

/// The vector that a link of a chain takes; none where the chain begins.
fn link_operand(kind: &NodeKind) -> Option<NodeId> {
    match kind {
        NodeKind::RangeFunction { source: RangeSource::Subquery(operand), .. }
        | NodeKind::SeriesFunction { operand, .. }
        | NodeKind::LabelFunction { operand, .. }
        | NodeKind::VectorScalar { vector: operand, .. } => Some(*operand),
        NodeKind::Negate(operand) => Some(*operand),
        _ => None,
    }
}

/// The arguments of `label_replace` and `label_join` behind the vector.
fn label_transform(function: Function, texts: &[Arc<[u8]>]) -> Result<LabelTransform, QueryError> {
    match texts {
        [target, replacement, source, regex] if function == Function::LabelReplace => {
            LabelTransform::replace(target, replacement, source, regex)
        }
        [target, separator, sources @ ..] => {
            LabelTransform::join(target, separator, sources.iter().map(|source| &**source))
        }
        _ => Err(unexpected(function)),
    }
}

/// Drops the names that were to go at the end.
fn drop_names(mut series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    for series in series.iter_mut().filter(|series| series.drop_name) {
        series.labels = series.labels.without_metric();
    }
    merge_same_labels(series)
}

pub(super) fn unexpected(function: Function) -> QueryError {
    QueryError::execution(format!("{}() cannot be called like this", function.name()))
}
