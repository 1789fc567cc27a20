//! `histogram_fraction` of native histograms.

use super::NAN;
use super::interpolate::share_below;
use super::iterate::Bucket;
use super::quantile::NanObservations;
use super::value::Histogram;

impl Histogram {
    /// The share of the observations that lie between `lower` and `upper`, estimated, and whether
    /// NaN observations were left out of it (they count in the total, so that shares do not add up
    /// to 1).
    ///
    /// NaN if a bound is NaN or without observations, 0 for lower >= upper. It is the difference of
    /// the ranks of both bounds, divided by the count; the rank of a value is the count of all
    /// buckets below, and of the share below it of its own bucket by the interpolation of
    /// [`quantile`](Self::quantile).
    #[must_use]
    pub fn fraction(&self, lower: f64, upper: f64) -> (f64, Option<NanObservations>) {
        if self.count == 0.0 || lower.is_nan() || upper.is_nan() {
            return (NAN, None);
        }
        if lower >= upper {
            return (0.0, None);
        }
        let (mut count, mut note) = (self.count, None);
        if self.sum.is_nan() {
            count = self.buckets().fold(0.0, |sum, bucket| sum + bucket.count);
            note = (count < self.count).then_some(NanObservations::LeftOut);
        }
        let rank = |value| match self.rank(value) {
            // Roundings must not give more than there is.
            Some(rank) if rank > count => count,
            Some(rank) => rank,
            None => count,
        };
        ((rank(upper) - rank(lower)) / self.count, note)
    }

    /// How many observations lie below `value`; `None` if `value` is above all buckets.
    fn rank(&self, value: f64) -> Option<f64> {
        let mut rank = 0.0;
        for bucket in self.buckets() {
            let linear = self.is_custom() || bucket.touches_zero();
            let bucket = self.one_sided(bucket);
            if bucket.lower >= value {
                return Some(rank);
            }
            if bucket.upper > value {
                return Some(within(bucket, value, linear, rank));
            }
            rank += bucket.count;
        }
        None
    }
}

/// The rank of `value`, which lies in `bucket`; `rank` observations lie below the bucket.
fn within(bucket: Bucket, value: f64, linear: bool, rank: f64) -> f64 {
    if !linear {
        return rank + bucket.count * share_below(bucket.lower, bucket.upper, value, false);
    }
    // Nothing is known of where below its bound the first bucket has its observations: all count.
    // Those of the last one, up to +Inf, do not: their share below is finite / infinite.
    if bucket.lower == f64::NEG_INFINITY {
        return bucket.count;
    }
    rank + bucket.count * (value - bucket.lower) / (bucket.upper - bucket.lower)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::tests::{any_histogram, custom, exponential};

    const INF: f64 = f64::INFINITY;

    fn fraction(histogram: &Histogram, lower: f64, upper: f64) -> f64 {
        let (value, note) = histogram.fraction(lower, upper);
        assert_eq!(note, None);
        value
    }

    #[test]
    fn bounds_without_a_share() {
        let histogram = exponential(0, 1, &[1.0]).counted().build();
        assert!(fraction(&histogram, f64::NAN, 1.0).is_nan());
        assert!(fraction(&histogram, 1.0, f64::NAN).is_nan());
        assert_eq!(fraction(&histogram, 2.0, 1.0), 0.0);
        assert_eq!(fraction(&histogram, 1.5, 1.5), 0.0);
        assert!(fraction(&exponential(0, 0, &[]).build(), 2.0, 1.0).is_nan());
    }

    #[test]
    fn shares_of_exponential_buckets() {
        // 4 in (1, 4], 4 in (4, 16].
        let histogram = exponential(-1, 1, &[4.0, 4.0]).counted().build();
        for (lower, upper, share) in [
            (-INF, INF, 1.0),
            (-INF, 1.0, 0.0),
            (1.0, 4.0, 0.5),
            (2.0, 8.0, 0.5),
            (16.0, INF, 0.0),
            (8.0, 1e9, 0.25),
        ] {
            assert_eq!(fraction(&histogram, lower, upper), share, "{lower} {upper}");
        }
        let mirrored = exponential(-1, 0, &[]).negative(1, &[4.0, 4.0]).counted().build();
        assert_eq!(fraction(&mirrored, -8.0, -2.0), 0.5);
    }

    #[test]
    fn shares_of_the_zero_bucket() {
        let two_sided = exponential(0, 1, &[2.0]).negative(1, &[2.0]).zero(1.0, 4.0).counted();
        assert_eq!(fraction(&two_sided.build(), -0.5, 0.5), 0.25);
        let positive = exponential(0, 1, &[4.0]).zero(1.0, 4.0).counted().build();
        assert_eq!(fraction(&positive, -0.5, 0.5), 0.25);
        assert_eq!(fraction(&positive, -INF, 0.0), 0.0);
        let negative = exponential(0, 0, &[]).negative(1, &[4.0]).zero(1.0, 4.0).counted().build();
        assert_eq!(fraction(&negative, -0.5, INF), 0.25);
    }

    #[test]
    fn shares_of_custom_buckets() {
        let histogram = custom(&[5.0, 10.0], 0, &[4.0, 4.0, 2.0]);
        assert_eq!(fraction(&histogram, 0.0, 2.5), 0.2);
        assert_eq!(fraction(&histogram, 7.5, 1e9), 0.2, "nothing of the last bucket");
        assert_eq!(fraction(&histogram, 7.5, INF), 0.4);
        let negative = custom(&[-5.0, -1.0], 0, &[4.0, 4.0]);
        assert_eq!(fraction(&negative, -INF, -9.0), 0.5, "all of the first bucket");
    }

    #[test]
    fn nan_observations_are_in_no_share() {
        let histogram = exponential(0, 1, &[6.0]).totals(8.0, f64::NAN).build();
        assert_eq!(histogram.fraction(-INF, INF), (0.75, Some(NanObservations::LeftOut)));
        let infinities = exponential(0, 1, &[6.0]).totals(6.0, f64::NAN).build();
        assert_eq!(infinities.fraction(-INF, INF), (1.0, None));
    }

    proptest! {
        #[test]
        fn shares_add_up(histogram in any_histogram(), at in -40.0f64..40.0) {
            prop_assume!(histogram.count > 0.0);
            let parts = fraction(&histogram, -INF, at) + fraction(&histogram, at, INF);
            prop_assert!((parts - fraction(&histogram, -INF, INF)).abs() < 1e-12);
        }

        #[test]
        fn the_share_below_a_quantile_is_its_rank(histogram in any_histogram(), q in 0.0f64..1.0) {
            prop_assume!(histogram.count > 0.0 && !histogram.is_custom());
            // A zero bucket without width holds all of its ranks at one value.
            prop_assume!(histogram.zero_threshold() > 0.0 || histogram.zero_count == 0.0);
            let (value, _) = histogram.quantile(q);
            prop_assert!((fraction(&histogram, -INF, value) - q).abs() < 1e-9);
        }
    }
}
