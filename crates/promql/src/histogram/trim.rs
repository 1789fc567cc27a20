//! The operators `</` and `>/`, which keep the observations of a histogram below or above a number.

use super::buckets::Buckets;
use super::interpolate::share_below;
use super::iterate::Bucket;
use super::value::Histogram;

/// Which observations a trim keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    Below,
    Above,
}

/// What a trim leaves of a bucket: how many observations, and the value that stands for them.
#[derive(Debug, Clone, Copy)]
struct Kept {
    count: f64,
    typical: f64,
}

const NOTHING: Kept = Kept { count: 0.0, typical: 0.0 };

impl Histogram {
    /// The observations up to `bound`: the operator `</`.
    ///
    /// Buckets below stay whole, those above go, and the one with the bound keeps the share that
    /// [`quantile`](Self::quantile) would take to lie below: on a logarithmic scale in exponential
    /// buckets, linearly in custom ones and in the zero bucket, of which only the half on the side of
    /// the populated buckets is taken if they are on one side. Of a bucket up to +Inf nothing stays;
    /// of one down to -Inf the share as if it began at 0, if its bound is above, else all.
    ///
    /// If no count changed, the result is the histogram as it was. Else the count is that of the
    /// buckets, and the sum is estimated from what stays of each: the geometric mean of the bounds
    /// (custom and zero bucket: the arithmetic one) times the count. Empty buckets are removed. A
    /// bound of NaN keeps nothing outside of the zero bucket, whose count becomes NaN.
    #[must_use]
    pub fn trimmed_below(&self, bound: f64) -> Self {
        self.trimmed(bound, Keep::Below)
    }

    /// The observations from `bound` on: the operator `>/`. As
    /// [`trimmed_below`](Self::trimmed_below), but of a bucket up to +Inf all stays, each observation
    /// counted as `bound` in the sum, and of one down to -Inf nothing, if its bound is not above 0.
    #[must_use]
    pub fn trimmed_above(&self, bound: f64) -> Self {
        self.trimmed(bound, Keep::Above)
    }

    fn trimmed(&self, bound: f64, keep: Keep) -> Self {
        let cut = Cut { bound, keep, linear: self.is_custom() };
        let mut trimmed = self.clone();
        let mut total = Total::default();
        total.trim_side(&mut trimmed.positive, self.positive_buckets(), |b| cut.bucket(b, 1.0));
        total.trim_side(&mut trimmed.negative, self.negative_buckets(), |b| cut.bucket(b, -1.0));
        if self.zero_count > 0.0 {
            let kept = cut.zero_bucket(self.populated_side());
            total.changed |= kept.count != self.zero_count;
            trimmed.zero_count = kept.count;
            total.add(kept);
        }
        if !total.changed {
            return self.clone();
        }
        (trimmed.count, trimmed.sum) = (total.count, total.sum);
        trimmed.compact();
        trimmed
    }

    /// The zero bucket, cut at 0 if only one side has populated buckets.
    fn populated_side(&self) -> Bucket {
        let populated = |side: &Buckets| side.counts().iter().any(|&count| count != 0.0);
        let bucket = self.zero_bucket();
        match (populated(&self.negative), populated(&self.positive)) {
            (true, false) => Bucket { upper: 0.0, ..bucket },
            (false, true) => Bucket { lower: 0.0, ..bucket },
            _ => bucket,
        }
    }
}

/// Count and sum of what stays.
#[derive(Debug, Default)]
struct Total {
    count: f64,
    sum: f64,
    /// Whether a bucket lost something.
    changed: bool,
}

impl Total {
    fn add(&mut self, kept: Kept) {
        self.count += kept.count;
        self.sum += kept.typical * kept.count;
    }

    /// Replaces the counts of `side`, whose buckets are `buckets`, by what `keep` leaves of them.
    fn trim_side(
        &mut self,
        side: &mut Buckets,
        buckets: impl Iterator<Item = Bucket>,
        keep: impl Fn(Bucket) -> Kept,
    ) {
        for (count, bucket) in side.counts_mut().iter_mut().zip(buckets) {
            if *count != 0.0 {
                let kept = keep(bucket);
                self.changed |= kept.count != *count;
                *count = kept.count;
                self.add(kept);
            }
        }
    }
}

/// A trim of one histogram.
#[derive(Debug, Clone, Copy)]
struct Cut {
    bound: f64,
    keep: Keep,
    /// Whether the buckets are custom ones.
    linear: bool,
}

impl Cut {
    /// What stays of a bucket of the side that `sign` gives.
    fn bucket(self, bucket: Bucket, sign: f64) -> Kept {
        let (whole, part) = match self.keep {
            Keep::Below => (bucket.upper <= self.bound, bucket.lower < self.bound),
            Keep::Above => (bucket.lower >= self.bound, bucket.upper > self.bound),
        };
        if whole {
            let typical = self.typical(bucket.lower, bucket.upper, sign);
            Kept { count: bucket.count, typical }
        } else if !part {
            NOTHING
        } else if bucket.lower == f64::NEG_INFINITY {
            self.lowest(bucket)
        } else if bucket.upper == f64::INFINITY {
            self.highest(bucket)
        } else {
            self.part(bucket, sign)
        }
    }

    /// What stays of a bucket with finite bounds around the cut.
    fn part(self, bucket: Bucket, sign: f64) -> Kept {
        let share = share_below(bucket.lower, bucket.upper, self.bound, self.linear);
        let below = bucket.count * share;
        match self.keep {
            Keep::Below => {
                Kept { count: below, typical: self.typical(bucket.lower, self.bound, sign) }
            }
            Keep::Above => Kept {
                count: bucket.count - below,
                typical: self.typical(self.bound, bucket.upper, sign),
            },
        }
    }

    /// What stays of a bucket that begins at -Inf, with the cut above that and below its end. It is
    /// taken to begin at 0 if its end is positive and finite; else it is not known where its
    /// observations are.
    fn lowest(self, bucket: Bucket) -> Kept {
        let (bound, end) = (self.bound, bucket.upper);
        let share = bound / end;
        match self.keep {
            Keep::Below if end <= 0.0 => Kept { count: bucket.count, typical: bound },
            Keep::Below if bound > 0.0 && end.is_finite() => {
                Kept { count: bucket.count * bound / end, typical: bound / 2.0 }
            }
            Keep::Above if bound >= 0.0 && end.is_finite() => {
                Kept { count: bucket.count * (1.0 - share), typical: (bound + end) / 2.0 }
            }
            _ => NOTHING,
        }
    }

    /// What stays of a bucket that begins below the cut and ends at +Inf.
    fn highest(self, bucket: Bucket) -> Kept {
        match self.keep {
            Keep::Below => NOTHING,
            Keep::Above => Kept { count: bucket.count, typical: self.bound },
        }
    }

    /// What stays of the zero bucket.
    fn zero_bucket(self, bucket: Bucket) -> Kept {
        let (bound, Bucket { lower, upper, count, .. }) = (self.bound, bucket);
        let whole = Kept { count, typical: (lower + upper) / 2.0 };
        match self.keep {
            Keep::Below if bound <= lower => NOTHING,
            Keep::Below if bound >= upper => whole,
            Keep::Below => Kept {
                count: count * ((bound - lower) / (upper - lower)),
                typical: (lower + bound) / 2.0,
            },
            Keep::Above if bound <= lower => whole,
            Keep::Above if bound >= upper => NOTHING,
            Keep::Above => Kept {
                count: count * ((upper - bound) / (upper - lower)),
                typical: (bound + upper) / 2.0,
            },
        }
    }

    /// The value that stands for the observations between `lower` and `upper` on the side that `sign`
    /// gives. An interval from -Inf is taken to begin at 0 if it ends above, else it stands for its
    /// end; one to +Inf stands for its beginning.
    fn typical(self, lower: f64, upper: f64, sign: f64) -> f64 {
        match (lower.is_infinite(), upper.is_infinite()) {
            (true, true) => 0.0,
            (true, false) if upper > 0.0 => upper / 2.0,
            (true, false) => upper,
            (false, true) => lower,
            (false, false) if self.linear => (lower + upper) / 2.0,
            (false, false) => (lower * upper).abs().sqrt() * sign,
        }
    }
}

#[cfg(test)]
mod tests;
