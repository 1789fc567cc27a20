//! Label sets as they arrive: bytes to hash and pairs to compare, without building a [`Labels`].

use crate::types::Labels;

/// A label set in whatever encoding its sender uses, borrowed from the request.
///
/// The registry recognises a known series by the hash of [`EncodedLabels::bytes`] and confirms it by
/// its pairs; neither allocates. Two encodings of one set (another order, empty values) are two
/// aliases of one series.
pub trait EncodedLabels {
    /// What is hashed: the encoded labels, without sample data. Equal bytes must mean equal labels.
    fn bytes(&self) -> &[u8];

    /// Calls `visit` with every (name, value) as sent, in any order, until it returns false. Nothing
    /// is checked yet: empty values, duplicates and invalid UTF-8 are the registry's to judge.
    fn pairs<'a>(&'a self, visit: impl FnMut(&'a [u8], &'a [u8]) -> bool);
}

impl EncodedLabels for Labels {
    fn bytes(&self) -> &[u8] {
        self.encoded()
    }

    fn pairs<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool) {
        let _ = self.iter().all(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
    }
}
