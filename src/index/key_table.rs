//! The distinct keys of some series, numbered in the order of their first sight.
//!
//! Called by `run`. The bytes of all keys lie back to back; a table of open addressing finds them.
//! What it holds is known to the byte, since a builder's memory is bounded by it.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Numbers keys. At most 2^32 bytes of keys.
#[derive(Debug)]
pub(super) struct KeyTable {
    bytes: Vec<u8>,
    /// Where in `bytes` each key ends.
    ends: Vec<u32>,
    /// How often each key was counted.
    counts: Vec<u32>,
    /// The low half of a key's hash above its number plus one, or 0; a power of two of them.
    slots: Vec<u64>,
    seed: u64,
}

impl KeyTable {
    pub(super) fn new() -> Self {
        // Who chooses labels must not be able to choose collisions.
        let seed = RandomState::new().hash_one(0u64);
        Self { bytes: Vec::new(), ends: Vec::new(), counts: Vec::new(), slots: Vec::new(), seed }
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The key with a number.
    pub(super) fn key(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start as usize..self.ends[number] as usize]
    }

    /// How often the key was counted.
    pub(super) fn count(&self, number: u32) -> u32 {
        self.counts[number as usize]
    }

    /// Counts a key once more.
    pub(super) fn add(&mut self, number: u32) {
        self.counts[number as usize] += 1;
    }

    /// The number of a key, a new one if it was not there.
    pub(super) fn number(&mut self, key: &[u8]) -> u32 {
        if (self.ends.len() + 1) * 4 > self.slots.len() * 3 {
            self.grow();
        }
        let tag = xxh3_64_with_seed(key, self.seed) as u32;
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        while self.slots[at] != 0 {
            let (found, number) = ((self.slots[at] >> 32) as u32, self.slots[at] as u32 - 1);
            if found == tag && self.key(number) == key {
                return number;
            }
            at = (at + 1) & mask;
        }
        let number = self.ends.len() as u32;
        self.slots[at] = u64::from(tag) << 32 | u64::from(number + 1);
        reserve(&mut self.bytes, key.len());
        self.bytes.extend_from_slice(key);
        reserve(&mut self.ends, 1);
        self.ends.push(u32::try_from(self.bytes.len()).expect("keys of less than 4 GiB"));
        reserve(&mut self.counts, 1);
        self.counts.push(0);
        number
    }

    fn grow(&mut self) {
        let len = (self.slots.len() * 2).max(64);
        let old = std::mem::replace(&mut self.slots, vec![0; len]);
        for slot in old.into_iter().filter(|&slot| slot != 0) {
            let mut at = (slot >> 32) as usize & (len - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (len - 1);
            }
            self.slots[at] = slot;
        }
    }

    /// The numbers of all keys, sorted by key.
    pub(super) fn sorted(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.ends.len() as u32).collect();
        order.sort_unstable_by(|&a, &b| self.key(a).cmp(self.key(b)));
        order
    }

    /// The bytes that it occupies.
    pub(super) fn held_bytes(&self) -> usize {
        self.bytes.capacity()
            + (self.ends.capacity() + self.counts.capacity()) * size_of::<u32>()
            + self.slots.capacity() * size_of::<u64>()
    }
}

/// Makes room for `more` elements, in steps of an eighth rather than by doubling: a bound on memory
/// would be missed by half otherwise.
pub(super) fn reserve<T>(vec: &mut Vec<T>, more: usize) {
    if vec.capacity() - vec.len() < more {
        vec.reserve_exact(more.max(vec.len() / 8).max(64));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn numbers_are_given_in_order_and_found_again() {
        let mut table = KeyTable::new();
        let mut model: HashMap<String, u32> = HashMap::new();
        for i in 0..20_000u32 {
            let key = format!("key {}", i.wrapping_mul(0x9E37_79B9) % 7919);
            let next = model.len() as u32;
            let expected = *model.entry(key.clone()).or_insert(next);
            let number = table.number(key.as_bytes());
            assert_eq!(number, expected);
            table.add(number);
            assert_eq!(table.key(number), key.as_bytes());
        }
        assert_eq!(table.len(), model.len());
        let counted: u32 = (0..table.len() as u32).map(|number| table.count(number)).sum();
        assert_eq!(counted, 20_000);
        assert!(table.sorted().is_sorted_by(|&a, &b| table.key(a) < table.key(b)));
        let bytes: usize = model.keys().map(String::len).sum();
        assert!(table.held_bytes() > bytes + 16 * table.len());
    }
}
