//! The header of a WAL file and the seed that binds frames to their file.

use crate::sys::checksum::crc32c;
use crate::types::DecodeError;

/// Bytes of one header.
const HEADER_BYTES: usize = 128;
/// Where the frames start: behind the header and its twin.
pub const HEADERS_BYTES: u64 = 2 * HEADER_BYTES as u64;
const MAGIC: &[u8; 8] = b"SILTWAL1";
const VERSION: u32 = 1;

/// What a WAL file's header says about the file before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Predecessor {
    /// File number, 0 when there is none.
    pub file_number: u64,
    /// Bytes of it that count.
    pub valid_bytes: u64,
    /// Bytes of it that were known to be durable; at most `valid_bytes`.
    pub durable_bytes: u64,
}

/// The header of one WAL file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeader {
    /// The store that the file belongs to.
    pub uuid: [u8; 16],
    /// The number in the file's name.
    pub file_number: u64,
    /// Random, so that bytes of an earlier file at this place never validate.
    pub salt: u64,
    /// Frames in this file have greater seqs.
    pub last_seq: u64,
    /// The file before this one.
    pub predecessor: Predecessor,
}

impl WalHeader {
    /// Header and twin, [`HEADERS_BYTES`] in all.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * HEADER_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.uuid);
        for field in [
            self.file_number,
            self.salt,
            self.last_seq,
            self.predecessor.file_number,
            self.predecessor.valid_bytes,
            self.predecessor.durable_bytes,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.resize(HEADER_BYTES - 4, 0);
        let crc = crc32c(0, &out);
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_within(..HEADER_BYTES);
        out
    }

    /// Reads the header, or its twin where the first is damaged.
    ///
    /// # Errors
    /// The first copy's error when neither is valid.
    pub fn decode(file: &[u8]) -> Result<Self, DecodeError> {
        let first = Self::decode_one(file.get(..HEADER_BYTES));
        first.or_else(|error| {
            Self::decode_one(file.get(HEADER_BYTES..2 * HEADER_BYTES)).map_err(|_| error)
        })
    }

    fn decode_one(bytes: Option<&[u8]>) -> Result<Self, DecodeError> {
        let bytes: &[u8; HEADER_BYTES] =
            bytes.and_then(|b| b.try_into().ok()).ok_or(DecodeError::Truncated("WAL header"))?;
        if &bytes[..8] != MAGIC {
            return Err(DecodeError::Invalid("magic of the WAL header"));
        }
        let crc = u32::from_le_bytes([bytes[124], bytes[125], bytes[126], bytes[127]]);
        if crc32c(0, &bytes[..124]) != crc {
            return Err(DecodeError::Checksum("WAL header"));
        }
        let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if version != VERSION {
            return Err(DecodeError::Newer { found: version, supported: VERSION });
        }
        if bytes[12..16].iter().chain(&bytes[80..124]).any(|&b| b != 0) {
            return Err(DecodeError::Invalid("reserved bytes of the WAL header"));
        }
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&bytes[16..32]);
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        let predecessor =
            Predecessor { file_number: word(56), valid_bytes: word(64), durable_bytes: word(72) };
        Ok(Self { uuid, file_number: word(32), salt: word(40), last_seq: word(48), predecessor })
    }

    /// The seed of the CRC of the frame header at `offset`.
    #[must_use]
    pub(super) fn frame_seed(&self, offset: u64) -> u32 {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&self.uuid);
        bytes[16..24].copy_from_slice(&self.file_number.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.salt.to_le_bytes());
        bytes[32..].copy_from_slice(&offset.to_le_bytes());
        crc32c(0, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> WalHeader {
        WalHeader {
            uuid: *b"0123456789abcdef",
            file_number: 7,
            salt: 0x1122_3344_5566_7788,
            last_seq: 41,
            predecessor: Predecessor { file_number: 6, valid_bytes: 4096, durable_bytes: 2048 },
        }
    }

    #[test]
    fn reads_back_and_survives_damage_of_either_copy() {
        let bytes = header().encode();
        assert_eq!(bytes.len() as u64, HEADERS_BYTES);
        assert_eq!(WalHeader::decode(&bytes), Ok(header()));
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            assert_eq!(WalHeader::decode(&damaged), Ok(header()), "byte {at}");
        }
    }

    #[test]
    fn damage_of_both_copies_is_an_error() {
        let bytes = header().encode();
        for at in 0..HEADER_BYTES {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            damaged[at + HEADER_BYTES] ^= 1;
            assert!(WalHeader::decode(&damaged).is_err(), "byte {at}");
        }
        assert_eq!(WalHeader::decode(&bytes[..100]), Err(DecodeError::Truncated("WAL header")));
    }

    #[test]
    fn the_seed_depends_on_every_part() {
        let base = header();
        let other = WalHeader { file_number: 8, ..base };
        let salted = WalHeader { salt: 1, ..base };
        let seeds = [
            base.frame_seed(256),
            base.frame_seed(264),
            other.frame_seed(256),
            salted.frame_seed(256),
        ];
        for (i, a) in seeds.iter().enumerate() {
            assert!(seeds[i + 1..].iter().all(|b| a != b));
        }
    }
}
