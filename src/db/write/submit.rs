//! Into the queue and out of it: what a caller's thread does before and after its batch is committed.
//!
//! 1. Given a batch, it is refused if the store takes no writes or a timestamp is outside the age limits.
//! 2. Its bytes are reserved in the queue; where there is no room, the caller waits or is refused.
//! 3. It is encoded on the caller's thread, outside of every lock, and appended to the queue.
//! 4. Whoever waits first for his ticket leads: he is held back if merges have fallen behind, and commits
//!    what is queued (`commit`). The others wait for their answers.

use std::sync::Arc;
use std::time::Duration;

use super::Writer;
use super::batch::{Ack, WriteBatch};
use super::queue::WhenFull;
use super::request::{BatchRequest, DeleteRequest, Outcome, Ticket};
use crate::error::{Error, Result};
use crate::series::SeriesHandle;
use crate::types::{Limit, LimitExceeded};
use crate::wal::{BatchColumns, EncodedBatch};

/// Times that stale handles of a batch are renewed: a series that was just resolved can only be freed
/// again while the registry is full of others.
const RENEWALS_MAX: usize = 8;
/// What a batch in the queue takes beside its rows and runs.
const REQUEST_BYTES: usize = 256;

impl Writer {
    /// Puts a batch into the queue and waits for its outcome.
    ///
    /// # Errors
    /// Those of [`Db::write`](crate::Db::write).
    pub(in crate::db) fn write(&self, batch: &WriteBatch) -> Result<Ack> {
        let start = self.env.clock().monotonic();
        let ticket = self.enqueue(batch, WhenFull::Wait);
        let result = ticket.and_then(|ticket| self.finish(&ticket));
        self.env.counters.write.record(self.env.clock().monotonic().saturating_sub(start));
        result
    }

    /// As [`write`](Self::write); handles that went stale are renewed by `renew`, and the batch is written
    /// again.
    ///
    /// # Errors
    /// Those of [`write`](Self::write) and of `renew`.
    pub(in crate::db) fn write_renewing(
        &self,
        batch: &mut WriteBatch,
        renew: &mut dyn FnMut(SeriesHandle) -> Result<SeriesHandle>,
    ) -> Result<Ack> {
        for _ in 0..RENEWALS_MAX {
            match self.write(batch) {
                Err(Error::StaleHandle(_)) => {
                    let is_current = |handle| self.registry.is_current(handle);
                    batch.renew(|handle| match is_current(handle) {
                        true => Ok(handle),
                        false => renew(handle),
                    })?;
                }
                result => return result,
            }
        }
        self.write(batch)
    }

    /// Puts a batch into the queue.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] when the queue is full.
    pub(in crate::db) fn submit(&self, batch: &WriteBatch) -> Result<Ticket> {
        self.enqueue(batch, WhenFull::Refuse)
    }

    /// Puts a delete into the queue.
    pub(super) fn submit_delete(&self, request: DeleteRequest) -> Ticket {
        let outcome = Arc::clone(&request.outcome);
        self.queue.push_delete(request);
        Ticket { outcome }
    }

    /// Waits for a ticket, leading commits while nobody else does.
    pub(super) fn finish(&self, ticket: &Ticket) -> Result<Ack> {
        self.queue.finish(ticket, &|| self.lead())
    }

    /// Commits what is queued, as the leader; the caller holds no lock.
    fn lead(&self) {
        self.env.throttle();
        self.commit_step();
    }

    fn enqueue(&self, batch: &WriteBatch, when_full: WhenFull) -> Result<Ticket> {
        self.env.health.check_writable()?;
        self.check_times(&batch.timestamps)?;
        let outcome = Arc::new(Outcome::default());
        if batch.is_empty() {
            outcome.acknowledge(Ack { seq: 0, durable: true });
            return Ok(Ticket { outcome });
        }
        let bytes = bytes_of(batch);
        let max = self.env.options.queue_bytes_max();
        self.queue.reserve(bytes, max, when_full, &|| self.lead()).map_err(|waiting| {
            self.env.counters.queue_refused.add(1);
            LimitExceeded::new(Limit::QueueBytes, waiting + bytes, max)
        })?;
        let columns = BatchColumns {
            run_rows: &batch.run_rows,
            timestamps: &batch.timestamps,
            values: &batch.values,
        };
        self.queue.push_batch(BatchRequest {
            handles: batch.handles.clone(),
            run_rows: batch.run_rows.clone(),
            encoded: EncodedBatch::new(&columns, self.queue.spare_buffer()),
            outcome: Arc::clone(&outcome),
            times: extent(&batch.timestamps),
            bytes,
        });
        Ok(Ticket { outcome })
    }

    /// Refuses samples outside the age limits.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] with the first such timestamp.
    pub(in crate::db) fn check_times(&self, timestamps: &[i64]) -> Result<()> {
        let (age, ahead) = (self.env.options.age_max, self.env.options.ahead_max);
        if age.is_none() && ahead.is_none() {
            return Ok(());
        }
        let now = i128::from(self.env.clock().wall_ms());
        let to_ticks = |ms: i128| ms * i128::from(self.env.ticks_per_second) / 1000;
        let millis = |d: Duration| i128::try_from(d.as_millis()).unwrap_or(i128::MAX >> 64);
        let oldest = age.map(|age| to_ticks(now - millis(age)));
        let newest = ahead.map(|ahead| to_ticks(now + millis(ahead)));
        for &timestamp in timestamps {
            let t = i128::from(timestamp);
            if oldest.is_some_and(|oldest| t < oldest) {
                return Err(Error::InvalidArgument(format!(
                    "the timestamp {timestamp} is older than allowed"
                )));
            }
            if newest.is_some_and(|newest| t > newest) {
                return Err(Error::InvalidArgument(format!(
                    "the timestamp {timestamp} is too far in the future"
                )));
            }
        }
        Ok(())
    }
}

/// The oldest and the newest of some timestamps, of which there is one at least.
fn extent(timestamps: &[i64]) -> (i64, i64) {
    let first = timestamps.first().copied().unwrap_or(0);
    timestamps.iter().fold((first, first), |(min, max), &t| (min.min(t), max.max(t)))
}

/// What a batch takes in the queue: its handles and its payload without definitions.
fn bytes_of(batch: &WriteBatch) -> u64 {
    let run = size_of::<SeriesHandle>() + 3 * size_of::<u32>();
    (REQUEST_BYTES + batch.rows() * 16 + batch.handles.len() * run) as u64
}
