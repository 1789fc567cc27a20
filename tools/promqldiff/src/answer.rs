//! The answer to a query as both sides are compared by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What a query is evaluated at; milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(time) => write!(f, "{time}"),
            Self::Range { start, end, step } => write!(f, "{start}..{end}/{step}"),
        }
    }
}

impl FromStr for Times {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.parse::<i64>().map_err(|e| format!("{text:?}: {e}"));
        let Some((start, rest)) = text.split_once("..") else {
            return Ok(Self::Instant(number(text)?));
        };
        let (end, step) = rest.split_once('/').ok_or("a step is missing, as in 0..60000/15000")?;
        let (start, end, step) = (number(start)?, number(end)?, number(step)?);
        if step < 1 || end < start {
            return Err("a range has a step above 0 and does not end before it starts".into());
        }
        Ok(Self::Range { start, end, step })
    }
}

/// What one side says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Outcome {
    Answer(Answer),
    Error(Failure),
}

/// An error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `bad_data`, `execution`, ... as the API of Prometheus has them.
    pub(crate) kind: String,
    pub(crate) message: String,
}

/// A value with its annotations.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) warnings: BTreeSet<String>,
    pub(crate) infos: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Scalar(f64),
    Text(String),
    /// In the order of the answer.
    Vector(Vec<Row>),
    Matrix(Vec<Row>),
}

impl Value {
    /// Whether it holds nothing.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Self::Vector(rows) | Self::Matrix(rows) if rows.is_empty())
    }

    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "scalar",
            Self::Text(_) => "string",
            Self::Vector(_) => "vector",
            Self::Matrix(_) => "matrix",
        }
    }
}

pub(crate) type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) labels: Labels,
    /// Times in milliseconds.
    pub(crate) points: Vec<(i64, Sample)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sample {
    Float(f64),
    Histogram(Buckets),
}

/// A native histogram as the API shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Buckets {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    /// Rule of the bounds (0 to 3), lower bound, upper bound, count; without empty buckets.
    pub(crate) buckets: Vec<(u8, f64, f64, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        for times in [Times::Instant(-5), Times::Range { start: 1, end: 20, step: 3 }] {
            assert_eq!(times.to_string().parse(), Ok(times));
        }
        for wrong in ["", "1..2", "2..1/1", "1..2/0", "1..x/1"] {
            assert!(wrong.parse::<Times>().is_err(), "{wrong}");
        }
    }
}
