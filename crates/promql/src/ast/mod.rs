//! The syntax tree of a query: what was written, with its place and its type.
//!
//! An [`Ast`] holds its expressions in one vector, each behind its operands (*post-order*), so the
//! root is the last. Passes over a query are loops over that vector, or walk with a stack of their
//! own: neither a chain of thousands of terms nor the drop of one recurses. The parser makes trees
//! (and checks their types as it goes); the printer, the plan and the API's `parse_query` read them.
//!
//! # Invariants
//!
//! - Operands have smaller ids than their operator, and every expression but the root is the operand
//!   of exactly one.
//! - Every expression has passed the type checker: operands have the types that their operator takes.
//! - Spans lie in the text that was parsed; an operator's span holds those of its operands.

mod duration;
mod fixed_time;
mod operator;
mod selector;
mod span;
mod value_type;

use std::sync::Arc;

pub use duration::{DurationExpr, DurationNode, DurationOp, Length};
pub use operator::{
    AggregateOp, BinaryOp, Cardinality, Fill, Grouping, Matching, MatchingLabels, UnaryOp,
};
pub use selector::{At, RangeMode, Selector, TimeShift};
pub use span::Span;
pub use value_type::ValueType;

use crate::functions::Function;

/// Names an expression of one [`Ast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExprId(pub(crate) u32);

impl ExprId {
    /// The expression at a place in [`Ast::nodes`], of which there are fewer than 2^32.
    pub(crate) fn at(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// The place in [`Ast::nodes`].
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// An expression and its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands.
    pub span: Span,
    /// The type of its value.
    pub value_type: ValueType,
}

/// What an expression is.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A number.
    Number {
        /// Its value; a duration's is in seconds.
        value: f64,
        /// Whether it was written as a duration (`5m`), and is printed so.
        is_duration: bool,
    },
    /// A text; any bytes, because escapes such as `\xc5` need not make valid UTF-8.
    String(Arc<[u8]>),
    /// An expression in parentheses.
    Paren(ExprId),
    /// A sign before a scalar or an instant vector.
    Unary {
        /// The sign.
        op: UnaryOp,
        /// The operand.
        operand: ExprId,
    },
    /// An operator between two operands.
    Binary(Box<Binary>),
    /// An aggregation over series.
    Aggregate(Box<Aggregate>),
    /// A call of a function.
    Call {
        /// The function.
        function: Function,
        /// The arguments as written; missing optional ones are not filled in.
        arguments: Vec<ExprId>,
    },
    /// `name{matchers}`: the newest sample of each series at each step.
    Selector(Box<Selector>),
    /// `selector[range]`: the samples of each series in a window that ends at each step.
    Range {
        /// The [`ExprKind::Selector`]; offset and `@` of the whole stand there.
        selector: ExprId,
        /// The length of the window.
        range: Length,
    },
    /// `expression[range:step]`: the expression evaluated over a window.
    Subquery(Box<Subquery>),
}

/// An operator between two operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub op: BinaryOp,
    /// The operand on the left.
    pub left: ExprId,
    /// The operand on the right.
    pub right: ExprId,
    /// Whether a comparison answers 0 or 1 (`bool`) instead of filtering.
    pub return_bool: bool,
    /// How the series of two instant vectors find each other; `None` where one side is a scalar.
    pub matching: Option<Matching>,
}

/// An aggregation over series.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// What is computed of each group.
    pub op: AggregateOp,
    /// Its parameter (`topk(5, ..)`), which follows from the operator.
    pub parameter: Option<ExprId>,
    /// The series.
    pub operand: ExprId,
    /// Which labels make a group.
    pub grouping: Grouping,
}

/// An expression evaluated over a window before each step.
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// What is evaluated.
    pub operand: ExprId,
    /// The length of the window.
    pub range: Length,
    /// The distance of the evaluations; `None` for the engine's default.
    pub step: Option<Length>,
    /// Where the window lies.
    pub shift: TimeShift,
}

/// The tree of one query.
#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    nodes: Vec<Expr>,
}

impl Ast {
    /// A tree of these expressions in post-order; there is at least one.
    pub(crate) fn new(nodes: Vec<Expr>) -> Self {
        debug_assert!(!nodes.is_empty(), "a query has an expression");
        Self { nodes }
    }

    /// The whole expression.
    #[must_use]
    pub fn root(&self) -> ExprId {
        ExprId::at(self.nodes.len() - 1)
    }

    /// All expressions, operands before their operators.
    #[must_use]
    pub fn nodes(&self) -> &[Expr] {
        &self.nodes
    }

    /// The expression `id`.
    #[must_use]
    pub fn get(&self, id: ExprId) -> &Expr {
        &self.nodes[id.index()]
    }

    /// The expression in any number of parentheses around it.
    #[must_use]
    pub fn without_parens(&self, mut id: ExprId) -> ExprId {
        while let ExprKind::Paren(inner) = self.get(id).kind {
            id = inner;
        }
        id
    }

    /// Calls `visit` with the operands of `id`, in the order in which they were written.
    pub fn for_each_operand(&self, id: ExprId, mut visit: impl FnMut(ExprId)) {
        match &self.get(id).kind {
            ExprKind::Number { .. } | ExprKind::String(_) | ExprKind::Selector(_) => {}
            ExprKind::Paren(operand)
            | ExprKind::Unary { operand, .. }
            | ExprKind::Range { selector: operand, .. } => visit(*operand),
            ExprKind::Binary(binary) => {
                visit(binary.left);
                visit(binary.right);
            }
            ExprKind::Aggregate(aggregate) => {
                aggregate.parameter.iter().for_each(|p| visit(*p));
                visit(aggregate.operand);
            }
            ExprKind::Call { arguments, .. } => arguments.iter().for_each(|a| visit(*a)),
            ExprKind::Subquery(subquery) => visit(subquery.operand),
        }
    }
}
