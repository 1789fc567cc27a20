//! An open file of the simulated disk, counted while it lives; and the two numbers of its device.

use std::path::PathBuf;

use super::SimFs;

/// Files and directories are numbered apart.
pub(super) const OF_FILES: u64 = 0;
pub(super) const OF_DIRECTORIES: u64 = 1;

/// An open file. It keeps the file from being forgotten, whatever becomes of its name.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) fs: SimFs,
    pub(super) id: u64,
    pub(super) path: PathBuf, // as opened, absolute
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.fs.state().inode(self.id).handles -= 1;
    }
}
