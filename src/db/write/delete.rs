//! Deletes: from a request to a tombstone in the log, shown to readers.
//!
//! 1. Given matchers and a range, they are checked, and the delete waits in the queue of the commit.
//! 2. The leader seals the active generation if that has rows; deletes that wait together share the seal.
//! 3. Each delete gets a seq and a DELETE frame in the log file of the generation that follows.
//! 4. Readers are shown the deletes and an active memtable that no earlier reader knows, with one pointer.
//! 5. The log is synced, if the policy is to sync always, and the deletes are answered.
//! 6. The caller counts what they hide (`receipt`), on what readers saw right after step 4.
//!
//! Floors below know how a tombstone hides; the flush makes it part of the manifest.
//!
//! Invariant: rows of the generation that a delete belongs to are newer than the delete, all others
//! are older.

use std::sync::Arc;

use super::Writer;
use super::batch::Ack;
use super::commit_state::CommitState;
use super::receipt::{DeleteReceipt, receipt};
use super::request::DeleteRequest;
use super::seal::SealFor;
use crate::db::env::options::Durability;
use crate::db::view::changes::Change;
use crate::db::view::generation::Generation;
use crate::db::view::read_view::PendingDelete;
use crate::error::{Error, Result};
use crate::sys::sync::OnceLock;
use crate::types::{
    Limit, LimitExceeded, Matcher, TOMBSTONE_BYTES_MAX, TOMBSTONE_MATCHERS_MAX, TimeRange,
    Tombstone,
};
use crate::wal::RecordKind;

/// Most deletes that may wait for their erasure.
const TOMBSTONES_MAX: usize = 10_000;
/// Most bytes that they may take together, encoded: they are in every snapshot of the manifest.
const TOMBSTONES_BYTES_MAX: usize = 4 << 20;

impl Writer {
    /// Deletes the samples in `range` of every series that satisfies every matcher.
    ///
    /// # Errors
    /// Those of [`Db::delete`](crate::Db::delete).
    pub(in crate::db) fn delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<DeleteReceipt> {
        let tombstone = self.tombstone(matchers, range)?;
        self.env.health.check_writable()?;
        let seen = Arc::new(OnceLock::new());
        let ticket = self.submit_delete(DeleteRequest {
            tombstone,
            outcome: Arc::default(),
            seen: Arc::clone(&seen),
        });
        let ack = self.finish(&ticket)?;
        let view = seen.get().expect("a delete that is acknowledged was published");
        receipt(view, &self.env, matchers, range, ack)
    }

    /// What [`delete`](Self::delete) would hide now; changes nothing.
    ///
    /// # Errors
    /// Those of [`Db::preview_delete`](crate::Db::preview_delete).
    pub(in crate::db) fn preview_delete(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<DeleteReceipt> {
        self.env.health.check_open()?;
        self.tombstone(matchers, range)?;
        let nothing = Ack { seq: u64::MAX, durable: false };
        let receipt = receipt(&self.view.current(), &self.env, matchers, range, nothing)?;
        Ok(DeleteReceipt { seq: 0, ..receipt })
    }

    /// The tombstone of a delete, its arguments checked; its seq is not given yet.
    fn tombstone(&self, matchers: &[Matcher], range: TimeRange) -> Result<Tombstone> {
        let created_ms = self.env.clock().wall_ms();
        let tombstone = Tombstone { seq: 1, range, matchers: matchers.to_vec(), created_ms };
        if matchers.is_empty() {
            return Err(Error::InvalidArgument(
                "a delete needs at least one matcher; to delete everything, one that matches everything"
                    .into(),
            ));
        }
        if range.is_empty() {
            return Err(Error::InvalidArgument(format!(
                "the range from {} to {} is empty",
                range.start, range.end
            )));
        }
        if matchers.len() > TOMBSTONE_MATCHERS_MAX {
            let (given, max) = (matchers.len() as u64, TOMBSTONE_MATCHERS_MAX as u64);
            return Err(LimitExceeded::new(Limit::DeleteMatchers, given, max).into());
        }
        let bytes = tombstone.encoded_bytes();
        if bytes > TOMBSTONE_BYTES_MAX {
            let (bytes, max) = (bytes as u64, TOMBSTONE_BYTES_MAX as u64);
            return Err(LimitExceeded::new(Limit::DeleteBytes, bytes, max).into());
        }
        Ok(tombstone)
    }

    /// Writes, publishes and syncs the deletes of a group, which share a seal. An error is the
    /// answer of all that have none yet.
    pub(super) fn commit_deletes(
        &self,
        commit: &mut CommitState,
        requests: &[DeleteRequest],
    ) -> Result<()> {
        self.env.health.check_writable()?;
        self.check_room(requests)?;
        if self.writable_generation(commit, SealFor::Deletes)?.memtable.published() > 0 {
            self.rotate(commit, SealFor::Deletes)?;
            self.flush_durability_unknown()?;
        }
        let seqs = commit.last_seq + 1..;
        let tombstones: Vec<Arc<Tombstone>> = requests
            .iter()
            .zip(seqs)
            .map(|(request, seq)| Arc::new(Tombstone { seq, ..request.tombstone.clone() }))
            .collect();
        self.log_deletes(commit, &tombstones)?;
        self.publish_deletes(&tombstones);
        let view = self.view.current();
        requests.iter().for_each(|request| drop(request.seen.set(Arc::clone(&view))));
        self.env.counters.deletes.add(tombstones.len() as u64);
        let durable = matches!(self.env.options.durability, Durability::Always);
        self.sync_or_check(commit, durable)?;
        for (request, tombstone) in requests.iter().zip(&tombstones) {
            request.outcome.acknowledge(Ack { seq: tombstone.seq, durable });
        }
        Ok(())
    }

    /// Refuses deletes beyond what the manifest has room for.
    fn check_room(&self, requests: &[DeleteRequest]) -> Result<()> {
        let present = self.view.current().tombstones();
        let count = present.len() + requests.len();
        let bytes = present.iter().map(|tombstone| tombstone.encoded_bytes()).sum::<usize>()
            + requests.iter().map(DeleteRequest::encoded_bytes).sum::<usize>();
        let check = |limit, needed: usize, max: usize| {
            let exceeded = LimitExceeded::new(limit, needed as u64, max as u64);
            if needed > max { Err(Error::from(exceeded)) } else { Ok(()) }
        };
        check(Limit::PendingDeletes, count, TOMBSTONES_MAX)?;
        check(Limit::PendingDeleteBytes, bytes, TOMBSTONES_BYTES_MAX)
    }

    /// Writes a DELETE frame for each.
    fn log_deletes(&self, commit: &mut CommitState, tombstones: &[Arc<Tombstone>]) -> Result<()> {
        let encode = |tombstone: &Arc<Tombstone>| {
            let mut payload = Vec::with_capacity(tombstone.encoded_bytes());
            tombstone.encode(&mut payload);
            (tombstone.seq, payload)
        };
        let payloads: Vec<(u64, Vec<u8>)> = tombstones.iter().map(encode).collect();
        let frames: Vec<(u64, &[u8])> = payloads.iter().map(|(seq, p)| (*seq, &p[..])).collect();
        let wal = commit.wal.as_mut().expect("a writable generation has a log file");
        wal.note_edit(self.versions.durable_edit());
        wal.append(RecordKind::Delete, &frames)?;
        let now = self.env.clock().monotonic();
        commit.last_seq = wal.last_seq();
        commit.last_write = Some(now);
        commit.unsynced_since.get_or_insert(now);
        Ok(())
    }

    /// Shows readers the deletes and, in the same moment, an active memtable that no earlier reader
    /// knows: who does not see a delete must not see a row that is newer.
    fn publish_deletes(&self, tombstones: &[Arc<Tombstone>]) {
        let old = Arc::clone(&self.view.current().active);
        assert_eq!(old.memtable.published(), 0, "a delete seals what is older");
        let generation = old.number();
        let next = Generation::new(generation, Arc::clone(&self.registry), old.created);
        if old.is_durability_unknown() {
            next.set_durability_unknown();
        }
        self.view.watch(&next);
        let pending = |tombstone| PendingDelete { generation, tombstone };
        let hidden = tombstones.iter().map(|tombstone| Change::in_range(tombstone.range));
        self.view.change(hidden, |view| {
            view.active = Arc::new(next);
            view.deletes.extend(tombstones.iter().cloned().map(pending));
        });
    }
}
