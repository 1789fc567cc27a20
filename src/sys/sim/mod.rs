//! A simulated disk: in memory, deterministic, and as unkind as POSIX allows.
//!
//! [`SimFs`] keeps apart what is durable and what is merely visible: per file the durable bytes and
//! the changes since the last sync; per directory the same for names. A crash ([`SimFs::crash`])
//! decides by a [`CrashPlan`] which of the unsynced changes survive. Tests of the engine and of
//! embedders enumerate crashes so:
//!
//! ```
//! use siltstone::sys::{CrashPlan, SimFs, SyncPoint, Vfs};
//! use std::{io, path::Path};
//!
//! fn workload(fs: &dyn Vfs) -> io::Result<()> {
//!     let mut file = fs.create_new(Path::new("/a"))?;
//!     file.append(b"promised")?;
//!     file.sync_data(SyncPoint::WalFrames)?;
//!     fs.sync_dir(Path::new("/"), SyncPoint::WalDirectory)
//! }
//!
//! let fs = SimFs::new();
//! workload(&fs)?;
//! for op in 0..=fs.ops() {
//!     let fs = SimFs::new();
//!     fs.crash_at(op);
//!     let acknowledged = workload(&fs).is_ok();
//!     for plan in CrashPlan::spread(op, 4) {
//!         let survivor = fs.crash(plan);
//!         if acknowledged {
//!             assert_eq!(survivor.read_file("/a")?, b"promised");
//!         }
//!     }
//! }
//! # Ok::<(), io::Error>(())
//! ```
//!
//! Also injects errors ([`fail_op`](SimFs::fail_op), [`fail_sync`](SimFs::fail_sync),
//! [`fail_read`](SimFs::fail_read)), a full disk ([`set_capacity`](SimFs::set_capacity)), syncs that
//! do nothing ([`ignore_sync`](SimFs::ignore_sync)), page writes that are lost or land elsewhere
//! ([`fail_page_write`](SimFs::fail_page_write)), disks that take their time
//! ([`delay_syncs`](SimFs::delay_syncs)) and damage ([`flip`](SimFs::flip)).
//!
//! It is a model of the contract, not of one file system: bytes and names survive independently, a
//! failed sync loses what it covered, space is counted in bytes, and what was allocated past the end
//! of a file does not survive a power cut.

mod crash;
mod directory;
mod faults;
mod handle;
mod inode;
mod locks;
mod page_writes;
mod state;
#[cfg(test)]
mod tests;
mod trace;
mod vfs;

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use self::directory::Entry;
use self::inode::Inode;
use self::state::{State, absolute};
use super::{SimClock, SyncPoint};
use crate::sys::sync::{Mutex, MutexGuard};

pub use self::crash::{CrashPlan, DataSurvival, DirectorySurvival};
pub use self::faults::PageFault;
pub use self::state::is_crash;
pub use self::trace::{BadPageWrite, Op, OpKind};

/// A simulated disk. A clone is another handle to the same disk; [`fork`](Self::fork) copies it.
///
/// Relative paths start at the root, `/`, the only directory of a new disk. Operations that may
/// change the disk are numbered from 0 ([`ops`](Self::ops)), reads apart from them
/// ([`reads`](Self::reads)).
#[derive(Clone)]
pub struct SimFs {
    state: Arc<Mutex<State>>,
}

impl SimFs {
    /// An empty disk of 1 TiB.
    #[must_use]
    pub fn new() -> Self {
        Self::of(State::new())
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panicking test must not hide behind the poison of the disk it used.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Crashes.

    /// Cuts the power: every handle to this disk is dead from now on. Answers with the disk that
    /// the next start finds, without locks and faults and with counters at 0. May be called again
    /// with other plans for the same moment.
    #[must_use]
    pub fn crash(&self, plan: CrashPlan) -> Self {
        let mut state = self.state();
        state.crashed = true;
        Self::of(state.survivor(plan))
    }

    /// Lets the machine crash at operation `op`: it and everything after it, reads included, has no
    /// effect and fails with an error that [`is_crash`] recognises.
    pub fn crash_at(&self, op: u64) {
        self.state().crash_at = Some(op);
    }

    /// Whether the disk has crashed.
    #[must_use]
    pub fn has_crashed(&self) -> bool {
        self.state().crashed
    }

    /// A copy of the disk as another process finds it after this one was killed: what was written
    /// is there, what was not synced is still not durable. Without locks and faults; operation
    /// numbers go on. Costs no copy of the bytes.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self::of(self.state().fork())
    }

    // Counters and trace.

    /// How many operations there were, which is the number of the next one.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state().ops
    }

    /// How many reads there were (opens, lengths, lists and reads of bytes).
    #[must_use]
    pub fn reads(&self) -> u64 {
        self.state().reads
    }

    /// How many pages syncs of files have written. A sync writes those that were changed since the last
    /// one, 4 KiB each, in the order of the file.
    #[must_use]
    pub fn page_writes(&self) -> u64 {
        self.state().page_writes
    }

    /// The page writes that [`fail_page_write`](Self::fail_page_write) has struck.
    #[must_use]
    pub fn bad_page_writes(&self) -> Vec<BadPageWrite> {
        self.state().bad_page_writes.clone()
    }

    /// The disk that a power cut right behind the sync of the last of them leaves, of which only what
    /// was synced survives.
    #[must_use]
    pub fn crash_at_bad_page_write(&self) -> Option<Self> {
        self.state().at_bad_page_write.as_deref().cloned().map(Self::of)
    }

    /// The operations since the start or the last call of [`take_trace`](Self::take_trace).
    #[must_use]
    pub fn trace(&self) -> Vec<Op> {
        self.state().trace.clone()
    }

    /// Like [`trace`](Self::trace), and forgets them.
    pub fn take_trace(&self) -> Vec<Op> {
        std::mem::take(&mut self.state().trace)
    }

    // Faults.

    /// Lets operation `op` fail without effect. If it is a sync, what it covered will never be
    /// durable, although it stays visible and a later sync succeeds (as Linux does).
    pub fn fail_op(&self, op: u64, error: ErrorKind) {
        self.state().faults.ops.insert(op, error);
    }

    /// Lets the sync of `point` fail that comes after `skip` others of the point, as
    /// [`fail_op`](Self::fail_op) does.
    pub fn fail_sync(&self, point: SyncPoint, skip: u64, error: ErrorKind) {
        let faults = &mut self.state().faults;
        let seen = faults.syncs_seen.get(&point).copied().unwrap_or(0);
        faults.syncs.insert((point, seen + skip), error);
    }

    /// Lets the syncs of `point` succeed and do nothing.
    pub fn ignore_sync(&self, point: SyncPoint) {
        self.state().faults.ignored.insert(point);
    }

    /// Lets all syncs succeed and do nothing, or ends that: a disk that lies.
    pub fn set_lying(&self, lying: bool) {
        self.state().faults.lying = lying;
    }

    /// Lets read `number` (see [`reads`](Self::reads)) fail.
    pub fn fail_read(&self, number: u64, error: ErrorKind) {
        self.state().faults.reads.insert(number, error);
    }

    /// Lets every read fail that touches the bytes `range` of the file opened as `path`.
    pub fn make_unreadable(&self, path: impl AsRef<Path>, range: Range<u64>, error: ErrorKind) {
        self.state().faults.unreadable.push((absolute(path.as_ref()), range, error));
    }

    /// Lets page write `number` (see [`page_writes`](Self::page_writes)) succeed and be lost, or land
    /// elsewhere. What was written is to be seen until the cache is dropped.
    pub fn fail_page_write(&self, number: u64, fault: PageFault) {
        self.state().faults.pages.insert(number, fault);
    }

    /// Lets every sync take `time` by `clock`.
    pub fn delay_syncs(&self, clock: &Arc<SimClock>, time: Duration) {
        let clock = Arc::clone(clock);
        self.state().faults.delay = Some(faults::Delay { clock, time, op: None });
    }

    /// Lets operation `op` take `time` by `clock`, in the place of other delays.
    pub fn delay_op(&self, op: u64, clock: &Arc<SimClock>, time: Duration) {
        let clock = Arc::clone(clock);
        self.state().faults.delay = Some(faults::Delay { clock, time, op: Some(op) });
    }

    /// Ends every fault of the methods above that is still to come or lasts.
    pub fn heal(&self) {
        let faults = &mut self.state().faults;
        *faults = faults::Faults {
            syncs_seen: std::mem::take(&mut faults.syncs_seen),
            write_bytes_max: faults.write_bytes_max,
            ..faults::Faults::default()
        };
    }

    /// Lets a write take at most `bytes`, so that an append is several operations, between which a
    /// crash or an error may come. Callers see nothing of it.
    ///
    /// # Panics
    ///
    /// If `bytes` is 0.
    pub fn set_write_bytes_max(&self, bytes: usize) {
        assert!(bytes > 0, "a write takes at least one byte");
        self.state().faults.write_bytes_max = Some(bytes);
    }

    /// Sets the size of the disk in bytes. An append that does not fit writes what fits and fails
    /// with `StorageFull`.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    // The raw disk. These are not operations: nothing counts, records or fails them.

    /// Forgets what the cache of the system knows better than the disk, as happens when memory is
    /// short: what was synced reads as the disk has it, what was not synced stays.
    pub fn drop_caches(&self) {
        self.state().inodes.values_mut().for_each(Inode::drop_cache);
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        fn walk(state: &State, dir: u64, path: &Path, files: &mut Vec<PathBuf>) {
            for (name, entry) in &state.dirs[&dir].current {
                match entry {
                    Entry::File(_) => files.push(path.join(name)),
                    Entry::Dir(child) => walk(state, *child, &path.join(name), files),
                }
            }
        }
        let mut files = Vec::new();
        walk(&self.state(), 0, Path::new("/"), &mut files);
        files.sort_unstable();
        files
    }

    /// The visible bytes of a file.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `IsADirectory`.
    pub fn read_file(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let state = self.state();
        let id = state.file(path.as_ref())?;
        Ok(state.inodes[&id].current.to_vec())
    }

    /// Gives a file these bytes, durably, also under open handles; a missing file is created with a
    /// durable name.
    ///
    /// # Errors
    ///
    /// If the directory does not exist or `path` is one.
    pub fn write_file(&self, path: impl AsRef<Path>, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        match state.file(path.as_ref()) {
            Ok(id) => state.inode(id).overwrite(bytes.to_vec()),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let (dir, name) = state.parent(path.as_ref())?;
                let inode = Inode { links: 1, ..Inode::of_durable(bytes.to_vec()) };
                let entry = Entry::File(state.add_inode(inode));
                state.directory(dir).set_durable(name, entry);
            }
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// Flips the bits `mask` of the byte at `offset` of a file, wherever it is stored. An offset
    /// beyond the end changes nothing.
    ///
    /// # Errors
    ///
    /// `NotFound`, or `IsADirectory`.
    pub fn flip(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state();
        let id = state.file(path.as_ref())?;
        if let Ok(offset) = usize::try_from(offset) {
            state.inode(id).flip(offset, mask);
        }
        Ok(())
    }

    /// Inverts the bits `mask` of one byte in memory alone: reads give them so until the byte is read again
    /// from the disk, as [`ReadFile::reread`](crate::sys::ReadFile::reread) does.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn flip_in_memory(&self, path: impl AsRef<Path>, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.state();
        let id = state.file(path.as_ref())?;
        if let Ok(offset) = usize::try_from(offset) {
            state.inode(id).wrong_in_memory.push((offset, mask));
        }
        Ok(())
    }
}

impl Default for SimFs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SimFs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Must not lock: handles print it, perhaps while the lock is held.
        f.write_str("SimFs")
    }
}
