//! The error of the line-oriented formats: which line, which column, why.

use std::borrow::Cow;
use std::fmt;

/// Why a line was refused. Nothing of the line is used; lines before and after are unaffected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineError {
    /// The number of the line, as the caller counts them.
    pub line: u64,
    /// Where in the line, in characters from 1; a byte that is not UTF-8 counts as a character.
    pub column: usize,
    /// What is wrong there.
    pub message: Cow<'static, str>,
}

impl LineError {
    /// An error at byte `offset` of `text`, line `line` of the input.
    #[must_use]
    pub fn at(
        line: u64,
        text: &[u8],
        offset: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let before = &text[..offset.min(text.len())];
        let is_start = |byte: &&u8| (**byte & 0xC0) != 0x80;
        Self { line, column: before.iter().filter(is_start).count() + 1, message: message.into() }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for LineError {}

/// What is wrong in a line, before the reader of the line adds its number.
#[derive(Debug)]
pub(crate) struct Fault {
    /// Where in the line, in bytes.
    pub(crate) offset: usize,
    pub(crate) message: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self { offset, message: message.into() }
    }

    pub(crate) fn in_line(self, line: u64, text: &[u8]) -> LineError {
        LineError::at(line, text, self.offset, self.message)
    }
}

/// Checks what both line formats ask of a line as a whole: its encoding.
pub(crate) fn checked_text(line: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(line)
        .map_err(|e| Fault::new(e.valid_up_to(), "the text is not valid UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_not_bytes() {
        let error = LineError::at(3, "دما x".as_bytes(), 7, "no");
        assert_eq!(error.to_string(), "line 3, column 5: no");
        assert_eq!(
            LineError::at(1, b"ab", 99, "end").column,
            3,
            "an offset past the end is the end"
        );
    }
}
