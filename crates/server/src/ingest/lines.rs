//! Splits a stream into lines of bounded length.

use std::io::{self, BufRead};

/// Reads lines into one buffer, which never grows beyond the limit.
#[derive(Debug)]
pub(super) struct LineReader {
    line: Vec<u8>,
    bytes_max: usize,
    number: u64,
}

/// What was read.
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

impl LineReader {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { line: Vec::new(), bytes_max, number: 0 }
    }

    /// Counts lines from 1 again.
    pub(super) fn restart(&mut self) {
        self.number = 0;
    }

    /// The next line, or `None` at the end.
    pub(super) fn next(&mut self, input: &mut impl BufRead) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut too_long = false;
        let mut any = false;
        loop {
            let bytes = match input.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if bytes.is_empty() {
                break;
            }
            any = true;
            let end = bytes.iter().position(|b| *b == b'\n');
            let text = &bytes[..end.unwrap_or(bytes.len())];
            too_long |= text.len() > self.bytes_max - self.line.len();
            if !too_long {
                self.line.extend_from_slice(text);
            }
            let consumed = end.map_or(bytes.len(), |at| at + 1);
            input.consume(consumed);
            if end.is_some() {
                break;
            }
        }
        if !any {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(if too_long {
            Line::TooLong { number: self.number, limit: self.bytes_max }
        } else {
            Line::Text(&self.line, self.number)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, bytes_max: usize, piece: usize) -> Vec<String> {
        let mut input = io::BufReader::with_capacity(piece, text.as_bytes());
        let mut reader = LineReader::new(bytes_max);
        let mut found = Vec::new();
        while let Some(line) = reader.next(&mut input).unwrap() {
            found.push(match line {
                Line::Text(text, n) => format!("{n}:{}", String::from_utf8_lossy(text)),
                Line::TooLong { number, .. } => format!("{number}!"),
            });
            assert!(reader.line.len() <= bytes_max);
        }
        found
    }

    #[test]
    fn lines_in_pieces_of_every_size() {
        for piece in 1..12 {
            assert_eq!(
                lines("ab\n\nabcdef\nx\nabcd", 4, piece),
                ["1:ab", "2:", "3!", "4:x", "5:abcd"]
            );
        }
        assert!(lines("", 4, 8).is_empty());
        assert_eq!(lines("\n", 4, 8), ["1:"]);
        assert_eq!(lines("abcdefgh", 4, 3), ["1!"], "too long and without an end");
    }
}
