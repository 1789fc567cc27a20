//! The pair ids of every series, in one array.
//!
//! A list is as long as its series has labels, and few lengths occur: freed lists are kept by
//! length and reused whole, so that the array never needs compaction.

use super::grow;

/// Where a list starts and how long it is; length 0 is no list.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ListRef {
    start: u32,
    len: u32,
}

impl ListRef {
    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }
}

#[derive(Debug, Default)]
pub(super) struct Lists {
    ids: Vec<u32>,
    /// Starts of freed lists, by length.
    free: Vec<Vec<u32>>,
}

impl Lists {
    #[inline]
    pub(super) fn get(&self, list: ListRef) -> &[u32] {
        &self.ids[list.start as usize..][..list.len as usize]
    }

    /// Stores `ids`; `None` when the array has no room below 2^32.
    pub(super) fn add(&mut self, ids: &[u32]) -> Option<ListRef> {
        let len = u32::try_from(ids.len()).ok()?;
        if let Some(start) = self.free.get_mut(ids.len()).and_then(Vec::pop) {
            self.ids[start as usize..][..ids.len()].copy_from_slice(ids);
            return Some(ListRef { start, len });
        }
        let start = u32::try_from(self.ids.len()).ok()?;
        start.checked_add(len)?;
        grow(&mut self.ids, ids.len());
        self.ids.extend_from_slice(ids);
        Some(ListRef { start, len })
    }

    pub(super) fn remove(&mut self, list: ListRef) {
        let len = list.len as usize;
        if self.free.len() <= len {
            self.free.resize_with(len + 1, Vec::new);
        }
        self.free[len].push(list.start);
    }

    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|starts| starts.capacity() * 4).sum();
        self.ids.capacity() * 4 + free + self.free.capacity() * size_of::<Vec<u32>>()
    }
}
