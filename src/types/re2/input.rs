//! The text of a pattern with a position in it, and the faults found there.

use std::ops::Range;

/// What is wrong with a pattern, and where.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::types) struct Fault {
    /// In bytes of the pattern.
    pub(in crate::types) span: Range<usize>,
    /// In the words of Go's `regexp/syntax`.
    pub(in crate::types) message: &'static str,
}

/// A pattern that is read from left to right.
pub(super) struct Input<'p> {
    pattern: &'p str,
    at: usize,
    /// Where the last `:]` is, so that a search for one that is not there costs nothing.
    last_class_end: Option<usize>,
}

impl<'p> Input<'p> {
    pub(super) fn new(pattern: &'p str) -> Self {
        Self { pattern, at: 0, last_class_end: pattern.rfind(":]") }
    }

    /// The position in bytes.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What is not read yet.
    pub(super) fn rest(&self) -> &'p str {
        &self.pattern[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Reads `text` if it comes next.
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let comes = self.rest().starts_with(text);
        if comes {
            self.at += text.len();
        }
        comes
    }

    /// Reads `bytes` bytes.
    ///
    /// # Panics
    /// If they do not end between two characters.
    pub(super) fn take(&mut self, bytes: usize) -> &'p str {
        let taken = &self.rest()[..bytes];
        self.at += bytes;
        taken
    }

    /// The name between `[:` and `:]`, if both are there.
    pub(super) fn posix_name(&mut self) -> Option<&'p str> {
        let name = self.rest().strip_prefix("[:")?;
        let last = self.last_class_end.filter(|&last| last >= self.at + 2);
        let end = last.and_then(|_| name.find(":]"))?;
        self.at += end + 4;
        Some(&name[..end])
    }

    /// A fault of what was read since `start`.
    pub(super) fn fault(&self, start: usize, message: &'static str) -> Fault {
        Fault { span: start..self.at, message }
    }

    /// A fault of everything from `start` to the end of the pattern.
    pub(super) fn fault_to_end(&self, start: usize, message: &'static str) -> Fault {
        Fault { span: start..self.pattern.len(), message }
    }
}
