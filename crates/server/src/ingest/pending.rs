//! Samples that wait to be written together, kept so that a write can be repeated.
//!
//! They wait as long as a client likes, and count as what its import holds meanwhile. So there is little beside
//! them: labels grow by a quarter, not by their double, and the batch lives while it is written.

use siltstone::{Db, EncodedLabels, Error, Labels, Result, Timestamp, WriteBatch};

use crate::reasons::Reasons;

/// Writes repeated because a series was put to rest in between, before it is an error.
const STALE_RETRIES: usize = 4;
/// Bytes of labels that fill a batch, however few its rows.
const LABELS_BYTES_MAX: usize = 2 << 20;
/// The labels grow by this part of themselves at least.
const LABELS_GROWTH_PART: usize = 4;

/// Rows of several series with their labels, in memory that is reused.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Canonical encodings, one after the other.
    labels: Vec<u8>,
    runs: Vec<Run>,
    timestamps: Vec<Timestamp>,
    /// `f64` bits.
    values: Vec<u64>,
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
        let encoded = labels.encoded();
        if self.labels.capacity() - self.labels.len() < encoded.len() {
            self.labels.reserve_exact(encoded.len().max(self.labels.len() / LABELS_GROWTH_PART));
        }
        self.labels.extend_from_slice(encoded);
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
        let mut batch = WriteBatch::default();
        let mut attempts = 0..STALE_RETRIES;
        let (written, refused, no_room) = loop {
            let (mut refused, mut no_room) = (Reasons::default(), Reasons::default());
            let filled = self.fill(db, &mut batch, &mut refused, &mut no_room);
            let result = filled.and_then(|()| db.write(&batch));
            match result {
                Err(Error::StaleHandle(_)) if attempts.next().is_some() => {}
                Err(error) => return Err(error),
                Ok(_) => break (batch.rows() as u64, refused, no_room),
            }
        };
        bad.merge(refused);
        full.merge(no_room);
        Ok(written)
    }

    fn fill(
        &self,
        db: &Db,
        batch: &mut WriteBatch,
        bad: &mut Reasons,
        full: &mut Reasons,
    ) -> Result<()> {
        batch.clear();
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
                batch.push_bits(series, self.timestamps[row], self.values[row])?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_holds_little_beside_itself() {
        let mut pending = Pending::default();
        let (rows_max, host) = (50_000, "host".repeat(10));
        let mut count = 0;
        while !pending.is_full(rows_max) {
            let n = count.to_string();
            let labels =
                Labels::from_pairs([("__name__", "m"), ("instance", &host), ("n", &n)]).unwrap();
            pending.start(&labels, count);
            pending.push(1, 1.0);
            count += 1;
            let (len, held) = (pending.labels.len(), pending.labels.capacity());
            assert!(held <= len + len / LABELS_GROWTH_PART, "{held} bytes for {len}");
        }
        assert!(
            pending.labels.len() > LABELS_BYTES_MAX - 100,
            "{count} rows fill it by their labels"
        );
        let rows = pending.rows().next_power_of_two();
        let most = LABELS_BYTES_MAX * 5 / 4 + rows * (size_of::<Run>() + 16);
        assert!(pending.bytes() <= most, "{} bytes", pending.bytes());
    }
}
