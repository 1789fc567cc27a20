//! One row of the log: a sample, the slot of its series and the series' row before it.

use crate::sys::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// Rows are stored whole, not as columns: a walk along a chain then costs one cache line a row.
///
/// Every field is written once, by the writer, before the row can be reached: all accesses are
/// `Relaxed`, and the order comes from the chain head and the published length (see the module).
#[derive(Debug, Default)]
pub(super) struct Row {
    timestamp: AtomicI64,
    bits: AtomicU64,
    slot: AtomicU32,
    previous: AtomicU32,
}

/// A link to a row: its number plus one, or zero for none, so that fresh memory means "no rows".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Link(pub(super) u32);

impl Link {
    pub(super) fn to(row: u32) -> Self {
        Self(row + 1)
    }

    #[inline]
    pub(super) fn row(self) -> Option<u32> {
        self.0.checked_sub(1)
    }
}

impl Row {
    #[inline]
    pub(super) fn set(&self, slot: u32, timestamp: i64, bits: u64, previous: Link) {
        self.timestamp.store(timestamp, Ordering::Relaxed);
        self.bits.store(bits, Ordering::Relaxed);
        self.slot.store(slot, Ordering::Relaxed);
        self.previous.store(previous.0, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn timestamp(&self) -> i64 {
        self.timestamp.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn slot(&self) -> u32 {
        self.slot.load(Ordering::Relaxed)
    }

    #[inline]
    pub(super) fn previous(&self) -> Link {
        Link(self.previous.load(Ordering::Relaxed))
    }
}
