//! Lines of a text body that has not told yet in which unit its times are.
//!
//! The text format has milliseconds, OpenMetrics seconds, and a body may come without a header that says which it
//! is. What decides then, in a stream that is written as it is read:
//!
//! * A time that lies in or after 2000 as milliseconds is milliseconds: as seconds it would lie behind the year
//!   29,000. Its line is written at once.
//! * Other lines with times are held, up to [`HELD_BYTES_MAX`]. The line `# EOF` makes all that is held OpenMetrics:
//!   seconds. It ends a page; several may follow each other.
//! * At the end of a body they are milliseconds after all, except times that would be seconds of our days: those
//!   are refused, for as milliseconds they would all lie in January and February 1970.
//! * What does not fit is read as at the end; if `# EOF` then comes, the answer says so as a refusal.
//!
//! Nothing is so stored under a time that was meant otherwise without the answer saying it.

/// Bytes of lines that are held.
const HELD_BYTES_MAX: usize = 1 << 20;
/// Bytes that a line takes besides its text.
const LINE_BYTES: usize = size_of::<(usize, u64)>();

/// The start of the year 2000, in seconds; times before it are rarely meant.
pub(super) const YEAR_2000_S: i64 = 946_684_800;
/// The start of the year 2100, in seconds.
const YEAR_2100_S: i64 = 4_102_444_800;
/// The last millisecond of the year 9999.
const YEAR_9999_MS: i64 = 253_402_300_799_999;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Undecided {
    text: Vec<u8>,
    /// Where each line ends in `text`, and its number.
    lines: Vec<(usize, u64)>,
    /// The first line since the last `# EOF` that did not fit.
    overflow: Option<u64>,
}

impl Undecided {
    /// Keeps a line; false if there is no room for it.
    pub(super) fn hold(&mut self, line: &[u8], number: u64) -> bool {
        if self.overflow.is_some() || self.len() + line.len() + LINE_BYTES > HELD_BYTES_MAX {
            self.overflow.get_or_insert(number);
            return false;
        }
        self.text.extend_from_slice(line);
        self.lines.push((self.text.len(), number));
        true
    }

    fn len(&self) -> usize {
        self.text.len() + self.lines.len() * LINE_BYTES
    }

    /// The first line that did not fit.
    pub(super) fn overflow(&self) -> Option<u64> {
        self.overflow
    }

    /// The lines in the order in which they came, with their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&[u8], u64)> {
        let mut start = 0;
        self.lines.iter().map(move |&(end, number)| {
            let line = &self.text[start..end];
            start = end;
            (line, number)
        })
    }

    /// Bytes of heap held.
    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + self.lines.capacity() * LINE_BYTES
    }
}

/// Whether a line ends a page of OpenMetrics.
pub(super) fn is_end_of_page(line: &[u8]) -> bool {
    line.trim_ascii_end() == b"# EOF"
}

/// Whether a time in milliseconds can be nothing else.
pub(super) fn is_surely_ms(ms: i64) -> bool {
    ms >= YEAR_2000_S * 1000
}

/// Whether a number that should be milliseconds would be seconds of our days.
pub(super) fn looks_like_seconds(ms: i64) -> bool {
    (YEAR_2000_S..YEAR_2100_S).contains(&ms)
}

/// Whether a number that should be seconds, here as milliseconds, is further off than any calendar goes.
pub(super) fn looks_like_ms(ms: i64) -> bool {
    ms > YEAR_9999_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded() {
        let mut held = Undecided::default();
        let line = [b'x'; 100];
        let mut count = 0;
        while held.hold(&line, count) {
            count += 1;
        }
        assert!((8000..11_000).contains(&count), "{count}");
        assert_eq!(held.overflow(), Some(count));
        assert!(!held.hold(b"x", count + 1), "the order is kept");
        let lines: Vec<_> = held.lines().collect();
        assert_eq!((lines.len() as u64, lines[7]), (count, (&line[..], 7)));
        assert!(held.bytes() <= 2 * HELD_BYTES_MAX);
    }

    #[test]
    fn the_end_of_a_page_has_one_form() {
        assert!(is_end_of_page(b"# EOF") && is_end_of_page(b"# EOF\r"));
        for other in [&b"# EOF x"[..], b"#EOF", b" # EOF", b"# eof", b""] {
            assert!(!is_end_of_page(other));
        }
    }
}
