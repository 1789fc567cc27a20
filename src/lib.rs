//! An embedded store for time series: an append-only log and memtables in memory, immutable compressed
//! segments on disk that are read through memory maps, merges in the background. Synchronous, without an
//! async runtime.
//!
//! - What [`Db::write`] acknowledges is durable as [`Options::durability`] says, by default through a power
//!   cut.
//! - Values are kept bit for bit, NaN payloads and -0.0 included; timestamps may come in any order and of
//!   any age; at equal timestamps the later write wins.
//! - One number bounds the memory: [`Options::memory_budget_bytes`].
//! - Damage costs the damaged block and is an error that names it, never a wrong answer.
//!
//! # How to use it
//!
//! | what | with |
//! |---|---|
//! | open or create a store | [`Db::open`], [`Options`]; closed by [`Db::close`] |
//! | write | [`Db::series`], [`WriteBatch`], [`Db::write`], [`Db::write_renewing`] |
//! | read | [`Db::snapshot`], then [`Snapshot::select`], [`Snapshot::scan`], [`Snapshot::aggregate`], [`Snapshot::list`] |
//! | delete | [`Db::delete`], [`Db::preview_delete`] |
//! | keep an answer and know when it is old | [`Snapshot::mark`], [`Snapshot::changed_since`] |
//! | merge, copy, join | [`Db::compact`], [`Db::checkpoint`], [`Db::attach`] |
//! | watch | [`Db::stats`], [`Observer`], [`Db::cardinality`] |
//! | look at a store from another process | [`ReadOnlyDb`], [`Verify`] |
//! | run without threads of its own | [`Background::Manual`], [`Db::tick`], [`Db::commit_step`] |
//! | test a program against crashes and full disks | [`sys`] and its simulated file system |
//!
//! ```
//! use siltstone::{Db, Labels, Matcher, Options, QueryOptions, TimeRange, WriteBatch};
//!
//! # let dir = tempfile::tempdir()?;
//! let db = Db::open(dir.path(), Options::default())?;
//! let up = db.series(&Labels::from_pairs([("__name__", "up"), ("job", "node")])?)?;
//! let mut batch = WriteBatch::new();
//! batch.extend(up, [(1_700_000_000_000, 1.0), (1_700_000_015_000, 0.0)])?;
//! assert!(db.write(&batch)?.durable);
//!
//! let matchers = [Matcher::equal("__name__", "up"), Matcher::regex("job", "node|db")?];
//! let range = TimeRange::from(1_700_000_000_000..=1_700_000_015_000);
//! for series in db.snapshot()?.select(&matchers, range, &QueryOptions::default())? {
//!     let series = series?;
//!     for (timestamp, value) in &series.columns {
//!         println!("{} {timestamp} {value}", series.labels);
//!     }
//! }
//! db.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything that this page lists follows semantic versioning, but for [`sys`], which may grow with any
//! release. The formats of all files are specified byte by byte in the `FORMAT.md` beside the code of each.
//! PromQL over a snapshot is the crate `siltstone-query`.

#![deny(unnameable_types)]

// Hidden modules are no part of the API: tools, benches and fuzzers of this repository look into files
// and measure single steps through them.
#[doc(hidden)]
pub mod codec;
#[doc(hidden)]
pub mod compaction;
mod cursor;
mod db;
#[doc(hidden)]
pub mod deletes;
mod error;
mod flush;
#[doc(hidden)]
pub mod index;
#[doc(hidden)]
pub mod manifest;
#[doc(hidden)]
pub mod memtable;
mod patterns;
mod read;
#[doc(hidden)]
pub mod segment;
#[doc(hidden)]
pub mod series;
mod sparse_array;
pub mod sys;
#[doc(hidden)]
pub mod types;
#[doc(hidden)]
pub mod wal;

pub use compaction::{CompactionPlan, DamagedRange, PlannedInput, PlannedMerge, Reason};
pub use cursor::{Column, Columns, ReadCost, Samples};
pub use db::{
    AcceptOptions, AcceptReport, Ack, AttachOptions, AttachReport, BATCH_ROWS_MAX, Background,
    BytesByKind, Changes, CheckpointReport, CompactProgress, CompactReport, Db, DeleteReceipt,
    DeletedShare, Durability, Event, Fate, Finding, KeptOpen, Latency, LeftOut, Losses, Mark,
    Observer, OpenReport, Options, ReadOnlyDb, Repair, RepairPlan, RepairSegment, Snapshot, Stats,
    Ticket, Verify, VerifyReport, WriteBatch,
};
pub use error::{Error, Result};
pub use patterns::{PatternCache, PatternCacheStats, Patterns};
pub use read::{
    Aggregation, Bucket, BucketValues, Cancel, ContentDigest, Damage, MemoryPool, Outline,
    QueryMemory, QueryOptions, Selection, SeriesBuckets, SeriesColumns, SeriesSet, Wanted,
};
pub use segment::{EncodingShare, SectionDescription, SegmentDescription};
pub use series::{Cardinality, EncodedLabels};
pub use sys::{Clock, DiskFs, Executor, ReadMode, SystemClock, Vfs, turn_map_faults_into_errors};
pub use types::{
    AnchoredRegex, DecodeError, Label, LabelCollector, LabelError, Labels, LabelsLimits, Limit,
    LimitExceeded, LossCounts, LostSamples, MatchOp, Matcher, MatcherError, ParseError,
    PatternBudget, Sample, SegmentMeta, Selector, SeriesHandle, SeriesId, TimeRange, TimeScale,
    Timestamp, Tombstone, ValueCaptures,
};
