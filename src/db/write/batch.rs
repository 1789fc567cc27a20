//! Batches: what one call writes, all or nothing.

use crate::error::Result;
use crate::series::SeriesHandle;
use crate::types::{Limit, LimitExceeded, Sample, Timestamp};

/// Most rows of one batch: its columns must fit one frame of the log.
pub const BATCH_ROWS_MAX: usize = 1 << 20;

/// Samples to be written together: one frame of the log, all of it visible and recovered or nothing.
///
/// Keep a batch and [`clear`](WriteBatch::clear) it, so that its memory is reused.
///
/// ```
/// # use siltstone::{Db, Labels, Options, WriteBatch};
/// # let dir = tempfile::tempdir()?;
/// let db = Db::open(dir.path(), Options::default())?;
/// let up = db.series(&Labels::from_pairs([("__name__", "up"), ("job", "node")])?)?;
/// let mut batch = WriteBatch::new();
/// batch.push(up, 1_700_000_000_000, 1.0)?;
/// batch.push(up, 1_700_000_015_000, 1.0)?;
/// assert!(db.write(&batch)?.durable);
/// # db.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Clone)]
pub struct WriteBatch {
    /// One handle a run of rows.
    pub(super) handles: Vec<SeriesHandle>,
    pub(super) run_rows: Vec<u32>,
    pub(super) timestamps: Vec<Timestamp>,
    /// `f64` bits.
    pub(super) values: Vec<u64>,
}

impl WriteBatch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample. `timestamp` is in ticks; every value is kept bit for bit.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`](crate::Error::LimitExceeded) when the batch is full (1,048,576 rows); write it and go on.
    pub fn push(&mut self, series: SeriesHandle, timestamp: Timestamp, value: f64) -> Result<()> {
        self.push_bits(series, timestamp, value.to_bits())
    }

    /// As [`push`](Self::push), with the bits of the value: a signalling NaN passed as `f64` may be
    /// quieted by some processors, its bits never are.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_bits(
        &mut self,
        series: SeriesHandle,
        timestamp: Timestamp,
        bits: u64,
    ) -> Result<()> {
        if self.rows() >= BATCH_ROWS_MAX {
            let (rows, max) = (self.rows() as u64 + 1, BATCH_ROWS_MAX as u64);
            return Err(LimitExceeded::new(Limit::BatchRows, rows, max).into());
        }
        match (self.handles.last(), self.run_rows.last_mut()) {
            (Some(last), Some(rows)) if *last == series => *rows += 1,
            _ => {
                self.handles.push(series);
                self.run_rows.push(1);
            }
        }
        self.timestamps.push(timestamp);
        self.values.push(bits);
        Ok(())
    }

    /// Adds samples of one series, as `(timestamp, value)` or as [`Sample`]s.
    ///
    /// ```
    /// # use siltstone::{Db, Labels, Options, WriteBatch};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let up = db.series(&Labels::from_pairs([("__name__", "up")])?)?;
    /// let mut batch = WriteBatch::new();
    /// batch.extend(up, [(1_000, 1.0), (2_000, 0.0)])?;
    /// # db.write(&batch)?;
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`push`](Self::push); the samples before the limit are in the batch.
    pub fn extend(
        &mut self,
        series: SeriesHandle,
        samples: impl IntoIterator<Item = impl Into<Sample>>,
    ) -> Result<()> {
        samples.into_iter().try_for_each(|sample| {
            let Sample { timestamp, value } = sample.into();
            self.push(series, timestamp, value)
        })
    }

    /// Puts other handles in the place of some, as `renew` tells.
    pub(super) fn renew(
        &mut self,
        mut renew: impl FnMut(SeriesHandle) -> Result<SeriesHandle>,
    ) -> Result<()> {
        self.handles.iter_mut().try_for_each(|handle| {
            *handle = renew(*handle)?;
            Ok(())
        })
    }

    /// Empties the batch and keeps its memory.
    pub fn clear(&mut self) {
        self.handles.clear();
        self.run_rows.clear();
        self.timestamps.clear();
        self.values.clear();
    }

    /// The number of samples.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.timestamps.len()
    }

    /// Bytes of heap held, also by a batch that was cleared.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.handles.capacity() * size_of::<SeriesHandle>()
            + self.run_rows.capacity() * size_of::<u32>()
            + (self.timestamps.capacity() + self.values.capacity()) * size_of::<u64>()
    }

    /// Whether the batch has no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }
}

/// What [`Db::write`](crate::Db::write) promises when it returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The place of the batch in the order of all batches; 0 for an empty batch.
    pub seq: u64,
    /// Whether the batch survives a power cut. If not, it survives the death of the process, and
    /// [`Db::wait_durable`](crate::Db::wait_durable) waits for the rest.
    pub durable: bool,
}
