//! The reserve: disk space kept back, so that a full disk can be emptied.
//!
//! `RESERVE` is a file without bytes that has blocks allocated behind its end. When an operation that
//! must go through, because it frees space or leads to that (a delete, a flush, the edit that
//! publishes it), finds the disk full, the reserve is *given back* and the operation tried once more.
//! From then on the disk counts as full: ordinary writes are refused, or they would take what was
//! given back. When there is room again the reserve is *taken*, and writes go on.
//!
//! Called through [`Env`](super::Env) by the commit path, by flushes and by the timer. Its lock is the last
//! in the order: nothing is locked under it.
//!
//! # What it is enough for
//!
//! A delete itself needs no flush: where that finds no room, one more memtable may wait sealed
//! (`db::write::seal`). To free what deletes have hidden, flush and merge need room: for what a
//! memtable becomes, and for a segment once more and a fifth. If there is none for what the picker
//! takes, the smallest segment with deletes due is rewritten alone (`db::compact::disk_headroom`),
//! then the next. So a reserve of less than a flush empties no disk, and a segment larger than the
//! reserve waits for more room.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use crate::error::{Error, Result};
use crate::sys::Vfs;
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::FileName;

/// The reserve of an open store.
#[derive(Debug)]
pub(in crate::db) struct Reserve {
    path: PathBuf,
    /// How much is to be kept back; 0 for nothing.
    bytes: u64,
    held: Mutex<Held>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Held {
    #[default]
    GivenBack,
    /// Its blocks are held.
    Taken,
    /// The store was let go, with the file as it was: whoever opens it next gives it back first.
    LetGo,
}

impl Reserve {
    /// Nothing is held yet.
    pub(in crate::db) fn new(dir: &Path, bytes: Option<u64>) -> Self {
        let path = dir.join(FileName::Reserve.to_string());
        Self { path, bytes: bytes.unwrap_or(0), held: Mutex::default() }
    }

    /// How much is to be kept back.
    pub(in crate::db) fn bytes_max(&self) -> u64 {
        self.bytes
    }

    /// How much is kept back now.
    pub(in crate::db) fn bytes(&self) -> u64 {
        if matches!(*self.lock(), Held::Taken) { self.bytes } else { 0 }
    }

    /// Whether it should be held and is not.
    pub(in crate::db) fn is_given_back(&self) -> bool {
        self.bytes > 0 && matches!(*self.lock(), Held::GivenBack)
    }

    /// Takes the reserve, unless it is held, if there is room for it and for `spare` bytes more.
    ///
    /// # Errors
    /// [`Error::DiskFull`] if there is not; I/O errors. Nothing is held then.
    pub(in crate::db) fn take(&self, vfs: &dyn Vfs, spare: u64) -> Result<()> {
        let mut held = self.lock();
        if self.bytes == 0 || !matches!(*held, Held::GivenBack) {
            return Ok(());
        }
        let dir = self.path.parent().unwrap_or(Path::new(""));
        let space = vfs.free_space(dir).map_err(|e| Error::io("look for space in", dir, e))?;
        if space.available < self.bytes.saturating_add(spare) {
            return Err(Error::DiskFull { path: self.path.clone() });
        }
        remove_reserve(vfs, &self.path)?;
        // The blocks are the file's, not the handle's.
        let allocated = vfs.create_new(&self.path).and_then(|mut f| f.preallocate(self.bytes));
        allocated.map_err(|e| {
            let _ = vfs.remove(&self.path);
            Error::io("allocate", &self.path, e)
        })?;
        *held = Held::Taken;
        Ok(())
    }

    /// Gives the reserve back; whether there was one.
    pub(in crate::db) fn give_back(&self, vfs: &dyn Vfs) -> bool {
        let mut held = self.lock();
        if !matches!(*held, Held::Taken) {
            return false;
        }
        *held = Held::GivenBack;
        tracing::warn!(bytes = self.bytes, "the disk is full: the reserve is given back");
        match remove_reserve(vfs, &self.path) {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the reserve stays where it is");
                false
            }
        }
    }

    /// Leaves the file where it is, for the next opening, which may need it.
    pub(in crate::db) fn let_go(&self) {
        *self.lock() = Held::LetGo;
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the reserve at `path`, which may be that of an earlier process, if there is one.
fn remove_reserve(vfs: &dyn Vfs, path: &Path) -> Result<()> {
    match vfs.file_len(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        _ => vfs.remove(path).map_err(|e| Error::io("remove", path, e)),
    }
}

/// Gives back what an earlier process held in `dir`, so that the store can be opened on a full disk.
pub(in crate::db) fn give_back_leftover(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    remove_reserve(vfs, &dir.join(FileName::Reserve.to_string()))
}
