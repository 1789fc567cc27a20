//! An operator between the columns of two series, for all steps.

use std::borrow::Cow;
use std::sync::Arc;

use crate::histogram::Histogram;
use crate::value::{Point, StepColumn, is_absent};

use super::float::{Comparison, FloatRule};
use super::notes::Note;
use super::pair::{Operand, PairRule};

/// An operator between a column that is changed, *own*, and another.
#[derive(Debug, Clone, Copy)]
pub(super) struct ColumnRule {
    pub(super) pair: PairRule,
    /// Whether the column that is changed is the left operand.
    pub(super) own_is_left: bool,
}

/// Is told what happens while columns are combined.
pub(super) trait Observer {
    /// Whether it wants to know of matches.
    fn wants_matches(&self) -> bool;
    /// Two values matched at a step, whether or not a comparison holds for them.
    fn matched(&mut self, step: usize);
    /// Two values at a step caused a note.
    fn noted(&mut self, step: usize, note: Note);
}

impl ColumnRule {
    /// The results at all steps at which both columns have a value. A column that is owned becomes
    /// the result if there are floats only.
    pub(super) fn combine(
        self,
        own: Cow<'_, StepColumn>,
        other: &StepColumn,
        observer: &mut impl Observer,
    ) -> StepColumn {
        if self.goes_by_value(&own, other) {
            return self.combine_any(&own, other, observer);
        }
        let mut own = own.into_owned();
        if observer.wants_matches() {
            for (step, (own, other)) in own.floats().iter().zip(other.floats()).enumerate() {
                if !is_absent(*own) && !is_absent(*other) {
                    observer.matched(step);
                }
            }
        }
        self.float_rule().combine(own.floats_mut(), other.floats());
        own
    }

    /// About how many bytes [`ColumnRule::combine`] will allocate, or more: a sum of histograms may
    /// have the buckets of both. `is_owned` says in which form it gets the column that is changed.
    pub(super) fn new_bytes(self, own: &StepColumn, is_owned: bool, other: &StepColumn) -> usize {
        let floats = own.steps() * size_of::<f64>();
        if !self.goes_by_value(own, other) {
            return if is_owned { 0 } else { floats };
        }
        // Each result is a histogram of its own, also of values that share one.
        let all = own.histograms().iter().chain(other.histograms());
        let histograms = all.map(|(_, h)| h.heap_bytes() + size_of::<(u32, Arc<Histogram>)>());
        floats + histograms.sum::<usize>()
    }

    fn goes_by_value(self, own: &StepColumn, other: &StepColumn) -> bool {
        let floats_only = own.histograms().is_empty() && other.histograms().is_empty();
        !floats_only || self.pair.is_trim()
    }

    /// A filter gives the left value, whichever side is changed.
    fn float_rule(self) -> FloatRule {
        let comparison = match (self.pair.return_bool, self.own_is_left) {
            (true, _) => Comparison::Bool,
            (false, true) => Comparison::KeepOwn,
            (false, false) => Comparison::KeepOther,
        };
        FloatRule { op: self.pair.op, own_is_left: self.own_is_left, comparison }
    }

    /// Value by value, of any kinds.
    fn combine_any(
        self,
        own: &StepColumn,
        other: &StepColumn,
        observer: &mut impl Observer,
    ) -> StepColumn {
        let mut results = StepColumn::absent(own.steps());
        let (mut own, mut other) = (Cursor::new(own), Cursor::new(other));
        for step in 0..results.steps() {
            let (Some(own), Some(other)) = (own.at(step), other.at(step)) else { continue };
            let (left, right) = if self.own_is_left { (own, other) } else { (other, own) };
            let outcome = self.pair.combine(left, right);
            if outcome.matches {
                observer.matched(step);
            }
            if let Some(note) = outcome.note {
                observer.noted(step, note);
            }
            match outcome.value {
                Some(Point::Float(value)) => results.set_float(step, value),
                Some(Point::Histogram(histogram)) => results.push_histogram(step, histogram),
                None => {}
            }
        }
        results
    }
}

/// Reads the values of a column in order of steps.
struct Cursor<'a> {
    column: &'a StepColumn,
    histograms: std::slice::Iter<'a, (u32, Arc<Histogram>)>,
}

impl<'a> Cursor<'a> {
    fn new(column: &'a StepColumn) -> Self {
        Self { column, histograms: column.histograms().iter() }
    }

    /// The value at `step`, which is behind the step of the previous call.
    fn at(&mut self, step: usize) -> Option<Operand<'a>> {
        let float = self.column.floats()[step];
        if !is_absent(float) {
            return Some(Operand::Float(float));
        }
        let (at, histogram) = self.histograms.as_slice().first()?;
        if *at as usize != step {
            return None;
        }
        self.histograms.next();
        Some(Operand::Histogram(histogram))
    }
}
