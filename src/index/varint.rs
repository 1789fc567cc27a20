//! LEB128 varints of at most 64 bits, strict: every number has one encoding.

use crate::types::DecodeError;

/// Appends `value` in as few bytes as it needs, 1 to 10.
pub(super) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The number of bytes that [`put_u64`] appends.
pub(super) fn len_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes one number off the front of `input`.
///
/// # Errors
/// Truncated, longer than it needs to be, or above `u64::MAX`.
pub(super) fn get_u64(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().enumerate() {
        let last = byte & 0x80 == 0;
        if i == 9 && byte > 1 || i > 0 && byte == 0 {
            return Err(DecodeError::Invalid("varint"));
        }
        value |= u64::from(byte & 0x7f) << (7 * i);
        if last {
            *input = &input[i + 1..];
            return Ok(value);
        }
    }
    Err(DecodeError::Truncated("varint"))
}

/// [`get_u64`] for a number that fits 32 bits.
pub(super) fn get_u32(input: &mut &[u8]) -> Result<u32, DecodeError> {
    u32::try_from(get_u64(input)?).map_err(|_| DecodeError::Invalid("varint"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_at_the_edges() {
        for bits in 0..=63 {
            for value in [(1u64 << bits) - 1, 1 << bits, u64::MAX >> bits] {
                let mut out = Vec::new();
                put_u64(&mut out, value);
                assert_eq!(out.len(), len_u64(value));
                let mut input = &out[..];
                assert_eq!(get_u64(&mut input), Ok(value));
                assert!(input.is_empty());
                assert!(get_u64(&mut &out[..out.len() - 1]).is_err());
            }
        }
    }

    #[test]
    fn only_the_shortest_encoding_is_read() {
        for bad in [&[0x80, 0x00][..], &[0xff, 0x80, 0x00], &[0xff; 11], &[0x80; 10]] {
            assert_eq!(get_u64(&mut &bad[..]), Err(DecodeError::Invalid("varint")), "{bad:?}");
        }
        let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        assert!(get_u64(&mut &over[..]).is_err());
        assert!(get_u32(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]).is_err());
    }
}
