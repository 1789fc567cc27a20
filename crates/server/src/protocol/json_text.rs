//! A scanner of JSON (RFC 8259) over one line of UTF-8 text, for [`super::json_lines`].
//!
//! It builds no tree: the caller asks for what it expects next. Numbers keep their text, so that
//! integers of 64 bits stay exact. Values that nobody asked for are skipped without recursion.

use std::borrow::Cow;

use super::line_error::Fault;

/// Deepest nesting inside a value that is skipped: one bit of a word a level.
const DEPTH_MAX: u32 = 64;

/// A line and the place in it.
pub(super) struct Scanner<'a> {
    text: &'a str,
    /// A byte offset, always at the start of a character.
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The byte offset of what comes next.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// An error at the current place.
    pub(super) fn fault(&self, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(self.at, message)
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte after white space, `None` at the end of the line.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        while matches!(self.byte(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes `byte`, which is ASCII, if it is next.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes `byte` or fails with `message`.
    pub(super) fn expect(&mut self, byte: u8, message: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.fault(message)) }
    }

    /// After an element: whether another follows (`,`) or the end (`close`) was taken.
    #[inline]
    pub(super) fn another(&mut self, close: u8) -> Result<bool, Fault> {
        if self.take(b',') {
            return Ok(true);
        }
        if self.take(close) {
            return Ok(false);
        }
        Err(self.fault(format!("expected ',' or '{}'", char::from(close))))
    }

    /// Takes `null` if it is next.
    pub(super) fn take_null(&mut self) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(b"null");
        self.at += if found { 4 } else { 0 };
        found
    }

    /// A string, whose opening quote must be next: a part of the line, or `scratch` if it holds
    /// escapes.
    #[inline]
    pub(super) fn string<'s>(&mut self, scratch: &'s mut String) -> Result<&'s str, Fault>
    where
        'a: 's,
    {
        self.expect(b'"', "expected '\"'")?;
        let rest = &self.text[self.at..];
        let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
        match plain {
            Some(len) if rest.as_bytes()[len] == b'"' => {
                self.at += len + 1;
                Ok(&rest[..len])
            }
            _ => {
                scratch.clear();
                self.escaped_string(scratch)?;
                Ok(scratch)
            }
        }
    }

    /// The rest of a string after its opening quote, appended to `out`.
    fn escaped_string(&mut self, out: &mut String) -> Result<(), Fault> {
        let start = self.at - 1;
        loop {
            let rest = &self.text[self.at..];
            let len = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20);
            let Some(len) = len else { return Err(Fault::new(start, "the string is not closed")) };
            out.push_str(&rest[..len]);
            self.at += len;
            match rest.as_bytes()[len] {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => out.push(self.escape()?),
                _ => return Err(self.fault("a control character in a string must be escaped")),
            }
        }
    }

    /// The character that an escape stands for; the backslash is next.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        let kind = self.text.as_bytes().get(start + 1);
        self.at += 2;
        Ok(match kind {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(*c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode_escape(start),
            _ => return Err(Fault::new(start, "an escape that JSON does not have")),
        })
    }

    /// The character after `\u`, which may be half of a surrogate pair.
    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let first = self.four_digits(start)?;
        let code = if (0xD800..0xDC00).contains(&first) {
            let low = if self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                self.at += 2;
                self.four_digits(start)?
            } else {
                0
            };
            match low {
                0xDC00..0xE000 => 0x1_0000 + ((first - 0xD800) << 10) + (low - 0xDC00),
                _ => first,
            }
        } else {
            first
        };
        char::from_u32(code).ok_or(Fault::new(start, "half of a surrogate pair"))
    }

    fn four_digits(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut code = 0;
        for &digit in digits {
            let digit = char::from(digit).to_digit(16);
            code =
                code << 4 | digit.ok_or(Fault::new(start, "\\u needs four hexadecimal digits"))?;
        }
        if digits.len() < 4 {
            return Err(Fault::new(start, "\\u needs four hexadecimal digits"));
        }
        self.at += 4;
        Ok(code)
    }

    /// The text of a number in JSON's notation.
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        self.peek();
        let start = self.at;
        self.at += usize::from(self.byte() == Some(b'-'));
        let first = self.byte();
        if self.digits() == 0 {
            return Err(Fault::new(start, "expected a number"));
        }
        let integer = &self.text[start..self.at];
        if first == Some(b'0') && integer.trim_start_matches('-').len() > 1 {
            return Err(Fault::new(start, "a number must not start with a needless zero"));
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            if self.digits() == 0 {
                return Err(self.fault("expected a digit after the point"));
            }
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.byte(), Some(b'+' | b'-')));
            if self.digits() == 0 {
                return Err(self.fault("expected a digit of the exponent"));
            }
        }
        Ok(&self.text[start..self.at])
    }

    /// Takes decimal digits and says how many.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.byte(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    /// An integer of 64 bits, exact.
    #[inline]
    pub(super) fn integer(&mut self) -> Result<i64, Fault> {
        self.peek();
        // Thirteen digits are the milliseconds of our century: read without the general path.
        let bytes = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if let Some((digits, [b',' | b']', ..])) = bytes.split_first_chunk::<13>()
            && digits[0] != b'0'
            && digits.iter().all(u8::is_ascii_digit)
        {
            self.at += 13;
            return Ok(digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')));
        }
        let start = self.at;
        let text = self.number()?;
        let message = "expected a 64-bit integer";
        text.parse().map_err(|_| Fault::new(start, message))
    }

    /// Skips a value of any kind.
    pub(super) fn skip_value(&mut self, scratch: &mut String) -> Result<(), Fault> {
        // A bit for each open bracket, the innermost lowest: set for an object.
        let (mut objects, mut depth) = (0u64, 0u32);
        loop {
            let opened = match self.peek() {
                Some(b @ (b'{' | b'[')) => {
                    self.open(b, &mut objects, &mut depth)?;
                    true
                }
                _ => {
                    self.skip_scalar(scratch)?;
                    false
                }
            };
            let mut first = opened;
            // Close what ends here; stop where the next value starts.
            loop {
                if depth == 0 {
                    return Ok(());
                }
                let close = if objects & 1 == 1 { b'}' } else { b']' };
                let more = if first { !self.take(close) } else { self.another(close)? };
                first = false;
                if more {
                    break;
                }
                objects >>= 1;
                depth -= 1;
            }
            if objects & 1 == 1 {
                self.string(scratch)?;
                self.expect(b':', "expected ':'")?;
            }
        }
    }

    fn open(&mut self, bracket: u8, objects: &mut u64, depth: &mut u32) -> Result<(), Fault> {
        if *depth == DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.at += 1;
        *depth += 1;
        *objects = *objects << 1 | u64::from(bracket == b'{');
        Ok(())
    }

    fn skip_scalar(&mut self, scratch: &mut String) -> Result<(), Fault> {
        match self.byte() {
            Some(b'"') => return self.string(scratch).map(|_| ()),
            Some(b'-' | b'0'..=b'9') => return self.number().map(|_| ()),
            _ => {}
        }
        for word in ["null", "true", "false"] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(());
            }
        }
        Err(self.fault("expected a value"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether `text` is one JSON value to the scanner.
    fn accepts(text: &str) -> bool {
        let mut scanner = Scanner::new(text);
        scanner.skip_value(&mut String::new()).is_ok() && scanner.peek().is_none()
    }

    fn string(text: &str) -> Result<String, String> {
        let mut scratch = String::new();
        let read = Scanner::new(text).string(&mut scratch).map(str::to_owned);
        read.map_err(|e| format!("{}: {}", e.offset, e.message))
    }

    #[test]
    fn escapes_are_those_of_json() {
        assert_eq!(
            string(r#""a\"\\\/\b\f\n\r\t\u0041\u00e9""#).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\tAé"
        );
        assert_eq!(string(r#""\ud83d\ude00\u200C""#).unwrap(), "😀\u{200c}");
        for (text, error) in [
            (r#""a\ud83d""#, "2: half of a surrogate pair"),
            (r#""\ude00""#, "1: half of a surrogate pair"),
            (r#""\ud83d\u0041""#, "1: half of a surrogate pair"),
            (r#""\u12""#, "1: \\u needs four hexadecimal digits"),
            (r#""\u+123""#, "1: \\u needs four hexadecimal digits"),
            (r#""\u12"#, "1: \\u needs four hexadecimal digits"),
            (r#""\x""#, "1: an escape that JSON does not have"),
            (r#""\م""#, "1: an escape that JSON does not have"),
            ("\"a\tb\"", "2: a control character in a string must be escaped"),
            ("\"abc", "0: the string is not closed"),
            ("\"abc\\", "4: an escape that JSON does not have"),
            ("abc", "0: expected '\"'"),
        ] {
            assert_eq!(string(text), Err(error.to_string()), "{text}");
        }
    }

    #[test]
    fn integers_are_exact_at_their_ends() {
        let integer = |text: &str| Scanner::new(text).integer().map_err(|e| e.message.into_owned());
        for n in [i64::MIN, i64::MAX, 0, -1, (1 << 53) + 1, 1_700_000_000_123, 9_999_999_999_999] {
            assert_eq!(integer(&format!("{n},")), Ok(n));
            assert_eq!(integer(&format!(" {n}")), Ok(n));
        }
        for bad in ["9223372036854775808", "1.0", "1e3", "1700000000000.0,"] {
            assert_eq!(integer(bad), Err("expected a 64-bit integer".to_string()), "{bad}");
        }
        assert!(integer("0123456789012,").is_err());
        assert!(integer("\"1\"").is_err());
    }

    #[test]
    fn nesting_is_bounded_and_not_recursive() {
        let nested = |n: usize| "[{\"a\":".repeat(n) + "1" + &"}]".repeat(n);
        assert!(accepts(&nested(32)));
        assert!(!accepts(&nested(33)));
        assert!(!accepts(&"[".repeat(1_000_000)));
    }

    proptest! {
        #[test]
        fn skipping_agrees_with_serde_json(text in "[\\[\\]{}:, \"a\\\\u0-9.eE+tnl-]{0,12}") {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            // It also refuses what is well-formed: numbers beyond f64.
            if !theirs.as_ref().is_err_and(|e| e.to_string().contains("out of range")) {
                prop_assert_eq!(accepts(&text), theirs.is_ok(), "{:?}", theirs);
            }
        }

        #[test]
        fn what_serde_json_writes_is_skipped_and_read(text: String, numbers: Vec<f64>) {
            let value = serde_json::json!({ "a": [text, null, { text.clone(): numbers }], "b": {} });
            prop_assert!(accepts(&value.to_string()));
            prop_assert!(accepts(&serde_json::to_string_pretty(&value).unwrap()));
            let quoted = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(string(&quoted), Ok(text));
        }
    }
}
