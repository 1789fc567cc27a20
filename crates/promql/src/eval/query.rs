//! A query and the answer to it, as callers of the evaluator see them.

use std::sync::Arc;

use siltstone::{PatternBudget, Patterns, Timestamp};

use crate::annotations::{Annotations, Severity};
use crate::ast::Ast;
use crate::flags::Features;
use crate::parse_with;
use crate::query_error::QueryError;
use crate::value::{LabelSet, Point};

/// A query: its text and what it says.
#[derive(Debug, Clone)]
pub struct Query {
    pub(super) text: Arc<str>,
    pub(super) ast: Ast,
    pub(super) features: Features,
    /// What its regular expressions have left for those that are compiled when it is evaluated.
    pub(super) pattern_budget: PatternBudget,
}

impl Query {
    /// Parses `text`.
    ///
    /// # Errors
    /// [`QueryError::Parse`] says what is wrong where.
    pub fn parse(text: &str, features: Features) -> Result<Self, QueryError> {
        Self::parse_with(text, features, &mut Patterns::default())
    }

    /// As [`Query::parse`]; `patterns` compiles its regular expressions, within its bound, from which those
    /// are taken as well that an evaluation compiles.
    ///
    /// # Errors
    /// As [`Query::parse`].
    pub fn parse_with(
        text: &str,
        features: Features,
        patterns: &mut Patterns,
    ) -> Result<Self, QueryError> {
        let ast = parse_with(text, &features, patterns)?;
        Ok(Self { text: text.into(), ast, features, pattern_budget: patterns.budget().clone() })
    }

    /// A query of this tree, which was made of `text`; annotations show places in it.
    #[must_use]
    pub fn from_ast(text: &str, ast: Ast, features: Features) -> Self {
        Self { text: text.into(), ast, features, pattern_budget: PatternBudget::default() }
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The tree.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        &self.ast
    }

    /// What it may use of the language.
    #[must_use]
    pub fn features(&self) -> Features {
        self.features
    }
}

/// The answer to a query.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The value.
    pub value: QueryValue,
    /// Warnings and infos.
    pub annotations: Annotations,
    /// Samples that were read, each as often as it was read.
    pub samples_read: u64,
    /// The most bytes of values that were held at a time.
    pub bytes_peak: u64,
    pub(super) text: Arc<str>,
}

impl Answer {
    /// An answer to `query` that no evaluation has made: without annotations, and nothing read.
    #[must_use]
    pub fn of(query: &Query, value: QueryValue) -> Self {
        Self {
            value,
            annotations: Annotations::default(),
            samples_read: 0,
            bytes_peak: 0,
            text: query.text.clone(),
        }
    }

    /// The warnings, as Prometheus words them: `PromQL warning: ... (1:5)`.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.annotations.texts(Severity::Warning, &self.text)
    }

    /// The infos, as Prometheus words them: `PromQL info: ... (1:5)`.
    #[must_use]
    pub fn infos(&self) -> Vec<String> {
        self.annotations.texts(Severity::Info, &self.text)
    }
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// Of an instant query for a scalar.
    Scalar(f64),
    /// Of an instant query for a text, which may be any bytes.
    String(Arc<[u8]>),
    /// Of an instant query for an instant vector: each series has one point, at the query's time.
    Vector(Vec<ResultSeries>),
    /// Of a range query, and of an instant query for a range vector; in order of labels.
    Matrix(Vec<ResultSeries>),
}

/// A series of a result.
#[derive(Debug, Clone, PartialEq)]
pub struct ResultSeries {
    /// Its labels.
    pub labels: LabelSet,
    /// Its points in time order; times are in milliseconds.
    pub points: Vec<(Timestamp, Point)>,
}
