//! The commit: from a group of queued batches to their acknowledgements.
//!
//! 1. Given that something is queued, the first that waits is the *leader*. It takes the commit lock and
//!    all that is queued, batches and deletes. While it works, the next group gathers.
//! 2. Writes are refused if the store has failed or the disk is full.
//! 3. The active generation is sealed first if it is full (`seal`); where another one still waits for
//!    its flush, the leader flushes that: this is the stall.
//! 4. Each batch gets its refs, the definitions of series that are new to this log file, and its seq. One
//!    with a stale handle, or that makes too large a frame, is refused alone.
//! 5. All frames are written to the log with one call.
//! 6. The rows are appended to the memtable, and shown to readers together.
//! 7. The log is synced, if the policy is to sync always. Either way it is looked whether the directory is
//!    still the store's, and its lock file there: what another process opens meanwhile has the frames.
//! 8. Every batch is answered. Then the deletes follow, which share one seal (`delete`).
//!
//! A failure before step 5 has changed nothing. One in step 5 closes the log file: the next commit starts
//! another, whose header says how much of this one counts. One in step 7 leaves the batches visible, and
//! answers that their durability is unknown.
//!
//! Invariants: a batch is applied only after its frame is written; seqs are given in the order of the
//! log; a batch whose handles went stale is refused before anything of it is written.
//!
//! # Why the leader gives refs
//!
//! Not at submission: not at submission: a batch learns its log file only when it gets its offset,
//! and a file that had to be sealed then costs nothing but a retry. The price is that the payload's
//! CRC is computed under the commit lock.

use std::sync::Arc;

use super::Writer;
use super::batch::Ack;
use super::commit_state::CommitState;
use super::request::{BatchRequest, CommitError, DeleteRequest};
use super::seal::SealFor;
use crate::db::env::options::Durability;
use crate::db::view::changes::Change;
use crate::db::view::generation::Generation;
use crate::error::{Error, Result};
use crate::types::SeriesHandle;
use crate::wal::{PAYLOAD_BYTES_MAX, RecordKind};

impl Writer {
    /// Commits what is queued, as the leader; whether there was anything.
    pub(in crate::db) fn commit_step(&self) -> bool {
        // Locked first: of two steps at once, the one that takes the older batches commits first.
        let mut commit = self.lock_commit();
        let (batches, deletes) = self.queue.take_group();
        let mut group = Group { writer: self, batches, deletes, answered: false };
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
                self.env.with_reserve(|| self.commit_deletes(&mut commit, &group.deletes))
        {
            group.answer_deletes(error);
        }
        group.answered = true;
        self.queue.recycle(std::mem::take(&mut group.batches));
        true
    }

    /// Writes, applies, publishes and syncs a group. An error is the answer of every batch that has
    /// none yet.
    fn commit_group(&self, commit: &mut CommitState, group: &mut [BatchRequest]) -> Result<()> {
        self.env.health.check_writable()?;
        self.env.check_disk()?;
        let generation = self.writable_generation(commit, SealFor::Writes)?;
        let accepted = self.complete_batches(commit, &generation, group);
        if accepted.is_empty() {
            return Ok(());
        }
        let frames: Vec<(u64, &[u8])> =
            accepted.iter().map(|&(i, seq)| (seq, group[i].encoded.payload())).collect();
        let wal = commit.wal.as_mut().expect("a writable generation has a log file");
        wal.note_edit(self.versions.durable_edit());
        wal.append(RecordKind::Batch, &frames)?;
        let now = self.env.clock().monotonic();
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
        self.view.changes.record(changes, || generation.memtable.publish());
        let newest = times().map(|(_, newest)| newest).max();
        newest.into_iter().for_each(|timestamp| self.versions.retention.note(timestamp));
        self.env.counters.batches_written.add(accepted.len() as u64);
        self.env.counters.samples_written.add(rows);
        let durable = matches!(self.env.options.durability, Durability::Always);
        self.sync_or_check(commit, durable)?;
        for (i, seq) in accepted {
            group[i].outcome.acknowledge(Ack { seq, durable });
        }
        Ok(())
    }

    /// Gives each batch its refs, definitions and seq; those with stale handles are refused here, as
    /// are those that make no frame.
    fn complete_batches(
        &self,
        commit: &mut CommitState,
        generation: &Generation,
        group: &mut [BatchRequest],
    ) -> Vec<(usize, u64)> {
        let number = generation.number();
        let mut accepted = Vec::with_capacity(group.len());
        let mut seq = commit.last_seq;
        for (i, pending) in group.iter_mut().enumerate() {
            let is_stale = |h: &&SeriesHandle| !self.registry.mark_used(**h, number);
            if let Some(&stale) = pending.handles.iter().find(is_stale) {
                let _ = pending.outcome.0.set(Err(CommitError::Stale(stale)));
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
                    let error = Error::io("compress labels for", &self.env.dir, e);
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
}

/// A group in the hands of its leader: should the leader panic, the store takes no more writes and
/// every batch of the group is answered.
struct Group<'a> {
    writer: &'a Writer,
    batches: Vec<BatchRequest>,
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
            self.writer.env.health.fail(&error);
            self.answer_batches(error.duplicate());
            self.answer_deletes(error);
            self.writer.queue.recycle(std::mem::take(&mut self.batches));
        }
    }
}
