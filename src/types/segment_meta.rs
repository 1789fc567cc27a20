//! What the store knows of a segment without opening it.

use super::Timestamp;

/// One segment as the manifest lists it: enough to prune by time and to recognise the right file.
/// The segment's writer fills it in, the manifest stores it, and the reader checks the file against
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentMeta {
    /// The number in the file's name; unique for ever within a store.
    pub file_number: u64,
    /// The size of the file in bytes.
    pub file_bytes: u64,
    /// The CRC32C that ends the footer; it covers the checksums of every other part.
    pub footer_crc: u32,
    /// The length of the footer in bytes; the last copy ends the file.
    pub footer_bytes: u32,
    /// Where the first copy of the footer starts, in bytes.
    pub footer_twin_offset: u64,
    /// The time of the earliest sample.
    pub min_timestamp: Timestamp,
    /// The time of the latest sample, inclusive.
    pub max_timestamp: Timestamp,
    /// The lowest seq whose samples may be in the segment.
    pub min_seq: u64,
    /// The highest seq whose samples may be in the segment, inclusive.
    pub max_seq: u64,
    /// The number of samples that can be read, stale markers included; at least 1, unless there are lost
    /// chunks.
    pub samples: u64,
    /// The number of series; at least 1.
    pub series: u32,
    /// Bits for what a reader must understand beyond format version 1: bit 0, value blocks may be
    /// zstd frames; bit 1, there are lost chunks.
    pub features: u32,
    /// The number of merges behind the segment; 0 for a flush.
    pub level: u8,
    /// The seq up to which deletes are carried out in the segment, or match nothing in it. The
    /// manifest's may be higher than that in the segment's footer.
    pub tombstone_seq: u64,
}

/// Bit of [`SegmentMeta::features`]: there are lost chunks.
pub(crate) const FEATURE_LOST: u32 = 2;

impl SegmentMeta {
    /// Whether some of its chunks are lost, accepted or not.
    #[must_use]
    pub fn has_lost(&self) -> bool {
        self.features & FEATURE_LOST != 0
    }

    /// Whether the segment's time range and the other's have an instant in common.
    #[must_use]
    pub fn overlaps_in_time(&self, other: &Self) -> bool {
        self.min_timestamp <= other.max_timestamp && other.min_timestamp <= self.max_timestamp
    }
}
