//! What an evaluation computes with: label sets, columns of values at steps, series and results.
//!
//! A *step* is a time at which an expression is evaluated; an instant query has one. All series of a
//! value have columns of the same steps.

mod label_set;
mod series;
mod step_column;

pub use label_set::LabelSet;
pub(crate) use label_set::{
    METRIC_NAME, METRIC_TYPE, METRIC_UNIT, SEPARATOR, equal_start, hash_without_metric,
    is_metric_label,
};
pub use series::Series;
pub(crate) use series::Value;
pub(crate) use step_column::{ABSENT, is_absent};
pub use step_column::{Point, StepColumn};
