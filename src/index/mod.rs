#![doc = include_str!("FORMAT.md")]
//!
//! # In code
//!
//! [`IndexBuilder`] makes the two parts, in bounded memory: what exceeds that goes to a [`Spill`] of
//! its caller. [`Index`] is the resident top level, which answers questions by fetching blocks
//! through a [`BlockSource`]. Pure bytes, no I/O. Called by `segment` to write and by `read` to
//! select. Bytes are decoded defensively even after their CRC was checked: no input makes a reader
//! panic, or allocate more than a small multiple of what it was given.
//!
//! # How it is built
//!
//! Series are gathered in a run of half the builder's budget (8 MiB
//! unless said otherwise): the distinct keys once, the series as varints of run-local key numbers.
//! One run is written as it is. More are spilled to `n.seg.index.tmp` and merged: the keys with
//! their postings first, `fan_in` runs at a time, which also yields for each run a *rank map* from
//! its keys to those of the index; then the series, run by run through its map, so that nothing
//! needs a second sort. The bytes of the index do not depend on the budget. Every spilled 4 KiB
//! carry a CRC32C bound to their place. What grows beyond the budget is the top level (6 to 11 KB
//! per million series of TSBS) and some 300 bytes per run.

mod block;
mod builder;
mod cursor;
mod key_table;
mod keys;
mod list;
mod merge;
mod ordinal_set;
mod output;
mod postings;
mod rank_map;
mod reader;
mod run;
mod select;
mod series;
mod spill;
#[cfg(test)]
mod spill_tests;
#[cfg(test)]
mod tests;
mod top;

use std::sync::Arc;

pub use block::verify_block;
pub use builder::IndexBuilder;
pub use output::BuiltIndex;
pub use reader::Index;
pub use spill::Spill;

use crate::types::DecodeError;

/// Where a block lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// First byte, counted from the start of the blocks part.
    pub offset: u64,
    /// Length in bytes, header and CRC included.
    pub len: u32,
}

/// Where an [`Index`] gets its blocks from: a file, through a cache.
pub trait BlockSource {
    /// Why a block could not be had.
    type Error: From<DecodeError>;

    /// The bytes of a block, which have passed [`verify_block`].
    ///
    /// # Errors
    /// The place does not exist, cannot be read or is damaged.
    fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, Self::Error>;
}
