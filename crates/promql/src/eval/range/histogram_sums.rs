//! `sum_over_time` and `avg_over_time` of native histograms.
//!
//! Every number of a histogram is summed up with compensation (see [`Summary`]). Windows that overlap share partial sums (see [`super::two_stacks`]). Exponential
//! and custom buckets do not mix: such a window has no result.

use std::sync::Arc;

use crate::histogram::{Combined, CounterResetHint, Histogram, MixedLayouts, Summary};

use super::notes::{Note, SeriesNotes};
use super::two_stacks::{Combine, TwoStacks};
use super::window::Run;

/// A summary of neighbouring histograms and what has to be said about it.
#[derive(Debug, Clone)]
struct Part<S> {
    /// Nothing if their buckets do not mix.
    summary: Option<S>,
    /// Whether a histogram says that it follows a reset.
    reset: bool,
    /// Whether a histogram says that it follows none.
    not_reset: bool,
    reconciled: bool,
    /// The widths of zero buckets: of the first histogram, and whether others differ. The order in
    /// which such zero buckets are united matters, so those windows are summed up one by one.
    zero_threshold: f64,
    uneven: bool,
}

impl<S: Summary> Part<S> {
    fn of(histogram: &Histogram) -> Self {
        let mut part = Self {
            summary: Some(S::first(histogram)),
            reset: false,
            not_reset: false,
            reconciled: false,
            zero_threshold: histogram.zero_threshold(),
            uneven: false,
        };
        part.see(histogram.hint);
        part
    }

    fn see(&mut self, hint: CounterResetHint) {
        self.reset |= hint == CounterResetHint::Reset;
        self.not_reset |= hint == CounterResetHint::NotReset;
    }

    fn push(&mut self, histogram: &Histogram) {
        self.see(histogram.hint);
        self.uneven |= self.zero_threshold != histogram.zero_threshold();
        self.combine(|summary| summary.push(histogram));
    }

    fn merge(&mut self, newer: &Self) {
        self.reset |= newer.reset;
        self.not_reset |= newer.not_reset;
        self.reconciled |= newer.reconciled;
        self.uneven |= newer.uneven || self.zero_threshold != newer.zero_threshold;
        match &newer.summary {
            Some(newer) => self.combine(|summary| summary.merge(newer)),
            None => self.summary = None,
        }
    }

    fn combine(&mut self, add: impl FnOnce(&mut S) -> Result<Combined, MixedLayouts>) {
        match self.summary.as_mut().map(add) {
            Some(Ok(combined)) => self.reconciled |= combined.bounds_reconciled,
            Some(Err(_)) => self.summary = None,
            None => {}
        }
    }

    fn finish(self, notes: &mut SeriesNotes<'_>) -> Option<Arc<Histogram>> {
        let Some(summary) = self.summary else {
            notes.add(Note::MixedLayouts);
            return None;
        };
        if self.reset && self.not_reset {
            notes.add(Note::ResetCollision);
        }
        if self.reconciled {
            notes.add(Note::BucketsAggregated);
        }
        Some(Arc::new(summary.total()))
    }
}

struct Parts<'a, S> {
    histograms: &'a [Arc<Histogram>],
    summary: std::marker::PhantomData<S>,
}

impl<S: Summary> Combine for Parts<'_, S> {
    type Partial = Part<S>;

    fn one(&self, at: usize) -> Part<S> {
        Part::of(&self.histograms[at])
    }

    fn append(&self, partial: &mut Part<S>, at: usize) {
        partial.push(&self.histograms[at]);
    }

    fn join(&self, older: &Part<S>, newer: &Part<S>) -> Part<S> {
        let mut joined = older.clone();
        joined.merge(newer);
        joined
    }
}

/// The sums or means of windows that slide over the histograms of a series.
pub(super) struct HistogramSums<'s, 'a, S> {
    parts: Parts<'a, S>,
    stacks: TwoStacks<'s, Part<S>>,
    /// Whether the last window was summed up one by one.
    one_by_one: bool,
}

/// Memory for the partial sums of a window.
pub(super) struct Memory<S>(Vec<Part<S>>);

impl<S> Default for Memory<S> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'s, 'a, S: Summary> HistogramSums<'s, 'a, S> {
    /// Over `histograms`.
    pub(super) fn new(histograms: &'a [Arc<Histogram>], memory: &'s mut Memory<S>) -> Self {
        let parts = Parts { histograms, summary: std::marker::PhantomData };
        Self { parts, stacks: TwoStacks::new(&mut memory.0), one_by_one: false }
    }

    /// Whether the last window was summed up one by one, instead of from partial sums.
    pub(super) fn were_one_by_one(&self) -> bool {
        self.one_by_one
    }

    /// The result of a window that holds the histograms `run`, if it has one. The ends of the runs
    /// do not fall from call to call.
    pub(super) fn window(
        &mut self,
        run: Run,
        notes: &mut SeriesNotes<'_>,
    ) -> Option<Arc<Histogram>> {
        let mut part = self.stacks.slide(run, &self.parts)?;
        self.one_by_one = part.uneven;
        if part.uneven {
            let held = run.of(self.parts.histograms);
            part = Part::of(held.first()?);
            held[1..].iter().for_each(|histogram| part.push(histogram));
        }
        part.finish(notes)
    }
}
