//! The buckets of a histogram with their bounds.
//!
//! [`Histogram::buckets`] gives all of them in ascending order and cuts those that the zero bucket
//! overlaps: results (the HTTP API), quantiles and fractions are made of these.
//! [`Histogram::positive_buckets`] and [`Histogram::negative_buckets`] give one side as its schema
//! defines it, for the text form and for trimming.

use super::value::Histogram;

/// A bucket with its bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The lower bound.
    pub lower: f64,
    /// The upper bound.
    pub upper: f64,
    /// Whether an observation of exactly `lower` belongs to the bucket.
    pub lower_inclusive: bool,
    /// Whether an observation of exactly `upper` belongs to the bucket.
    pub upper_inclusive: bool,
    /// Number of observations in it.
    pub count: f64,
}

impl Bucket {
    /// Whether zero lies in the bucket or at one of its bounds: for exponential buckets, whether it
    /// is the zero bucket.
    pub(super) fn touches_zero(&self) -> bool {
        self.lower <= 0.0 && self.upper >= 0.0
    }
}

impl Histogram {
    /// All buckets from the lowest to the highest: the negative ones, the zero bucket if its count is
    /// above zero, the positive ones. A bucket that reaches into the zero bucket ends at its bound.
    /// Empty buckets that are not compacted away are among them.
    #[must_use]
    pub fn buckets(&self) -> AllBuckets<'_> {
        let zero = usize::from(self.zero_count > 0.0);
        AllBuckets {
            histogram: self,
            next: 0,
            end: self.negative.len() + zero + self.positive.len(),
        }
    }

    /// The positive (or all custom) buckets in ascending order, with the bounds of the schema.
    pub fn positive_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + ExactSizeIterator {
        self.positive.iter().map(|(index, count)| self.positive_bucket(index, count))
    }

    /// The negative buckets from the one next to zero downwards, with the bounds of the schema.
    pub fn negative_buckets(&self) -> impl DoubleEndedIterator<Item = Bucket> + ExactSizeIterator {
        self.negative.iter().map(|(index, count)| self.negative_bucket(index, count))
    }

    /// The zero bucket, whatever its count.
    #[must_use]
    pub fn zero_bucket(&self) -> Bucket {
        Bucket {
            lower: -self.zero_threshold,
            upper: self.zero_threshold,
            lower_inclusive: true,
            upper_inclusive: true,
            count: self.zero_count,
        }
    }

    fn positive_bucket(&self, index: i32, count: f64) -> Bucket {
        Bucket {
            lower: self.layout.bound(i64::from(index) - 1),
            upper: self.layout.bound(index.into()),
            lower_inclusive: self.is_custom() && index == 0,
            upper_inclusive: true,
            count,
        }
    }

    fn negative_bucket(&self, index: i32, count: f64) -> Bucket {
        Bucket {
            lower: -self.layout.bound(index.into()),
            upper: -self.layout.bound(i64::from(index) - 1),
            lower_inclusive: true,
            upper_inclusive: false,
            count,
        }
    }
}

/// The iterator of [`Histogram::buckets`]; from the back, the highest bucket comes first.
#[derive(Debug, Clone)]
pub struct AllBuckets<'a> {
    histogram: &'a Histogram,
    next: usize,
    end: usize,
}

impl AllBuckets<'_> {
    /// Bucket number `at` of all, ascending.
    fn bucket(&self, at: usize) -> Bucket {
        let histogram = self.histogram;
        let threshold = histogram.zero_threshold;
        let negative = histogram.negative.len();
        if at < negative {
            let (index, count) = histogram.negative.at(negative - 1 - at);
            let bucket = histogram.negative_bucket(index, count);
            return Bucket { upper: bucket.upper.min(-threshold), ..bucket };
        }
        let zero = usize::from(histogram.zero_count > 0.0);
        if at < negative + zero {
            return histogram.zero_bucket();
        }
        let (index, count) = histogram.positive.at(at - negative - zero);
        let bucket = histogram.positive_bucket(index, count);
        // Custom buckets have no zero bucket; theirs may begin at -Inf.
        let lower = if bucket.lower > 0.0 { bucket.lower.max(threshold) } else { bucket.lower };
        Bucket { lower, ..bucket }
    }
}

impl Iterator for AllBuckets<'_> {
    type Item = Bucket;

    fn next(&mut self) -> Option<Bucket> {
        if self.next == self.end {
            return None;
        }
        self.next += 1;
        Some(self.bucket(self.next - 1))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl DoubleEndedIterator for AllBuckets<'_> {
    fn next_back(&mut self) -> Option<Bucket> {
        if self.next == self.end {
            return None;
        }
        self.end -= 1;
        Some(self.bucket(self.end))
    }
}

impl ExactSizeIterator for AllBuckets<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::tests::{any_histogram, custom, exponential};

    fn bounds(histogram: &Histogram) -> Vec<(f64, f64, f64)> {
        histogram.buckets().map(|bucket| (bucket.lower, bucket.upper, bucket.count)).collect()
    }

    #[test]
    fn buckets_ascend_around_the_zero_bucket() {
        let parts = exponential(0, 1, &[1.0, 0.0]).negative(1, &[3.0, 4.0]).zero(0.5, 5.0);
        assert_eq!(
            bounds(&parts.clone().build()),
            [(-4., -2., 4.), (-2., -1., 3.), (-0.5, 0.5, 5.), (1., 2., 1.), (2., 4., 0.)]
        );
        assert_eq!(bounds(&parts.zero(0.5, 0.0).build()).len(), 4, "an empty zero bucket");
    }

    #[test]
    fn a_bucket_that_the_zero_bucket_overlaps_ends_at_it() {
        let histogram = exponential(0, 1, &[1.0]).negative(1, &[2.0]).zero(1.5, 3.0).build();
        assert_eq!(bounds(&histogram), [(-2., -1.5, 2.), (-1.5, 1.5, 3.), (1.5, 2., 1.)]);
        let whole: Vec<_> =
            histogram.positive_buckets().chain(histogram.negative_buckets()).collect();
        assert_eq!((whole[0].lower, whole[1].upper), (1.0, -1.0));
    }

    #[test]
    fn bounds_that_belong_to_a_bucket() {
        let inclusive = |histogram: &Histogram| -> Vec<(bool, bool)> {
            let buckets = histogram.buckets();
            buckets.map(|bucket| (bucket.lower_inclusive, bucket.upper_inclusive)).collect()
        };
        let exponential = exponential(0, 1, &[1.0]).negative(1, &[2.0]).zero(0.5, 3.0).build();
        assert_eq!(inclusive(&exponential), [(true, false), (true, true), (false, true)]);
        let custom = custom(&[1.0], 0, &[1.0, 2.0]);
        assert_eq!(inclusive(&custom), [(true, true), (false, true)]);
        assert_eq!(bounds(&custom), [(f64::NEG_INFINITY, 1.0, 1.0), (1.0, f64::INFINITY, 2.0)]);
    }

    proptest! {
        #[test]
        fn buckets_do_not_overlap_and_come_backwards_from_the_back(histogram in any_histogram()) {
            let buckets: Vec<Bucket> = histogram.buckets().collect();
            prop_assert_eq!(buckets.len(), histogram.buckets().len());
            prop_assert!(buckets.windows(2).all(|pair| pair[0].upper <= pair[1].lower));
            let mut backwards: Vec<Bucket> = histogram.buckets().rev().collect();
            backwards.reverse();
            prop_assert_eq!(buckets, backwards);
        }
    }
}
