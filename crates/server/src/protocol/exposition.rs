//! The text exposition formats: Prometheus 0.0.4 (with quoted UTF-8 names) and OpenMetrics 1.0.
//!
//! One line at a time; splitting a stream into lines is the caller's business. A line is
//! `name{label="value",...} value [timestamp]` or `{"name","label"="value",...} value [timestamp]`;
//! blanks and tabs may stand between tokens. Comments, `# HELP`, `# TYPE` and `# EOF` yield nothing, in whatever
//! encoding they are, and so does an exemplar after a sample. The two formats differ here only in the unit of the
//! timestamp. How long a line may be is the caller's business.
//!
//! In quotes `\\`, `\"` and `\n` are escapes; a backslash before anything else stands for itself, as in
//! Prometheus. Duplicates and lengths of labels are judged by [`siltstone::Labels`].

use std::borrow::Cow;

use siltstone::Timestamp;

use super::line_error::{Fault, LineError, checked_text};
use super::number;

/// The name of the label that holds the name of the metric.
const METRIC_NAME: &str = "__name__";

/// The unit of timestamps in the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Text format 0.0.4: integers, milliseconds.
    Prometheus,
    /// OpenMetrics: seconds, with a fraction or without.
    OpenMetrics,
}

/// One sample with its labels, as written in a line.
#[derive(Debug, Clone, PartialEq)]
pub struct TextSample<'a> {
    /// Names and values in the order written, the name of the metric first, as `__name__`. With a
    /// limit, without labels whose value is empty.
    pub labels: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Labels with a value beyond those.
    pub labels_left_out: usize,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch, where the line says so.
    pub timestamp_ms: Option<Timestamp>,
}

/// Reads `line`, with or without its line end; `None` if it holds no sample.
///
/// # Errors
/// [`LineError`] with `line_number`, the column and the reason.
pub fn parse_line(
    line: &[u8],
    line_number: u64,
    dialect: Dialect,
) -> Result<Option<TextSample<'_>>, LineError> {
    parse_line_within(line, line_number, dialect, None)
}

/// As [`parse_line`], keeping at most `labels_max` labels that have a value, and counting the others.
///
/// # Errors
/// As [`parse_line`].
pub fn parse_line_within(
    line: &[u8],
    line_number: u64,
    dialect: Dialect,
    labels_max: Option<usize>,
) -> Result<Option<TextSample<'_>>, LineError> {
    let fail = |fault: Fault| fault.in_line(line_number, line);
    // Nothing of a comment is kept, and old exporters write help texts in Latin-1.
    if line.trim_ascii_start().first() == Some(&b'#') {
        return Ok(None);
    }
    let text = checked_text(line).map_err(fail)?;
    let text = text.strip_suffix('\n').unwrap_or(text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    let mut scanner = Scanner { text, at: 0 };
    scanner.skip_blanks();
    match scanner.peek() {
        None => Ok(None),
        Some(_) => sample(&mut scanner, dialect, labels_max).map(Some).map_err(fail),
    }
}

/// A line and the place in it.
struct Scanner<'a> {
    text: &'a str,
    /// A byte offset, always at the start of a character.
    at: usize,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes `byte`, which is ASCII, if it is next.
    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_blanks(&mut self) {
        self.take_while(|b| b == b' ' || b == b'\t');
    }

    /// Takes the ASCII bytes for which `accept` holds.
    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest.bytes().position(|b| !(b.is_ascii() && accept(b))).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Takes everything up to the next blank.
    fn take_word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let len = rest.bytes().position(|b| b == b' ' || b == b'\t').unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    fn fault(&self, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(self.at, message)
    }
}

fn sample<'a>(
    scanner: &mut Scanner<'a>,
    dialect: Dialect,
    labels_max: Option<usize>,
) -> Result<TextSample<'a>, Fault> {
    let mut labels = Vec::with_capacity(8);
    let mut labels_left_out = 0;
    let start = scanner.at;
    let name = bare_name(scanner, true);
    if !name.is_empty() {
        labels.push((METRIC_NAME.into(), name.into()));
    }
    scanner.skip_blanks();
    if scanner.take(b'{') {
        labels_left_out = braces(scanner, &mut labels, labels_max)?;
    } else if name.is_empty() {
        return Err(scanner.fault("expected the name of a metric or '{'"));
    } else if scanner.at == start + name.len() && scanner.peek().is_some() {
        return Err(scanner.fault(
            "a character that a bare metric name cannot hold; other names are quoted: {\"my.name\"} 1",
        ));
    }
    if !labels.iter().any(|(name, _)| name == METRIC_NAME) {
        return Err(Fault::new(start, "the metric has no name"));
    }
    let (value, timestamp_ms) = value_and_timestamp(scanner, dialect)?;
    Ok(TextSample { labels, labels_left_out, value, timestamp_ms })
}

/// A name that needs no quotes; metric names may hold colons. Empty if there is none.
fn bare_name<'a>(scanner: &mut Scanner<'a>, metric: bool) -> &'a str {
    if scanner.peek().is_some_and(|b| b.is_ascii_digit()) {
        return "";
    }
    scanner.take_while(|b| b.is_ascii_alphanumeric() || b == b'_' || (metric && b == b':'))
}

/// The labels after `{`, up to and with `}`; returns how many more than `labels_max` there are.
fn braces<'a>(
    scanner: &mut Scanner<'a>,
    labels: &mut Vec<(Cow<'a, str>, Cow<'a, str>)>,
    labels_max: Option<usize>,
) -> Result<usize, Fault> {
    let mut left_out = 0;
    loop {
        scanner.skip_blanks();
        if scanner.take(b'}') {
            return Ok(left_out);
        }
        let start = scanner.at;
        let was_quoted = scanner.peek() == Some(b'"');
        let name = if was_quoted { quoted(scanner)? } else { bare_name(scanner, false).into() };
        if name.is_empty() && !was_quoted {
            return Err(scanner.fault("expected the name of a label, '\"' or '}'"));
        }
        scanner.skip_blanks();
        if scanner.take(b'=') {
            scanner.skip_blanks();
            if scanner.peek() != Some(b'"') {
                return Err(scanner.fault("expected '\"' before the value of the label"));
            }
            let value = quoted(scanner)?;
            // A label without a value is none, but a name is looked for.
            let counts = labels_max.is_none() || !value.is_empty() || name == METRIC_NAME;
            if counts && labels_max.is_none_or(|max| labels.len() < max) {
                labels.push((name, value));
            } else {
                left_out += usize::from(counts);
            }
        } else if !was_quoted {
            return Err(scanner.fault("expected '=' after the name of the label"));
        } else if labels.first().is_some_and(|(name, _)| name == METRIC_NAME) {
            let message = "the metric has a second name; a label needs '=' and a value";
            return Err(Fault::new(start, message));
        } else {
            labels.insert(0, (METRIC_NAME.into(), name));
        }
        scanner.skip_blanks();
        if !scanner.take(b',') && scanner.peek() != Some(b'}') {
            return Err(scanner.fault("expected ',' or '}' after a label"));
        }
    }
}

/// A quoted text; it is borrowed from the line where it holds no escapes.
fn quoted<'a>(scanner: &mut Scanner<'a>) -> Result<Cow<'a, str>, Fault> {
    let start = scanner.at;
    scanner.at += 1;
    let rest = &scanner.text[scanner.at..];
    let bytes = rest.as_bytes();
    let mut end = 0;
    let mut escaped = false;
    loop {
        match bytes.get(end) {
            None => return Err(Fault::new(start, "the quote is not closed")),
            Some(b'"') => break,
            Some(b'\\') => {
                escaped = true;
                end += 2;
            }
            Some(_) => end += 1,
        }
    }
    scanner.at += end + 1;
    let content = &rest[..end];
    Ok(if escaped { unescape(content).into() } else { content.into() })
}

fn unescape(content: &str) -> String {
    let mut out = String::with_capacity(content.len());
    let mut chars = content.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('\\' | '"')) => out.push(c),
            other => {
                out.push('\\');
                out.extend(other);
            }
        }
    }
    out
}

fn value_and_timestamp(
    scanner: &mut Scanner<'_>,
    dialect: Dialect,
) -> Result<(f64, Option<Timestamp>), Fault> {
    scanner.skip_blanks();
    let offset = scanner.at;
    let word = scanner.take_word();
    if word.is_empty() {
        return Err(scanner.fault("the value is missing"));
    }
    let value = number::parse(word.as_bytes())
        .map_err(|e| Fault::new(offset, format!("the value: {e}")))?;
    scanner.skip_blanks();
    let mut timestamp = None;
    if scanner.peek().is_some_and(|b| b != b'#') {
        let offset = scanner.at;
        let word = scanner.take_word();
        timestamp = Some(timestamp_ms(word, dialect).map_err(|m| Fault::new(offset, m))?);
        scanner.skip_blanks();
    }
    // What follows '#' is an exemplar, which is not stored.
    match scanner.peek() {
        None | Some(b'#') => Ok((value, timestamp)),
        Some(_) => Err(scanner.fault("expected the end of the line")),
    }
}

fn timestamp_ms(word: &str, dialect: Dialect) -> Result<Timestamp, &'static str> {
    let integer = word.parse::<i64>();
    match dialect {
        Dialect::Prometheus => {
            integer.map_err(|_| "the timestamp is not a 64-bit integer of milliseconds")
        }
        Dialect::OpenMetrics => {
            const REASON: &str = "the timestamp is not a number of seconds in the range of time";
            if let Ok(seconds) = integer {
                return seconds.checked_mul(1000).ok_or(REASON);
            }
            let seconds = number::parse(word.as_bytes()).map_err(|_| REASON)?;
            let ms = (seconds * 1000.0).round();
            // 2^63 is the first float above every i64; NaN fails the comparison.
            if ms.abs() < 9_223_372_036_854_775_808.0 { Ok(ms as i64) } else { Err(REASON) }
        }
    }
}

#[cfg(test)]
mod tests;
