//! The data model: what a sample, a label set and a series identity are.
//!
//! The lowest floor: pure values, no I/O, imported by everything above.

mod anchored_regex;
mod automaton;
mod clock_record;
mod decode_error;
mod fields;
mod file_name;
mod label_collector;
mod labels;
mod limit_exceeded;
mod limits;
mod literal_set;
mod loss_counts;
mod lost_samples;
mod matcher;
mod matcher_error;
mod pattern;
mod pattern_budget;
mod re2;
mod segment_meta;
mod selector;
mod series_handle;
mod series_id;
mod store_ids;
mod template;
mod time_range;
mod time_scale;
mod tombstone;
pub mod varint;

pub use anchored_regex::{AnchoredRegex, ValueCaptures};
pub use clock_record::{ClockRecord, SuspectClock};
pub use decode_error::DecodeError;
pub(crate) use fields::Fields;
pub use file_name::{FileName, MANIFEST_PREFIX, NUMBER_MAX, TEMPORARY_SUFFIX, numbers_end};
pub use label_collector::LabelCollector;
pub use labels::{Label, LabelError, LabelIter, Labels};
pub use limit_exceeded::{Limit, LimitExceeded};
pub use limits::LabelsLimits;
pub use loss_counts::LossCounts;
pub use lost_samples::LostSamples;
pub(crate) use lost_samples::{LostChunk, LostPlace, WHOLE_FILE};
pub use matcher::{MatchOp, Matcher};
pub use matcher_error::MatcherError;
pub(crate) use pattern::Pattern;
pub use pattern_budget::PatternBudget;
pub(crate) use segment_meta::FEATURE_LOST;
pub use segment_meta::SegmentMeta;
pub use selector::{ParseError, Selector};
pub use series_handle::SeriesHandle;
pub use series_id::SeriesId;
pub use store_ids::StoreIds;
pub use time_range::TimeRange;
pub use time_scale::TimeScale;
pub use tombstone::Tombstone;
pub(crate) use tombstone::{TOMBSTONE_BYTES_MAX, TOMBSTONE_MATCHERS_MAX};

/// A point in time in ticks since the Unix epoch; a store has `ticks_per_second` of them, 1,000 by
/// default, fixed when it is created. Every `i64` is valid.
pub type Timestamp = i64;

/// One measurement: a timestamp and an `f64` that is kept bit for bit (NaN payloads and -0.0 too).
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Ticks since the Unix epoch.
    pub timestamp: Timestamp,
    /// The value; every bit pattern is valid.
    pub value: f64,
}

impl From<(Timestamp, f64)> for Sample {
    fn from((timestamp, value): (Timestamp, f64)) -> Self {
        Self { timestamp, value }
    }
}

/// The bits of the value by which Prometheus marks a series as ended (a signalling NaN).
pub const STALE_MARKER_BITS: u64 = 0x7ff0_0000_0000_0002;
