//! One classic histogram at one step: cumulative counts by upper bound, their quantiles and shares.
//!
//! Prometheus's definitions (`BucketQuantile`, `BucketFraction`). Between the bounds of a bucket
//! observations are taken to be spread evenly. Nothing is known of the outermost buckets: the lowest
//! begins at 0 if its bound is above, and the highest, up to +Inf, stands for its lower bound.

/// Relative difference up to which two counts are the same but for rounding errors.
const TOLERANCE: f64 = 1e-12;

/// A bucket.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Bucket {
    /// The upper bound, inclusive.
    bound: f64,
    /// The number of observations up to it, those of all lower buckets among them.
    count: f64,
}

/// The buckets of one histogram at one step, in increasing order of bounds.
///
/// Made for reuse: [`start`](Self::start), then [`push`](Self::push) for each bucket.
#[derive(Debug, Clone, Default)]
pub(super) struct ClassicHistogram {
    buckets: Vec<Bucket>,
}

impl ClassicHistogram {
    /// Forgets all buckets, and keeps the memory.
    pub(super) fn start(&mut self) {
        self.buckets.clear();
    }

    /// Adds a bucket whose bound is not below those that are there. Counts of equal bounds, which
    /// are texts such as `1` and `1.0`, are added up.
    pub(super) fn push(&mut self, bound: f64, count: f64) {
        match self.buckets.last_mut() {
            Some(last) if last.bound == bound => last.count += count,
            _ => self.buckets.push(Bucket { bound, count }),
        }
    }

    /// Whether there are no buckets.
    pub(super) fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Makes the counts increase with the bounds, as [`quantile`](Self::quantile) needs them: a count
    /// that differs from the one before by rounding errors, in either direction, and one that is
    /// below it become equal to it. Tells whether there were any of the latter.
    pub(super) fn make_monotonic(&mut self) -> bool {
        let mut forced = false;
        let Some(mut highest) = self.buckets.first().map(|bucket| bucket.count) else {
            return false;
        };
        for bucket in &mut self.buckets[1..] {
            if almost_equal(highest, bucket.count) {
                bucket.count = highest;
            } else if bucket.count < highest {
                bucket.count = highest;
                forced = true;
            } else {
                highest = bucket.count;
            }
        }
        forced
    }

    /// Whether the highest bucket reaches up to +Inf, without which the total is not known.
    pub(super) fn is_complete(&self) -> bool {
        self.buckets.last().is_some_and(|bucket| bucket.bound == f64::INFINITY)
    }

    /// The value below which a share `q` of the observations lies, of counts that increase.
    ///
    /// NaN for q = NaN, `-Inf` for q < 0, `+Inf` for q > 1; else NaN without the bucket up to +Inf,
    /// with fewer than two buckets, and without observations. Otherwise the first bucket is sought
    /// whose count reaches the rank `q · total`:
    ///
    /// - the highest: the result is the bound of the one before;
    /// - the lowest, if its bound is at most 0: the result is that bound;
    /// - else `lower + (upper - lower) · (rank - below) / (count - below)`, where `below` is the count
    ///   of the bucket before, and `lower` its bound (0 before the lowest bucket).
    pub(super) fn quantile(&self, q: f64) -> f64 {
        if q.is_nan() {
            return f64::NAN;
        }
        if !(0.0..=1.0).contains(&q) {
            return f64::INFINITY.copysign(q);
        }
        let Some((highest, finite)) = self.buckets.split_last() else { return f64::NAN };
        let (Some(lowest), Some(last_finite)) = (finite.first(), finite.last()) else {
            return f64::NAN;
        };
        if !self.is_complete() || highest.count == 0.0 {
            return f64::NAN;
        }
        let rank = q * highest.count;
        // Counts may be NaN, which never reach a rank.
        let reaches = |bucket: &Bucket| bucket.count >= rank;
        let at = finite.partition_point(|bucket| !reaches(bucket));
        let Some(bucket) = finite.get(at) else { return last_finite.bound };
        if at == 0 && lowest.bound <= 0.0 {
            return lowest.bound;
        }
        let below = at.checked_sub(1).map_or(Bucket { bound: 0.0, count: 0.0 }, |at| finite[at]);
        let share = (rank - below.count) / (bucket.count - below.count);
        below.bound + (bucket.bound - below.bound) * share
    }

    /// The share of the observations between `lower` and `upper`.
    ///
    /// NaN without the bucket up to +Inf, without observations, and if a bound is NaN; 0 for
    /// lower >= upper. It is the difference of the ranks of both, divided by the total.
    pub(super) fn fraction(&self, lower: f64, upper: f64) -> f64 {
        let total = self.buckets.last().map_or(0.0, |bucket| bucket.count);
        if !self.is_complete() || total == 0.0 || lower.is_nan() || upper.is_nan() {
            return f64::NAN;
        }
        if lower >= upper {
            return 0.0;
        }
        // Without forced monotony a rank may be above the total.
        let rank = |value| match self.rank(value) {
            Some(rank) if rank > total => total,
            Some(rank) => rank,
            None => total,
        };
        (rank(upper) - rank(lower)) / total
    }

    /// How many observations lie below `value`; `None` if it is not below any bound.
    fn rank(&self, value: f64) -> Option<f64> {
        // Nothing is below 0 in a histogram whose lowest bound is above.
        let positive = self.buckets.first().is_some_and(|bucket| bucket.bound > 0.0);
        let mut lower = if positive { 0.0 } else { f64::NEG_INFINITY };
        let mut rank = 0.0;
        for bucket in &self.buckets {
            if lower >= value {
                return Some(rank);
            }
            if bucket.bound > value {
                if lower == f64::NEG_INFINITY {
                    // Where below its bound the observations are is not known: all count.
                    return Some(bucket.count);
                }
                // In the bucket up to +Inf the share is 0: finite by infinite.
                let width = bucket.bound - lower;
                return Some(rank + (bucket.count - rank) * (value - lower) / width);
            }
            (lower, rank) = (bucket.bound, bucket.count);
        }
        None
    }
}

/// Whether `a` and `b` differ by less than [`TOLERANCE`] of the sum of their magnitudes; with 0 and
/// among the smallest numbers, by less than that part of the smallest normal number. NaN equals NaN.
fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        difference < TOLERANCE * f64::MIN_POSITIVE
    } else {
        difference / sum.min(f64::MAX) < TOLERANCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INF: f64 = f64::INFINITY;

    fn histogram(buckets: &[(f64, f64)]) -> ClassicHistogram {
        let mut histogram = ClassicHistogram::default();
        histogram.start();
        buckets.iter().for_each(|(bound, count)| histogram.push(*bound, *count));
        histogram
    }

    #[test]
    fn quantiles_are_interpolated() {
        let positive = histogram(&[(1.0, 4.0), (3.0, 8.0), (INF, 10.0)]);
        for (q, value) in [(0.0, 0.0), (0.2, 0.5), (0.4, 1.0), (0.6, 2.0), (0.8, 3.0), (1.0, 3.0)] {
            assert_eq!(positive.quantile(q), value, "{q}");
        }
        let negative = histogram(&[(-1.0, 4.0), (3.0, 8.0), (INF, 10.0)]);
        for (q, value) in [(0.0, -1.0), (0.4, -1.0), (0.6, 1.0)] {
            assert_eq!(negative.quantile(q), value, "{q}");
        }
        assert_eq!(positive.quantile(-0.1), -INF);
        assert_eq!(positive.quantile(1.1), INF);
        assert!(positive.quantile(f64::NAN).is_nan());
    }

    #[test]
    fn without_a_total_there_is_no_quantile() {
        for buckets in [
            &[(1.0, 4.0), (2.0, 8.0)][..],
            &[(INF, 4.0)],
            &[(1.0, 0.0), (INF, 0.0)],
            &[(1.0, 4.0), (INF, 8.0), (f64::NAN, 9.0)],
        ] {
            assert!(histogram(buckets).quantile(0.5).is_nan(), "{buckets:?}");
            assert_eq!(histogram(buckets).quantile(1.5), INF);
        }
        assert!(histogram(&[(1.0, 4.0)]).fraction(0.0, 1.0).is_nan());
        assert!(histogram(&[(1.0, 0.0), (INF, 0.0)]).fraction(0.0, 1.0).is_nan());
        assert!(histogram(&[]).fraction(0.0, 1.0).is_nan());
    }

    #[test]
    fn equal_bounds_are_added_up() {
        let split = histogram(&[(1.0, 3.0), (1.0, 1.0), (3.0, 8.0), (INF, 10.0)]);
        assert_eq!(split.buckets.len(), 3);
        assert_eq!(split.quantile(0.4), 1.0);
    }

    #[test]
    fn counts_are_made_to_increase() {
        let mut rounded =
            histogram(&[(1.0, 4.0), (2.0, 4.0 + 1e-12), (3.0, 4.0 - 1e-12), (INF, 9.0)]);
        assert!(!rounded.make_monotonic());
        assert!(rounded.buckets[..3].iter().all(|bucket| bucket.count == 4.0));
        let counts = [(0.1, 2.0), (1.0, 1.0), (10.0, 5.0), (100.0, 4.0), (1000.0, 9.0), (INF, 8.0)];
        let mut broken = histogram(&counts);
        assert!(broken.make_monotonic());
        let counts: Vec<f64> = broken.buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [2.0, 2.0, 5.0, 5.0, 9.0, 9.0]);
        assert_eq!(broken.quantile(0.5), 8.5);
    }

    #[test]
    fn fractions_are_interpolated() {
        let positive = histogram(&[(1.0, 4.0), (3.0, 8.0), (INF, 10.0)]);
        for (lower, upper, share) in [
            (-INF, INF, 1.0),
            (-1.0, 0.5, 0.2),
            (0.5, 2.0, 0.4),
            (3.0, INF, 0.2),
            (2.0, 5.0, 0.2),
            (2.0, 2.0, 0.0),
            (5.0, 2.0, 0.0),
        ] {
            let fraction = positive.fraction(lower, upper);
            assert!((fraction - share).abs() < 1e-12, "{lower} {upper}: {fraction}");
        }
        assert!(positive.fraction(f64::NAN, 1.0).is_nan());
        let negative = histogram(&[(-1.0, 4.0), (3.0, 8.0), (INF, 10.0)]);
        assert_eq!(negative.fraction(-INF, -2.0), 0.4);
        assert_eq!(negative.fraction(-1.0, 1.0), 0.2);
    }

    proptest! {
        #[test]
        fn quantiles_do_not_decrease(
            counts in prop::collection::vec(0u32..50, 1..8),
            start in -3.0f64..3.0,
            (low, high) in (0.0f64..=1.0, 0.0f64..=1.0),
        ) {
            let mut classic = ClassicHistogram::default();
            for (at, count) in counts.iter().enumerate() {
                classic.push(start + at as f64, f64::from(*count));
            }
            classic.push(INF, 50.0);
            classic.make_monotonic();
            let (low, high) = (low.min(high), low.max(high));
            let (below, above) = (classic.quantile(low), classic.quantile(high));
            prop_assert!(below <= above + 1e-12, "{} {}", below, above);
            prop_assert!(above <= start + counts.len() as f64);
        }

        #[test]
        fn the_share_below_a_quantile_is_its_rank(
            steps in prop::collection::vec(1u32..50, 2..8), q in 0.0f64..1.0
        ) {
            let mut classic = ClassicHistogram::default();
            let mut total = 0.0;
            for (at, step) in steps.iter().enumerate() {
                total += f64::from(*step);
                classic.push(1.0 + at as f64, total);
            }
            classic.push(INF, total);
            let share = classic.fraction(-INF, classic.quantile(q));
            prop_assert!((share - q).abs() < 1e-12, "{}", share);
        }
    }
}
