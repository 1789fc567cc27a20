//! The queue of what waits for a commit: batches and deletes in their order, the bytes that they may take,
//! and whether somebody leads.
//!
//! Filled by `submit`, emptied by the leader in `commit`. Under the queue's lock no other is taken.

use std::collections::VecDeque;
use std::sync::PoisonError;

use super::batch::Ack;
use super::request::{BatchRequest, DeleteRequest, Ticket};
use crate::error::Error;
use crate::sys::sync::{Condvar, Mutex, MutexGuard};

/// Most bytes of payload that one leader takes.
const GROUP_BYTES_MAX: usize = 64 << 20;
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
    Batch(BatchRequest),
    Delete(DeleteRequest),
}

/// What to do when the queue has no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WhenFull {
    Wait,
    Refuse,
}

impl Queue {
    /// Takes `bytes` of the `max` that batches may take. A batch larger than all of it has it alone. Where
    /// there is no room, waits for it, leading a commit with `lead` while nobody else does, or refuses.
    ///
    /// # Errors
    /// The bytes that wait, if it is refused.
    pub(super) fn reserve(
        &self,
        bytes: u64,
        max: u64,
        when_full: WhenFull,
        lead: &dyn Fn(),
    ) -> Result<(), u64> {
        let mut state = self.lock();
        while state.bytes > 0 && state.bytes + bytes > max {
            match when_full {
                WhenFull::Refuse => return Err(state.bytes),
                // Those who have the room are still encoding.
                WhenFull::Wait if state.waiting.is_empty() && !state.leading => {
                    state.blocked += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.blocked -= 1;
                }
                WhenFull::Wait => state = self.wait_or_lead(state, lead),
            }
        }
        state.bytes += bytes;
        Ok(())
    }

    /// A buffer of an earlier batch, if there is one.
    pub(super) fn spare_buffer(&self) -> Vec<u8> {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Appends a batch whose bytes were [reserved](Self::reserve).
    pub(super) fn push_batch(&self, batch: BatchRequest) {
        self.push(Waiting::Batch(batch));
    }

    /// Appends a delete.
    pub(super) fn push_delete(&self, delete: DeleteRequest) {
        self.push(Waiting::Delete(delete));
    }

    fn push(&self, waiting: Waiting) {
        let mut state = self.lock();
        state.waiting.push_back(waiting);
        if state.blocked > 0 {
            self.changed.notify_all();
        }
    }

    /// Waits for a ticket, leading commits with `lead` while nobody else does.
    pub(super) fn finish(&self, ticket: &Ticket, lead: &dyn Fn()) -> Result<Ack, Error> {
        let mut state = self.lock();
        loop {
            if let Some(result) = ticket.poll() {
                return result;
            }
            state = self.wait_or_lead(state, lead);
        }
    }

    /// Waits until a leader has committed a group, or is that leader.
    fn wait_or_lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, QueueState>,
        lead: &dyn Fn(),
    ) -> MutexGuard<'a, QueueState> {
        if state.leading {
            return self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.leading = true;
        drop(state);
        let leadership = Leadership(self);
        lead();
        drop(leadership);
        self.lock()
    }

    /// Bytes of the batches that wait or are being committed, and of the buffers kept for others.
    pub(super) fn bytes(&self) -> u64 {
        let state = self.lock();
        state.bytes + state.spare.iter().map(|buffer| buffer.capacity() as u64).sum::<u64>()
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batches and deletes for one leader, each in order.
    pub(super) fn take_group(&self) -> (Vec<BatchRequest>, Vec<DeleteRequest>) {
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

    pub(super) fn recycle(&self, group: Vec<BatchRequest>) {
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
