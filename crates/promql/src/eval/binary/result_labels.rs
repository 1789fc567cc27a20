//! The labels of the results of an operator between two vectors.

use crate::ast::{BinaryOp, Cardinality, Matching};
use crate::value::{LabelSet, is_metric_label};

use super::vector_scalar::changes_metric;

/// Which labels of a pair of series its result has.
///
/// They are the labels of the series on the "many" side (the left one, if there is none), less name,
/// type and unit if the operator is arithmetic. In a one-to-one match only labels that are matched
/// stay: those listed by `on`, or those not listed by `ignoring`. Then the labels that
/// `group_left(..)` or `group_right(..)` lists are those of the "one" side; one that is absent there
/// is removed.
#[derive(Debug)]
pub(super) struct ResultLabels<'q> {
    matching: &'q Matching,
    without_metric: bool,
}

impl<'q> ResultLabels<'q> {
    /// `drop_metric` removes name, type and unit, as arithmetic does by itself.
    pub(super) fn new(op: BinaryOp, matching: &'q Matching, drop_metric: bool) -> Self {
        Self { matching, without_metric: drop_metric || changes_metric(op) }
    }

    /// The labels of the result of this pair.
    pub(super) fn of(&self, many: &LabelSet, one: &LabelSet) -> LabelSet {
        let mut labels = many.filter(|name| self.keeps(name));
        for name in &self.matching.include {
            let value = one.get(name);
            if !value.is_empty() {
                labels = labels.with(name, value);
            }
        }
        labels
    }

    /// Whether a label of the "many" side stays.
    fn keeps(&self, name: &str) -> bool {
        let lists = |names: &[String]| names.iter().any(|listed| listed == name);
        let one_to_one = self.matching.cardinality == Cardinality::OneToOne;
        let key = &self.matching.labels;
        !(self.without_metric && is_metric_label(name))
            && (!one_to_one || lists(&key.labels) == key.on)
            && !lists(&self.matching.include)
    }
}
