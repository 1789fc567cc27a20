//! What every owner of a store needs and none of them owns: where its files are, how it was opened, and
//! whether it may still be written.
//!
//! The lowest folder of `db`. An [`Env`] is made once, while the store is opened, and shared by all owners.
//!
//! | file | what it holds |
//! |---|---|
//! | `options` | what the embedder has chosen |
//! | `observer` | whom the embedder wants notified |
//! | `health` | closed, the fault that refuses writes, the claim on the directory |
//! | `reserve` | disk space kept back for a full disk |
//! | `back_pressure` | how far merges are behind, and how long writers wait for them |
//! | `flush_signal` | wakes the thread that flushes |
//! | `segment_files` | the one place where segments are opened |
//! | `counters` | what is counted and timed |
//! | `finding` | one damaged place, as reports name it |
//!
//! Invariants: a file number is given out once; every lock in here is held for a few instructions (that of
//! the reserve also while its file is made or removed), and none is taken while another of them is held.

pub(super) mod back_pressure;
pub(super) mod counters;
pub(super) mod finding;
pub(super) mod flush_signal;
pub(super) mod health;
pub(super) mod observer;
pub(super) mod options;
pub(super) mod reserve;
pub(super) mod segment_files;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::back_pressure::BackPressure;
use self::counters::Counters;
use self::flush_signal::FlushSignal;
use self::health::Health;
use self::observer::Event;
use self::options::{Background, Options};
use self::reserve::Reserve;
use self::segment_files::SegmentFiles;
use crate::error::{Error, Result};
use crate::segment::{BlockCache, Segment};
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::sys::{Claim, Clock, Executor, Vfs};
use crate::types::{FileName, SegmentMeta, StoreIds};

/// The surroundings of one open store.
#[derive(Debug)]
pub(super) struct Env {
    pub(super) dir: PathBuf,
    pub(super) options: Options,
    /// Which store it is: whatever it writes says so. Segments may carry the uuid of a store it was copied from.
    pub(super) ids: StoreIds,
    pub(super) ticks_per_second: u64,
    pub(super) cache: Arc<BlockCache>,
    /// Decodes for queries.
    pub(super) executor: Executor,
    pub(super) counters: Counters,
    pub(super) health: Health,
    pub(super) reserve: Reserve,
    pub(super) back_pressure: BackPressure,
    pub(super) flush_signal: FlushSignal,
    /// Merges take numbers from it as well.
    next_file_number: Arc<AtomicU64>,
}

/// What tells one store from another.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) ids: StoreIds,
    pub(super) ticks_per_second: u64,
}

impl Env {
    /// The surroundings of the store in `dir`, of which `claim` keeps other processes out and no file has a
    /// number of `next_file_number` or above.
    ///
    /// # Errors
    /// When the threads for queries cannot be started.
    pub(super) fn new(
        dir: &Path,
        options: Options,
        identity: Identity,
        next_file_number: u64,
        claim: Arc<Claim>,
    ) -> Result<Self> {
        let executor = Executor::with_threads(options.query_threads)
            .map_err(|e| Error::io("start threads for", dir, e))?;
        Ok(Self {
            dir: dir.to_path_buf(),
            ids: identity.ids,
            ticks_per_second: identity.ticks_per_second,
            cache: Arc::new(options.new_cache()),
            executor,
            counters: Counters::default(),
            health: Health::new(claim),
            reserve: Reserve::new(dir, options.reserve_bytes),
            back_pressure: BackPressure::default(),
            flush_signal: FlushSignal::default(),
            next_file_number: Arc::new(AtomicU64::new(next_file_number)),
            options,
        })
    }

    pub(super) fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.options.vfs
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.options.clock
    }

    /// Whether the store has no threads of its own.
    pub(super) fn is_manual(&self) -> bool {
        matches!(self.options.background, Background::Manual)
    }

    /// Where the file with this name lies.
    pub(super) fn path(&self, name: FileName) -> PathBuf {
        self.dir.join(name.to_string())
    }

    /// Whether `dir` is the directory of the store, whatever path leads to it. One that cannot be looked
    /// at is not.
    pub(super) fn is_own_dir(&self, dir: &Path) -> bool {
        let id = |dir: &Path| self.vfs().file_id(dir).ok();
        dir == self.dir || id(dir).is_some_and(|other| id(&self.dir) == Some(other))
    }

    /// A number for a new file, never given out before.
    pub(super) fn new_file_number(&self) -> u64 {
        self.next_file_number.fetch_add(1, Ordering::Relaxed)
    }

    /// The lowest number that no file has used.
    pub(super) fn next_file_number(&self) -> u64 {
        self.next_file_number.load(Ordering::Relaxed)
    }

    /// Gives out numbers for the outputs of a merge, as [`Env::new_file_number`] does.
    pub(super) fn file_numbers(&self) -> Box<dyn FnMut() -> u64 + Send> {
        let numbers = Arc::clone(&self.next_file_number);
        Box::new(move || numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens segments of this store.
    pub(super) fn segment_files(&self) -> SegmentFiles<'_> {
        SegmentFiles {
            vfs: self.vfs(),
            dir: &self.dir,
            ids: &self.ids,
            read_mode: self.options.read_mode,
            cache: &self.cache,
        }
    }

    /// Opens a segment of this store.
    ///
    /// # Errors
    /// Those of [`Segment::open`].
    pub(super) fn open_segment(&self, meta: &SegmentMeta) -> Result<Arc<Segment>> {
        self.segment_files().open(meta)
    }

    /// Notifies the observer, if there is one.
    pub(super) fn notify(&self, event: Event<'_>) {
        if let Some(observer) = &self.options.observer {
            observer.event(&event);
        }
    }

    /// Takes the reserve of a store that has just been opened; on a full disk, later.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn start_reserve(&self) -> Result<()> {
        match self.reserve.take(&**self.vfs(), 0) {
            Err(error @ Error::DiskFull { .. }) => {
                tracing::warn!(%error, "no room for the reserve: writes are refused until there is");
                Ok(())
            }
            taken => taken,
        }
    }

    /// Refuses writes while the reserve is given back; takes it again if there is room for it and
    /// half as much: a little more, so that it does not come and go.
    ///
    /// # Errors
    /// [`Error::DiskFull`]; I/O errors.
    pub(super) fn check_disk(&self) -> Result<()> {
        if !self.reserve.is_given_back() {
            return Ok(());
        }
        let bytes = self.reserve.bytes_max();
        self.reserve.take(&**self.vfs(), bytes / 2)?;
        tracing::info!(bytes, "there is room again: the reserve is taken");
        Ok(())
    }

    /// Performs an operation that frees space, or must go through for others to do so: if the disk is
    /// full, once more with the reserve. It has to leave things as they were when it fails.
    ///
    /// # Errors
    /// Those of the operation.
    pub(super) fn with_reserve<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        match operation() {
            Err(Error::DiskFull { .. }) if self.reserve.give_back(&**self.vfs()) => operation(),
            outcome => outcome,
        }
    }
}
