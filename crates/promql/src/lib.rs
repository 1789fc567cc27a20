//! Selectors of the Prometheus query language.
//!
//! [`parse_selector`] turns `http_requests_total{job=~"api.*"}` into [`siltstone::Matcher`]s. Names and
//! label names outside `[a-zA-Z_:][a-zA-Z0-9_:]*` are quoted, as in Prometheus 3:
//! `{"دما", "شهر"="تهران"}`.

mod error;
pub mod go_float;
pub mod histogram;
mod lexer;
mod selector;
mod string_literal;

pub use error::SelectorError;
pub use selector::{INPUT_BYTES_MAX, MATCHERS_MAX, parse_selector};
