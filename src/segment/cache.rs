//! A bounded cache of verified blocks of segments.
//!
//! Holds heap copies of what many queries walk: label blocks, unpacked chunk blocks, timestamp
//! blocks, and of value blocks those that were packed and that queries of a few series have unpacked
//! (`chunk_reader.rs`). Others are copied out of the map, which the kernel caches already, and the
//! copy is checked on each load, since a mapped page may be dropped and read again from a disk that has gone bad.
//!
//! One per `Db`, shared by its segments, whose open files it bounds as well (`handles.rs`): keys are file numbers, unique within a store only.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::handles::Handles;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};

const SHARDS: usize = 16;
/// What an entry takes beside its bytes, about.
const ENTRY_OVERHEAD_BYTES: usize = 96;

/// What a block is found by: file number and offset.
type Key = (u64, u64);

/// A cache of blocks with a limit in bytes, evicting by the clock algorithm. Callers must verify a
/// block before it enters.
#[derive(Debug)]
pub struct BlockCache {
    shards: Vec<Mutex<Shard>>,
    pub(super) handles: Handles,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// How a cache fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheStats {
    /// Look-ups that found their block.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// What the cached blocks take, in bytes.
    pub bytes: u64,
    /// Segments that are kept open.
    pub open_files: u64,
}

#[derive(Debug)]
struct Shard {
    places: HashMap<Key, usize>,
    entries: Vec<Entry>,
    hand: usize,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Entry {
    key: Key,
    block: Arc<[u8]>,
    used: bool,
}

impl BlockCache {
    /// A cache of at most about `bytes_max` bytes; 0 caches nothing.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let shard = || {
            Mutex::new(Shard {
                places: HashMap::new(),
                entries: Vec::new(),
                hand: 0,
                bytes: 0,
                bytes_max: bytes_max / SHARDS,
            })
        };
        Self {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            handles: Handles::default(),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// Keeps at most `open_max` segments open (512 if it is not said), at least one.
    #[must_use]
    pub fn with_open_files_max(mut self, open_max: usize) -> Self {
        self.handles.set_open_max(open_max);
        self
    }

    /// Says that the files belong to another process, which may remove them: that one is missing is
    /// then [`Error::SnapshotGone`](crate::Error::SnapshotGone).
    #[must_use]
    pub fn of_foreign_files(mut self) -> Self {
        self.handles.foreign = true;
        self
    }

    /// How many segments are kept open at most.
    #[must_use]
    pub fn open_files_max(&self) -> usize {
        self.handles.open_max()
    }

    /// How the cache has fared since it was made.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let bytes = self.shards.iter().map(|shard| lock(shard).bytes as u64).sum();
        CacheStats {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            bytes,
            open_files: self.handles.open() as u64,
        }
    }

    /// The block of file `file_number` at `offset`: from the cache, or from `load`, which returns it
    /// verified. `load` runs without a lock: two callers may load the same block.
    ///
    /// # Errors
    /// Those of `load`; nothing is cached then.
    pub fn get_or_load<E>(
        &self,
        file_number: u64,
        offset: u64,
        load: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<[u8]>, E> {
        let key = (file_number, offset);
        let shard = &self.shards[shard_of(key)];
        if let Some(block) = lock(shard).get(key) {
            self.hits.fetch_add(1, Ordering::Relaxed);
            return Ok(block);
        }
        self.misses.fetch_add(1, Ordering::Relaxed);
        let block = load()?;
        lock(shard).insert(key, Arc::clone(&block));
        Ok(block)
    }
}

/// A panic elsewhere leaves a shard consistent: each method finishes its updates without calls that
/// may panic in between.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard_of((file_number, offset): Key) -> usize {
    let mixed = (file_number.rotate_left(32) ^ offset).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 60) as usize % SHARDS
}

impl Shard {
    fn get(&mut self, key: Key) -> Option<Arc<[u8]>> {
        let entry = &mut self.entries[*self.places.get(&key)?];
        entry.used = true;
        Some(Arc::clone(&entry.block))
    }

    fn insert(&mut self, key: Key, block: Arc<[u8]>) {
        let bytes = block.len() + ENTRY_OVERHEAD_BYTES;
        if bytes > self.bytes_max || self.places.contains_key(&key) {
            return;
        }
        while self.bytes + bytes > self.bytes_max {
            self.evict_one();
        }
        self.bytes += bytes;
        self.places.insert(key, self.entries.len());
        self.entries.push(Entry { key, block, used: false });
    }

    /// Removes the next entry that was not used since the hand came by last.
    fn evict_one(&mut self) {
        loop {
            self.hand %= self.entries.len();
            let entry = &mut self.entries[self.hand];
            if entry.used {
                entry.used = false;
                self.hand += 1;
                continue;
            }
            let gone = self.entries.swap_remove(self.hand);
            self.places.remove(&gone.key);
            if let Some(moved) = self.entries.get(self.hand) {
                self.places.insert(moved.key, self.hand);
            }
            self.bytes -= gone.block.len() + ENTRY_OVERHEAD_BYTES;
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(byte: u8, len: usize) -> impl FnOnce() -> Result<Arc<[u8]>, ()> {
        move || Ok(vec![byte; len].into())
    }

    #[test]
    fn a_block_is_loaded_once_and_errors_are_not_kept() {
        let cache = BlockCache::new(1 << 20);
        assert_eq!(cache.get_or_load(1, 8, || Err(())), Err(()));
        for _ in 0..3 {
            assert_eq!(cache.get_or_load(1, 8, load(7, 10)).unwrap()[0], 7);
        }
        assert_eq!(cache.get_or_load(2, 8, load(9, 10)).unwrap()[0], 9, "another file");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (2, 3));
        assert_eq!(stats.bytes, 2 * (10 + ENTRY_OVERHEAD_BYTES as u64));
    }

    #[test]
    fn the_limit_holds_and_what_is_used_stays() {
        let bytes_max = SHARDS * 5000;
        let cache = BlockCache::new(bytes_max);
        cache.get_or_load(0, 0, load(1, 500)).unwrap();
        for offset in 1..2000 {
            cache.get_or_load(0, offset, load(2, 500)).unwrap();
            cache.get_or_load(0, 0, || Err("evicted though in use")).unwrap();
            assert!(cache.stats().bytes <= bytes_max as u64);
        }
        assert!(cache.stats().bytes > bytes_max as u64 / 2, "and it is made use of");
        cache.get_or_load(9, 9, load(3, 6000)).unwrap();
        cache.get_or_load(9, 9, || Err(())).unwrap_err();
        let none = BlockCache::new(0);
        none.get_or_load(0, 0, load(1, 1)).unwrap();
        assert_eq!(none.stats().bytes, 0);
    }
}
