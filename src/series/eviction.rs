//! How full the registry is, and which series may be evicted to free memory.
//!
//! Admission counts what is *in use*: memory that freed series have left is used again before any
//! new memory is taken, so what is held stays near the most that was ever in use, and that near the
//! limit.

use std::time::Duration;

use super::Registry;
use super::activity::{AGES, IDLE_AGE};
use super::catalog::Catalog;
use crate::sys::sync::atomic::Ordering;

/// [`Registry::fullness`] of a registry that takes no new series.
pub(super) const FULL: u64 = 1024;
/// From here on series are evicted: what is left takes the new series that arrive while a flush runs.
const NEARLY_FULL: u64 = FULL / 4 * 3;
/// Below this everything that no memtable holds may go.
const HALF: u64 = FULL / 2;

/// The series that could be evicted, by the rounds that went by without them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Idle {
    ages: [usize; AGES],
}

impl Idle {
    /// Series that are idle.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ages[IDLE_AGE..].iter().sum()
    }

    /// Whether no series is idle.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The highest age from which on there are `wanted` series; else the lowest that is idle.
    fn age_for(&self, wanted: usize) -> usize {
        let mut found = 0;
        let enough = |&age: &usize| {
            found += self.ages[age];
            found >= wanted
        };
        (IDLE_AGE..AGES).rev().find(enough).unwrap_or(IDLE_AGE)
    }
}

impl Registry {
    /// How full the registry is, in bytes or in series, of [`FULL`].
    pub(super) fn fullness(&self, catalog: &Catalog) -> u64 {
        let part = |used: usize, max: usize| {
            let share = used as u128 * u128::from(FULL) / (max as u128).max(1);
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        let bytes = part(catalog.used_bytes(), self.bytes_max);
        bytes.max(part(catalog.len(), self.series_max))
    }

    pub(super) fn note_created(&self, catalog: &Catalog) {
        self.active.store(catalog.len(), Ordering::Relaxed);
        if self.fullness(catalog) >= NEARLY_FULL {
            self.nearly_full.store(true, Ordering::Relaxed);
        }
    }

    /// Bytes of heap in use: those that admission goes by.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.read().used_bytes()
    }

    /// Whether new series are refused.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.fullness(&self.read()) >= FULL
    }

    /// Whether at least half of the limit is used. From there on only idle series are evicted
    /// ([`Registry::evict_idle`]); below it every series that no memtable holds may go.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.fullness(&self.read()) >= HALF
    }

    /// Whether it is nearly full.
    #[must_use]
    pub fn is_nearly_full(&self) -> bool {
        self.fullness(&self.read()) >= NEARLY_FULL
    }

    /// Whether the registry has become nearly full since this was asked last.
    #[inline]
    #[must_use]
    pub fn take_nearly_full(&self) -> bool {
        self.nearly_full.load(Ordering::Relaxed) && self.nearly_full.swap(false, Ordering::Relaxed)
    }

    /// Tells the time, monotonic since the store was opened.
    pub fn set_time(&self, now: Duration) {
        self.slots.activity.set_second(now.as_secs() as u32);
    }

    /// The number of the present round; see [`Idle`].
    #[must_use]
    pub fn round(&self) -> u32 {
        self.slots.activity.now()
    }

    /// Notes that `rows` samples of the series in `slot` are written. Only the commit leader calls
    /// it.
    #[inline]
    pub fn note_written(&self, slot: u32, rows: u32) {
        self.slots.note_written(slot, rows, self.len());
    }

    /// The series that no generation from `oldest_live` on has resolved or marked as used, by age. Walks
    /// all slots.
    #[must_use]
    pub fn idle(&self, oldest_live: u32) -> Idle {
        let mut idle = Idle::default();
        let catalog = self.read();
        for slot in catalog.slots().filter(|&slot| self.slots.is_expired(slot, oldest_live)) {
            idle.ages[self.slots.age(slot, self.idle_s)] += 1;
        }
        idle
    }

    /// The idle series of which no generation from `oldest_live` on holds samples, by age. Walks all slots.
    #[must_use]
    pub fn idle_unwritten(&self, oldest_live: u32) -> Idle {
        let mut idle = Idle::default();
        let catalog = self.read();
        for slot in catalog.slots().filter(|&slot| self.slots.is_unwritten(slot, oldest_live)) {
            idle.ages[self.slots.age(slot, self.idle_s)] += 1;
        }
        idle
    }

    /// Frees the slots of idle series of which no generation from `oldest_live` on holds samples, however late
    /// they were resolved, those that have been idle longest first, until about `wanted` are freed. The
    /// caller excludes commits, so that none of them is about to be written: handles to them, also in batches
    /// that wait, are stale then.
    pub fn evict_unwritten(&self, oldest_live: u32, wanted: usize) -> usize {
        let idle = self.idle_unwritten(oldest_live);
        if idle.is_empty() {
            return 0;
        }
        let age = idle.age_for(wanted);
        self.evict_if(|slot| {
            self.slots.age(slot, self.idle_s) >= age
                && self.slots.expire_unwritten(slot, oldest_live)
        })
    }

    /// Frees the slots of all series that no generation from `oldest_live` on has resolved or
    /// marked as used, and what they alone held; returns how many. The work grows with the number of
    /// active series only if there is something to free.
    pub fn evict(&self, oldest_live: u32) -> usize {
        let catalog = self.read();
        let expired = catalog.slots().any(|slot| self.slots.is_expired(slot, oldest_live));
        drop(catalog);
        if !expired {
            return 0;
        }
        self.evict_if(|slot| self.slots.expire(slot, oldest_live))
    }

    /// As [`Registry::evict`], but only of idle series, those that have been idle longest first, until
    /// about `wanted` are freed.
    pub fn evict_idle(&self, oldest_live: u32, wanted: usize) -> usize {
        let idle = self.idle(oldest_live);
        if idle.is_empty() {
            return 0;
        }
        let age = idle.age_for(wanted);
        self.evict_if(|slot| {
            self.slots.age(slot, self.idle_s) >= age && self.slots.expire(slot, oldest_live)
        })
    }

    fn evict_if(&self, expire: impl Fn(u32) -> bool) -> usize {
        let mut catalog = self.write();
        let freed = catalog.evict(&self.slots, expire);
        self.active.store(catalog.len(), Ordering::Relaxed);
        freed
    }
}
