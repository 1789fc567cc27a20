//! The frame around every block of an index: header, payload, CRC32C.
//!
//! Builders seal payloads here; readers open them here after the source has verified them.

use crate::types::DecodeError;

/// Bytes before the payload: kind, three reserved zeros, count.
pub(super) const HEADER_BYTES: usize = 8;
/// Bytes after the payload.
pub(super) const CRC_BYTES: usize = 4;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    /// A piece of the postings stream; the count is the number of its payload bytes.
    Postings = 1,
    /// Front-coded keys; the count is the number of keys.
    Keys = 2,
    /// Neighbouring series; the count is the number of series.
    Series = 3,
}

/// Appends a block to `out` and returns its length in bytes.
pub(super) fn seal(kind: BlockKind, count: usize, payload: &[u8], out: &mut Vec<u8>) -> u32 {
    let start = out.len();
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&u32::try_from(count).expect("a block is small").to_le_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
    u32::try_from(out.len() - start).expect("a block is small")
}

/// Checks a block of an index as it was read from its file: header and CRC32C. A [`BlockSource`]
/// calls it once for each block that enters its cache.
///
/// [`BlockSource`]: super::BlockSource
///
/// # Errors
/// [`DecodeError::Checksum`] if any byte differs from what was written.
pub fn verify_block(bytes: &[u8]) -> Result<(), DecodeError> {
    let (body, crc) = split_crc(bytes, "index block")?;
    if body.len() < HEADER_BYTES {
        return Err(DecodeError::Truncated("index block"));
    }
    if crc32c::crc32c(body).to_le_bytes() != crc {
        return Err(DecodeError::Checksum("index block"));
    }
    Ok(())
}

/// Splits off the CRC at the end.
pub(super) fn split_crc<'a>(
    bytes: &'a [u8],
    what: &'static str,
) -> Result<(&'a [u8], [u8; CRC_BYTES]), DecodeError> {
    let (body, crc) = bytes.split_last_chunk().ok_or(DecodeError::Truncated(what))?;
    Ok((body, *crc))
}

/// The count and payload of a verified block that must be of `kind`.
pub(super) fn open(bytes: &[u8], kind: BlockKind) -> Result<(usize, &[u8]), DecodeError> {
    let (body, _) = split_crc(bytes, "index block")?;
    let (header, payload) =
        body.split_first_chunk::<HEADER_BYTES>().ok_or(DecodeError::Truncated("index block"))?;
    let [kind_byte, 0, 0, 0, c0, c1, c2, c3] = *header else {
        return Err(DecodeError::Invalid("reserved bytes of index block"));
    };
    if kind_byte != kind as u8 {
        return Err(DecodeError::Invalid("kind of index block"));
    }
    Ok((u32::from_le_bytes([c0, c1, c2, c3]) as usize, payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_truncation_is_seen() {
        let mut bytes = Vec::new();
        seal(BlockKind::Keys, 3, b"payload", &mut bytes);
        assert_eq!(verify_block(&bytes), Ok(()));
        assert_eq!(open(&bytes, BlockKind::Keys), Ok((3, &b"payload"[..])));
        assert!(open(&bytes, BlockKind::Series).is_err());
        for i in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[i / 8] ^= 1 << (i % 8);
            assert!(verify_block(&bad).is_err(), "bit {i}");
        }
        for len in 0..bytes.len() {
            assert!(verify_block(&bytes[..len]).is_err(), "{len} bytes");
        }
        assert!(verify_block(&[0; 64]).is_err(), "zeros are no block");
    }
}
