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
    format_duration, parse, parse_duration, parse_selector, parse_series_labels,
};
pub use value::{LabelSet, Point, Series, StepColumn};
