//! Where a literal ends: numbers, lengths of time and strings.
//!
//! The rules are those of Prometheus's lexer. They accept a little more than the values that
//! [`number`](super::number) and [`duration`](super::duration) read afterwards, which then say what is
//! wrong.

use crate::ast::Span;
use crate::error::Fault;
use crate::quote::code_point;

/// For each byte, whether a name may hold it; a table, because most bytes of a query are in names.
static IN_NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || byte == b'_';
        byte += 1;
    }
    table
};

/// The length of the name at the start of `text`, without colons.
pub(super) fn name(text: &[u8]) -> usize {
    text.iter().position(|b| !IN_NAME[usize::from(*b)]).unwrap_or(text.len())
}

/// The length of the name at the start of `text`, colons included, and whether there is one.
pub(super) fn metric_name(text: &[u8]) -> (usize, bool) {
    let mut len = name(text);
    let has_colon = text.get(len) == Some(&b':');
    while text.get(len) == Some(&b':') {
        len += 1 + name(&text[len + 1..]);
    }
    (len, has_colon)
}

/// Scans a number that starts at `start`: whether there is one, and where the scan ended.
///
/// Decimal and hexadecimal digits, one point, one exponent, and underscores between digits. No letter
/// or digit may follow.
pub(super) fn number(text: &[u8], start: usize) -> (bool, usize) {
    let mut scan = Scan { text, at: start };
    let mut hex = false;
    if scan.accept(|b| b == b'0') && scan.accept(|b| matches!(b, b'x' | b'X')) {
        scan.accept(|b| b == b'_');
        hex = true;
    }
    let is_digit = |b: u8| if hex { b.is_ascii_hexdigit() } else { b.is_ascii_digit() };
    scan.accept(|b| b == b'.');
    scan.accept(is_digit);
    let (mut point, mut exponent) = (false, false);
    loop {
        match scan.peek() {
            b'.' => {
                scan.at += 1;
                if point || hex || scan.accept(|b| matches!(b, b'_' | b'.')) {
                    return (false, scan.at);
                }
                point = true;
            }
            b'e' | b'E' => {
                scan.at += 1;
                if exponent {
                    return (false, scan.at);
                }
                exponent = true;
                scan.accept(|b| matches!(b, b'+' | b'-'));
                if scan.refuses_next() {
                    return (false, scan.at);
                }
            }
            b'_' => {
                scan.at += 1;
                if scan.refuses_next() {
                    return (false, scan.at);
                }
            }
            byte if is_digit(byte) => while scan.accept(is_digit) {},
            b'p' | b'P' if hex => {
                scan.at += 1;
                scan.accept(|b| matches!(b, b'+' | b'-'));
                while scan.accept(|b| b.is_ascii_digit() || b == b'_') {}
                break;
            }
            _ => break,
        }
    }
    (scan.at != start && !is_alphanumeric(scan.peek()), scan.at)
}

/// Scans the units and further numbers of a length of time whose first number ended at `start`: its
/// end, or where it stops to be one.
pub(super) fn duration(text: &[u8], start: usize) -> Result<usize, usize> {
    let mut scan = Scan { text, at: start };
    let mut units: &[u8] = b"smhdwy";
    loop {
        if !scan.accept(|b| units.contains(&b)) {
            return Err(scan.at);
        }
        // The second letter of `ms`; behind another unit it is refused with the value.
        scan.accept(|b| b == b's');
        if !scan.accept(|b| b.is_ascii_digit()) {
            break;
        }
        while scan.accept(|b| b.is_ascii_digit()) {}
        units = b"smhdw";
    }
    if is_alphanumeric(scan.peek()) { Err(scan.at + 1) } else { Ok(scan.at) }
}

/// The length of the string that starts at `start`, quotes included; its escapes are valid.
pub(super) fn string(text: &str, start: usize) -> Result<usize, Fault> {
    let bytes = &text.as_bytes()[start..];
    let quote = bytes[0];
    let raw = quote == b'`';
    let fault = |end: usize, message: String| {
        Err(Fault::new(Span::new(start, start + end.min(bytes.len())), message))
    };
    let mut at = 1;
    loop {
        match bytes.get(at) {
            Some(b) if *b == quote => return Ok(at + 1),
            Some(b'\\') if !raw => match escape(&text[start..], at + 1, quote) {
                Ok(end) => at = end,
                Err(message) => return fault(at + 1, message),
            },
            None if raw => return fault(at, "unterminated raw string".to_owned()),
            Some(b'\n') if !raw => return fault(at, "unterminated quoted string".to_owned()),
            None => return fault(at, "unterminated quoted string".to_owned()),
            Some(_) => at += 1,
        }
    }
}

/// Where the escape ends whose backslash stands before `at`.
fn escape(text: &str, at: usize, quote: u8) -> Result<usize, String> {
    const NOT_TERMINATED: &str = "escape sequence not terminated";
    let Some(kind) = text[at..].chars().next() else { return Err(NOT_TERMINATED.to_owned()) };
    let (skip, digits, radix) = match kind {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(at + 1),
        _ if kind == char::from(quote) => return Ok(at + 1),
        '0'..='7' => (0, 3, 8),
        'x' => (1, 2, 16),
        'u' => (1, 4, 16),
        'U' => (1, 8, 16),
        _ => return Err(format!("unknown escape sequence {}", code_point(kind))),
    };
    let mut value = 0u32;
    let mut chars = text[at + skip..].chars();
    for _ in 0..digits {
        let c = chars.next().ok_or_else(|| NOT_TERMINATED.to_owned())?;
        let Some(digit) = c.to_digit(radix) else {
            return Err(format!("illegal character {} in escape sequence", code_point(c)));
        };
        // Eight hexadecimal digits fill the 32 bits.
        value = value.wrapping_mul(radix) | digit;
    }
    let is_byte = digits < 4;
    if if is_byte { value > 0xff } else { char::from_u32(value).is_none() } {
        return Err("escape sequence is an invalid Unicode code point".to_owned());
    }
    Ok(at + skip + digits)
}

fn is_alphanumeric(byte: u8) -> bool {
    IN_NAME[usize::from(byte)]
}

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    /// The next byte; 0, which no rule accepts, behind the end.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn accept(&mut self, is_valid: impl Fn(u8) -> bool) -> bool {
        let accepted = self.at < self.text.len() && is_valid(self.peek());
        self.at += usize::from(accepted);
        accepted
    }

    /// Whether what follows cannot stand behind an exponent's letter or an underscore. A wrong byte
    /// is taken, because messages show it.
    fn refuses_next(&mut self) -> bool {
        self.accept(|b| matches!(b, b'.' | b'_' | b'e' | b'E')) || self.at == self.text.len()
    }
}
