//! The error of a text that cannot be parsed: where, and why.

use std::fmt;
use std::ops::Range;

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectorError {
    /// The part of the input that is wrong, in bytes; empty where something is missing.
    pub span: Range<usize>,
    /// The line of the start of the span, from 1.
    pub line: usize,
    /// The column of the start of the span, in characters from 1.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl SelectorError {
    /// Places `fault` in `input`.
    pub(crate) fn new(input: &str, fault: Fault) -> Self {
        let before = input.get(..fault.span.start).unwrap_or(input);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            span: fault.span,
            message: fault.message,
        }
    }
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for SelectorError {}

/// An error before it is placed in the input.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
}

impl Fault {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into() }
    }
}
