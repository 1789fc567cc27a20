//! Rows that the decimals of their sub-block do not give exactly: the difference, or raw bits.
//!
//! A sum of doubles is often a decimal but for a few units in the last place: such a row keeps that
//! distance, a byte. Other rows (markers, NaN, -0.0) keep their bits, in runs of equal ones, so that
//! stale markers and stretches of NaN cost one entry each, and bits seen before cost a byte or two.
//! Applied last, over the decoded rows.

use super::ordered;
use crate::types::DecodeError;
use crate::types::varint::{get_i64, get_u64, put_i64, put_u64, take_array};

const RUN: u64 = 1;
const SAME_BITS: u64 = 2;
const NEAR: u64 = 4;
const FLAG_BITS: u32 = 3;

const WHAT: &str = "exception of a value";

/// Steps from one double to another are kept as such up to here; further apart, as bits.
const NEAR_MAX: u64 = 1 << 13;

/// How many doubles `to` lies above `from`, if they are near.
pub(super) fn steps_between(from: f64, to: f64) -> Option<i64> {
    let steps = ordered::from_bits(to.to_bits()).wrapping_sub(ordered::from_bits(from.to_bits()));
    (steps.unsigned_abs() < NEAR_MAX).then_some(steps)
}

/// What a row is but for its decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exception {
    /// The double so many steps above the decimal.
    Near(i64),
    /// These bits, whatever the decimal.
    Bits(u64),
}

/// Appends a list of (row, exception), rows ascending, not empty.
pub(super) fn put(list: &[(u32, Exception)], out: &mut Vec<u8>) {
    let is_run = |a: &(u32, Exception), b: &(u32, Exception)| b.0 == a.0 + 1 && b.1 == a.1;
    put_u64(out, list.chunk_by(is_run).count() as u64);
    let (mut next_row, mut last_bits) = (0, None);
    for run in list.chunk_by(is_run) {
        let (row, exception) = run[0];
        let mut head = u64::from(row - next_row) << FLAG_BITS;
        head |= if run.len() > 1 { RUN } else { 0 };
        head |= match exception {
            Exception::Near(_) => NEAR,
            Exception::Bits(bits) if last_bits == Some(bits) => SAME_BITS,
            Exception::Bits(_) => 0,
        };
        put_u64(out, head);
        if run.len() > 1 {
            put_u64(out, run.len() as u64 - 2);
        }
        match exception {
            Exception::Near(steps) => put_i64(out, steps),
            Exception::Bits(bits) => {
                if head & SAME_BITS == 0 {
                    out.extend_from_slice(&bits.to_le_bytes());
                }
                last_bits = Some(bits);
            }
        }
        next_row = row + run.len() as u32;
    }
}

/// Takes a list from `input` and applies it to `out`, which holds the decimals. Returns the number
/// of exceptional rows.
pub(super) fn take_and_apply(input: &mut &[u8], out: &mut [f64]) -> Result<usize, DecodeError> {
    let count = get_u64(input)?;
    if count == 0 || count > out.len() as u64 {
        return Err(DecodeError::Invalid(WHAT));
    }
    let (mut rest, mut bits, mut total) = (out, None, 0);
    for _ in 0..count {
        let head = get_u64(input)?;
        let len = if head & RUN == 0 { 1 } else { get_u64(input)?.saturating_add(2) };
        let (gap, left) = (head >> FLAG_BITS, rest.len() as u64);
        if gap > left || len > left - gap {
            return Err(DecodeError::Invalid(WHAT));
        }
        let (run, after) = rest[gap as usize..].split_at_mut(len as usize);
        match head & (NEAR | SAME_BITS) {
            NEAR => {
                let steps = get_i64(input)?;
                for value in run.iter_mut() {
                    let near = ordered::from_bits(value.to_bits()).wrapping_add(steps);
                    *value = f64::from_bits(ordered::to_bits(near));
                }
            }
            SAME_BITS => run.fill(bits.ok_or(DecodeError::Invalid(WHAT))?),
            0 => {
                let raw = f64::from_bits(u64::from_le_bytes(take_array(input, WHAT)?));
                bits = Some(raw);
                run.fill(raw);
            }
            _ => return Err(DecodeError::Invalid(WHAT)),
        }
        total += run.len();
        rest = after;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: Exception = Exception::Bits(0x7ff8_0000_0000_0000);
    const NAN_BYTES: [u8; 8] = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];

    fn round_trip(rows: usize, list: &[(u32, Exception)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(list, &mut bytes);
        let mut expected = vec![1.5f64; rows];
        for &(row, exception) in list {
            expected[row as usize] = match exception {
                Exception::Near(steps) => f64::from_bits((1.5f64.to_bits() as i64 + steps) as u64),
                Exception::Bits(bits) => f64::from_bits(bits),
            };
        }
        let mut out = vec![1.5; rows];
        let mut input = &bytes[..];
        assert_eq!(take_and_apply(&mut input, &mut out), Ok(list.len()));
        assert!(input.is_empty());
        let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(&expected));
        bytes
    }

    #[test]
    fn runs_repeats_and_near_decimals_are_short() {
        let near = Exception::Near(-2);
        let list = [(1, NAN), (2, NAN), (3, NAN), (5, NAN), (6, near)];
        let expected = [&[3, 1 << 3 | 1, 1][..], &NAN_BYTES, &[1 << 3 | 2], &[4, 3]].concat();
        assert_eq!(round_trip(7, &list), expected);
        let all: Vec<_> = (0..1000).map(|row| (row, NAN)).collect();
        assert_eq!(round_trip(1000, &all).len(), 12);
    }

    #[test]
    fn steps_count_doubles_and_only_a_few() {
        assert_eq!(steps_between(0.3, 0.1 + 0.2), Some(1));
        assert_eq!(steps_between(0.0, -0.0), Some(-1));
        assert_eq!(steps_between(1.0, 1.1), None);
        assert_eq!(steps_between(1.0, f64::NAN), None);
        assert_eq!(steps_between(f64::NAN, -f64::NAN), None);
    }

    #[test]
    fn entries_outside_the_rows_and_unknown_flags_are_refused() {
        let overlong = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        for bytes in [
            [&[1, 4 << 3][..], &NAN_BYTES].concat(),
            [&[1, 1, 3][..], &NAN_BYTES].concat(),
            [&[1, 1][..], &overlong, &NAN_BYTES].concat(),
            vec![0],
            vec![5],
            vec![1, SAME_BITS as u8],
            vec![1, (SAME_BITS | NEAR) as u8, 0],
        ] {
            let applied = take_and_apply(&mut &bytes[..], &mut [0.0; 4]);
            assert_eq!(applied, Err(DecodeError::Invalid(WHAT)), "{bytes:?}");
        }
    }
}
