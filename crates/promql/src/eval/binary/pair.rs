//! An operator between one value on the left and one on the right, of any kinds.
//!
//! Floats go with every operator but the trims. Two histograms are added, subtracted and compared
//! for (in)equality; a histogram is multiplied with a float in either order, divided by one, and
//! trimmed at one (`</`, `>/`). Every other mix has no result and is noted. Results of arithmetic on
//! histograms are compacted; a difference is a gauge, since it may be negative.

use std::sync::Arc;

use crate::ast::BinaryOp;
use crate::histogram::{Combined, CounterResetHint, Histogram, MixedLayouts};
use crate::value::{Point, is_absent};

use super::float::{Comparison, FloatRule};
use super::notes::{Kind, Note};

/// A value on one side of an operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Operand<'a> {
    Float(f64),
    Histogram(&'a Arc<Histogram>),
}

impl Operand<'_> {
    fn kind(self) -> Kind {
        match self {
            Self::Float(_) => Kind::Float,
            Self::Histogram(_) => Kind::Histogram,
        }
    }
}

/// What an operator makes of a pair of values.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The result; none where a comparison does not hold, or the operator is not defined.
    pub(super) value: Option<Point>,
    /// Whether the pair counts as a match: a comparison that does not hold is one, a mix of values
    /// that the operator is not defined for is none.
    pub(super) matches: bool,
    /// What is to be reported.
    pub(super) note: Option<Note>,
}

impl Outcome {
    fn of(value: Option<Point>) -> Self {
        Self { value, matches: true, note: None }
    }

    fn refused(note: Note) -> Self {
        Self { value: None, matches: false, note: Some(note) }
    }
}

/// An operator that is no set operator, and whether its comparison answers 0 or 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct PairRule {
    pub(super) op: BinaryOp,
    pub(super) return_bool: bool,
}

impl PairRule {
    /// Combines two values. A comparison that holds gives the left one.
    pub(super) fn combine(self, left: Operand<'_>, right: Operand<'_>) -> Outcome {
        let refused = || Outcome::refused(Note::Types(left.kind(), right.kind()));
        match (left, right) {
            (Operand::Float(l), Operand::Float(r)) => {
                if self.is_trim() {
                    refused()
                } else {
                    Outcome::of(self.floats(l, r))
                }
            }
            (Operand::Histogram(l), Operand::Histogram(r)) => {
                self.histograms(l, r).unwrap_or_else(refused)
            }
            (Operand::Histogram(h), Operand::Float(factor)) => {
                changed(h, |h| scale(self.op, h, factor)).map_or_else(refused, Outcome::of_changed)
            }
            (Operand::Float(factor), Operand::Histogram(h)) => match self.op {
                BinaryOp::Mul => changed(h, |h| scale(self.op, h, factor))
                    .map_or_else(refused, Outcome::of_changed),
                _ => refused(),
            },
        }
    }

    /// Whether it is `</` or `>/`, which take a histogram and a float and nothing else.
    pub(super) fn is_trim(self) -> bool {
        matches!(self.op, BinaryOp::TrimUpper | BinaryOp::TrimLower)
    }

    fn floats(self, left: f64, right: f64) -> Option<Point> {
        let comparison = if self.return_bool { Comparison::Bool } else { Comparison::KeepOwn };
        let mut result = [left];
        FloatRule { op: self.op, own_is_left: true, comparison }.combine(&mut result, &[right]);
        (!is_absent(result[0])).then_some(Point::Float(result[0]))
    }

    /// `None` if the operator is not defined between histograms.
    fn histograms(self, left: &Arc<Histogram>, right: &Arc<Histogram>) -> Option<Outcome> {
        match self.op {
            BinaryOp::Add => Some(sum(left, |sum| sum.add(right))),
            BinaryOp::Sub => Some(sum(left, |difference| {
                let combined = difference.sub(right);
                difference.hint = CounterResetHint::Gauge;
                combined
            })),
            BinaryOp::Equal => Some(self.compared(left, left.same(right))),
            BinaryOp::NotEqual => Some(self.compared(left, !left.same(right))),
            _ => None,
        }
    }

    fn compared(self, left: &Arc<Histogram>, holds: bool) -> Outcome {
        Outcome::of(if self.return_bool {
            Some(Point::Float(f64::from(holds)))
        } else {
            holds.then(|| Point::Histogram(left.clone()))
        })
    }
}

impl Outcome {
    fn of_changed(histogram: Histogram) -> Self {
        Self::of(Some(Point::Histogram(Arc::new(histogram))))
    }
}

/// Applies an operator with a histogram on the left and a float on the right, or the commutative
/// `*`, in place; `false` if it is not defined.
pub(super) fn scale(op: BinaryOp, histogram: &mut Histogram, float: f64) -> bool {
    match op {
        BinaryOp::Mul => histogram.mul(float),
        BinaryOp::Div => histogram.div(float),
        BinaryOp::TrimUpper => *histogram = histogram.trimmed_below(float),
        BinaryOp::TrimLower => *histogram = histogram.trimmed_above(float),
        _ => return false,
    }
    if matches!(op, BinaryOp::Mul | BinaryOp::Div) {
        histogram.compact();
    }
    true
}

/// A changed copy, if `change` did change it.
fn changed(histogram: &Histogram, change: impl Fn(&mut Histogram) -> bool) -> Option<Histogram> {
    let mut copy = histogram.clone();
    change(&mut copy).then_some(copy)
}

/// The sum or difference that `combine` makes of a copy of `left`. Contradicting counter resets
/// leave no result, as in Prometheus.
fn sum(
    left: &Histogram,
    combine: impl Fn(&mut Histogram) -> Result<Combined, MixedLayouts>,
) -> Outcome {
    let mut result = left.clone();
    match combine(&mut result) {
        Err(MixedLayouts) => Outcome::refused(Note::MixedLayouts),
        Ok(Combined { hints_collided: true, .. }) => Outcome::refused(Note::ResetCollision),
        Ok(Combined { bounds_reconciled, .. }) => {
            result.compact();
            let note = bounds_reconciled.then_some(Note::BoundsReconciled);
            Outcome { note, ..Outcome::of_changed(result) }
        }
    }
}
