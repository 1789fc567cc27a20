//! How much a store has lost over its life.

/// Samples that were lost since the store was made, also those that were written again, deleted or have expired
/// since. Kept in the manifest, by the edits that carry a loss on; they never fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LossCounts {
    /// Samples that a merge could not read, and that were in segments given up; at most, where their times are
    /// not known.
    pub lost: u64,
    /// Of these, and of the losses that were found when they were accepted, those that were accepted.
    pub accepted: u64,
}

impl LossCounts {
    /// What is counted once `more` is added.
    pub(crate) fn plus(self, more: Self) -> Self {
        Self {
            lost: self.lost.saturating_add(more.lost),
            accepted: self.accepted.saturating_add(more.accepted),
        }
    }
}
