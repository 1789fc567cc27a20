//! Values that the mode of their sub-block cannot express, kept as raw bits beside it.
//!
//! A list of runs of equal bits, in row order, so that stale markers and stretches of NaN cost one
//! entry each, and a marker seen before costs a byte or two. Applied last, over the decoded rows.

use super::varint::{get_u64, put_u64, take_array};
use crate::types::DecodeError;

const RUN: u64 = 1;
const SAME_BITS: u64 = 2;
const GAP_SHIFT: u32 = 2;

/// Appends the runs of `values` at `rows` (ascending, not empty).
pub(super) fn put(values: &[f64], rows: &[u32], out: &mut Vec<u8>) {
    let bits_of = |row: u32| values[row as usize].to_bits();
    let run_end = |&(a, b): &(&u32, &u32)| *b != *a + 1 || bits_of(*a) != bits_of(*b);
    put_u64(out, 1 + rows.iter().zip(&rows[1..]).filter(run_end).count() as u64);
    let (mut next_row, mut last_bits) = (0, None);
    for run in rows.chunk_by(|&a, &b| b == a + 1 && bits_of(a) == bits_of(b)) {
        let bits = bits_of(run[0]);
        let is_run = if run.len() > 1 { RUN } else { 0 };
        let is_same = if last_bits == Some(bits) { SAME_BITS } else { 0 };
        put_u64(out, u64::from(run[0] - next_row) << GAP_SHIFT | is_same | is_run);
        if run.len() > 1 {
            put_u64(out, run.len() as u64 - 2);
        }
        if is_same == 0 {
            out.extend_from_slice(&bits.to_le_bytes());
        }
        next_row = run[0] + run.len() as u32;
        last_bits = Some(bits);
    }
}

/// Takes the runs from `input` and hands each to `visit` as (first row, rows, bits). Every run lies
/// within `rows`. Returns the number of exceptional rows.
pub(super) fn take_runs(
    input: &mut &[u8],
    rows: usize,
    mut visit: impl FnMut(usize, usize, u64),
) -> Result<usize, DecodeError> {
    const WHAT: &str = "exception of a value";
    let count = get_u64(input)?;
    if count == 0 || count > rows as u64 {
        return Err(DecodeError::Invalid(WHAT));
    }
    let (mut next_row, mut bits, mut total) = (0, None, 0);
    for _ in 0..count {
        let head = get_u64(input)?;
        let len = if head & RUN == 0 { 1 } else { get_u64(input)?.saturating_add(2) };
        let left = (rows - next_row) as u64;
        let gap = head >> GAP_SHIFT;
        if gap > left || len > left - gap {
            return Err(DecodeError::Invalid(WHAT));
        }
        if head & SAME_BITS == 0 {
            bits = Some(u64::from_le_bytes(take_array(input, WHAT)?));
        }
        let bits = bits.ok_or(DecodeError::Invalid(WHAT))?;
        let (first, len) = (next_row + gap as usize, len as usize);
        visit(first, len, bits);
        next_row = first + len;
        total += len;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAN: f64 = f64::NAN;

    fn round_trip(values: &[f64], rows: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        put(values, rows, &mut bytes);
        let mut read = vec![];
        let mut input = &bytes[..];
        let total = take_runs(&mut input, values.len(), |first, len, bits| {
            read.extend((first..first + len).map(|row| (row as u32, bits)));
        });
        assert_eq!(total, Ok(rows.len()));
        assert!(input.is_empty());
        let expected: Vec<_> = rows.iter().map(|&r| (r, values[r as usize].to_bits())).collect();
        assert_eq!(read, expected);
        bytes
    }

    #[test]
    fn runs_and_repeats_are_short() {
        let bytes = round_trip(&[0.0, NAN, NAN, NAN, 0.0, NAN, -0.0], &[1, 2, 3, 5, 6]);
        let nan = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];
        let minus_zero = [0, 0, 0, 0, 0, 0, 0, 0x80];
        let expected = [&[3, 1 << 2 | 1, 1][..], &nan, &[1 << 2 | 2], &[0], &minus_zero].concat();
        assert_eq!(bytes, expected);
        assert_eq!(round_trip(&[NAN; 1000], &(0..1000).collect::<Vec<_>>()).len(), 12);
    }

    #[test]
    fn runs_outside_the_rows_are_refused() {
        let nan = [0, 0, 0, 0, 0, 0, 0xf8, 0x7f];
        for (bytes, rows) in [
            ([&[1, 4 << 2][..], &nan].concat(), 4),
            ([&[1, 1, 3][..], &nan].concat(), 4),
            (
                [&[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1][..], &nan]
                    .concat(),
                4,
            ),
            (vec![0], 4),
            (vec![5], 4),
            (vec![1, 2], 4),
        ] {
            let visited = take_runs(&mut &bytes[..], rows, |_, _, _| panic!("accepted"));
            assert_eq!(visited, Err(DecodeError::Invalid("exception of a value")), "{bytes:?}");
        }
    }
}
