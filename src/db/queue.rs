//! What waits for a commit: batches and deletes, the room that they may take, and their tickets.
//!
//! Writers put encoded batches into the [`Queue`]; the first that waits leads (`commit`), the others
//! wait for their answer or for room. Under the queue's lock no other is taken.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::core::Core;
use super::delete::DeleteRequest;
use super::write_batch::{Ack, WriteBatch};
use crate::error::{Error, Result};
use crate::series::SeriesHandle;
use crate::wal::{BatchColumns, EncodedBatch, PAYLOAD_BYTES_MAX};

/// Most bytes of payload that one leader takes.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// What a batch in the queue takes beside its rows and runs.
const PENDING_BYTES: usize = 256;
/// Buffers kept for the next batches.
const SPARE_BUFFERS_MAX: usize = 8;
/// Larger buffers are given back to the allocator.
const SPARE_BUFFER_BYTES_MAX: usize = 1 << 20;

/// Batches that wait for a leader.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct QueueState {
    waiting: VecDeque<Waiting>,
    leading: bool,
    /// Bytes of the batches that wait or are being committed.
    bytes: u64,
    /// Writers that wait for those with room to fill it.
    blocked: u32,
    /// Buffers of finished batches.
    spare: Vec<Vec<u8>>,
}

/// What is in the queue.
#[derive(Debug)]
enum Waiting {
    Batch(Pending),
    Delete(DeleteRequest),
}

/// A batch in the queue.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) handles: Vec<SeriesHandle>,
    pub(super) run_rows: Vec<u32>,
    pub(super) encoded: EncodedBatch,
    pub(super) outcome: Arc<Outcome>,
    /// Its oldest and its newest timestamp.
    pub(super) times: (i64, i64),
    /// What it counts for in [`QueueState::bytes`].
    bytes: u64,
}

/// What became of a batch or a delete, for its ticket.
#[derive(Debug, Default)]
pub(super) struct Outcome(pub(super) OnceLock<Result<Ack, CommitError>>);

impl Outcome {
    pub(super) fn acknowledge(&self, ack: Ack) {
        let _ = self.0.set(Ok(ack));
    }

    /// The answer, unless there is one.
    pub(super) fn refuse(&self, error: &Arc<Error>) {
        let _ = self.0.set(Err(CommitError::Group(Arc::clone(error))));
    }
}

/// Why a batch was not acknowledged; every batch of a group gets its own copy.
#[derive(Debug, Clone)]
pub(super) enum CommitError {
    Stale,
    TooLarge(usize),
    Group(Arc<Error>),
}

impl CommitError {
    fn to_error(&self) -> Error {
        match self {
            Self::Stale => Error::StaleHandle,
            Self::TooLarge(bytes) => Error::LimitExceeded(format!(
                "the batch needs {bytes} bytes of log, more than {PAYLOAD_BYTES_MAX}: write it in parts"
            )),
            Self::Group(error) => error.duplicate(),
        }
    }
}

/// A batch that was [submitted](super::Db::submit).
#[derive(Debug)]
pub struct Ticket {
    pub(super) outcome: Arc<Outcome>,
}

impl Ticket {
    /// The acknowledgement, once a commit step has handled the batch.
    #[must_use]
    pub fn poll(&self) -> Option<Result<Ack>> {
        let outcome = self.outcome.0.get()?;
        Some(outcome.clone().map_err(|e| e.to_error()))
    }
}

impl Core {
    /// Puts a batch into the queue and waits for its outcome.
    pub(super) fn write(&self, batch: &WriteBatch) -> Result<Ack> {
        let ticket = self.enqueue(batch, WhenFull::Wait)?;
        self.finish(&ticket)
    }

    /// Puts a batch into the queue.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] when the queue is full.
    pub(super) fn submit(&self, batch: &WriteBatch) -> Result<Ticket> {
        self.enqueue(batch, WhenFull::Refuse)
    }

    fn enqueue(&self, batch: &WriteBatch, when_full: WhenFull) -> Result<Ticket> {
        self.check_writable()?;
        self.check_times(&batch.timestamps)?;
        let outcome = Arc::new(Outcome::default());
        if batch.is_empty() {
            let _ = outcome.0.set(Ok(Ack { seq: 0, durable: true }));
            return Ok(Ticket { outcome });
        }
        let bytes = bytes_of(batch);
        self.reserve(bytes, when_full)?;
        let buffer = self.queue.lock().spare.pop().unwrap_or_default();
        let columns = BatchColumns {
            run_rows: &batch.run_rows,
            timestamps: &batch.timestamps,
            values: &batch.values,
        };
        let pending = Pending {
            handles: batch.handles.clone(),
            run_rows: batch.run_rows.clone(),
            encoded: EncodedBatch::new(&columns, buffer),
            outcome: Arc::clone(&outcome),
            times: extent(&batch.timestamps),
            bytes,
        };
        let mut state = self.queue.lock();
        state.waiting.push_back(Waiting::Batch(pending));
        if state.blocked > 0 {
            self.queue.changed.notify_all();
        }
        Ok(Ticket { outcome })
    }

    /// Puts a delete into the queue.
    pub(super) fn submit_delete(&self, request: DeleteRequest) -> Ticket {
        let outcome = Arc::clone(&request.outcome);
        let mut state = self.queue.lock();
        state.waiting.push_back(Waiting::Delete(request));
        if state.blocked > 0 {
            self.queue.changed.notify_all();
        }
        Ticket { outcome }
    }

    /// Takes `bytes` of the queue's room. A batch larger than all of it has it alone.
    fn reserve(&self, bytes: u64, when_full: WhenFull) -> Result<()> {
        let max = self.options.queue_bytes_max();
        let mut state = self.queue.lock();
        while state.bytes > 0 && state.bytes + bytes > max {
            match when_full {
                WhenFull::Refuse => {
                    self.counters.queue_refused.add(1);
                    return Err(Error::LimitExceeded(format!(
                        "{} bytes of batches wait for their commit, of at most {max}: commit them \
                         first",
                        state.bytes
                    )));
                }
                // Those who have the room are still encoding.
                WhenFull::Wait if state.waiting.is_empty() && !state.leading => {
                    state.blocked += 1;
                    state = self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.blocked -= 1;
                }
                WhenFull::Wait => state = self.wait_or_lead(state),
            }
        }
        state.bytes += bytes;
        Ok(())
    }

    /// Waits until a leader has committed a group, or is that leader.
    fn wait_or_lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, QueueState>,
    ) -> MutexGuard<'a, QueueState> {
        if state.leading {
            return self.queue.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.leading = true;
        drop(state);
        let leadership = Leadership(&self.queue);
        self.throttle();
        self.commit_step();
        drop(leadership);
        self.queue.lock()
    }

    /// Waits for a ticket, leading commits while nobody else does.
    pub(super) fn finish(&self, ticket: &Ticket) -> Result<Ack> {
        let mut state = self.queue.lock();
        loop {
            if let Some(result) = ticket.poll() {
                return result;
            }
            state = self.wait_or_lead(state);
        }
    }

    /// Refuses samples outside the age limits.
    pub(super) fn check_times(&self, timestamps: &[i64]) -> Result<()> {
        let (age, ahead) = (self.options.age_max, self.options.ahead_max);
        if age.is_none() && ahead.is_none() {
            return Ok(());
        }
        let now = i128::from(self.clock().wall_ms());
        let to_ticks = |ms: i128| ms * i128::from(self.ticks_per_second) / 1000;
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

impl Pending {
    /// (slot, timestamp, value bits) of each row.
    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, i64, u64)> + '_ {
        let slots = self.handles.iter().zip(&self.run_rows);
        let slots = slots.flat_map(|(h, &rows)| std::iter::repeat_n(h.slot(), rows as usize));
        slots.zip(self.encoded.samples()).map(|(slot, (timestamp, bits))| (slot, timestamp, bits))
    }
}

/// What to do when the queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenFull {
    Wait,
    Refuse,
}

/// The oldest and the newest of some timestamps, of which there is one at least.
fn extent(timestamps: &[i64]) -> (i64, i64) {
    let first = timestamps.first().copied().unwrap_or(0);
    timestamps.iter().fold((first, first), |(min, max), &t| (min.min(t), max.max(t)))
}

/// What a batch takes in the queue: its handles and its payload without definitions.
fn bytes_of(batch: &WriteBatch) -> u64 {
    let run = size_of::<SeriesHandle>() + 3 * size_of::<u32>();
    (PENDING_BYTES + batch.rows() * 16 + batch.handles.len() * run) as u64
}

impl Queue {
    /// Bytes of the batches that wait or are being committed, and of the buffers kept for others.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.lock();
        state.bytes + state.spare.iter().map(|buffer| buffer.capacity() as u64).sum::<u64>()
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batches and deletes for one leader, each in order.
    pub(super) fn take_group(&self) -> (Vec<Pending>, Vec<DeleteRequest>) {
        let mut state = self.lock();
        let mut bytes = 0;
        let (mut batches, mut deletes) = (Vec::new(), Vec::new());
        while let Some(waiting) = state.waiting.front() {
            bytes += match waiting {
                Waiting::Batch(pending) => pending.encoded.payload().len(),
                Waiting::Delete(request) => request.encoded_bytes(),
            };
            if bytes > GROUP_BYTES_MAX && !(batches.is_empty() && deletes.is_empty()) {
                break;
            }
            match state.waiting.pop_front() {
                Some(Waiting::Batch(pending)) => batches.push(pending),
                Some(Waiting::Delete(request)) => deletes.push(request),
                None => {}
            }
        }
        (batches, deletes)
    }

    pub(super) fn recycle(&self, group: Vec<Pending>) {
        let mut state = self.lock();
        for pending in group {
            state.bytes -= pending.bytes;
            let buffer = pending.encoded.into_buffer();
            let small = buffer.capacity() <= SPARE_BUFFER_BYTES_MAX;
            if small && state.spare.len() < SPARE_BUFFERS_MAX {
                state.spare.push(buffer);
            }
        }
        if state.blocked > 0 {
            self.changed.notify_all();
        }
    }
}

/// Gives up the lead when dropped, also by a panic, and wakes the followers.
struct Leadership<'a>(&'a Queue);

impl Drop for Leadership<'_> {
    fn drop(&mut self) {
        self.0.lock().leading = false;
        self.0.changed.notify_all();
    }
}
