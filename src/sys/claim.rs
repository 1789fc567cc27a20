//! A directory that is this process's own to change, and a file system that changes nothing in it when it is
//! not any more.
//!
//! Paths are names, and names can be given to something else: whoever moves a store's directory away, or
//! removes its lock file, lets a second process open a store where this one still writes. A [`Claim`]
//! therefore locks both the lock file and the directory itself, remembers device and inode of both, which
//! nothing else can get while they are open here, and compares them with what the paths lead to now.
//!
//! # When it is compared
//!
//! [`ClaimedFs`] does so before it creates, renames, links or removes anything below the directory, and after
//! each sync of a file or of the directory: what that made durable is of use only where the next opening
//! looks. Who acknowledges something without a sync compares before the answer. In this order (written, then
//! compared, then acknowledged) a process that opens the store later finds what was acknowledged. What is
//! found lost stays lost: every later comparison fails.
//!
//! Between a comparison and the removal behind it lie microseconds. A process that takes the lock file in
//! these reads a manifest that needs the removed file no more, and a directory that was just moved has no
//! store in its place yet.
//!
//! # Why not through the descriptor of the directory
//!
//! `openat` and its like would always change the directory that was opened, wherever it was moved, which is
//! right as long as it is moved only; but they say nothing about a lock file that was removed, where the
//! comparison is needed anyway, and each path of the seam would have to become a pair. The lock of the
//! directory is new: earlier builds know that of the file alone, so that the file is compared as well.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use super::sync::{Mutex, OnceLock};
use super::{DirEntry, FileId, LockGuard, ReadFile, Space, SyncPoint, Vfs, WriteFile};

/// A directory that this process holds.
#[derive(Debug)]
pub struct Claim {
    fs: Arc<dyn Vfs>,
    dir: PathBuf,
    lock_file: PathBuf,
    dir_id: FileId,
    lock_id: FileId,
    /// Of the lock file, and of the directory where the system has such locks; empty once let go.
    guards: Mutex<Vec<Box<dyn LockGuard>>>,
    lost: OnceLock<String>,
}

impl Claim {
    /// Claims `dir`, in which `lock_file` lies or will lie.
    ///
    /// # Errors
    /// `WouldBlock` if another has it, or if it was replaced meanwhile; other errors of the file system.
    pub fn take(fs: Arc<dyn Vfs>, dir: &Path, lock_file: &Path) -> io::Result<Self> {
        let of_dir = match fs.lock_dir(dir) {
            Err(e) if e.kind() == ErrorKind::Unsupported => None,
            locked => Some(locked?),
        };
        let of_file = fs.lock(lock_file)?;
        let dir_id = match &of_dir {
            Some(guard) => guard.id()?,
            None => fs.file_id(dir)?,
        };
        let lock_id = of_file.id()?;
        let claim = Self {
            fs,
            dir: dir.to_path_buf(),
            lock_file: lock_file.to_path_buf(),
            dir_id,
            lock_id,
            guards: Mutex::new([of_file].into_iter().chain(of_dir).collect()),
            lost: OnceLock::new(),
        };
        claim.check().map_err(|e| match claim.lost() {
            Some(why) => io::Error::new(ErrorKind::WouldBlock, why.to_owned()),
            None => e,
        })?;
        Ok(claim)
    }

    /// Whether the directory and its lock file are still those that were claimed.
    ///
    /// # Errors
    /// If they are not, for ever; if they were let go; and, for this time, if it cannot be told.
    pub fn check(&self) -> io::Result<()> {
        if let Some(why) = self.lost() {
            return Err(io::Error::other(why));
        }
        // Held meanwhile: what is let go may get another inode.
        let guards = self.guards.lock().unwrap_or_else(PoisonError::into_inner);
        if guards.is_empty() {
            return Err(io::Error::other("the store was let go"));
        }
        let now = |path: &Path| match self.fs.file_id(path) {
            Ok(id) => Ok(Some(id)),
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                Ok(None)
            }
            Err(e) => Err(e),
        };
        let (dir, lock_file) = (self.dir.display(), self.lock_file.display());
        let why = if now(&self.dir)? != Some(self.dir_id) {
            format!(
                "the directory of the store was moved or replaced: {dir} is not the one that was opened"
            )
        } else if now(&self.lock_file)? != Some(self.lock_id) {
            format!(
                "{lock_file} was removed or replaced: another process may have opened the store"
            )
        } else {
            return Ok(());
        };
        Err(io::Error::other(self.lost.get_or_init(|| why).as_str()))
    }

    /// What became of it, if it was found lost.
    #[must_use]
    pub fn lost(&self) -> Option<&str> {
        self.lost.get().map(String::as_str)
    }

    /// Whether it was not let go yet.
    #[must_use]
    pub fn is_held(&self) -> bool {
        !self.guards.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Lets another process have it.
    pub fn let_go(&self) {
        self.guards.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether `path` is below the directory, or the directory itself.
    fn covers(&self, path: &Path) -> bool {
        path.starts_with(&self.dir)
    }

    fn check_for(&self, path: &Path) -> io::Result<()> {
        if self.covers(path) { self.check() } else { Ok(()) }
    }
}

/// A file system that changes a claimed directory only while it is held, and everything else as it is asked.
#[derive(Debug)]
pub struct ClaimedFs {
    claim: Arc<Claim>,
}

impl ClaimedFs {
    /// The file system that the claim was made on.
    #[must_use]
    pub fn new(claim: Arc<Claim>) -> Self {
        Self { claim }
    }

    fn fs(&self) -> &dyn Vfs {
        &*self.claim.fs
    }
}

impl Vfs for ClaimedFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.claim.check_for(dir)?;
        self.fs().create_dir_all(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.claim.check_for(dir)?;
        self.fs().create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        self.claim.check_for(dir)?;
        self.fs().remove_dir(dir)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.claim.check_for(path)?;
        let file = self.fs().create_new(path)?;
        if !self.claim.covers(path) {
            return Ok(file);
        }
        Ok(Box::new(ClaimedFile { file, claim: Arc::clone(&self.claim) }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        self.fs().open_read(path)
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        self.fs().file_len(path)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        self.fs().file_id(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.fs().list(dir)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.claim.check_for(from)?;
        self.claim.check_for(to)?;
        self.fs().rename(from, to)
    }

    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        self.claim.check_for(file)?;
        self.claim.check_for(name)?;
        self.fs().hard_link(file, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.claim.check_for(path)?;
        self.fs().remove(path)
    }

    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> io::Result<()> {
        self.fs().sync_dir(dir, point)?;
        self.claim.check_for(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<Space> {
        self.fs().free_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.fs().lock(path)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.fs().lock_dir(dir)
    }
}

/// A file in the claimed directory. What is written goes to the file that was created, wherever it is now; a
/// sync says whether that is still where it is looked for.
#[derive(Debug)]
struct ClaimedFile {
    file: Box<dyn WriteFile>,
    claim: Arc<Claim>,
}

impl WriteFile for ClaimedFile {
    fn append_vectored(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        self.file.append_vectored(parts)
    }

    fn sync_data(&mut self, point: SyncPoint) -> io::Result<()> {
        self.file.sync_data(point)?;
        self.claim.check()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.file.truncate(len)
    }

    fn preallocate(&mut self, bytes_ahead: u64) -> io::Result<()> {
        self.file.preallocate(bytes_ahead)
    }

    fn len(&self) -> u64 {
        self.file.len()
    }
}
