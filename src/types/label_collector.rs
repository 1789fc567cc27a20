//! Labels on their way from a request to a [`Labels`]: counted while they are read.
//!
//! # Invariants
//!
//! - What is held are at most as many labels as a set may have; a sender that writes millions of them costs the
//!   reading.

use super::labels::{LabelError, Labels};
use super::limits::LabelsLimits;

/// Collects the labels of one series, as bytes that have not been checked.
///
/// ```
/// # use siltstone::{LabelCollector, LabelError, LabelsLimits};
/// let limits = LabelsLimits { labels_max: 2, ..LabelsLimits::default() };
/// let mut labels = LabelCollector::new(&limits);
/// for (name, value) in [("a", "1"), ("b", ""), ("c", "2"), ("d", "3")] {
///     labels.push(name.as_bytes(), value.as_bytes());
/// }
/// assert_eq!(labels.finish(), Err(LabelError::TooMany { found: 3, max: 2 }));
/// ```
#[derive(Debug, Clone)]
pub struct LabelCollector<'a> {
    limits: LabelsLimits,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    /// Labels that were not collected, because there are as many as there may be.
    left_out: usize,
}

impl<'a> LabelCollector<'a> {
    /// No labels yet.
    #[must_use]
    pub fn new(limits: &LabelsLimits) -> Self {
        Self { limits: *limits, pairs: Vec::new(), left_out: 0 }
    }

    /// A label as sent. One with an empty value is none.
    pub fn push(&mut self, name: &'a [u8], value: &'a [u8]) {
        if value.is_empty() {
            return;
        }
        if self.pairs.len() < self.limits.labels_max {
            self.pairs.push((name, value));
        } else {
            self.left_out += 1;
        }
    }

    /// `count` labels that whoever read them did not keep either.
    pub fn leave_out(&mut self, count: usize) {
        self.left_out += count;
    }

    /// The set.
    ///
    /// # Errors
    /// As [`Labels::from_raw`].
    pub fn finish(mut self) -> Result<Labels, LabelError> {
        if self.left_out > 0 {
            let found = self.pairs.len().saturating_add(self.left_out);
            return Err(LabelError::TooMany { found, max: self.limits.labels_max });
        }
        Labels::from_raw(&mut self.pairs, &self.limits)
    }
}
