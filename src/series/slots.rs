//! The words of each slot that the write path reads and changes without a lock.

use super::activity::{ActivityClock, Seen};
use crate::sparse_array::{SparseArray, page_len};
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::types::SeriesHandle;

/// Three atomic words per slot.
///
/// `Relaxed` suffices: versions change only under the registry's write lock, a compare-and-swap on
/// the same word decides between a use and an eviction, and the words guard no other memory.
#[derive(Debug)]
pub(super) struct Slots {
    words: SparseArray<Words, { page_len(4096) }>,
    pub(super) activity: ActivityClock,
}

#[derive(Debug, Default)]
struct Words {
    /// `version << 32 | last generation that holds samples of the slot or resolved it`.
    state: AtomicU64,
    /// `generation << 32 | ref in that generation's WAL file`; generation 0 for none.
    wal: AtomicU64,
    /// When the occupant was written last.
    seen: Seen,
}

fn pack(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn unpack(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { words: SparseArray::new(), activity: ActivityClock::default() }
    }

    /// The version of the slot's present or next occupant.
    #[inline]
    pub(super) fn version(&self, slot: u32) -> u32 {
        self.words.get(slot).map_or(0, |w| unpack(w.state.load(Ordering::Relaxed)).0)
    }

    /// Starts a new occupant: no WAL ref, last generation `generation`.
    pub(super) fn occupy(&self, slot: u32, generation: u32) {
        let words = self.words.get_or_default(slot);
        let (version, _) = unpack(words.state.load(Ordering::Relaxed));
        words.wal.store(0, Ordering::Relaxed);
        self.activity.begin(&words.seen);
        words.state.store(pack(version, generation), Ordering::Relaxed);
    }

    /// Raises the last generation of `handle`'s slot to `generation`; false if the handle is stale.
    #[inline]
    pub(super) fn mark_used(&self, handle: SeriesHandle, generation: u32) -> bool {
        let Some(words) = self.words.get(handle.slot) else { return false };
        let mut state = words.state.load(Ordering::Relaxed);
        loop {
            let (version, last) = unpack(state);
            if version != handle.version {
                return false;
            }
            if last >= generation {
                return true;
            }
            let next = pack(version, generation);
            let swap = words.state.compare_exchange_weak(
                state,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            match swap {
                Ok(_) => return true,
                Err(now) => state = now,
            }
        }
    }

    /// Notes that `rows` samples of the slot are written; see [`ActivityClock::note`].
    #[inline]
    pub(super) fn note_written(&self, slot: u32, rows: u32, active: usize) {
        if let Some(words) = self.words.get(slot) {
            self.activity.note(&words.seen, rows, active);
        }
    }

    /// How many rounds ago the slot was written; see [`ActivityClock::age`].
    pub(super) fn age(&self, slot: u32, idle_s: u32) -> usize {
        self.words.get(slot).map_or(0, |words| self.activity.age(&words.seen, idle_s))
    }

    /// Whether the last generation of the slot is below `oldest_live`.
    pub(super) fn is_expired(&self, slot: u32, oldest_live: u32) -> bool {
        self.words
            .get(slot)
            .is_some_and(|w| unpack(w.state.load(Ordering::Relaxed)).1 < oldest_live)
    }

    /// Ends the occupant if its last generation is below `oldest_live`: all handles to it are stale
    /// from here on. False if it was used meanwhile.
    pub(super) fn expire(&self, slot: u32, oldest_live: u32) -> bool {
        let Some(words) = self.words.get(slot) else { return false };
        let state = words.state.load(Ordering::Relaxed);
        let (version, last) = unpack(state);
        if last >= oldest_live {
            return false;
        }
        let next = pack(version.wrapping_add(1), 0);
        let swap = words.state.compare_exchange(state, next, Ordering::Relaxed, Ordering::Relaxed);
        swap.is_ok()
    }

    /// Whether no generation from `oldest_live` on holds samples of the slot, whoever has resolved it there:
    /// a commit defines a series in the log of its generation before it appends samples of it.
    pub(super) fn is_unwritten(&self, slot: u32, oldest_live: u32) -> bool {
        self.words.get(slot).is_some_and(|w| unpack(w.wal.load(Ordering::Relaxed)).0 < oldest_live)
    }

    /// As [`expire`](Self::expire), of a slot that is unwritten since `oldest_live`. The caller excludes commits.
    pub(super) fn expire_unwritten(&self, slot: u32, oldest_live: u32) -> bool {
        let Some(words) = self.words.get(slot) else { return false };
        let state = words.state.load(Ordering::Relaxed);
        if !self.is_unwritten(slot, oldest_live) {
            return false;
        }
        let next = pack(unpack(state).0.wrapping_add(1), 0);
        let swap = words.state.compare_exchange(state, next, Ordering::Relaxed, Ordering::Relaxed);
        swap.is_ok()
    }

    /// Whether the slot may have another occupant: its versions are not used up.
    pub(super) fn is_reusable(&self, slot: u32) -> bool {
        self.version(slot) != u32::MAX
    }

    /// The ref of the slot in the WAL file of `generation`, if it was defined there.
    #[inline]
    pub(super) fn wal_ref(&self, slot: u32, generation: u32) -> Option<u32> {
        let (of, reference) = unpack(self.words.get(slot)?.wal.load(Ordering::Relaxed));
        (of == generation && generation != 0).then_some(reference)
    }

    #[inline]
    pub(super) fn set_wal_ref(&self, slot: u32, generation: u32, reference: u32) {
        self.words.get_or_default(slot).wal.store(pack(generation, reference), Ordering::Relaxed);
    }

    /// Takes back the ref of `slot` in `generation` if it is `from` or a later one.
    pub(super) fn clear_wal_ref(&self, slot: u32, generation: u32, from: u32) {
        if self.wal_ref(slot, generation).is_some_and(|reference| reference >= from) {
            self.words.get_or_default(slot).wal.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.words.bytes()
    }

    /// Bytes of one slot.
    pub(super) const SLOT_BYTES: usize = size_of::<Words>();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_and_an_expiry_exclude_each_other() {
        let slots = Slots::new();
        slots.occupy(5, 3);
        let handle = SeriesHandle { slot: 5, version: slots.version(5) };
        assert!(!slots.expire(5, 3), "generation 3 is live");
        assert!(slots.mark_used(handle, 4) && slots.mark_used(handle, 2), "never lowered");
        assert!(!slots.is_expired(5, 4) && slots.is_expired(5, 5));
        assert!(!slots.expire(5, 4));
        assert!(slots.expire(5, 5));
        assert!(!slots.mark_used(handle, 9), "stale");
        assert_ne!(slots.version(5), handle.version);
        assert!(!slots.mark_used(SeriesHandle { slot: 1 << 30, version: 0 }, 1), "no such page");
    }

    #[test]
    fn wal_refs_belong_to_one_generation_and_one_occupant() {
        let slots = Slots::new();
        slots.occupy(0, 1);
        assert_eq!(slots.wal_ref(0, 1), None);
        assert_eq!(slots.wal_ref(0, 0), None);
        slots.set_wal_ref(0, 1, 77);
        assert_eq!((slots.wal_ref(0, 1), slots.wal_ref(0, 2)), (Some(77), None));
        assert!(slots.expire(0, 2));
        slots.occupy(0, 1);
        assert_eq!(slots.wal_ref(0, 1), None, "the ref of the occupant before");
    }

    #[test]
    fn a_slot_without_samples_expires_however_late_it_was_resolved() {
        let slots = Slots::new();
        slots.occupy(3, 7);
        let handle = SeriesHandle { slot: 3, version: slots.version(3) };
        assert!(!slots.is_expired(3, 7) && slots.is_unwritten(3, 7));
        slots.set_wal_ref(3, 7, 0);
        assert!(!slots.is_unwritten(3, 7) && !slots.expire_unwritten(3, 7));
        assert!(slots.mark_used(handle, 9), "resolved, and not written");
        assert!(!slots.expire(3, 8) && slots.expire_unwritten(3, 8));
        assert!(!slots.mark_used(handle, 9), "stale");
    }

    #[test]
    fn a_slot_whose_versions_are_used_up_is_retired() {
        let slots = Slots::new();
        slots.occupy(1, 1);
        let words = slots.words.get(1).unwrap();
        words.state.store(pack(u32::MAX - 1, 1), Ordering::Relaxed);
        assert!(slots.is_reusable(1) && slots.expire(1, 2));
        assert!(!slots.is_reusable(1));
    }
}
