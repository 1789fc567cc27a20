//! Builders and generators of histograms for the tests of this folder.

use proptest::prelude::*;

use super::layout::Layout;
use super::{Buckets, CUSTOM_SCHEMA, Histogram, HistogramParts};

/// Parts of an exponential histogram with positive buckets from index `first` on.
pub(super) fn exponential(schema: i32, first: i32, counts: &[f64]) -> HistogramParts {
    HistogramParts { schema, positive: dense(first, counts), ..HistogramParts::default() }
}

/// A histogram with custom buckets, whose count is the sum of `counts`.
pub(super) fn custom(bounds: &[f64], first: i32, counts: &[f64]) -> Histogram {
    let parts = HistogramParts {
        schema: CUSTOM_SCHEMA,
        custom_bounds: bounds.into(),
        positive: dense(first, counts),
        count: counts.iter().fold(0.0, |sum, count| sum + count),
        ..HistogramParts::default()
    };
    parts.build()
}

fn dense(first: i32, counts: &[f64]) -> Buckets {
    Buckets::from_dense(first, counts).unwrap()
}

/// Index and count of each bucket.
pub(super) fn pairs(buckets: &Buckets) -> Vec<(i32, f64)> {
    buckets.iter().collect()
}

impl HistogramParts {
    pub(super) fn negative(self, first: i32, counts: &[f64]) -> Self {
        Self { negative: dense(first, counts), ..self }
    }

    pub(super) fn zero(self, zero_threshold: f64, zero_count: f64) -> Self {
        Self { zero_threshold, zero_count, ..self }
    }

    pub(super) fn totals(self, count: f64, sum: f64) -> Self {
        Self { count, sum, ..self }
    }

    /// With the count that the buckets have, and a sum of zero.
    pub(super) fn counted(self) -> Self {
        let sides = self.positive.counts().iter().chain(self.negative.counts());
        let count = sides.fold(self.zero_count, |sum, count| sum + count);
        Self { count, ..self }
    }

    pub(super) fn build(self) -> Histogram {
        Histogram::try_from(self).unwrap()
    }
}

fn counts() -> impl Strategy<Value = Vec<f64>> {
    prop::collection::vec((0u16..50).prop_map(f64::from), 0..12)
}

/// Histograms of observations: whole counts that add up exactly, some empty buckets.
pub(super) fn any_histogram() -> impl Strategy<Value = Histogram> {
    prop_oneof![3 => any_exponential(), 1 => any_custom()]
}

/// None of the buckets lies within the zero bucket or is cut by it.
pub(super) fn any_exponential() -> impl Strategy<Value = Histogram> {
    (-2i32..4).prop_flat_map(of_schema)
}

/// Two histograms that can be added, of the same schema if they are exponential.
pub(super) fn any_pair() -> impl Strategy<Value = (Histogram, Histogram)> {
    let exponential = (-2i32..4).prop_flat_map(|schema| (of_schema(schema), of_schema(schema)));
    prop_oneof![3 => exponential, 1 => (any_custom(), any_custom())]
}

fn of_schema(schema: i32) -> impl Strategy<Value = Histogram> {
    let zero = (prop::sample::select(vec![0.0, 0.001, 0.5, 1.0, 1.5, 4.0]), 0u16..20);
    (-6i32..6, counts(), -6i32..6, counts(), zero).prop_map(
        move |(first, positive, below, negative, (threshold, zero))| {
            let layout = Layout::Exponential(schema);
            let nearest = (-100..).find(|index| layout.bound(*index) >= threshold).unwrap();
            let nearest = i32::try_from(nearest + 1).unwrap();
            exponential(schema, first.max(nearest), &positive)
                .negative(below.max(nearest), &negative)
                .zero(threshold, zero.into())
                .counted()
                .build()
        },
    )
}

pub(super) fn any_custom() -> impl Strategy<Value = Histogram> {
    (prop::collection::btree_set(-8i32..8, 0..10), counts()).prop_map(|(bounds, counts)| {
        let bounds: Vec<f64> = bounds.into_iter().map(f64::from).collect();
        let within = counts.len().min(bounds.len() + 1);
        custom(&bounds, 0, &counts[..within])
    })
}
