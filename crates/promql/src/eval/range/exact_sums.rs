//! Sums of whole numbers, which floats add up without an error.
//!
//! Counters and many gauges are whole numbers. As long as no sum of their magnitudes exceeds 2^53 every
//! partial sum is a float, in whatever order they are added: a compensated sum has no error to
//! compensate. So the sum of a window is the difference of two sums from the start of the series, which
//! elsewhere would not be allowed, and has the same bits as a sum of its samples one after the other.

use super::window::Run;

/// Up to here every whole number is a float.
const WHOLE_MAX: u64 = 1 << 53;

/// Whether floats add up to the same bits in whatever order these values are added.
pub(crate) fn are_added_exactly<'v>(values: impl IntoIterator<Item = &'v f64>) -> bool {
    let (mut magnitude, mut are_whole) = (0u64, true);
    for value in values {
        let whole = *value as i64;
        are_whole &= (whole as f64).to_bits() == value.to_bits();
        magnitude = magnitude.saturating_add(whole.unsigned_abs());
    }
    are_whole && magnitude <= WHOLE_MAX
}

/// Sums from the start of a column.
#[derive(Debug)]
pub(super) struct ExactSums<'s> {
    /// At `i` the sum of the first `i` values.
    before: &'s [i64],
}

impl<'s> ExactSums<'s> {
    /// The sums of `values`; `None` if one of them is no whole number, or a negative zero, or if sums
    /// may be rounded. `memory` holds them.
    pub(super) fn new(values: &[f64], memory: &'s mut Vec<i64>) -> Option<Self> {
        // Gauges of fractions leave at their first value.
        if values.first().is_some_and(|first| *first as i64 as f64 != *first) {
            return None;
        }
        memory.clear();
        memory.resize(values.len() + 1, 0);
        let (mut sum, mut magnitude, mut are_whole) = (0i64, 0u64, true);
        for (slot, value) in memory[1..].iter_mut().zip(values) {
            let whole = *value as i64;
            // Also of infinities, NaNs and -0.0 the bits differ.
            are_whole &= (whole as f64).to_bits() == value.to_bits();
            magnitude = magnitude.saturating_add(whole.unsigned_abs());
            sum = sum.wrapping_add(whole);
            *slot = sum;
        }
        (are_whole && magnitude <= WHOLE_MAX).then_some(Self { before: memory })
    }

    /// The sums of the values that come before a smaller one, which is what a counter held before it
    /// was reset; under the same condition, for all of `values`.
    pub(super) fn of_resets(values: &[f64], memory: &'s mut Vec<i64>) -> Option<Self> {
        ExactSums::new(values, memory)?;
        let (mut dropped, mut before) = (0, f64::NEG_INFINITY);
        for (sum, value) in memory.iter_mut().zip(values) {
            // Without a branch: a gauge falls as often as it rises.
            dropped += if *value < before { before as i64 } else { 0 };
            *sum = dropped;
            before = *value;
        }
        Some(Self { before: memory })
    }

    /// The sum over the resets between the samples of `run`, which is not empty, where `self` is
    /// [`of_resets`](Self::of_resets).
    #[inline]
    pub(super) fn between(&self, run: Run) -> f64 {
        (self.before[run.end - 1] - self.before[run.first]) as f64
    }

    /// The sum of the values in `run`.
    #[inline]
    pub(super) fn of(&self, run: Run) -> f64 {
        (self.before[run.end] - self.before[run.first]) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64], first: usize, end: usize) -> Option<f64> {
        let mut memory = vec![7];
        let sums = ExactSums::new(values, &mut memory);
        sums.map(|sums| sums.of(Run { first, end }))
    }

    #[test]
    fn whole_numbers_are_added_exactly() {
        assert_eq!(sum(&[1.0, -5.0, 7.0], 0, 3), Some(3.0));
        assert_eq!(sum(&[1.0, -5.0, 7.0], 1, 2), Some(-5.0));
        assert_eq!(sum(&[1.0, 2.0], 1, 1), Some(0.0));
        let half = (WHOLE_MAX / 2) as f64;
        assert_eq!(sum(&[half, half], 0, 2), Some(WHOLE_MAX as f64));
    }

    #[test]
    fn resets_are_between_samples() {
        let mut memory = Vec::new();
        let sums = ExactSums::of_resets(&[5.0, 3.0, 4.0, 4.0, 1.0], &mut memory).unwrap();
        let between = |first, end| sums.between(Run { first, end });
        assert_eq!(between(0, 5), 9.0);
        assert_eq!((between(0, 1), between(0, 2), between(1, 4)), (0.0, 5.0, 0.0));
        assert_eq!(between(3, 5), 4.0);
        assert!(ExactSums::of_resets(&[5.0, 0.5], &mut Vec::new()).is_none());
        assert!(ExactSums::of_resets(&[0.5], &mut Vec::new()).is_none());
    }

    #[test]
    fn what_may_be_rounded_is_not_taken() {
        assert!(are_added_exactly(&[1.0, -2.0, (WHOLE_MAX / 2) as f64]));
        let half = (WHOLE_MAX / 2) as f64;
        for values in [
            &[0.1][..],
            &[-0.0],
            &[f64::NAN],
            &[f64::INFINITY],
            &[1e300],
            &[half, half, 1.0],
            &[half, -half, 1.0],
            &[i64::MIN as f64, i64::MIN as f64, i64::MIN as f64],
        ] {
            assert_eq!(sum(values, 0, 1), None, "{values:?}");
            assert!(!are_added_exactly(values), "{values:?}");
        }
    }
}
