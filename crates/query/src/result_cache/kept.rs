//! Which answers are kept: a map from queries to a few extents each, bounded in bytes.
//!
//! # Invariants
//!
//! - `bytes` is the sum of the bytes of all entries, and at most `bytes_max` whenever the lock is free.
//! - `by_use` has each entry once, under its `used`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Key;
use super::extent::Extent;

/// Extents of one query: two people may look at different weeks of one panel.
const EXTENTS_MAX: usize = 4;
/// What an entry takes beside its key and its extents: places in both maps, and the vector.
const ENTRY_BYTES: u64 = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Kept {
    bytes_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Arc<Key>, Entry>,
    /// The keys by when they were used last.
    by_use: BTreeMap<u64, Arc<Key>>,
    next_use: u64,
    bytes: u64,
    evicted: u64,
}

#[derive(Debug)]
struct Entry {
    used: u64,
    /// The one that was put last is last.
    extents: Vec<Arc<Extent>>,
    bytes: u64,
}

impl Kept {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self { bytes_max, state: Mutex::default() }
    }

    pub(super) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes, entries, and how many entries had to go.
    pub(super) fn figures(&self) -> (u64, u64, u64) {
        let state = self.lock();
        (state.bytes, state.entries.len() as u64, state.evicted)
    }

    /// What there is of a query.
    pub(super) fn get(&self, key: &Arc<Key>) -> Vec<Arc<Extent>> {
        let state = &mut *self.lock();
        let Some(entry) = state.entries.get_mut(key) else { return Vec::new() };
        let Some(own) = state.by_use.remove(&entry.used) else { return Vec::new() };
        entry.used = state.next_use;
        state.by_use.insert(state.next_use, own);
        state.next_use += 1;
        entry.extents.clone()
    }

    /// Keeps an answer, in the place of those of which it has most steps, and of those that were used
    /// the longest ago.
    pub(super) fn put(&self, key: Arc<Key>, extent: Extent) {
        let state = &mut *self.lock();
        let mut extents = state.remove(&key).map(|entry| entry.extents).unwrap_or_default();
        extents.retain(|old| {
            let common = old.steps.common_with(extent.steps);
            common.is_none_or(|common| common.count.saturating_mul(2) < old.steps.count)
        });
        extents.push(Arc::new(extent));
        if extents.len() > EXTENTS_MAX {
            extents.remove(0);
        }
        let of_extents: u64 = extents.iter().map(|extent| extent.bytes).sum();
        let bytes = of_extents + key.bytes() + ENTRY_BYTES;
        let used = state.next_use;
        state.next_use += 1;
        state.bytes += bytes;
        state.by_use.insert(used, Arc::clone(&key));
        state.entries.insert(key, Entry { used, extents, bytes });
        while state.bytes > self.bytes_max {
            let Some((_, oldest)) = state.by_use.first_key_value() else { break };
            let oldest = Arc::clone(oldest);
            state.remove(&oldest);
            state.evicted += 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn remove(&mut self, key: &Arc<Key>) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.used);
        self.bytes -= entry.bytes;
        Some(entry)
    }
}
