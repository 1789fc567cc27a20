//! The memory maps that live now, in a form that a signal handler can look through.
//!
//! `mapping.rs` enters each map before anybody reads it and takes it out before it is unmapped;
//! `map_faults.rs` asks, inside its handler, which map holds an address.
//!
//! # Invariants
//!
//! - **Looking takes no lock and no memory.** The registry is a list of blocks of slots that only grows: a
//!   slot, once it is there, is never freed, so a handler may hold it as long as it likes. A block has
//!   as many slots as a process commonly has files open; the list is as long as the most maps that
//!   there ever were at a time.
//! - **A live map is always found.** Its slot is written before [`Registry::enter`] returns and not touched
//!   until its [`Entry`] is dropped. Who reads a map has got it from who entered it, by something that
//!   orders memory, so the handler on the reader's thread sees the slot whole.
//! - **Another address never matches.** A slot is changed between two steps of its version, odd while it
//!   changes; who looks takes a slot only if the version was even and the same before and after. What it
//!   skips so is being changed, hence not the slot of a live map, hence not what is looked for. Live maps
//!   do not overlap, and a map leaves the registry before its addresses can be given to anything else.
//! - The flag of a slot is set by the handler alone, while the map lives, and never taken back until the slot
//!   is used for another map.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, compiler_fence, fence};

const BLOCK_SLOTS: usize = 64;

/// A list of maps. The process has one ([`Registry::of_process`]); tests make their own.
pub(super) struct Registry {
    first: Block,
}

struct Block {
    slots: [Slot; BLOCK_SLOTS],
    /// Set once, when all slots before were taken.
    next: OnceLock<Box<Block>>,
}

/// The place of one map.
#[derive(Debug)]
pub(super) struct Slot {
    is_taken: AtomicBool,
    /// Odd while start and length change.
    version: AtomicUsize,
    start: AtomicUsize,
    /// 0 if there is no map.
    len: AtomicUsize,
    has_faulted: AtomicBool,
}

/// Keeps a map in the registry while it lives.
#[derive(Debug)]
pub(super) struct Entry(&'static Slot);

impl Registry {
    pub(super) const fn new() -> Self {
        Self { first: Block::new() }
    }

    /// The one that the handler looks through.
    pub(super) fn of_process() -> &'static Self {
        static REGISTRY: Registry = Registry::new();
        &REGISTRY
    }

    /// Enters a map of `len` bytes, more than 0, from the address `start`.
    pub(super) fn enter(&'static self, start: usize, len: usize) -> Entry {
        let mut block = &self.first;
        loop {
            if let Some(slot) = block.slots.iter().find(|slot| slot.take()) {
                slot.has_faulted.store(false, Ordering::Relaxed);
                slot.change(start, len);
                return Entry(slot);
            }
            block = block.next.get_or_init(|| Box::new(Block::new()));
        }
    }

    /// The map that holds `address`. Safe to call in a signal handler: `OnceLock::get` is a load.
    pub(super) fn find(&'static self, address: usize) -> Option<&'static Slot> {
        let mut block = Some(&self.first);
        while let Some(Block { slots, next }) = block {
            if let Some(slot) = slots.iter().find(|slot| slot.holds(address)) {
                return Some(slot);
            }
            block = next.get().map(|next| &**next);
        }
        None
    }
}

impl Block {
    const fn new() -> Self {
        Self { slots: [const { Slot::new() }; BLOCK_SLOTS], next: OnceLock::new() }
    }
}

impl Slot {
    const fn new() -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            version: AtomicUsize::new(0),
            start: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            has_faulted: AtomicBool::new(false),
        }
    }

    /// Whether it was free and is the caller's now.
    fn take(&self) -> bool {
        !self.is_taken.load(Ordering::Relaxed) && !self.is_taken.swap(true, Ordering::Acquire)
    }

    /// Called by who has taken the slot, hence by one thread at a time.
    fn change(&self, start: usize, len: usize) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        self.start.store(start, Ordering::Relaxed);
        self.len.store(len, Ordering::Relaxed);
        self.version.store(version.wrapping_add(2), Ordering::Release);
    }

    fn holds(&self, address: usize) -> bool {
        let version = self.version.load(Ordering::Acquire);
        let (start, len) = (self.start.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed));
        fence(Ordering::Acquire);
        let is_at_rest =
            version.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == version;
        is_at_rest && address.wrapping_sub(start) < len
    }

    /// Where the map starts, and its length; for who knows that it lives.
    pub(super) fn place(&self) -> (usize, usize) {
        (self.start.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed))
    }

    /// Notes a fault. To be called before the bytes of the map are replaced, so that who sees what stands in
    /// their place also sees that it does.
    pub(super) fn note_fault(&self) {
        self.has_faulted.store(true, Ordering::Release);
    }
}

impl Entry {
    /// Whether the map had no fault, so that what was read of it until now was the file's.
    ///
    /// The handler notes a fault before it replaces bytes. The fences keep the reads before this call before
    /// the load, on this thread (the handler interrupts it anywhere, but the compiler must not move the
    /// reads) and as seen from others (the processor must not, either). On x86-64 they cost nothing.
    pub(super) fn is_sound(&self) -> bool {
        compiler_fence(Ordering::SeqCst);
        fence(Ordering::Acquire);
        !self.0.has_faulted.load(Ordering::Relaxed)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.change(0, 0);
        self.0.is_taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::{BLOCK_SLOTS, Registry};

    fn registry() -> &'static Registry {
        Box::leak(Box::new(Registry::new()))
    }

    fn blocks(registry: &Registry) -> usize {
        let mut count = 1;
        let mut block = &registry.first;
        while let Some(next) = block.next.get() {
            (block, count) = (next, count + 1);
        }
        count
    }

    #[test]
    fn a_map_is_found_by_its_own_addresses_while_it_is_entered() {
        let registry = registry();
        assert!(registry.find(0).is_none() && registry.find(usize::MAX).is_none());
        let low = registry.enter(4096, 100);
        let high = registry.enter(usize::MAX - 4095, 4096);
        for (address, expected) in [
            (4095, None),
            (4096, Some((4096, 100))),
            (4195, Some((4096, 100))),
            (4196, None),
            (usize::MAX - 4096, None),
            (usize::MAX, Some((usize::MAX - 4095, 4096))),
        ] {
            assert_eq!(registry.find(address).map(|slot| slot.place()), expected, "{address}");
        }
        registry.find(usize::MAX).unwrap().note_fault();
        assert!(low.is_sound() && !high.is_sound());
        drop((low, high));
        assert!(registry.find(4096).is_none() && registry.find(usize::MAX).is_none());
    }

    #[test]
    fn slots_are_used_again_and_without_their_faults() {
        let registry = registry();
        let enter = |i: usize| registry.enter((i + 1) << 20, 4096);
        let mut entries: Vec<_> = (0..3 * BLOCK_SLOTS).map(enter).collect();
        assert_eq!(blocks(registry), 3);
        for i in 0..3 * BLOCK_SLOTS {
            registry.find(((i + 1) << 20) + 7).unwrap().note_fault();
        }
        for round in 0..5 {
            entries.drain(..BLOCK_SLOTS + round);
            while entries.len() < 3 * BLOCK_SLOTS {
                entries.push(enter(1000 * (round + 1) + entries.len()));
                assert!(entries.last().unwrap().is_sound());
            }
        }
        assert_eq!(blocks(registry), 3);
    }

    /// Threads enter and take out maps, all the time, in the same slots; each finds its own, of which the
    /// addresses tell the length, and no look finds an address that is not of a map, or a place that
    /// nobody entered.
    #[test]
    fn who_looks_while_slots_change_sees_whole_maps_only() {
        const LOOKS: usize = 40_000;
        let registry = registry();
        let (stop, found) = (AtomicBool::new(false), AtomicUsize::new(0));
        // Map `n` starts at n MiB and has n bytes, so that a start with another's length shows.
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let stop = &stop;
                scope.spawn(move || {
                    let mut n = thread + 1;
                    while !stop.load(Ordering::Relaxed) {
                        let entry = registry.enter(n << 20, n);
                        let slot = registry.find((n << 20) + n - 1).expect("it lives");
                        assert_eq!(slot.place(), (n << 20, n));
                        assert!(registry.find((n << 20) + n).is_none());
                        assert!(entry.is_sound());
                        n = n % 3000 + 3;
                    }
                });
            }
            for look in 0..LOOKS {
                let n = look % 3000 + 1;
                // Behind the end of map n, and before that of longer ones.
                assert!(registry.find((n << 20) + n).is_none(), "a mixture of two maps");
                found.fetch_add(registry.find(n << 20).is_some().into(), Ordering::Relaxed);
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!((1..=3000).all(|n| registry.find(n << 20).is_none()));
    }
}
