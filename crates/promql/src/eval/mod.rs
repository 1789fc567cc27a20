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
//! 3. [`links`] makes chains of nodes, [`runner`] runs them: the selection is listed and ordered, cut
//!    into shares by content ([`share`]), and shares run on several threads ([`share_run`]); what their
//!    sinks gathered is merged along a fixed tree.
//! 4. [`lookup`], [`range`], [`vector`], [`binary`] and [`aggregate`] compute.
//!
//! # What holds its input
//!
//! With `n` series that go in, `g` groups and `s` steps; a float takes 8 bytes.
//!
//! | operator | holds |
//! |---|---|
//! | selectors, functions of range vectors, math, dates, label functions, vector with scalar | nothing: they stream |
//! | functions over subqueries of what streams | one series of the inner steps a thread |
//! | `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar` | `g` x `s` |
//! | `topk`, `bottomk`, `limitk` | `k` x `g` x `s`; `limit_ratio` its output |
//! | `quantile`, `count_values` | their input |
//! | `absent`, `absent_over_time`, `scalar` | `s` |
//! | `sort`, `histogram_quantile` and its kin, operators between vectors, `info` | both or all operands: `n` x `s` |
//! | what several operators take | `n` x `s`, if that is an eighth of the limit or less; else it is read again |
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
mod links;
mod lookup;
mod merge;
mod meter;
mod ordered_list;
pub(crate) mod range;
mod run;
mod runner;
mod sample_buffer;
mod samples;
mod share;
mod share_run;
mod sink;
mod smoothed;
mod statistics;
pub(crate) mod vector;
mod vector_calls;

pub use engine::{Answer, Engine, Query, QueryValue, ResultSeries};
pub use meter::Limits;
