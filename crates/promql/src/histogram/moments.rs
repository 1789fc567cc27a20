//! `histogram_avg`, `histogram_stddev` and `histogram_stdvar`.

use super::count::Kahan;
use super::iterate::Bucket;
use super::value::Histogram;

impl Histogram {
    /// The mean of the observations, `sum / count`: NaN without observations.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The variance of the observations, estimated: `Σ count · (value - mean)² / total`, with one
    /// value for all observations of a bucket. That is the geometric mean of its bounds, for the zero
    /// bucket 0, for custom buckets the arithmetic mean (which is infinite for the outermost ones).
    /// NaN without observations. The standard deviation is its root.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        let mut variance = Kahan::default();
        for bucket in self.buckets().filter(|bucket| bucket.count != 0.0) {
            let delta = self.typical(bucket) - mean;
            variance.push(bucket.count * delta * delta);
        }
        variance.total() / self.count
    }

    /// The value that stands for all observations in `bucket`.
    fn typical(&self, bucket: Bucket) -> f64 {
        if self.is_custom() {
            f64::midpoint(bucket.upper, bucket.lower)
        } else if bucket.touches_zero() {
            0.0
        } else {
            let middle = (bucket.upper * bucket.lower).sqrt();
            if bucket.upper < 0.0 { -middle } else { middle }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::histogram::tests::{custom, exponential};

    #[test]
    fn exponential_buckets_stand_for_their_geometric_mean() {
        // 2 at 2, in (1, 4]; 1 at -8, in [-16, -4); 1 at 0. Mean -1, deviations 3, 3, -7, 1.
        let histogram =
            exponential(-1, 1, &[2.0]).negative(2, &[1.0]).zero(0.5, 1.0).totals(4.0, -4.0).build();
        assert_eq!(histogram.mean(), -1.0);
        assert_eq!(histogram.variance(), (9.0 + 9.0 + 49.0 + 1.0) / 4.0);
    }

    #[test]
    fn custom_buckets_stand_for_their_middle() {
        let mut histogram = custom(&[0.0, 4.0, 8.0], 1, &[1.0, 1.0]);
        histogram.sum = 8.0;
        assert_eq!((histogram.mean(), histogram.variance()), (4.0, 4.0));
        let outermost = custom(&[0.0], 1, &[1.0]);
        assert_eq!(outermost.variance(), f64::INFINITY);
    }

    #[test]
    fn nothing_observed_has_no_moments() {
        let empty = exponential(0, 0, &[]).build();
        assert!(empty.mean().is_nan() && empty.variance().is_nan());
    }
}
