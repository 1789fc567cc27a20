#![doc = include_str!("../README.md")]
//!
//! # For embedders
//!
//! [`Db`] is the store, [`Options`] how it is opened, [`WriteBatch`] what is written at once and
//! [`Snapshot`] what is read. These, and everything else that this page lists under structs, enums,
//! traits and functions, follow semantic versioning. The modules are public so that their formats
//! are documented and tools, benches and fuzzers reach them; they may change in any release.

pub mod codec;
pub mod compaction;
pub mod cursor;
pub mod db;
pub mod deletes;
pub mod error;
mod flush;
pub mod index;
pub mod manifest;
pub mod memtable;
pub mod read;
pub mod segment;
pub mod series;
mod sparse_array;
pub mod sys;
pub mod types;
pub mod wal;

pub use compaction::{CompactionPlan, DamagedRange, PlannedInput, PlannedMerge, Reason};
pub use cursor::{Column, Columns, ReadCost};
pub use db::{
    Ack, AttachReport, BATCH_ROWS_MAX, Background, BytesByKind, Changes, CheckpointReport,
    CompactProgress, CompactReport, Db, DeleteReceipt, DeletedShare, Durability, Event, Finding,
    Latency, LeftOut, Mark, Observer, OpenReport, Options, ReadOnlyDb, Snapshot, Stats, Ticket,
    VerifyReport, WriteBatch, verify,
};
pub use error::{Error, Result};
pub use read::{
    Aggregation, Bucket, BucketValues, Cancel, ContentDigest, Damage, MemoryPool, Outline,
    QueryMemory, QueryOptions, Selection, SeriesBuckets, SeriesColumns, SeriesSet, Wanted,
};
pub use segment::{EncodingShare, SectionDescription, SegmentDescription};
pub use series::{Cardinality, EncodedLabels};
pub use sys::{Clock, ReadMode, SystemClock};
pub use types::{
    AnchoredRegex, Label, LabelError, Labels, LabelsLimits, Limit, LimitExceeded, MatchOp, Matcher,
    MatcherError, PatternBudget, Sample, SegmentMeta, SeriesHandle, SeriesId, TimeRange, TimeScale,
    Timestamp, Tombstone, ValueCaptures,
};
