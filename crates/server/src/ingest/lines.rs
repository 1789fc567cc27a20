//! Splits bytes that come in pieces into lines of bounded length.

/// Bytes that a buffer keeps when its line has been read.
const KEPT_BYTES: usize = 64 << 10;
/// A buffer that is full grows by this part of itself at least: what is not used of it counts, too.
const GROWTH_PART: usize = 4;

/// Puts the pieces of a line together in one buffer, which never holds more than the limit; a line that lies
/// within one piece is not copied.
#[derive(Debug)]
pub(super) struct LineSplitter {
    /// The line that has begun.
    line: Vec<u8>,
    bytes_max: usize,
    number: u64,
    /// Whether bytes of the present line have come.
    begun: bool,
    /// Whether it is too long already.
    too_long: bool,
}

/// A line that has ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// A line without its end, and its number from 1.
    Text(&'a [u8], u64),
    /// A line that was skipped.
    TooLong {
        /// Its number from 1.
        number: u64,
        /// Most bytes of a line.
        limit: usize,
    },
}

impl LineSplitter {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { line: Vec::new(), bytes_max, number: 0, begun: false, too_long: false }
    }

    /// Counts lines from 1 again, and forgets a line that has begun.
    pub(super) fn restart(&mut self) {
        self.number = 0;
        self.begin();
    }

    /// Bytes of heap held.
    pub(super) fn bytes(&self) -> usize {
        self.line.capacity()
    }

    /// The next line that ends within `input`, of which its bytes are taken; without one, all of `input` is.
    pub(super) fn next<'l, 'b: 'l>(&'l mut self, input: &mut &'b [u8]) -> Option<Line<'l>> {
        if !self.begun && !self.line.is_empty() {
            self.begin();
        }
        let Some(end) = input.iter().position(|byte| *byte == b'\n') else {
            self.begun |= !input.is_empty();
            self.push(input);
            *input = &[];
            return None;
        };
        let text = &input[..end];
        *input = &input[end + 1..];
        if !self.begun && text.len() <= self.bytes_max {
            self.number += 1;
            return Some(Line::Text(text, self.number));
        }
        self.push(text);
        Some(self.ended())
    }

    /// The last line, if it has no end of its own.
    pub(super) fn last(&mut self) -> Option<Line<'_>> {
        self.begun.then(|| self.ended())
    }

    fn push(&mut self, text: &[u8]) {
        self.too_long |= text.len() > self.bytes_max - self.line.len();
        if self.too_long {
            self.line = Vec::new();
            return;
        }
        if self.line.capacity() - self.line.len() < text.len() {
            let room = self.bytes_max - self.line.len();
            self.line.reserve_exact(text.len().max(self.line.len() / GROWTH_PART).min(room));
        }
        self.line.extend_from_slice(text);
    }

    /// The present line has ended; its bytes stay until the next one begins.
    fn ended(&mut self) -> Line<'_> {
        self.number += 1;
        self.begun = false;
        if std::mem::take(&mut self.too_long) {
            Line::TooLong { number: self.number, limit: self.bytes_max }
        } else {
            Line::Text(&self.line, self.number)
        }
    }

    fn begin(&mut self) {
        self.line.clear();
        self.line.shrink_to(KEPT_BYTES);
        (self.begun, self.too_long) = (false, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, bytes_max: usize, piece: usize) -> Vec<String> {
        let mut splitter = LineSplitter::new(bytes_max);
        let mut found = Vec::new();
        let shown = |line: Line<'_>| match line {
            Line::Text(text, n) => format!("{n}:{}", String::from_utf8_lossy(text)),
            Line::TooLong { number, .. } => format!("{number}!"),
        };
        for mut piece in text.as_bytes().chunks(piece) {
            while let Some(line) = splitter.next(&mut piece) {
                found.push(shown(line));
            }
            assert!(splitter.line.len() <= bytes_max);
        }
        found.extend(splitter.last().map(shown));
        found
    }

    #[test]
    fn lines_in_pieces_of_every_size() {
        for piece in 1..24 {
            assert_eq!(
                lines("ab\n\nabcdef\nx\nabcd", 4, piece),
                ["1:ab", "2:", "3!", "4:x", "5:abcd"]
            );
        }
        assert!(lines("", 4, 8).is_empty());
        assert_eq!(lines("\n", 4, 8), ["1:"]);
        assert_eq!(lines("abcdefgh", 4, 3), ["1!"], "too long and without an end");
        assert_eq!(lines("abcdefgh\nab\n", 4, 3), ["1!", "2:ab"]);
    }

    #[test]
    fn a_line_that_arrives_holds_little_more_than_itself() {
        let mut splitter = LineSplitter::new(10 << 20);
        for piece in [b'x'; 9 << 20].chunks(4 << 10) {
            splitter.next(&mut &piece[..]);
            let held = splitter.line.len() + splitter.line.len() / GROWTH_PART;
            assert!(splitter.bytes() <= held.max(piece.len()).min(10 << 20));
        }
    }

    #[test]
    fn memory_of_a_long_line_is_given_back() {
        let mut splitter = LineSplitter::new(1 << 20);
        let mut long: &[u8] = &[b'x'; 1 << 20];
        assert_eq!(splitter.next(&mut long), None);
        assert!(splitter.bytes() >= 1 << 20);
        let mut rest: &[u8] = b"\nab";
        assert!(
            matches!(splitter.next(&mut rest), Some(Line::Text(text, 1)) if text.len() == 1 << 20)
        );
        assert_eq!(splitter.next(&mut rest), None);
        assert!(splitter.bytes() <= KEPT_BYTES);
        assert_eq!(splitter.last(), Some(Line::Text(b"ab", 2)));
    }
}
