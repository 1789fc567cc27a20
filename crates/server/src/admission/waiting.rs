//! Answers that wait for slow readers: each holds a thread and what it reads from, and no turn.
//!
//! Their number is bounded. When all places are taken, the answer whose reader has taken nothing for the longest
//! time is cut off for the new one, if that is longer than [`STALL_MIN`]: a reader that steadily takes 16 KB/s
//! takes a piece more often than that. If there is none, the new one keeps its turn while it waits.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long a reader may take nothing before its answer may be cut off for another. A piece of 64 KiB takes one
/// of 16 KB/s four seconds, and systems acknowledge in steps.
const STALL_MIN: Duration = Duration::from_secs(8);

/// See the module. Clones share the places.
#[derive(Debug, Clone)]
pub(crate) struct Waiting {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    places: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: BTreeMap<u64, Entry>,
    cut: u64,
}

#[derive(Debug)]
struct Entry {
    /// Since when the reader has taken nothing.
    since: Instant,
    cut: Arc<AtomicBool>,
}

/// The place of an answer that waits.
#[derive(Debug)]
pub(crate) struct WaitingPlace {
    shared: Arc<Shared>,
    number: u64,
    cut: Arc<AtomicBool>,
}

impl Waiting {
    pub(crate) fn new(places: usize) -> Self {
        Self { shared: Arc::new(Shared { places, state: Mutex::default() }) }
    }

    /// A place for an answer whose reader has taken nothing since `since`; `None` where all are taken by readers
    /// that take something.
    pub(crate) fn begin(&self, since: Instant) -> Option<WaitingPlace> {
        let mut state = self.shared.lock();
        if state.waiting.len() >= self.shared.places {
            let longest = state.waiting.iter().min_by_key(|(_, entry)| entry.since);
            let number = longest.filter(|(_, entry)| entry.since.elapsed() > STALL_MIN);
            let number = number.map(|(number, _)| *number)?;
            if let Some(entry) = state.waiting.remove(&number) {
                entry.cut.store(true, Ordering::Relaxed);
            }
            state.cut += 1;
        }
        let number = state.next;
        state.next += 1;
        let cut = Arc::new(AtomicBool::new(false));
        state.waiting.insert(number, Entry { since, cut: Arc::clone(&cut) });
        drop(state);
        Some(WaitingPlace { shared: Arc::clone(&self.shared), number, cut })
    }

    /// How many wait.
    pub(crate) fn count(&self) -> usize {
        self.shared.lock().waiting.len()
    }

    /// How many were cut off for others.
    pub(crate) fn cut_off(&self) -> u64 {
        self.shared.lock().cut
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing can panic while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingPlace {
    /// Whether the answer has to end, because another one has the place.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Relaxed)
    }
}

impl Drop for WaitingPlace {
    fn drop(&mut self) {
        self.shared.lock().waiting.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_one_that_stands_still_goes_first() {
        let waiting = Waiting::new(2);
        let old = waiting.begin(Instant::now()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        let young = waiting.begin(Instant::now()).unwrap();
        assert!(waiting.begin(Instant::now()).is_none(), "both may be honest");
        tokio::time::sleep(STALL_MIN).await;
        let new = waiting.begin(Instant::now()).unwrap();
        assert!(old.is_cut() && !young.is_cut() && !new.is_cut());
        assert_eq!((waiting.count(), waiting.cut_off()), (2, 1));
        drop((old, young));
        assert_eq!(waiting.count(), 1);
    }
}
