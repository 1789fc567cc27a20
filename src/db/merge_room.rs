//! Whether the disk has room for a merge, and what is merged when it has not.
//!
//! A merge needs room for its inputs once more, which a full disk has not for what the picker would
//! choose: all fresh segments at once, say. What deletes have hidden must be freed there all the same.
//! Then one segment is rewritten at a time, the smallest first, with the help of the reserve; each
//! makes room for the next.
//!
//! Called with the runner lock held.

use super::compaction::{Runner, deletes_for};
use super::core::{Core, Live};
use crate::compaction::{Pick, Reason, pick_freeing};
use crate::error::{Error, Result};
use crate::types::TimeRange;

impl Core {
    /// The pick if there is room for it, or one that frees space with what there is.
    ///
    /// # Errors
    /// [`Error::DiskFull`] if there is neither; I/O errors.
    pub(super) fn fit(
        &self,
        runner: &Runner,
        live: &Live,
        range: Option<TimeRange>,
        pick: Pick,
    ) -> Result<Pick> {
        let bytes = pick.inputs.bytes();
        let has_room = || self.check_merge_room(bytes);
        let checked = match pick.reason {
            // What deletes have hidden is freed by these.
            Reason::Erase | Reason::Range => self.with_reserve(has_room),
            Reason::Split | Reason::Tier | Reason::Join => has_room(),
        };
        match checked {
            Err(error @ Error::DiskFull { .. }) => {
                self.choose_freeing(runner, live, range)?.ok_or(error)
            }
            checked => checked.map(|()| pick),
        }
    }

    /// The smallest merge that erases what deletes have hidden; `None` if there is none to be erased.
    fn choose_freeing(
        &self,
        runner: &Runner,
        live: &Live,
        range: Option<TimeRange>,
    ) -> Result<Option<Pick>> {
        let within = range.unwrap_or(TimeRange::ALL);
        let smallest = |bytes_max| {
            self.with_view(runner, live, deletes_for(range), |view| {
                pick_freeing(view, within, bytes_max)
            })
        };
        if smallest(u64::MAX).is_none() {
            return Ok(None);
        }
        self.with_reserve(|| {
            let full = || Error::DiskFull { path: self.dir.clone() };
            smallest(self.merge_room()?).map(Some).ok_or_else(full)
        })
    }

    /// Refuses a merge that the disk may have no room for.
    ///
    /// # Errors
    /// [`Error::DiskFull`]; I/O errors.
    pub(super) fn check_merge_room(&self, bytes: u64) -> Result<()> {
        if self.merge_room()? < bytes {
            return Err(Error::DiskFull { path: self.dir.clone() });
        }
        Ok(())
    }

    /// Bytes of inputs that a merge may have: there must be room for them once more and a fifth.
    fn merge_room(&self) -> Result<u64> {
        let space = self.vfs().free_space(&self.dir);
        let space = space.map_err(|e| Error::io("ask for the free space of", &self.dir, e))?;
        Ok(space.available / 6 * 5)
    }
}
