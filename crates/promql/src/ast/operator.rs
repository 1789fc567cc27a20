//! Operators: what each is called, and what modifies it.

use std::fmt;

/// A sign before an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOp {
    /// `+`, which changes nothing.
    Plus,
    /// `-`.
    Minus,
}

/// An operator between two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`: the remainder with the sign of the dividend.
    Mod,
    /// `^`
    Pow,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `>`
    Greater,
    /// `<`
    Less,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `and`: the series of the left that have a match.
    And,
    /// `or`: all of the left, and those of the right without a match.
    Or,
    /// `unless`: the series of the left that have no match.
    Unless,
    /// `</`: a native histogram without its observations above a value.
    TrimUpper,
    /// `>/`: a native histogram without its observations below a value.
    TrimLower,
}

impl BinaryOp {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Sub => "-",
            Self::Mul => "*",
            Self::Div => "/",
            Self::Mod => "%",
            Self::Pow => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::Less => "<",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
        }
    }

    /// Whether it compares, and so filters or answers 0 and 1.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        matches!(
            self,
            Self::Equal
                | Self::NotEqual
                | Self::Greater
                | Self::Less
                | Self::GreaterOrEqual
                | Self::LessOrEqual
        )
    }

    /// Whether it is `and`, `or` or `unless`.
    #[must_use]
    pub fn is_set_operator(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

impl fmt::Display for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an aggregation computes of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of the language")]
pub enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    CountValues,
    Quantile,
    /// Experimental.
    Limitk,
    /// Experimental.
    LimitRatio,
}

impl AggregateOp {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Min => "min",
            Self::Max => "max",
            Self::Group => "group",
            Self::Stddev => "stddev",
            Self::Stdvar => "stdvar",
            Self::Topk => "topk",
            Self::Bottomk => "bottomk",
            Self::CountValues => "count_values",
            Self::Quantile => "quantile",
            Self::Limitk => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// Whether it takes a parameter before its operand.
    #[must_use]
    pub fn has_parameter(self) -> bool {
        matches!(
            self,
            Self::Topk
                | Self::Bottomk
                | Self::CountValues
                | Self::Quantile
                | Self::Limitk
                | Self::LimitRatio
        )
    }

    /// Whether it needs the flag of experimental functions.
    #[must_use]
    pub fn is_experimental(self) -> bool {
        matches!(self, Self::Limitk | Self::LimitRatio)
    }
}

/// Which labels make a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grouping {
    /// `without`: all labels but these; else `by`: these only.
    pub without: bool,
    /// The names as written.
    pub labels: Vec<String>,
    /// Whether `by` or `without` was written, even with an empty list.
    pub is_written: bool,
}

/// How the series of two instant vectors find each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Matching {
    /// How many series of each side may share a match.
    pub cardinality: Cardinality,
    /// Which labels must be equal.
    pub labels: MatchingLabels,
    /// Labels of the "one" side that `group_left(..)` or `group_right(..)` copies.
    pub include: Vec<String>,
    /// What stands in for a series that has no match.
    pub fill: Fill,
}

/// How many series of each side may share a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One on each side.
    OneToOne,
    /// `group_left`: many on the left.
    ManyToOne,
    /// `group_right`: many on the right.
    OneToMany,
    /// Set operators.
    ManyToMany,
}

/// Which labels must be equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchingLabels {
    /// `on`: these only; else `ignoring`: all but these.
    pub on: bool,
    /// The names as written.
    pub labels: Vec<String>,
}

/// Values for series without a match (`fill`, `fill_left`, `fill_right`).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Fill {
    /// For a series that the left side lacks.
    pub left: Option<f64>,
    /// For a series that the right side lacks.
    pub right: Option<f64>,
}
