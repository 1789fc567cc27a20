//! The slots of the series that carry one label pair, in no order.

use super::bits::BitSet;
use super::grow;

/// Most pairs of most stores belong to one series: that costs no allocation.
#[derive(Debug, Default)]
pub(super) enum Postings {
    #[default]
    Empty,
    One(u32),
    #[expect(clippy::box_collection, reason = "keeps the enum at 16 bytes; there is one per pair")]
    Many(Box<Vec<u32>>),
}

impl Postings {
    /// Adds a slot that is not there yet.
    pub(super) fn push(&mut self, slot: u32) {
        match self {
            Self::Empty => *self = Self::One(slot),
            Self::One(first) => *self = Self::Many(Box::new(vec![*first, slot])),
            Self::Many(slots) => {
                grow(slots, 1);
                slots.push(slot);
            }
        }
    }

    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::Empty => &[],
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    /// Removes the slots in `dead`; true if none is left.
    pub(super) fn remove_all(&mut self, dead: &BitSet) -> bool {
        match self {
            Self::Empty => {}
            Self::One(slot) => {
                if dead.contains(*slot) {
                    *self = Self::Empty;
                }
            }
            Self::Many(slots) => {
                slots.retain(|&slot| !dead.contains(slot));
                match slots[..] {
                    [] => *self = Self::Empty,
                    [slot] => *self = Self::One(slot),
                    _ if slots.len() * 4 < slots.capacity() => slots.shrink_to_fit(),
                    _ => {}
                }
            }
        }
        matches!(self, Self::Empty)
    }

    /// Bytes of heap beside the enum itself.
    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Many(slots) => size_of::<Vec<u32>>() + slots.capacity() * size_of::<u32>(),
            _ => 0,
        }
    }
}
