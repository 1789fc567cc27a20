//! The two kinds of numbers that a histogram can hold: plain floats, and floats that carry the
//! rounding error of the additions that made them.
//!
//! Everything that adds histograms is written once over [`Count`]; `+` in a query uses the plain
//! floats, `sum` and `avg` the compensated ones.

use std::fmt::Debug;

/// A number of a histogram: `f64`, or [`Kahan`] while many histograms are summed up.
pub trait Count: Copy + Debug + Default + From<f64> + private::Sealed {
    /// Adds `other`.
    fn add(&mut self, other: Self);
    /// Multiplies by `factor`.
    fn mul(&mut self, factor: f64);
    /// Divides by `divisor`.
    fn div(&mut self, divisor: f64);
    /// Whether nothing would be lost if this were left out of a sum.
    fn is_zero(self) -> bool;
    /// The number without what it carries.
    fn leading(self) -> f64;
}

mod private {
    /// Keeps [`super::Count`] to the two kinds of this file.
    pub trait Sealed {}
    impl Sealed for f64 {}
    impl Sealed for super::Kahan {}
}

impl Count for f64 {
    fn add(&mut self, other: Self) {
        *self += other;
    }

    fn mul(&mut self, factor: f64) {
        *self *= factor;
    }

    fn div(&mut self, divisor: f64) {
        *self /= divisor;
    }

    fn is_zero(self) -> bool {
        self == 0.0
    }

    fn leading(self) -> f64 {
        self
    }
}

/// A running sum with the error that its roundings left, by the algorithm of Kahan as improved by
/// Neumaier (1974): the error of each addition is computed exactly from the smaller of the two
/// numbers and collected beside the sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Kahan {
    /// The sum as plain additions give it.
    pub sum: f64,
    /// What has to be added to `sum` to get closest to the true value. Zero once `sum` is infinite,
    /// where an error would be meaningless (infinity minus infinity).
    pub compensation: f64,
}

impl Kahan {
    /// Adds `value`.
    pub fn push(&mut self, value: f64) {
        let sum = self.sum + value;
        self.compensation = if sum.is_infinite() {
            0.0
        } else if self.sum.abs() >= value.abs() {
            self.compensation + ((self.sum - sum) + value)
        } else {
            self.compensation + ((value - sum) + self.sum)
        };
        self.sum = sum;
    }

    /// The compensated sum.
    #[must_use]
    pub fn total(self) -> f64 {
        self.sum + self.compensation
    }
}

impl From<f64> for Kahan {
    fn from(sum: f64) -> Self {
        Self { sum, compensation: 0.0 }
    }
}

impl Count for Kahan {
    fn add(&mut self, other: Self) {
        self.push(other.sum);
        if other.compensation != 0.0 {
            self.push(other.compensation);
        }
    }

    fn mul(&mut self, factor: f64) {
        self.sum *= factor;
        self.compensation *= factor;
    }

    fn div(&mut self, divisor: f64) {
        self.sum /= divisor;
        self.compensation /= divisor;
    }

    fn is_zero(self) -> bool {
        self.sum == 0.0 && self.compensation == 0.0
    }

    fn leading(self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summed(values: &[f64]) -> Kahan {
        let mut sum = Kahan::default();
        values.iter().for_each(|&value| sum.push(value));
        sum
    }

    #[test]
    fn small_numbers_beside_a_large_one_are_not_lost() {
        // Plain addition gives 0: 1 is below the spacing of floats at 1e100.
        assert_eq!(summed(&[1.0, 1e100, 1.0, -1e100]).total(), 2.0);
    }

    #[test]
    fn an_infinite_sum_has_no_compensation() {
        let sum = summed(&[1.0, 1e100, f64::INFINITY, 5.0]);
        assert_eq!(sum.total(), f64::INFINITY);
        assert_eq!(sum.compensation, 0.0);
        assert!(summed(&[f64::INFINITY, f64::NEG_INFINITY]).total().is_nan());
    }

    #[test]
    fn two_compensated_sums_add_up_with_both_errors() {
        let mut left = summed(&[1e100, 1.0]);
        left.add(summed(&[-1e100, 1.0]));
        assert_eq!(left.total(), 2.0);
    }
}
