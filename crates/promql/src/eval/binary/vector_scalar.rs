//! An operator between an instant vector and a scalar, on one series at a time.

use std::sync::Arc;

use crate::annotations::Annotations;
use crate::ast::{BinaryOp, Span};
use crate::value::{ABSENT, StepColumn, is_absent};

use super::float::{Comparison, FloatRule};
use super::notes::{Kind, Note};
use super::pair::scale;

/// An operator between an instant vector and a scalar. Streams: it changes each series in place and
/// holds nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VectorScalar {
    /// No set operator.
    pub(crate) op: BinaryOp,
    /// Whether a comparison answers 0 or 1 instead of filtering.
    pub(crate) return_bool: bool,
    /// Whether the vector is the left operand.
    pub(crate) vector_is_left: bool,
    /// The whole expression, which annotations blame.
    pub(crate) span: Span,
}

impl VectorScalar {
    /// Whether the results are no longer values of the metric, so that its name, type and unit go:
    /// the caller sets `drop_name` of each series. Filters and trims keep them.
    pub(crate) fn drops_name(&self) -> bool {
        changes_metric(self.op) || self.return_bool
    }

    /// Replaces the values of one series. `scalars` has a value for each step. A filter keeps values
    /// of the vector, also if the scalar is the left operand.
    ///
    /// A value that the operator is not defined for is removed and noted. (Prometheus reports one
    /// note a step for all series together, which differs only for a trim of a vector with floats
    /// and histograms at one step whose left operand is the scalar.)
    pub(crate) fn apply(&self, values: &mut StepColumn, scalars: &[f64], notes: &mut Annotations) {
        debug_assert_eq!(values.steps(), scalars.len(), "a scalar for each step");
        self.change_floats(values.floats_mut(), scalars, notes);
        if !values.histograms().is_empty() {
            self.change_histograms(values, scalars, notes);
        }
    }

    fn change_floats(&self, floats: &mut [f64], scalars: &[f64], notes: &mut Annotations) {
        if matches!(self.op, BinaryOp::TrimUpper | BinaryOp::TrimLower) {
            if floats.iter().any(|value| !is_absent(*value)) {
                self.note(Note::Types(Kind::Float, Kind::Float), notes);
            }
            floats.fill(ABSENT);
            return;
        }
        let comparison = if self.return_bool { Comparison::Bool } else { Comparison::KeepOwn };
        let rule = FloatRule { op: self.op, own_is_left: self.vector_is_left, comparison };
        rule.combine(floats, scalars);
    }

    fn change_histograms(&self, values: &mut StepColumn, scalars: &[f64], notes: &mut Annotations) {
        if !self.vector_is_left && self.op != BinaryOp::Mul {
            values.clear_histograms();
            self.note(Note::Types(Kind::Float, Kind::Histogram), notes);
            return;
        }
        values.histograms_mut().retain_mut(|(step, histogram)| {
            // Copies it only if somebody else holds it, too.
            let kept = scale(self.op, Arc::make_mut(histogram), scalars[*step as usize]);
            if !kept {
                self.note(Note::Types(Kind::Histogram, Kind::Float), notes);
            }
            kept
        });
    }

    fn note(&self, note: Note, notes: &mut Annotations) {
        notes.add(note.annotation(self.op), self.span);
    }
}

/// Whether the results of an operator have another meaning than the values of the metric.
pub(super) fn changes_metric(op: BinaryOp) -> bool {
    matches!(
        op,
        BinaryOp::Add
            | BinaryOp::Sub
            | BinaryOp::Mul
            | BinaryOp::Div
            | BinaryOp::Mod
            | BinaryOp::Pow
            | BinaryOp::Atan2
    )
}
