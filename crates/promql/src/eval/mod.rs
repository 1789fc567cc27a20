//! The evaluator: runs a plan over columns.
//!
//! An expression's value is held as columns over all steps ([`crate::value`]), never as one vector a
//! step. What can run series by series is not held at all: a *chain* ([`chain`]) takes one series
//! after the other from a selection through functions that make one series of each, all steps in
//! one pass, and gives it to a *sink* ([`sink`]): an aggregation, or the collection of a result.
//!
//! 1. [`engine`] parses, plans, sets up the [`meter`] and turns the root's value into an answer.
//! 2. [`run`] evaluates the nodes of the plan in order. Nodes inside a chain are not evaluated by
//!    themselves ([`held_nodes`]); a value waits for the operators that take it ([`operands`]).
//! 3. [`links`] makes chains of nodes, [`runner`] runs them: the selection is listed and ordered, cut
//!    into shares by content ([`share`]); its series are read and run through the stages ([`stage_run`])
//!    on several threads and given to the shares' sinks in order ([`wave`]); what these gathered is
//!    merged along a fixed tree.
//! 4. [`lookup`], [`range`], [`vector`], [`binary`] and [`aggregate`] compute.
//!
//! # What holds its input
//!
//! With `n` series that go in, `g` groups and `s` steps; a float takes 8 bytes. A sink has up to
//! sixteen shares, each of which holds what is said of one.
//!
//! | operator | holds |
//! |---|---|
//! | selectors, functions of range vectors, math, dates, `histogram_avg` and the like, label functions, vector with scalar | no values but those of a wave ([`wave`]), about 4 MiB: they stream. Where labels change (label functions; names that are dropped at once), a label set for each series, and `n` x `s` if two become equal |
//! | functions over subqueries of what streams | one series of the inner steps a thread, counted at 40 bytes a step |
//! | functions over other subqueries | the operand at the inner steps |
//! | `sum`, `avg`, `count`, `min`, `max`, `group`, `stddev`, `stdvar` | `g` x `s` a share |
//! | `topk`, `bottomk`, `limitk` | `k` x `g` x `s` a share; `topk` and `bottomk` also what was driven out, at worst their input |
//! | `limit_ratio` | its output |
//! | `quantile` | its input |
//! | `count_values` | different values x `s` |
//! | `absent`, `absent_over_time`, `scalar` | `s` a share |
//! | `sort` and its kin, `histogram_quantile`, `histogram_quantiles`, `histogram_fraction`, operators between vectors, `info` | all operands: `n` x `s` |
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
mod changed_labels;
mod engine;
pub(crate) mod grid;
mod held_nodes;
mod links;
mod lookup;
mod merge;
mod meter;
mod operands;
mod ordered_list;
mod outline;
mod query;
pub(crate) mod range;
mod run;
mod runner;
mod sample_buffer;
mod samples;
mod share;
mod sink;
mod smoothed;
mod stage_run;
mod statistics;
mod threads;
pub(crate) mod vector;
mod vector_calls;
mod wave;

pub use engine::Engine;
pub use meter::Limits;
pub use query::{Answer, Query, QueryValue, ResultSeries};
