//! The pair ids of every series, in one array.
//!
//! A list is as long as its series has labels, and few lengths occur: freed lists are kept by
//! length and reused whole. Only when series of other lengths have taken the place of half of them
//! is the array compacted.

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
    /// Ids in freed lists.
    free_ids: usize,
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
            self.free_ids -= ids.len();
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
        self.free_ids += len;
    }

    /// Whether a list of `len` ids would grow the array while most of it is free.
    pub(super) fn is_sparse_for(&self, len: usize) -> bool {
        self.free_ids * 2 > self.ids.len() && self.free.get(len).is_none_or(Vec::is_empty)
    }

    /// Moves the lists `used`, which are all that are in use, together.
    pub(super) fn compact<'a>(&mut self, used: impl Iterator<Item = &'a mut ListRef>) {
        let mut ids = Vec::with_capacity(self.ids.len() - self.free_ids);
        for list in used {
            let start = ids.len() as u32;
            ids.extend_from_slice(self.get(*list));
            list.start = start;
        }
        *self = Self { ids, ..Self::default() };
    }

    /// Bytes of the lists in use.
    pub(super) fn used_bytes(&self) -> usize {
        (self.ids.len() - self.free_ids) * size_of::<u32>()
    }

    pub(super) fn bytes(&self) -> usize {
        let free: usize = self.free.iter().map(|starts| starts.capacity() * 4).sum();
        self.ids.capacity() * 4 + free + self.free.capacity() * size_of::<Vec<u32>>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_lengths_find_room_after_a_compaction() {
        let mut lists = Lists::default();
        let mut short: Vec<ListRef> = (0..100).map(|i| lists.add(&[i, i + 1]).unwrap()).collect();
        assert_eq!(lists.used_bytes(), 800);
        short.drain(10..).for_each(|list| lists.remove(list));
        assert!(!lists.is_sparse_for(2) && lists.is_sparse_for(3));
        lists.compact(short.iter_mut());
        assert!(!lists.is_sparse_for(3));
        assert_eq!((lists.used_bytes(), lists.ids.len()), (80, 20));
        for (i, list) in (0..).zip(&short) {
            assert_eq!(lists.get(*list), [i, i + 1]);
        }
    }
}
