//! Generations: when a memtable is sealed, what replaces it, and how it becomes a segment.
//!
//! A generation is first deletes, then a memtable, and the log files of both. Rotation (under the commit lock) ends
//! the log file, starts the next and publishes an empty memtable; the flush (under the flush lock)
//! turns the oldest sealed memtable into a segment, makes that durable in the manifest, shows readers
//! the segment in place of the memtable, and only then removes the log files.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};

use super::changes::Change;
use super::commit::Commit;
use super::core::{Core, FlushState, Generation};
use super::observer::Event;
use super::options::Durability;
use super::replay::wal_numbers;
use crate::deletes;
use crate::error::{Error, Result};
use crate::flush::{FlushJob, Flushed};
use crate::manifest::{Version, VersionEdit, WalCovered};
use crate::memtable::Memtable;
use crate::segment::Segment;
use crate::sys::{SyncPoint, random_bytes};
use crate::types::{FileName, SegmentMeta, Tombstone};
use crate::wal::{WalHeader, WalWriter};

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
pub(super) enum SealFor {
    Writes,
    Deletes,
}

impl Core {
    /// The generation that the next batches go to, with an open log file.
    ///
    /// # Errors
    /// When there is no room for another memtable and the flush fails, or no log file can be made, or
    /// what an earlier log holds in doubt cannot be brought into a segment.
    pub(super) fn writable_generation(
        &self,
        commit: &mut Commit,
        purpose: SealFor,
    ) -> Result<Arc<Generation>> {
        let live = self.live();
        let open = commit.wal.as_ref().is_some_and(WalWriter::is_open);
        let generation = if open && !self.is_full(&live.active, commit) {
            Arc::clone(&live.active)
        } else {
            drop(live);
            self.rotate(commit, purpose)?
        };
        self.evacuate()?;
        Ok(generation)
    }

    /// Turns the sealed memtables whose log is in doubt into segments.
    pub(super) fn evacuate(&self) -> Result<()> {
        while self.live().sealed.iter().any(|sealed| sealed.is_in_doubt()) {
            self.flush_oldest()?;
        }
        Ok(())
    }

    /// Whether the memtable or its log file has reached its size.
    fn is_full(&self, active: &Generation, commit: &Commit) -> bool {
        let wal_bytes = commit.wal.as_ref().map_or(0, WalWriter::bytes);
        wal_bytes >= self.options.wal_bytes_max / 2
            || active.memtable.bytes() as u64 >= self.options.memtable_bytes_max()
            || active.memtable.published() >= ROWS_MAX
    }

    /// Seals the active generation, if anything is in it, and starts the next generation.
    ///
    /// # Errors
    /// As [`Core::writable_generation`]; the state is then as before, and the next commit tries again.
    pub(super) fn rotate(&self, commit: &mut Commit, purpose: SealFor) -> Result<Arc<Generation>> {
        self.check_owned()?;
        let live = self.live();
        let seals = live.has_unflushed();
        if seals && live.sealed.len() >= SEALED_MAX {
            self.make_way(commit, purpose)?;
        }
        self.end_wal(commit);
        let file_number = self.new_file_number();
        let wal = self.create_wal(commit, file_number)?;
        let number = live.active.memtable.generation() + 1;
        let next = Arc::new(self.new_generation(number));
        self.registry.set_generation(number);
        self.pin(&next);
        let _ = live.active.wal_end.set(file_number);
        // What is left out has neither rows nor deletes.
        self.publish(Change::Nothing, |live| {
            let old = std::mem::replace(&mut live.active, Arc::clone(&next));
            if seals {
                live.sealed.push(old);
            }
        });
        commit.wal = Some(wal);
        commit.next_ref = 0;
        commit.unsynced_since = None;
        self.wake.request_flush();
        Ok(next)
    }

    /// Waits until another memtable may be sealed.
    fn make_way(&self, commit: &mut Commit, purpose: SealFor) -> Result<()> {
        self.counters.stalls.add(1);
        // The timer cannot sync while this waits for a flush.
        if matches!(self.options.durability, Durability::Interval(_)) {
            let _ = self.sync_wal(commit);
        }
        while self.live().sealed.len() >= SEALED_MAX {
            match self.flush_oldest() {
                Ok(true) => {}
                Ok(false) => break,
                Err(Error::DiskFull { .. })
                    if purpose == SealFor::Deletes
                        && self.live().sealed.len() < SEALED_MAX_FULL =>
                {
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Turns everything in memory into segments.
    pub(super) fn flush_all(&self) -> Result<()> {
        let mut commit = self.lock_commit();
        if self.live().has_unflushed() {
            self.with_reserve(|| self.rotate(&mut commit, SealFor::Writes))?;
        }
        drop(commit);
        while self.flush_oldest()? {}
        Ok(())
    }

    pub(super) fn new_generation(&self, number: u32) -> Generation {
        Generation {
            memtable: Arc::new(Memtable::new(number)),
            registry: Arc::clone(&self.registry),
            wal_end: OnceLock::new(),
            created: self.clock().monotonic(),
            in_doubt: AtomicBool::new(false),
        }
    }

    /// Ends the current log file as well as it can be: what cannot be ended, the next file's header
    /// says.
    fn end_wal(&self, commit: &mut Commit) {
        let Some(wal) = &mut commit.wal else { return };
        let ended = if wal.is_open() { wal.end() } else { wal.sync().map(|_| ()) };
        match ended {
            Ok(()) => {
                commit.unsynced_since = None;
                self.note_synced(wal.durable_seq());
            }
            Err(error) => {
                tracing::warn!(%error, "a log file could not be ended");
                self.live().active.in_doubt.store(true, Ordering::Release);
            }
        }
        commit.predecessor = wal.as_predecessor();
    }

    fn create_wal(&self, commit: &Commit, file_number: u64) -> Result<WalWriter> {
        create_wal(&CreateWal {
            dir: &self.dir,
            vfs: &**self.vfs(),
            uuid: self.uuid,
            file_number,
            last_seq: commit.last_seq,
            predecessor: commit.predecessor,
        })
    }

    /// Turns the oldest sealed memtable into a segment; whether there was one.
    ///
    /// # Errors
    /// The memtable stays, and the next call tries again; nothing is lost. If its log is in doubt and
    /// the fault is not a full disk, the store fails: reads and flushes go on, writes do not.
    pub(super) fn flush_oldest(&self) -> Result<bool> {
        let mut state = self.lock_flush();
        self.check_owned()?;
        let Some(generation) = self.live().sealed.first().cloned() else { return Ok(false) };
        let start = self.clock().monotonic();
        let result = self.with_reserve(|| self.flush_generation(&mut state, &generation));
        drop(state);
        let now = self.clock().monotonic();
        let elapsed = now.saturating_sub(start);
        match &result {
            Ok(flushed) => {
                self.counters.flushes.add(1);
                self.counters.flush.record(elapsed);
                self.last_flush_ns.store(now.as_nanos() as u64, Ordering::Relaxed);
                self.compactor.control.request();
                if let Some(Flushed { meta: segment, superseded }) = flushed {
                    self.counters.flush_bytes_written.add(segment.file_bytes);
                    self.tell(Event::Flushed { segment, superseded: *superseded, elapsed });
                }
            }
            Err(error) => {
                self.counters.flush_failures.add(1);
                tracing::warn!(%error, "a flush failed and will be tried again");
                // A full disk heals; a disk that refuses the log and the segment is not to be trusted.
                if generation.is_in_doubt() && !matches!(error, Error::DiskFull { .. }) {
                    self.fail(&Error::Failed(format!(
                        "a log could not be synced, nor its memtable flushed: {error}"
                    )));
                }
            }
        }
        result.map(|_| true)
    }

    fn flush_generation(
        &self,
        state: &mut FlushState,
        generation: &Arc<Generation>,
    ) -> Result<Option<Flushed>> {
        let FlushState { manifest, unlisted } = state;
        unlisted.settle(manifest)?;
        let mut files = Vec::new();
        let prepared = self.prepare_flush(manifest.version(), generation, &mut files);
        let Prepared { edit, covered, flushed, opened } =
            prepared.inspect_err(|_| unlisted.remove(&files))?;
        let version = unlisted.list(manifest, &edit, &files)?;
        self.durable.rise_to(covered.seq);
        self.counters.samples_superseded.add(flushed.as_ref().map_or(0, |f| f.superseded));
        let number = generation.memtable.generation();
        // The segment has the rows of the memtable, and the version its deletes.
        self.publish(Change::Nothing, |live| {
            live.sealed.retain(|sealed| !Arc::ptr_eq(sealed, generation));
            live.deletes.retain(|delete| delete.generation != number);
            live.segments.extend(opened);
            live.version = version;
        });
        self.remove_logs_below(covered.file_number);
        self.evict_series();
        Ok(flushed)
    }

    /// Writes what a generation becomes, and the edit that is to list it. `files` are those that were
    /// written, also after an error.
    fn prepare_flush(
        &self,
        version: &Version,
        generation: &Generation,
        files: &mut Vec<FileName>,
    ) -> Result<Prepared> {
        let mut edit = VersionEdit::default();
        let has_rows = generation.memtable.published() > 0;
        let flushed = if has_rows { Some(self.write_segment(generation)?) } else { None };
        edit.added.extend(flushed.as_ref().map(|flushed| flushed.meta));
        files.extend(edit.added.iter().map(|meta| FileName::Segment(meta.file_number)));
        let own = self.live().deletes_of(generation);
        edit.tombstones_added = self.write_tombstones(version, &own)?;
        files.extend(edit.tombstones_added.first().map(|&(n, _)| FileName::Tombstones(n)));
        let of_rows = generation.memtable.last_seq();
        let seq = of_rows.or(own.last().map(|tombstone| tombstone.seq));
        let seq = seq.expect("a sealed generation has rows or deletes");
        let wal_end = *generation.wal_end.get().expect("a sealed generation knows its log files");
        let covered = WalCovered { file_number: wal_end, seq };
        edit.wal_covered = Some(covered);
        edit.next_file_number = Some(self.next_file_number());
        edit.last_seq = Some(seq.max(version.last_seq()));
        edit.clock = self.compactor.retention.clock_for_edit(self.clock());
        // Opened first: once the edit is durable, nothing may keep the memtable from being replaced.
        let opened = edit.added.first().map(|meta| self.open_segment(meta)).transpose()?;
        Ok(Prepared { edit, covered, flushed, opened })
    }

    /// Writes those of `own` that may hide something to a tombstone file; what the edit adds.
    fn write_tombstones(
        &self,
        version: &Version,
        own: &[Arc<Tombstone>],
    ) -> Result<Vec<(u64, Arc<Tombstone>)>> {
        let unsettled = self.unsettled(version, own);
        if unsettled.is_empty() {
            return Ok(Vec::new());
        }
        let file_number = self.new_file_number();
        deletes::write(&**self.vfs(), &self.dir, (self.uuid, file_number), &unsettled)?;
        Ok(unsettled.into_iter().map(|tombstone| (file_number, tombstone)).collect())
    }

    pub(super) fn open_segment(&self, meta: &SegmentMeta) -> Result<Arc<Segment>> {
        let (mode, cache) = (self.options.read_mode, Arc::clone(&self.cache));
        Segment::open(self.vfs(), &self.dir, self.uuid, meta, mode, cache)
    }

    fn write_segment(&self, generation: &Generation) -> Result<Flushed> {
        let job = FlushJob {
            vfs: self.vfs(),
            dir: &self.dir,
            uuid: self.uuid,
            file_number: self.new_file_number(),
            window_ticks: self.options.window_ticks(self.ticks_per_second),
            memtable: &generation.memtable,
            registry: &generation.registry,
        };
        job.run()
    }

    /// Removes log files that the manifest covers, but not the last one of all: a store that has
    /// samples is never without a log, also if it was opened on a disk without room for a new one.
    /// A failure is harmless: replay skips them, and the next flush tries again.
    fn remove_logs_below(&self, wal_end: u64) {
        let numbers = wal_numbers(&**self.vfs(), &self.dir).unwrap_or_default();
        let covered = numbers.partition_point(|&number| number < wal_end);
        let mut removed = false;
        for &number in &numbers[..covered.min(numbers.len().saturating_sub(1))] {
            let path = self.dir.join(FileName::Wal(number).to_string());
            match self.vfs().remove(&path) {
                Ok(()) => removed = true,
                Err(error) => tracing::warn!(path = %path.display(), %error, "a log file stays"),
            }
        }
        if removed {
            let _ = self.vfs().sync_dir(&self.dir, SyncPoint::WalRemoved);
        }
    }

    /// Notes a memtable that snapshots may keep.
    pub(super) fn pin(&self, generation: &Generation) {
        self.pinned().push(Arc::downgrade(&generation.memtable));
    }

    pub(super) fn pinned(&self) -> std::sync::MutexGuard<'_, Vec<std::sync::Weak<Memtable>>> {
        self.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A flush whose files are durable and not yet listed.
struct Prepared {
    edit: VersionEdit,
    covered: WalCovered,
    flushed: Option<Flushed>,
    opened: Option<Arc<Segment>>,
}

/// What a new log file needs to know.
pub(super) struct CreateWal<'a> {
    pub(super) dir: &'a std::path::Path,
    pub(super) vfs: &'a dyn crate::sys::Vfs,
    pub(super) uuid: [u8; 16],
    pub(super) file_number: u64,
    pub(super) last_seq: u64,
    pub(super) predecessor: crate::wal::Predecessor,
}

/// Creates a log file, durable with its name.
pub(super) fn create_wal(new: &CreateWal<'_>) -> Result<WalWriter> {
    let salt = random_bytes::<8>().map_err(|e| Error::io("draw random bytes for", new.dir, e))?;
    let header = WalHeader {
        uuid: new.uuid,
        file_number: new.file_number,
        salt: u64::from_le_bytes(salt),
        last_seq: new.last_seq,
        predecessor: new.predecessor,
    };
    let path = new.dir.join(FileName::Wal(new.file_number).to_string());
    WalWriter::create(new.vfs, new.dir, path, header)
}
