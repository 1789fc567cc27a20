//! The log of the active generation: syncing it, ending it, and what a failure means.
//!
//! Called under the commit lock. A failed sync is not tried again on the same file, since the kernel may
//! have dropped what it could not write: from then on nobody knows which batches of the generation survive
//! a power cut, the next commit starts another generation, and this one is flushed to a new file.
//!
//! The log also says which edit of the manifest is durable, so that a manifest that loses its end is known to
//! be damaged: with the next commit, which costs no sync of its own, or else from the timer.

use std::sync::Arc;
use std::time::Duration;

use super::Writer;
use super::commit_state::CommitState;
use super::seal::SealFor;
use crate::db::env::options::Durability;
use crate::error::{Error, Result};

/// A log that has been idle for this long gets a SYNC frame.
const IDLE: Duration = Duration::from_millis(500);
/// How often the timer looks.
pub(in crate::db) const TIMER_INTERVAL: Duration = Duration::from_millis(250);

impl Writer {
    /// Syncs the log and notes what is durable. After a failure the file is poisoned: the next
    /// commit starts a new generation, and the memtable goes to a segment.
    pub(super) fn sync_log(&self, commit: &mut CommitState) -> Result<()> {
        let Some(wal) = &mut commit.wal else { return Ok(()) };
        let start = self.env.clock().monotonic();
        let synced = wal.sync();
        self.env.counters.fsync.record(self.env.clock().monotonic().saturating_sub(start));
        match synced {
            Ok(seq) => {
                commit.unsynced_since = None;
                self.note_synced(seq);
                Ok(())
            }
            Err(error) => {
                self.view.current().active.set_durability_unknown();
                tracing::error!(%error, "a sync of the log failed: its memtable will be flushed to a new file");
                let unknown = Error::DurabilityUnknown { durable_seq: self.durable.get() };
                Err(self.env.health.lost_claim().unwrap_or(unknown))
            }
        }
    }

    /// What comes between writing a group and its acknowledgement: a sync, which looks whether the directory is
    /// still the store's, or that look alone.
    pub(super) fn sync_or_check(&self, commit: &mut CommitState, sync: bool) -> Result<()> {
        match sync {
            true => self.sync_log(commit),
            false => self.env.health.check_claim(&self.env.dir),
        }
    }

    /// Makes the log say, durably, which edit of the manifest is durable, unless it says so already. A
    /// failure costs only that: until the log says so, damage of the manifest's last frame can pass for a
    /// torn write.
    pub(in crate::db) fn prove_edits(&self) {
        let mut commit = self.lock_commit();
        if self.owes_edit(&mut commit)
            && let Err(error) = self.write_sync_frame(&mut commit)
        {
            tracing::warn!(%error, "the log does not say which edit of the manifest is durable");
        }
    }

    /// Whether the log has yet to say which edit of the manifest is durable.
    fn owes_edit(&self, commit: &mut CommitState) -> bool {
        commit.wal.as_mut().filter(|wal| wal.is_open()).is_some_and(|wal| {
            wal.note_edit(self.versions.durable_edit());
            wal.owes_edit()
        })
    }

    /// Proves the frames before it durable to a later reader of the log.
    fn write_sync_frame(&self, commit: &mut CommitState) -> Result<()> {
        let Some(wal) = commit.wal.as_mut().filter(|wal| wal.is_open()) else { return Ok(()) };
        let written = wal.write_sync_frame();
        if wal.is_poisoned() {
            self.view.current().active.set_durability_unknown();
        }
        written?;
        commit.unsynced_since = None;
        self.note_synced(wal.durable_seq());
        Ok(())
    }

    /// Ends the current log file as well as it can be: what cannot be ended, the next file's header
    /// says.
    pub(super) fn end_log(&self, commit: &mut CommitState) {
        let Some(wal) = &mut commit.wal else { return };
        wal.note_edit(self.versions.durable_edit());
        let ended = if wal.is_open() { wal.end() } else { wal.sync().map(|_| ()) };
        match ended {
            Ok(()) => {
                commit.unsynced_since = None;
                self.note_synced(wal.durable_seq());
            }
            Err(error) => {
                tracing::warn!(%error, "a log file could not be ended");
                self.view.current().active.set_durability_unknown();
            }
        }
        commit.predecessor = wal.as_predecessor();
    }

    /// Syncs what the policy wants synced, proves an idle log durable, and seals a memtable that is
    /// old or whose log could not be synced. Called every [`TIMER_INTERVAL`].
    ///
    /// # Errors
    /// The first fault, which is counted and logged where it happens; the next call tries again.
    pub(in crate::db) fn sync_and_seal_due(&self) -> Result<()> {
        let mut commit = self.lock_commit();
        self.env.health.check_owned()?;
        self.env.health.check_claim(&self.env.dir)?;
        let now = self.env.clock().monotonic();
        self.registry.set_time(now);
        let unknown = || self.view.current().active.is_durability_unknown();
        // A sync is not tried again where one has failed.
        let synced = if unknown() { Ok(()) } else { self.sync_due(&mut commit, now) };
        let active = Arc::clone(&self.view.current().active);
        let old = now.saturating_sub(active.created) >= self.env.options.flush_interval;
        // On a full disk: the next round looks again.
        let _ = self.env.check_disk();
        // What may not survive a power cut is brought to safety also when writes have ended.
        let health = &self.env.health;
        let is_open = health.check_open().is_ok();
        let due = old && health.check_writable().is_ok() || unknown() && is_open;
        if due && self.view.current().has_unflushed() {
            self.rotate(&mut commit, SealFor::Writes)?;
        }
        synced
    }

    /// Syncs what would be older than the policy allows when the timer looks again.
    fn sync_due(&self, commit: &mut CommitState, now: Duration) -> Result<()> {
        if let (Durability::Interval(every), Some(since)) =
            (self.env.options.durability, commit.unsynced_since)
            && now.saturating_sub(since) + every.min(TIMER_INTERVAL) >= every
        {
            self.sync_log(commit)?;
        }
        let idle = commit.last_write.is_some_and(|last| now.saturating_sub(last) >= IDLE);
        // What the reserve has left on a full disk is not for this.
        let owes = self.owes_edit(commit) && !self.env.reserve.is_given_back();
        if (idle || owes) && !matches!(self.env.options.durability, Durability::Never) {
            commit.last_write = None;
            self.write_sync_frame(commit)?;
        }
        Ok(())
    }
}
