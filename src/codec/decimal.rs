//! Doubles as decimals: `v == i as f64 / 10^e`, bit for bit.
//!
//! Division of an exact integer by an exact power of ten is rounded once, as the parsing of the
//! decimal was, so that every double printed with few digits is found, and the comparison of bits
//! refuses what is not (NaN, infinities, -0.0). Encoding always compares with the very function
//! that decodes.

use super::SUB_BLOCK_ROWS;
use super::exceptions::{Exception, steps_between};

/// The largest exponent: 10^22 is the last power of ten that a double holds exactly.
pub(super) const EXPONENT_MAX: usize = 22;

const POWERS: [f64; EXPONENT_MAX + 1] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// 1.5 * 2^52: added to a double below 2^51, it leaves the rounded integer in the low bits.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// Integers that a double holds exactly are below this in magnitude: 2^53.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// `i as f64`, in operations that vectorise without 64-bit conversions in the instruction set.
///
/// The low half becomes 2^52 + low, the high half 2^84 + 2^63 + high * 2^32, both exact; only the
/// last addition rounds, once, as the conversion does.
#[inline(always)]
fn to_f64(i: i64) -> f64 {
    let low = f64::from_bits((i as u64 & 0xffff_ffff) | 0x4330_0000_0000_0000);
    let high = f64::from_bits((i as u64 >> 32) ^ 0x4530_0000_8000_0000);
    // 2^84 + 2^63 + 2^52
    (high - f64::from_bits(0x4530_0000_8010_0000)) + low
}

/// The doubles of `ints` at `exponent`.
pub(super) fn decode(ints: &[i64], exponent: usize, out: &mut [f64]) {
    if exponent == 0 {
        for (value, &int) in out.iter_mut().zip(ints) {
            *value = to_f64(int);
        }
    } else {
        let power = POWERS[exponent];
        for (value, &int) in out.iter_mut().zip(ints) {
            *value = to_f64(int) / power;
        }
    }
}

/// The double of one integer at `exponent`.
pub(super) fn decode_one(int: i64, exponent: usize) -> f64 {
    to_f64(int) / POWERS[exponent]
}

/// The integer of `value` at `exponent`, if it is one.
pub(super) fn encode_one(value: f64, exponent: usize) -> Option<i64> {
    let scaled = value * POWERS[exponent];
    let int = if scaled.abs() < ROUNDER / 3.0 {
        round(scaled)
    } else if scaled.abs() < EXACT_MAX {
        scaled as i64
    } else {
        return None;
    };
    (decode_one(int, exponent).to_bits() == value.to_bits()).then_some(int)
}

/// The integer next to `scaled`, which is below 2^51 in magnitude; nonsense above.
#[inline(always)]
fn round(scaled: f64) -> i64 {
    (scaled + ROUNDER).to_bits().wrapping_sub(ROUNDER.to_bits()) as i64
}

/// The smallest exponent at which `value` is a decimal. `hint` is where to look first.
pub(super) fn min_exponent(value: f64, hint: usize) -> Option<usize> {
    let is_at = |e: usize| encode_one(value, e).is_some();
    if is_at(hint) && (hint == 0 || !is_at(hint - 1)) {
        return Some(hint);
    }
    if !value.is_finite() {
        return None;
    }
    (0..=EXPONENT_MAX).take_while(|&e| value.abs() * POWERS[e] < EXACT_MAX).find(|&e| is_at(e))
}

/// Finds the exponent of a column and converts it. Reusable scratch.
pub(super) struct DecimalEncoder {
    /// The integers of the last conversion; at the holes they repeat their neighbour.
    pub(super) ints: Vec<i64>,
    /// Rows of the last conversion that are not exactly the decimal of their integer, ascending.
    pub(super) exceptions: Vec<(u32, Exception)>,
    /// Those among them whose integer means nothing.
    pub(super) holes: Vec<u32>,
    hint: usize,
}

/// Values looked at before the rest, to choose the exponent.
const SAMPLE_ROWS: usize = 24;

impl DecimalEncoder {
    pub(super) fn new() -> Self {
        Self {
            ints: Vec::with_capacity(SUB_BLOCK_ROWS),
            exceptions: Vec::with_capacity(SUB_BLOCK_ROWS),
            holes: Vec::with_capacity(SUB_BLOCK_ROWS),
            hint: 0,
        }
    }

    /// Converts `values` at the exponent that it returns; `None` if most of them are no decimals.
    pub(super) fn encode(&mut self, values: &[f64]) -> Option<usize> {
        let step = values.len().div_ceil(SAMPLE_ROWS);
        let guess = self.choose(values.iter().copied().step_by(step));
        if let Some(exponent) = guess {
            self.convert(values, exponent);
            if self.exceptions.len() <= values.len() / 32 {
                return guess;
            }
        }
        if step == 1 {
            return guess;
        }
        // The sample misled: look at every value.
        let exponent = self.choose(values.iter().copied())?;
        self.convert(values, exponent);
        Some(exponent)
    }

    /// The exponent with the least of bits for digits plus bits for exceptions.
    fn choose(&mut self, values: impl Iterator<Item = f64>) -> Option<usize> {
        const BITS_PER_DIGIT: f64 = 3.32;
        const BITS_PER_EXCEPTION: f64 = 74.0;
        let mut decimals = [0u32; EXPONENT_MAX + 1];
        let mut total = 0;
        for value in values {
            total += 1;
            if let Some(exponent) = min_exponent(value, self.hint) {
                self.hint = exponent;
                decimals[exponent] += 1;
            }
        }
        let mut best: Option<(f64, usize, u32)> = None;
        let mut covered = 0;
        for (exponent, &count) in decimals.iter().enumerate().filter(|&(_, &c)| c > 0) {
            covered += count;
            let cost = f64::from(covered) * BITS_PER_DIGIT * exponent as f64
                + f64::from(total - covered) * BITS_PER_EXCEPTION;
            if best.is_none_or(|(least, ..)| cost < least) {
                best = Some((cost, exponent, covered));
            }
        }
        best.filter(|&(.., covered)| 2 * covered >= total).map(|(_, exponent, _)| exponent)
    }

    fn convert(&mut self, values: &[f64], exponent: usize) {
        let power = POWERS[exponent];
        self.holes.clear();
        self.exceptions.clear();
        self.ints.clear();
        let mut differing = 0u64;
        self.ints.extend(values.iter().map(|&value| {
            let int = round(value * power);
            differing |= (to_f64(int) / power).to_bits() ^ value.to_bits();
            int
        }));
        if differing != 0 {
            self.convert_with_exceptions(values, exponent);
        }
    }

    fn convert_with_exceptions(&mut self, values: &[f64], exponent: usize) {
        let mut last = values.iter().find_map(|&v| nearest(v, exponent)).map_or(0, |(i, _)| i);
        for (row, (&value, int)) in values.iter().zip(&mut self.ints).enumerate() {
            match nearest(value, exponent) {
                Some((i, steps)) => {
                    last = i;
                    if steps != 0 {
                        self.exceptions.push((row as u32, Exception::Near(steps)));
                    }
                }
                None => {
                    self.exceptions.push((row as u32, Exception::Bits(value.to_bits())));
                    self.holes.push(row as u32);
                }
            }
            *int = last;
        }
    }
}

/// The integer whose decimal is nearest to `value`, and the steps from that to `value`, if few.
fn nearest(value: f64, exponent: usize) -> Option<(i64, i64)> {
    if let Some(int) = encode_one(value, exponent) {
        return Some((int, 0));
    }
    let scaled = value * POWERS[exponent];
    if value == 0.0 || !scaled.is_finite() || scaled.abs() >= ROUNDER / 3.0 {
        return None;
    }
    let int = round(scaled);
    steps_between(decode_one(int, exponent), value).map(|steps| (int, steps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn conversion_is_the_languages_own() {
        let mut edges: Vec<i64> = (0..63).flat_map(|s| [(1 << s) - 1, 1 << s]).collect();
        edges.extend([i64::MAX, i64::MIN, i64::MIN + 1, (1 << 53) + 1, (1 << 60) + (1 << 6)]);
        for i in edges.iter().flat_map(|&i| [i, i.wrapping_neg()]) {
            assert_eq!(to_f64(i).to_bits(), (i as f64).to_bits(), "{i}");
        }
    }

    #[test]
    fn short_decimals_have_their_digits() {
        for (value, exponent, int) in [
            (0.0, 0, 0),
            (1.5, 1, 15),
            (-0.1, 1, -1),
            (0.000_023_804, 9, 23_804),
            (9_007_199_254_740_991.0, 0, 9_007_199_254_740_991),
            (-4_503_599_627_370_497.0, 0, -4_503_599_627_370_497),
            (1e-22, 22, 1),
        ] {
            for hint in [0, 5, 22] {
                assert_eq!(min_exponent(value, hint), Some(exponent), "{value} from {hint}");
            }
            assert_eq!(encode_one(value, exponent), Some(int));
            assert_eq!(decode_one(int, exponent).to_bits(), value.to_bits());
        }
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        let stale = f64::from_bits(0x7ff0_0000_0000_0002);
        for value in [-0.0, f64::NAN, stale, f64::INFINITY, 1e300, 5e-324, 0.1 + 0.2, 2f64.powi(53)]
        {
            assert_eq!(min_exponent(value, 0), None, "{value}");
            assert_eq!(min_exponent(value, 17), None, "{value}");
        }
    }

    #[test]
    fn exceptions_leave_holes_that_repeat_their_neighbour() {
        let mut encoder = DecimalEncoder::new();
        let values = [f64::NAN, 0.5, 0.25, -0.0, 3.0, 1.25, f64::INFINITY];
        assert_eq!(encoder.encode(&values), Some(2));
        assert_eq!(encoder.holes, [0, 3, 6]);
        assert_eq!(encoder.ints, [50, 50, 25, 25, 300, 125, 125]);
    }

    #[test]
    fn a_few_long_numbers_do_not_lengthen_the_rest() {
        let mut values: Vec<f64> = (0..1000).map(|i| f64::from(i) / 10.0).collect();
        values[500] = 0.123_456_789_012_345;
        let mut encoder = DecimalEncoder::new();
        assert_eq!(encoder.encode(&values), Some(1));
        assert_eq!(encoder.holes, [500]);
    }

    proptest! {
        #[test]
        fn the_hint_changes_nothing(int in -(1i64 << 53)..1 << 53, e in 0usize..=22, hint in 0usize..=22) {
            let value = decode_one(int, e);
            prop_assert_eq!(min_exponent(value, hint), min_exponent(value, 0));
        }

        #[test]
        fn integers_convert_as_the_language_does(i: i64) {
            prop_assert_eq!(to_f64(i).to_bits(), (i as f64).to_bits());
        }
    }
}
