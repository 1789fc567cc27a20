//! The storage seam: what the engine may ask of a disk.
//!
//! Called by every module that owns a file format. Implemented by [`DiskFs`](super::DiskFs) and
//! [`SimFs`](super::SimFs), which must be indistinguishable to a caller (`contract.rs`).
//!
//! The seam promises nothing that POSIX does not: bytes are durable after [`WriteFile::sync_data`],
//! names after [`Vfs::sync_dir`] of their directory, and neither includes the other. After a failed
//! sync nothing that it covered may be assumed, and repeating it proves nothing: the kernel may
//! have dropped the dirty pages and answer `Ok`. It is the caller's duty to abandon the file.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Bytes, SyncPoint};

/// A file system. Paths are absolute or relative to the process, and the empty path (the parent of a
/// bare name) is its current directory. All errors are plain `io::Error`s without a path, which the
/// caller adds.
pub trait Vfs: Send + Sync + fmt::Debug {
    /// Creates `dir` and its missing parents; an existing directory is a success. The name of each
    /// new directory is durable after [`sync_dir`](Self::sync_dir) of the directory above it.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Creates `dir`, whose parent must exist. Whatever has the name already is `AlreadyExists` and
    /// left alone. The name is durable after [`sync_dir`](Self::sync_dir) of the parent.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;

    /// Removes an empty directory. One with entries is `DirectoryNotEmpty`.
    fn remove_dir(&self, dir: &Path) -> io::Result<()>;

    /// Creates an empty file for appending. An existing file is `AlreadyExists` and left alone.
    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens a file for reading at offsets. A directory is `IsADirectory`.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>>;

    /// The length of a file in bytes, without opening it. A directory is `IsADirectory`.
    fn file_len(&self, path: &Path) -> io::Result<u64>;

    /// What tells the file or directory at `path` from every other one, whatever path leads to it:
    /// links are followed.
    fn file_id(&self, path: &Path) -> io::Result<FileId>;

    /// The entries of a directory, sorted by the bytes of their names. An entry that vanishes
    /// meanwhile is left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Gives a file a new name, atomically replacing a file that has it. Files only.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Gives a file another name beside the one that it has; its bytes are not copied and go when
    /// its last name goes. Files only; of a symbolic link, the file that it leads to. A name that is taken is `AlreadyExists` and left alone; between
    /// two file systems it is `CrossesDevices`.
    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()>;

    /// Removes the name of a file; who has it open reads on.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the creations, links, renames and removals in `dir` durable, not the bytes of its files.
    fn sync_dir(&self, dir: &Path, point: SyncPoint) -> io::Result<()>;

    /// The space of the file system that holds `dir`.
    fn free_space(&self, dir: &Path) -> io::Result<Space>;

    /// Takes the exclusive lock of the file at `path`, created if missing and never read. Held by
    /// anyone, this process included: `WouldBlock`. Released when the guard drops or its holder dies.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>>;

    /// Takes the exclusive lock of a directory, as [`lock`](Self::lock) does that of a file. A file system
    /// that locks no directories is `Unsupported`.
    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn LockGuard>>;
}

/// An append-only handle to a file that this process created.
///
/// A failed append may leave a prefix of its bytes in the file; [`len`](Self::len) counts them, so a
/// caller who rolls back truncates to the length that it noted before.
pub trait WriteFile: Send + fmt::Debug {
    /// Appends all of `bytes`, however many writes the system makes of it.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.append_vectored(&[bytes])
    }

    /// Appends the `parts` one after the other, as one write where the system allows it.
    fn append_vectored(&mut self, parts: &[&[u8]]) -> io::Result<()>;

    /// Makes the bytes and the length durable, not the name. Never repeat it after an error.
    fn sync_data(&mut self, point: SyncPoint) -> io::Result<()>;

    /// Cuts the file to `len` bytes, also if it has just these, and gives up what was preallocated
    /// past them where the file system does so; the next append continues there. A `len` beyond the end is `InvalidInput`.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Allocates `bytes_ahead` bytes past the current end without changing the length, so that a
    /// full disk is met here. A file system that cannot do this is a success.
    fn preallocate(&mut self, bytes_ahead: u64) -> io::Result<()>;

    /// The length in bytes: where the next append starts.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A handle for reading at offsets; it survives the removal and replacement of its name.
pub trait ReadFile: Send + Sync + fmt::Debug {
    /// The length of the file now, in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes now.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// The `len` bytes from `offset`. A range that ends beyond the file is `UnexpectedEof`, never a
    /// short answer, and is found before anything is allocated.
    fn read(&self, offset: u64, len: usize, mode: ReadMode) -> io::Result<Bytes>;

    /// The same bytes, read once more because they did not verify: by pread, after the pages of memory that
    /// held them were given back as far as the system does that. What is wrong in memory alone is right
    /// then; a device that gives back its own cached error is not told apart from damage.
    fn reread(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.read(offset, len, ReadMode::Pread)
    }
}

/// How bytes of a file reach memory. The answers are identical, and what a read returns is the reader's
/// alone, whatever becomes of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ReadMode {
    /// Copied out of a memory map of the whole file, made at the first such read of a handle: no system call
    /// for what is in memory. Only for published files, which nobody changes: if the length changed
    /// since the file was opened, the read is `InvalidData`.
    ///
    /// A file that is truncated, or whose device fails, after it was mapped ends the process with SIGBUS, unless
    /// [`turn_map_faults_into_errors`](crate::turn_map_faults_into_errors) was called: then such reads, and
    /// all later ones of the open file, are as with [`Pread`](Self::Pread).
    #[default]
    Map,
    /// Read into memory by a system call each: for files that may still grow, and for embedders who want no
    /// maps and no signal handler. A device that fails is an error.
    Pread,
}

/// The identity of a file or directory while it exists: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// The file system.
    pub device: u64,
    /// The number within it.
    pub inode: u64,
}

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The last component of the path, as the file system spells it.
    pub name: OsString,
    /// The length of a file in bytes; 0 for a directory.
    pub len: u64,
    /// Whether the entry is a directory.
    pub is_dir: bool,
}

/// The space of a file system in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// The size of the file system.
    pub total: u64,
    /// What an unprivileged process may still allocate.
    pub available: u64,
}

/// Holds the lock of [`Vfs::lock`] or [`Vfs::lock_dir`] until it drops.
pub trait LockGuard: Send + Sync + fmt::Debug {
    /// The identity of what is locked, whatever became of its name. Nothing else has it while the guard lives.
    fn id(&self) -> io::Result<FileId>;
}
