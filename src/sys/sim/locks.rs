//! The locks of the simulated disk: of a file and of a directory, held until they drop.

use std::io;

use super::SimFs;
use super::handle::{Handle, OF_DIRECTORIES, OF_FILES};
use crate::sys::{FileId, LockGuard};

#[derive(Debug)]
pub(super) struct SimLock {
    pub(super) handle: Handle,
}

impl LockGuard for SimLock {
    fn id(&self) -> io::Result<FileId> {
        Ok(FileId { device: OF_FILES, inode: self.handle.id })
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let Handle { fs, id, .. } = &self.handle;
        fs.state().locks.remove(id);
    }
}

#[derive(Debug)]
pub(super) struct SimDirLock {
    pub(super) fs: SimFs,
    pub(super) id: u64,
}

impl LockGuard for SimDirLock {
    fn id(&self) -> io::Result<FileId> {
        Ok(FileId { device: OF_DIRECTORIES, inode: self.id })
    }
}

impl Drop for SimDirLock {
    fn drop(&mut self) {
        self.fs.state().dir_locks.remove(&self.id);
    }
}
