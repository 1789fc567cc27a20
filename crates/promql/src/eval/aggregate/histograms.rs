//! Sums and means of native histograms, for `sum` and `avg`.
//!
//! Exponential and custom buckets do not combine: where a group has both at a step, it has no result
//! there, with a warning that names the metric of the first series, by rank, that did not fit those
//! before. Custom buckets with different bounds are brought to those in common, with an info; series
//! whose hints say both that the counter was reset and that it was not give a warning.
//!
//! Where there are floats as well, the warning about that is the only one; a mix of buckets hides
//! other notes of its step. Prometheus stops at the first series that does not fit, so that the notes
//! about a step with several of these faults depend on their order.
//!
//! Holds one histogram of compensated numbers for each group and step that has any.

use std::sync::Arc;

use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::histogram::{CounterResetHint, Histogram, MixedLayouts, Summary};
use crate::value::{ABSENT, LabelSet, StepColumn, is_absent};

use super::call::AggregateCall;
use super::input::InputSeries;

/// The combined histograms of a group, at the steps that have any.
#[derive(Debug)]
pub(super) struct Histograms<C> {
    /// Empty, or a cell for each step.
    cells: Vec<Option<Box<Cell<C>>>>,
    heap_bytes: usize,
}

/// What there is at one step.
#[derive(Debug)]
enum Cell<C> {
    /// Histograms of one kind of buckets.
    One(Running<C>),
    /// Both kinds: the first series with exponential buckets, and the first with custom ones.
    Mixed { exponential: First, custom: First },
}

#[derive(Debug)]
struct Running<C> {
    combined: C,
    is_custom: bool,
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
    fn of(input: &InputSeries<'_>) -> Self {
        Self { rank: input.rank, labels: input.labels.clone() }
    }

    fn earlier(self, other: Self) -> Self {
        if other.rank < self.rank { other } else { self }
    }
}

impl<C: Summary> Running<C> {
    fn new(histogram: &Histogram, input: &InputSeries<'_>) -> Self {
        let mut new = Self {
            combined: C::first(histogram),
            is_custom: histogram.is_custom(),
            first: First::of(input),
            saw_reset: false,
            saw_no_reset: false,
            bounds_reconciled: false,
        };
        new.saw(histogram.hint);
        new
    }

    fn saw(&mut self, hint: CounterResetHint) {
        self.saw_reset |= hint == CounterResetHint::Reset;
        self.saw_no_reset |= hint == CounterResetHint::NotReset;
    }

    fn merge(&mut self, later: Self) -> Result<(), MixedLayouts> {
        let combined = self.combined.merge(&later.combined)?;
        self.first = self.first.clone().earlier(later.first);
        self.saw_reset |= later.saw_reset;
        self.saw_no_reset |= later.saw_no_reset;
        self.bounds_reconciled |= later.bounds_reconciled | combined.bounds_reconciled;
        Ok(())
    }

    fn annotate(&self, call: &AggregateCall, notes: &mut Annotations) {
        let during = HistogramOperation::Aggregation;
        if self.bounds_reconciled {
            notes.add(Annotation::MismatchedCustomBuckets { during }, call.spans.operand);
        }
        if self.saw_reset && self.saw_no_reset {
            notes.add(Annotation::CounterResetCollision { during }, call.spans.operand);
        }
    }
}

impl<C: Summary> Cell<C> {
    /// Two series of different kinds.
    fn mixed(a: First, a_is_custom: bool, b: First) -> Self {
        let (custom, exponential) = if a_is_custom { (a, b) } else { (b, a) };
        Self::Mixed { exponential, custom }
    }

    /// Takes a series of one kind.
    fn note(&mut self, first: First, is_custom: bool) {
        if let Self::Mixed { exponential, custom } = self {
            let own = if is_custom { custom } else { exponential };
            if first.rank < own.rank {
                *own = first;
            }
        }
    }

    /// Takes a histogram of a series behind all before.
    fn push(&mut self, histogram: &Histogram, input: &InputSeries<'_>) {
        let Self::One(own) = self else {
            self.note(First::of(input), histogram.is_custom());
            return;
        };
        match own.combined.push(histogram) {
            Ok(combined) => {
                own.bounds_reconciled |= combined.bounds_reconciled;
                own.saw(histogram.hint);
            }
            Err(MixedLayouts) => {
                *self = Self::mixed(own.first.clone(), own.is_custom, First::of(input));
            }
        }
    }

    /// Takes what a cell that comes later in the tree has.
    fn merge(&mut self, later: Self) {
        match (self, later) {
            (own @ Self::Mixed { .. }, Self::One(theirs)) => {
                own.note(theirs.first, theirs.is_custom);
            }
            (own @ Self::Mixed { .. }, Self::Mixed { exponential, custom }) => {
                own.note(exponential, false);
                own.note(custom, true);
            }
            (own @ Self::One(_), Self::Mixed { exponential, custom }) => {
                let mixed = std::mem::replace(own, Self::Mixed { exponential, custom });
                own.merge(mixed);
            }
            (own, Self::One(theirs)) => {
                let Self::One(running) = own else { return };
                if running.is_custom == theirs.is_custom {
                    // Histograms of one kind always combine.
                    let _ = running.merge(theirs);
                } else {
                    *own = Self::mixed(running.first.clone(), running.is_custom, theirs.first);
                }
            }
        }
    }
}

impl<C: Summary> Histograms<C> {
    pub(super) fn new() -> Self {
        Self { cells: Vec::new(), heap_bytes: 0 }
    }

    /// Adds the histograms of a series behind all before.
    pub(super) fn add(&mut self, input: &InputSeries<'_>) {
        for (step, histogram) in input.values.histograms() {
            match self.cell(*step as usize, input.values.steps()) {
                Some(cell) => cell.push(histogram, input),
                empty => {
                    *empty = Some(Box::new(Cell::One(Running::new(histogram, input))));
                    // Compensated numbers are twice as large.
                    self.heap_bytes += size_of::<Cell<C>>() + 2 * histogram.heap_bytes();
                }
            }
        }
    }

    /// Adds what `later` has.
    pub(super) fn merge(&mut self, later: Self) {
        // An estimate: a step that both have counts twice.
        self.heap_bytes += later.heap_bytes;
        let steps = later.cells.len();
        for (step, theirs) in later.cells.into_iter().enumerate() {
            let Some(theirs) = theirs else { continue };
            match self.cell(step, steps) {
                Some(own) => own.merge(*theirs),
                empty => *empty = Some(theirs),
            }
        }
    }

    fn cell(&mut self, step: usize, steps: usize) -> &mut Option<Box<Cell<C>>> {
        if self.cells.is_empty() {
            self.cells.resize_with(steps, || None);
            self.heap_bytes += steps * size_of::<Option<Box<Cell<C>>>>();
        }
        &mut self.cells[step]
    }

    /// About how many bytes of heap it holds. Constant time.
    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }

    /// Puts the results into `column`, which has the results of the floats. Where there are both,
    /// neither stays.
    pub(super) fn finish_into(
        self,
        column: &mut StepColumn,
        call: &AggregateCall,
        notes: &mut Annotations,
    ) {
        let span = call.spans.operand;
        for (step, cell) in self.cells.into_iter().enumerate() {
            let Some(cell) = cell else { continue };
            if !is_absent(column.floats()[step]) {
                column.floats_mut()[step] = ABSENT;
                notes.add(Annotation::MixedFloatsHistogramsAggregation, span);
                continue;
            }
            match *cell {
                Cell::One(running) => {
                    running.annotate(call, notes);
                    column.push_histogram(step, Arc::new(running.combined.total()));
                }
                Cell::Mixed { exponential, custom } => {
                    let misfit = if exponential.rank > custom.rank { exponential } else { custom };
                    let metric = misfit.labels.metric_name().to_owned();
                    notes.add(Annotation::MixedExponentialCustomHistograms { metric }, span);
                }
            }
        }
    }
}
