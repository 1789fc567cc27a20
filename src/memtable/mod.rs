//! The memtable: the samples of one WAL generation, in memory, in the order of acknowledgement.
//!
//! A [`Memtable`] is an append-only log of rows (slot, timestamp, value bits, the previous row of
//! the same slot) in fixed pages, with one chain head per slot. `db` owns it: the commit leader
//! appends batches in order of seq and publishes them; snapshots and the flush read it.
//!
//! # Invariants
//!
//! - Exactly one thread at a time appends or publishes (asserted). Leaders may change between
//!   batches; the hand-over of the commit lock orders them.
//! - Rows never change and never move. *A snapshot is a row count*: the rows below a
//!   [`Memtable::published`] length are seen, the others are not, so a batch is seen whole or not
//!   at all.
//! - A later row of a slot has a later position: at equal timestamps the higher row wins.
//!
//! # Memory order
//!
//! Everything is `Relaxed` except two pairs. The published length is stored with `Release` and read
//! with `Acquire`: who sees a length sees the rows below it. But a reader finds rows from the
//! *head* of their chain, and the head may already lead to a row that is newer than the reader's
//! length; it has to follow that row's link to get to its own rows. So heads too are stored with
//! `Release` and read with `Acquire` (both are plain moves on x86-64).
//!
//! # Why a log
//!
//! Measured against growing columns per series (which had neither atomics nor readers to care for),
//! on two busy cores: the log appends 1.8 times as fast over 10,000 series and 5 times as fast over
//! a million, and holds 24.5 bytes a row where a million short columns hold 50. Collecting is where
//! it pays: a chain is a walk of dependent cache misses, ten times slower than copying a column.
//! Rows are appended under the commit lock and collected once, by a flush, outside of it.
//!
//! It must not know what a slot means, do I/O or decide when to seal.
//!
//! # Measured against columns
//!
//! On a quiet machine: the log appends 37-41 M rows/s at 10,000 series
//! and 18-27 at a million, columns 16-23 and 3-7; reading a series back, the log does 21-28 and 2-3
//! M rows/s, columns 100-240 and 18-36; at a million series of ten rows the log takes 24.5 bytes a
//! row, columns 46-50. The log stays, because the commit path and the memory bound matter more than
//! reads of the last minutes; walking many chains in lockstep is the next step for flushes.
//!
//! One writer and no shards: seqs, log order and row order are one order, which makes snapshots a
//! number. One leader writes 15 to 21 M samples a second (`benches/README.md`), several times what
//! one core decodes from HTTP.

mod collect;
mod row;
mod seqs;

use std::sync::PoisonError;

use crate::sparse_array::{SparseArray, page_len};
use crate::sys::sync::RwLock;
use crate::sys::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use row::{Link, Row};
use seqs::SeqRuns;

/// Rows per page: 768 KiB, large enough that the allocator maps and returns it by itself.
const PAGE_ROWS: usize = page_len(32 * 1024);
/// Chain heads per page: 16 KiB.
const PAGE_HEADS: usize = page_len(4096);

/// The most rows one memtable can hold; a batch that would pass it must go to the next generation.
pub const ROWS_MAX: u32 = u32::MAX - 1;

/// The samples of one generation. See the module for its rules.
#[derive(Debug)]
pub struct Memtable {
    generation: u32,
    rows: SparseArray<Row, PAGE_ROWS>,
    heads: SparseArray<AtomicU32, PAGE_HEADS>,
    /// Rows appended, published or not. Only the writer uses it.
    appended: AtomicU32,
    /// Rows that snapshots may see.
    published: AtomicU32,
    /// Set while a batch is appended; stays set if the batch's iterator panics.
    writing: AtomicBool,
    time_min: AtomicI64,
    time_max: AtomicI64,
    /// Slots with at least one row.
    slots: AtomicU64,
    seqs: RwLock<SeqRuns>,
}

impl Memtable {
    /// An empty memtable for the WAL generation `generation`.
    #[must_use]
    pub fn new(generation: u32) -> Self {
        Self {
            generation,
            rows: SparseArray::new(),
            heads: SparseArray::new(),
            appended: AtomicU32::new(0),
            published: AtomicU32::new(0),
            writing: AtomicBool::new(false),
            time_min: AtomicI64::new(i64::MAX),
            time_max: AtomicI64::new(i64::MIN),
            slots: AtomicU64::new(0),
            seqs: RwLock::new(SeqRuns::default()),
        }
    }

    /// The WAL generation whose samples this memtable holds.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Appends one batch of (slot, timestamp in ticks, bits of the value). It becomes visible with
    /// the next [`Memtable::publish`]. A batch without rows leaves no trace.
    ///
    /// # Panics
    /// If another thread is appending, if `seq` is not above that of every batch before it, or if
    /// the memtable would pass [`ROWS_MAX`] rows. If `rows` itself panics, the memtable accepts no
    /// further batch; what was published stays readable.
    pub fn append(&self, rows: impl IntoIterator<Item = (u32, i64, u64)>, seq: u64) {
        let busy = self.writing.swap(true, Ordering::Acquire);
        assert!(!busy, "a memtable has one writer, and none after a failed batch");
        let first = self.appended.load(Ordering::Relaxed);
        let end = self.append_rows(first, rows);
        if end > first {
            self.seqs.write().unwrap_or_else(PoisonError::into_inner).push(first, seq);
            self.appended.store(end, Ordering::Relaxed);
        }
        self.writing.store(false, Ordering::Release);
    }

    /// Writes the rows from number `first` on and links them; returns the number after the last.
    fn append_rows(&self, first: u32, rows: impl IntoIterator<Item = (u32, i64, u64)>) -> u32 {
        let mut next = first;
        let mut min = self.time_min.load(Ordering::Relaxed);
        let mut max = self.time_max.load(Ordering::Relaxed);
        let mut new_slots = 0;
        let mut page = None;
        for (slot, timestamp, bits) in rows {
            assert!(next < ROWS_MAX, "the memtable is full");
            let at = next as usize % PAGE_ROWS;
            let rows = match page {
                Some(rows) if at != 0 => rows,
                _ => *page.insert(self.rows.page_or_default(next)),
            };
            let head = self.heads.get_or_default(slot);
            let previous = Link(head.load(Ordering::Relaxed));
            rows[at].set(slot, timestamp, bits, previous);
            head.store(Link::to(next).0, Ordering::Release);
            new_slots += u64::from(previous.row().is_none());
            min = min.min(timestamp);
            max = max.max(timestamp);
            next += 1;
        }
        self.time_min.store(min, Ordering::Relaxed);
        self.time_max.store(max, Ordering::Relaxed);
        self.slots.fetch_add(new_slots, Ordering::Relaxed);
        next
    }

    /// Makes every appended batch visible. Only the writer calls it.
    pub fn publish(&self) {
        debug_assert!(!self.writing.load(Ordering::Relaxed), "a batch is published whole");
        self.published.store(self.appended.load(Ordering::Relaxed), Ordering::Release);
    }

    /// The rows that a snapshot taken now sees.
    #[must_use]
    pub fn published(&self) -> u32 {
        self.published.load(Ordering::Acquire)
    }

    /// The seq of the first batch with rows.
    #[must_use]
    pub fn first_seq(&self) -> Option<u64> {
        self.seqs.read().unwrap_or_else(PoisonError::into_inner).first()
    }

    /// The seq of the last batch with rows, published or not.
    #[must_use]
    pub fn last_seq(&self) -> Option<u64> {
        self.seqs.read().unwrap_or_else(PoisonError::into_inner).last()
    }

    /// The earliest and the latest timestamp of all rows, published or not; `None` without rows.
    /// While a batch is appended it may not yet cover that batch, but it always covers every
    /// length that was published before the call.
    #[must_use]
    pub fn time_range(&self) -> Option<(i64, i64)> {
        let min = self.time_min.load(Ordering::Relaxed);
        let max = self.time_max.load(Ordering::Relaxed);
        (min <= max).then_some((min, max))
    }

    /// Slots that have rows, published or not.
    #[must_use]
    pub fn slot_count(&self) -> u64 {
        self.slots.load(Ordering::Relaxed)
    }

    /// Bytes of heap held: 24 per row, in steps of a page (768 KiB), and 4 per slot, in steps of
    /// 4,096 slots.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let seqs = self.seqs.read().unwrap_or_else(PoisonError::into_inner).bytes();
        self.rows.bytes() + self.heads.bytes() + seqs
    }

    /// Whether `slot` has a row, published or not.
    #[must_use]
    pub fn has(&self, slot: u32) -> bool {
        self.head(slot).row().is_some()
    }

    fn head(&self, slot: u32) -> Link {
        self.heads.get(slot).map_or(Link(0), |head| Link(head.load(Ordering::Acquire)))
    }
}

#[cfg(test)]
mod tests;
