//! Quantiles and fractions of classic histograms: a series for each bucket, with the counts of all
//! buckets up to its bound.

use super::NAN;

/// A bucket of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClassicBucket {
    /// The upper bound, the label `le`; not NaN.
    pub upper_bound: f64,
    /// Number of observations up to the bound.
    pub count: f64,
}

/// A quantile of a classic histogram.
#[derive(Debug, Clone, Copy)]
pub struct ClassicQuantile {
    /// The estimate.
    pub value: f64,
    /// Where counts decreased although they count up, if they did.
    pub forced: Option<ForcedMonotonicity>,
}

/// The buckets whose counts were raised to that of a bucket below.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForcedMonotonicity {
    /// The lowest of their bounds.
    pub bound_min: f64,
    /// The highest of their bounds.
    pub bound_max: f64,
    /// The largest difference that was made up.
    pub difference_max: f64,
}

/// Relative difference of counts below which they are taken to be equal: the roundings of `rate` and
/// `sum` over buckets that have the same count.
const TOLERANCE: f64 = 1e-12;

/// The value below which a share `q` of the observations lies, by linear interpolation within the
/// bucket of rank `q · count`. Sorts and mends `buckets`.
///
/// NaN for q = NaN, -Inf for q < 0, +Inf for q > 1; else NaN if there are fewer than two buckets, the
/// last one is not that of +Inf, or nothing was observed. Counts of equal bounds are added up.
/// The first bucket begins at 0 if its bound is above, else the result is its bound; in the bucket of
/// +Inf it is the bound before.
#[must_use]
pub fn classic_quantile(q: f64, buckets: &mut Vec<ClassicBucket>) -> ClassicQuantile {
    let plain = |value| ClassicQuantile { value, forced: None };
    if q.is_nan() {
        return plain(NAN);
    }
    if q < 0.0 {
        return plain(f64::NEG_INFINITY);
    }
    if q > 1.0 {
        return plain(f64::INFINITY);
    }
    if !sort_and_coalesce(buckets) {
        return plain(NAN);
    }
    let forced = make_monotonic(buckets);
    // Without observations, or buckets to look for them in, there was nothing to mend.
    let has_observations = buckets.len() > 1 && buckets.last().is_some_and(|b| b.count != 0.0);
    let forced = forced.filter(|_| has_observations);
    ClassicQuantile { value: interpolated(q, buckets), forced }
}

/// The quantile of buckets that are sorted and count up, the last one that of +Inf.
fn interpolated(q: f64, buckets: &[ClassicBucket]) -> f64 {
    let [finite @ .., last] = buckets else { return NAN };
    let Some(before_last) = finite.last() else { return NAN };
    if last.count == 0.0 {
        return NAN;
    }
    let rank = q * last.count;
    let reached = |bucket: &ClassicBucket| bucket.count >= rank;
    let at = finite.partition_point(|bucket| !reached(bucket));
    let Some(bucket) = finite.get(at) else { return before_last.upper_bound };
    let before = at.checked_sub(1).map(|before| finite[before]);
    if before.is_none() && bucket.upper_bound <= 0.0 {
        return bucket.upper_bound;
    }
    let before = before.unwrap_or(ClassicBucket { upper_bound: 0.0, count: 0.0 });
    let share = (rank - before.count) / (bucket.count - before.count);
    before.upper_bound + (bucket.upper_bound - before.upper_bound) * share
}

/// The share of the observations that lie between `lower` and `upper`: the difference of the ranks of
/// both, each linearly interpolated in its bucket, divided by the count. Sorts `buckets`.
///
/// NaN if the last bucket is not that of +Inf, a bound is NaN or nothing was observed; 0 for
/// lower >= upper. The first bucket begins at 0 if its bound is above, else at -Inf, and then all of
/// it is below whatever lies in it.
#[must_use]
pub fn classic_fraction(lower: f64, upper: f64, buckets: &mut Vec<ClassicBucket>) -> f64 {
    if !sort_and_coalesce(buckets) {
        return NAN;
    }
    let count = buckets.last().map_or(0.0, |last| last.count);
    if count == 0.0 || lower.is_nan() || upper.is_nan() {
        return NAN;
    }
    if lower >= upper {
        return 0.0;
    }
    let rank = |value| match rank(value, buckets) {
        Some(rank) if rank > count => count,
        Some(rank) => rank,
        None => count,
    };
    (rank(upper) - rank(lower)) / count
}

/// How many observations lie below `value`; `None` if all do.
fn rank(value: f64, buckets: &[ClassicBucket]) -> Option<f64> {
    let starts_at_zero = buckets.first().is_some_and(|first| first.upper_bound > 0.0);
    let mut lower = if starts_at_zero { 0.0 } else { f64::NEG_INFINITY };
    let mut rank = 0.0;
    for bucket in buckets {
        if lower >= value {
            return Some(rank);
        }
        if bucket.upper_bound > value {
            if lower == f64::NEG_INFINITY {
                return Some(bucket.count);
            }
            let width = bucket.upper_bound - lower;
            return Some(rank + (bucket.count - rank) * (value - lower) / width);
        }
        (rank, lower) = (bucket.count, bucket.upper_bound);
    }
    None
}

/// Sorts the buckets and adds up those of equal bounds; whether the last one is that of +Inf.
fn sort_and_coalesce(buckets: &mut Vec<ClassicBucket>) -> bool {
    buckets.sort_by(|a, b| a.upper_bound.total_cmp(&b.upper_bound));
    buckets.dedup_by(|next, kept| {
        // As numbers: 0 and -0 are one bound.
        let equal = next.upper_bound == kept.upper_bound;
        if equal {
            kept.count += next.count;
        }
        equal
    });
    buckets.last().is_some_and(|last| last.upper_bound == f64::INFINITY)
}

/// Raises counts that are below that of the bucket before, and makes counts that differ by no more
/// than roundings equal, silently.
fn make_monotonic(buckets: &mut [ClassicBucket]) -> Option<ForcedMonotonicity> {
    let (first, rest) = buckets.split_first_mut()?;
    let mut previous = first.count;
    let mut forced: Option<ForcedMonotonicity> = None;
    for bucket in rest {
        if nearly_equal(previous, bucket.count) {
            bucket.count = previous;
        } else if bucket.count < previous {
            let (bound, difference) = (bucket.upper_bound, previous - bucket.count);
            bucket.count = previous;
            forced = Some(match forced {
                None => ForcedMonotonicity {
                    bound_min: bound,
                    bound_max: bound,
                    difference_max: difference,
                },
                Some(before) => ForcedMonotonicity {
                    bound_max: bound,
                    difference_max: before.difference_max.max(difference),
                    ..before
                },
            });
        } else {
            previous = bucket.count;
        }
    }
    forced
}

/// Whether two counts differ by less than [`TOLERANCE`], relative to their sum; near zero, to the
/// smallest normal float.
fn nearly_equal(a: f64, b: f64) -> bool {
    if a == b || a.is_nan() && b.is_nan() {
        return true;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < TOLERANCE * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < TOLERANCE
}

#[cfg(test)]
mod tests;
