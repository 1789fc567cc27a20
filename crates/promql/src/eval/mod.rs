//! The evaluator: runs a plan over columns.
//!
//! An expression's value is held as columns over all steps ([`crate::value`]), never as one vector a
//! step. What can run series by series is not held at all: a *chain* ([`chain`]) takes one series
//! after the other from a selection through functions that make one series of each, all steps in
//! one pass, and gives it to a *sink* ([`sink`]): an aggregation, or the collection of a result.
//!
//! 1. [`engine`] parses, plans, sets up the [`meter`] and turns the root's value into an answer.
//! 2. [`run`] evaluates the nodes of the plan in order. Nodes inside a chain are not evaluated by
//!    themselves.
//! 3. [`chain`] runs: the selection is listed and ordered, cut into shares by content ([`share`]),
//!    and shares run on several threads; what their sinks gathered is merged along a fixed tree.
//! 4. [`lookup`], [`range`], [`vector`], [`binary`] and [`aggregate`] compute.
//!
//! # Invariants
//!
//! - An answer depends on the samples and the query alone: not on threads, the order in which a
//!   source lists, or whether a part was held or streamed.
//! - Series are in Prometheus's order (that of [`LabelSet`](crate::value::LabelSet)) wherever order
//!   matters.
//! - All errors come before the answer: nothing of it is handed out earlier.

pub(crate) mod aggregate;
pub(crate) mod binary;
mod chain;
mod engine;
pub(crate) mod grid;
mod lookup;
mod merge;
mod meter;
pub(crate) mod range;
mod run;
mod sample_buffer;
mod samples;
mod share;
mod sink;
mod smoothed;
mod statistics;
pub(crate) mod vector;
mod vector_calls;

pub use engine::{Answer, Engine, Query, QueryValue, ResultSeries};
pub use meter::Limits;
