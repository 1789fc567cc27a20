//! Sums and means of histograms behind one interface.

use super::{Combined, Histogram, HistogramMean, HistogramOf, HistogramSum, MixedLayouts};

/// What sums up histograms or takes their mean, one after the other. Histograms with exponential and
/// with custom buckets do not mix.
pub(crate) trait Summary: Clone {
    fn first(histogram: &Histogram) -> Self;
    fn push(&mut self, histogram: &Histogram) -> Result<Combined, MixedLayouts>;
    fn merge(&mut self, newer: &Self) -> Result<Combined, MixedLayouts>;
    /// The result, without empty buckets.
    fn total(&self) -> Histogram;
}

impl Summary for HistogramSum {
    fn first(histogram: &Histogram) -> Self {
        Self::from(histogram)
    }

    fn push(&mut self, histogram: &Histogram) -> Result<Combined, MixedLayouts> {
        HistogramOf::push(self, histogram)
    }

    fn merge(&mut self, newer: &Self) -> Result<Combined, MixedLayouts> {
        HistogramOf::merge(self, newer)
    }

    fn total(&self) -> Histogram {
        HistogramOf::total(self)
    }
}

impl Summary for HistogramMean {
    fn first(histogram: &Histogram) -> Self {
        Self::new(histogram)
    }

    fn push(&mut self, histogram: &Histogram) -> Result<Combined, MixedLayouts> {
        Self::push(self, histogram)
    }

    fn merge(&mut self, newer: &Self) -> Result<Combined, MixedLayouts> {
        Self::merge(self, newer)
    }

    fn total(&self) -> Histogram {
        Self::total(self)
    }
}
