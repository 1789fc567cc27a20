//! How much a merge may take on this disk, and what is merged when that is too little for anything that
//! the picker would choose.
//!
//! A merge needs room for its inputs once more. The picker is told, and takes fewer segments where
//! there is little. What deletes have hidden must be freed on a full disk all the same: then one
//! segment is rewritten at a time, the smallest first, with the help of the reserve if that is enough;
//! each makes room for the next.
//!
//! Called with the runner lock held.

use super::Compactor;
use crate::compaction::{Pick, View, pick_freeing};
use crate::error::{Error, Result};
use crate::types::TimeRange;

impl Compactor {
    /// The smallest merge in `range` that erases what deletes have hidden, if the reserve makes room
    /// for it: then it is given back.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn choose_freeing(&self, view: &View<'_>, range: TimeRange) -> Result<Option<Pick>> {
        let input_bytes_max = self.headroom(self.env.reserve.bytes())?;
        let found = pick_freeing(&View { input_bytes_max, ..*view }, range);
        Ok(found.filter(|_| self.env.reserve.give_back(&**self.env.vfs())))
    }

    /// Refuses a merge that the disk may have no room for.
    ///
    /// # Errors
    /// [`Error::DiskFull`]; I/O errors.
    pub(super) fn check_headroom(&self, bytes: u64) -> Result<()> {
        if self.headroom(0)? < bytes {
            return Err(Error::DiskFull { path: self.env.dir.clone() });
        }
        Ok(())
    }

    /// Bytes of inputs that a merge may have, were `more` bytes free: there must be room for them once
    /// more and a fifth.
    ///
    /// # Errors
    /// I/O errors.
    pub(super) fn headroom(&self, more: u64) -> Result<u64> {
        let space = self.env.vfs().free_space(&self.env.dir);
        let space = space.map_err(|e| Error::io("ask for the free space of", &self.env.dir, e))?;
        Ok(space.available.saturating_add(more) / 6 * 5)
    }
}
