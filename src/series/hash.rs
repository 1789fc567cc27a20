//! The keyed hash and the hash table of the registry.
//!
//! The table maps hashes to `u32` numbers and knows nothing of what they number: the caller confirms
//! every candidate against the real strings, so a collision costs a comparison, never an answer.
//! An entry is 8 bytes: 32 bits of the hash, from which its place follows, and the number.

use xxhash_rust::xxh3::xxh3_128_with_secret;

/// XXH3-128 under a secret that nobody outside the process can know, so that no sender can choose
/// labels that collide.
pub(super) struct KeyedHash {
    secret: [u8; 192],
}

impl KeyedHash {
    /// Derives the secret from 32 random bytes.
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let mut secret = [0; 192];
        blake3::Hasher::new_derive_key("siltstone series registry hash v1")
            .update(key)
            .finalize_xof()
            .fill(&mut secret);
        Self { secret }
    }

    /// The part of the hash that the tables keep.
    #[inline]
    pub(super) fn of(&self, bytes: &[u8]) -> u32 {
        let hash = xxh3_128_with_secret(bytes, &self.secret);
        (hash >> 96) as u32
    }

    /// The hash of a label pair.
    pub(super) fn of_pair(&self, name: u32, value: &[u8]) -> u32 {
        // The name is a number of our own: multiplying it by an odd constant spreads equal values.
        self.of(value) ^ name.wrapping_mul(0x9E37_79B1)
    }
}

const EMPTY: u64 = u64::MAX;
const CAPACITY_MIN: usize = 32;

/// A multimap from 32-bit hashes to numbers below `u32::MAX`, by linear probing.
#[derive(Debug)]
pub(super) struct HashTable {
    /// `hash << 32 | number`, or `EMPTY`.
    entries: Vec<u64>,
    len: usize,
}

impl HashTable {
    pub(super) fn new() -> Self {
        Self { entries: vec![EMPTY; CAPACITY_MIN], len: 0 }
    }

    /// The first number under `hash` that `is_it` accepts.
    #[inline]
    pub(super) fn find(&self, hash: u32, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let mut at = self.home(hash);
        loop {
            let entry = self.entries[at];
            if entry == EMPTY {
                return None;
            }
            if (entry >> 32) as u32 == hash && is_it(entry as u32) {
                return Some(entry as u32);
            }
            at = self.after(at);
        }
    }

    pub(super) fn insert(&mut self, hash: u32, number: u32) {
        debug_assert_ne!(number, u32::MAX, "the number of an empty entry");
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.rebuild(self.entries.len() / 4 * 5, |_| true);
        }
        self.place(u64::from(hash) << 32 | u64::from(number));
        self.len += 1;
    }

    /// Removes one entry; false if it is not there.
    pub(super) fn remove(&mut self, hash: u32, number: u32) -> bool {
        let wanted = u64::from(hash) << 32 | u64::from(number);
        let mut hole = self.home(hash);
        while self.entries[hole] != wanted {
            if self.entries[hole] == EMPTY {
                return false;
            }
            hole = self.after(hole);
        }
        // Close the hole with entries that may stand there, so that no probe breaks off early.
        let mut at = self.after(hole);
        while self.entries[at] != EMPTY {
            let home = self.home((self.entries[at] >> 32) as u32);
            if self.distance(home, at) >= self.distance(hole, at) {
                self.entries[hole] = self.entries[at];
                hole = at;
            }
            at = self.after(at);
        }
        self.entries[hole] = EMPTY;
        self.len -= 1;
        true
    }

    /// Keeps the entries whose number `keep` accepts, and gives back memory if few are left.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let left = self.numbers().filter(|&number| keep(number)).count();
        let capacity = if left * 4 < self.entries.len() { left * 2 } else { self.entries.len() };
        self.rebuild(capacity.max(CAPACITY_MIN), keep);
    }

    pub(super) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<u64>()
    }

    /// Bytes that the entries take in a table of the usual load.
    pub(super) fn used_bytes(&self) -> usize {
        self.len * size_of::<u64>() * 3 / 2
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn numbers(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().filter(|&&entry| entry != EMPTY).map(|&entry| entry as u32)
    }

    fn rebuild(&mut self, capacity: usize, keep: impl Fn(u32) -> bool) {
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; capacity]);
        self.len = 0;
        for entry in old {
            if entry != EMPTY && keep(entry as u32) {
                self.place(entry);
                self.len += 1;
            }
        }
    }

    fn place(&mut self, entry: u64) {
        let mut at = self.home((entry >> 32) as u32);
        while self.entries[at] != EMPTY {
            at = self.after(at);
        }
        self.entries[at] = entry;
    }

    /// Places are in order of hashes, so that a rebuild reads and writes sequentially.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.entries.len() as u64) >> 32) as usize
    }

    #[inline]
    fn after(&self, at: usize) -> usize {
        if at + 1 == self.entries.len() { 0 } else { at + 1 }
    }

    /// Steps from `from` forward to `to`.
    fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.entries.len() - from }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn found(table: &HashTable, hash: u32) -> BTreeSet<u32> {
        let mut all = BTreeSet::new();
        table.find(hash, |number| {
            all.insert(number);
            false
        });
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Few hashes, near both ends, so that probes run long and around the end of the table.
        #[test]
        fn the_table_is_a_multimap(
            ops in prop::collection::vec((0u32..10, 0u32..60, 0u32..8), 0..200),
        ) {
            let mut table = HashTable::new();
            let mut model: BTreeSet<(u32, u32)> = BTreeSet::new();
            for (what, number, hash) in ops {
                let hash = if hash < 4 { hash } else { u32::MAX - hash + 4 };
                match what {
                    0 => {
                        table.retain(|n| n % 3 != number % 3);
                        model.retain(|(_, n)| n % 3 != number % 3);
                    }
                    1..=3 => prop_assert_eq!(
                        table.remove(hash, number),
                        model.remove(&(hash, number))
                    ),
                    _ => {
                        if model.insert((hash, number)) {
                            table.insert(hash, number);
                        }
                    }
                }
                prop_assert_eq!(table.len(), model.len());
                for hash in [0, 1, 2, 3, u32::MAX - 3, u32::MAX - 2, u32::MAX - 1, u32::MAX] {
                    let expected = model.iter().filter(|e| e.0 == hash).map(|e| e.1).collect();
                    prop_assert_eq!(found(&table, hash), expected);
                }
            }
        }
    }

    #[test]
    fn the_hash_depends_on_the_key_and_on_every_byte() {
        let (one, two) = (KeyedHash::new(&[1; 32]), KeyedHash::new(&[2; 32]));
        for len in [1, 16, 100, 300, 5000] {
            let bytes = vec![7; len];
            assert_ne!(one.of(&bytes), two.of(&bytes), "{len} bytes");
            let mut other = bytes.clone();
            other[len - 1] = 8;
            assert_ne!(one.of(&bytes), one.of(&other), "{len} bytes");
        }
    }
}
