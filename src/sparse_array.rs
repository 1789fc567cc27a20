//! An array of 2^32 elements whose pages are allocated when they are first written.
//!
//! The memtable keeps its rows and chain heads in it, the registry its per-slot words. Elements
//! never move and pages are never freed before the array, so readers need no lock: a page is
//! published once through its `OnceLock`, and what is inside an element is the element's business
//! (in practice atomics). There are two levels of directory, so that an array over a few thousand
//! indexes costs kilobytes, not the 2^32 / `LEN` pointers of a flat one.

use crate::sys::sync::unscheduled::{AtomicUsize, OnceLock, Ordering};

/// Pages under one entry of the top directory.
const FANOUT: usize = 1024;

/// The elements of a page: `len`, or few where the elements are those of the schedules, which are large and
/// new for each of thousands of stores.
pub(crate) const fn page_len(len: usize) -> usize {
    if cfg!(siltstone_schedules) { 64 } else { len }
}

type Page<T, const LEN: usize> = OnceLock<Box<[T; LEN]>>;
type Directory<T, const LEN: usize> = OnceLock<Box<[Page<T, LEN>]>>;

/// See the module. `LEN`, the elements of a page, is a power of two.
#[derive(Debug)]
pub(crate) struct SparseArray<T, const LEN: usize> {
    top: Box<[Directory<T, LEN>]>,
    directories: AtomicUsize,
    pages: AtomicUsize,
}

impl<T: Default, const LEN: usize> SparseArray<T, LEN> {
    /// Entries of the top directory that together cover every `u32`.
    const TOP: usize = match cfg!(siltstone_schedules) {
        true => 1,
        false => ((1u64 << 32) / (LEN as u64 * FANOUT as u64)) as usize,
    };

    /// An empty array: only the top directory is allocated.
    pub(crate) fn new() -> Self {
        const { assert!(LEN.is_power_of_two() && LEN * FANOUT <= 1 << 32) };
        Self {
            top: (0..Self::TOP).map(|_| OnceLock::new()).collect(),
            directories: AtomicUsize::new(0),
            pages: AtomicUsize::new(0),
        }
    }

    /// The page that holds `index`, if any element of it was ever written.
    #[inline]
    pub(crate) fn page(&self, index: u32) -> Option<&[T; LEN]> {
        let page = index as usize / LEN;
        Some(self.top[page / FANOUT].get()?[page % FANOUT].get()?)
    }

    /// The page that holds `index`, allocated and filled once if this is its first use.
    #[inline]
    pub(crate) fn page_or_default(&self, index: u32) -> &[T; LEN] {
        let page = index as usize / LEN;
        let directory = self.top[page / FANOUT].get_or_init(|| {
            self.directories.fetch_add(1, Ordering::Relaxed);
            (0..FANOUT).map(|_| OnceLock::new()).collect()
        });
        directory[page % FANOUT].get_or_init(|| {
            self.pages.fetch_add(1, Ordering::Relaxed);
            let fresh: Box<[T]> = (0..LEN).map(|_| T::default()).collect();
            fresh.try_into().unwrap_or_else(|_| unreachable!("the page has LEN elements"))
        })
    }

    /// The element at `index`, if its page exists.
    #[inline]
    pub(crate) fn get(&self, index: u32) -> Option<&T> {
        Some(&self.page(index)?[index as usize % LEN])
    }

    /// The element at `index`; its page is allocated if this is its first use.
    #[inline]
    pub(crate) fn get_or_default(&self, index: u32) -> &T {
        &self.page_or_default(index)[index as usize % LEN]
    }

    /// The existing pages in ascending order, each with the index of its first element.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (u32, &[T; LEN])> {
        self.top.iter().enumerate().filter_map(|(t, d)| Some((t, d.get()?))).flat_map(|(t, d)| {
            d.iter().enumerate().filter_map(move |(p, page)| {
                Some((((t * FANOUT + p) * LEN) as u32, &**page.get()?))
            })
        })
    }

    /// Bytes of heap held.
    pub(crate) fn bytes(&self) -> usize {
        self.top.len() * size_of::<Directory<T, LEN>>()
            + self.directories.load(Ordering::Relaxed) * FANOUT * size_of::<Page<T, LEN>>()
            + self.pages.load(Ordering::Relaxed) * LEN * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[test]
    fn elements_appear_where_they_are_written_and_nowhere_else() {
        let array = SparseArray::<AtomicU32, 1024>::new();
        let empty = array.bytes();
        let indexes = [0, 1023, 1024, 1024 * 1024 - 1, 1024 * 1024, u32::MAX - 1, u32::MAX];
        for (i, &index) in indexes.iter().enumerate() {
            array.get_or_default(index).store(i as u32 + 1, Ordering::Relaxed);
        }
        for (i, &index) in indexes.iter().enumerate() {
            let found = array.get(index).unwrap().load(Ordering::Relaxed);
            assert_eq!(found, i as u32 + 1, "index {index}");
        }
        assert!(array.get(5000).is_none(), "the page of 5000 was never written");
        let starts: Vec<u32> = array.pages().map(|(start, _)| start).collect();
        assert_eq!(starts, [0, 1024, 1023 * 1024, 1024 * 1024, u32::MAX - 1023]);
        let page = 1024 * size_of::<AtomicU32>();
        let directory = FANOUT * size_of::<Page<AtomicU32, 1024>>();
        assert_eq!(array.bytes(), empty + 5 * page + 3 * directory);
    }
}
