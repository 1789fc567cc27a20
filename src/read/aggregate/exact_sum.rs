//! The exact sum of any floats, rounded once: it depends neither on their order nor on their
//! grouping.
//!
//! A fixed-point number wide enough for every float, in digits of 32 bits that are kept in 64: carries
//! are only carried on when the sum is asked for, or after 2^30 additions.

/// Digits of 32 bits: 2,046 exponents and 53 bits make 2,098 bits; two more take the carries of 2^64
/// additions.
const DIGITS: usize = 2098_usize.div_ceil(32) + 2;
const DIGIT_BITS: u32 = 32;
const DIGIT_MASK: u128 = 0xffff_ffff;
/// Additions of digits below 2^32 that an i64 has room for.
const ADDITIONS_MAX: u32 = 1 << 30;
const MANTISSA_BITS: u32 = 52;
const EXPONENT_MASK: u64 = 0x7ff;

/// A sum of floats; NaNs must be left out.
#[derive(Debug, Clone)]
pub(super) struct ExactSum {
    /// The value of a digit is its number times 2^(32 * position - 1074).
    digits: Box<[i64; DIGITS]>,
    /// Digits outside are 0.
    used: (usize, usize),
    additions: u32,
    infinities: (bool, bool),
}

impl ExactSum {
    pub(super) fn new() -> Self {
        Self {
            digits: Box::new([0; DIGITS]),
            used: (DIGITS, 0),
            additions: 0,
            infinities: (false, false),
        }
    }

    /// Back to 0, with the memory kept.
    pub(super) fn clear(&mut self) {
        if self.used.0 < self.used.1 {
            self.digits[self.used.0..self.used.1].fill(0);
        }
        self.used = (DIGITS, 0);
        self.additions = 0;
        self.infinities = (false, false);
    }

    /// Adds `value`, which is no NaN.
    pub(super) fn add(&mut self, value: f64) {
        debug_assert!(!value.is_nan(), "NaNs are left out");
        let bits = value.to_bits();
        let field = bits >> MANTISSA_BITS & EXPONENT_MASK;
        if field == EXPONENT_MASK {
            self.infinities.0 |= value > 0.0;
            self.infinities.1 |= value < 0.0;
            return;
        }
        let fraction = bits & ((1 << MANTISSA_BITS) - 1);
        let mantissa = if field == 0 { fraction } else { fraction | 1 << MANTISSA_BITS };
        let place = field.max(1) as u32 - 1;
        let at = (place / DIGIT_BITS) as usize;
        let wide = u128::from(mantissa) << (place % DIGIT_BITS);
        let parts = [wide, wide >> DIGIT_BITS, wide >> (2 * DIGIT_BITS)];
        let sign = if value.is_sign_negative() { -1 } else { 1 };
        for (digit, part) in self.digits[at..at + 3].iter_mut().zip(parts) {
            *digit += sign * (part & DIGIT_MASK) as i64;
        }
        self.used = (self.used.0.min(at), self.used.1.max(at + 3));
        self.additions += 1;
        if self.additions == ADDITIONS_MAX {
            self.carry();
        }
    }

    /// The sum, rounded to the nearest float, ties to even; a sum of zero is +0. NaN if both
    /// infinities were added.
    pub(super) fn value(&mut self) -> f64 {
        match self.infinities {
            (true, true) => return f64::NAN,
            (true, false) => return f64::INFINITY,
            (false, true) => return f64::NEG_INFINITY,
            (false, false) => {}
        }
        self.carry();
        let negative = self.digits[DIGITS - 1] < 0;
        if !negative {
            return self.round();
        }
        self.negate();
        let rounded = self.round();
        self.negate();
        -rounded
    }

    fn negate(&mut self) {
        self.digits.iter_mut().for_each(|digit| *digit = -*digit);
        self.carry();
    }

    /// Brings every digit but the last into 0..2^32.
    fn carry(&mut self) {
        let mut carry = 0i64;
        let last = DIGITS - 1;
        for digit in &mut self.digits[..last] {
            let sum = *digit + carry;
            *digit = sum & DIGIT_MASK as i64;
            carry = sum >> DIGIT_BITS;
        }
        self.digits[last] += carry;
        self.used = (0, DIGITS);
        self.additions = 1;
    }

    /// The magnitude, all digits being carried and not negative.
    fn round(&self) -> f64 {
        let Some(top) = self.digits.iter().rposition(|&digit| digit != 0) else { return 0.0 };
        let bit = top as u32 * DIGIT_BITS + (63 - self.digits[top].leading_zeros());
        if bit <= MANTISSA_BITS {
            // Exact, and below 2^53 units of the smallest float: its bits count them.
            return f64::from_bits(self.bits_from(0));
        }
        let low = bit - MANTISSA_BITS;
        let mantissa = self.bits_from(low) & ((1 << (MANTISSA_BITS + 1)) - 1);
        let half = self.bits_from(low - 1) & 1 == 1;
        let odd = mantissa & 1 == 1;
        let up = half && (odd || self.any_below(low - 1));
        // The mantissa's top bit adds 1 to the exponent, and so does a carry out of it.
        let bits = (u64::from(low) << MANTISSA_BITS) + mantissa + u64::from(up);
        f64::from_bits(bits.min(f64::INFINITY.to_bits()))
    }

    /// 64 bits from bit `from` up.
    fn bits_from(&self, from: u32) -> u64 {
        let at = (from / DIGIT_BITS) as usize;
        let digit = |at: usize| self.digits.get(at).map_or(0, |&digit| digit as u128);
        let wide = digit(at) | digit(at + 1) << DIGIT_BITS | digit(at + 2) << (2 * DIGIT_BITS);
        (wide >> (from % DIGIT_BITS)) as u64
    }

    fn any_below(&self, bit: u32) -> bool {
        let at = (bit / DIGIT_BITS) as usize;
        let mask = (1i64 << (bit % DIGIT_BITS)) - 1;
        self.digits[at] & mask != 0 || self.digits[..at].iter().any(|&digit| digit != 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sum(values: &[f64]) -> f64 {
        let mut sum = ExactSum::new();
        values.iter().for_each(|&value| sum.add(value));
        sum.value()
    }

    #[test]
    fn sums_are_rounded_once() {
        assert_eq!(sum(&[1e100, 1.0, -1e100]), 1.0);
        assert_eq!(sum(&[]).to_bits(), 0);
        assert_eq!(sum(&[-0.0, -0.0]).to_bits(), 0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX, -f64::MAX]), f64::MAX);
        assert_eq!(sum(&[-f64::MAX, -f64::MAX]), f64::NEG_INFINITY);
        assert_eq!(sum(&[f64::INFINITY, 1.0]), f64::INFINITY);
        assert_eq!(sum(&[f64::NEG_INFINITY, f64::MAX]), f64::NEG_INFINITY);
        assert!(sum(&[f64::NEG_INFINITY, f64::INFINITY]).is_nan());
        let tiny = f64::from_bits(1);
        assert_eq!(sum(&[tiny, tiny, tiny]).to_bits(), 3);
        assert_eq!(sum(&[f64::MIN_POSITIVE, -tiny]).to_bits(), (1 << 52) - 1);
        // Ties go to even, and anything beyond a tie goes up.
        let even = 9007199254740992.0;
        assert_eq!(sum(&[even, 1.0]), even);
        assert_eq!(sum(&[even, 1.0, tiny]), even + 2.0);
        assert_eq!(sum(&[even, 2.0, 1.0]), even + 4.0);
        assert_eq!(sum(&[-even, -1.0, -tiny]), -even - 2.0);
    }

    #[test]
    fn clearing_forgets_everything() {
        let mut sum = ExactSum::new();
        for values in [&[1e300, f64::INFINITY][..], &[-5e-324, 1e300], &[3.5]] {
            sum.clear();
            values.iter().for_each(|&value| sum.add(value));
            sum.value();
        }
        assert_eq!(sum.value(), 3.5);
    }

    #[test]
    fn carries_have_room() {
        let mut sum = ExactSum::new();
        sum.additions = ADDITIONS_MAX - 3;
        (0..7).for_each(|_| sum.add(-1.5));
        assert_eq!((sum.value(), sum.value()), (-10.5, -10.5));
    }

    fn finite() -> impl Strategy<Value = f64> {
        let near = (any::<i64>(), -80i32..80).prop_map(|(i, e)| i as f64 * 2f64.powi(e));
        prop_oneof![any::<f64>().prop_filter("finite", |v| v.is_finite()), near]
    }

    proptest! {
        #[test]
        fn two_floats_add_up_as_the_processor_adds_them(a in finite(), b in finite()) {
            let expected = a + b;
            let expected = if expected == 0.0 { 0.0 } else { expected };
            prop_assert_eq!(sum(&[a, b]).to_bits(), expected.to_bits());
        }

        #[test]
        fn integers_add_up_exactly(values in prop::collection::vec(-(1i64 << 62)..1 << 62, 0..50)) {
            let floats: Vec<f64> = values.iter().map(|&i| i as f64).collect();
            let exact: i128 = floats.iter().map(|&f| f as i128).sum();
            prop_assert_eq!(sum(&floats).to_bits(), (exact as f64).to_bits());
        }

        #[test]
        fn order_does_not_matter(
            mut values in prop::collection::vec(finite(), 1..40), turn in 0usize..40,
        ) {
            let before = sum(&values);
            let turn = turn % values.len();
            values.rotate_left(turn);
            prop_assert_eq!(sum(&values).to_bits(), before.to_bits());
        }
    }
}
