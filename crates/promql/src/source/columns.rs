//! The samples of one series as columns, as a source hands them to the evaluator.

use std::sync::Arc;

use siltstone::Timestamp;

use crate::histogram::Histogram;

/// Samples of one kind in time order: sample `i` is (`timestamps[i]`, `values[i]`).
#[derive(Debug)]
pub struct KindColumn<'a, T> {
    /// Milliseconds since the Unix epoch, strictly increasing.
    pub timestamps: &'a [Timestamp],
    /// The values; as many as timestamps.
    pub values: &'a [T],
    /// The start timestamps, in milliseconds, 0 where one is not known; empty where none is.
    pub start_timestamps: &'a [Timestamp],
}

impl<T> Clone for KindColumn<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for KindColumn<'_, T> {}

impl<T> Default for KindColumn<'_, T> {
    fn default() -> Self {
        Self { timestamps: &[], values: &[], start_timestamps: &[] }
    }
}

impl<'a, T> KindColumn<'a, T> {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The samples `range`.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let starts = self.start_timestamps;
        Self {
            timestamps: &self.timestamps[range.clone()],
            values: &self.values[range.clone()],
            start_timestamps: if starts.is_empty() { starts } else { &starts[range] },
        }
    }
}

/// The samples of one series. No two of them share a timestamp.
#[derive(Debug, Clone, Copy, Default)]
pub struct SampleColumns<'a> {
    /// The floats, stale markers among them.
    pub floats: KindColumn<'a, f64>,
    /// How many samples each of the floats stands for; empty where each is one. Only in what
    /// [`SeriesList::outline`](super::SeriesList::outline) hands over.
    pub float_counts: &'a [u32],
    /// The native histograms; one whose sum is a stale marker is one itself.
    pub histograms: KindColumn<'a, Arc<Histogram>>,
}
