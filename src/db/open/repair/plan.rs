//! What a repair does, in values and in words.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::db::env::finding::Finding;
use crate::types::{FileName, SegmentMeta, Timestamp};

/// What a repair does, or has done.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct RepairPlan {
    /// What is wrong with `CURRENT` and the manifest. Empty: the store opens, and nothing is to be done.
    pub damage: Vec<Finding>,
    /// Whether what the manifest said is known exactly; else it is put together from the other files.
    pub is_exact: bool,
    /// What becomes of each segment, by number: of those that the manifest lists, where that is known exactly, and
    /// else of every segment file whose footer can be read, and of those that are listed and gone.
    pub segments: Vec<RepairSegment>,
    /// Deletes that the manifest lists.
    pub deletes: u64,
    /// Tombstone files that are missing or damaged, and are written anew from the manifest.
    pub tombstone_files: Vec<PathBuf>,
    /// Samples of segments that are listed and cannot be read, at most: those that newer segments replaced
    /// count too.
    pub lost_samples: u64,
    /// What cannot be known, and files that cannot be read.
    pub warnings: Vec<Finding>,
}

impl RepairPlan {
    /// Whether there is anything to do.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        !self.damage.is_empty()
    }

    /// The segments that become, or became, part of the store and can be read.
    pub fn kept(&self) -> impl Iterator<Item = &RepairSegment> {
        self.segments.iter().filter(|segment| segment.fate == Fate::Kept)
    }
}

/// A segment in a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RepairSegment {
    /// The number in the name of the file.
    pub file_number: u64,
    /// The file.
    pub path: PathBuf,
    /// Its samples.
    pub samples: u64,
    /// Its series.
    pub series: u32,
    /// The time of its first sample, in ticks.
    pub first: Timestamp,
    /// The time of its last sample, in ticks, inclusive.
    pub last: Timestamp,
    /// What becomes of it.
    pub fate: Fate,
}

impl RepairSegment {
    pub(super) fn new(dir: &Path, meta: &SegmentMeta, fate: Fate) -> Self {
        Self {
            file_number: meta.file_number,
            path: dir.join(FileName::Segment(meta.file_number).to_string()),
            samples: meta.samples,
            series: meta.series,
            first: meta.min_timestamp,
            last: meta.max_timestamp,
            fate,
        }
    }
}

impl fmt::Display for RepairSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, samples, series, first, last, fate, .. } = self;
        write!(
            f,
            "{}: {samples} samples of {series} series from {first} to {last}: ",
            path.display()
        )?;
        write!(f, "{fate}")
    }
}

/// What becomes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It is listed.
    Kept,
    /// It is listed, and its file is missing or has another size: queries of its time fail until it is back,
    /// or until that is accepted.
    Unreadable,
    /// An edit removed it. It is not listed, and the next opening removes the file.
    Removed,
    /// Segments that were merged from it hold what was in it.
    Replaced,
    /// What it was merged from is there, and listed in its place, since nothing shows that the merge was
    /// published and that all it wrote is there. If it was, what had been deleted before may be back.
    Unpublished,
    /// The log holds what is in it.
    InLog,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Kept => "kept",
            Self::Unreadable => "lost until the file is back: missing, or of another size",
            Self::Removed => "not listed: an edit removed it, and the next opening removes the file",
            Self::Replaced => "set aside: others hold what was in it",
            Self::Unpublished => {
                "set aside: what it was merged from is there; if that merge was published, samples deleted before it may be back"
            }
            Self::InLog => "set aside: the log holds what is in it",
        })
    }
}
