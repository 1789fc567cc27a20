//! The read path: from segments and memtables to series, names and values.
//!
//! `db` gives the sources that a snapshot pins to [`Sources`]; everything a snapshot answers is
//! answered here.
//!
//! # How a scan is read
//!
//! 1. Given matchers, a range and options, a [`meter`] starts: from here on limits, deadline and
//!    cancellation are looked at.
//! 2. Sources without a sample in the range are left out by their extents.
//! 3. Each of the others lists the series that satisfy every matcher, by its postings ([`segments`],
//!    [`memtables`]). The lists are merged in label order; a series knows its parts ([`lists`]).
//! 4. Runs of neighbouring series are decoded ahead, on several threads ([`decode_ahead`]): as much of
//!    each as one visit takes, 65,536 samples, and no more than the bytes that the query may hold.
//! 5. For each series a [`reader`] opens its parts with their ranks and what deletes hide of each. A part
//!    whose extent is out of the range, or hidden as a whole, is not decoded.
//! 6. `cursor/merge` yields its samples in time order, each timestamp once, batch by batch. A sample that is
//!    lost, and that nothing newer has written again, is an error there, or is left out and listed.
//! 7. Series that turn out to have samples are visited in label order ([`scan`]); what is left of a
//!    long one is read when the visitor gets there.
//!
//! # Invariants
//!
//! - Series come in label order, samples in time order, each timestamp once: the last write.
//! - What is returned is certain: nothing older stands in for a sample that cannot be read, nor for series
//!   that are not known.
//! - The answer depends on what was written, not on how it is spread over sources, on the executor or
//!   on the read mode.
//! - A bounded number of series is decoded ahead of the reader, and a query holds no more than these
//!   and the lists of its series; all of it is counted against `bytes_max`.
//! - Each batch of at most 8,192 samples and each block of series is preceded by a look at the
//!   deadline and the cancellation.
//!
//! # Ways to read
//!
//! Every source (segment, memtable) yields column batches per series in time order; merge, recency
//! (rank by the lowest seq; higher wins at equal timestamps) and de-duplication happen once, in
//! `cursor/merge`, by runs, never a sample at a time. Queries are metered: samples, series, bytes,
//! time, cancellation.
//!
//! *Steps of time* (`Snapshot::aggregate`): a chunk is not decoded if it lies in one bucket and in
//! the range, no other input has a sample between its ends and no delete a tick;
//! `cursor/merge/summaries.rs` decides that, chunk by chunk. The answer has the same bits either
//! way: sums are exact and rounded once: decimal where all values are integers below 2^52 at one
//! exponent (above, a float may be two integers, `segment/decimal_sum.rs` says why), else of the
//! floats.
//!
//! *A list that is kept* (`Snapshot::list`, `read/series_set.rs`) is for who must know all series
//! before the first sample, to group or to sort them: PromQL and remote read. Labels are decoded
//! once (`read/listing.rs`), in parallel but where many series of several sources are merged; then
//! series are read in any order, on several threads, whole (`fold`) or batch by batch (`scan`).
//! `Snapshot::list_as` holds what its caller makes of labels in their place.
//!
//! *Outlines* (`SeriesSet::outline`, `read/outline.rs`): PromQL's windows ask of many samples their
//! last one, the smallest, how many, or a sum of whole numbers. Where no window begins or ends
//! inside a chunk, one point stands for its samples, and only its summary in the chunk index is
//! read. Windows are open on the left, so of samples at round times the first of a chunk belongs to
//! the window before: it is a point of its own, and the summary less that sample another. What does
//! not follow from the summary (an extreme that the first sample has, too; sums that floats would
//! round) is decoded. Windows say the same of points as of samples, bit for bit. `explain` counts
//! what is left to read.
//!
//! *The memory of queries* (`read/memory.rs`) is one pool. A quarter of it is set aside in equal
//! parts for the queries that may run at a time, the rest goes to whoever asks first; so a greedy
//! query is refused, and its neighbours have their parts. A query counts in one account what its
//! source, its operators and its answer hold; all goes back when the account is dropped. Every read
//! of samples or series through the server has such an account, an export included. A read has one
//! deadline for all of its parts (`QueryOptions::deadline`), and its turn is free when its work has
//! ended, also if the client left before.

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
pub(crate) use options::Unreadable;
pub use options::{Cancel, Damage, QueryOptions};
pub use outline::{Outline, Wanted};
pub use selection::{Selection, SeriesColumns};
pub use series_set::SeriesSet;
pub(crate) use sources::Sources;
