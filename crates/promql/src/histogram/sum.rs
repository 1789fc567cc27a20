//! Sums and means of many histograms: `sum`, `avg`, `sum_over_time`, `avg_over_time`.
//!
//! Every number carries its own compensation ([`Kahan`]), through reductions of the schema and the
//! widening of zero buckets as well. Partial results of different shares of the input merge with
//! their compensations.

use super::arithmetic::Combined;
use super::buckets::Buckets;
use super::count::{Count, Kahan};
use super::error::MixedLayouts;
use super::value::{Histogram, HistogramOf};

/// A running sum of histograms. The first one is taken by `HistogramSum::from`.
pub type HistogramSum = HistogramOf<Kahan>;

impl HistogramSum {
    /// Adds `histogram`, as [`Histogram::add`] does, with compensation.
    ///
    /// # Errors
    /// [`MixedLayouts`]; the sum is unchanged then.
    pub fn push(&mut self, histogram: &Histogram) -> Result<Combined, MixedLayouts> {
        self.combine(histogram, Kahan::from)
    }

    /// Adds the sum of other histograms together with its compensation.
    ///
    /// # Errors
    /// [`MixedLayouts`]; the sum is unchanged then.
    pub fn merge(&mut self, other: &Self) -> Result<Combined, MixedLayouts> {
        self.combine(other, |count| count)
    }

    /// The sum as a histogram, without empty buckets.
    #[must_use]
    pub fn total(&self) -> Histogram {
        let mut total = Histogram {
            hint: self.hint,
            count: self.count.total(),
            sum: self.sum.total(),
            zero_count: self.zero_count.total(),
            zero_threshold: self.zero_threshold,
            layout: self.layout.clone(),
            positive: self.positive.map(Kahan::total),
            negative: self.negative.map(Kahan::total),
        };
        total.compact();
        total
    }
}

impl<C: Count> HistogramOf<C> {
    /// The sum of the magnitudes of all numbers: a bound for every sum of some of them.
    fn mass(&self) -> f64 {
        let side = |buckets: &Buckets<C>| -> f64 {
            buckets.counts().iter().map(|count| count.leading().abs()).sum()
        };
        let totals = [self.count, self.sum, self.zero_count];
        let totals: f64 = totals.iter().map(|count| count.leading().abs()).sum();
        totals + side(&self.positive) + side(&self.negative)
    }

    /// Whether a number is infinite.
    fn has_overflow(&self) -> bool {
        let sides = self.positive.counts().iter().chain(self.negative.counts());
        [self.count, self.sum, self.zero_count]
            .iter()
            .chain(sides)
            .any(|count| count.leading().is_infinite())
    }
}

/// A running mean of histograms.
///
/// It is the compensated sum divided by the number of histograms, the most accurate way, until a
/// number of the sum would become infinite. From then on it is the mean itself that is kept: with
/// histogram number `n`, `mean · (n-1)/n + histogram/n`.
#[derive(Debug, Clone)]
pub struct HistogramMean {
    /// The sum, or the mean once `incremental`.
    sum: HistogramSum,
    /// How many histograms, a whole number.
    histograms: f64,
    incremental: bool,
}

impl HistogramMean {
    /// The mean of one histogram.
    #[must_use]
    pub fn new(first: &Histogram) -> Self {
        Self { sum: first.into(), histograms: 1.0, incremental: false }
    }

    /// Takes one more histogram.
    ///
    /// # Errors
    /// [`MixedLayouts`]; the mean is of no use then.
    pub fn push(&mut self, histogram: &Histogram) -> Result<Combined, MixedLayouts> {
        self.histograms += 1.0;
        if !self.incremental {
            if let Some(combined) = self.grown(histogram.mass(), |sum| sum.push(histogram))? {
                return Ok(combined);
            }
            self.sum.div(self.histograms - 1.0);
            self.incremental = true;
        }
        self.sum.mul((self.histograms - 1.0) / self.histograms);
        let mut share = histogram.clone();
        share.div(self.histograms);
        self.sum.push(&share)
    }

    /// Takes the histograms of another mean.
    ///
    /// # Errors
    /// [`MixedLayouts`]; the mean is of no use then.
    pub fn merge(&mut self, other: &Self) -> Result<Combined, MixedLayouts> {
        let histograms = self.histograms + other.histograms;
        if !self.incremental && !other.incremental {
            let grown = self.grown(other.sum.mass(), |sum| sum.merge(&other.sum))?;
            if let Some(combined) = grown {
                self.histograms = histograms;
                return Ok(combined);
            }
        }
        let mut theirs = other.mean();
        theirs.mul(other.histograms / histograms);
        self.sum = self.mean();
        self.sum.mul(self.histograms / histograms);
        (self.histograms, self.incremental) = (histograms, true);
        self.sum.merge(&theirs)
    }

    /// The mean as a histogram, without empty buckets.
    #[must_use]
    pub fn total(&self) -> Histogram {
        self.mean().total()
    }

    fn mean(&self) -> HistogramSum {
        let mut mean = self.sum.clone();
        if !self.incremental {
            mean.div(self.histograms);
        }
        mean
    }

    /// Lets `add` change the sum, unless a number of it would become infinite: then `None`. `mass` is
    /// that of what is added.
    fn grown(
        &mut self,
        mass: f64,
        add: impl Fn(&mut HistogramSum) -> Result<Combined, MixedLayouts>,
    ) -> Result<Option<Combined>, MixedLayouts> {
        // Half of the largest float leaves room for roundings. NaN, too, takes the careful path.
        if self.sum.mass() + mass < f64::MAX / 2.0 {
            return add(&mut self.sum).map(Some);
        }
        let mut sum = self.sum.clone();
        let combined = add(&mut sum)?;
        if sum.has_overflow() {
            return Ok(None);
        }
        self.sum = sum;
        Ok(Some(combined))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::histogram::CounterResetHint;
    use crate::histogram::tests::{any_pair, custom, exponential, pairs};

    /// Adding 1 to this changes nothing; adding 2 does.
    const BIG: f64 = 9_007_199_254_740_992.0;

    fn summed(histograms: &[Histogram]) -> HistogramSum {
        let mut sum = HistogramSum::from(&histograms[0]);
        histograms[1..].iter().for_each(|histogram| {
            sum.push(histogram).unwrap();
        });
        sum
    }

    fn number(value: f64) -> Histogram {
        exponential(0, 1, &[value])
            .negative(1, &[value])
            .zero(0.5, value)
            .totals(value, value)
            .build()
    }

    #[test]
    fn every_number_is_compensated() {
        let total = summed(&[number(BIG), number(1.0), number(1.0)]).total();
        for value in [total.count, total.sum, total.zero_count] {
            assert_eq!(value, BIG + 2.0);
        }
        assert_eq!(pairs(total.positive()), [(1, BIG + 2.0)]);
        assert_eq!(pairs(total.negative()), [(1, BIG + 2.0)]);
    }

    #[test]
    fn compensation_survives_changes_of_the_layout() {
        let fine = [exponential(1, 1, &[BIG]).build(), exponential(1, 1, &[1.0]).build()];
        let mut sum = summed(&fine);
        sum.push(&exponential(0, 1, &[1.0]).build()).unwrap();
        assert_eq!(pairs(sum.total().positive()), [(1, BIG + 2.0)], "schema");
        sum.push(&exponential(0, 5, &[]).zero(4.0, 0.0).build()).unwrap();
        assert_eq!(sum.total().zero_count, BIG + 2.0, "zero bucket");

        let mut sum = summed(&[custom(&[5.0], 0, &[BIG]), custom(&[5.0], 0, &[1.0])]);
        assert!(sum.push(&custom(&[5.0, 10.0], 0, &[1.0])).unwrap().bounds_reconciled);
        assert_eq!(pairs(sum.total().positive()), [(0, BIG + 2.0)], "custom bounds");
    }

    #[test]
    fn sums_of_shares_merge_with_their_compensation() {
        let mut left = summed(&[number(BIG), number(1.0)]);
        left.merge(&summed(&[number(-BIG), number(1.0)])).unwrap();
        assert_eq!(left.total().sum, 2.0);
        assert!(left.merge(&HistogramSum::from(&custom(&[], 0, &[]))).is_err());
    }

    #[test]
    fn a_mean_goes_on_where_its_sum_would_overflow() {
        let mut mean = HistogramMean::new(&number(f64::MAX));
        for value in [f64::MAX, f64::MAX / 2.0, f64::MAX / 2.0] {
            mean.push(&number(value)).unwrap();
        }
        let total = mean.total();
        for value in [total.count, total.sum, total.zero_count, total.positive().counts()[0]] {
            assert!((value / (f64::MAX * 0.75) - 1.0).abs() < 1e-12, "{value}");
        }
        assert!(mean.incremental);
    }

    #[test]
    fn means_of_shares_merge_whether_incremental_or_not() {
        let mut large = HistogramMean::new(&number(f64::MAX));
        large.push(&number(f64::MAX)).unwrap();
        let mut small = HistogramMean::new(&number(1.0));
        small.push(&number(3.0)).unwrap();
        let mut both = large.clone();
        both.merge(&small).unwrap();
        assert!((both.total().sum / (f64::MAX / 2.0) - 1.0).abs() < 1e-12);
        small.merge(&HistogramMean::new(&number(5.0))).unwrap();
        assert!(!small.incremental);
        assert_eq!(small.total().sum, 3.0);
        let mut halves = HistogramMean::new(&number(f64::MAX));
        halves.merge(&HistogramMean::new(&number(f64::MAX))).unwrap();
        assert_eq!(halves.total().sum, f64::MAX);
    }

    #[test]
    fn a_mean_keeps_an_infinite_sum_of_observations() {
        let mut mean = HistogramMean::new(&number(1.0));
        let mut infinite = number(1.0);
        infinite.sum = f64::INFINITY;
        infinite.hint = CounterResetHint::Gauge;
        mean.push(&infinite).unwrap();
        let total = mean.total();
        assert_eq!(
            (total.sum, total.count, total.hint),
            (f64::INFINITY, 1.0, CounterResetHint::Gauge)
        );
    }

    proptest! {
        #[test]
        fn whole_numbers_are_summed_as_by_plain_addition((left, right) in any_pair()) {
            let mut plain = left.clone();
            plain.add(&right).unwrap();
            plain.compact();
            prop_assert!(summed(&[left, right]).total().same(&plain));
        }
    }
}
