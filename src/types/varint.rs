//! Variable-length integers: LEB128 (seven bits a byte, low bits first), signed ones by zigzag.
//!
//! Used by every format of the crate. There is exactly one encoding of each number: an overlong or
//! overflowing one is refused, so that equal values are equal bytes.

use super::DecodeError;

/// The most bytes that one number takes.
pub const VARINT_BYTES_MAX: usize = 10;

/// Appends `value`.
#[inline]
pub fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` in zigzag form, so that small numbers of either sign are short.
#[inline]
pub fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, zigzag(value));
}

/// Takes a number from the front of `input`.
///
/// # Errors
///
/// [`DecodeError::Truncated`] if the bytes end inside it, [`DecodeError::Invalid`] if it is
/// overlong or above `u64::MAX`. `input` is left where it was.
#[inline]
pub fn get_u64(input: &mut &[u8]) -> Result<u64, DecodeError> {
    match *input {
        [byte, rest @ ..] if *byte < 0x80 => {
            *input = rest;
            Ok(u64::from(*byte))
        }
        _ => get_long(input),
    }
}

/// Takes a number that fits 32 bits from the front of `input`.
///
/// # Errors
///
/// As [`get_u64`], and [`DecodeError::Invalid`] if it is larger; `input` is then behind it.
#[inline]
pub fn get_u32(input: &mut &[u8]) -> Result<u32, DecodeError> {
    u32::try_from(get_u64(input)?).map_err(|_| DecodeError::Invalid("varint"))
}

/// Takes a zigzag number from the front of `input`.
///
/// # Errors
///
/// As [`get_u64`].
#[inline]
pub fn get_i64(input: &mut &[u8]) -> Result<i64, DecodeError> {
    get_u64(input).map(unzigzag)
}

fn get_long(input: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            let overlong = byte == 0 && i > 0;
            let overflows = i == VARINT_BYTES_MAX - 1 && byte > 1;
            if overlong || overflows {
                return Err(DecodeError::Invalid("varint"));
            }
            *input = &input[i + 1..];
            return Ok(value);
        }
    }
    if input.len() < VARINT_BYTES_MAX {
        Err(DecodeError::Truncated("varint"))
    } else {
        Err(DecodeError::Invalid("varint"))
    }
}

/// Maps 0, -1, 1, -2, .. to 0, 1, 2, 3, ..
#[inline]
#[must_use]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// The inverse of [`zigzag`].
#[inline]
#[must_use]
pub fn unzigzag(value: u64) -> i64 {
    ((value >> 1) as i64) ^ -((value & 1) as i64)
}

/// How many bytes [`put_u64`] appends for `value`.
#[inline]
#[must_use]
pub fn len_u64(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Takes one byte, or `N` bytes, from the front of `input`.
#[inline]
pub(crate) fn take<'a>(
    input: &mut &'a [u8],
    len: usize,
    what: &'static str,
) -> Result<&'a [u8], DecodeError> {
    let (head, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated(what))?;
    *input = rest;
    Ok(head)
}

/// Takes a fixed number of bytes from the front of `input`.
#[inline]
pub(crate) fn take_array<const N: usize>(
    input: &mut &[u8],
    what: &'static str,
) -> Result<[u8; N], DecodeError> {
    let (head, rest) = input.split_first_chunk().ok_or(DecodeError::Truncated(what))?;
    *input = rest;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges() -> Vec<u64> {
        (0..64).flat_map(|s| [(1u64 << s) - 1, 1 << s, !0 >> s]).collect()
    }

    #[test]
    fn every_edge_round_trips_at_its_length() {
        for value in edges() {
            let mut bytes = Vec::new();
            put_u64(&mut bytes, value);
            assert_eq!(bytes.len(), len_u64(value), "{value:#x}");
            for cut in 0..bytes.len() {
                let mut input = &bytes[..cut];
                assert_eq!(get_u64(&mut input), Err(DecodeError::Truncated("varint")));
                assert_eq!(input.len(), cut, "a failed read moves nothing");
            }
            bytes.push(0xff);
            let mut input = &bytes[..];
            assert_eq!(get_u64(&mut input), Ok(value));
            assert_eq!(input, [0xff]);
            assert_eq!(unzigzag(zigzag(value as i64)), value as i64);
        }
    }

    #[test]
    fn signed_numbers_near_zero_are_one_byte() {
        for value in -64..64 {
            let mut bytes = Vec::new();
            put_i64(&mut bytes, value);
            assert_eq!(bytes.len(), 1, "{value}");
            assert_eq!(get_i64(&mut &bytes[..]), Ok(value));
        }
    }

    #[test]
    fn there_is_one_encoding_of_each_number() {
        let invalid: [&[u8]; 5] = [
            &[0x80, 0x00],
            &[0xff, 0x80, 0x00],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x80; 10],
        ];
        for bytes in invalid {
            assert_eq!(get_u64(&mut &*bytes), Err(DecodeError::Invalid("varint")), "{bytes:x?}");
        }
    }

    #[test]
    fn numbers_beyond_32_bits_are_refused_where_32_are_wanted() {
        assert_eq!(get_u32(&mut &[0xff, 0xff, 0xff, 0xff, 0x0f][..]), Ok(u32::MAX));
        let beyond = &[0x80, 0x80, 0x80, 0x80, 0x10][..];
        assert_eq!(get_u32(&mut &*beyond), Err(DecodeError::Invalid("varint")));
    }

    proptest! {
        #[test]
        fn what_decodes_re_encodes_to_the_same_bytes(bytes: [u8; 11]) {
            let mut input = &bytes[..];
            if let Ok(value) = get_u64(&mut input) {
                let mut again = Vec::new();
                put_u64(&mut again, value);
                prop_assert_eq!(&bytes[..bytes.len() - input.len()], &again[..]);
            }
        }
    }
}
