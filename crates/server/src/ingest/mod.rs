//! Bulk import: a stream of lines into the store, shared by the import endpoints and the command.
//!
//! A bad line is reported with its number and costs nothing but itself. Samples are written in batches
//! of bounded rows, so the memory does not depend on the length of the stream; what was written stays
//! when a later batch fails. In which unit a text body has its times, `undecided` says.
//!
//! Bytes come as they are at hand ([`Ingest::feed`]), so that who feeds an import from a slow client keeps
//! nothing waiting in between but the import itself, and knows what that holds ([`Ingest::bytes`]). Lines above
//! 512 KiB take several times their length while they are read: imports that share a
//! [`LongLines`] read them one at a time.

mod lines;
mod pending;
mod report;
mod undecided;
mod writer;

use std::io::{self, BufRead};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone::{Db, Error};

use crate::extra_labels::ExtraLabels;
use crate::protocol::exposition::{self, Dialect};
use crate::protocol::json_lines::JsonLineReader;
use lines::{Line, LineSplitter};
pub use report::{IngestReport, OldSamples};
use undecided::{Undecided, is_end_of_page, is_surely_ms};
use writer::Writer;

/// What the lines hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"metric":{..},"values":[..],"timestamps":[..]}`, timestamps in ticks of the store.
    JsonLines,
    /// The text exposition formats.
    Text {
        /// Which of them; `None` if only the text can tell.
        dialect: Option<Dialect>,
        /// The time of samples without one, in milliseconds; now where absent.
        timestamp_ms: Option<i64>,
    },
}

/// Limits of an import.
#[derive(Debug, Clone, Copy)]
pub struct IngestLimits {
    /// Longest line in bytes; longer ones are reported and skipped.
    pub line_bytes_max: usize,
    /// Samples of a batch, at most [`siltstone::BATCH_ROWS_MAX`].
    pub batch_rows: usize,
}

/// Why an import stopped before the end of its input.
#[derive(Debug)]
pub enum IngestError {
    /// The input could not be read.
    Input(io::Error),
    /// The store refused a batch.
    Store(Error),
}

impl From<Error> for IngestError {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

/// What a text file may begin with.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// Lines above it are long.
const LONG_LINE_BYTES: usize = 512 << 10;

/// Imports that share one read long lines one at a time.
#[derive(Debug, Clone, Default)]
pub struct LongLines(Arc<Mutex<()>>);

/// An import in progress. Its lines may come from several inputs.
pub struct Ingest {
    format: Format,
    lines: LineSplitter,
    long_lines: LongLines,
    reader: Reader,
}

/// The half that reads lines and writes samples, apart from the half that the lines are borrowed from.
struct Reader {
    json: JsonLineReader,
    undecided: Undecided,
    writer: Writer,
}

impl Ingest {
    /// An import into `db`.
    #[must_use]
    pub fn new(db: &Db, format: Format, limits: IngestLimits) -> Self {
        let writer = Writer::new(db, limits.batch_rows);
        let lines = LineSplitter::new(limits.line_bytes_max);
        let json = JsonLineReader::new().keeping_labels(writer.labels_max());
        let reader = Reader { json, undecided: Undecided::default(), writer };
        Self { format, lines, long_lines: LongLines::default(), reader }
    }

    /// Reads long lines when no other import with the same [`LongLines`] does.
    #[must_use]
    pub fn sharing(mut self, long_lines: &LongLines) -> Self {
        self.long_lines = long_lines.clone();
        self
    }

    /// Adds labels to every series.
    #[must_use]
    pub fn labelling(mut self, extra: ExtraLabels) -> Self {
        self.reader.writer.extra = extra;
        self
    }

    /// Counts the different series as well, which takes 16 bytes for each.
    #[must_use]
    pub fn counting_series(mut self) -> Self {
        self.reader.writer.counts_series = true;
        self
    }

    /// Reads `input` to its end and writes what it holds; line numbers start at 1.
    ///
    /// # Errors
    /// [`IngestError`]; what was written before it stays, and is in [`Ingest::report`].
    pub fn read(&mut self, input: &mut impl BufRead) -> Result<(), IngestError> {
        self.lines.restart();
        self.reader.writer.renew_bounds();
        loop {
            let len = match input.fill_buf() {
                Ok([]) => return Ok(self.end()?),
                Ok(bytes) => {
                    self.feed(bytes)?;
                    bytes.len()
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
                Err(error) => {
                    self.break_off()?;
                    return Err(IngestError::Input(error));
                }
            };
            input.consume(len);
        }
    }

    /// Reads the lines that end within `bytes` and keeps the rest for the next call.
    ///
    /// # Errors
    /// What the store answers to a batch; nothing more is to be fed then.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while let Some(line) = self.lines.next(&mut rest) {
            self.reader.line(self.format, &self.long_lines, &line)?;
        }
        Ok(())
    }

    /// The input has ended, where a line may end, too: writes what is left.
    ///
    /// # Errors
    /// What the store answers.
    pub fn end(&mut self) -> Result<(), Error> {
        if let Some(line) = self.lines.last() {
            self.reader.line(self.format, &self.long_lines, &line)?;
        }
        self.reader.end_of_page(Dialect::Prometheus)?;
        self.reader.writer.write()
    }

    /// The input broke off, perhaps within a line, which is left out. What came before is as good as what comes
    /// before a bad line, and is written, except lines whose unit of time only the end would have told.
    ///
    /// # Errors
    /// What the store answers.
    pub fn break_off(&mut self) -> Result<(), Error> {
        for (_, line) in std::mem::take(&mut self.reader.undecided).lines() {
            let reason =
                || format!("line {line}: the input broke off before it told its unit of time");
            self.reader.writer.report.refused.add(reason);
        }
        self.reader.writer.write()
    }

    /// Bytes that it holds: the line that has begun, memory in which lines are read, samples that are not written
    /// yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Reader { json, undecided, writer } = &self.reader;
        self.lines.bytes() + json.bytes() + undecided.bytes() + writer.pending.bytes()
    }

    /// What became of the lines so far.
    #[must_use]
    pub fn report(&self) -> &IngestReport {
        &self.reader.writer.report
    }
}

impl Reader {
    fn line(
        &mut self,
        format: Format,
        long_lines: &LongLines,
        line: &Line<'_>,
    ) -> Result<(), Error> {
        let Self { json, writer, .. } = self;
        writer.report.lines += 1;
        let (text, number) = match *line {
            Line::Text(text, number) => (text, number),
            Line::TooLong { number, limit } => {
                let reason = || format!("line {number}: longer than the limit of {limit} bytes");
                writer.report.refused.add(reason);
                return Ok(());
            }
        };
        let text = match text.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if number == 1 => rest,
            _ => text,
        };
        let is_long = text.len() > LONG_LINE_BYTES;
        // Nothing that it guards can be left half done.
        let alone = is_long.then(|| long_lines.0.lock().unwrap_or_else(PoisonError::into_inner));
        match format {
            Format::JsonLines => match json.parse_line(text, number) {
                Ok(None) => {}
                Ok(Some(series)) => {
                    let labels = series.labels().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
                    let rows = series.timestamps().iter().copied().zip(series.values());
                    let left_out = series.labels_left_out();
                    writer.add((labels, left_out), rows.map(|(t, v)| (t, *v)), number)?;
                }
                Err(error) => writer.report.refused.add(|| error.to_string()),
            },
            Format::Text { dialect: Some(dialect), timestamp_ms } => {
                writer.read_text(text, number, dialect, timestamp_ms)?;
            }
            Format::Text { dialect: None, timestamp_ms } => {
                self.undeclared(text, number, timestamp_ms)?;
            }
        }
        if alone.is_some() {
            self.json = JsonLineReader::new().keeping_labels(self.writer.labels_max());
        }
        Ok(())
    }

    /// A line of a body that does not say in which unit its times are.
    fn undeclared(
        &mut self,
        text: &[u8],
        number: u64,
        default_ms: Option<i64>,
    ) -> Result<(), Error> {
        if is_end_of_page(text) {
            return self.end_of_page(Dialect::OpenMetrics);
        }
        let parsed = exposition::parse_line_within(
            text,
            number,
            Dialect::Prometheus,
            Some(self.writer.labels_max()),
        );
        let is_clear = match &parsed {
            Ok(None) => true,
            Ok(Some(sample)) => sample.timestamp_ms.is_none_or(is_surely_ms),
            // Times with a fraction are those of OpenMetrics alone.
            Err(_) => exposition::parse_line_within(
                text,
                number,
                Dialect::OpenMetrics,
                Some(self.writer.labels_max()),
            )
            .is_err(),
        };
        if !is_clear && self.undecided.hold(text, number) {
            return Ok(());
        }
        self.writer.take_undeclared(parsed, number, default_ms)
    }

    /// The unit of the times that were held is known.
    fn end_of_page(&mut self, dialect: Dialect) -> Result<(), Error> {
        let held = std::mem::take(&mut self.undecided);
        for (text, number) in held.lines() {
            match dialect {
                Dialect::OpenMetrics => self.writer.read_text(text, number, dialect, None)?,
                Dialect::Prometheus => {
                    let labels_max = self.writer.labels_max();
                    let parsed =
                        exposition::parse_line_within(text, number, dialect, Some(labels_max));
                    self.writer.take_undeclared(parsed, number, None)?;
                }
            }
        }
        if let (Some(line), Dialect::OpenMetrics) = (held.overflow(), dialect) {
            self.writer.report.refused.add(|| {
                format!(
                    "line {line}: the times from here on were read as milliseconds, and then # EOF came: \
                     declare application/openmetrics-text for a body of this length"
                )
            });
        }
        Ok(())
    }
}
