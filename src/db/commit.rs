//! The commit path: from a batch to an acknowledgement.
//!
//! Writers put encoded batches into the queue (`queue`). The first waiter becomes the *leader*: it takes all
//! that is queued and, under the commit lock, gives each batch its refs and its seq, writes all frames
//! with one call, applies them to the memtable, publishes them to readers and syncs as the policy says.
//! Then it wakes the others. While it syncs, the next group gathers.
//!
//! Deletes wait in the same queue. A leader commits the batches that it took, then the deletes, which
//! share one seal (`delete`).
//!
//! Invariants: a batch is applied only after its frame is written; seqs are given in the order of the
//! log; a batch whose handles went stale is refused before anything of it is written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::changes::Change;
use super::core::{Core, Generation};
use super::delete::DeleteRequest;
use super::generation::SealFor;
use super::options::Durability;
use super::queue::{CommitError, Pending};
use super::write_batch::Ack;
use crate::error::{Error, Result};
use crate::wal::{Definitions, PAYLOAD_BYTES_MAX, RecordKind, WalWriter};

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
        let generation = self.writable_generation(commit, SealFor::Writes)?;
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
        let times = || accepted.iter().map(|&(i, _)| group[i].times);
        let changes = times().map(|(oldest, newest)| Change::Within(oldest, newest));
        self.changes.record(changes, || generation.memtable.publish());
        let newest = times().map(|(_, newest)| newest).max();
        newest.into_iter().for_each(|timestamp| self.compactor.retention.note(timestamp));
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
            if !pending.handles.iter().all(|&h| self.registry.mark_used(h, number)) {
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
