//! The open files of segments: at most so many at a time, however many segments there are.
//!
//! A segment that was read stays open, with its footer and tops in memory, until as many others were
//! read after it as fit; then it is closed, and opened again at its next use. Who reads at that moment
//! keeps what he has: a file is closed when its last reader lets go.
//!
//! One per [`BlockCache`](super::BlockCache), which the segments of a store share. Evicts by the clock
//! algorithm; a use costs no lock here.

use std::sync::{Arc, PoisonError, Weak};

use super::loaded::Loaded;
use crate::sys::sync::{Mutex, MutexGuard};

/// Half of the files that a process may commonly have open.
const OPEN_MAX_DEFAULT: usize = 512;

/// The segments that are kept open.
#[derive(Debug)]
pub(super) struct Handles {
    open_max: usize,
    /// Whether the files belong to another process, which may remove them at any time.
    pub(super) foreign: bool,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    open: Vec<Arc<Loaded>>,
    hand: usize,
}

impl Default for Handles {
    fn default() -> Self {
        Self { open_max: OPEN_MAX_DEFAULT, foreign: false, kept: Mutex::default() }
    }
}

impl Handles {
    /// Sets how many are kept open, at least one.
    pub(super) fn set_open_max(&mut self, open_max: usize) {
        self.open_max = open_max.max(1);
    }

    /// How many are kept open at most.
    pub(super) fn open_max(&self) -> usize {
        self.open_max
    }

    /// How many are kept open.
    pub(super) fn open(&self) -> usize {
        self.lock().open.len()
    }

    /// Keeps a segment open that has just been read, in the place of one that has not been of late.
    pub(super) fn keep(&self, loaded: Arc<Loaded>) {
        let mut kept = self.lock();
        let evicted = (kept.open.len() >= self.open_max).then(|| kept.evict_one());
        kept.open.push(loaded);
        drop(kept);
        // Closing a file and its map takes a while: not under the lock.
        drop(evicted);
    }

    /// Closes a segment that nobody will read again.
    pub(super) fn forget(&self, loaded: &Weak<Loaded>) {
        let mut kept = self.lock();
        let place = kept.open.iter().position(|open| Arc::as_ptr(open) == loaded.as_ptr());
        let forgotten = place.map(|place| kept.open.swap_remove(place));
        drop(kept);
        drop(forgotten);
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Takes out the next one that was not used since the hand came by last. There is one.
    fn evict_one(&mut self) -> Arc<Loaded> {
        loop {
            self.hand %= self.open.len();
            if !self.open[self.hand].take_used() {
                return self.open.swap_remove(self.hand);
            }
            self.hand += 1;
        }
    }
}
