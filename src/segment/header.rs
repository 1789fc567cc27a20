//! The first 64 bytes of a segment: what the file is, before it has a footer.

use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields};

const MAGIC: [u8; 8] = *b"SILTSEGM";
/// The format version that this build writes and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// The length of the encoded header in bytes.
pub(super) const HEADER_BYTES: usize = 64;
const CRC_AT: usize = HEADER_BYTES - 4;

/// What a segment's header says; see FORMAT.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) uuid: [u8; 16],
    pub(super) file_number: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.uuid);
        out[32..40].copy_from_slice(&self.file_number.to_le_bytes());
        let crc = crc32c(0, &out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(DecodeError::Truncated("segment header"))?;
        let mut fields = Fields::new(bytes);
        if fields.array("magic")? != MAGIC {
            return Err(DecodeError::Invalid("magic of a segment"));
        }
        if Fields::new(&bytes[CRC_AT..]).u32("header CRC")? != crc32c(0, &bytes[..CRC_AT]) {
            return Err(DecodeError::Checksum("segment header"));
        }
        check_version(fields.u32("version")?)?;
        fields.zeros(4, "reserved header bytes")?;
        let uuid = fields.array("uuid")?;
        let file_number = fields.u64("file number")?;
        fields.zeros(20, "reserved header bytes")?;
        Ok(Self { uuid, file_number })
    }
}

/// Checks a format version; header and footer state the same.
pub(super) fn check_version(found: u32) -> Result<(), DecodeError> {
    match found {
        0 => Err(DecodeError::Invalid("version")),
        1..=VERSION => Ok(()),
        _ => Err(DecodeError::Newer { found, supported: VERSION }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_every_bit_and_every_cut() {
        let header = Header { uuid: [3; 16], file_number: 9 };
        let good = header.encode();
        assert_eq!(Header::decode(&good), Ok(header));
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(Header::decode(&good[..cut]).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn newer_and_reserved() {
        let reseal = |at: usize, byte: u8| {
            let mut bytes = Header { uuid: [3; 16], file_number: 9 }.encode();
            bytes[at] = byte;
            let crc = crc32c(0, &bytes[..CRC_AT]);
            bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
            Header::decode(&bytes)
        };
        assert_eq!(reseal(8, 2), Err(DecodeError::Newer { found: 2, supported: 1 }));
        assert_eq!(reseal(8, 0), Err(DecodeError::Invalid("version")));
        for at in [12, 40, 59] {
            assert_eq!(reseal(at, 1), Err(DecodeError::Invalid("reserved header bytes")));
        }
    }
}
