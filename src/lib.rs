#![doc = include_str!("../README.md")]

pub mod codec;
pub mod error;
pub mod index;
pub mod manifest;
pub mod segment;
pub mod sys;
pub mod types;

pub use error::{Error, Result};
pub use types::{
    Label, LabelError, Labels, LabelsLimits, MatchOp, Matcher, MatcherError, Sample, SeriesId,
    Timestamp,
};
