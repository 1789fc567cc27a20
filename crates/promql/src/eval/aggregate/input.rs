//! A series as an aggregation takes it.

use crate::value::{LabelSet, StepColumn};

/// A series of the operand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InputSeries<'a> {
    /// Its place in Prometheus's order of the operand; different for all series.
    pub(crate) rank: u32,
    pub(crate) labels: &'a LabelSet,
    /// Whether its name goes when the evaluation ends.
    pub(crate) drop_name: bool,
    /// A column of as many steps as the call has.
    pub(crate) values: &'a StepColumn,
}
