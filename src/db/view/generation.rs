//! Generations: a memtable with the log files that hold its batches.
//!
//! The active generation takes writes; a *sealed* one waits for its flush. Deletes of a generation lie in
//! its log before its rows. Made by the writer, and by opening for what it has recovered.

use std::sync::Arc;
use std::time::Duration;

use crate::memtable::Memtable;
use crate::series::Registry;
use crate::sys::sync::OnceLock;
use crate::sys::sync::atomic::{AtomicBool, Ordering};

/// One memtable and the log files that hold its batches.
#[derive(Debug)]
pub(in crate::db) struct Generation {
    pub(in crate::db) memtable: Arc<Memtable>,
    /// Who the memtable's slots are; batches recovered at open have a registry of their own.
    pub(in crate::db) registry: Arc<Registry>,
    /// Monotonic time of its creation.
    pub(in crate::db) created: Duration,
    /// The first log file that does not belong to this or an older generation, once sealed.
    wal_end: OnceLock<u64>,
    /// Whether a sync of its log failed, or may have failed in an earlier process: which of its
    /// batches survive a power cut is unknown until they are in a segment.
    durability_unknown: AtomicBool,
}

impl Generation {
    /// The generation `number` without a row.
    pub(in crate::db) fn new(number: u32, registry: Arc<Registry>, created: Duration) -> Self {
        Self::of(Arc::new(Memtable::new(number)), registry, created)
    }

    /// The generation that was recovered to `memtable`.
    pub(in crate::db) fn of(
        memtable: Arc<Memtable>,
        registry: Arc<Registry>,
        created: Duration,
    ) -> Self {
        Self {
            memtable,
            registry,
            created,
            wal_end: OnceLock::new(),
            durability_unknown: AtomicBool::new(false),
        }
    }

    /// Its number: 1, 2, ... in the order of writes.
    pub(in crate::db) fn number(&self) -> u32 {
        self.memtable.generation()
    }

    /// Notes that log files from `file_number` on do not belong to it. The first call counts.
    pub(in crate::db) fn end_log_before(&self, file_number: u64) {
        let _ = self.wal_end.set(file_number);
    }

    /// The first log file that does not belong to this sealed generation or an older one.
    pub(in crate::db) fn wal_end(&self) -> u64 {
        *self.wal_end.get().expect("a sealed generation knows its log files")
    }

    /// Notes that nothing tells which of its batches survive a power cut.
    pub(in crate::db) fn set_durability_unknown(&self) {
        self.durability_unknown.store(true, Ordering::Release);
    }

    /// Whether it is unknown which of its batches survive a power cut.
    pub(in crate::db) fn is_durability_unknown(&self) -> bool {
        self.durability_unknown.load(Ordering::Acquire)
    }
}
