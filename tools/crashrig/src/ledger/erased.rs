//! Deletes of whole series: what was sent before is gone for good, what is sent later is not.

use super::Part;

/// The series of a part that were deleted, and after how many requests.
#[derive(Debug, Clone, Default)]
pub(super) struct Erased {
    /// By number.
    gone: Vec<bool>,
    count: u32,
    /// Requests sent before.
    before: usize,
}

impl Part {
    /// Notes that the series for which `is_gone` answers true were deleted, when no request was under
    /// way. A part is deleted from once.
    pub(crate) fn erase(&mut self, is_gone: impl Fn(u32) -> bool) {
        let gone: Vec<bool> = (0..self.series).map(is_gone).collect();
        let count = gone.iter().filter(|&&gone| gone).count() as u32;
        self.erased = Erased { gone, count, before: self.outcomes.len() };
    }

    /// Samples that the delete hides, of requests that were acknowledged or found.
    pub(crate) fn erased_samples(&self) -> u64 {
        let sent = &self.outcomes[..self.erased.before];
        let there = sent.iter().filter(|outcome| outcome.is_there()).count();
        there as u64 * u64::from(self.erased.count)
    }

    /// Whether a sample was deleted.
    pub(super) fn is_erased(&self, series: u32, request: usize) -> bool {
        request < self.erased.before && self.erased.gone[series as usize]
    }

    /// How many series of a request must be there, if any are.
    pub(super) fn remaining(&self, request: usize) -> u32 {
        let gone = if request < self.erased.before { self.erased.count } else { 0 };
        self.series - gone
    }
}
