//! The real disk: `std::fs` plus `fallocate` and `statvfs`.
//!
//! The production implementation of [`Vfs`]. It keeps no state of its own and adds no policy: a
//! failed sync is reported once and not remembered (the writer's duty, see `vfs.rs`).
#![expect(clippy::disallowed_methods, reason = "this is the module that owns these calls")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::file_bounds::{checked_end, length_changed, truncate_beyond_end};
use super::mapping::Mapping;
use super::{
    Bytes, DirEntry, FileId, LockGuard, ReadFile, ReadMode, Space, SyncPoint, Vfs, WriteFile,
};

/// The file system of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskFs;

impl Vfs for DiskFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir_all(dir)
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        fs::create_dir(dir)
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        fs::remove_dir(dir)
    }

    fn create_new(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Box::new(DiskWriteFile { file, len: 0 }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn ReadFile>> {
        let file = File::open(path)?;
        let len_opened = file_len(&file.metadata()?)?;
        Ok(Arc::new(DiskReadFile {
            file,
            len_opened,
            mapping: OnceLock::new(),
            path: path.to_path_buf(),
            told_of_fault: AtomicBool::new(false),
        }))
    }

    fn file_len(&self, path: &Path) -> io::Result<u64> {
        file_len(&fs::metadata(path)?)
    }

    fn file_id(&self, path: &Path) -> io::Result<FileId> {
        Ok(file_id(&fs::metadata(or_current(path))?))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(or_current(dir))? {
            let entry = entry?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(e) if e.kind() == ErrorKind::NotFound => continue, // removed meanwhile
                Err(e) => return Err(e),
            };
            let is_dir = metadata.is_dir();
            let len = if is_dir { 0 } else { metadata.len() };
            entries.push(DirEntry { name: entry.file_name(), len, is_dir });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, file: &Path, name: &Path) -> io::Result<()> {
        // What is no file is refused by name on every system, not only where links to it are.
        file_len(&fs::metadata(file)?)?;
        // The call does not follow links on every system, and a link to a link may lead elsewhere.
        fs::hard_link(fs::canonicalize(file)?, name)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path, _: SyncPoint) -> io::Result<()> {
        File::open(or_current(dir))?.sync_all()
    }

    fn free_space(&self, dir: &Path) -> io::Result<Space> {
        let stat = rustix::fs::statvfs(or_current(dir))?;
        Ok(Space {
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
            available: stat.f_bavail.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        lock(file)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn LockGuard>> {
        use rustix::io::Errno;
        lock(File::open(or_current(dir))?).map_err(|e| match Errno::from_io_error(&e) {
            // Such as NFS, which locks what is open for writing.
            Some(Errno::BADF | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::NOLCK) => {
                io::Error::new(ErrorKind::Unsupported, e)
            }
            _ => e,
        })
    }
}

fn lock(file: File) -> io::Result<Box<dyn LockGuard>> {
    match file.try_lock() {
        Ok(()) => Ok(Box::new(DiskLock { file })),
        Err(fs::TryLockError::WouldBlock) => {
            Err(io::Error::new(ErrorKind::WouldBlock, "the file or directory is locked"))
        }
        Err(fs::TryLockError::Error(e)) => Err(e),
    }
}

fn file_id(metadata: &fs::Metadata) -> FileId {
    FileId { device: metadata.dev(), inode: metadata.ino() }
}

/// `parent()` of a bare name is empty, which the system does not take for the current directory.
fn or_current(dir: &Path) -> &Path {
    if dir.as_os_str().is_empty() { Path::new(".") } else { dir }
}

fn file_len(metadata: &fs::Metadata) -> io::Result<u64> {
    if metadata.is_dir() {
        return Err(ErrorKind::IsADirectory.into());
    }
    Ok(metadata.len())
}

/// The lock belongs to the open file, so closing it (or dying) lets go of it.
#[derive(Debug)]
struct DiskLock {
    file: File,
}

impl LockGuard for DiskLock {
    fn id(&self) -> io::Result<FileId> {
        Ok(file_id(&self.file.metadata()?))
    }
}

#[derive(Debug)]
struct DiskWriteFile {
    file: File, // its cursor is at `len`
    len: u64,
}

impl WriteFile for DiskWriteFile {
    fn append_vectored(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        write_fully(&mut self.file, parts, &mut self.len)
    }

    fn sync_data(&mut self, _: SyncPoint) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if len > self.len {
            return Err(truncate_beyond_end(len, self.len));
        }
        self.file.set_len(len)?;
        self.len = len;
        self.file.seek(SeekFrom::Start(len))?;
        Ok(())
    }

    fn preallocate(&mut self, bytes_ahead: u64) -> io::Result<()> {
        if bytes_ahead == 0 {
            return Ok(());
        }
        preallocate(&self.file, self.len, bytes_ahead)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// Writes all `parts`, adding to `len` whatever the writer took, also before an error.
fn write_fully(out: &mut impl Write, parts: &[&[u8]], len: &mut u64) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let mut rest = &mut slices[..];
    IoSlice::advance_slices(&mut rest, 0); // drops leading empty parts
    while !rest.is_empty() {
        match out.write_vectored(rest) {
            Ok(0) => {
                return Err(io::Error::new(ErrorKind::WriteZero, "the file takes no more bytes"));
            }
            Ok(written) => {
                *len += written as u64;
                IoSlice::advance_slices(&mut rest, written);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn preallocate(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    loop {
        return match fallocate(file, FallocateFlags::KEEP_SIZE, offset, bytes) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(Errno::INTR) => continue,
            Err(e) => Err(e.into()),
        };
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn preallocate(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(()) // no call here keeps the length
}

#[derive(Debug)]
struct DiskReadFile {
    file: File,
    len_opened: u64,
    mapping: OnceLock<Mapping>,
    /// What it was called when it was opened, for the log.
    path: PathBuf,
    told_of_fault: AtomicBool,
}

impl DiskReadFile {
    fn mapping(&self) -> io::Result<&Mapping> {
        if let Some(mapping) = self.mapping.get() {
            return Ok(mapping);
        }
        let mapping = Mapping::new(&self.file, self.len_opened)?;
        Ok(self.mapping.get_or_init(|| mapping)) // of two racing threads one drops its map
    }

    /// Reads by pread into `bytes`, which is empty.
    fn copy(&self, offset: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        // The length at opening answers for most reads without a system call.
        if checked_end(offset, len, self.len_opened).is_err() {
            checked_end(offset, len, self.len()?)?;
        }
        *bytes = vec![0; len];
        self.file.read_exact_at(bytes, offset)
    }

    /// The same for a file whose map has had a fault, with an error that says so.
    fn copy_after_fault(&self, offset: u64, len: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
        if !self.told_of_fault.swap(true, Ordering::Relaxed) {
            let path = self.path.display();
            tracing::error!(%path, "a file was truncated, or its device failed, while it was mapped");
        }
        self.copy(offset, len, bytes).map_err(|e| match self.len() {
            Ok(now) if now != self.len_opened => length_changed(self.len_opened, now),
            _ => io::Error::new(
                e.kind(),
                format!("{e}, at byte {offset}; its device failed while the file was mapped"),
            ),
        })
    }
}

impl ReadFile for DiskReadFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, len: usize, mode: ReadMode) -> io::Result<Bytes> {
        let mut bytes = Vec::new();
        if mode == ReadMode::Pread {
            self.copy(offset, len, &mut bytes)?;
            return Ok(Bytes::from(bytes));
        }
        let end = checked_end(offset, len, self.len_opened)?;
        if len > 0 {
            // Both fit: they are at most the length of the map.
            let range = offset as usize..end as usize;
            if !self.mapping()?.copy(range, &mut bytes) {
                self.copy_after_fault(offset, len, &mut bytes)?;
            }
        }
        Ok(Bytes::from(bytes))
    }

    fn reread(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let end = checked_end(offset, len, self.len_opened)?;
        if let Some(mapping) = self.mapping.get() {
            mapping.give_back(offset as usize..end as usize);
        }
        forget_pages(&self.file, offset, len);
        self.read(offset, len, ReadMode::Pread)
    }
}

/// Asks the system to forget what it has cached of a file: advice, which it may not follow.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn forget_pages(file: &File, offset: u64, len: usize) {
    use rustix::fs::{Advice, fadvise};
    let _ = fadvise(file, offset, std::num::NonZeroU64::new(len as u64), Advice::DontNeed);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn forget_pages(_: &File, _: u64, _: usize) {}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind, Write};
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use super::{DiskFs, write_fully};
    use crate::sys::{SyncPoint, Vfs};

    #[test]
    fn the_empty_path_is_the_current_directory() {
        let here = Path::new("siltstone-data").parent().unwrap();
        DiskFs.sync_dir(here, SyncPoint::StoreDirectory).unwrap();
        DiskFs.free_space(here).unwrap();
        assert_eq!(DiskFs.list(here).unwrap(), DiskFs.list(Path::new(".")).unwrap());
    }

    #[test]
    fn a_truncation_gives_back_what_was_preallocated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("RESERVE");
        let mut file = DiskFs.create_new(&path).unwrap();
        let allocated = || std::fs::metadata(&path).unwrap().blocks() * 512;
        file.preallocate(1 << 20).unwrap();
        if allocated() == 0 {
            return; // a file system without preallocation
        }
        assert!(allocated() >= 1 << 20);
        file.truncate(0).unwrap();
        assert_eq!(allocated(), 0);
    }

    /// Takes one byte at a time, is interrupted in between, and is full at some point.
    struct Stingy {
        taken: Vec<u8>,
        room: usize,
        at_end: io::Result<usize>,
        interrupted: bool,
    }

    impl Write for Stingy {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.interrupted = !self.interrupted;
            if self.interrupted {
                return Err(ErrorKind::Interrupted.into());
            }
            if self.taken.len() == self.room {
                return std::mem::replace(&mut self.at_end, Ok(0));
            }
            self.taken.push(bytes[0]);
            Ok(1)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn stingy(room: usize, at_end: io::Result<usize>) -> Stingy {
        Stingy { taken: Vec::new(), room, at_end, interrupted: false }
    }

    #[test]
    fn short_and_interrupted_writes_are_carried_on() {
        let mut out = stingy(100, Ok(0));
        let mut len = 5;
        write_fully(&mut out, &[b"", b"ab", b"", b"cde"], &mut len).unwrap();
        assert_eq!((&out.taken[..], len), (&b"abcde"[..], 10));
    }

    #[test]
    fn a_failed_append_counts_what_was_written() {
        for (at_end, kind) in [
            (Err(ErrorKind::StorageFull.into()), ErrorKind::StorageFull),
            (Ok(0), ErrorKind::WriteZero),
        ] {
            let mut out = stingy(3, at_end);
            let mut len = 0;
            let failed = write_fully(&mut out, &[b"ab", b"cde"], &mut len).unwrap_err();
            assert_eq!((failed.kind(), len), (kind, 3));
        }
    }
}
