#![doc = include_str!("../README.md")]

pub mod error;
pub mod memtable;
pub mod series;
mod sparse_array;
pub mod sys;
pub mod types;

pub use error::{Error, Result};
pub use types::{
    Label, LabelError, Labels, LabelsLimits, MatchOp, Matcher, MatcherError, Sample, SeriesId,
    Timestamp,
};
