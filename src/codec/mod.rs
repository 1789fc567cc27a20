#![doc = include_str!("FORMAT.md")]
//!
//! # The code
//!
//! Pure functions from columns to bytes and back: no I/O, no clock, no threads. Flush and
//! compaction encode with [`ValueEncoder`] and [`TimestampEncoder`], which own their scratch and
//! allocate nothing per chunk once warm; the read path decodes with [`decode_f64`] and
//! [`decode_timestamps`] into slices of its own. Checksums, lengths and row counts are the callers'
//! (the block and the chunk index hold them). Every decoder is safe for any bytes: it fails with a
//! [`DecodeError`](crate::types::DecodeError), never panics, never allocates.
//!
//! # Bounds
//!
//! One call encodes up to 8,192 f64 values, in sub-blocks of 1,024, or as many i64 timestamps, exactly
//! for every bit pattern.

mod bitpack;
mod decimal;
mod divisor;
mod exceptions;
mod ordered;
mod planes;
mod predict;
mod residual;
#[cfg(test)]
mod testing;
mod timestamps;
mod values;
mod window;

pub use crate::types::varint;
pub use residual::Form;
pub use timestamps::{TimestampEncoder, decode_timestamps};
pub use values::{Encoding, Mode, ValueEncoder, decode_f64, describe_f64};

/// The most rows that one encoded column may hold.
pub const ROWS_MAX: usize = 8192;

/// Rows of a sub-block: longer columns are cut, so that exponent, order and width follow the data.
pub const SUB_BLOCK_ROWS: usize = 1024;
