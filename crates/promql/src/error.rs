//! The error of a text that cannot be parsed: where, and why.

use std::fmt;

use crate::ast::Span;

/// Why a query, a selector or a series description was refused.
///
/// Prints as Prometheus does: `1:5: parse error: unexpected end of input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// The part of the text that is wrong, in bytes; empty where something is missing.
    pub span: Span,
    /// The line of the start of the span, from 1; 0 if the text is empty.
    pub line: usize,
    /// The column of the start of the span, in bytes from 1; 0 if the text is empty.
    pub column: usize,
    /// What is wrong there, in the words of Prometheus where it has the same error.
    pub message: String,
}

impl ParseError {
    /// Places `fault` in `text`.
    pub(crate) fn new(text: &str, fault: Fault) -> Self {
        let (line, column) =
            if text.is_empty() { (0, 0) } else { fault.span.line_and_column(text) };
        Self { span: fault.span, line, column, message: fault.message }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            write!(f, "unknown position: parse error: {}", self.message)
        } else {
            write!(f, "{}:{}: parse error: {}", self.line, self.column, self.message)
        }
    }
}

impl std::error::Error for ParseError {}

/// An error before it is placed in the text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) span: Span,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(span: Span, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}
