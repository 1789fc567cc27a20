//! The flush: from the oldest sealed generation to a segment that readers see.
//!
//! 1. Given a sealed generation, the turn to flush is taken: one flush runs at a time, oldest first.
//! 2. A poisoned manifest is healed, so that a disk that takes no edit is noticed before anything is written.
//! 3. The rows become one level-0 segment, durable under its name, and the segment is opened.
//! 4. Under the lock of the versions, those deletes of the generation that may hide something are written to
//!    a tombstone file, and one edit lists both files and says how far the log is covered.
//! 5. Readers see the segment in the place of the memtable.
//! 6. What the generation held is durable; its log files are removed, and series that no memtable holds
//!    any more may leave the registry.
//!
//! A failure before step 4 is done leaves the generation sealed and its files removed; the next call tries
//! again. A full disk is tried once more with the reserve.
//!
//! Called by the flusher, by a leader that has to wait for it, by [`Db::flush`](crate::Db::flush), by
//! admission, attach and closing. [`FlushInput`] is shared with recovery, which flushes what it replays.
//!
//! Invariant: log files are removed only after the edit that covers them is durable.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::seal::SealFor;
use super::{Writer, log_files};
use crate::db::env::Env;
use crate::db::env::observer::Event;
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::view::changes::Change;
use crate::db::view::generation::Generation;
use crate::deletes;
use crate::error::{Error, Result};
use crate::flush::{FlushJob, Flushed};
use crate::manifest::{Version, VersionEdit, WalCovered};
use crate::memtable::Memtable;
use crate::series::Registry;
use crate::sys::SyncPoint;
use crate::sys::sync::atomic::Ordering;
use crate::types::{FileName, Tombstone};

/// What one flush makes durable; its memtable or its deletes are not empty.
pub(in crate::db) struct FlushInput<'a> {
    pub(in crate::db) memtable: &'a Memtable,
    /// Who the memtable's slots are.
    pub(in crate::db) registry: &'a Registry,
    /// The deletes in its log, older than its rows.
    pub(in crate::db) tombstones: &'a [Arc<Tombstone>],
    /// The first log file that is needed when it is durable, for what is newer.
    pub(in crate::db) wal_end: u64,
}

impl FlushInput<'_> {
    /// The newest seq in it.
    fn seq(&self) -> u64 {
        let of_deletes = self.tombstones.last().map(|tombstone| tombstone.seq);
        self.memtable.last_seq().or(of_deletes).expect("what is flushed has rows or deletes")
    }

    /// Writes the rows to a segment; `None` without rows.
    ///
    /// # Errors
    /// I/O errors; nothing of it is left.
    pub(in crate::db) fn write_segment(
        &self,
        env: &Env,
        outputs: &mut PendingOutputs,
    ) -> Result<Option<Flushed>> {
        if self.memtable.published() == 0 {
            return Ok(None);
        }
        let job = FlushJob {
            vfs: env.vfs(),
            dir: &env.dir,
            uuid: env.ids.own,
            file_number: env.new_file_number(),
            window_ticks: env.options.window_ticks(env.ticks_per_second),
            memtable: self.memtable,
            registry: self.registry,
        };
        let flushed = job.run()?;
        outputs.add(FileName::Segment(flushed.meta.file_number));
        Ok(Some(flushed))
    }

    /// The edit that makes it part of `version`, with its segment and with those of its tombstones that are
    /// `needed`, which it writes to a file.
    ///
    /// # Errors
    /// I/O errors of that file.
    pub(in crate::db) fn edit(
        &self,
        env: &Env,
        version: &Version,
        flushed: Option<&Flushed>,
        needed: Vec<Arc<Tombstone>>,
        outputs: &mut PendingOutputs,
    ) -> Result<VersionEdit> {
        let mut edit = VersionEdit {
            added: flushed.iter().map(|flushed| flushed.meta).collect(),
            wal_covered: Some(WalCovered { file_number: self.wal_end, seq: self.seq() }),
            last_seq: Some(self.seq().max(version.last_seq())),
            ..VersionEdit::default()
        };
        if !needed.is_empty() {
            let file_number = env.new_file_number();
            deletes::write(&**env.vfs(), &env.dir, (env.ids.own, file_number), &needed)?;
            outputs.add(FileName::Tombstones(file_number));
            edit.tombstones_added = needed.into_iter().map(|t| (file_number, t)).collect();
        }
        Ok(edit)
    }
}

impl Writer {
    /// Turns everything in memory into segments.
    pub(in crate::db) fn flush_all(&self) -> Result<()> {
        let mut commit = self.lock_commit();
        if self.view.current().has_unflushed() {
            self.env.with_reserve(|| self.rotate(&mut commit, SealFor::Writes))?;
        }
        drop(commit);
        while self.flush_oldest()? {}
        Ok(())
    }

    /// Turns the oldest sealed memtable into a segment; whether there was one.
    ///
    /// # Errors
    /// The memtable stays, and the next call tries again; nothing is lost. If its log could not be synced
    /// and the fault is not a full disk, the store fails: reads and flushes go on, writes do not.
    pub(in crate::db) fn flush_oldest(&self) -> Result<bool> {
        let turn = self.flush_turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.env.health.check_owned()?;
        let Some(generation) = self.view.current().sealed.first().cloned() else {
            return Ok(false);
        };
        let start = self.env.clock().monotonic();
        let result = self.env.with_reserve(|| self.flush_generation(&generation));
        drop(turn);
        let now = self.env.clock().monotonic();
        let elapsed = now.saturating_sub(start);
        match &result {
            Ok(flushed) => {
                self.env.counters.flushes.add(1);
                self.env.counters.flush.record(elapsed);
                self.last_flush_ns.store(now.as_nanos() as u64, Ordering::Relaxed);
                self.env.back_pressure.request();
                if let Some(Flushed { meta: segment, superseded }) = flushed {
                    self.env.counters.flush_bytes_written.add(segment.file_bytes);
                    self.env.notify(Event::Flushed { segment, superseded: *superseded, elapsed });
                }
            }
            Err(error) => {
                self.env.counters.flush_failures.add(1);
                tracing::warn!(%error, "a flush failed and will be tried again");
                // A full disk heals; a disk that refuses the log and the segment is not to be trusted.
                if generation.is_durability_unknown() && !matches!(error, Error::DiskFull { .. }) {
                    self.env.health.fail(&Error::Failed(format!(
                        "a log could not be synced, nor its memtable flushed: {error}"
                    )));
                }
            }
        }
        result.map(|_| true)
    }

    fn flush_generation(&self, generation: &Arc<Generation>) -> Result<Option<Flushed>> {
        self.versions.heal()?;
        let tombstones = self.view.current().deletes_of(generation);
        let input = FlushInput {
            memtable: &generation.memtable,
            registry: &generation.registry,
            tombstones: &tombstones,
            wal_end: generation.wal_end(),
        };
        let mut outputs = PendingOutputs::new(&self.env);
        let flushed = input.write_segment(&self.env, &mut outputs)?;
        let metas = flushed.iter().map(|flushed| &flushed.meta);
        let opened = metas.map(|meta| self.env.open_segment(meta)).collect::<Result<Vec<_>>>()?;
        self.versions.apply(outputs, |version, outputs| {
            let needed = self.versions.needed_tombstones(version, &tombstones);
            let edit = input.edit(&self.env, version, flushed.as_ref(), needed, outputs)?;
            // The segment has the rows of the memtable, and the version its deletes.
            let transition = Transition::new(edit, Change::Nothing);
            Ok(Some(transition.opened(opened).flushed(generation)))
        })?;
        self.durable.rise_to(input.seq());
        self.env.counters.samples_superseded.add(flushed.as_ref().map_or(0, |f| f.superseded));
        self.remove_logs_below(input.wal_end);
        self.evict_series();
        Ok(flushed)
    }

    /// Turns the sealed memtables into segments of whose batches it is unknown which survive a power cut.
    ///
    /// # Errors
    /// As [`flush_oldest`](Self::flush_oldest).
    pub(super) fn flush_durability_unknown(&self) -> Result<()> {
        while self.view.current().sealed.iter().any(|sealed| sealed.is_durability_unknown()) {
            self.flush_oldest()?;
        }
        Ok(())
    }

    /// How long ago the last flush ended; since the store was opened, if there was none.
    pub(in crate::db) fn since_last_flush(&self) -> Duration {
        let last = Duration::from_nanos(self.last_flush_ns.load(Ordering::Relaxed));
        self.env.clock().monotonic().saturating_sub(last)
    }

    /// Removes log files that the manifest covers, but not the last one of all: a store that has
    /// samples is never without a log, also if it was opened on a disk without room for a new one.
    /// A failure is harmless: replay skips them, and the next flush tries again.
    fn remove_logs_below(&self, wal_end: u64) {
        let next = self.env.next_file_number();
        let numbers = log_files::numbers(&**self.env.vfs(), &self.env.dir, next);
        let numbers = numbers.unwrap_or_default();
        let covered = numbers.partition_point(|&number| number < wal_end);
        let mut removed = false;
        for &number in &numbers[..covered.min(numbers.len().saturating_sub(1))] {
            let path = self.env.path(FileName::Wal(number));
            match self.env.vfs().remove(&path) {
                Ok(()) => removed = true,
                Err(error) => tracing::warn!(path = %path.display(), %error, "a log file stays"),
            }
        }
        if removed {
            let _ = self.env.vfs().sync_dir(&self.env.dir, SyncPoint::WalRemoved);
        }
    }
}
