//! Bulk import: a stream of lines into the store, shared by the import endpoints and the command.
//!
//! A bad line is reported with its number and costs nothing but itself. Samples are written in batches
//! of bounded rows, so the memory does not depend on the length of the stream; what was written stays
//! when a later batch fails.
//!
//! Bytes come as they are at hand ([`Ingest::feed`]), so that who feeds an import from a slow client keeps
//! nothing waiting in between but the import itself, and knows what that holds ([`Ingest::bytes`]). Lines above
//! 512 KiB take several times their length while they are read: imports that share a
//! [`LongLines`] read them one at a time.

mod lines;
mod pending;

use std::collections::HashSet;
use std::io::{self, BufRead};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone::{BATCH_ROWS_MAX, Db, Error, LabelCollector, LabelsLimits, SeriesId, Timestamp};

use crate::protocol::exposition::{self, Dialect, TextSample};
use crate::protocol::json_lines::JsonLineReader;
use crate::reasons::Reasons;
use crate::time::TimeBounds;
use lines::{Line, LineSplitter};
use pending::Pending;

/// What the lines hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"metric":{..},"values":[..],"timestamps":[..]}`, timestamps in ticks of the store.
    JsonLines,
    /// The text exposition formats.
    Text {
        /// Which of them.
        dialect: Dialect,
        /// The time of samples without one, in milliseconds; now where absent.
        timestamp_ms: Option<i64>,
    },
}

/// Limits of an import.
#[derive(Debug, Clone, Copy)]
pub struct IngestLimits {
    /// Longest line in bytes; longer ones are reported and skipped.
    pub line_bytes_max: usize,
    /// Samples of a batch, at most [`BATCH_ROWS_MAX`].
    pub batch_rows: usize,
}

/// What became of a stream of lines.
#[derive(Debug, Clone, Default)]
pub struct IngestReport {
    /// Lines read.
    pub lines: u64,
    /// Samples written.
    pub samples: u64,
    /// Lines of which something was refused, and why.
    pub refused: Reasons,
    /// Lines among them of which samples were refused by a clock that is wrong: they can be sent again.
    pub clock_refused: u64,
    /// Different series that had samples to write; counted only if asked for.
    pub series: HashSet<SeriesId>,
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
    writer: Writer,
}

/// What collects samples and writes them.
struct Writer {
    db: Db,
    batch_rows: usize,
    labels_limits: LabelsLimits,
    bounds: TimeBounds,
    now_ms: i64,
    counts_series: bool,
    pending: Pending,
    report: IngestReport,
}

impl Ingest {
    /// An import into `db`.
    #[must_use]
    pub fn new(db: &Db, format: Format, limits: IngestLimits) -> Self {
        let options = db.options();
        let writer = Writer {
            db: db.clone(),
            batch_rows: limits.batch_rows.clamp(1, BATCH_ROWS_MAX),
            labels_limits: options.labels,
            bounds: TimeBounds::now(db),
            now_ms: options.clock.wall_ms(),
            counts_series: false,
            pending: Pending::default(),
            report: IngestReport::default(),
        };
        let lines = LineSplitter::new(limits.line_bytes_max);
        let json = JsonLineReader::new().keeping_labels(options.labels.labels_max);
        let reader = Reader { json, writer };
        Self { format, lines, long_lines: LongLines::default(), reader }
    }

    /// Reads long lines when no other import with the same [`LongLines`] does.
    #[must_use]
    pub fn sharing(mut self, long_lines: &LongLines) -> Self {
        self.long_lines = long_lines.clone();
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
        let writer = &mut self.reader.writer;
        writer.bounds = TimeBounds::now(&writer.db);
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
        self.reader.writer.write()
    }

    /// The input broke off, perhaps within a line, which is left out. What came before is as good as what comes
    /// before a bad line, and is written.
    ///
    /// # Errors
    /// What the store answers.
    pub fn break_off(&mut self) -> Result<(), Error> {
        self.reader.writer.write()
    }

    /// Bytes that it holds: the line that has begun, samples that are not written yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lines.bytes() + self.reader.writer.pending.bytes()
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
        let Self { json, writer } = self;
        let labels_max = writer.labels_limits.labels_max;
        writer.report.lines += 1;
        let (text, number) = match *line {
            Line::Text(text, number) => (text, number),
            Line::TooLong { number, limit } => {
                let reason = || format!("line {number}: longer than the limit of {limit} bytes");
                writer.report.refused.add(reason);
                return Ok(());
            }
        };
        let is_long = text.len() > LONG_LINE_BYTES;
        // Nothing that it guards can be left half done.
        let alone = is_long.then(|| long_lines.0.lock().unwrap_or_else(PoisonError::into_inner));
        match format {
            Format::JsonLines => match json.parse_line(text, number) {
                Ok(None) => {}
                Ok(Some(series)) => {
                    let mut labels = LabelCollector::new(&writer.labels_limits);
                    series.labels().for_each(|(n, v)| labels.push(n.as_bytes(), v.as_bytes()));
                    labels.leave_out(series.labels_left_out());
                    let rows = series.timestamps().iter().copied().zip(series.values());
                    writer.add(labels, rows.map(|(t, v)| (t, *v)), number)?;
                }
                Err(error) => writer.report.refused.add(|| error.to_string()),
            },
            Format::Text { dialect, timestamp_ms } => {
                match exposition::parse_line_within(text, number, dialect, Some(labels_max)) {
                    Ok(None) => {}
                    Ok(Some(sample)) => writer.add_text(&sample, timestamp_ms, number)?,
                    Err(error) => writer.report.refused.add(|| error.to_string()),
                }
            }
        }
        if alone.is_some() {
            *json = JsonLineReader::new().keeping_labels(labels_max);
        }
        Ok(())
    }
}

impl Writer {
    fn add_text(
        &mut self,
        sample: &TextSample<'_>,
        default_ms: Option<i64>,
        line: u64,
    ) -> Result<(), Error> {
        let ms = sample.timestamp_ms.or(default_ms).unwrap_or(self.now_ms);
        let Some(timestamp) = self.bounds.scale.from_ms(ms) else {
            self.report.refused.add(|| format!("line {line}: the timestamp is out of range"));
            return Ok(());
        };
        let mut labels = LabelCollector::new(&self.labels_limits);
        sample.labels.iter().for_each(|(n, v)| labels.push(n.as_bytes(), v.as_bytes()));
        labels.leave_out(sample.labels_left_out);
        self.add(labels, std::iter::once((timestamp, sample.value)), line)
    }

    /// Adds the samples of a line, except those whose time the store does not take.
    fn add(
        &mut self,
        labels: LabelCollector<'_>,
        rows: impl Iterator<Item = (Timestamp, f64)>,
        line: u64,
    ) -> Result<(), Error> {
        let labels = match labels.finish() {
            Ok(labels) => labels,
            Err(error) => {
                self.report.refused.add(|| format!("line {line}: {error}"));
                return Ok(());
            }
        };
        let (mut started, mut accepted) = (false, false);
        let mut bad = 0u64;
        let mut clock_is_wrong = false;
        let mut first = String::new();
        for (timestamp, value) in rows {
            if let Err(refusal) = self.bounds.check(timestamp) {
                bad += 1;
                clock_is_wrong |= refusal.clock_is_wrong;
                first = if bad == 1 { refusal.reason } else { first };
                continue;
            }
            if !started {
                self.pending.start(&labels, line);
                started = true;
            }
            accepted = true;
            self.pending.push(timestamp, value);
            if self.pending.is_full(self.batch_rows) {
                self.write()?;
                started = false;
            }
        }
        if self.counts_series && accepted {
            self.report.series.insert(labels.id());
        }
        self.report.clock_refused += u64::from(clock_is_wrong);
        if bad > 0 {
            self.report.refused.add(|| match bad {
                1 => format!("line {line}: {first}"),
                _ => format!("line {line}: {bad} samples; of the first, {first}"),
            });
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), Error> {
        if self.pending.rows() > 0 {
            self.report.samples += self.pending.write(&self.db, &mut self.report.refused)?;
        }
        self.pending.clear();
        Ok(())
    }
}
