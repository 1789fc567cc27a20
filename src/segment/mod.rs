#![doc = include_str!("FORMAT.md")]
mod aggregate;
mod cache;
mod chunk_index;
mod footer;
mod group;
mod header;
mod span;
mod time_table;
mod times;
pub use aggregate::*;
pub use cache::*;
pub use group::ChunkEntry;
pub(crate) use crate::codec::ROWS_MAX;
