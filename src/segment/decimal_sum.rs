//! Exact sums of values that are decimal numbers.
//!
//! The common exponent of values is the smallest at which all of them are integers below 2^52. It
//! does not depend on their order, nor on how they are grouped: sums of chunks, which carry theirs,
//! and single values add up to the same.
//!
//! *Why 2^52*, where chunks go to 2^53: at exponent e a value v, 2^k <= v < 2^(k+1), stands for every
//! integer i of which i / 10^e rounds to it. Those quotients lie within 2^(k-52) of each other, so
//! that there are two only if 10^e >= 2^(52-k); they are at least 2^k, so that both integers are at
//! least 2^k * 10^e >= 2^52. (Those of v = 2^k itself may be 2^(k-54) less, but lie within three
//! quarters of 2^(k-52).) So an integer below 2^52 is the only one of its value at that exponent, and
//! ten times it the one at the next. Above, a value taken at its own exponent and raised may be another
//! integer than the same value taken at the common one, and the sum would depend on which values are
//! summed first: such values are left to the sum of floats, which is exact.

use super::aggregate::{EXPONENT_MAX, POWERS, integer_at};

/// Magnitudes below this are the only integer of their value.
const UNIQUE_MAX: i64 = 1 << 52;

/// The sum of decimal numbers so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct DecimalSum {
    exponent: u8,
    /// Times ten to the power of `exponent`.
    sum: i128,
    /// The largest magnitude of a value at `exponent`.
    largest: i64,
}

impl DecimalSum {
    /// Adds values. False, with the sum useless from then on, if there is no common exponent.
    pub(crate) fn add(&mut self, values: &[f64]) -> bool {
        let mut before: Option<(u64, i64)> = None;
        values.iter().all(|value| {
            // The exponent has not risen since the same value was looked at.
            let same = before.filter(|(bits, _)| *bits == value.to_bits());
            let Some(integer) = same.map(|(_, i)| i).or_else(|| self.integer(*value)) else {
                return false;
            };
            before = Some((value.to_bits(), integer));
            self.largest = self.largest.max(integer.abs());
            self.sum += i128::from(integer);
            true
        })
    }

    /// Adds a sum of values between `min` and `max`, of which `exponent` is the common exponent. As
    /// [`add`](Self::add) otherwise.
    pub(crate) fn add_sum(&mut self, exponent: u8, sum: i64, min: f64, max: f64) -> bool {
        if !self.raise(exponent) {
            return false;
        }
        let (Some(min), Some(max)) = (unique_at(min, self.exponent), unique_at(max, self.exponent))
        else {
            return false;
        };
        let Some(power) = 10i128.checked_pow(u32::from(self.exponent - exponent)) else {
            return false;
        };
        self.largest = self.largest.max(min.abs()).max(max.abs());
        self.sum += i128::from(sum) * power;
        true
    }

    /// The sum, rounded to the nearest float; rounded twice if it is 2^53 or more at its exponent.
    pub(crate) fn value(&self) -> f64 {
        self.sum as f64 / POWERS[usize::from(self.exponent)]
    }

    /// `value` at the exponent, which rises as far as it takes.
    fn integer(&mut self, value: f64) -> Option<i64> {
        for exponent in self.exponent..=EXPONENT_MAX {
            if let Some(integer) = unique_at(value, exponent) {
                return self.raise(exponent).then_some(integer);
            }
        }
        None
    }

    fn raise(&mut self, exponent: u8) -> bool {
        while self.exponent < exponent {
            // What was an integer below 2^52 must stay one at ten times the scale.
            let Some(largest) = self.largest.checked_mul(10).filter(|&n| n < UNIQUE_MAX) else {
                return false;
            };
            self.largest = largest;
            self.sum *= 10;
            self.exponent += 1;
        }
        true
    }
}

/// `value` as the only integer at `exponent` that gives the same bits back.
fn unique_at(value: f64, exponent: u8) -> Option<i64> {
    integer_at(value, exponent).filter(|integer| integer.abs() < UNIQUE_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::Aggregates;

    /// The sum by the chunk's own rule.
    fn by_chunk(values: &[f64]) -> Option<f64> {
        let sums = Aggregates::of(values).sums?;
        sums.sum.map(|sum| sum as f64 / POWERS[usize::from(sums.exponent)])
    }

    #[test]
    fn a_value_that_is_two_integers_has_no_place_in_a_decimal_sum() {
        // At exponent 12 the second is 8718110000000000, and the integer after it too.
        assert_eq!(8_718_110_000_000_000.0 / 1e12, 8718.11);
        assert_eq!(8_718_110_000_000_001.0 / 1e12, 8718.11);
        assert!(!DecimalSum::default().add(&[3e-12, 8718.11]));
        assert!(!DecimalSum::default().add(&[8718.11, 3e-12]));
        let mut sum = DecimalSum::default();
        assert!(sum.add(&[3e-12]) && !sum.add_sum(2, 871_811, 8718.11, 8718.11));
        let mut sum = DecimalSum::default();
        assert!(sum.add_sum(2, 871_811, 8718.11, 8718.11) && !sum.add_sum(12, 3, 3e-12, 3e-12));
        assert!(DecimalSum::default().add(&[3e-11, 8718.11]));
    }

    #[test]
    fn decimals_add_up_as_on_paper() {
        let mut sum = DecimalSum::default();
        assert!(sum.add(&[0.1, 0.1, 0.1, 0.2, 12.0]));
        assert_eq!(sum.value(), 12.5);
        assert!(sum.add_sum(0, -13, -13.0, -13.0));
        assert_eq!(sum.value(), -0.5);
        assert!(sum.add_sum(3, 1500, 0.001, 0.5));
        assert_eq!(sum.value(), 1.0);
    }

    #[test]
    fn there_may_be_no_common_exponent() {
        for values in [
            &[f64::NAN][..],
            &[-0.0],
            &[f64::INFINITY],
            &[4503599627370496.0],
            &[std::f64::consts::PI * 1e20],
            &[0.001, 4503599627370495.0],
            &[4503599627370495.0, 0.001],
        ] {
            assert!(!DecimalSum::default().add(values), "{values:?}");
        }
        let mut sum = DecimalSum::default();
        assert!(sum.add(&[4503599627370495.0]) && !sum.add_sum(1, 1, 0.1, 0.1));
        let mut sum = DecimalSum::default();
        assert!(sum.add(&[0.1]) && !sum.add_sum(0, 1, 4503599627370495.0, 4503599627370495.0));
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1000i32..1000).prop_map(f64::from),
            (-100_000i64..100_000, 0i32..6).prop_map(|(i, e)| i as f64 / 10f64.powi(e)),
            any::<i64>().prop_map(|i| (i >> 10) as f64),
            // Integers around 2^52 at an exponent, some of the last digits 0: their own is smaller.
            (1i64 << 50..1 << 54, 0u32..8, 0i32..13).prop_map(|(i, zeros, e)| {
                (i / 10i64.pow(zeros)) as f64 / 10f64.powi((e - zeros as i32).max(0))
            }),
            (1i32..10, 0i32..13).prop_map(|(i, e)| f64::from(i) / 10f64.powi(e)),
        ]
    }

    proptest! {
        #[test]
        fn neither_order_nor_grouping_matters(
            values in prop::collection::vec(value(), 1..30),
            cut in 0usize..30,
            turn in 0usize..30,
        ) {
            let mut whole = DecimalSum::default();
            let fits = whole.add(&values);
            if fits && let Some(sum) = by_chunk(&values) {
                prop_assert_eq!(whole.value().to_bits(), sum.to_bits());
            }
            let mut turned = values.clone();
            turned.rotate_left(turn % values.len());
            let (rows, chunk) = turned.split_at(cut % values.len());
            let mut parts = DecimalSum::default();
            let found = Aggregates::of(chunk);
            let of_chunk = match (found.extent, found.sums.and_then(|s| Some((s, s.sum?)))) {
                (Some(extent), Some((sums, sum))) => {
                    parts.add_sum(sums.exponent, sum, extent.min, extent.max)
                }
                _ => parts.add(chunk),
            };
            let fits_in_parts = of_chunk && parts.add(rows);
            prop_assert_eq!(fits_in_parts, fits);
            if fits {
                prop_assert_eq!(parts, whole);
            }
        }
    }
}
