//! The read path: from segments and memtables to series, names and values.
//!
//! `db` gives the sources that a snapshot pins to [`Sources`]; everything a snapshot answers is
//! answered here. A query is pruned by the time ranges of its sources, then by their postings, then
//! by the extents of each series, before anything is decoded.
//!
//! # Invariants
//!
//! - Series come in label order, samples in time order, each timestamp once: the last write.
//! - The answer depends on what was written, not on how it is spread over sources, on the executor or
//!   on the read mode.
//! - A bounded number of series is decoded ahead of the reader, and a query holds no more than these
//!   and the lists of its series; all of it is counted against `bytes_max`.
//! - Each batch of at most 8,192 samples and each block of series is preceded by a look at the
//!   deadline and the cancellation.

mod aggregate;
mod decode_ahead;
mod digest;
mod footprint;
mod listing;
mod lists;
mod memory;
mod memtables;
mod meter;
mod names;
mod options;
mod outline;
mod reader;
mod scan;
mod segments;
mod selection;
mod series_ahead;
mod series_set;
mod sources;
#[cfg(test)]
mod tests;

pub(crate) use aggregate::Steps;
pub use aggregate::{Aggregation, Bucket, BucketValues, SeriesBuckets};
pub use digest::ContentDigest;
pub(crate) use footprint::Footprints;
pub use memory::{MemoryPool, QueryMemory};
pub(crate) use memtables::{MemtableView, Memtables};
pub use options::{Cancel, Damage, QueryOptions};
pub use outline::{Outline, Wanted};
pub use selection::{Selection, SeriesColumns};
pub use series_set::SeriesSet;
pub(crate) use sources::Sources;
