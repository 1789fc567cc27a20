//! The crate's side: evaluates and turns answers into what is compared.

use std::panic::{AssertUnwindSafe, catch_unwind};

use siltstone_promql::histogram::Histogram;
use siltstone_promql::{
    Engine, Features, LabelSet, MemorySource, Point, Query, QueryError, QueryValue, ResultSeries,
};

use crate::answer::{Answer, Buckets, Failure, Outcome, Row, Sample, Times, Value};

/// How queries are evaluated; all ways give one answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) parallel: bool,
    pub(crate) optimise: bool,
}

/// The switches that Prometheus is started with.
pub(crate) fn features(delayed_names: bool) -> Features {
    Features {
        experimental_functions: true,
        duration_expressions: true,
        delayed_name_removal: delayed_names,
        ..Features::default()
    }
}

/// What the crate answers. A panic is an error of the kind `panic`.
pub(crate) fn ask(
    source: &MemorySource,
    text: &str,
    features: Features,
    times: Times,
    way: Way,
) -> Outcome {
    let run = || {
        let query = Query::parse(text, features)?;
        let mut engine = Engine::default();
        (engine.parallel, engine.optimise) = (way.parallel, way.optimise);
        match times {
            Times::Instant(time) => engine.instant(source, &query, time),
            Times::Range { start, end, step } => engine.range(source, &query, (start, end), step),
        }
    };
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(answer)) => Outcome::Answer(Answer {
            warnings: answer.warnings().into_iter().collect(),
            infos: answer.infos().into_iter().collect(),
            value: value(answer.value),
        }),
        Ok(Err(error)) => {
            let kind = kind(&error).to_owned();
            Outcome::Error(Failure { kind, message: error.to_string() })
        }
        Err(_) => Outcome::Error(Failure { kind: "panic".into(), message: String::new() }),
    }
}

/// The kind of error that the API says.
fn kind(error: &QueryError) -> &'static str {
    match error {
        QueryError::Parse(_) | QueryError::BadTimes(_) => "bad_data",
        QueryError::Execution(_) | QueryError::Limit { .. } | QueryError::Memory(_) => "execution",
        QueryError::Timeout => "timeout",
        QueryError::Cancelled => "canceled",
        _ => "internal",
    }
}

fn value(value: QueryValue) -> Value {
    let rows = |series: Vec<ResultSeries>| series.into_iter().map(row).collect();
    match value {
        QueryValue::Scalar(value) => Value::Scalar(value),
        QueryValue::String(text) => Value::Text(String::from_utf8_lossy(&text).into_owned()),
        QueryValue::Vector(series) => Value::Vector(rows(series)),
        QueryValue::Matrix(series) => Value::Matrix(rows(series)),
    }
}

fn row(series: ResultSeries) -> Row {
    let labels = |labels: &LabelSet| labels.iter().map(|(n, v)| (n.into(), v.into())).collect();
    let sample = |point: &Point| match point {
        Point::Float(value) => Sample::Float(*value),
        Point::Histogram(histogram) => Sample::Histogram(buckets(histogram)),
    };
    let points = series.points.iter().map(|(time, point)| (*time, sample(point)));
    Row { labels: labels(&series.labels), points: points.collect() }
}

fn buckets(histogram: &Histogram) -> Buckets {
    let rule = |lower: bool, upper: bool| match (lower, upper) {
        (false, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 3,
    };
    let all = histogram.buckets().filter(|bucket| bucket.count != 0.0);
    let all = all.map(|bucket| {
        let rule = rule(bucket.lower_inclusive, bucket.upper_inclusive);
        (rule, bucket.lower, bucket.upper, bucket.count)
    });
    Buckets { count: histogram.count, sum: histogram.sum, buckets: all.collect() }
}
