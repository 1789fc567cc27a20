//! Samples that wait to be written together, kept so that a write can be repeated.

use siltstone::{Db, EncodedLabels, Error, Labels, Result, Timestamp, WriteBatch};

use crate::reasons::Reasons;

/// Writes repeated because a series was put to rest in between, before it is an error.
const STALE_RETRIES: usize = 4;
/// Bytes of labels that fill a batch, however few its rows.
const LABELS_BYTES_MAX: usize = 2 << 20;

/// Rows of several series with their labels, in memory that is reused.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Canonical encodings, one after the other.
    labels: Vec<u8>,
    runs: Vec<Run>,
    timestamps: Vec<Timestamp>,
    /// `f64` bits.
    values: Vec<u64>,
    batch: WriteBatch,
}

/// Rows of one series from one line.
#[derive(Debug)]
struct Run {
    /// Where its labels end in `labels`.
    labels_end: usize,
    /// Where its rows end.
    rows_end: usize,
    line: u64,
}

/// Labels borrowed from the pending rows.
struct Canonical<'a>(&'a [u8]);

impl EncodedLabels for Canonical<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn pairs<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool) {
        let mut fields = self.0.split(|b| *b == 0xff);
        while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
            if !visit(name, value) {
                return;
            }
        }
    }
}

impl Pending {
    pub(super) fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether it is time to write: so many rows, or labels that take as much memory.
    pub(super) fn is_full(&self, rows_max: usize) -> bool {
        self.rows() >= rows_max || self.labels.len() >= LABELS_BYTES_MAX
    }

    /// Bytes of heap held.
    pub(super) fn bytes(&self) -> usize {
        self.labels.capacity()
            + self.runs.capacity() * size_of::<Run>()
            + (self.timestamps.capacity() + self.values.capacity()) * size_of::<u64>()
            + self.batch.bytes()
    }

    /// Forgets everything and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.labels.clear();
        self.runs.clear();
        self.timestamps.clear();
        self.values.clear();
    }

    /// Starts the rows of a series; rows pushed before belong to the one before.
    pub(super) fn start(&mut self, labels: &Labels, line: u64) {
        self.labels.extend_from_slice(labels.encoded());
        let rows_end = self.timestamps.len();
        self.runs.push(Run { labels_end: self.labels.len(), rows_end, line });
    }

    /// Adds a row to the series started last.
    pub(super) fn push(&mut self, timestamp: Timestamp, value: f64) {
        if let Some(run) = self.runs.last_mut() {
            self.timestamps.push(timestamp);
            self.values.push(value.to_bits());
            run.rows_end = self.timestamps.len();
        }
    }

    /// Writes everything. Returns the rows written; a series that is refused is a reason of `bad`, one for
    /// which there is no room of `full`, and no error.
    pub(super) fn write(&mut self, db: &Db, bad: &mut Reasons, full: &mut Reasons) -> Result<u64> {
        let mut attempts = 0..STALE_RETRIES;
        let (written, refused, no_room) = loop {
            let (mut refused, mut no_room) = (Reasons::default(), Reasons::default());
            let filled = self.fill(db, &mut refused, &mut no_room);
            let result = filled.and_then(|()| db.write(&self.batch));
            match result {
                Err(Error::StaleHandle(_)) if attempts.next().is_some() => {}
                Err(error) => return Err(error),
                Ok(_) => break (self.batch.rows() as u64, refused, no_room),
            }
        };
        bad.merge(refused);
        full.merge(no_room);
        Ok(written)
    }

    fn fill(&mut self, db: &Db, bad: &mut Reasons, full: &mut Reasons) -> Result<()> {
        self.batch.clear();
        let (mut label, mut row) = (0, 0);
        for run in &self.runs {
            let labels = Canonical(&self.labels[label..run.labels_end]);
            let rows = row..run.rows_end;
            (label, row) = (run.labels_end, run.rows_end);
            let series = match db.series_encoded(&labels) {
                Ok(series) => series,
                Err(error @ (Error::LimitExceeded(_) | Error::Labels(_))) => {
                    let is_full = matches!(error, Error::LimitExceeded(_));
                    let reasons = if is_full { &mut *full } else { &mut *bad };
                    reasons.add(|| format!("line {}: {error}", run.line));
                    continue;
                }
                Err(error) => return Err(error),
            };
            for row in rows {
                self.batch.push_bits(series, self.timestamps[row], self.values[row])?;
            }
        }
        Ok(())
    }
}
