//! The wire formats that the server and the command read and write, one file each.
//!
//! Pure functions over bytes: no HTTP, no engine state, no clock. Every reader takes untrusted bytes:
//! it never panics, never recurses, never allocates more than a small multiple of its input, and
//! says in its error where the input is wrong. Labels pass through byte for byte; values keep every
//! bit. Whether a label set is one that the store takes is decided by [`siltstone::Labels`], not
//! here.

pub mod ast_json;
pub mod exposition;
pub mod exposition_text;
pub mod json_lines;
mod json_text;
mod line_error;
pub mod number;
mod protobuf;
pub mod remote_read;
pub mod remote_write;
pub mod result_json;
pub mod snappy;
pub mod xor_chunk;

pub use line_error::LineError;
pub use protobuf::{WireError, WireFault};
