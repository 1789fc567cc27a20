//! Runs the nodes of a plan in order.
//!
//! The engine calls it once for each plan. A node's value is held until its operator takes it
//! (`operands`). What can be a part of a chain is evaluated with the chain, by the node that the chain
//! leads to (`held_nodes` decides).

use std::sync::Arc;

use siltstone::Patterns;

use super::aggregate::{Accumulator, AggregateCall, AggregateNode, AggregateSpans, Parameter};
use super::binary::{VectorVector, scalar_scalar};
use super::merge::merge_same_labels;
use super::meter::Meter;
use super::ordered_list::OrderedList;
use super::query::ResultSeries;
use super::runner::Runner;
use super::vector::{Presence, SoleValue, constant, date_of_steps, extreme, negated, vector_of};
use crate::annotations::Annotations;
use crate::ast::ValueType;
use crate::flags::Features;
use crate::functions::Function;
use crate::plan::{Node, NodeId, NodeKind, Plan};
use crate::query_error::QueryError;
use crate::source::Queryable;
use crate::value::{LabelSet, Series, Value};

/// The value of a plan's root.
pub(super) enum RootValue {
    Scalar(Vec<f64>),
    String(Arc<[u8]>),
    Vector(Vec<Series>),
    /// The samples of a range vector.
    Samples(Vec<ResultSeries>),
}

impl RootValue {
    /// How many points the result will have beyond those that are there.
    pub(super) fn points(&self) -> usize {
        match self {
            Self::Scalar(values) => values.len(),
            Self::Vector(series) => series.iter().map(|series| series.values.len()).sum(),
            Self::String(_) | Self::Samples(_) => 0,
        }
    }
}

/// The evaluation of one plan.
pub(super) struct Evaluation<'a> {
    pub(super) plan: &'a Plan,
    pub(super) source: &'a dyn Queryable,
    pub(super) features: Features,
    pub(super) optimise: bool,
    pub(super) runner: Runner<'a>,
    /// The lists of the selections, made when they are needed.
    pub(super) lists: Vec<Option<Arc<OrderedList<'a>>>>,
    /// The values of the nodes that are evaluated and not taken yet.
    pub(super) values: Vec<Option<Value>>,
    /// For each node how many of its users have not taken its value.
    pub(super) users: Vec<usize>,
    /// Bytes of the scalars that were taken for the node at hand.
    pub(super) scalar_bytes: usize,
    pub(super) notes: Annotations,
    /// What compiles regular expressions.
    pub(super) patterns: Patterns,
}

impl<'a> Evaluation<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        source: &'a dyn Queryable,
        (features, optimise): (Features, bool),
        runner: Runner<'a>,
        patterns: Patterns,
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
            scalar_bytes: 0,
            notes: Annotations::default(),
            patterns,
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
                self.give_back_scalars();
                return Ok((RootValue::Samples(series), self.notes));
            }
            let value = match node.value_type {
                ValueType::Vector if node.grid.count == 0 => Value::Vector(Vec::new()),
                _ => self.evaluate(node)?,
            };
            let value = self.settle(value, node)?;
            self.give_back_scalars();
            self.values[slot] = Some(value);
        }
        let root = match self.take(plan.root())? {
            Value::Scalar(values) => RootValue::Scalar(values),
            Value::String(text) => RootValue::String(text),
            Value::Vector(series) => {
                self.meter().release(series.iter().map(Series::held_bytes).sum());
                RootValue::Vector(drop_names(series)?)
            }
        };
        self.give_back_scalars();
        Ok((root, self.notes))
    }

    /// Drops names at once where they are not dropped at the end, and makes one of series with the
    /// same labels.
    fn settle(&mut self, value: Value, node: &Node) -> Result<Value, QueryError> {
        if let Value::Scalar(values) = &value {
            self.meter().hold(size_of_val(values.as_slice()))?;
        }
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

    fn evaluate(&mut self, node: &Node) -> Result<Value, QueryError> {
        if node.value_type == ValueType::Scalar {
            // Before it is made; it is held when it is there.
            let bytes = node.grid.count.saturating_mul(size_of::<f64>());
            self.meter().hold(bytes)?;
            self.meter().release(bytes);
        }
        let steps = node.grid.count;
        match &node.kind {
            NodeKind::Text(text) => Ok(Value::String(text.clone())),
            NodeKind::NegateScalar(operand) => {
                let values = self.take_scalar(*operand)?;
                Ok(Value::Scalar(values.into_iter().map(negated).collect()))
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
            NodeKind::Aggregate { op, grouping, parameter, operand, spans } => {
                let spans =
                    AggregateSpans { whole: node.span, parameter: spans.0, operand: spans.1 };
                let call = AggregateNode { op: *op, grouping, spans };
                self.aggregate(call, *parameter, *operand, node.grid.count)
            }
            NodeKind::VectorVector { op, return_bool, matching, left, right } => {
                let (left, right) = (self.take_vector(*left)?, self.take_vector(*right)?);
                let bytes = left.iter().chain(&right).map(Series::held_bytes).sum();
                let operator = VectorVector {
                    op: *op,
                    matching,
                    return_bool: *return_bool,
                    span: node.span,
                    features: self.features,
                    steps,
                    threads: self.runner.threads,
                    meter: self.meter(),
                };
                let series = operator.evaluate(left, right, &mut self.notes)?;
                self.meter().release(bytes);
                Ok(Value::Vector(series))
            }
            NodeKind::VectorFunction { function, arguments, spans } => {
                self.vector_function(node, *function, (arguments, spans)).map(Value::Vector)
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
                // Before it is there: a small value may become a large one. The caller holds it then.
                let meter = self.meter();
                let bytes = series.len().saturating_mul(steps).saturating_mul(size_of::<f64>());
                meter.hold(bytes)?;
                meter.release(bytes);
                for series in &mut series {
                    meter.release(series.held_bytes());
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
        call: AggregateNode<'_>,
        parameter: Option<NodeId>,
        operand: NodeId,
        steps: usize,
    ) -> Result<Value, QueryError> {
        let parameter = match parameter {
            None => Parameter::None,
            Some(id) if self.plan.node(id).value_type == ValueType::String => {
                Parameter::Label(self.take_text(id)?)
            }
            Some(id) => Parameter::Scalar(self.take_scalar(id)?),
        };
        let chain = self.chain(operand)?;
        let call = AggregateCall::prepare(call, parameter, steps, &mut self.notes)?
            .within(self.meter().limits().bytes);
        let make = || Accumulator::new(&call);
        let gathered = self.runner.run(chain, &make, &mut self.notes)?;
        let Some(gathered) = gathered else { return Ok(Value::Vector(Vec::new())) };
        gathered.finish(self.meter(), &mut self.notes).map(Value::Vector)
    }
}

/// Drops the names that were to go at the end.
pub(super) fn drop_names(mut series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    for series in series.iter_mut().filter(|series| series.drop_name) {
        series.labels = series.labels.without_metric();
    }
    merge_same_labels(series)
}

pub(super) fn unexpected(function: Function) -> QueryError {
    QueryError::execution(format!("{}() cannot be called like this", function.name()))
}
