//! One wrong bit in a manifest, found and set right.
//!
//! Called by `salvage` alone, of bytes whose checksum does not match.
//!
//! A CRC tells more than that something is wrong: the CRC of a message with one wrong bit differs from that
//! of the right message by a value that depends only on how far the bit is from the end (Peterson and Brown,
//! "Cyclic Codes for Error Detection", 1961). With CRC32C no two places of a frame have the same value, so that
//! one wrong bit has one place. Other damage passes for one wrong bit with a chance of the number of bits in
//! 2^32, one in a million for a frame of 500 bytes; what is mended must then still be an edit that may follow the
//! one before it.

use super::frame;
use super::header::{HEADER_BYTES, Header};

/// CRC32C, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The header that `bytes` hold but for one bit, and the byte in which that is.
pub(super) fn header(bytes: &[u8]) -> Option<(Header, usize)> {
    let mut bytes: [u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
    (0..8 * HEADER_BYTES).find_map(|bit| {
        bytes[bit / 8] ^= 1 << (bit % 8);
        let found = Header::decode(&bytes).ok();
        bytes[bit / 8] ^= 1 << (bit % 8);
        found.map(|header| (header, bit / 8))
    })
}

/// The frame that `bytes` start with but for one bit, and the byte in which that is.
pub(super) fn frame(seed: u32, bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let bit = wrong_bit(seed, bytes)?;
    let mut mended = bytes.to_vec();
    mended[bit / 8] ^= 1 << (bit % 8);
    let len = frame::decode(seed, &mended).ok()?.bytes;
    mended.truncate(len);
    Some((mended, bit / 8))
}

fn wrong_bit(seed: u32, bytes: &[u8]) -> Option<usize> {
    let head = frame::FRAME_HEADER_BYTES;
    let Some((payload, expected, found)) = frame::payload_checks(seed, bytes) else {
        // The header is wrong, or longer than the file.
        let mut header = bytes.get(..head)?.to_vec();
        return (0..8 * head).find(|bit| {
            header[bit / 8] ^= 1 << (bit % 8);
            let is_right = frame::is_header(seed, &header);
            header[bit / 8] ^= 1 << (bit % 8);
            is_right
        });
    };
    match expected == found {
        false => place_of(expected ^ found, payload).map(|bit| 8 * head + bit),
        // What is wrong is the padding.
        true => {
            let end = head + payload;
            let padding = bytes.get(end..end.next_multiple_of(8))?;
            let byte = padding.iter().position(|&byte| byte != 0)?;
            Some(8 * (end + byte) + padding[byte].trailing_zeros() as usize)
        }
    }
}

/// The bit of a message of `len` bytes that, when it is wrong, changes the CRC by `difference`.
fn place_of(difference: u32, len: usize) -> Option<usize> {
    // By bit of a byte; first of the last byte of the message.
    let mut changes: [u32; 8] = std::array::from_fn(|bit| shifted(1 << bit));
    for byte in (0..len).rev() {
        if let Some(bit) = changes.iter().position(|&change| change == difference) {
            return Some(8 * byte + bit);
        }
        // One byte further from the end.
        changes = changes.map(shifted);
    }
    None
}

/// The CRC register after a byte of zeros.
fn shifted(register: u32) -> u32 {
    (0..8).fold(register, |r, _| if r & 1 == 1 { (r >> 1) ^ POLYNOMIAL } else { r >> 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_single_bit_of_a_frame_is_mended_and_two_are_not() {
        for len in [0, 1, 7, 8, 300] {
            let payload: Vec<u8> = (0..len).map(|i| (i * 37) as u8).collect();
            let mut good = Vec::new();
            frame::encode(9, 4, &payload, &mut good);
            let frame_bytes = good.len();
            good.extend_from_slice(b"what follows it");
            for bit in 0..8 * frame_bytes {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                let (mended, at) = frame(9, &bad).unwrap_or_else(|| panic!("{len}: bit {bit}"));
                assert_eq!((mended.as_slice(), at), (&good[..frame_bytes], bit / 8), "{len}");
                bad[(bit / 8 + 5) % frame_bytes] ^= 16;
                assert_eq!(frame(9, &bad), None, "{len}: bit {bit} and another");
            }
            assert_eq!(frame(8, &good), None, "a frame of another manifest");
        }
        assert_eq!(frame(9, &[0; 64]), None);
        assert_eq!(frame(9, b""), None);
    }

    #[test]
    fn every_single_bit_of_a_header_is_mended() {
        let header = Header { uuid: [7; 16], number: 3, ticks_per_second: 1_000 };
        let good = header.encode();
        for bit in 0..8 * HEADER_BYTES {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(super::header(&bad), Some((header, bit / 8)));
        }
        assert_eq!(super::header(&[0; 56]), None);
        assert_eq!(super::header(&good[..55]), None);
    }
}
