//! Operators as queries see them: named cases here, random ones against a naive evaluation in
//! [`properties`]; memory and time in [`bounds`].

mod bounds;
mod properties;
mod reference;
mod scalars;
mod vectors;

use std::sync::Arc;

use siltstone::{Cancel, SystemClock};

use crate::annotations::{Annotations, Severity};
use crate::eval::meter::{Limits, Meter};
use crate::histogram::{Buckets, CounterResetHint, Histogram, HistogramParts};
use crate::value::{LabelSet, Point, Series, StepColumn};

/// A meter that allows so many bytes.
fn meter(bytes: u64) -> Meter {
    let limits = Limits { bytes, ..Limits::default() };
    Meter::new(limits, Cancel::default(), Arc::new(SystemClock::new()))
}

/// Histograms of which some do not go together.
fn samples() -> Vec<Histogram> {
    vec![
        exponential(&[1.0, 2.0], CounterResetHint::Unknown),
        exponential(&[1.0, 2.0], CounterResetHint::Reset),
        exponential(&[0.0, 3.0, 1.0], CounterResetHint::NotReset),
        custom(&[5.0, 10.0], &[1.0, 2.0]),
        custom(&[10.0], &[4.0]),
    ]
}

fn exponential(counts: &[f64], hint: CounterResetHint) -> Histogram {
    let count: f64 = counts.iter().sum();
    let positive = Buckets::from_dense(0, counts).unwrap();
    let parts = HistogramParts { count, sum: 2.0 * count, hint, positive, ..Default::default() };
    parts.try_into().unwrap()
}

fn custom(bounds: &[f64], counts: &[f64]) -> Histogram {
    let count: f64 = counts.iter().sum();
    let positive = Buckets::from_dense(0, counts).unwrap();
    let custom_bounds = bounds.into();
    let sum = 3.0 * count;
    let parts =
        HistogramParts { schema: -53, count, sum, custom_bounds, positive, ..Default::default() };
    parts.try_into().unwrap()
}

/// A series with labels as in `m a=1 b=2`, where the first may be a name, and a value for each step:
/// a number, `_` for none, `h0` for the first of [`samples`].
fn series(labels: &str, values: &str) -> Series {
    let pairs = labels.split_whitespace().map(|l| l.split_once('=').unwrap_or(("__name__", l)));
    let labels = LabelSet::from_pairs(pairs);
    let points: Vec<&str> = values.split_whitespace().collect();
    let mut column = StepColumn::absent(points.len());
    for (step, point) in points.into_iter().enumerate() {
        match point.strip_prefix('h') {
            _ if point == "_" => {}
            Some(at) => {
                let histogram = samples()[at.parse::<usize>().unwrap()].clone();
                column.push_histogram(step, Arc::new(histogram));
            }
            None => column.set_float(step, point.parse().unwrap()),
        }
    }
    Series { labels, drop_name: false, values: column }
}

/// All annotations of a query of one byte.
fn note_texts(notes: &Annotations) -> Vec<String> {
    let texts = [Severity::Warning, Severity::Info].map(|severity| notes.texts(severity, "q"));
    texts.concat()
}

/// `{labels} drop step:value ...` for each series.
fn text(series: &[Series]) -> Vec<String> {
    let point = |(step, point): (usize, Point)| match point {
        Point::Float(value) if value.is_nan() => format!(" {step}:NaN"),
        Point::Float(value) => format!(" {step}:{value}"),
        Point::Histogram(h) => format!(
            " {step}:{}/{} {:?} {:?} {:?} {:?} {:?}",
            h.count,
            h.sum,
            h.hint,
            h.custom_bounds(),
            h.positive().indices(),
            h.positive().counts(),
            h.zero_count
        ),
    };
    let one = |s: &Series| {
        let drop = if s.drop_name { " drop" } else { "" };
        format!("{}{drop}{}", s.labels, s.values.iter().map(point).collect::<String>())
    };
    series.iter().map(one).collect()
}
