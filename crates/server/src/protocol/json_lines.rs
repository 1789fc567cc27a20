//! JSON lines: one series a line, `{"metric":{..},"values":[..],"timestamps":[..]}`, bit for bit.
//!
//! Used by import and export over HTTP and by the command. A value is a string as
//! [`super::number`] writes it (`"NaN:7ff0000000000002"` for a NaN that is not the common one), a
//! JSON number, or `null` for [`number::NAN_BITS`]; a timestamp is a JSON integer. The keys come in
//! any order, each once; others are skipped. A long series may take several lines; how long one may be is the
//! caller's business, but for its samples, of which it has at most [`LINE_SAMPLES_MAX`]: a value takes two bytes
//! of a line and eight of memory. Duplicates and lengths of labels are judged by [`siltstone::Labels`].

use siltstone::Timestamp;

use super::json_text::Scanner;
use super::line_error::{Fault, LineError, checked_text};
use super::number;

/// Most samples of a line.
pub const LINE_SAMPLES_MAX: usize = 1_000_000;

/// Reads lines one after the other and reuses its memory, which stays within a small multiple of the
/// longest line.
#[derive(Debug, Default)]
pub struct JsonLineReader {
    /// Names and values of the labels, one after the other.
    text: String,
    /// Where in `text` the name and the value of each label end.
    label_ends: Vec<(usize, usize)>,
    values: Vec<f64>,
    timestamps: Vec<Timestamp>,
    /// A string with its escapes resolved.
    scratch: String,
    /// How many labels are kept, and how many were not.
    labels_max: Option<usize>,
    left_out: usize,
}

/// The series of one line, borrowed from the reader.
#[derive(Debug, Clone, Copy)]
pub struct JsonSeries<'r> {
    reader: &'r JsonLineReader,
}

impl<'r> JsonSeries<'r> {
    /// Names and values in the order written; with a limit, without those whose value is empty.
    pub fn labels(&self) -> impl Iterator<Item = (&'r str, &'r str)> + Clone + use<'r> {
        let text = &self.reader.text;
        let mut start = 0;
        self.reader.label_ends.iter().map(move |&(name_end, value_end)| {
            let label = (&text[start..name_end], &text[name_end..value_end]);
            start = value_end;
            label
        })
    }

    /// How many labels with a value there are beyond those of [`labels`](Self::labels).
    #[must_use]
    pub fn labels_left_out(&self) -> usize {
        self.reader.left_out
    }

    /// The values, as many as there are timestamps, at least one.
    #[must_use]
    pub fn values(&self) -> &'r [f64] {
        &self.reader.values
    }

    /// Ticks since the Unix epoch, in the order written.
    #[must_use]
    pub fn timestamps(&self) -> &'r [Timestamp] {
        &self.reader.timestamps
    }
}

impl JsonLineReader {
    /// A reader without memory yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The reader, which keeps at most `labels_max` labels of a line and counts the others.
    #[must_use]
    pub fn keeping_labels(self, labels_max: usize) -> Self {
        Self { labels_max: Some(labels_max), ..self }
    }

    /// Bytes of memory that it keeps for the next line.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.capacity()
            + self.label_ends.capacity() * size_of::<(usize, usize)>()
            + self.values.capacity() * size_of::<f64>()
            + self.timestamps.capacity() * size_of::<Timestamp>()
            + self.scratch.capacity()
    }

    /// Reads `line`, with or without its line end; `None` if it is blank.
    ///
    /// # Errors
    /// [`LineError`] with the number of the line, the column and the reason.
    pub fn parse_line(
        &mut self,
        line: &[u8],
        number: u64,
    ) -> Result<Option<JsonSeries<'_>>, LineError> {
        match checked_text(line).and_then(|text| self.read(text)) {
            Ok(true) => Ok(Some(JsonSeries { reader: self })),
            Ok(false) => Ok(None),
            Err(fault) => Err(fault.in_line(number, line)),
        }
    }

    /// Reads a line into the buffers; false if it is blank.
    fn read(&mut self, text: &str) -> Result<bool, Fault> {
        let mut scanner = Scanner::new(text);
        if scanner.peek().is_none() {
            return Ok(false);
        }
        scanner.expect(b'{', "expected '{'")?;
        let mut seen = [false; 3];
        let mut more = !scanner.take(b'}');
        while more {
            self.member(&mut scanner, &mut seen)?;
            more = scanner.another(b'}')?;
        }
        if scanner.peek().is_some() {
            return Err(scanner.fault("expected the end of the line"));
        }
        for (key, seen) in KEYS.iter().zip(seen) {
            if !seen {
                return Err(Fault::new(0, format!("the key \"{key}\" is missing")));
            }
        }
        let (values, timestamps) = (self.values.len(), self.timestamps.len());
        if values != timestamps {
            return Err(Fault::new(0, format!("{values} values, but {timestamps} timestamps")));
        }
        if values == 0 {
            return Err(Fault::new(0, "the series has no samples"));
        }
        Ok(true)
    }

    /// A key of the line and its value.
    fn member(&mut self, scanner: &mut Scanner<'_>, seen: &mut [bool; 3]) -> Result<(), Fault> {
        scanner.peek();
        let offset = scanner.offset();
        let key = scanner.string(&mut self.scratch)?;
        let known = KEYS.iter().position(|k| *k == key);
        scanner.expect(b':', "expected ':'")?;
        if let Some(i) = known {
            if seen[i] {
                return Err(Fault::new(offset, format!("the key \"{}\" occurs twice", KEYS[i])));
            }
            seen[i] = true;
        }
        match known {
            Some(0) => self.read_labels(scanner),
            Some(1) => self.read_values(scanner),
            Some(_) => self.read_timestamps(scanner),
            None => scanner.skip_value(&mut self.scratch),
        }
    }

    fn read_labels(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        self.text.clear();
        self.label_ends.clear();
        self.left_out = 0;
        let labels_max = self.labels_max;
        scanner.expect(b'{', "expected the labels, an object")?;
        let mut more = !scanner.take(b'}');
        while more {
            let start = self.text.len();
            self.text.push_str(scanner.string(&mut self.scratch)?);
            let name_end = self.text.len();
            scanner.expect(b':', "expected ':'")?;
            self.text.push_str(scanner.string(&mut self.scratch)?);
            let counts = labels_max.is_none() || self.text.len() > name_end;
            if counts && labels_max.is_none_or(|max| self.label_ends.len() < max) {
                self.label_ends.push((name_end, self.text.len()));
            } else {
                self.left_out += usize::from(counts);
                self.text.truncate(start);
            }
            more = scanner.another(b'}')?;
        }
        Ok(())
    }

    fn read_values(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        self.values.clear();
        scanner.expect(b'[', "expected the values, an array")?;
        let mut more = !scanner.take(b']');
        while more {
            let next = scanner.peek();
            let offset = scanner.offset();
            let value = match next {
                Some(b'"') => number::parse_exact(scanner.string(&mut self.scratch)?.as_bytes()),
                Some(b'n') if scanner.take_null() => Ok(f64::from_bits(number::NAN_BITS)),
                _ => number::parse(scanner.number()?.as_bytes()),
            };
            let index = self.values.len();
            room_for_sample(index, offset)?;
            let fault = |e| Fault::new(offset, format!("value {}: {e}", index + 1));
            self.values.push(value.map_err(fault)?);
            more = scanner.another(b']')?;
        }
        Ok(())
    }

    fn read_timestamps(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Fault> {
        self.timestamps.clear();
        scanner.expect(b'[', "expected the timestamps, an array")?;
        let mut more = !scanner.take(b']');
        while more {
            room_for_sample(self.timestamps.len(), scanner.offset())?;
            self.timestamps.push(scanner.integer()?);
            more = scanner.another(b']')?;
        }
        Ok(())
    }
}

/// Whether a line that has `before` samples may have one more, which begins at `offset`.
fn room_for_sample(before: usize, offset: usize) -> Result<(), Fault> {
    if before < LINE_SAMPLES_MAX {
        return Ok(());
    }
    Err(Fault::new(offset, format!("more than {LINE_SAMPLES_MAX} samples in a line")))
}

/// The keys of a line, in the order in which they are written.
const KEYS: [&str; 3] = ["metric", "values", "timestamps"];

/// Appends one line, its end included, that [`JsonLineReader::parse_line`] reads back bit for bit.
///
/// # Panics
/// If there are not as many values as timestamps, or none.
pub fn write_line<'a>(
    labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    timestamps: &[Timestamp],
    values: &[f64],
    out: &mut Vec<u8>,
) {
    assert_eq!(timestamps.len(), values.len(), "a sample is a timestamp and a value");
    assert!(!values.is_empty(), "a line holds at least one sample");
    out.extend_from_slice(b"{\"metric\":");
    write_labels(labels, out);
    out.extend_from_slice(b",\"values\":[");
    for (i, value) in values.iter().enumerate() {
        out.extend_from_slice(if i > 0 { b",\"" } else { b"\"" });
        number::write(*value, out);
        out.push(b'"');
    }
    out.extend_from_slice(b"],\"timestamps\":[");
    for (i, timestamp) in timestamps.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        number::write_integer(*timestamp, out);
    }
    out.extend_from_slice(b"]}\n");
}

/// Appends labels as a JSON object.
pub fn write_labels<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    out.push(b'{');
    for (i, (name, value)) in labels.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_string(value, out);
    }
    out.push(b'}');
}

/// Appends a JSON string; only what must be escaped is, so that every script stays readable.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    // Nearly all texts are as they are; looked at without an early end, several bytes go at a time.
    if bytes.iter().fold(false, |any, byte| any | must_be_escaped(*byte)) {
        bytes.iter().for_each(|byte| write_byte(*byte, out));
    } else {
        out.extend_from_slice(bytes);
    }
    out.push(b'"');
}

fn must_be_escaped(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Appends a byte of a JSON string.
fn write_byte(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        0..0x20 => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
        _ => out.push(byte),
    }
}

/// A JSON string.
pub(crate) fn string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(text, &mut out);
    String::from_utf8(out).unwrap_or_else(|_| unreachable!("what was made of text is text"))
}

#[cfg(test)]
mod tests;
