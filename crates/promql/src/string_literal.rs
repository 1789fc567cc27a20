//! The content of string literals: the escapes of Go in `"` and `'`, none in backticks.

use std::borrow::Cow;
use std::ops::Range;

use crate::error::Fault;

/// The text that `literal`, quotes included, stands for; `start` is its place in the input.
///
/// The lexer has made sure that it begins and ends with the same quote and that no backslash
/// escapes the last one.
pub(crate) fn unquote(literal: &str, start: usize) -> Result<Cow<'_, str>, Fault> {
    let content = &literal[1..literal.len() - 1];
    if literal.starts_with('`') || !content.contains('\\') {
        return Ok(content.into());
    }
    let quote = literal.as_bytes()[0];
    let mut out = Vec::with_capacity(content.len());
    let mut at = 0;
    while let Some(len) = content[at..].find('\\') {
        out.extend_from_slice(&content.as_bytes()[at..at + len]);
        at += len;
        let escape = Escape { text: content, at, quote };
        at = escape.push(&mut out).map_err(|(range, message)| {
            Fault::new(start + 1 + range.start..start + 1 + range.end, message)
        })?;
    }
    out.extend_from_slice(&content.as_bytes()[at..]);
    String::from_utf8(out).map(Cow::Owned).map_err(|_| {
        let span = start..start + literal.len();
        Fault::new(span, "the escapes of the string do not make valid UTF-8")
    })
}

/// Where an escape is wrong in the content of its string, and why.
type WrongEscape = (Range<usize>, &'static str);

/// A backslash at `at` of `text`, the content of a string in `quote`s.
struct Escape<'a> {
    text: &'a str,
    at: usize,
    quote: u8,
}

impl Escape<'_> {
    /// Appends what the escape stands for and returns where it ends.
    fn push(&self, out: &mut Vec<u8>) -> Result<usize, WrongEscape> {
        let kind = self.text[self.at + 1..].chars().next();
        let one = match kind {
            Some('a') => 7,
            Some('b') => 8,
            Some('f') => 12,
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('v') => 11,
            Some('\\') => b'\\',
            Some(c) if c == char::from(self.quote) => self.quote,
            Some('x') => return self.byte(2, 2, 16, out),
            Some('0'..='7') => return self.byte(1, 3, 8, out),
            Some('u') => return self.code_point(4, out),
            Some('U') => return self.code_point(8, out),
            other => {
                let end = self.at + 1 + other.map_or(0, char::len_utf8);
                return Err((self.at..end, "unknown escape sequence"));
            }
        };
        out.push(one);
        Ok(self.at + 2)
    }

    /// `\xHH` or `\ooo`: a byte, which need not be a character by itself.
    fn byte(
        &self,
        skip: usize,
        digits: usize,
        radix: u32,
        out: &mut Vec<u8>,
    ) -> Result<usize, WrongEscape> {
        let (value, range) = self.digits(skip, digits, radix)?;
        let end = range.end;
        out.push(u8::try_from(value).map_err(|_| (range, "an octal escape above \\377"))?);
        Ok(end)
    }

    /// `\uHHHH` or `\UHHHHHHHH`: a character.
    fn code_point(&self, digits: usize, out: &mut Vec<u8>) -> Result<usize, WrongEscape> {
        let (value, range) = self.digits(2, digits, 16)?;
        let end = range.end;
        let c = char::from_u32(value).ok_or((range, "the escape is no Unicode character"))?;
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(end)
    }

    /// Exactly `count` digits, at most eight, `skip` bytes after the backslash.
    fn digits(
        &self,
        skip: usize,
        count: usize,
        radix: u32,
    ) -> Result<(u32, Range<usize>), WrongEscape> {
        let start = self.at + skip;
        let mut value = 0u32;
        for i in 0..count {
            let digit = self.text.as_bytes().get(start + i).map(|b| char::from(*b));
            let Some(digit) = digit.and_then(|c| c.to_digit(radix)) else {
                return Err((self.at..start + i, "the escape sequence has too few digits"));
            };
            value = value.wrapping_mul(radix) | digit;
        }
        Ok((value, self.at..start + count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unquoted(literal: &str) -> Result<String, (Range<usize>, String)> {
        unquote(literal, 10).map(Cow::into_owned).map_err(|e| (e.span, e.message))
    }

    #[test]
    fn escapes_are_those_of_go() {
        for (literal, text) in [
            (r#""""#, ""),
            (r#""\a\b\f\n\r\t\v\\\"'""#, "\u{7}\u{8}\u{c}\n\r\t\u{b}\\\"'"),
            (r#"'\'"`'"#, "'\"`"),
            (r#""\x41\101\u0645\U0001F600\000""#, "AAم😀\0"),
            (r#""\xd8\xaf\330\xa7""#, "دا"),
            ("`\\d+\\n`", "\\d+\\n"),
            ("`a\nb`", "a\nb"),
            ("\"می\u{200c}خواهم \\t Йошкар\"", "می\u{200c}خواهم \t Йошкар"),
        ] {
            assert_eq!(unquoted(literal), Ok(text.to_string()), "{literal}");
        }
    }

    #[test]
    fn wrong_escapes_are_shown_where_they_are() {
        for (literal, span, message) in [
            (r#""a\d""#, 12..14, "unknown escape sequence"),
            (r#""\م""#, 11..14, "unknown escape sequence"),
            (r#""\'""#, 11..13, "unknown escape sequence"),
            (r#"'\"'"#, 11..13, "unknown escape sequence"),
            (r#""\8""#, 11..13, "unknown escape sequence"),
            (r#""\x4g""#, 11..14, "the escape sequence has too few digits"),
            (r#""\12""#, 11..14, "the escape sequence has too few digits"),
            (r#""\u123""#, 11..16, "the escape sequence has too few digits"),
            (r#""\400""#, 11..15, "an octal escape above \\377"),
            (r#""\ud800""#, 11..17, "the escape is no Unicode character"),
            (r#""\U00110000""#, 11..21, "the escape is no Unicode character"),
            (r#""\UFFFFFFFF""#, 11..21, "the escape is no Unicode character"),
            (r#""a\xc5z""#, 10..18, "the escapes of the string do not make valid UTF-8"),
        ] {
            assert_eq!(unquoted(literal), Err((span, message.to_string())), "{literal}");
        }
    }
}
