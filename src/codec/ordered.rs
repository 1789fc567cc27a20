//! Doubles as integers in the same order: for values that are no short decimals.
//!
//! Neighbouring doubles are neighbouring integers, so small changes are small differences whatever
//! the digits; doubles that came from `f32` differ by multiples of 2^29, which the common divisor
//! takes out. A bijection on all 2^64 patterns: NaN payloads and -0.0 (which is -1) survive.

/// The integer of a double's bits.
#[inline]
pub(super) fn from_bits(bits: u64) -> i64 {
    flip(bits as i64)
}

/// The bits of an integer's double.
#[inline]
pub(super) fn to_bits(ordered: i64) -> u64 {
    flip(ordered) as u64
}

/// Negative doubles are sign and magnitude, negative integers two's complement: reverses the order
/// of the negative half. Its own inverse.
#[inline]
fn flip(bits: i64) -> i64 {
    bits ^ ((bits >> 63) as u64 >> 1) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_is_that_of_the_doubles() {
        let doubles = [
            f64::NEG_INFINITY,
            f64::MIN,
            -1.0,
            -f64::MIN_POSITIVE,
            -5e-324,
            -0.0,
            0.0,
            5e-324,
            1.0,
            f64::MAX,
            f64::INFINITY,
        ];
        let ordered = doubles.map(|v: f64| from_bits(v.to_bits()));
        assert!(ordered.is_sorted_by(|a, b| a < b), "{ordered:?}");
        assert_eq!(ordered[5..7], [-1, 0]);
    }

    proptest! {
        #[test]
        fn every_pattern_round_trips(bits: u64) {
            prop_assert_eq!(to_bits(from_bits(bits)), bits);
        }
    }
}
