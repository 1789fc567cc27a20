//! Sealing: when the active generation ends, and what follows it.
//!
//! Called under the commit lock, by commits, deletes, the timer, flushes of everything, and admission.
//!
//! 1. Given a reason to seal (size, rows, bytes of log, age, a delete, a log that could not be synced), and
//!    already as many sealed generations as may be, the oldest is flushed first.
//! 2. The log file is ended and synced. What cannot be ended, the header of the next file tells.
//! 3. The next log file is created, durable with its name.
//! 4. Readers are shown an empty active generation, and the old one as the newest of the sealed.
//! 5. The flusher is woken.
//!
//! Invariant: a failure before step 4 leaves the old generation active; the next commit tries again. If
//! the log of that generation could not be synced, and the next file not be made for another reason than a
//! full disk, the store fails: writes end, and the timer goes on trying to bring the generation to safety.

use std::sync::Arc;

use super::Writer;
use super::commit_state::CommitState;
use super::log_files::NewLogFile;
use crate::db::env::options::Durability;
use crate::db::view::changes::Change;
use crate::db::view::generation::Generation;
use crate::error::{Error, Result};
use crate::wal::WalWriter;

/// Rows after which a memtable is sealed whatever it weighs; its own limit is twice as high.
const ROWS_MAX: u32 = 1 << 31;
/// Sealed memtables beyond which writers wait for a flush.
const SEALED_MAX: usize = 1;
/// As above for a delete on a full disk. It would be refused where it is needed most if it needed a
/// flush, for which the reserve may be too small. Nothing is written until there is room, so that the
/// memtable which it seals is the last.
const SEALED_MAX_FULL: usize = 2;

/// What a generation is begun for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum SealFor {
    Writes,
    Deletes,
}

impl Writer {
    /// The generation that the next batches go to, with an open log file.
    ///
    /// # Errors
    /// When there is no room for another memtable and the flush fails, or no log file can be made, or
    /// what a log holds that could not be synced cannot be brought into a segment.
    pub(super) fn writable_generation(
        &self,
        commit: &mut CommitState,
        purpose: SealFor,
    ) -> Result<Arc<Generation>> {
        let view = self.view.current();
        let open = commit.wal.as_ref().is_some_and(WalWriter::is_open);
        let generation = if open && !self.is_full(&view.active, commit) {
            Arc::clone(&view.active)
        } else {
            drop(view);
            self.rotate(commit, purpose)?
        };
        self.flush_durability_unknown()?;
        Ok(generation)
    }

    /// Whether the memtable or its log file has reached its size.
    fn is_full(&self, active: &Generation, commit: &CommitState) -> bool {
        let wal_bytes = commit.wal.as_ref().map_or(0, WalWriter::bytes);
        wal_bytes >= self.env.options.wal_bytes_max / 2
            || active.memtable.bytes() as u64 >= self.env.options.memtable_bytes_max()
            || active.memtable.published() >= ROWS_MAX
    }

    /// Seals the active generation, if anything is in it, and starts the next generation.
    ///
    /// # Errors
    /// As [`Writer::writable_generation`]; the state is then as before, and the next commit tries again.
    pub(in crate::db) fn rotate(
        &self,
        commit: &mut CommitState,
        purpose: SealFor,
    ) -> Result<Arc<Generation>> {
        self.env.health.check_owned()?;
        let view = self.view.current();
        let seals = view.has_unflushed();
        if seals && view.sealed.len() >= SEALED_MAX {
            self.wait_for_sealed_flush(commit, purpose)?;
        }
        self.end_log(commit);
        let file_number = self.env.new_file_number();
        let wal = self.create_log(commit, file_number);
        let wal = wal.inspect_err(|error| self.fail_without_log(&view.active, error))?;
        let number = view.active.number() + 1;
        let next = Arc::new(self.new_generation(number));
        self.registry.set_generation(number);
        self.view.watch(&next);
        view.active.end_log_before(file_number);
        // What is left out has neither rows nor deletes.
        self.view.change([Change::Nothing], |view| {
            let old = std::mem::replace(&mut view.active, Arc::clone(&next));
            if seals {
                view.sealed.push(old);
            }
        });
        commit.wal = Some(wal);
        commit.next_ref = 0;
        commit.unsynced_since = None;
        self.env.flush_signal.request();
        Ok(next)
    }

    /// The next log file could not be made. A full disk heals; a disk that also refused to sync the one
    /// before it is not to be trusted, and what that holds can go nowhere else.
    fn fail_without_log(&self, active: &Generation, error: &Error) {
        if active.is_durability_unknown() && !matches!(error, Error::DiskFull { .. }) {
            self.env.health.fail(&Error::Failed(format!(
                "a log could not be synced, nor another one be made: {error}"
            )));
        }
    }

    /// Waits until another memtable may be sealed.
    fn wait_for_sealed_flush(&self, commit: &mut CommitState, purpose: SealFor) -> Result<()> {
        self.env.counters.stalls.add(1);
        // The timer cannot sync while this waits for a flush.
        if matches!(self.env.options.durability, Durability::Interval(_)) {
            let _ = self.sync_log(commit);
        }
        while self.view.current().sealed.len() >= SEALED_MAX {
            match self.flush_oldest() {
                Ok(true) => {}
                Ok(false) => break,
                Err(Error::DiskFull { .. })
                    if purpose == SealFor::Deletes
                        && self.view.current().sealed.len() < SEALED_MAX_FULL =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// An empty generation of the registry that writes go to.
    pub(super) fn new_generation(&self, number: u32) -> Generation {
        Generation::new(number, Arc::clone(&self.registry), self.env.clock().monotonic())
    }

    fn create_log(&self, commit: &CommitState, file_number: u64) -> Result<WalWriter> {
        let new = NewLogFile {
            dir: &self.env.dir,
            vfs: &**self.env.vfs(),
            uuid: self.env.ids.own,
            file_number,
            last_seq: commit.last_seq,
            predecessor: commit.predecessor,
        };
        new.create()
    }
}
