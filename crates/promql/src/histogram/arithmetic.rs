//! Addition, subtraction and scaling of histograms.
//!
//! Two histograms are added bucket by bucket once they have the same layout. Exponential ones are
//! brought to the coarser of the two schemas and to a zero bucket that holds both; custom ones to
//! the bounds that both have. Exponential and custom buckets do not mix.

use super::buckets::Buckets;
use super::count::Count;
use super::error::MixedLayouts;
use super::layout::Layout;
use super::value::{CounterResetHint, Histogram, HistogramOf};

/// What happened beside the addition or subtraction of two histograms, for annotations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Combined {
    /// One hint said that the counter was reset, the other that it was not.
    pub hints_collided: bool,
    /// The custom bounds differed and were reduced to those in common.
    pub bounds_reconciled: bool,
}

impl Histogram {
    /// Adds `other`: counts, sums and buckets; the hint follows [`CounterResetHint::combined`].
    /// Empty buckets may remain.
    ///
    /// # Errors
    /// [`MixedLayouts`]; this histogram is unchanged then.
    pub fn add(&mut self, other: &Self) -> Result<Combined, MixedLayouts> {
        self.combine(other, |count| count)
    }

    /// Subtracts `other`, like [`add`](Self::add). The hint, too, is combined as for a sum, which is
    /// right for steps of a larger computation; the operator `-`, `rate` and `delta` mark what they
    /// return as a gauge.
    ///
    /// # Errors
    /// [`MixedLayouts`]; this histogram is unchanged then.
    pub fn sub(&mut self, other: &Self) -> Result<Combined, MixedLayouts> {
        self.combine(other, |count| -count)
    }
}

impl<C: Count> HistogramOf<C> {
    /// Multiplies count, sum and every bucket by `factor`. A negative factor makes a gauge of it.
    /// Unary minus is `mul(-1.0)`.
    pub fn mul(&mut self, factor: f64) {
        self.each(|count| count.mul(factor));
        if factor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Divides count, sum and every bucket by `divisor`. A negative divisor makes a gauge of it.
    /// Dividing by zero removes the buckets, and count, sum and zero count become what the division
    /// of floats gives: an infinity, or NaN for 0/0.
    pub fn div(&mut self, divisor: f64) {
        if divisor == 0.0 {
            self.positive.clear();
            self.negative.clear();
        }
        self.each(|count| count.div(divisor));
        if divisor < 0.0 {
            self.hint = CounterResetHint::Gauge;
        }
    }

    /// Applies `change` to every number that is a count or a sum.
    fn each(&mut self, change: impl Fn(&mut C)) {
        change(&mut self.count);
        change(&mut self.sum);
        change(&mut self.zero_count);
        self.positive.counts_mut().iter_mut().for_each(&change);
        self.negative.counts_mut().iter_mut().for_each(&change);
    }

    /// Adds every number of `other` after `convert`, which is linear (it may flip signs).
    pub(super) fn combine<D: Count>(
        &mut self,
        other: &HistogramOf<D>,
        convert: impl Fn(D) -> C + Copy,
    ) -> Result<Combined, MixedLayouts> {
        if self.is_custom() != other.is_custom() {
            return Err(MixedLayouts);
        }
        let (hint, hints_collided) = self.hint.combined(other.hint);
        self.hint = hint;
        let zero_count = self.share_zero_bucket(other);
        self.zero_count.add(convert(zero_count));
        self.count.add(convert(other.count));
        self.sum.add(convert(other.sum));
        let bounds_reconciled = self.is_custom() && !self.layout.same(&other.layout);
        if bounds_reconciled {
            self.add_custom(other, convert);
        } else {
            self.add_aligned(other, convert);
        }
        Ok(Combined { hints_collided, bounds_reconciled })
    }

    /// Adds the buckets of `other`, which has the same custom bounds, or exponential buckets like
    /// this one and a zero bucket that was reconciled.
    fn add_aligned<D: Count>(&mut self, other: &HistogramOf<D>, convert: impl Fn(D) -> C + Copy) {
        let finer = other.schema() - self.schema();
        self.reduce_to(other.schema());
        let (layout, threshold) = (&self.layout, self.zero_threshold);
        let sides = [(&mut self.positive, &other.positive), (&mut self.negative, &other.negative)];
        for (own, theirs) in sides {
            match u32::try_from(finer) {
                Ok(finer @ 1..) => {
                    let mut theirs = theirs.map(convert);
                    theirs.reduce(finer);
                    own.add(&theirs, within_zero(layout, &theirs, threshold), |count| count);
                }
                _ => own.add(theirs, within_zero(layout, theirs, threshold), convert),
            }
        }
    }

    /// Widens the zero bucket until it can hold that of `other` and ends at no populated bucket of
    /// either; returns what the zero count of `other` would be with that width.
    fn share_zero_bucket<D: Count>(&mut self, other: &HistogramOf<D>) -> D {
        let (mut theirs, mut threshold) = (other.zero_count, other.zero_threshold);
        while threshold != self.zero_threshold {
            if threshold < self.zero_threshold {
                (theirs, threshold) = other.zero_count_within(self.zero_threshold);
            }
            if threshold > self.zero_threshold {
                (self.zero_count, self.zero_threshold) = self.zero_count_within(threshold);
                let (layout, zero) = (&self.layout, self.zero_threshold);
                let outside = |index: i32, _| layout.bound(i64::from(index) - 1) >= zero;
                self.positive.retain(outside);
                self.negative.retain(outside);
                self.compact();
            }
        }
        theirs
    }

    /// The zero count that a zero bucket of at least `threshold`, not below the present one, would
    /// have, and its threshold: a populated bucket that `threshold` would cut is included whole.
    pub(super) fn zero_count_within(&self, threshold: f64) -> (C, f64) {
        let mut threshold = threshold;
        if threshold == self.zero_threshold {
            return (self.zero_count, threshold);
        }
        // Both sides have the same bounds: once the threshold is one of them, it cuts no bucket.
        'widened: loop {
            let mut count = self.zero_count;
            for side in [&self.positive, &self.negative] {
                for (index, bucket) in side.iter() {
                    let index = i64::from(index);
                    if self.layout.bound(index - 1) >= threshold {
                        break;
                    }
                    let bound = self.layout.bound(index);
                    if bound > threshold && bucket.leading() != 0.0 {
                        threshold = bound;
                        continue 'widened;
                    }
                    count.add(bucket);
                }
            }
            return (count, threshold);
        }
    }
}

/// How many of `buckets` lie within the zero bucket and so were counted there. None do in a custom
/// layout, which has no zero bucket.
///
/// As in Prometheus, `buckets` are those after a reduction of the schema: of a bucket that became
/// wider than the zero bucket, the part within is counted in both.
pub(super) fn within_zero<C: Count>(
    layout: &Layout,
    buckets: &Buckets<C>,
    threshold: f64,
) -> usize {
    match layout {
        Layout::Custom(_) => 0,
        Layout::Exponential(_) => {
            buckets.indices().partition_point(|&index| layout.bound(index.into()) <= threshold)
        }
    }
}

#[cfg(test)]
mod tests;
