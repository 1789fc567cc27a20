//! The commit path: from a batch to an acknowledgement.
//!
//! Writers put encoded batches into the [`Queue`]. The first waiter becomes the *leader*: it takes all
//! that is queued and, under the commit lock, gives each batch its refs and its seq, writes all frames
//! with one call, applies them to the memtable, publishes them to readers and syncs as the policy says.
//! Then it wakes the others. While it syncs, the next group gathers.
//!
//! Deletes wait in the same queue. A leader commits the batches that it took, then the deletes, which
//! share one seal (`delete`).
//!
//! Invariants: a batch is applied only after its frame is written; seqs are given in the order of the
//! log; a batch whose handles went stale is refused before anything of it is written.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::core::{Core, Generation};
use super::delete::DeleteRequest;
use super::options::Durability;
use super::write_batch::{Ack, WriteBatch};
use crate::error::{Error, Result};
use crate::series::SeriesHandle;
use crate::wal::{
    BatchColumns, Definitions, EncodedBatch, PAYLOAD_BYTES_MAX, RecordKind, WalWriter,
};

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
    handles: Vec<SeriesHandle>,
    run_rows: Vec<u32>,
    encoded: EncodedBatch,
    outcome: Arc<Outcome>,
    /// What it counts for in [`QueueState::bytes`].
    bytes: u64,
}

/// What became of a batch or a delete, for its ticket.
#[derive(Debug, Default)]
pub(super) struct Outcome(OnceLock<Result<Ack, CommitError>>);

impl Outcome {
    pub(super) fn acknowledge(&self, ack: Ack) {
        let _ = self.0.set(Ok(ack));
    }

    /// The answer, unless there is one.
    fn refuse(&self, error: &Arc<Error>) {
        let _ = self.0.set(Err(CommitError::Group(Arc::clone(error))));
    }
}

/// Why a batch was not acknowledged; every batch of a group gets its own copy.
#[derive(Debug, Clone)]
enum CommitError {
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

/// What the leader owns while it holds the commit lock.
#[derive(Debug)]
pub(super) struct Commit {
    /// `None` when a file could not be created; the next commit tries again.
    pub(super) wal: Option<WalWriter>,
    /// What the next log file says about the one before it.
    pub(super) predecessor: crate::wal::Predecessor,
    /// The refs given out in this file.
    pub(super) next_ref: u32,
    /// The seq of the last batch written.
    pub(super) last_seq: u64,
    /// Monotonic time of the oldest write that no sync has covered.
    pub(super) unsynced_since: Option<Duration>,
    /// Whether frames were written after the last SYNC frame, and when the last one was.
    pub(super) last_write: Option<Duration>,
    definitions: Definitions,
}

impl Commit {
    pub(super) fn new(
        wal: Option<WalWriter>,
        predecessor: crate::wal::Predecessor,
        last_seq: u64,
    ) -> Self {
        Self {
            wal,
            predecessor,
            next_ref: 0,
            last_seq,
            unsynced_since: None,
            last_write: None,
            definitions: Definitions::default(),
        }
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
        if self.options.retention.is_some() {
            self.compactor.retention.note(&batch.timestamps);
        }
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

    /// Commits what is queued, as the leader; whether there was anything.
    pub(super) fn commit_step(&self) -> bool {
        // Locked first: of two steps at once, the one that takes the older batches commits first.
        let mut commit = self.lock_commit();
        let (batches, deletes) = self.queue.take_group();
        let mut group = Group { core: self, batches, deletes, answered: false };
        if group.batches.is_empty() && group.deletes.is_empty() {
            group.answered = true;
            return false;
        }
        if !group.batches.is_empty()
            && let Err(error) = self.commit_group(&mut commit, &mut group.batches)
        {
            group.answer_batches(error);
        }
        if !group.deletes.is_empty()
            && let Err(error) =
                self.with_reserve(|| self.commit_deletes(&mut commit, &group.deletes))
        {
            group.answer_deletes(error);
        }
        group.answered = true;
        self.queue.recycle(std::mem::take(&mut group.batches));
        true
    }

    /// Writes, applies, publishes and syncs a group. An error is the answer of every batch that has
    /// none yet.
    fn commit_group(&self, commit: &mut Commit, group: &mut [Pending]) -> Result<()> {
        self.check_writable()?;
        self.check_disk()?;
        let generation = self.writable_generation(commit)?;
        let accepted = self.complete_batches(commit, &generation, group);
        if accepted.is_empty() {
            return Ok(());
        }
        let frames: Vec<(u64, &[u8])> =
            accepted.iter().map(|&(i, seq)| (seq, group[i].encoded.payload())).collect();
        let wal = commit.wal.as_mut().expect("a writable generation has a log file");
        wal.append(RecordKind::Batch, &frames)?;
        let now = self.clock().monotonic();
        self.registry.set_time(now);
        commit.last_seq = wal.last_seq();
        commit.last_write = Some(now);
        commit.unsynced_since.get_or_insert(now);
        let mut rows = 0;
        for &(i, seq) in &accepted {
            let pending = &group[i];
            generation.memtable.append(pending.rows(), seq);
            rows += pending.encoded.rows() as u64;
        }
        generation.memtable.publish();
        self.counters.batches_written.add(accepted.len() as u64);
        self.counters.samples_written.add(rows);
        let durable = matches!(self.options.durability, Durability::Always);
        if durable {
            self.sync_wal(commit)?;
        }
        for (i, seq) in accepted {
            let _ = group[i].outcome.0.set(Ok(Ack { seq, durable }));
        }
        Ok(())
    }

    /// Gives each batch its refs, definitions and seq; those with stale handles are refused here, as
    /// are those that make no frame.
    fn complete_batches(
        &self,
        commit: &mut Commit,
        generation: &Generation,
        group: &mut [Pending],
    ) -> Vec<(usize, u64)> {
        let number = generation.memtable.generation();
        let mut accepted = Vec::with_capacity(group.len());
        let mut seq = commit.last_seq;
        for (i, pending) in group.iter_mut().enumerate() {
            if !pending.handles.iter().all(|&h| self.registry.touch(h, number)) {
                let _ = pending.outcome.0.set(Err(CommitError::Stale));
                continue;
            }
            for (handle, &rows) in pending.handles.iter().zip(&pending.run_rows) {
                self.registry.note_written(handle.slot(), rows);
            }
            let first_ref = commit.next_ref;
            commit.definitions.clear();
            for handle in &pending.handles {
                let slot = handle.slot();
                if self.registry.wal_ref(slot, number).is_none() {
                    let labels = self.registry.labels(slot).expect("a touched series has labels");
                    commit.definitions.push(&labels);
                    self.registry.set_wal_ref(slot, number, commit.next_ref);
                    commit.next_ref += 1;
                }
            }
            let registry = &self.registry;
            let refs = pending.handles.iter().map(|h| {
                registry.wal_ref(h.slot(), number).expect("every series of the batch is defined")
            });
            let completed = pending.encoded.complete(refs, first_ref, &commit.definitions);
            let bytes = pending.encoded.payload().len();
            let refused = match completed {
                Err(e) => {
                    let error = Error::io("compress labels for", &self.dir, e);
                    Some(CommitError::Group(Arc::new(error)))
                }
                Ok(()) if bytes > PAYLOAD_BYTES_MAX || commit.definitions.too_large() => {
                    Some(CommitError::TooLarge(bytes))
                }
                Ok(()) => None,
            };
            if let Some(refused) = refused {
                // The refs that it would have defined are free again.
                let slots = pending.handles.iter().map(|h| h.slot());
                slots.for_each(|slot| self.registry.clear_wal_ref(slot, number, first_ref));
                commit.next_ref = first_ref;
                let _ = pending.outcome.0.set(Err(refused));
                continue;
            }
            seq += 1;
            accepted.push((i, seq));
        }
        accepted
    }

    /// Syncs the log and notes what is durable. After a failure the file is poisoned: the next
    /// commit starts a new generation, and the memtable goes to a segment.
    pub(super) fn sync_wal(&self, commit: &mut Commit) -> Result<()> {
        let Some(wal) = &mut commit.wal else { return Ok(()) };
        let start = self.clock().monotonic();
        let synced = wal.sync();
        self.counters.fsync.record(self.clock().monotonic().saturating_sub(start));
        match synced {
            Ok(seq) => {
                commit.unsynced_since = None;
                self.note_synced(seq);
                Ok(())
            }
            Err(error) => {
                self.live().active.in_doubt.store(true, Ordering::Release);
                tracing::error!(%error, "a sync of the log failed: its memtable will be flushed to a new file");
                Err(Error::DurabilityUnknown { durable_seq: self.durable.get() })
            }
        }
    }

    /// Proves the frames before it durable to a later reader of the log.
    pub(super) fn write_sync_frame(&self, commit: &mut Commit) -> Result<()> {
        let Some(wal) = commit.wal.as_mut().filter(|wal| wal.is_open()) else { return Ok(()) };
        let written = wal.write_sync_frame();
        if wal.is_poisoned() {
            self.live().active.in_doubt.store(true, Ordering::Release);
        }
        written?;
        commit.unsynced_since = None;
        self.note_synced(wal.durable_seq());
        Ok(())
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
    fn rows(&self) -> impl Iterator<Item = (u32, i64, u64)> + '_ {
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
    fn take_group(&self) -> (Vec<Pending>, Vec<DeleteRequest>) {
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

    fn recycle(&self, group: Vec<Pending>) {
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

/// A group in the hands of its leader: should the leader panic, the store takes no more writes and
/// every batch of the group is answered.
struct Group<'a> {
    core: &'a Core,
    batches: Vec<Pending>,
    deletes: Vec<DeleteRequest>,
    answered: bool,
}

impl Group<'_> {
    fn answer_batches(&self, error: Error) {
        let error = Arc::new(error);
        self.batches.iter().for_each(|pending| pending.outcome.refuse(&error));
    }

    fn answer_deletes(&self, error: Error) {
        let error = Arc::new(error);
        self.deletes.iter().for_each(|request| request.outcome.refuse(&error));
    }
}

impl Drop for Group<'_> {
    fn drop(&mut self) {
        if !self.answered {
            let error = Error::Failed("a commit panicked".into());
            self.core.fail(&error);
            self.answer_batches(error.duplicate());
            self.answer_deletes(error);
            self.core.queue.recycle(std::mem::take(&mut self.batches));
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
