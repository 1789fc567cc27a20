//! An answer, wherever it comes from.

use std::fmt;

use siltstone::Timestamp;
use siltstone_query::go_float::format_g;
use siltstone_query::histogram::{Bucket, Histogram};
use siltstone_query::{Answer, LabelSet, Point, QueryValue};

/// What is shown of an answer.
#[derive(Debug, PartialEq)]
pub(super) struct Shown {
    pub(super) data: Data,
    pub(super) warnings: Vec<String>,
    pub(super) infos: Vec<String>,
}

/// The value; times are in milliseconds since 1970.
#[derive(Debug, PartialEq)]
pub(super) enum Data {
    Scalar(Timestamp, f64),
    String(Timestamp, String),
    /// Each series has one point.
    Vector(Vec<Series>),
    Matrix(Vec<Series>),
}

#[derive(Debug, PartialEq)]
pub(super) struct Series {
    pub(super) labels: LabelSet,
    pub(super) points: Vec<(Timestamp, Value)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Float(f64),
    Histogram(Box<Buckets>),
}

/// A native histogram as the HTTP API gives it: without what only computing needs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets {
    pub(super) count: f64,
    pub(super) sum: f64,
    /// Those with observations, ascending.
    pub(super) buckets: Vec<Bucket>,
}

impl Shown {
    pub(super) fn new(answer: Answer, time: Timestamp) -> Self {
        let (warnings, infos) = (answer.warnings(), answer.infos());
        let data = match answer.value {
            QueryValue::Scalar(value) => Data::Scalar(time, value),
            QueryValue::String(text) => {
                Data::String(time, String::from_utf8_lossy(&text).into_owned())
            }
            QueryValue::Vector(series) => {
                Data::Vector(series.into_iter().map(Series::from).collect())
            }
            QueryValue::Matrix(series) => {
                Data::Matrix(series.into_iter().map(Series::from).collect())
            }
        };
        Self { data, warnings, infos }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.data, Data::Vector(series) | Data::Matrix(series) if series.is_empty())
    }
}

impl From<siltstone_query::ResultSeries> for Series {
    fn from(series: siltstone_query::ResultSeries) -> Self {
        let points = series.points.into_iter();
        let points = points.map(|(time, point)| (time, Value::from(&point))).collect();
        Self { labels: series.labels, points }
    }
}

impl From<&Point> for Value {
    fn from(point: &Point) -> Self {
        match point {
            Point::Float(value) => Self::Float(*value),
            Point::Histogram(histogram) => Self::Histogram(Box::new(Buckets::from(&**histogram))),
        }
    }
}

impl From<&Histogram> for Buckets {
    fn from(histogram: &Histogram) -> Self {
        let buckets = histogram.buckets().filter(|bucket| bucket.count != 0.0).collect();
        Self { count: histogram.count, sum: histogram.sum, buckets }
    }
}

impl fmt::Display for Buckets {
    /// `{count:3, sum:1.5, (1,2]:3}`, as Prometheus prints one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{count:{}, sum:{}", format_g(self.count), format_g(self.sum))?;
        self.buckets.iter().try_for_each(|bucket| write!(f, ", {bucket}"))?;
        f.write_str("}")
    }
}

/// Labels as a selector of the series is written; `{}` without any.
pub(super) fn label_text(labels: &LabelSet) -> String {
    let of_engine = siltstone::Labels::from_encoded(labels.encoded());
    of_engine.map_or_else(|_| "{}".to_owned(), |labels| labels.to_string())
}
