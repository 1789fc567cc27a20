//! Tests of aggregations as a whole: inputs, cutting them into shares and merging these.

mod bounds;
mod edge_cases;
mod histogram_cases;
mod selections;
mod shares;

use std::sync::Arc;

use siltstone::{Cancel, SystemClock};

use crate::annotations::{Annotations, Severity};
use crate::ast::{AggregateOp, Grouping, Span};
use crate::eval::meter::{Limits, Meter};
use crate::histogram::{Buckets, CUSTOM_SCHEMA, CounterResetHint, Histogram, HistogramParts};
use crate::value::{LabelSet, Point, Series, StepColumn};

use super::{Accumulator, AggregateCall, AggregateNode, AggregateSpans, InputSeries, Parameter};

/// A meter that allows so many bytes.
fn meter(bytes: u64) -> Meter {
    let limits = Limits { bytes, ..Limits::default() };
    Meter::new(limits, Cancel::default(), Arc::new(SystemClock::new()))
}

/// The query that the spans of [`call`] belong to.
const QUERY: &str = "agg(1, x)";

/// A series of an operand.
#[derive(Debug, Clone)]
struct Row {
    labels: LabelSet,
    drop_name: bool,
    values: StepColumn,
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet {
    LabelSet::from_pairs(pairs.iter().copied())
}

fn row(pairs: &[(&str, &str)], points: &[Option<Point>]) -> Row {
    let mut values = StepColumn::absent(points.len());
    for (step, point) in points.iter().enumerate() {
        match point {
            Some(Point::Float(value)) => values.set_float(step, *value),
            Some(Point::Histogram(histogram)) => values.push_histogram(step, histogram.clone()),
            None => {}
        }
    }
    Row { labels: labels(pairs), drop_name: false, values }
}

/// Rows `x{i="00"}`, `x{i="01"}`, .. with one float each.
fn floats(values: &[f64]) -> Vec<Row> {
    let each = values.iter().enumerate();
    each.map(|(at, value)| {
        let points = [Some(Point::Float(*value))];
        row(&[("__name__", "x"), ("i", &format!("{at:02}"))], &points)
    })
    .collect()
}

fn by(names: &[&str]) -> Grouping {
    let labels = names.iter().map(|&name| name.to_owned()).collect();
    Grouping { without: false, labels, is_written: true }
}

fn without(names: &[&str]) -> Grouping {
    Grouping { without: true, ..by(names) }
}

fn scalar(value: f64) -> Parameter {
    Parameter::Scalar(vec![value])
}

fn call(op: AggregateOp, grouping: &Grouping, parameter: Parameter, steps: usize) -> AggregateCall {
    let mut notes = Annotations::default();
    let spans = AggregateSpans {
        whole: Span::new(0, 9),
        operand: Span::new(7, 8),
        parameter: Span::new(4, 5),
    };
    AggregateCall::prepare(AggregateNode { op, grouping, spans }, parameter, steps, &mut notes)
        .expect("the parameter is allowed")
}

fn add<'a>(
    accumulator: &mut Accumulator<'a>,
    rows: &[Row],
    is_in_share: impl Fn(usize) -> bool,
    notes: &mut Annotations,
) {
    for (rank, row) in rows.iter().enumerate().filter(|(at, _)| is_in_share(*at)) {
        let Row { labels, drop_name, values } = row;
        let rank = u32::try_from(rank).expect("few rows");
        accumulator.add(&InputSeries { rank, labels, drop_name: *drop_name, values }, notes);
    }
}

/// The result of one share.
fn run(call: &AggregateCall, rows: &[Row]) -> (Vec<Series>, Annotations) {
    let mut notes = Annotations::default();
    let mut accumulator = Accumulator::new(call);
    add(&mut accumulator, rows, |_| true, &mut notes);
    (accumulator.finish(&meter(1 << 24), &mut notes).expect("little"), notes)
}

/// The result of `shares` shares, merged in pairs; row `at` is in share `share_of[at]`.
fn run_in_shares(
    call: &AggregateCall,
    rows: &[Row],
    share_of: &[usize],
    shares: usize,
) -> (Vec<Series>, Annotations) {
    let mut notes = Annotations::default();
    let mut level: Vec<Accumulator<'_>> = (0..shares)
        .map(|share| {
            let mut accumulator = Accumulator::new(call);
            add(&mut accumulator, rows, |at| share_of[at] == share, &mut notes);
            accumulator
        })
        .collect();
    while level.len() > 1 {
        let mut next = Vec::new();
        let mut pairs = level.into_iter();
        while let Some(mut own) = pairs.next() {
            if let Some(later) = pairs.next() {
                own.merge(later);
            }
            next.push(own);
        }
        level = next;
    }
    let result = level.pop().map(|all| all.finish(&meter(1 << 24), &mut notes).expect("little"));
    (result.unwrap_or_default(), notes)
}

/// The only value of a result at one step.
fn only(op: AggregateOp, rows: &[Row]) -> f64 {
    let (result, _) = run(&call(op, &by(&[]), Parameter::None, 1), rows);
    assert_eq!(result.len(), 1, "{result:?}");
    result[0].values.floats()[0]
}

fn texts(notes: &Annotations) -> Vec<String> {
    let mut texts = notes.texts(Severity::Warning, QUERY);
    texts.extend(notes.texts(Severity::Info, QUERY));
    texts
}

fn exponential(count: f64, buckets: &[f64]) -> Histogram {
    let positive = Buckets::from_dense(1, buckets).expect("few buckets");
    let parts = HistogramParts { count, sum: 2.0 * count, positive, ..HistogramParts::default() };
    parts.try_into().expect("a valid histogram")
}

fn custom(bounds: &[f64], buckets: &[f64]) -> Histogram {
    let parts = HistogramParts {
        schema: CUSTOM_SCHEMA,
        custom_bounds: bounds.into(),
        count: buckets.iter().sum(),
        positive: Buckets::from_dense(0, buckets).expect("few buckets"),
        ..HistogramParts::default()
    };
    parts.try_into().expect("a valid histogram")
}

fn hinted(histogram: Histogram, hint: CounterResetHint) -> Histogram {
    let mut histogram = histogram;
    histogram.hint = hint;
    histogram
}

fn point(histogram: Histogram) -> Option<Point> {
    Some(Point::Histogram(Arc::new(histogram)))
}

fn float(value: f64) -> Option<Point> {
    Some(Point::Float(value))
}
