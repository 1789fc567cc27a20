//! Owned bytes of a file, on the heap.
//!
//! What every read returns. A clone or a slice shares the memory, which lives as long as one of
//! them. Nobody else changes them, whatever becomes of the file: what was checked stays as it was. That is why
//! they never lie in a memory map (`mapping.rs`).

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// Bytes that are cheap to clone and to slice.
#[derive(Clone)]
pub struct Bytes {
    backing: Arc<Vec<u8>>,
    range: Range<usize>, // lies within the backing
}

impl Bytes {
    /// The bytes `range` of these.
    ///
    /// # Panics
    ///
    /// If the range ends beyond the bytes: for ranges that came from a file use [`get`](Self::get).
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let len = self.len();
        self.get(range.clone()).unwrap_or_else(|| panic!("bytes {range:?} of {len} were asked for"))
    }

    /// The bytes `range` of these, or `None` if it is reversed or ends beyond them.
    #[must_use]
    pub fn get(&self, range: Range<usize>) -> Option<Self> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let range = self.range.start + range.start..self.range.start + range.end;
        Some(Self { backing: Arc::clone(&self.backing), range })
    }

    pub(super) fn shared(bytes: Arc<Vec<u8>>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= bytes.len(), "{range:?} is not there");
        Self { backing: bytes, range }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        let range = 0..bytes.len();
        Self { backing: Arc::new(bytes), range }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.backing[self.range.clone()]
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({} bytes)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Bytes;

    #[test]
    fn slices_of_slices_count_from_their_own_start() {
        let bytes = Bytes::from((0..100u8).collect::<Vec<_>>());
        let inner = bytes.slice(10..50).slice(5..20);
        assert_eq!(&inner[..], &(15..30u8).collect::<Vec<_>>()[..]);
        assert!(inner.slice(15..15).is_empty());
    }

    #[test]
    fn ranges_outside_are_none_even_where_the_backing_has_bytes() {
        let inner = Bytes::from(vec![0; 100]).slice(10..20);
        assert!(inner.get(0..10).is_some());
        assert!(inner.get(0..11).is_none());
        assert!(inner.get(11..11).is_none());
        assert!(inner.get(usize::MAX..usize::MAX).is_none());
        let (start, end) = (5, 4);
        assert!(inner.get(start..end).is_none());
    }

    #[test]
    #[should_panic(expected = "bytes 3..11 of 10 were asked for")]
    fn slicing_beyond_the_end_panics() {
        let _ = Bytes::from(vec![0; 10]).slice(3..11);
    }
}
