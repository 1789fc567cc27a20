#![doc = include_str!("FORMAT.md")]
//!
//! # Code
//!
//! The write-ahead log: bytes of batches, and nothing of what they mean to the memtable. `db` calls the
//! writer behind its commit lock and the reader while it opens a store; the command's `verify`
//! reads too. This module must not know the registry: it sees refs, columns and labels.
//!
//! # Files and faults
//!
//! One stream of frames; one file per memtable generation. A frame is one batch: atomic.
//! `WalWriter` is a plain struct behind the commit lock of `db`. Nothing is appended behind a frame
//! that failed to be written whole (the file is *sealed*); after a failed sync the file is
//! *poisoned* and never synced or appended to again. Each file's header says how much of the one
//! before it counts, so a file need not be ended to be complete. Recovery never appends to an old
//! file and never truncates one.
//!
//! zstd is mandatory: definitions of series are compressed with it. A build without C would need a
//! second format for them.

mod batch;
mod durable_edit;
mod frame;
mod header;
mod reader;
mod writer;

pub use batch::{BatchColumns, BatchView, Definition, Definitions, EncodedBatch};
pub use durable_edit::{durable_edit, owner};
pub use frame::{FRAME_HEADER_BYTES, PAYLOAD_BYTES_MAX, RecordKind};
pub use header::{HEADERS_BYTES, Predecessor, WalHeader};
pub use reader::{Damage, FileReport, Record, WalReader};
pub use writer::WalWriter;

#[cfg(test)]
mod tests;
