//! What an operator has to say about the values it met.
//!
//! Prometheus evaluates step by step and reports one annotation a step for each operator between two
//! vectors: that of the last pair of the step that caused one. [`StepNotes`] collects them from
//! columns, in any order and from any thread, and keeps the same ones.

use crate::annotations::{Annotation, Annotations, HistogramOperation};
use crate::ast::{BinaryOp, Span};

/// What a pair of values caused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// The operator is not defined between values of these kinds.
    Types(Kind, Kind),
    /// Exponential and custom buckets do not mix.
    MixedLayouts,
    /// One histogram says that its counter was reset, the other that its was not.
    ResetCollision,
    /// Custom buckets were reduced to the bounds that both histograms have.
    BoundsReconciled,
}

/// The kind of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Float,
    Histogram,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Histogram => "histogram",
        }
    }
}

impl Note {
    /// The annotation of the operator `op`.
    pub(super) fn annotation(self, op: BinaryOp) -> Annotation {
        let operator = op.as_str();
        let during = match op {
            BinaryOp::Sub => HistogramOperation::Subtraction,
            _ => HistogramOperation::Addition,
        };
        match self {
            Self::Types(left, right) => {
                let (left, right) = (left.as_str(), right.as_str());
                Annotation::IncompatibleTypes { left, operator, right }
            }
            Self::MixedLayouts => Annotation::IncompatibleBucketLayout { operator },
            Self::ResetCollision => Annotation::CounterResetCollision { during },
            Self::BoundsReconciled => Annotation::MismatchedCustomBuckets { during },
        }
    }
}

/// The note of the last pair at each step; no memory is held until there is one.
#[derive(Debug, Default)]
pub(super) struct StepNotes {
    /// For each step, up to the last with a note: the place of the pair in the step, and its note.
    last: Vec<Option<(usize, Note)>>,
}

impl StepNotes {
    /// Adds the note of the pair that is at `place` among those of the step.
    pub(super) fn add(&mut self, step: usize, place: usize, note: Note) {
        if self.last.len() <= step {
            self.last.resize(step + 1, None);
        }
        let last = &mut self.last[step];
        if last.is_none_or(|(other, _)| other <= place) {
            *last = Some((place, note));
        }
    }

    /// The notes of both.
    pub(super) fn merge(mut self, other: Self) -> Self {
        if other.last.len() > self.last.len() {
            return other.merge(self);
        }
        for (step, note) in other.last.into_iter().enumerate() {
            if let Some((place, note)) = note {
                self.add(step, place, note);
            }
        }
        self
    }

    /// Adds them to the annotations of the query.
    pub(super) fn report(self, op: BinaryOp, span: Span, notes: &mut Annotations) {
        let mut previous = None;
        for (_, note) in self.last.into_iter().flatten() {
            if previous != Some(note) {
                notes.add(note.annotation(op), span);
                previous = Some(note);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::annotations::Severity;

    #[test]
    fn the_last_pair_of_a_step_is_reported_whatever_the_order() {
        let mixed = Note::Types(Kind::Histogram, Kind::Float);
        let adds = [(0, 5, mixed), (0, 2, Note::MixedLayouts), (3, 1, Note::BoundsReconciled)];
        for order in [[0, 1, 2], [2, 1, 0]] {
            let parts = order.map(|at| {
                let mut notes = StepNotes::default();
                let (step, place, note) = adds[at];
                notes.add(step, place, note);
                notes
            });
            let mut annotations = Annotations::default();
            let all = parts.into_iter().fold(StepNotes::default(), StepNotes::merge);
            all.report(BinaryOp::Add, Span::new(0, 5), &mut annotations);
            assert!(annotations.texts(Severity::Warning, "a + b").is_empty());
            let mut infos = annotations.texts(Severity::Info, "a + b");
            infos.sort();
            let expected = [
                "PromQL info: incompatible sample types encountered for binary operator \"+\": \
                 histogram + float (1:1)",
                "PromQL info: mismatched custom buckets were reconciled during addition (1:1)",
            ];
            assert_eq!(infos, expected);
        }
    }
}
