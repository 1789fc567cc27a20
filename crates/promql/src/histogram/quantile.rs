//! `histogram_quantile` of native histograms.

use super::NAN;
use super::interpolate::value_at;
use super::iterate::Bucket;
use super::value::Histogram;

/// What observations of NaN, which are in no bucket, did to a result; queries tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NanObservations {
    /// The quantile is among them: it is NaN.
    ResultIsNan,
    /// The quantile is higher than without them.
    ResultIsSkewed,
    /// They are in no fraction.
    LeftOut,
}

impl Histogram {
    /// The value below which a share `q` of the observations lies, estimated, and what NaN
    /// observations did to it.
    ///
    /// `-Inf` for q < 0, `+Inf` for q > 1, NaN for q = NaN and without observations. Otherwise the
    /// bucket is sought that holds the observation of rank `q · count`, and the value is
    /// interpolated there: on a logarithmic scale in exponential buckets, linearly in the zero bucket
    /// and in custom ones. Of the zero bucket only the half is used that is on the side of all other
    /// buckets, if they are on one side. The first custom bucket begins at 0 if its bound is above
    /// (else the result is its bound); in the last, up to +Inf, the result is its lower bound.
    ///
    /// Ranks from 0.5 on are counted from above, so that rounding errors of many small buckets do
    /// not carry the result beyond a populated bucket. NaN observations are in no bucket and rank
    /// above all, so with them (the sum is NaN) it is counted from below; a rank among them gives NaN.
    #[must_use]
    pub fn quantile(&self, q: f64) -> (f64, Option<NanObservations>) {
        if q < 0.0 {
            return (f64::NEG_INFINITY, None);
        }
        if q > 1.0 {
            return (f64::INFINITY, None);
        }
        if self.count == 0.0 || q.is_nan() {
            return (NAN, None);
        }
        let from_below = self.sum.is_nan() || q < 0.5;
        let rank = if from_below { q } else { 1.0 - q } * self.count;
        let found = if from_below {
            Found::seek(self.buckets(), rank)
        } else {
            Found::seek(self.buckets().rev(), rank)
        };
        match self.usable(found.bucket) {
            Ok(bucket) => self.within(Found { bucket, ..found }, rank, from_below),
            Err(bound) => (bound, None),
        }
    }

    /// `bucket` with bounds that can be interpolated between, or the result without that.
    fn usable(&self, bucket: Bucket) -> Result<Bucket, f64> {
        if !self.is_custom() {
            return Ok(self.one_sided(bucket));
        }
        if bucket.lower == f64::NEG_INFINITY {
            return if bucket.upper <= 0.0 {
                Err(bucket.upper)
            } else {
                Ok(Bucket { lower: 0.0, ..bucket })
            };
        }
        if bucket.upper == f64::INFINITY { Err(bucket.lower) } else { Ok(bucket) }
    }

    /// The zero bucket cut to the side on which all other buckets are; other buckets as they are.
    pub(super) fn one_sided(&self, bucket: Bucket) -> Bucket {
        match (bucket.touches_zero(), self.negative.is_empty(), self.positive.is_empty()) {
            (true, true, false) => Bucket { lower: 0.0, ..bucket },
            (true, false, true) => Bucket { upper: 0.0, ..bucket },
            _ => bucket,
        }
    }

    /// The value of the observation of `rank` in the bucket that was found for it.
    fn within(&self, found: Found, rank: f64, from_below: bool) -> (f64, Option<NanObservations>) {
        let Found { mut bucket, seen, .. } = found;
        // Roundings must not make a rank of the last observation miss.
        let seen = if seen > self.count { self.count } else { seen };
        if seen < rank {
            return if self.sum.is_nan() {
                (NAN, Some(NanObservations::ResultIsNan))
            } else {
                (bucket.upper, None)
            };
        }
        let rank = if from_below { rank - (seen - bucket.count) } else { seen - rank };
        let mut note = None;
        if self.sum.is_nan() {
            // Both infinities make the sum NaN, too; then no observation is missing.
            if seen + found.rest < self.count {
                note = Some(NanObservations::ResultIsSkewed);
            }
            // Prometheus interpolates in the last bucket here, whichever the rank is in. That looks
            // like a slip, but results are to be the same.
            bucket = found.last.unwrap_or(bucket);
        }
        let linear = self.is_custom() || bucket.touches_zero();
        (value_at(bucket.lower, bucket.upper, rank / bucket.count, linear), note)
    }
}

/// The bucket of a rank.
#[derive(Debug, Clone, Copy)]
struct Found {
    /// The first bucket with which `seen` reaches the rank, or else the last one.
    bucket: Bucket,
    /// Observations up to and in it.
    seen: f64,
    /// Observations after it.
    rest: f64,
    /// The last of the buckets after it.
    last: Option<Bucket>,
}

impl Found {
    fn seek(mut buckets: impl Iterator<Item = Bucket>, rank: f64) -> Self {
        let nothing = Bucket {
            lower: 0.0,
            upper: 0.0,
            lower_inclusive: false,
            upper_inclusive: false,
            count: 0.0,
        };
        let mut found = Self { bucket: nothing, seen: 0.0, rest: 0.0, last: None };
        for bucket in buckets.by_ref() {
            found.bucket = bucket;
            found.seen += bucket.count;
            if bucket.count != 0.0 && found.seen >= rank {
                break;
            }
        }
        for bucket in buckets {
            found.rest += bucket.count;
            found.last = Some(bucket);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::HistogramParts;
    use crate::histogram::tests::{any_histogram, custom, exponential};

    fn quantile(histogram: &Histogram, q: f64) -> f64 {
        let (value, note) = histogram.quantile(q);
        assert_eq!(note, None);
        value
    }

    #[test]
    fn values_outside_of_zero_to_one() {
        let histogram = exponential(0, 1, &[1.0]).counted().build();
        assert_eq!(quantile(&histogram, -0.1), f64::NEG_INFINITY);
        assert_eq!(quantile(&histogram, 1.1), f64::INFINITY);
        assert!(quantile(&histogram, f64::NAN).is_nan());
        let empty = exponential(0, 0, &[]).build();
        assert!(quantile(&empty, 0.5).is_nan());
        assert_eq!(quantile(&empty, 2.0), f64::INFINITY);
    }

    #[test]
    fn exponential_buckets_are_logarithmic() {
        // 4 observations in (1, 4] and as many in (4, 16], schema -1.
        let histogram = exponential(-1, 1, &[4.0, 4.0]).counted().build();
        for (q, value) in [(0.0, 1.0), (0.25, 2.0), (0.5, 4.0), (0.75, 8.0), (1.0, 16.0)] {
            assert_eq!(quantile(&histogram, q), value, "{q}");
        }
        let mirrored = exponential(-1, 0, &[]).negative(1, &[4.0, 4.0]).counted().build();
        for (q, value) in [(0.0, -16.0), (0.25, -8.0), (0.5, -4.0), (0.75, -2.0), (1.0, -1.0)] {
            assert_eq!(quantile(&mirrored, q), value, "{q}");
        }
    }

    #[test]
    fn the_zero_bucket_is_linear_and_one_sided_where_the_others_are() {
        let zero = |parts: HistogramParts| quantile(&parts.zero(1.0, 4.0).counted().build(), 0.25);
        let nothing = || exponential(0, 0, &[]);
        assert_eq!(zero(nothing()), -0.5, "alone");
        // Rank 2 of 8, in the zero bucket: half of it.
        assert_eq!(zero(exponential(0, 5, &[4.0])), 0.5, "all above");
        // Rank 2 of 8 is in the negative bucket; an empty bucket counts as a side.
        assert_eq!(zero(exponential(0, 5, &[4.0]).negative(5, &[0.0])), 0.0, "both sides");
        let below = nothing().negative(5, &[4.0]).zero(1.0, 4.0).counted().build();
        assert_eq!(quantile(&below, 0.75), -0.5, "all below");
    }

    #[test]
    fn custom_buckets_are_linear_like_classic_ones() {
        let histogram = custom(&[5.0, 10.0], 0, &[4.0, 4.0, 2.0]);
        for (q, value) in [(0.2, 2.5), (0.4, 5.0), (0.6, 7.5), (0.9, 10.0), (1.0, 10.0)] {
            assert_eq!(quantile(&histogram, q), value, "{q}");
        }
        let negative = custom(&[-5.0, 5.0], 0, &[4.0, 4.0]);
        assert_eq!(quantile(&negative, 0.25), -5.0);
        assert_eq!(quantile(&negative, 0.75), 0.0);
    }

    #[test]
    fn nan_observations_rank_above_all() {
        let histogram = exponential(0, 0, &[12.0]).totals(15.0, f64::NAN).build();
        let (value, note) = histogram.quantile(0.4);
        // Rank 6 of 12 in (0.5, 1].
        assert!((value - 0.5f64.sqrt()).abs() < 1e-12);
        assert_eq!(note, Some(NanObservations::ResultIsSkewed));
        let (value, note) = histogram.quantile(0.9);
        assert!(value.is_nan());
        assert_eq!(note, Some(NanObservations::ResultIsNan));
        let infinities = exponential(0, 0, &[12.0]).totals(12.0, f64::NAN).build();
        assert_eq!(infinities.quantile(0.4).1, None);
        let only_nan = exponential(0, 0, &[]).totals(3.0, f64::NAN).build();
        assert_eq!(only_nan.quantile(0.5).1, Some(NanObservations::ResultIsNan));
    }

    /// As computed by Prometheus 3.5: ranks 2 and 6 are in the first and in the second bucket, but
    /// half of the third, (2, 4], is returned.
    #[test]
    fn with_nan_observations_the_last_bucket_is_interpolated() {
        let histogram = exponential(0, 0, &[4.0, 4.0, 4.0]).totals(20.0, f64::NAN).build();
        for q in [0.1, 0.3] {
            assert!((histogram.quantile(q).0 - 8f64.sqrt()).abs() < 1e-12, "{q}");
        }
    }

    #[test]
    fn a_rank_that_the_buckets_do_not_reach_gives_the_last_bound() {
        let histogram = exponential(0, 1, &[1.0]).totals(10.0, 5.0).build();
        assert_eq!(quantile(&histogram, 0.4), 2.0);
        // From above it is the first of the buckets that is the last one seen.
        assert_eq!(quantile(&histogram, 0.6), 2.0);
    }

    proptest! {
        #[test]
        fn quantiles_do_not_decrease(
            histogram in any_histogram(), low in 0.0f64..1.0, high in 0.0f64..1.0
        ) {
            let (low, high) = (low.min(high), low.max(high));
            let (lower, upper) = (quantile(&histogram, low), quantile(&histogram, high));
            if histogram.count > 0.0 {
                // Ranks are counted from above beyond one half, with other roundings.
                let slack = 1e-9 * lower.abs().max(1.0);
                prop_assert!(lower <= upper + slack, "{lower} {upper}");
            } else {
                prop_assert!(lower.is_nan() && upper.is_nan());
            }
        }
    }
}
