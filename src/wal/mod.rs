#![doc = include_str!("FORMAT.md")]
//!
//! # Code
//!
//! The write-ahead log: bytes of batches, and nothing of what they mean to the memtable. `db` calls the
//! writer behind its commit lock and the reader while it opens a store; the command's `verify`
//! reads too. This module must not know the registry: it sees refs, columns and labels.

mod batch;
mod frame;
mod header;
mod reader;
mod writer;

pub use batch::{BatchColumns, BatchView, Definition, Definitions, EncodedBatch};
pub use frame::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, RecordKind};
pub use header::{HEADERS_BYTES, Predecessor, WalHeader};
pub use reader::{Damage, FileReport, Record, WalReader};
pub use writer::WalWriter;

#[cfg(test)]
mod tests;
