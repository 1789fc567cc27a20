//! The Prometheus query language as it is defined, over series of floats in memory.
//!
//! A second evaluator, for tests and fuzz targets, which compare the one of `siltstone-promql` with
//! it. It shares the syntax tree, label sets and matchers with that crate, and
//! nothing of the evaluation. What counts here is that each definition can be read: an instant vector
//! is a list of samples at one time, each selector looks through all samples of a series at each
//! step, and each function is its formula.
//!
//! - [`evaluate`] walks the tree: an expression has a value at each of the times at which it is
//!   evaluated.
//! - [`Window`] and [`over_window`]: functions of range vectors.
//! - [`generate`] makes queries and series of random choices; [`compare`] compares answers.
//!
//! Out of its reach, and refused with [`Failure::Unsupported`]: native histograms and the functions
//! that are about them, `info`, `start_timestamp`, `anchored`, `smoothed`, duration expressions, and
//! annotations. A query may nest as deep as the stack holds: this is no evaluator for untrusted
//! queries.

mod aggregate;
mod binary;
mod calendar;
mod calls;
pub mod compare;
mod evaluate;
pub mod generate;
mod histogram;
mod labels;
mod math;
mod ranges;
mod rounding;
mod value;
mod window;

pub use siltstone_promql::functions::Function;

pub use evaluate::{Settings, Times, evaluate};
pub use value::{Answer, Failure, Sample, Series, Value};
pub use window::{Window, over_window};
