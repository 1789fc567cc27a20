//! A frame: one version edit in its envelope. Encodes frames, and walks those of a file up to the
//! torn tail; tells a torn tail from damage.

use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields};

const MAGIC: [u8; 4] = *b"EDIT";
/// Bytes of a frame in front of its payload.
pub(super) const FRAME_HEADER_BYTES: usize = 24;
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

/// What the header of a frame says.
struct FrameHeader {
    payload_bytes: usize,
    edit_number: u64,
    payload_crc: u32,
}

impl FrameHeader {
    fn decode(seed: u32, bytes: &[u8]) -> Result<Self, DecodeError> {
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
        Ok(Self { payload_bytes, edit_number, payload_crc })
    }
}

/// Decodes the frame that `bytes` starts with.
pub(super) fn decode(seed: u32, bytes: &[u8]) -> Result<Frame<'_>, DecodeError> {
    let header = FrameHeader::decode(seed, bytes)?;
    let mut fields = Fields::new(&bytes[FRAME_HEADER_BYTES..]);
    let payload = fields.bytes(header.payload_bytes, "frame payload")?;
    if crc32c(seed, payload) != header.payload_crc {
        return Err(DecodeError::Checksum("frame payload"));
    }
    let frame_bytes = (FRAME_HEADER_BYTES + payload.len()).next_multiple_of(8);
    fields.zeros(frame_bytes - FRAME_HEADER_BYTES - payload.len(), "padding of a frame")?;
    Ok(Frame { edit_number: header.edit_number, payload, bytes: frame_bytes })
}

/// Whether `bytes` start with the header of a frame, whatever follows.
pub(super) fn is_header(seed: u32, bytes: &[u8]) -> bool {
    FrameHeader::decode(seed, bytes).is_ok()
}

/// Of a frame whose header is valid and whose payload is there: the length of the payload in bytes, the
/// checksum that it should have, and the one that it has.
pub(super) fn payload_checks(seed: u32, bytes: &[u8]) -> Option<(usize, u32, u32)> {
    let header = FrameHeader::decode(seed, bytes).ok()?;
    let payload = bytes[FRAME_HEADER_BYTES..].get(..header.payload_bytes)?;
    Some((header.payload_bytes, header.payload_crc, crc32c(seed, payload)))
}

/// Where, at a multiple of 8 behind their beginning, the next valid frame starts in `bytes`.
///
/// Only a header that validates makes this look at a payload, so that the walk is linear for
/// anything but a file made to defeat it, and there the seed is in the way.
pub(super) fn next(seed: u32, bytes: &[u8]) -> Option<usize> {
    (8..bytes.len()).step_by(8).find(|&at| decode(seed, &bytes[at..]).is_ok())
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
        assert_eq!(next(5, &bytes), None);
        bytes[30] ^= 1;
        bytes.extend_from_slice(&[0; 16]);
        assert_eq!(next(5, &bytes), None);
        let at = bytes.len();
        bytes.extend_from_slice(&frame(b"two"));
        assert_eq!(next(5, &bytes), Some(at));
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
