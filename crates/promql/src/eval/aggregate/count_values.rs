//! `count_values`: how many series of a group have each value; a series for each, with the value as
//! a label.
//!
//! Holds a count for each different value and each step at which it occurs. The result has a column
//! over all steps for each value, and so, of values that are all different, as many columns as there
//! are values: what these will need is said in advance. Numbers are written in plain notation (`1000000`, `+Inf`),
//! native histograms as Prometheus shows them. All NaNs are one value; 0 and -0 are two.
//!
//! The label overwrites what a series has under its name. With `without` it is dropped again where it
//! is listed, or is the name of the metric: all values then count as one.

use std::collections::HashMap;

use crate::annotations::Annotations;
use crate::go_float::format_f;
use crate::value::{LabelSet, Series, StepColumn, is_absent};

use super::call::AggregateCall;
use super::group_state::{Choice, GroupState};
use super::input::InputSeries;

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
    /// Which place each value has in `counts`.
    places: HashMap<Value, usize>,
    counts: Vec<Counts>,
    /// What is held besides the counts.
    places_bytes: usize,
    counts_bytes: usize,
    /// What the columns of the result will hold.
    result_bytes: usize,
}

/// How many series have a value at each step.
#[derive(Debug)]
enum Counts {
    /// At the steps at which it occurs, in order of steps.
    Sparse(Vec<(u32, u32)>),
    /// At all steps.
    Dense(Vec<u32>),
}

/// Up to so many steps are kept apart: a step is inserted among them in a tenth of a microsecond.
const SPARSE_MAX: usize = 1024;

impl Counts {
    fn heap_bytes(&self) -> usize {
        match self {
            Self::Sparse(counts) => counts.capacity() * size_of::<(u32, u32)>(),
            Self::Dense(counts) => counts.capacity() * size_of::<u32>(),
        }
    }

    /// Adds to the count at `step`, of `steps`. Calls with rising steps are fast if each has the
    /// `hint` that the one before returned; the first has 0.
    fn add(&mut self, step: u32, more: u32, (hint, steps): (usize, usize)) -> usize {
        let counts = match self {
            Self::Dense(counts) => {
                let count = &mut counts[step as usize];
                *count = count.saturating_add(more);
                return 0;
            }
            Self::Sparse(counts) => counts,
        };
        let at = match counts.get(hint) {
            Some((found, _)) if *found == step => hint,
            _ => hint + counts[hint..].partition_point(|(found, _)| *found < step),
        };
        let is_sparse = counts.len() < SPARSE_MAX;
        match counts.get_mut(at) {
            Some((found, count)) if *found == step => *count = count.saturating_add(more),
            _ if is_sparse => counts.insert(at, (step, more)),
            _ => {
                let mut dense = vec![0; steps];
                self.for_each(|step, count| dense[step as usize] = count);
                dense[step as usize] = more;
                *self = Self::Dense(dense);
                return 0;
            }
        }
        at + 1
    }

    /// Calls `f` with each step that has a count, in order.
    fn for_each(&self, mut f: impl FnMut(u32, u32)) {
        match self {
            Self::Sparse(counts) => counts.iter().for_each(|(step, count)| f(*step, *count)),
            Self::Dense(counts) => {
                let all = (0..).zip(counts).filter(|(_, count)| **count > 0);
                all.for_each(|(step, count)| f(step, *count));
            }
        }
    }
}

impl ValueCounts {
    fn place(&mut self, value: Value, steps: usize) -> usize {
        let text = if let Value::Histogram(text) = &value { text.len() } else { 0 };
        *self.places.entry(value).or_insert_with(|| {
            self.counts.push(Counts::Sparse(Vec::new()));
            // The place in the map, and the series that the result will have.
            self.places_bytes += 2 * (size_of::<Value>() + text) + size_of::<Counts>();
            let column = steps.saturating_mul(size_of::<f64>());
            self.result_bytes =
                self.result_bytes.saturating_add(column.saturating_add(size_of::<Series>() + text));
            self.counts.len() - 1
        })
    }

    /// [`Counts::add`] of the value at `place`.
    fn count(&mut self, place: usize, (step, more): (u32, u32), hint: (usize, usize)) -> usize {
        let counts = &mut self.counts[place];
        let before = counts.heap_bytes();
        let hint = counts.add(step, more, hint);
        self.counts_bytes = self.counts_bytes + counts.heap_bytes() - before;
        hint
    }

    /// Whether the caller refuses what is held already.
    fn is_full(&self, call: &AggregateCall) -> bool {
        self.heap_bytes() as u64 > call.bytes_max
    }
}

impl GroupState for ValueCounts {
    fn new(_: &AggregateCall) -> Self {
        Self::default()
    }

    fn add(&mut self, call: &AggregateCall, input: &InputSeries<'_>, _: &mut Annotations) {
        let is_dropped = call.groups.drops_value_label();
        let mut latest = None;
        for (step, &value) in (0..).zip(input.values.floats()) {
            if is_absent(value) {
                continue;
            }
            let bits = if value.is_nan() { f64::NAN } else { value }.to_bits();
            // Values often stay the same from step to step.
            let (at, hint) = match latest {
                Some((same, at, hint)) if same == bits => (at, hint),
                _ if self.is_full(call) => return,
                _ if is_dropped => (self.place(Value::Any, call.steps), 0),
                _ => (self.place(Value::Float(bits), call.steps), 0),
            };
            latest = Some((bits, at, self.count(at, (step, 1), (hint, call.steps))));
        }
        for (step, histogram) in input.values.histograms() {
            if self.is_full(call) {
                return;
            }
            let value = if is_dropped {
                Value::Any
            } else {
                Value::Histogram(histogram.to_string().into())
            };
            let at = self.place(value, call.steps);
            self.count(at, (*step, 1), (0, call.steps));
        }
    }

    fn merge(&mut self, call: &AggregateCall, later: Self) {
        for (value, theirs) in later.places {
            let at = self.place(value, call.steps);
            let mut hint = 0;
            later.counts[theirs].for_each(|step, count| {
                hint = self.count(at, (step, count), (hint, call.steps));
            });
        }
    }

    fn heap_bytes(&self) -> usize {
        self.places_bytes.saturating_add(self.counts_bytes).saturating_add(self.result_bytes)
    }
}

impl Choice for ValueCounts {
    fn result_bytes(&self, _: &AggregateCall) -> usize {
        self.result_bytes
    }

    fn finish(self, call: &AggregateCall, labels: &LabelSet, out: &mut Vec<Series>) {
        let Self { places, mut counts, .. } = self;
        let label = call.parameter.label();
        let mut series: Vec<Series> = places
            .into_iter()
            .map(|(value, at)| {
                let labels = match value {
                    Value::Float(bits) => labels.with(label, &format_f(f64::from_bits(bits))),
                    Value::Histogram(text) => labels.with(label, &text),
                    Value::Any => labels.clone(),
                };
                let counts = std::mem::replace(&mut counts[at], Counts::Sparse(Vec::new()));
                let mut values = StepColumn::absent(call.steps);
                counts.for_each(|step, count| values.set_float(step as usize, f64::from(count)));
                Series { labels, drop_name: false, values }
            })
            .collect();
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        out.append(&mut series);
    }
}
