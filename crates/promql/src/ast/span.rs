//! Places in the text of a query.

use std::ops::Range;

/// A part of the query's text: bytes `start..end`, both at most the length limit of a query.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte behind the last.
    pub end: u32,
}

impl Span {
    /// The span of `start..end`. Texts longer than 4 GiB are refused long before.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let at = |byte: usize| u32::try_from(byte).unwrap_or(u32::MAX);
        Self { start: at(start), end: at(end) }
    }

    /// The smallest span that holds both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// As a range of bytes.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The line and the column of the start in `text`, both from 1, as Prometheus counts them: the
    /// column is in bytes since the line's start.
    #[must_use]
    pub fn line_and_column(self, text: &str) -> (usize, usize) {
        let start = (self.start as usize).min(text.len());
        let before = &text.as_bytes()[..start];
        let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        (before.iter().filter(|b| **b == b'\n').count() + 1, start - line_start + 1)
    }
}
