//! Writes of pages that the disk answers with success and does not carry out where they belong.
//!
//! A sync writes the pages back that were changed since the last one; each such write has a number. What
//! was not written is to be seen until the cache is dropped, by a crash or by
//! [`SimFs::drop_caches`](super::SimFs::drop_caches), or becomes durable with the next write of the same page, which
//! is taken from the cache whole. Lengths are kept apart, as a journal keeps them: a page that was lost
//! where a file grew reads as zeros.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::crash::CrashPlan;
use super::directory::Entry;
use super::faults::PageFault;
use super::inode::{Inode, PAGE_BYTES};
use super::state::State;
use super::trace::BadPageWrite;

impl State {
    /// Makes the changes of a file durable, but for the page writes that a fault strikes.
    pub(super) fn write_back(&mut self, id: u64, path: &Path, op: u64) {
        let inode = self.inode(id);
        let pages = inode.unsynced_pages();
        let before = Arc::clone(&inode.durable);
        inode.sync();
        let first = self.page_writes;
        self.page_writes += pages.len() as u64;
        let due = self.faults.pages.range(first..self.page_writes);
        let due: Vec<(u64, PageFault)> = due.map(|(number, fault)| (*number, *fault)).collect();
        for (number, fault) in due {
            let page = pages[(number - first) as usize];
            let written = self.inode(id).unwrite(page, &before);
            let landed = match fault {
                PageFault::Lost => None,
                PageFault::Misdirected { seed } => self.elsewhere(id, path, page, seed),
            };
            let landed = landed.map(|(target, path, at)| {
                self.inode(target).overwrite_page(at, &written);
                (path, at as u64)
            });
            let path = path.to_owned();
            self.bad_page_writes.push(BadPageWrite { number, op, path, page: page as u64, landed });
            self.at_bad_page_write = Some(Box::new(self.survivor(CrashPlan::ALL_LOST)));
        }
    }

    /// Another page than `page` of the file `id` in the directory of `path`: its file, and its place there.
    fn elsewhere(
        &self,
        id: u64,
        path: &Path,
        page: usize,
        seed: u64,
    ) -> Option<(u64, PathBuf, usize)> {
        let dir = self.parent(path).ok()?.0;
        let files = self.dirs[&dir].current.iter().filter_map(|(name, entry)| match entry {
            Entry::File(file) => Some((*file, path.with_file_name(name))),
            Entry::Dir(_) => None,
        });
        let pages = files.flat_map(|(file, path)| {
            let pages = self.inodes[&file].durable.len().div_ceil(PAGE_BYTES);
            (0..pages).map(move |at| (file, path.clone(), at))
        });
        let pages: Vec<_> = pages.filter(|(file, _, at)| (*file, *at) != (id, page)).collect();
        let same_file = seed.is_multiple_of(2);
        let wanted: Vec<_> = pages.iter().filter(|(file, ..)| (*file == id) == same_file).collect();
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        match (wanted.len() as u64, pages.len() as u64) {
            (0, 0) => None,
            (0, all) => pages.get((seed % all) as usize).cloned(),
            (wanted_pages, _) => wanted.get((seed % wanted_pages) as usize).copied().cloned(),
        }
    }
}

impl Inode {
    /// The pages that the changes since the last sync touch, in order.
    fn unsynced_pages(&self) -> Vec<usize> {
        let mut pages: Vec<usize> =
            self.unsynced.iter().flat_map(|data| data.change.pages()).collect();
        pages.sort_unstable();
        pages.dedup();
        pages.retain(|page| page * PAGE_BYTES < self.current.len());
        pages
    }

    /// Takes back what a sync wrote to a page; answers with that, padded to a page as a disk writes it.
    fn unwrite(&mut self, page: usize, before: &[u8]) -> Vec<u8> {
        let start = page * PAGE_BYTES;
        let durable = Arc::make_mut(&mut self.durable);
        let end = (start + PAGE_BYTES).min(durable.len());
        let mut written = durable[start..end].to_vec();
        written.resize(PAGE_BYTES, 0);
        let mut old = before.get(start..).unwrap_or_default().to_vec();
        old.resize(end - start, 0);
        durable[start..end].copy_from_slice(&old);
        self.unwritten.insert(page);
        written
    }

    /// What another page should have had lands on this one, unseen by the cache.
    fn overwrite_page(&mut self, page: usize, bytes: &[u8]) {
        let durable = Arc::make_mut(&mut self.durable);
        let start = page * PAGE_BYTES;
        let len = bytes.len().min(durable.len().saturating_sub(start));
        durable[start..start + len].copy_from_slice(&bytes[..len]);
        self.unwritten.insert(page);
    }

    /// What the cache knows better than the disk is forgotten. What was not synced stays.
    pub(super) fn drop_cache(&mut self) {
        self.unwritten.clear();
        let mut bytes = self.durable.to_vec();
        self.unsynced.iter().for_each(|data| data.change.apply(&mut bytes));
        self.current = Arc::new(bytes);
    }
}
