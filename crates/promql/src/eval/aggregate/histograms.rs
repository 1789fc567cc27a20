//! Sums of native histograms, for `sum` and `avg`.
//!
//! All numbers of a histogram are summed with compensation ([`Kahan`](crate::histogram::Kahan)).
//! Histograms with exponential and with custom buckets have no sum: where a group has both at a step,
//! it has no result there, with a warning that names the metric of the first series that did not fit.
//! Custom buckets with different bounds are brought to those in common, with an info.
//!
//! Holds one histogram for each group and step that has any.

use std::sync::Arc;

use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::histogram::{CounterResetHint, Histogram, HistogramOf, Kahan};
use crate::value::{ABSENT, LabelSet, StepColumn, is_absent};

use super::accumulator::InputSeries;
use super::call::AggregateCall;

/// The sums of the histograms of a group, at the steps that have any.
#[derive(Debug)]
pub(super) struct HistogramSums {
    /// Empty, or a cell for each step.
    cells: Vec<Option<Box<Cell>>>,
    /// What each histogram is multiplied by: a power of two.
    scale: f64,
    heap_bytes: usize,
}

/// What there is at one step.
#[derive(Debug)]
enum Cell {
    Sum(Running),
    /// Both kinds of buckets: the first series with exponential ones, and the first with custom ones.
    Mixed {
        exponential: First,
        custom: First,
    },
}

/// A sum of histograms of one kind.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) sum: HistogramOf<Kahan>,
    /// The number of histograms.
    pub(super) count: u32,
    first: First,
    saw_reset: bool,
    saw_no_reset: bool,
    bounds_reconciled: bool,
}

/// The first of some series.
#[derive(Debug, Clone)]
struct First {
    rank: u32,
    labels: LabelSet,
}

impl First {
    fn earlier(self, other: Self) -> Self {
        if other.rank < self.rank { other } else { self }
    }
}

impl Running {
    fn new(histogram: &Histogram, scale: f64, first: First) -> Self {
        let mut sum = HistogramOf::<Kahan>::from(histogram);
        sum.mul(scale);
        Self {
            sum,
            count: 1,
            first,
            saw_reset: histogram.hint == CounterResetHint::Reset,
            saw_no_reset: histogram.hint == CounterResetHint::NotReset,
            bounds_reconciled: false,
        }
    }

    /// The sum with its compensation, without empty buckets.
    pub(super) fn total(&self) -> Histogram {
        let mut total = self.sum.total();
        total.compact();
        total
    }

    fn heap_bytes(&self) -> usize {
        size_of::<Cell>() + self.sum.heap_bytes()
    }
}

impl Cell {
    /// Takes what a cell that comes later in the tree has.
    fn merge(self, later: Self) -> Self {
        match (self, later) {
            (Self::Sum(mut own), Self::Sum(theirs)) => match own.sum.add_sum(&theirs.sum) {
                Ok(combined) => {
                    own.count += theirs.count;
                    own.first = own.first.earlier(theirs.first);
                    own.saw_reset |= theirs.saw_reset;
                    own.saw_no_reset |= theirs.saw_no_reset;
                    own.bounds_reconciled |= theirs.bounds_reconciled | combined.bounds_reconciled;
                    Self::Sum(own)
                }
                Err(_) if own.sum.is_custom() => {
                    Self::Mixed { exponential: theirs.first, custom: own.first }
                }
                Err(_) => Self::Mixed { exponential: own.first, custom: theirs.first },
            },
            (Self::Mixed { exponential, custom }, Self::Sum(sum))
            | (Self::Sum(sum), Self::Mixed { exponential, custom }) => {
                if sum.sum.is_custom() {
                    Self::Mixed { exponential, custom: custom.earlier(sum.first) }
                } else {
                    Self::Mixed { exponential: exponential.earlier(sum.first), custom }
                }
            }
            (
                Self::Mixed { exponential, custom },
                Self::Mixed { exponential: theirs, custom: their_custom },
            ) => Self::Mixed {
                exponential: exponential.earlier(theirs),
                custom: custom.earlier(their_custom),
            },
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Self::Sum(sum) => sum.heap_bytes(),
            Self::Mixed { .. } => size_of::<Self>(),
        }
    }
}

impl HistogramSums {
    /// Sums of the histograms as they are.
    pub(super) fn unscaled() -> Self {
        Self::scaled(1.0)
    }

    /// Sums of the histograms multiplied by `scale`.
    pub(super) fn scaled(scale: f64) -> Self {
        Self { cells: Vec::new(), scale, heap_bytes: 0 }
    }

    /// Adds the histograms of a series.
    pub(super) fn add(&mut self, input: &InputSeries<'_>) {
        for (step, histogram) in input.values.histograms() {
            let first = First { rank: input.rank, labels: input.labels.clone() };
            let cell = Cell::Sum(Running::new(histogram, self.scale, first));
            self.merge_cell(*step as usize, input.values.steps(), Box::new(cell));
        }
    }

    /// Adds the sums of `later`.
    pub(super) fn merge(&mut self, later: Self) {
        let steps = later.cells.len();
        for (step, cell) in later.cells.into_iter().enumerate() {
            if let Some(cell) = cell {
                self.merge_cell(step, steps, cell);
            }
        }
    }

    fn merge_cell(&mut self, step: usize, steps: usize, later: Box<Cell>) {
        if self.cells.is_empty() {
            self.cells.resize_with(steps, || None);
            self.heap_bytes += steps * size_of::<Option<Box<Cell>>>();
        }
        let cell = match self.cells[step].take() {
            None => later,
            Some(mut own) => {
                self.heap_bytes = self.heap_bytes.saturating_sub(own.heap_bytes());
                *own = own.merge(*later);
                own
            }
        };
        self.heap_bytes += cell.heap_bytes();
        self.cells[step] = Some(cell);
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// Puts `result` of each sum into `column`, which has the results of the floats. Where there are
    /// both, neither stays.
    pub(super) fn finish_into(
        self,
        column: &mut StepColumn,
        call: &AggregateCall,
        notes: &mut Annotations,
        result: impl Fn(Running) -> Arc<Histogram>,
    ) {
        let span = call.spans.operand;
        for (step, cell) in self.cells.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            if !is_absent(column.floats()[step]) {
                column.floats_mut()[step] = ABSENT;
                notes.add(Annotation::MixedFloatsHistogramsAggregation, span);
                continue;
            }
            let sum = match *cell {
                Cell::Sum(sum) => sum,
                Cell::Mixed { exponential, custom } => {
                    let misfit = if exponential.rank > custom.rank { exponential } else { custom };
                    let metric = misfit.labels.metric_name().to_owned();
                    notes.add(Annotation::MixedExponentialCustomHistograms { metric }, span);
                    continue;
                }
            };
            let during = HistogramOperation::Aggregation;
            if sum.bounds_reconciled {
                notes.add(Annotation::MismatchedCustomBuckets { during }, span);
            }
            if sum.saw_reset && sum.saw_no_reset {
                notes.add(Annotation::CounterResetCollision { during }, span);
            }
            column.push_histogram(step, result(sum));
        }
    }
}
