//! What became of an import: what was written, what was refused, what is worth telling.

use std::collections::HashSet;
use std::fmt;
use std::ops::AddAssign;

use siltstone::SeriesId;

use crate::reasons::Reasons;

/// What became of a stream of lines.
#[derive(Debug, Clone, Default)]
pub struct IngestReport {
    /// Lines read.
    pub lines: u64,
    /// Samples written.
    pub samples: u64,
    /// Lines of which something was refused for good, and why.
    pub refused: Reasons,
    /// Lines among them of which samples were refused by a clock that is wrong: they can be sent again.
    pub clock_refused: u64,
    /// Lines of which something was refused for want of room, which there may be later.
    pub no_room: Reasons,
    /// Samples that were taken although their times are old.
    pub old: OldSamples,
    /// Different series that had samples to write; counted only if asked for.
    pub series: HashSet<SeriesId>,
}

/// How many samples were taken whose times are so old that their sender may not have meant them. Shown as a line
/// for each kind that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OldSamples {
    /// From before 2000: hardly any are meant.
    pub before_2000: u64,
    /// Older than the retention of the store: they go at once, or soon.
    pub expired: u64,
}

impl AddAssign for OldSamples {
    fn add_assign(&mut self, other: Self) {
        self.before_2000 += other.before_2000;
        self.expired += other.expired;
    }
}

impl fmt::Display for OldSamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.before_2000 > 0 {
            writeln!(f, "{} samples are from before 2000", self.before_2000)?;
        }
        if self.expired > 0 {
            let what = "samples are older than the retention of the store and will be gone";
            writeln!(f, "{} {what}", self.expired)?;
        }
        Ok(())
    }
}
