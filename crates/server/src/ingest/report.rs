//! What became of an import: what was written, what was refused, what is worth telling.

use std::collections::HashSet;

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
    /// Samples from before 2000 that were taken: hardly any are meant.
    pub before_2000: u64,
    /// Samples that were taken and are older than the retention of the store: they go at once, or soon.
    pub expired: u64,
    /// Different series that had samples to write; counted only if asked for.
    pub series: HashSet<SeriesId>,
}
