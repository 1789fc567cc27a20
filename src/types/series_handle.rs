//! The name of an active series: what a batch has in the place of labels.

use std::fmt;

/// Names an active series as long as it is active: a slot and the version of its occupant. When the
/// series is freed the version changes, so an old handle is recognised as stale and never names the
/// next series in its slot. Local to one open store.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct SeriesHandle {
    pub(crate) slot: u32,
    pub(crate) version: u32,
}

impl SeriesHandle {
    /// The slot: the series' number in memtables while the handle is live.
    #[must_use]
    pub fn slot(self) -> u32 {
        self.slot
    }
}

impl fmt::Display for SeriesHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.slot, self.version)
    }
}
