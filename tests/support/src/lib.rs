//! What tests and benchmarks of the engine share, beside the engine's public API.
//!
//! A crate, because every test program, the benchmarks and the fuzz targets use parts of it: they
//! compile it once. The unit tests inside of the engine cannot use it, whose types would be those of
//! another build of the engine; they include the one file that they need, `oracle.rs`.
//!
//! | module | owns |
//! |---|---|
//! | `answers` | options for a simulated disk, and answers as plain data |
//! | `gate` | a simulated disk on which merges can be held, or made to fail |
//! | `oracle` | a map, which every answer is compared with |
//! | `record` | promises, and whether what a store holds can be explained by them |
//! | `tsbs` | labels in the shape of TSBS's cpu-only use case |

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

pub mod answers;
pub mod gate;
pub mod oracle;
pub mod record;
pub mod tsbs;

use siltstone::{Labels, Matcher, TimeRange}; // the oracle takes them from here
