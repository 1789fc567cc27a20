//! The Prometheus query language.
//!
//! [`parse`] turns a query into an [`Ast`](ast::Ast) that has passed the type checker; [`print`] and
//! [`pretty`] write it back. [`parse_selector`] reads a selector alone, as in `match[]`, into
//! [`siltstone::Matcher`]s.

pub mod ast;
mod error;
mod flags;
pub mod functions;
pub mod go_float;
pub mod histogram;
mod printer;
mod quote;
mod syntax;

pub use error::ParseError;
pub use flags::Features;
pub use printer::{pretty, print};
pub use syntax::{
    DEPTH_MAX, INPUT_BYTES_MAX, MATCHERS_MAX, NODES_MAX, QUERY_BYTES_MAX, REGEXES_MAX, parse,
    parse_selector, parse_series_labels,
};
