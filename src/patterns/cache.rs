//! Compiled regular expressions that are kept for the next request that has them.
//!
//! Asked by [`Patterns`](crate::Patterns), which also puts in what it has compiled. What is kept has never
//! been matched with: a request gets a copy that shares the automaton and has working memory of its own,
//! so that what is kept here stays as large as it was when it was counted.
//!
//! # Invariants
//!
//! - Entries and bytes never pass their limits.
//! - The lock is held for a look-up or for a change of the list. Nothing is compiled, copied or freed under it.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::{AnchoredRegex, Pattern};

/// A pattern that takes more than this part of the limit is not kept.
const ENTRY_PART_MAX: usize = 4;
/// What an entry takes beside its text and its automaton, in bytes.
const ENTRY_BYTES: usize = 256;

/// Compiled regular expressions, at most so many bytes and entries of them. Clones share.
///
/// What goes first is what has not been used again since it was put in or passed over.
#[derive(Debug, Clone)]
pub struct PatternCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    entries_max: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    matchers: HashMap<Arc<str>, Entry<Arc<Pattern>>>,
    captures: HashMap<Arc<str>, Entry<Arc<AnchoredRegex>>>,
    /// What is kept, in the order in which it may go.
    order: VecDeque<Key>,
    statistics: PatternCacheStats,
}

/// Which of the two kinds, and the text.
#[derive(Debug, Clone)]
enum Key {
    Matcher(Arc<str>),
    Captures(Arc<str>),
}

struct Entry<T> {
    compiled: T,
    bytes: usize,
    /// Whether it was used since it was put in or passed over.
    used: bool,
}

/// What a [`PatternCache`] holds and has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PatternCacheStats {
    /// Regular expressions that are kept.
    pub entries: usize,
    /// Bytes that they take.
    pub bytes: usize,
    /// Look-ups that found one.
    pub hits: u64,
    /// Look-ups that found none.
    pub misses: u64,
}

/// What has left the cache, to be dropped without its lock.
#[derive(Default)]
struct Gone {
    matchers: Vec<Arc<Pattern>>,
    captures: Vec<Arc<AnchoredRegex>>,
}

impl PatternCache {
    /// A cache of at most `bytes_max` bytes and `entries_max` entries; 0 keeps nothing.
    #[must_use]
    pub fn new(bytes_max: usize, entries_max: usize) -> Self {
        Self { shared: Arc::new(Shared { bytes_max, entries_max, state: Mutex::default() }) }
    }

    /// Most bytes that it holds.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.shared.bytes_max
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> PatternCacheStats {
        self.lock().statistics
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whatever panicked, the worst is a count that is off.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn matcher(&self, text: &str) -> Option<Pattern> {
        let mut state = self.lock();
        let State { matchers, statistics, .. } = &mut *state;
        let found = used(matchers.get_mut(text), statistics);
        drop(state);
        found.map(|pattern| Pattern::clone(&pattern))
    }

    pub(super) fn captures(&self, text: &str) -> Option<AnchoredRegex> {
        let mut state = self.lock();
        let State { captures, statistics, .. } = &mut *state;
        let found = used(captures.get_mut(text), statistics);
        drop(state);
        found.map(|regex| AnchoredRegex::clone(&regex))
    }

    pub(super) fn keep_matcher(&self, text: &str, pattern: &Pattern) {
        let Some(bytes) = self.entry_bytes(text, pattern.bytes()) else { return };
        let (text, compiled) = (Arc::<str>::from(text), Arc::new(pattern.clone()));
        let mut state = self.lock();
        if !state.matchers.contains_key(&text) {
            state.matchers.insert(text.clone(), Entry { compiled, bytes, used: false });
            let gone = state.added(Key::Matcher(text), bytes, &self.shared);
            drop(state);
            drop(gone);
        }
    }

    pub(super) fn keep_captures(&self, text: &str, regex: &AnchoredRegex) {
        let Some(bytes) = self.entry_bytes(text, regex.compiled_bytes()) else { return };
        let (text, compiled) = (Arc::<str>::from(text), Arc::new(regex.clone()));
        let mut state = self.lock();
        if !state.captures.contains_key(&text) {
            state.captures.insert(text.clone(), Entry { compiled, bytes, used: false });
            let gone = state.added(Key::Captures(text), bytes, &self.shared);
            drop(state);
            drop(gone);
        }
    }

    /// What an entry takes; `None` if it is too large to be kept.
    fn entry_bytes(&self, text: &str, compiled_bytes: usize) -> Option<usize> {
        let bytes = ENTRY_BYTES + text.len() + compiled_bytes;
        let fits = self.shared.entries_max > 0 && bytes <= self.shared.bytes_max / ENTRY_PART_MAX;
        fits.then_some(bytes)
    }
}

fn used<T: Clone>(entry: Option<&mut Entry<T>>, statistics: &mut PatternCacheStats) -> Option<T> {
    let Some(entry) = entry else {
        statistics.misses += 1;
        return None;
    };
    statistics.hits += 1;
    entry.used = true;
    Some(entry.compiled.clone())
}

impl State {
    /// An entry was added: takes out what goes for it.
    fn added(&mut self, key: Key, bytes: usize, limits: &Shared) -> Gone {
        self.order.push_back(key);
        self.statistics.bytes += bytes;
        let mut gone = Gone::default();
        // Who is passed over is not passed over twice, so that this ends.
        while self.statistics.bytes > limits.bytes_max || self.order.len() > limits.entries_max {
            let Some(key) = self.order.pop_front() else { break };
            let freed = match &key {
                Key::Matcher(text) => take(&mut self.matchers, text, &mut gone.matchers),
                Key::Captures(text) => take(&mut self.captures, text, &mut gone.captures),
            };
            match freed {
                Some(bytes) => self.statistics.bytes -= bytes,
                None => self.order.push_back(key),
            }
        }
        self.statistics.entries = self.order.len();
        gone
    }
}

/// Takes out an entry and returns its bytes; passes over one that was used, and returns `None`.
fn take<T>(
    map: &mut HashMap<Arc<str>, Entry<T>>,
    text: &Arc<str>,
    gone: &mut Vec<T>,
) -> Option<usize> {
    if let Some(entry) = map.get_mut(text)
        && std::mem::take(&mut entry.used)
    {
        return None;
    }
    let bytes = map.remove(text).map_or(0, |entry| {
        gone.push(entry.compiled);
        entry.bytes
    });
    Some(bytes)
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.statistics.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cache: &PatternCache, text: &str) {
        cache.keep_matcher(text, &Pattern::new(text).unwrap());
    }

    #[test]
    fn bytes_and_entries_are_bounded_and_what_is_used_stays() {
        let cache = PatternCache::new(1 << 20, 8);
        keep(&cache, "often[0-9]+");
        for number in 0..100 {
            assert!(cache.matcher("often[0-9]+").is_some(), "{number}");
            keep(&cache, &format!("once{number}[0-9]+"));
            assert!(cache.stats().entries <= 8 && cache.stats().bytes <= 1 << 20);
        }
        assert!(cache.matcher("once0[0-9]+").is_none() && cache.matcher("once99[0-9]+").is_some());
        let PatternCacheStats { entries, hits, misses, .. } = cache.stats();
        assert_eq!((entries, hits, misses), (8, 101, 1));
        let small = PatternCache::new(100 << 10, 1000);
        (0..200).for_each(|number| keep(&small, &format!("(?i)[a-z]{{9}}{number}")));
        let stats = small.stats();
        assert!(stats.bytes <= 100 << 10 && (1..200).contains(&stats.entries), "{stats:?}");
    }

    #[test]
    fn large_ones_are_not_kept_and_kinds_are_apart() {
        let cache = PatternCache::new(10 << 10, 100);
        keep(&cache, "(?i)[a-z]{100}");
        assert_eq!(cache.stats(), PatternCacheStats::default());
        let cache = PatternCache::new(1 << 20, 100);
        keep(&cache, "a[0-9]+");
        assert!(cache.captures("a[0-9]+").is_none());
        cache.keep_captures("a[0-9]+", &AnchoredRegex::new("a[0-9]+").unwrap());
        assert!(cache.captures("a[0-9]+").is_some_and(|regex| regex.is_match("a12")));
        assert_eq!(cache.stats().entries, 2);
        assert!(PatternCache::new(0, 0).matcher("a").is_none());
    }
}
