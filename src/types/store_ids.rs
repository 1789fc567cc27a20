//! Which store a file belongs to: the uuid of the store, and those of the stores that it was copied from.
//!
//! Pure. Made from a manifest, and handed to whoever compares the uuid in the footer of a segment.

use std::sync::Arc;

/// The uuid of a store, and of those whose segments it may have.
///
/// Whatever a store writes carries `own`. A copy shares the segments of the store that it was made of, which carry
/// the uuid of the store that wrote them: one of the copy's `origins`. Log and tombstone files are never shared,
/// so that they are compared with `own` alone.
///
/// ```
/// # use siltstone::types::StoreIds;
/// let store = StoreIds::from([1; 16]);
/// let copy = StoreIds::new([2; 16], [store.own].into());
/// assert!(copy.has(&store.own) && !store.has(&copy.own));
/// assert!(store.is_related(&copy));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreIds {
    /// The store itself.
    pub own: [u8; 16],
    /// The stores that it was copied from, one from the other: rising, without `own`.
    origins: Arc<[[u8; 16]]>,
}

impl StoreIds {
    /// Of the store `own` that was copied from `origins`, which rise.
    #[must_use]
    pub fn new(own: [u8; 16], origins: Arc<[[u8; 16]]>) -> Self {
        debug_assert!(origins.is_sorted(), "they are searched");
        Self { own, origins }
    }

    /// The stores that it was copied from, one from the other: rising, without its own.
    #[must_use]
    pub fn origins(&self) -> &[[u8; 16]] {
        &self.origins
    }

    /// Whether a segment with this uuid may be the store's.
    #[must_use]
    pub fn has(&self, uuid: &[u8; 16]) -> bool {
        *uuid == self.own || self.origins.binary_search(uuid).is_ok()
    }

    /// Whether both are one store, one is a copy of the other, or both are copies of a third.
    #[must_use]
    pub fn is_related(&self, other: &Self) -> bool {
        self.has(&other.own) || other.origins.iter().any(|origin| self.has(origin))
    }
}

/// Of a store that is no copy.
impl From<[u8; 16]> for StoreIds {
    fn from(own: [u8; 16]) -> Self {
        Self { own, origins: Arc::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(own: u8, origins: &[u8]) -> StoreIds {
        StoreIds::new([own; 16], origins.iter().map(|&origin| [origin; 16]).collect())
    }

    #[test]
    fn a_store_has_its_own_segments_and_those_of_its_origins() {
        let copy = ids(4, &[2, 3, 9]);
        let had: Vec<u8> = (0..12).filter(|&uuid| copy.has(&[uuid; 16])).collect();
        assert_eq!(had, [2, 3, 4, 9]);
        assert_eq!(ids(4, &[]), StoreIds::from([4; 16]));
    }

    #[test]
    fn relatives_are_copies_of_each_other_or_of_a_third_and_that_goes_both_ways() {
        let (store, unrelated) = (ids(5, &[]), ids(6, &[]));
        let (copy, sibling, of_copy) = (ids(7, &[5]), ids(1, &[5]), ids(3, &[5, 7]));
        let family = [&store, &copy, &sibling, &of_copy];
        for one in family {
            assert!(family.iter().all(|other| one.is_related(other)), "{one:?}");
            assert!(!one.is_related(&unrelated) && !unrelated.is_related(one), "{one:?}");
        }
        assert!(!ids(8, &[2]).is_related(&ids(9, &[4])), "copies of different stores");
    }
}
