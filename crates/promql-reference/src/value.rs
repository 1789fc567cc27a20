//! What is computed with: stored series, samples of instant vectors, answers.

use siltstone_promql::LabelSet;

/// A stored series.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: LabelSet,
    /// Times in milliseconds, strictly increasing, and values; stale markers are among them.
    pub samples: Vec<(i64, f64)>,
}

/// A sample of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Its labels.
    pub labels: LabelSet,
    /// Whether the labels of the metric go when the evaluation ends.
    pub drop_name: bool,
    /// The value.
    pub value: f64,
}

/// The value of an expression at each of the times at which it is evaluated.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A number at each.
    Scalar(Vec<f64>),
    /// An instant vector at each.
    Vector(Vec<Vec<Sample>>),
    /// A text.
    Text(Vec<u8>),
    /// The series of a range vector with their samples in the window; of the only time.
    Matrix(Vec<Series>),
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The value at the query's times.
    pub value: Value,
    /// The times, in milliseconds.
    pub times: Vec<i64>,
    /// Whether the language leaves the answer open: which of equal values `topk` keeps, for one.
    pub is_open: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The language forbids it: why.
    Forbidden(&'static str),
    /// This evaluator does not know how.
    Unsupported,
}

/// Two series have the same labels.
pub(crate) const SAME_LABELS: Failure =
    Failure::Forbidden("vector cannot contain metrics with the same labelset");

/// Whether the label says what the metric is, and goes with its name.
pub(crate) fn is_metric_label(name: &str) -> bool {
    matches!(name, "__name__" | "__type__" | "__unit__")
}
