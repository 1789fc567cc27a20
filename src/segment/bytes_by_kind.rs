//! Where the bytes of a segment went, by the kind of what they hold.
//!
//! `describe` counts them, and an open segment keeps the result for the statistics.

/// Where a segment's bytes went; adds up to the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BytesByKind {
    /// Value blocks, with the padding between the parts.
    pub values: u64,
    /// Timestamp blocks and their table, both copies.
    pub timestamps: u64,
    /// Chunk blocks, with the aggregates, and the chunk top.
    pub chunk_index: u64,
    /// The label index.
    pub labels: u64,
    /// Header and both footers.
    pub other: u64,
}
