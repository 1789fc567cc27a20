//! The first 56 bytes of a `MANIFEST-n`: whose it is.

use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields};

const MAGIC: [u8; 8] = *b"SILTMANI";
/// The format version that this build writes and the newest that it reads.
pub(super) const VERSION: u32 = 1;
/// The length of the encoded header in bytes.
pub(super) const HEADER_BYTES: usize = 56;
const CRC_AT: usize = HEADER_BYTES - 4;

/// What a manifest's header says; see FORMAT.md.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) uuid: [u8; 16],
    pub(super) number: u64,
    pub(super) ticks_per_second: u64,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[16..32].copy_from_slice(&self.uuid);
        out[32..40].copy_from_slice(&self.number.to_le_bytes());
        out[40..48].copy_from_slice(&self.ticks_per_second.to_le_bytes());
        let crc = crc32c(0, &out[..CRC_AT]);
        out[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes = bytes.get(..HEADER_BYTES).ok_or(DecodeError::Truncated("manifest header"))?;
        let mut fields = Fields::new(bytes);
        if fields.array("magic")? != MAGIC {
            return Err(DecodeError::Invalid("magic of a manifest"));
        }
        let mut crc = Fields::new(&bytes[CRC_AT..]);
        if crc.u32("header CRC")? != crc32c(0, &bytes[..CRC_AT]) {
            return Err(DecodeError::Checksum("manifest header"));
        }
        let found = fields.u32("version")?;
        if found > VERSION {
            return Err(DecodeError::Newer { found, supported: VERSION });
        }
        if found == 0 {
            return Err(DecodeError::Invalid("version"));
        }
        fields.zeros(4, "reserved header bytes")?;
        let uuid = fields.array("uuid")?;
        let number = fields.u64("manifest number")?;
        let ticks_per_second = fields.u64("ticks per second")?;
        fields.zeros(4, "reserved header bytes")?;
        if ticks_per_second == 0 {
            return Err(DecodeError::Invalid("ticks per second"));
        }
        Ok(Self { uuid, number, ticks_per_second })
    }

    /// What the CRCs of this manifest's frames start from.
    pub(super) fn seed(&self) -> u32 {
        crc32c(crc32c(0, &self.uuid), &self.number.to_le_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header { uuid: [7; 16], number: 3, ticks_per_second: 1_000 };

    #[test]
    fn round_trip_and_every_bit() {
        let good = HEADER.encode();
        assert_eq!(Header::decode(&good), Ok(HEADER));
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
    fn newer_is_not_damage() {
        let mut newer = HEADER.encode();
        newer[8] = 2;
        let crc = crc32c(0, &newer[..CRC_AT]);
        newer[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::decode(&newer), Err(DecodeError::Newer { found: 2, supported: 1 }));
    }

    #[test]
    fn reserved_bytes_and_zero_ticks_are_refused_though_the_checksum_fits() {
        for at in [12, 48] {
            let mut bad = HEADER.encode();
            bad[at] = 1;
            let crc = crc32c(0, &bad[..CRC_AT]);
            bad[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
            assert_eq!(Header::decode(&bad), Err(DecodeError::Invalid("reserved header bytes")));
        }
        let bad = Header { ticks_per_second: 0, ..HEADER }.encode();
        assert_eq!(Header::decode(&bad), Err(DecodeError::Invalid("ticks per second")));
    }
}
