//! A frame: one version edit in its envelope. Encodes frames, and walks those of a file up to the
//! torn tail; tells a torn tail from damage.

use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields};

const MAGIC: [u8; 4] = *b"EDIT";
const FRAME_HEADER_BYTES: usize = 24;
/// The longest payload of a frame in bytes.
pub(super) const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// Appends a frame to `out`, whose length must be a multiple of 8, as it stays.
pub(super) fn encode(seed: u32, edit_number: u64, payload: &[u8], out: &mut Vec<u8>) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "callers check the payload's length");
    assert_eq!(out.len() % 8, 0, "frames are aligned");
    let start = out.len();
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&edit_number.to_le_bytes());
    out.extend_from_slice(&crc32c(seed, payload).to_le_bytes());
    let crc = crc32c(seed, &out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(payload);
    out.resize(out.len().next_multiple_of(8), 0);
}

/// A valid frame in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) edit_number: u64,
    pub(super) payload: &'a [u8],
    /// The length of the frame in bytes, padding included.
    pub(super) bytes: usize,
}

/// Decodes the frame that `bytes` starts with.
pub(super) fn decode(seed: u32, bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let mut fields = Fields::new(bytes);
    if fields.array("frame header")? != MAGIC {
        return Err(DecodeError::Invalid("magic of a frame"));
    }
    let payload_bytes = fields.u32("frame header")? as usize;
    let edit_number = fields.u64("frame header")?;
    let payload_crc = fields.u32("frame header")?;
    if fields.u32("frame header")? != crc32c(seed, &bytes[..FRAME_HEADER_BYTES - 4]) {
        return Err(DecodeError::Checksum("frame header"));
    }
    if payload_bytes > PAYLOAD_BYTES_MAX {
        return Err(DecodeError::Invalid("length of a frame"));
    }
    let payload = fields.bytes(payload_bytes, "frame payload")?;
    if crc32c(seed, payload) != payload_crc {
        return Err(DecodeError::Checksum("frame payload"));
    }
    let frame_bytes = (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(8);
    fields.zeros(frame_bytes - FRAME_HEADER_BYTES - payload_bytes, "padding of a frame")?;
    Ok(Frame { edit_number, payload, bytes: frame_bytes })
}

/// Whether a valid frame starts at a multiple of 8 in `bytes`, after its beginning.
///
/// Only a header that validates makes this look at a payload, so that the walk is linear for
/// anything but a file made to defeat it, and there the seed is in the way.
pub(super) fn follows(seed: u32, bytes: &[u8]) -> bool {
    (8..bytes.len()).step_by(8).any(|at| decode(seed, &bytes[at..]).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(5, 9, payload, &mut out);
        out
    }

    #[test]
    fn round_trip() {
        for length in 0..20 {
            let payload = vec![0xAB; length];
            let bytes = frame(&payload);
            let found = decode(5, &bytes).unwrap();
            assert_eq!((found.edit_number, found.payload), (9, &payload[..]));
            assert_eq!(found.bytes, bytes.len());
            assert_eq!(bytes.len() % 8, 0);
        }
    }

    #[test]
    fn every_bit_and_every_cut_is_noticed() {
        let good = frame(b"siltstone");
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(5, &bad).is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(decode(5, &good[..cut]).is_err(), "cut at {cut}");
        }
        assert!(decode(6, &good).is_err(), "another store's frame");
        assert!(decode(5, &[0; 64]).is_err(), "zeros");
    }

    #[test]
    fn a_later_frame_is_found_and_the_first_does_not_count() {
        let mut bytes = frame(b"one");
        assert!(!follows(5, &bytes));
        bytes[30] ^= 1;
        bytes.extend_from_slice(&[0; 16]);
        assert!(!follows(5, &bytes));
        bytes.extend_from_slice(&frame(b"two"));
        assert!(follows(5, &bytes));
    }

    #[test]
    fn a_length_that_the_file_has_not_is_not_believed() {
        let mut bytes = frame(b"");
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let crc = crc32c(5, &bytes[..20]);
        bytes[20..24].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(decode(5, &bytes), Err(DecodeError::Invalid("length of a frame")));
    }
}
