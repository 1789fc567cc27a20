//! A file of the simulated disk: what is durable, what readers see, and the changes between.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// The unit in which the system writes a file back.
pub(super) const PAGE_BYTES: usize = 4096;

/// A file. Its bytes are shared copy-on-write with forks of the disk and with mapped reads.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// What a power cut leaves at the least.
    pub(super) durable: Arc<Vec<u8>>,
    /// What readers see now.
    pub(super) current: Arc<Vec<u8>>,
    /// Changes since the last sync, in order.
    pub(super) unsynced: Vec<DataChange>,
    /// How far space is allocated, in bytes from the start; at least the current length.
    pub(super) allocated: u64,
    /// Names that this file has now.
    pub(super) links: usize,
    /// Open handles.
    pub(super) handles: usize,
    /// Bits that are wrong in memory alone, as (offset, mask), until what they are in is read again.
    pub(super) wrong_in_memory: Vec<(usize, u8)>,
    /// Pages of which the disk has something else than what was synced; readers see the cache.
    pub(super) unwritten: BTreeSet<usize>,
}

/// One change of a file's bytes, by the operation `op`.
#[derive(Debug, Clone)]
pub(super) struct DataChange {
    pub(super) op: u64,
    pub(super) change: Change,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate { len: usize },
}

impl Inode {
    /// A file with `bytes` that no power cut takes.
    pub(super) fn of_durable(bytes: Vec<u8>) -> Self {
        let allocated = bytes.len() as u64;
        let bytes = Arc::new(bytes);
        Self { durable: Arc::clone(&bytes), current: bytes, allocated, ..Self::default() }
    }

    pub(super) fn len(&self) -> u64 {
        self.current.len() as u64
    }

    /// The space that the file takes, in bytes; none once nobody can reach it.
    pub(super) fn space(&self) -> u64 {
        if self.links == 0 && self.handles == 0 { 0 } else { self.allocated.max(self.len()) }
    }

    pub(super) fn append(&mut self, op: u64, bytes: &[u8]) {
        let offset = self.current.len();
        self.change(op, Change::Write { offset, bytes: bytes.to_vec() });
        self.allocated = self.allocated.max(self.len());
    }

    pub(super) fn truncate(&mut self, op: u64, len: u64) {
        assert!(len <= self.len(), "truncate never extends");
        self.change(op, Change::Truncate { len: len as usize });
        self.allocated = len; // also frees what was preallocated, as ext4 does
    }

    fn change(&mut self, op: u64, change: Change) {
        change.apply(Arc::make_mut(&mut self.current));
        let pages = change.pages();
        self.unsynced.push(DataChange { op, change });
        // A page is written whole, so that the next write of it also carries what was not written before.
        for page in pages.filter(|page| self.unwritten.remove(page)) {
            let offset = page * PAGE_BYTES;
            let end = (offset + PAGE_BYTES).min(self.current.len());
            if let Some(bytes) = self.current.get(offset..end) {
                let change = Change::Write { offset, bytes: bytes.to_vec() };
                self.unsynced.push(DataChange { op, change });
            }
        }
    }

    /// Makes every change durable.
    pub(super) fn sync(&mut self) {
        if self.unsynced.is_empty() {
            return;
        }
        let durable = Arc::make_mut(&mut self.durable);
        for data in self.unsynced.drain(..) {
            data.change.apply(durable);
        }
    }

    /// A sync failed: the changes stay visible but will never become durable, and nothing remembers
    /// them, so that the next sync succeeds over nothing. This is what Linux does.
    pub(super) fn drop_dirty(&mut self) {
        self.unsynced.clear();
    }

    /// Replaces the bytes, for good and unseen by the engine.
    pub(super) fn overwrite(&mut self, bytes: Vec<u8>) {
        let written = Self::of_durable(bytes);
        *self = Self { links: self.links, handles: self.handles, ..written };
    }

    /// Changes one byte wherever it is stored.
    pub(super) fn flip(&mut self, offset: usize, mask: u8) {
        for bytes in [&mut self.durable, &mut self.current] {
            if let Some(byte) = Arc::make_mut(bytes).get_mut(offset) {
                *byte ^= mask;
            }
        }
    }
}

impl Change {
    /// Applies the change to bytes that may miss earlier ones: what was never written is zero.
    pub(super) fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Truncate { len } => to.resize(*len, 0),
        }
    }

    /// The pages that the change writes; a truncation does so to the one that it cuts.
    pub(super) fn pages(&self) -> RangeInclusive<usize> {
        match self {
            Self::Write { offset, bytes } => {
                let last = (offset + bytes.len()).saturating_sub(1);
                offset / PAGE_BYTES..=last / PAGE_BYTES
            }
            Self::Truncate { len } => len / PAGE_BYTES..=len / PAGE_BYTES,
        }
    }

    /// The length of a file of `before` bytes after the change.
    pub(super) fn len_after(&self, before: usize) -> usize {
        match self {
            Self::Write { offset, bytes } => before.max(offset + bytes.len()),
            Self::Truncate { len } => *len,
        }
    }

    /// Applies the change to the page of a file that starts at `start`; the length is kept apart.
    pub(super) fn apply_to_page(&self, start: usize, page: &mut [u8]) {
        match self {
            Self::Write { offset, bytes } => {
                let from = start.max(*offset);
                let to = (start + page.len()).min(offset + bytes.len());
                if from < to {
                    page[from - start..to - start]
                        .copy_from_slice(&bytes[from - offset..to - offset]);
                }
            }
            Self::Truncate { len } => {
                let from = len.saturating_sub(start).min(page.len());
                page[from..].fill(0);
            }
        }
    }
}
