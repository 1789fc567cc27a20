//! The Prometheus query language.
//!
//! [`Query::parse`] reads a query, [`Engine`] evaluates it over any [`Queryable`] source of series:
//! the crate knows the types of Siltstone's engine and no store. [`parse_selector`] reads a selector
//! alone, as in `match[]`, into [`siltstone::Matcher`]s; [`print()`] and [`pretty`] write a query back.
//!
//! The language is that of Prometheus 3.14, its experimental parts included, which [`Features`]
//! switch on by Prometheus's flags.
//!
//! # A tour
//!
//! 1. [`parse`] turns text into an [`ast::Ast`] and checks its types.
//! 2. `plan` turns that, for given times, into nodes that know at which steps they are evaluated.
//! 3. `eval` runs the plan over columns: [`Engine`].
//! 4. [`source`] is where series come from, [`histogram`] and [`LabelSet`] what is computed with.
//!
//! # How a query is evaluated
//!
//! `crates/promql` is the language of Prometheus 3.14 over any source of series. It knows no store:
//! an embedder implements `Queryable`, which lists a selection's label sets and then hands over one
//! series after the other as columns.
//!
//! 1. `syntax` reads a query into an `ast::Ast` and checks its types. The tree is a vector,
//!    operands before operators, so that no pass over it recurses. `printer` writes it back.
//! 2. `plan` makes nodes of it for given times. Each node knows its *grid*: the steps at which it
//!    is evaluated, also inside subqueries. Parts that do not depend on the step are evaluated at
//!    one, constants are folded, equal reads are shared. `Engine::explain` prints it.
//! 3. `eval` runs the nodes. Values are columns over all steps, never a vector for each step. A
//!    *chain* of functions that make one series of one series is not held: it takes series from a
//!    selection and gives them to a *sink*, an aggregation or the collection of a result.
//! 4. `histogram` is the native histogram as a value; `value` label sets and columns; `annotations`
//!    Prometheus's warnings.
//!
//! *Answers do not depend on threads, memory or layout.* The series of a chain are cut into sixteen
//! shares by a hash of the labels that the sink sees, without the metric's name; the sink of a
//! share takes its series in Prometheus's order of labels, and sinks are merged along one fixed
//! tree. Threads only decide what runs at the same time. A source reads neighbours best in an order
//! of its own, so series are taken in *waves* (`eval/wave.rs`): some hundred that follow each other
//! in Prometheus's order are read and computed as the source has them, put back into order, and
//! given to their sinks. (Prometheus adds all series one after the other: sums differ from its in
//! the last bits.)
//!
//! *Labels that the result keeps* (`plan/label_use.rs`, `source/kept.rs`): under `sum by (job)` a
//! source is told that of labels only the job matters. While it reads all of them once, it takes
//! what is kept, the hash that says the share, and how long a beginning neighbours have in common:
//! from these lengths follows Prometheus's order, which is not that of the bytes. So nothing else
//! of a million label sets is held, and answers have the same bits. Where names go and two series
//! might then be the same, which is an error, all labels are listed.
//!
//! *Sums in windows* that overlap are kept as two stacks of partial sums with their compensation;
//! nothing is subtracted that left a window, so that Inf, NaN and cancellation stay where they are.
//! Each window is cut in two at the multiple of its length that it holds, so that its bits do not
//! depend on which windows came before. Whole numbers are the exception: as long as their
//! magnitudes add up to 2^51 at most, no sum of them is rounded, so differences of sums from the
//! start of the series have the same bits (`eval/range/exact_sums.rs`).
//!
//! *Threads.* An evaluation stays on the thread of its caller; lists of 64 series and more, and
//! operators between large vectors, go to the store's pool. Handing a small query over cost more
//! than evaluating it.
//!
//! *What is held is metered* (`eval/meter.rs`): values, scalars, labels that a query makes, what
//! sinks gather, the result. Beyond a limit the query is refused. Scalars, repeated parts and what
//! operators between vectors and histogram functions make are counted before they are there; what a
//! sink gathers, labels and lists right behind. The labels of a list, and for each thread the
//! columns of the series that it is at, are counted by a source that has an account for it, as a
//! store's is. Time and cancellation are looked at between series, and in long work by a ticker.
//!
//! *A step is a matter of itself* (`plan/reach.rs`): of most range queries the value at a step has
//! the same bits whatever other steps are evaluated with it, and depends on samples in a known
//! reach around it only. A walk over the tree decides which; what it cannot be sure of has no
//! reach. To that end held series go to aggregations in the order of their labels when a query is
//! over a range (an instant one keeps Prometheus's order of groups, which over a range depends on
//! the first step of each), and buckets with equal bounds are added up in the order of their texts.
//! Without a reach are `@`, `start()`, `end()`, `range()`, computed lengths, `info`, `sort`,
//! `limitk`, `limit_ratio`, `anchored` and `smoothed`, fill modifiers, delayed name removal, a
//! computed parameter of `topk`, `deriv` and `predict_linear`, functions of windows over series of
//! several names (two that become one are refused for the whole range), and sums over a selection
//! whose labels `label_replace` changes.
//!

mod annotations;
pub mod ast;
mod error;
mod eval;
mod flags;
pub mod functions;
pub mod go_float;
pub mod histogram;
mod plan;
mod printer;
mod query_error;
mod quote;
pub mod source;
mod syntax;
mod value;

pub use annotations::{Annotation, Annotations, HistogramOperation, Severity};
pub use error::ParseError;
pub use eval::{Answer, Engine, Limits, Query, QueryValue, ResultSeries};
pub use flags::Features;
pub use plan::Reach;
pub use printer::{pretty, print};
pub use query_error::QueryError;
pub use source::{Control, Hints, MemorySource, Queryable, SelectRequest, SeriesList};
pub use syntax::{
    DEPTH_MAX, INPUT_BYTES_MAX, MATCHERS_MAX, NODES_MAX, QUERY_BYTES_MAX, REGEXES_MAX,
    format_duration, parse, parse_duration, parse_selector, parse_selector_with,
    parse_series_labels, parse_with, tree_bytes_max,
};
pub use value::{LabelSet, Point, Series, StepColumn};
