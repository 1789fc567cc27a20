//! What the creator of a segment says of it, beside what its samples say: given to the writer by flush and
//! by merges, kept in the footer.

use super::footer::FEATURE_DENSE;
use crate::types::Timestamp;

/// What a segment says of itself beside what its samples say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentInfo {
    /// The identity of the store.
    pub uuid: [u8; 16],
    /// The number of merges behind the segment; 0 for a flush.
    pub level: u8,
    /// The lowest seq whose samples may be in it.
    pub min_seq: u64,
    /// The highest seq whose samples may be in it.
    pub max_seq: u64,
    /// File numbers of the segments that it replaces.
    pub replaces: Vec<u64>,
    /// The seq up to which deletes are carried out in it.
    pub tombstone_seq: u64,
    /// The window of time that it is confined to; left out if samples turn out to lie outside.
    pub window: Option<Window>,
    /// How its values are encoded.
    pub encoding: Encoding,
}

/// How the values of a segment are encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Bit-packed: the fastest to write and to read. What a flush writes.
    #[default]
    Fast,
    /// The smallest that still decodes fast: a value block may be one zstd frame. What merges write.
    Dense,
}

/// A window of time: `ticks` ticks from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first tick.
    pub start: Timestamp,
    /// The length in ticks, at least 1.
    pub ticks: u64,
}

impl Window {
    /// Whether `at` lies in it.
    pub(super) fn holds(self, at: Timestamp) -> bool {
        let behind = i128::from(at) - i128::from(self.start);
        (0..i128::from(self.ticks)).contains(&behind)
    }
}

impl Encoding {
    /// What a reader must understand beyond the version.
    pub(super) fn features(self) -> u32 {
        match self {
            Self::Fast => 0,
            Self::Dense => FEATURE_DENSE,
        }
    }
}
