//! Lengths of time: literals, and expressions that the plan evaluates.

use super::{ExprId, Span};

/// A length of time in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Length {
    /// Milliseconds.
    Fixed(i64),
    /// An expression of durations, evaluated once when the query's steps are known.
    Expression(Box<DurationExpr>),
}

/// An expression of durations such as `2 * step() + 1m`, in post-order like an [`Ast`](super::Ast);
/// its value is in seconds.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationExpr {
    nodes: Vec<DurationNode>,
}

/// A node of a [`DurationExpr`]; operands name their place in it.
#[derive(Debug, Clone, PartialEq)]
pub struct DurationNode {
    /// What it is.
    pub op: DurationOp,
    /// Where it stands.
    pub span: Span,
}

/// What a node of a [`DurationExpr`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationOp {
    /// Seconds.
    Number {
        /// The value.
        seconds: f64,
        /// Whether it was written as a duration (`5m`).
        is_duration: bool,
    },
    /// `step()`: the distance of the query's steps.
    Step,
    /// `range()`: from the query's first to its last step.
    Range,
    /// Parentheses.
    Paren(ExprId),
    /// `-x`; a plus changes nothing and is not kept.
    Minus(ExprId),
    /// `min_of(a, b)`
    Min(ExprId, ExprId),
    /// `max_of(a, b)`
    Max(ExprId, ExprId),
    /// `a + b`, `-`, `*`, `/`, `%` or `^`.
    Binary(super::BinaryOp, ExprId, ExprId),
}

impl DurationExpr {
    /// An expression of these nodes in post-order; there is at least one.
    pub(crate) fn new(nodes: Vec<DurationNode>) -> Self {
        debug_assert!(!nodes.is_empty(), "an expression has a node");
        Self { nodes }
    }

    /// All nodes, operands before their operators.
    #[must_use]
    pub fn nodes(&self) -> &[DurationNode] {
        &self.nodes
    }
}
