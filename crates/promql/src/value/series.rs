//! Series and values of expressions.

use std::sync::Arc;

use super::{LabelSet, StepColumn};

/// A series of an instant vector, over all steps.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Its labels.
    pub labels: LabelSet,
    /// Whether name, type and unit go when the evaluation ends (Prometheus's delayed name removal).
    pub drop_name: bool,
    /// Its values at the steps.
    pub values: StepColumn,
}

impl Series {
    /// About how many bytes it takes to hold it. Its labels count in full, though they may be shared.
    pub(crate) fn held_bytes(&self) -> usize {
        self.values.heap_bytes() + size_of::<Self>() + self.labels.encoded().len()
    }
}

/// The value of an expression over all steps.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    /// A number at each step.
    Scalar(Vec<f64>),
    /// Series in the order of the result.
    Vector(Vec<Series>),
    /// A text.
    String(Arc<[u8]>),
}
