//! CRC32C (Castagnoli), the checksum of every file format here.
//!
//! A seed binds a checksum to its place: the CRC of (file identity, offset) continued over the bytes
//! does not validate the same bytes elsewhere.

/// Continues the CRC32C `previous` over `bytes`; 0 starts one. `crc32c(crc32c(0, a), b)` is the
/// checksum of `a` followed by `b`.
#[must_use]
pub fn crc32c(previous: u32, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(previous, bytes)
}

/// A CRC32C over bytes that arrive in parts.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct Crc(u32);

impl Crc {
    /// The checksum of no bytes.
    pub fn new() -> Self {
        Self(0)
    }

    /// Continues the checksum `seed`.
    pub fn seeded(seed: u32) -> Self {
        Self(seed)
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0 = crc32c(self.0, bytes);
    }

    /// Adds `bytes`, for chains.
    pub fn with(mut self, bytes: &[u8]) -> Self {
        self.update(bytes);
        self
    }

    /// The checksum of all bytes so far.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{Crc, crc32c};

    #[test]
    fn matches_the_published_vectors() {
        // RFC 3720, appendix B.4.
        assert_eq!(crc32c(0, &[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(0, &[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(0, &(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc32c(0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn parts_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..1000u32).map(|i| (i * 7) as u8).collect();
        for cut in [0, 1, 7, 8, 500, 999, 1000] {
            let (a, b) = bytes.split_at(cut);
            assert_eq!(Crc::new().with(a).with(b).get(), crc32c(0, &bytes), "cut at {cut}");
            assert_eq!(Crc::seeded(crc32c(0, a)).with(b).get(), crc32c(0, &bytes));
        }
    }

    #[test]
    fn a_seed_binds_bytes_to_their_place() {
        let here = Crc::new().with(&1u64.to_le_bytes()).get();
        let there = Crc::new().with(&2u64.to_le_bytes()).get();
        assert_ne!(crc32c(here, b"frame"), crc32c(there, b"frame"));
        assert_ne!(crc32c(here, &[]), 0);
    }
}
