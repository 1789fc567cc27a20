//! The plan of a query: what is evaluated, at which steps, over which series.
//!
//! A plan is made for one query at given times. It knows every step: each node carries the [`Grid`]
//! at which it is evaluated, that of a subquery's operand included. The evaluator runs its nodes in
//! order and decides nothing about the language any more.
//!
//! 1. [`length`] evaluates duration expressions, for the query's step and range.
//! 2. [`steps`] walks the tree twice: upwards for what does not depend on the step
//!    (*step-invariant*: all its selectors have an `@`), downwards for the grid of each expression.
//!    A step-invariant part is evaluated at one step and repeated ([`NodeKind::Repeat`]).
//! 3. [`build`] makes the nodes, operands before operators, folds constants, and gives each selector
//!    its [`PlannedSelection`]; equal ones are one selection, which is listed once.
//! 4. [`prune`] drops the nodes that nothing takes; [`label_use`] tells selections which of their labels
//!    matter.
//! 5. [`explain`] prints a plan.
//!
//! [`mod@reach`] says of a query, without a plan, how far around a step samples matter.
//!
//! With [`PlanOptions::optimise`] off nothing is folded, repeated, shared or pushed down. Answers are the same.
//!
//! # Invariants
//!
//! - Operands have smaller ids than their operator. Every node but the root is the operand of one
//!   other; a node that reads a selection may be that of several ([`Node::users`]), which asked for
//!   the same.
//! - The operand of a [`NodeKind::Repeat`] has a grid of one step; all other operands have the grid
//!   of their operator, but those of range functions over subqueries.

mod build;
mod calls;
mod explain;
mod label_use;
mod length;
mod link;
mod prune;
mod reach;
mod select;
mod sharing;
mod statistics;
mod steps;

use std::sync::Arc;

use siltstone::{Matcher, Timestamp};

use crate::ast::{AggregateOp, BinaryOp, Grouping, Matching, Span, ValueType};
use crate::eval::grid::{Grid, Shift, Windows};
use crate::eval::vector::QueryTimes;
use crate::functions::Function;
use crate::source::{Hints, SelectRequest};
use crate::value::LabelSet;

pub(crate) use build::build;
pub(crate) use explain::{Estimate, Explained};
pub use reach::Reach;
pub(crate) use reach::{ReachOptions, reach};

/// Names a node of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Names a [`PlannedSelection`] of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SelectionId(u32);

impl SelectionId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// The times of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// An instant query.
    Instant(Timestamp),
    /// A range query: `start`, `start + step`, ... up to `end`.
    Range { start: Timestamp, end: Timestamp, step: i64 },
}

impl Times {
    /// As the functions `start`, `end`, `step` and `range` tell them.
    pub(crate) fn of_query(self) -> QueryTimes {
        match self {
            Self::Instant(time) => QueryTimes { start: time, end: time, step: 0 },
            Self::Range { start, end, step } => QueryTimes { start, end, step },
        }
    }
}

/// What a plan depends on besides the query and its times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PlanOptions {
    /// How old the sample of an instant lookup may be, in milliseconds.
    pub(crate) lookback: i64,
    /// The step of subqueries that have none, in milliseconds.
    pub(crate) subquery_step: i64,
    /// Most steps of one grid.
    pub(crate) steps_max: usize,
    /// Whether constants are folded, step-invariant parts evaluated once and selections shared.
    pub(crate) optimise: bool,
}

/// The plan of one query at given times.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) nodes: Vec<Node>,
    pub(crate) selections: Vec<PlannedSelection>,
    /// The steps of the query.
    pub(crate) grid: Grid,
    pub(crate) times: Times,
}

impl Plan {
    pub(crate) fn root(&self) -> NodeId {
        NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX) - 1)
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(crate) fn selection(&self, id: SelectionId) -> &PlannedSelection {
        &self.selections[id.index()]
    }
}

/// What a selector reads, over all steps.
#[derive(Debug, Clone)]
pub(crate) struct PlannedSelection {
    pub(crate) matchers: Vec<Matcher>,
    /// The time of the first sample needed, inclusive.
    pub(crate) start: Timestamp,
    /// The time of the last sample needed, inclusive.
    pub(crate) end: Timestamp,
    /// The function or aggregation that the samples go to first.
    pub(crate) function: Option<&'static str>,
    /// The length of that function's window, in milliseconds.
    pub(crate) range: Option<i64>,
    /// The distance of the steps at which it is read, in milliseconds; 0 where readers differ.
    pub(crate) step: i64,
    /// The labels that the result keeps, where others do not matter.
    pub(crate) labels_kept: Option<Vec<String>>,
    /// Whether series lose their names before they are gathered.
    pub(crate) names_go: bool,
    /// How many nodes read it.
    pub(crate) readers: usize,
}

impl PlannedSelection {
    /// What the source is asked for.
    pub(crate) fn request(&self) -> SelectRequest<'_> {
        SelectRequest {
            matchers: &self.matchers,
            start: self.start,
            end: self.end,
            hints: Hints {
                function: self.function,
                range: self.range,
                step: self.step,
                labels_kept: self.labels_kept.as_deref(),
                names_go: self.names_go,
            },
        }
    }
}

/// A step of the evaluation.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: NodeKind,
    /// The steps at which it is evaluated.
    pub(crate) grid: Grid,
    /// The expression that annotations blame.
    pub(crate) span: Span,
    pub(crate) value_type: ValueType,
    /// How many operators take its value.
    pub(crate) users: usize,
}

/// What a node computes.
#[derive(Debug)]
pub(crate) enum NodeKind {
    /// The same number at each step.
    Number(f64),
    /// A text.
    Text(Arc<[u8]>),
    /// The newest sample of each series.
    Lookup { lookup: Lookup, selection: SelectionId },
    /// A function of the samples in a window of each series.
    RangeFunction {
        function: Function,
        source: RangeSource,
        windows: Windows,
        /// As [`Lookup::statistics`].
        statistics: bool,
        /// The scalar arguments, in the order written.
        parameters: Vec<NodeId>,
        /// The first argument, which annotations blame.
        argument_span: Span,
    },
    /// `absent_over_time`: 1, with these labels, where no series has a sample in its window. The
    /// operand is a [`NodeKind::RangeFunction`] that says for each series where it has one.
    AbsentOverTime { operand: NodeId, labels: LabelSet },
    /// The samples of each series in one window: the result of an instant query for a range vector.
    Samples { source: RangeSource, windows: Windows },
    /// A function that makes of each series one series.
    SeriesFunction { function: Function, operand: NodeId, parameters: Vec<NodeId> },
    /// `-` before an instant vector.
    Negate(NodeId),
    /// `-` before a scalar.
    NegateScalar(NodeId),
    /// `label_replace` or `label_join` with its texts.
    LabelFunction { function: Function, operand: NodeId, texts: Vec<Arc<[u8]>> },
    /// A function of a whole instant vector.
    VectorFunction {
        function: Function,
        arguments: Vec<NodeId>,
        /// The arguments as annotations blame them: without parentheses around them.
        spans: Vec<Span>,
    },
    /// `absent`: 1, with these labels, where no series has a value.
    Absent { operand: NodeId, labels: LabelSet },
    /// `info` with the matchers of its second argument, and how info series are looked up.
    Info { operand: NodeId, matchers: Vec<Matcher>, lookup: Lookup },
    /// A function whose value is a scalar, or `vector(scalar)`, or a function of the step's time.
    ScalarFunction { function: Function, arguments: Vec<NodeId> },
    /// An operator between two scalars.
    ScalarScalar { op: BinaryOp, left: NodeId, right: NodeId },
    /// An operator between an instant vector and a scalar.
    VectorScalar {
        op: BinaryOp,
        return_bool: bool,
        vector: NodeId,
        scalar: NodeId,
        vector_is_left: bool,
    },
    /// An operator between two instant vectors.
    VectorVector {
        op: BinaryOp,
        return_bool: bool,
        matching: Matching,
        left: NodeId,
        right: NodeId,
    },
    /// An aggregation over series.
    Aggregate {
        op: AggregateOp,
        grouping: Grouping,
        parameter: Option<NodeId>,
        operand: NodeId,
        /// The parameter (or the operand, where there is none) and the operand as annotations blame
        /// them: without parentheses around them.
        spans: (Span, Span),
    },
    /// The operand's value at its one step, at each step.
    Repeat(NodeId),
}

/// Where the samples of a range vector come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RangeSource {
    /// Stored samples.
    Stored(SelectionId),
    /// The values of a node, whose grid is the subquery's.
    Subquery(NodeId),
}

/// An instant lookup: at each step the newest sample that is not older than the lookback.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lookup {
    pub(crate) shift: Shift,
    /// Milliseconds.
    pub(crate) lookback: i64,
    pub(crate) what: LookupValue,
    /// Whether only the counts and sums of histograms matter. Each is then told, before anything
    /// else, whether it follows a counter reset; see `eval::statistics`.
    pub(crate) statistics: bool,
}

/// What a lookup yields of the sample that it finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookupValue {
    /// The value.
    Sample,
    /// The value between the two samples around the step (`smoothed`).
    Smoothed,
    /// Its time in seconds.
    Timestamp,
    /// Its start timestamp in seconds, 0 where it has none.
    StartTimestamp,
}

impl Lookup {
    /// The times of the samples that the steps of `grid` need together, inclusive.
    pub(crate) fn needed(&self, grid: Grid) -> (Timestamp, Timestamp) {
        if grid.count == 0 {
            return (0, -1);
        }
        let start = self.shift.apply(grid.start).saturating_sub(self.lookback).saturating_add(1);
        let end = self.shift.apply(grid.end());
        match self.what {
            LookupValue::Smoothed => (start, end.saturating_add(self.lookback)),
            _ => (start, end),
        }
    }
}

impl NodeKind {
    /// Calls `visit` with the operands, in the order in which they are evaluated.
    pub(crate) fn for_each_operand(&self, mut visit: impl FnMut(NodeId)) {
        let mut ids = [None; 2];
        let mut list: &[NodeId] = &[];
        match self {
            Self::Number(_) | Self::Text(_) | Self::Lookup { .. } => {}
            Self::RangeFunction { source, parameters, .. } => {
                ids[0] = source.operand();
                list = parameters;
            }
            Self::Samples { source, .. } => ids[0] = source.operand(),
            Self::SeriesFunction { operand, parameters, .. } => {
                ids[0] = Some(*operand);
                list = parameters;
            }
            Self::AbsentOverTime { operand, .. }
            | Self::Negate(operand)
            | Self::NegateScalar(operand)
            | Self::LabelFunction { operand, .. }
            | Self::Absent { operand, .. }
            | Self::Info { operand, .. }
            | Self::Repeat(operand) => ids[0] = Some(*operand),
            Self::VectorFunction { arguments, .. } | Self::ScalarFunction { arguments, .. } => {
                list = arguments;
            }
            Self::ScalarScalar { left, right, .. } | Self::VectorVector { left, right, .. } => {
                ids = [Some(*left), Some(*right)];
            }
            Self::VectorScalar { vector, scalar, .. } => ids = [Some(*vector), Some(*scalar)],
            Self::Aggregate { parameter, operand, .. } => ids = [*parameter, Some(*operand)],
        }
        ids.into_iter().flatten().for_each(&mut visit);
        list.iter().for_each(|id| visit(*id));
    }

    /// Calls `change` with the operands.
    fn for_each_operand_mut(&mut self, mut change: impl FnMut(&mut NodeId)) {
        match self {
            Self::Number(_) | Self::Text(_) | Self::Lookup { .. } => {}
            Self::RangeFunction { source, parameters, .. } => {
                source.operand_mut().into_iter().chain(parameters).for_each(change);
            }
            Self::Samples { source, .. } => source.operand_mut().into_iter().for_each(change),
            Self::SeriesFunction { operand, parameters, .. } => {
                std::iter::once(operand).chain(parameters).for_each(change);
            }
            Self::AbsentOverTime { operand, .. }
            | Self::Negate(operand)
            | Self::NegateScalar(operand)
            | Self::LabelFunction { operand, .. }
            | Self::Absent { operand, .. }
            | Self::Info { operand, .. }
            | Self::Repeat(operand) => change(operand),
            Self::VectorFunction { arguments, .. } | Self::ScalarFunction { arguments, .. } => {
                arguments.iter_mut().for_each(change);
            }
            Self::ScalarScalar { left, right, .. } | Self::VectorVector { left, right, .. } => {
                [left, right].into_iter().for_each(change);
            }
            Self::VectorScalar { vector, scalar, .. } => {
                [vector, scalar].into_iter().for_each(change);
            }
            Self::Aggregate { parameter, operand, .. } => {
                parameter.iter_mut().chain(std::iter::once(operand)).for_each(change);
            }
        }
    }
}

impl RangeSource {
    fn operand(self) -> Option<NodeId> {
        match self {
            Self::Stored(_) => None,
            Self::Subquery(operand) => Some(operand),
        }
    }

    fn operand_mut(&mut self) -> Option<&mut NodeId> {
        match self {
            Self::Stored(_) => None,
            Self::Subquery(operand) => Some(operand),
        }
    }
}
