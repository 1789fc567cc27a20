//! Sums of whole numbers, which floats add up without an error.
//!
//! Counters and many gauges are whole numbers. As long as the sum of their magnitudes is small enough every
//! partial sum is a float, in whatever order they are added: a compensated sum has no error to
//! compensate. So the sum of a window is the difference of two sums from the start of the series, which
//! elsewhere would not be allowed, and has the same bits as a sum of its samples one after the other.

use super::window::Run;

/// Up to here sums of magnitudes are taken: 2^51, so that all numbers have a place below [`SHIFT`].
const WHOLE_MAX: f64 = (1u64 << 51) as f64;
/// Added to a number of a magnitude up to 2^51, it leaves no bit for a fraction, and the number itself in
/// the low bits.
const SHIFT: f64 = (3u64 << 51) as f64;
/// Values that are looked at before it is asked whether all are whole.
const BLOCK: usize = 256;
/// Values that are looked at at a time.
const LANES: usize = 8;

/// A whole number of a magnitude up to 2^51.
#[inline]
fn whole(value: f64) -> i64 {
    (value + SHIFT).to_bits().wrapping_sub(SHIFT.to_bits()) as i64
}

/// Whether floats add up to the same bits in whatever order these values are added: all are whole numbers,
/// none is a negative zero, and their magnitudes add up to no more than 2^51.
pub(crate) fn are_added_exactly(values: &[f64]) -> bool {
    magnitude(values).is_some_and(|sum| sum <= WHOLE_MAX)
}

/// The same of all values but those that are left out, which are no numbers.
pub(crate) fn are_added_exactly_without(values: &[f64], is_left_out: impl Fn(f64) -> bool) -> bool {
    // Mostly there are none.
    if are_added_exactly(values) {
        return true;
    }
    let parts = values.split(|value| is_left_out(*value)).map(magnitude);
    parts.sum::<Option<f64>>().is_some_and(|sum| sum <= WHOLE_MAX)
}

/// The sum of magnitudes, if all values are whole numbers or it is more than 2^51 (or no number).
fn magnitude(values: &[f64]) -> Option<f64> {
    // Sums of whole numbers are exact as long as they are small enough, in whatever order.
    let mut sums = [0.0f64; LANES];
    for block in values.chunks(BLOCK) {
        let mut differ = 0u64;
        let mut look = |sum: &mut f64, value: f64| {
            *sum += value.abs();
            // Of -0.0 the bits differ as well.
            differ |= ((value + SHIFT) - SHIFT).to_bits() ^ value.to_bits();
        };
        let (lanes, rest) = block.as_chunks::<LANES>();
        for values in lanes {
            sums.iter_mut().zip(values).for_each(|(sum, value)| look(sum, *value));
        }
        sums.iter_mut().zip(rest).for_each(|(sum, value)| look(sum, *value));
        if differ != 0 {
            return None;
        }
    }
    Some(sums.iter().sum())
}

/// The sum of values that are added exactly.
fn sum_of(values: &[f64]) -> f64 {
    let (rows, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0f64; LANES];
    for row in rows {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    sums.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Writes the sum of the values up to each. A loop of its own: inlined, it spills registers.
#[inline(never)]
fn add_up(values: &[f64], sums: &mut [i64]) {
    let mut sum = 0;
    for (slot, value) in sums.iter_mut().zip(values) {
        sum += whole(*value);
        *slot = sum;
    }
}

/// Writes for each value the sum of those up to there that come before a smaller one.
#[inline(never)]
fn add_up_resets(values: &[f64], sums: &mut [i64]) {
    let (mut dropped, mut before) = (0, 0);
    for (slot, value) in sums.iter_mut().zip(values) {
        let value = whole(*value);
        // By the sign of the difference, and not with a branch: a gauge falls as often as it rises. The
        // first falls from nothing.
        dropped += before & ((value - before) >> 63);
        *slot = dropped;
        before = value;
    }
}

/// Sums of runs of a column.
#[derive(Debug)]
pub(super) enum ExactSums<'s> {
    /// Made for each run of its values.
    Values(&'s [f64]),
    /// At `i` the sum of the first `i` values.
    Before(&'s [i64]),
}

impl<'s> ExactSums<'s> {
    /// The sums of `values`, which [are added exactly](are_added_exactly), for runs that may overlap.
    /// `memory` holds them.
    pub(super) fn of_overlapping(values: &[f64], memory: &'s mut Vec<i64>) -> Self {
        memory.resize(values.len() + 1, 0);
        memory[0] = 0;
        add_up(values, &mut memory[1..]);
        Self::Before(memory)
    }

    /// The sum of the values in `run`.
    #[inline]
    pub(super) fn of(&self, run: Run) -> f64 {
        match self {
            Self::Values(values) => sum_of(run.of(values)),
            Self::Before(before) => (before[run.end] - before[run.first]) as f64,
        }
    }
}

/// What counters held before they were reset, summed up from the start of a column.
#[derive(Debug)]
pub(super) struct ExactResets<'s> {
    /// At `i` the sum of the values up to `i` that come before a smaller one.
    dropped: &'s [i64],
}

impl<'s> ExactResets<'s> {
    /// Of `values`; `None` if sums of them may be rounded. `memory` holds them.
    pub(super) fn new(values: &[f64], memory: &'s mut Vec<i64>) -> Option<Self> {
        if !are_added_exactly(values) {
            return None;
        }
        memory.resize(values.len(), 0);
        add_up_resets(values, memory);
        Some(Self { dropped: memory })
    }

    /// The sum over the resets between the samples of `run`, which is not empty.
    #[inline]
    pub(super) fn between(&self, run: Run) -> f64 {
        (self.dropped[run.end - 1] - self.dropped[run.first]) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(values: &[f64], first: usize, end: usize) -> Option<f64> {
        are_added_exactly(values).then(|| {
            let run = Run { first, end };
            let mut memory = vec![7];
            let sum = ExactSums::of_overlapping(values, &mut memory).of(run);
            assert_eq!(sum.to_bits(), ExactSums::Values(values).of(run).to_bits());
            sum
        })
    }

    #[test]
    fn whole_numbers_are_added_exactly() {
        assert_eq!(sum(&[1.0, -5.0, 7.0], 0, 3), Some(3.0));
        assert_eq!(sum(&[1.0, -5.0, 7.0], 1, 2), Some(-5.0));
        assert_eq!(sum(&[1.0, 2.0], 1, 1), Some(0.0));
        let half = WHOLE_MAX / 2.0;
        assert_eq!(sum(&[half, half], 0, 2), Some(WHOLE_MAX));
        assert_eq!(sum(&[-half, -half], 0, 2), Some(-WHOLE_MAX));
        let many: Vec<f64> = (0..1000).map(|n| f64::from(n % 7 - 3)).collect();
        assert_eq!(sum(&many, 100, 900), Some(many[100..900].iter().sum()));
    }

    #[test]
    fn resets_are_between_samples() {
        let mut memory = Vec::new();
        let sums = ExactResets::new(&[5.0, 3.0, 4.0, 4.0, 1.0], &mut memory).unwrap();
        let between = |first, end| sums.between(Run { first, end });
        assert_eq!(between(0, 5), 9.0);
        assert_eq!((between(0, 1), between(0, 2), between(1, 4)), (0.0, 5.0, 0.0));
        assert_eq!(between(3, 5), 4.0);
        assert!(ExactResets::new(&[5.0, 0.5], &mut Vec::new()).is_none());
        assert!(ExactResets::new(&[0.5], &mut Vec::new()).is_none());
    }

    #[test]
    fn what_may_be_rounded_is_not_taken() {
        assert!(are_added_exactly(&[1.0, -2.0, WHOLE_MAX / 2.0]));
        let half = WHOLE_MAX / 2.0;
        assert!(are_added_exactly_without(&[half, f64::NAN, half], f64::is_nan));
        assert!(!are_added_exactly_without(&[half, f64::NAN, half, 1.0], f64::is_nan));
        for values in [
            &[0.1][..],
            &[-0.0],
            &[f64::NAN],
            &[f64::INFINITY],
            &[1e300],
            &[half, half, 1.0],
            &[half, -half, 1.0],
            &[i64::MIN as f64, i64::MIN as f64, i64::MIN as f64],
            &[2.0 * WHOLE_MAX],
            &[WHOLE_MAX - 0.5],
            &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 0.1],
            &[1.0, f64::NEG_INFINITY, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        ] {
            assert_eq!(sum(values, 0, 1), None, "{values:?}");
            assert!(!are_added_exactly(values), "{values:?}");
            assert!(!are_added_exactly_without(values, |_| false), "{values:?}");
        }
    }
}
