//! `count_values`: how many series of a group have each value; a series for each, with the value as
//! a label.
//!
//! Holds a column over all steps for each different value, and so, of values that are all different,
//! as many columns as there are values. Numbers are written in plain notation (`1000000`, `+Inf`),
//! native histograms as Prometheus shows them. All NaNs are one value; 0 and -0 are two.
//!
//! The label overwrites what a series has under its name. With `without` it is dropped again where it
//! is listed, or is the name of the metric: all values then count as one.

use std::collections::HashMap;

use crate::annotations::Annotations;
use crate::go_float::format_f;
use crate::value::{ABSENT, LabelSet, Series, StepColumn, is_absent};

use super::accumulator::{Choice, InputSeries};
use super::call::AggregateCall;
use super::groups::GroupState;

/// A value that series may share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    /// The bits of a float, of NaN one pattern.
    Float(u64),
    /// The text of a native histogram.
    Histogram(Box<str>),
    /// Any value: the label is dropped.
    Any,
}

/// The values of one group.
#[derive(Debug, Default)]
pub(super) struct ValueCounts {
    /// Which column each value has.
    places: HashMap<Value, usize>,
    /// How many series have the value at each step.
    columns: Vec<Vec<f64>>,
    heap_bytes: usize,
}

impl ValueCounts {
    fn place(&mut self, value: Value, steps: usize) -> usize {
        let text = if let Value::Histogram(text) = &value { text.len() } else { 0 };
        *self.places.entry(value).or_insert_with(|| {
            self.columns.push(vec![0.0; steps]);
            // The place in the map, the column, and the series that the result will have.
            self.heap_bytes += 2 * (size_of::<Value>() + text) + 8 * steps + size_of::<Series>();
            self.columns.len() - 1
        })
    }
}

impl GroupState for ValueCounts {
    fn new(_: &AggregateCall) -> Self {
        Self::default()
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        let is_dropped = call.groups.drops_value_label();
        let mut latest = None;
        for (step, &value) in input.values.floats().iter().enumerate() {
            if is_absent(value) {
                continue;
            }
            let bits = if value.is_nan() { f64::NAN } else { value }.to_bits();
            // Values often stay the same from step to step.
            let at = match latest {
                Some((same, at)) if same == bits => at,
                _ if is_dropped => self.place(Value::Any, call.steps),
                _ => self.place(Value::Float(bits), call.steps),
            };
            latest = Some((bits, at));
            self.columns[at][step] += 1.0;
        }
        for (step, histogram) in input.values.histograms() {
            let value = if is_dropped {
                Value::Any
            } else {
                Value::Histogram(histogram.to_string().into())
            };
            let at = self.place(value, call.steps);
            self.columns[at][*step as usize] += 1.0;
        }
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        for (value, theirs) in later.places {
            let at = self.place(value, call.steps);
            for (count, more) in self.columns[at].iter_mut().zip(&later.columns[theirs]) {
                *count += more;
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}

impl Choice for ValueCounts {
    fn finish(self, call: &AggregateCall, labels: &LabelSet, out: &mut Vec<Series>) {
        let Self { places, mut columns, .. } = self;
        let label = call.parameter.label();
        let mut series: Vec<Series> = places
            .into_iter()
            .map(|(value, at)| {
                let labels = match value {
                    Value::Float(bits) => labels.with(label, &format_f(f64::from_bits(bits))),
                    Value::Histogram(text) => labels.with(label, &text),
                    Value::Any => labels.clone(),
                };
                let mut counts = std::mem::take(&mut columns[at]);
                counts.iter_mut().filter(|count| **count == 0.0).for_each(|count| *count = ABSENT);
                Series { labels, drop_name: false, values: StepColumn::from_floats(counts) }
            })
            .collect();
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        out.append(&mut series);
    }
}
