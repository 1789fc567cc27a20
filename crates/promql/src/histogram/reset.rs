//! Whether a counter started anew between two histograms of a series: `rate`, `increase`, `resets`.

use super::arithmetic::within_zero;
use super::buckets::Buckets;
use super::custom::{common_bounds, merged};
use super::layout::Layout;
use super::value::{CounterResetHint, Histogram};

impl Histogram {
    /// Whether a counter that was at `previous` must have started anew to be at this histogram.
    ///
    /// The hints [`Reset`](CounterResetHint::Reset) and [`NotReset`](CounterResetHint::NotReset) of
    /// this histogram decide. Otherwise (also for gauges, which a query may treat as counters) there
    /// was a reset if
    /// - the count of observations, the zero count or that of a bucket is lower than before, or a
    ///   populated bucket is gone; sums may fall, since observations may be negative;
    /// - the schema is finer, the zero bucket narrower, or the kind of buckets another than before: a
    ///   client changes them the other way without a reset, merging the buckets that it has, and so
    ///   are those of `previous` merged for the comparison;
    /// - the wider zero bucket cuts a populated bucket of `previous`.
    ///
    /// Histograms of different custom bounds are compared at the bounds in common.
    #[must_use]
    pub fn is_reset_after(&self, previous: &Self) -> bool {
        match self.hint {
            CounterResetHint::Reset => return true,
            CounterResetHint::NotReset => return false,
            CounterResetHint::Unknown | CounterResetHint::Gauge => {}
        }
        if self.count < previous.count {
            return true;
        }
        match (&self.layout, &previous.layout) {
            (Layout::Exponential(own), Layout::Exponential(before)) if own <= before => {
                self.exponential_reset(previous)
            }
            (Layout::Custom(_), Layout::Custom(_)) if self.layout.same(&previous.layout) => {
                decreased(&self.positive, previous.positive.iter(), |count| count != 0.0)
            }
            (Layout::Custom(own), Layout::Custom(before)) => {
                let common = common_bounds(own, before);
                let own = merged(&self.positive, own, &common);
                let before = merged(&previous.positive, before, &common);
                decreased(&own, before.iter(), |count| count > 0.0)
            }
            _ => true,
        }
    }

    /// The comparison for exponential buckets, those of `previous` of the same schema or a finer one.
    fn exponential_reset(&self, previous: &Self) -> bool {
        if self.zero_threshold < previous.zero_threshold {
            return true;
        }
        let (zero_count, threshold) = previous.zero_count_within(self.zero_threshold);
        if threshold != self.zero_threshold || self.zero_count < zero_count {
            return true;
        }
        let finer = u32::try_from(previous.schema() - self.schema()).unwrap_or(0);
        let sides = [(&self.positive, &previous.positive), (&self.negative, &previous.negative)];
        sides.into_iter().any(|(own, before)| {
            let reduced;
            let before = if finer == 0 {
                before
            } else {
                let mut buckets = before.clone();
                buckets.reduce(finer);
                reduced = buckets;
                &reduced
            };
            let skip = within_zero(&self.layout, before, self.zero_threshold);
            decreased(own, before.iter().skip(skip), |count| count != 0.0)
        })
    }
}

/// Whether a count is lower than in `previous`, where `populated` says whether a bucket that is gone
/// is one that matters.
fn decreased(
    buckets: &Buckets,
    mut previous: impl Iterator<Item = (i32, f64)>,
    populated: impl Fn(f64) -> bool,
) -> bool {
    let mut rest = buckets.iter().peekable();
    previous.any(|(index, before)| {
        while rest.next_if(|&(at, _)| at < index).is_some() {}
        match rest.peek() {
            Some(&(at, count)) if at == index => count < before,
            _ => populated(before),
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::tests::{any_pair, custom, exponential};

    fn base() -> Histogram {
        exponential(0, 1, &[1.0, 2.0, 3.0]).negative(1, &[4.0]).zero(0.5, 5.0).counted().build()
    }

    #[test]
    fn hints_decide() {
        let (mut same, mut less) = (base(), exponential(0, 1, &[]).build());
        assert!(!same.is_reset_after(&base()));
        assert!(less.is_reset_after(&base()));
        same.hint = CounterResetHint::Reset;
        less.hint = CounterResetHint::NotReset;
        assert!(same.is_reset_after(&base()));
        assert!(!less.is_reset_after(&base()));
        less.hint = CounterResetHint::Gauge;
        assert!(less.is_reset_after(&base()));
    }

    #[test]
    fn any_lower_count_is_a_reset() {
        let with = |positive: &[f64], negative: f64, zero: f64, count: f64| {
            exponential(0, 1, positive)
                .negative(1, &[negative])
                .zero(0.5, zero)
                .totals(count, -1e9)
                .build()
                .is_reset_after(&base())
        };
        assert!(!with(&[1.0, 2.0, 3.0], 4.0, 5.0, 15.0), "only the sum fell");
        assert!(!with(&[1.0, 2.0, 3.0, 9.0], 4.0, 5.0, 24.0), "a new bucket");
        assert!(with(&[1.0, 2.0, 3.0], 4.0, 5.0, 14.0), "count");
        assert!(with(&[1.0, 1.0, 9.0], 4.0, 5.0, 20.0), "a bucket");
        assert!(with(&[1.0, 2.0], 4.0, 9.0, 20.0), "the last bucket gone");
        assert!(with(&[9.0, 2.0, 3.0], 3.0, 5.0, 20.0), "a negative bucket");
        assert!(with(&[9.0, 2.0, 3.0], 4.0, 4.0, 20.0), "zero bucket");
    }

    #[test]
    fn an_empty_bucket_may_disappear() {
        let before = exponential(0, 1, &[1.0, 0.0, 3.0, 0.0]).counted().build();
        let mut after = before.clone();
        after.compact();
        assert!(!after.is_reset_after(&before));
    }

    #[test]
    fn a_finer_schema_is_a_reset_and_a_coarser_one_is_not() {
        let fine = exponential(1, 1, &[1.0, 2.0, 3.0, 4.0]).counted().build();
        let coarse = exponential(0, 1, &[3.0, 7.0]).counted().build();
        assert!(fine.is_reset_after(&coarse));
        assert!(!coarse.is_reset_after(&fine));
        let fewer = exponential(0, 1, &[4.0, 6.0]).counted().build();
        assert!(fewer.is_reset_after(&fine));
    }

    #[test]
    fn a_wider_zero_bucket_takes_in_what_was_near_zero() {
        let before = exponential(0, 1, &[1.0, 2.0]).zero(0.5, 3.0).counted().build();
        let after = |threshold, zero| {
            exponential(0, 2, &[2.0])
                .zero(threshold, zero)
                .counted()
                .build()
                .is_reset_after(&before)
        };
        assert!(!after(2.0, 4.0));
        assert!(after(2.0, 3.5), "too few in the zero bucket");
        assert!(after(1.5, 4.0), "a populated bucket is cut");
        assert!(after(0.25, 9.0), "narrower");
    }

    #[test]
    fn custom_bounds_are_compared_in_common() {
        let before = custom(&[1.0, 2.0, 3.0], 0, &[1.0, 2.0, 3.0, 4.0]);
        assert!(!before.is_reset_after(&before));
        assert!(custom(&[1.0, 2.0, 3.0], 0, &[2.0, 1.0, 3.0, 4.0]).is_reset_after(&before));
        // Only 2 is a bound of both: 3 up to it, 7 above.
        assert!(!custom(&[2.0, 5.0], 0, &[3.0, 3.0, 4.0]).is_reset_after(&before));
        assert!(custom(&[2.0, 5.0], 0, &[2.0, 4.0, 4.0]).is_reset_after(&before));
        assert!(custom(&[2.0, 5.0], 0, &[4.0, 3.0, 3.0]).is_reset_after(&before));
    }

    #[test]
    fn another_kind_of_buckets_is_a_reset() {
        let (exponential, custom) =
            (exponential(0, 1, &[1.0]).counted().build(), custom(&[1.0], 0, &[1.0]));
        assert!(exponential.is_reset_after(&custom));
        assert!(custom.is_reset_after(&exponential));
    }

    proptest! {
        #[test]
        fn what_only_grew_was_not_reset((before, growth) in any_pair()) {
            let mut after = before.clone();
            after.add(&growth).unwrap();
            if after.zero_threshold() >= before.zero_threshold() {
                prop_assert!(!after.is_reset_after(&before));
            }
        }
    }
}
