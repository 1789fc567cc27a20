#![doc = include_str!("FORMAT.md")]
//!
//! # In code
//!
//! [`SegmentWriter`] writes a segment in one pass; [`Segment`] answers which series and which chunks
//! it has, and [`ChunkReader`] reads samples. Called by flush, by merges and by the read path; knows
//! neither the manifest nor the memtable: what the store knows of a segment is its
//! [`SegmentMeta`](crate::types::SegmentMeta).
//!
//! No reader trusts bytes whose checksum it has not seen pass since they were loaded, and damage of
//! one block costs what is in it: the errors name file, part and offset.
//!
//! # How it is laid out
//!
//! One immutable self-contained file, written streaming in label order, published by: temporary
//! file, sync, rename, directory sync, manifest edit, sync, publish to readers. Chunks are cut at
//! absolute times so that series of one scrape interval share their timestamp columns; a flush
//! keeps neighbouring chunks of fewer than 32 rows together, within 64 aligned windows. (If chunks
//! of a flush never crossed a window, each of the samples that come late one by one would be a
//! chunk of sixty bytes: flushes then write 7.6 times what is at rest, and so 3.8 times. The first
//! merge cuts them by window.) Value blocks hold 64 chunks and are checked on every load from the
//! file; index blocks are checked when they enter the bounded cache. Timestamp blocks, their table
//! and the footer are stored twice.
//!
//! Segments are kept open in a bounded clock cache and opened again when others took their place; a
//! segment that nobody holds is closed, so that its space is free once it is removed.

mod aggregate;
mod blocks;
mod bytes_by_kind;
mod cache;
mod chunk_index;
mod chunk_reader;
mod chunks;
pub mod cut;
mod decimal_sum;
mod dense;
mod describe;
mod discover;
mod findings;
mod footer;
mod group;
mod handles;
mod header;
mod info;
mod labels;
mod layout;
mod loaded;
mod losses;
mod lost;
mod open;
mod span;
mod spill;
mod time_table;
mod times;
mod verify;
mod walk;
mod writer;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod spill_tests;
#[cfg(test)]
mod tests;

pub use aggregate::{Aggregates, Extent, Sums};
pub use bytes_by_kind::BytesByKind;
pub use cache::{BlockCache, CacheStats};
pub use chunk_reader::{ChunkReader, ChunkSamples};
pub use chunks::Chunks;
pub use describe::{EncodingShare, SectionDescription, SegmentDescription, ValueBlockShare};
pub use discover::Discovered;
pub use findings::{Finding, LostRange, VerifyReport};
pub use footer::SectionTag;
pub use group::ChunkEntry;
pub use info::{Encoding, SegmentInfo, Window};
pub use losses::LostTotals;
pub use lost::{LossOrigin, LostTimes};
pub use open::{Segment, SegmentPin};

pub use walk::ChunkWalk;
pub use writer::SegmentWriter;

pub(crate) use crate::codec::ROWS_MAX;
pub(crate) use decimal_sum::DecimalSum;
