//! What verifying a segment found: damaged parts, what each costs, and what was looked at.

use crate::error::Error;
use crate::types::{Labels, LostPlace, LostSamples, Timestamp};

/// One damaged part of a segment.
#[derive(Debug)]
pub struct Finding {
    /// What is wrong: names file, part and offset.
    pub error: Error,
    /// Whether another copy of the part serves: nothing is lost.
    pub has_twin: bool,
    /// Samples that cannot be read because of it.
    pub lost: Vec<LostRange>,
}

/// Samples of one series that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostRange {
    /// The series, by its place in the segment's label order.
    pub ordinal: u32,
    /// Its labels, if they can still be read.
    pub labels: Option<Labels>,
    /// The earliest time that may be lost.
    pub first: Timestamp,
    /// The latest time that may be lost, inclusive.
    pub last: Timestamp,
    /// How many samples, at most.
    pub samples: u64,
}

impl LostRange {
    /// The same in the words of queries; `error` says where the damage is.
    #[must_use]
    pub fn samples(&self, file_number: u64, error: &Error) -> Option<LostSamples> {
        let Error::Corrupt { path, section, offset, source } = error else { return None };
        let (path, source) = (path.clone(), Some(*source));
        let place = LostPlace { path, file_number, section, offset: *offset, source };
        Some(place.samples(self.labels.clone(), (self.first, self.last), self.samples, false))
    }
}

/// What was verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Findings reported.
    pub findings: u64,
    /// Series whose labels were read.
    pub series: u64,
    /// Chunks decoded.
    pub chunks: u64,
    /// Samples decoded.
    pub samples: u64,
    /// Samples that are known to be lost, at most; each lost chunk is a finding.
    pub lost_samples: u64,
    /// Those whose loss was accepted, at most; they are no findings.
    pub accepted_samples: u64,
    /// Bytes under a checksum that was checked, or that must be zero.
    pub bytes: u64,
}
