//! Which pairs of a group have results that would be confused with each other.

use std::collections::HashMap;

use crate::ast::Cardinality;
use crate::value::LabelSet;

/// The series of the "many" side that find the same partner, in classes whose results are confused:
/// all of them in a one-to-one match, else those whose results have equal labels. For each class
/// with several members it holds the steps at which one of them has matched.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// The class of each series that shares one.
    classes: HashMap<usize, usize>,
    /// The steps of each class that was asked for.
    steps: HashMap<usize, Vec<bool>>,
}

impl Taken {
    /// `labels` are those of the results, for each series.
    pub(super) fn new<'l>(
        cardinality: Cardinality,
        labels: impl ExactSizeIterator<Item = &'l LabelSet>,
    ) -> Self {
        if labels.len() < 2 {
            return Self::default();
        }
        if cardinality == Cardinality::OneToOne {
            let classes = (0..labels.len()).map(|at| (at, 0)).collect();
            return Self { classes, steps: HashMap::new() };
        }
        let mut firsts: HashMap<&LabelSet, usize> = HashMap::with_capacity(labels.len());
        let mut classes = HashMap::new();
        for (at, labels) in labels.enumerate() {
            let first = *firsts.entry(labels).or_insert(at);
            if first != at {
                classes.insert(first, first);
                classes.insert(at, first);
            }
        }
        Self { classes, steps: HashMap::new() }
    }

    /// The steps that the class of the series `at` has taken; `None` if it is alone.
    pub(super) fn by(&mut self, at: usize, steps: usize) -> Option<&mut Vec<bool>> {
        let class = *self.classes.get(&at)?;
        Some(self.steps.entry(class).or_insert_with(|| vec![false; steps]))
    }
}
