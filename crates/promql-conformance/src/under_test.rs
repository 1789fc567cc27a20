//! The crate under test: all contact with it is here.

use std::sync::Arc;

use siltstone_promql::ast::{Ast, ExprKind};
use siltstone_promql::histogram::{Buckets, CounterResetHint, Histogram as Native, HistogramParts};
use siltstone_promql::{
    Engine, Features, LabelSet, MemorySource, Point, Query, QueryValue, ResultSeries,
};

use crate::language::{Language, Setting};
use crate::model::{Answer, Hint, Histogram, Labels, Sample, Times, Value};
use crate::store::StoredSample;

/// How old the sample of an instant lookup may be.
const LOOKBACK_MS: i64 = 300_000;
/// The step of subqueries that have none.
const SUBQUERY_STEP_MS: i64 = 60_000;

/// Functions whose value depends on the time of the evaluation, whatever they are called with.
const DEPENDENT_ON_TIME: [&str; 15] = [
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "predict_linear",
    "time",
    "timestamp",
    "start",
    "end",
    "step",
    "range",
];

/// The crate under test.
pub struct Siltstone;

impl Language for Siltstone {
    type Query = Query;
    type Store = MemorySource;

    fn parse(&self, text: &str) -> Result<Query, String> {
        Query::parse(text, Features::experimental()).map_err(|e| e.to_string())
    }

    fn pinned(&self, query: &Query, time: i64) -> Option<Query> {
        let ast = query.ast();
        let pinned = || Query::from_ast(query.text(), ast.with_at(time), Features::experimental());
        (!depends_on_time(ast)).then(pinned)
    }

    fn insert(&self, store: &mut MemorySource, labels: &Labels, samples: &[StoredSample]) {
        let labels = LabelSet::from_pairs(labels);
        for sample in samples {
            let value = match &sample.value {
                Sample::Float(value) => Point::Float(*value),
                Sample::Histogram(histogram) => Point::Histogram(Arc::new(to_native(histogram))),
            };
            store.insert(&labels, sample.time, sample.start, value);
        }
    }

    fn evaluate(
        &self,
        store: &MemorySource,
        query: &Query,
        times: Times,
        setting: Setting,
    ) -> Result<Answer, String> {
        let engine = engine(setting);
        let answer = match times {
            Times::Instant(time) => engine.instant(store, query, time),
            Times::Range { start, end, step } => engine.range(store, query, (start, end), step),
        };
        let answer = answer.map_err(|e| e.to_string())?;
        let (warnings, infos) = (answer.warnings(), answer.infos());
        Ok(Answer { value: from_value(answer.value), warnings, infos })
    }
}

/// The engine of Prometheus's tests in this setting.
pub fn engine(setting: Setting) -> Engine {
    Engine {
        lookback: LOOKBACK_MS,
        subquery_step: SUBQUERY_STEP_MS,
        optimise: setting.optimises(),
        parallel: setting.uses_threads(),
        ..Engine::default()
    }
}

/// Whether a function is called outside of subqueries that depends on the time of the evaluation. A
/// subquery gives its own times to what is in it.
fn depends_on_time(ast: &Ast) -> bool {
    let mut open = vec![ast.root()];
    while let Some(id) = open.pop() {
        match &ast.get(id).kind {
            ExprKind::Call { function, .. }
                if DEPENDENT_ON_TIME.contains(&function.signature().name) =>
            {
                return true;
            }
            ExprKind::Subquery(_) => {}
            _ => ast.for_each_operand(id, |operand| open.push(operand)),
        }
    }
    false
}

fn from_value(value: QueryValue) -> Value {
    let labels = |labels: &LabelSet| -> Labels {
        labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    match value {
        QueryValue::Scalar(value) => Value::Scalar(value),
        QueryValue::String(text) => Value::Text(text.to_vec()),
        QueryValue::Vector(series) => {
            let one = |series: ResultSeries| {
                let [(_, point)] = &series.points[..] else {
                    panic!("{:?} has not one point", series);
                };
                (labels(&series.labels), from_point(point))
            };
            Value::Vector(series.into_iter().map(one).collect())
        }
        QueryValue::Matrix(series) => {
            let one = |series: ResultSeries| {
                let points = series.points.iter().map(|(time, point)| (*time, from_point(point)));
                (labels(&series.labels), points.collect())
            };
            Value::Matrix(series.into_iter().map(one).collect())
        }
    }
}

fn from_point(point: &Point) -> Sample {
    match point {
        Point::Float(value) => Sample::Float(*value),
        Point::Histogram(histogram) => Sample::Histogram(Box::new(from_native(histogram))),
    }
}

fn to_native(histogram: &Histogram) -> Native {
    let buckets = |buckets: &[(i32, f64)]| {
        let first = buckets.first().map_or(0, |bucket| bucket.0);
        let last = buckets.last().map_or(first, |bucket| bucket.0);
        let mut counts =
            vec![0.0; if buckets.is_empty() { 0 } else { (last - first + 1) as usize }];
        buckets.iter().for_each(|(index, count)| counts[(index - first) as usize] = *count);
        Buckets::from_dense(first, &counts).expect("scripts have few buckets")
    };
    let parts = HistogramParts {
        schema: histogram.schema,
        custom_bounds: histogram.custom_values.as_slice().into(),
        hint: match histogram.hint {
            Hint::Unknown => CounterResetHint::Unknown,
            Hint::Reset => CounterResetHint::Reset,
            Hint::NotReset => CounterResetHint::NotReset,
            Hint::Gauge => CounterResetHint::Gauge,
        },
        count: histogram.count,
        sum: histogram.sum,
        zero_count: histogram.zero_count,
        zero_threshold: histogram.zero_threshold,
        positive: buckets(&histogram.positive),
        negative: buckets(&histogram.negative),
    };
    parts.try_into().expect("a histogram of a script is valid")
}

fn from_native(histogram: &Native) -> Histogram {
    Histogram {
        schema: histogram.schema(),
        count: histogram.count,
        sum: histogram.sum,
        zero_count: histogram.zero_count,
        zero_threshold: histogram.zero_threshold(),
        positive: histogram.positive().iter().collect(),
        negative: histogram.negative().iter().collect(),
        custom_values: histogram.custom_bounds().map_or_else(Vec::new, |bounds| bounds.to_vec()),
        hint: match histogram.hint {
            CounterResetHint::Unknown => Hint::Unknown,
            CounterResetHint::Reset => Hint::Reset,
            CounterResetHint::NotReset => Hint::NotReset,
            CounterResetHint::Gauge => Hint::Gauge,
        },
    }
}
