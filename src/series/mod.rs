//! The registry of active series: who is who while samples arrive.
//!
//! It owns the interned label pairs and the map from encodings of label sets to *slots*. The write
//! path calls [`Registry::resolve`] for every series of a batch, the commit leader [`Registry::mark_used`]
//! and the WAL refs, queries [`Registry::select`], and `db` evicts when a memtable is gone.
//!
//! # Invariants
//!
//! - One label set is in at most one slot; a slot's labels never change while its version stays.
//! - A slot is freed only by [`Registry::evict`] and [`Registry::evict_idle`], only if the last
//!   generation that resolved or marked as used it is below the oldest live one, or by
//!   [`Registry::evict_unwritten`], only if no live one holds samples of it; its version changes then.
//! - What is in use never passes the limit of bytes by more than one series. Known series are never
//!   refused.
//! - A hash only proposes: a series is recognised by comparing its strings. The hash is keyed with
//!   random bytes, so that no sender can make lookups slow.
//! - The label pairs are shared; a pair is held as long as a series carries it.
//!
//! # Locks
//!
//! One reader-writer lock over the `Catalog`, sharded so that readers on many cores do not share a
//! cache line. A known series takes it for reading; only a new series, a new encoding and an eviction
//! take it for writing. Versions, generations and WAL refs are atomics outside of it.
//!
//! It must not do I/O, draw random numbers or know what samples are.
//!
//! # Slots and handles
//!
//! XXH3-128 is computed with a random key and 32 bits of it are stored: every hit is
//! confirmed against the interned strings, so the rest would only cost memory. A `SeriesHandle` is
//! (slot, version): the version changes when a slot is freed, so a stale handle is recognised,
//! never answered with another series. Slots are freed only when no live memtable (active, sealed
//! or pinned by a snapshot) holds samples of them, and in a registry that is half full only those
//! of idle series (see `db::write::admission`). The commit leader marks as used every handle of a
//! batch before anything of it is written; that excludes an eviction in between.

mod activity;
mod bits;
mod cardinality;
mod catalog;
mod encoded;
mod eviction;
mod hash;
mod lists;
mod order;
mod pairs;
mod postings;
mod select;
mod slots;

use std::fmt;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::sys::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use crate::sys::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
use crate::types::{LabelCollector, Labels, LabelsLimits, Limit, LimitExceeded};
use catalog::Catalog;
use hash::KeyedHash;
use slots::Slots;

pub use crate::types::SeriesHandle;
pub use cardinality::Cardinality;
pub use encoded::EncodedLabels;
pub use eviction::Idle;

/// The active series of one store. See the module for its rules.
pub struct Registry {
    hash: KeyedHash,
    limits: LabelsLimits,
    series_max: usize,
    bytes_max: usize,
    /// Seconds without samples after which a series is idle.
    idle_s: u32,
    generation: AtomicU32,
    /// Series in the catalog, for readers without its lock.
    active: AtomicUsize,
    /// Set when a new series makes the registry nearly full, until somebody asks.
    nearly_full: AtomicBool,
    slots: Slots,
    catalog: ShardedLock<Catalog>,
}

impl Registry {
    /// An empty registry that hashes under `key` (random bytes of this process), accepts label sets
    /// within `limits` and at most `series_max` active series. The generation is 1.
    #[must_use]
    pub fn new(key: [u8; 32], limits: LabelsLimits, series_max: usize) -> Self {
        Self {
            hash: KeyedHash::new(&key),
            limits,
            series_max,
            bytes_max: usize::MAX,
            idle_s: u32::MAX,
            generation: AtomicU32::new(1),
            active: AtomicUsize::new(0),
            nearly_full: AtomicBool::new(false),
            slots: Slots::new(),
            catalog: ShardedLock::new(Catalog::new()),
        }
    }

    /// The registry, which refuses new series when it holds `bytes_max` bytes, and takes those for
    /// idle that had no sample for `idle_after`.
    #[must_use]
    pub fn within(self, bytes_max: u64, idle_after: Duration) -> Self {
        let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let idle_s = u32::try_from(idle_after.as_secs()).unwrap_or(u32::MAX).max(1);
        Self { bytes_max, idle_s, ..self }
    }

    fn read(&self) -> ShardedLockReadGuard<'_, Catalog> {
        self.catalog.read().expect("no thread panicked while it changed the registry")
    }

    fn write(&self) -> ShardedLockWriteGuard<'_, Catalog> {
        self.catalog.write().expect("no thread panicked while it changed the registry")
    }

    /// Names the memtable generation that is written now: series resolved from here on live at least
    /// until it is gone, so that there is time to write them.
    pub fn set_generation(&self, generation: u32) {
        self.generation.store(generation, Ordering::Release);
    }

    /// Finds the series with these labels, or makes it active. A known series in a known encoding
    /// costs no allocation, and always resolves, whatever the limits.
    ///
    /// # Errors
    /// [`Error::Labels`] if the set is not valid or not within its limits; [`Error::LimitExceeded`]
    /// if it is new and the store already has as many active series as it may.
    pub fn resolve(&self, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        let hash = self.hash.of(labels.bytes());
        let catalog = self.read();
        if let Some(slot) = catalog.find(hash, labels) {
            return Ok(self.mark(slot));
        }
        drop(catalog);
        self.resolve_slowly(hash, labels)
    }

    #[cold]
    fn resolve_slowly(&self, hash: u32, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        let mut collector = LabelCollector::new(&self.limits);
        labels.pairs(|name, value| {
            collector.push(name, value);
            true
        });
        let canonical = collector.finish()?;
        let canonical_hash = self.hash.of(canonical.encoded());
        let catalog = self.read();
        // Refused without stopping those that are known.
        if self.fullness(&catalog) >= eviction::FULL
            && catalog.find(canonical_hash, &canonical).is_none()
        {
            return Err(too_many_series(&catalog));
        }
        drop(catalog);
        let mut catalog = self.write();
        let slot = match catalog.find(canonical_hash, &canonical) {
            Some(slot) => slot,
            None if self.fullness(&catalog) >= eviction::FULL => {
                return Err(too_many_series(&catalog));
            }
            None => {
                let slot = catalog.create(&self.hash, &canonical)?;
                self.slots.occupy(slot, self.generation.load(Ordering::Acquire));
                self.note_created(&catalog);
                slot
            }
        };
        if catalog.find(hash, labels).is_none() {
            catalog.add_alias(slot, hash);
        }
        Ok(self.mark(slot))
    }

    /// The handle of `slot`, which then outlives the present generation. The caller holds the lock.
    #[inline]
    fn mark(&self, slot: u32) -> SeriesHandle {
        let handle = SeriesHandle { slot, version: self.slots.version(slot) };
        let live = self.slots.mark_used(handle, self.generation.load(Ordering::Acquire));
        debug_assert!(live, "versions change only under the write lock");
        handle
    }

    /// The labels of the series in `slot`; `None` if the slot is free.
    #[must_use]
    pub fn labels(&self, slot: u32) -> Option<Labels> {
        self.read().labels(slot)
    }

    /// Bytes of the encoded labels of the series in these slots, without making them.
    #[must_use]
    pub fn encoded_bytes(&self, slots: &[u32]) -> usize {
        self.read().encoded_bytes(slots)
    }

    /// Records that memtable `generation` holds samples of the series, which is then active until
    /// that generation is gone; false if the handle is stale: the series has to be resolved again.
    #[inline]
    #[must_use]
    pub fn mark_used(&self, handle: SeriesHandle, generation: u32) -> bool {
        self.slots.mark_used(handle, generation)
    }

    /// Whether the handle is valid; if so its series is in use from here on, as after
    /// [`resolve`](Self::resolve).
    #[must_use]
    pub fn is_current(&self, handle: SeriesHandle) -> bool {
        self.slots.mark_used(handle, self.generation.load(Ordering::Acquire))
    }

    /// The ref of `slot` in the WAL file of `generation`, if it was defined there. Generations start
    /// at 1.
    #[inline]
    #[must_use]
    pub fn wal_ref(&self, slot: u32, generation: u32) -> Option<u32> {
        self.slots.wal_ref(slot, generation)
    }

    /// Records the ref of `slot` in the WAL file of `generation`, in place of an older one.
    #[inline]
    pub fn set_wal_ref(&self, slot: u32, generation: u32, reference: u32) {
        debug_assert_ne!(generation, 0, "generations start at 1");
        self.slots.set_wal_ref(slot, generation, reference);
    }

    /// Takes back the ref of `slot` in the WAL file of `generation` if it is `from` or a later one:
    /// the frame that would have defined it was not written.
    pub fn clear_wal_ref(&self, slot: u32, generation: u32, from: u32) {
        self.slots.clear_wal_ref(slot, generation, from);
    }

    /// Active series.
    #[must_use]
    pub fn len(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }

    /// Whether no series is active.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of heap held, those included that freed series have left for the next ones.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.read().bytes() + self.slots.bytes()
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key of the hash stays out of logs, and a million series too.
        f.debug_struct("Registry").field("series", &self.len()).finish_non_exhaustive()
    }
}

fn too_many_series(catalog: &Catalog) -> Error {
    let (active, bytes) = (catalog.len() as u64, catalog.used_bytes() as u64);
    LimitExceeded::new(Limit::ActiveSeries { bytes }, active + 1, active).into()
}

/// Makes room for `additional` elements: by an eighth where `Vec` would double, because at a million
/// series the unused half is what a budget has to pay for.
fn grow<T>(vec: &mut Vec<T>, additional: usize) {
    let needed = vec.len() + additional;
    if needed > vec.capacity() && needed > 64 {
        vec.reserve_exact(additional.max(vec.len() / 8));
    }
}

#[cfg(test)]
mod tests;
