//! The identity of a series as a content hash of its labels.

use std::fmt;

/// The first 128 bits of BLAKE3 over the canonical encoding of the labels.
///
/// Nothing allocates ids, so none can be reused or mixed up after a crash: equal labels have equal
/// ids in every store, forever.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeriesId(u128);

impl SeriesId {
    /// The id of the series with the canonical encoding `encoded` (see [`Labels::encoded`]).
    ///
    /// [`Labels::encoded`]: super::Labels::encoded
    #[must_use]
    pub fn of_encoded(encoded: &[u8]) -> Self {
        let hash = blake3::hash(encoded);
        let mut first = [0u8; 16];
        first.copy_from_slice(&hash.as_bytes()[..16]);
        Self(u128::from_le_bytes(first))
    }

    /// The id as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }

    /// The low 64 bits: the check that a WAL definition carries beside the labels.
    #[must_use]
    pub fn check(self) -> u64 {
        self.0 as u64
    }
}

impl fmt::Debug for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeriesId({:032x})", self.0)
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
