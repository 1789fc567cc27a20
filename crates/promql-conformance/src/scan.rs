//! Reads a line of a script from left to right: blanks, words, quoted strings, numbers, durations.

/// A line and how far it has been read.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// What has not been read.
    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    /// Reads `text` if it comes next.
    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Reads `text`, which must come next.
    pub(crate) fn expect(&mut self, text: &str) -> Result<(), String> {
        if self.eat(text) {
            Ok(())
        } else {
            Err(format!("expected {text:?} before {:?}", self.rest()))
        }
    }

    /// Reads the characters for which `belongs` holds.
    pub(crate) fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let len = rest.find(|c| !belongs(c)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Reads blanks; whether there was one.
    pub(crate) fn blanks(&mut self) -> bool {
        !self.take_while(|c| c == ' ' || c == '\t').is_empty()
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    /// Reads `[a-zA-Z_][a-zA-Z0-9_]*`, for metrics with colons; empty where none comes.
    pub(crate) fn identifier(&mut self, with_colons: bool) -> &'a str {
        if self.peek().is_some_and(|c| c.is_ascii_digit()) {
            return "";
        }
        self.take_while(|c| c.is_ascii_alphanumeric() || c == '_' || (with_colons && c == ':'))
    }

    /// Reads a string in double, single or back quotes; its bytes need not be UTF-8.
    pub(crate) fn quoted(&mut self) -> Result<Vec<u8>, String> {
        let quote = match self.peek() {
            Some(c @ ('"' | '\'' | '`')) => c,
            _ => return Err(format!("expected a quoted string before {:?}", self.rest())),
        };
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            let c = self.peek().ok_or("the string does not end")?;
            self.at += c.len_utf8();
            match c {
                _ if c == quote => return Ok(bytes),
                '\\' if quote != '`' => self.escape(&mut bytes)?,
                _ => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    /// Reads what comes behind a backslash, as Go does.
    fn escape(&mut self, bytes: &mut Vec<u8>) -> Result<(), String> {
        let c = self.peek().ok_or("the string ends in an escape")?;
        if c.is_digit(8) {
            bytes.push(u8::try_from(self.digits(3, 8)?).map_err(|e| e.to_string())?);
            return Ok(());
        }
        self.at += c.len_utf8();
        let code_point = match c {
            'x' => {
                bytes.push(u8::try_from(self.digits(2, 16)?).map_err(|e| e.to_string())?);
                return Ok(());
            }
            'u' => self.digits(4, 16)?,
            'U' => self.digits(8, 16)?,
            'a' => 7,
            'b' => 8,
            'f' => 12,
            'n' => 10,
            'r' => 13,
            't' => 9,
            'v' => 11,
            '\\' | '\'' | '"' => u32::from(c),
            _ => return Err(format!("unknown escape \\{c}")),
        };
        let c = char::from_u32(code_point).ok_or("no such character")?;
        bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn digits(&mut self, count: usize, radix: u32) -> Result<u32, String> {
        let text = self.rest().get(..count).ok_or("too few digits in an escape")?;
        self.at += count;
        u32::from_str_radix(text, radix).map_err(|e| e.to_string())
    }

    /// Reads an unsigned decimal.
    pub(crate) fn unsigned(&mut self) -> Result<usize, String> {
        let digits = self.take_while(|c| c.is_ascii_digit());
        digits.parse().map_err(|_| format!("expected a count before {:?}", self.rest()))
    }

    /// Reads a number as the values of series are written: decimal with exponent and `_` between
    /// digits, `Inf`, `NaN` in any case, or a duration, which counts in seconds; with an optional
    /// sign. Hexadecimal numbers are none: `0x3` is a repeated zero.
    pub(crate) fn number(&mut self) -> Result<f64, String> {
        let start = self.rest();
        let sign = if self.eat("-") { -1.0 } else { 1.0 };
        if sign > 0.0 {
            self.eat("+");
        }
        for (word, value) in [("inf", f64::INFINITY), ("nan", f64::NAN)] {
            if self.rest().get(..3).is_some_and(|text| text.eq_ignore_ascii_case(word)) {
                self.at += 3;
                return Ok(sign * value);
            }
        }
        if let Some(milliseconds) = self.duration() {
            return Ok(sign * milliseconds as f64 / 1000.0);
        }
        let from = self.at;
        self.take_while(|c| c.is_ascii_digit() || c == '_' || c == '.');
        if matches!(self.peek(), Some('e' | 'E')) {
            self.at += 1;
            if !self.eat("+") {
                self.eat("-");
            }
            self.take_while(|c| c.is_ascii_digit());
        }
        let text = self.text[from..self.at].replace('_', "");
        let value: f64 = text.parse().map_err(|_| format!("expected a number at {start:?}"))?;
        Ok(sign * value)
    }

    /// Reads a duration such as `1h30m`, each unit once and from long to short, if one comes next:
    /// in milliseconds.
    pub(crate) fn duration(&mut self) -> Option<i64> {
        const UNITS: [(&str, i64); 7] = [
            ("y", 31_536_000_000),
            ("w", 604_800_000),
            ("d", 86_400_000),
            ("h", 3_600_000),
            ("ms", 1),
            ("m", 60_000),
            ("s", 1000),
        ];
        let from = self.at;
        let (mut sum, mut last, mut found) = (0_i64, i64::MAX, false);
        loop {
            let part = self.at;
            let digits = self.take_while(|c| c.is_ascii_digit());
            let unit = UNITS.iter().find(|(unit, _)| self.rest().starts_with(unit));
            let read = digits.parse::<i64>().ok().zip(unit).filter(|(_, unit)| unit.1 < last);
            let Some((amount, (unit, milliseconds))) = read else {
                self.at = if found { part } else { from };
                return found.then_some(sum);
            };
            self.at += unit.len();
            sum = sum.checked_add(amount.checked_mul(*milliseconds)?)?;
            (last, found) = (*milliseconds, true);
        }
    }
}

/// The milliseconds of a duration that fills `text`: `0`, or units from long to short.
pub(crate) fn whole_duration(text: &str) -> Result<i64, String> {
    let mut scanner = Scanner::new(text);
    match scanner.duration() {
        _ if text == "0" => Ok(0),
        Some(milliseconds) if scanner.is_at_end() => Ok(milliseconds),
        _ => Err(format!("{text:?} is no duration")),
    }
}

/// The number that fills `text` as Go's `ParseInt` with base 0, or else its `ParseFloat`, reads it.
pub(crate) fn whole_number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    let lower = digits.to_ascii_lowercase();
    let prefixes = [("0x", 16), ("0b", 2), ("0o", 8), ("0", 8), ("", 10)];
    let (prefix, radix) = prefixes.into_iter().find(|(prefix, _)| lower.starts_with(prefix))?;
    let integer = lower[prefix.len()..].trim_start_matches('_').replace('_', "");
    let plain = !integer.starts_with(['+', '-']);
    match i64::from_str_radix(&integer, radix) {
        Ok(value) if plain => Some(sign * value as f64),
        _ if lower.starts_with(|c: char| c.is_ascii_digit() || ".in".contains(c)) => {
            lower.parse::<f64>().ok().map(|value| sign * value)
        }
        _ => None,
    }
}
