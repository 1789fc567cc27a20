#![doc = include_str!("../README.md")]

pub mod error;
pub mod manifest;
pub mod memtable;
pub mod series;
mod sparse_array;
pub mod sys;
pub mod types;
pub mod wal;

pub use error::{Error, Result};
pub use types::{
    Label, LabelError, Labels, LabelsLimits, MatchOp, Matcher, MatcherError, Sample, SeriesId,
    TimeRange, Timestamp,
};
