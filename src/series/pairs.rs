//! Interned label pairs: every (name, value) of the active series once, under a `u32` id.
//!
//! A pair knows its postings, which are also its reference count: a pair lives as long as a series
//! carries it. Names are interned apart, because few names have many values.

use std::collections::HashMap;

use super::bits::BitSet;
use super::grow;
use super::hash::{HashTable, KeyedHash};
use super::postings::Postings;

#[derive(Debug, Clone, Copy)]
struct Pair {
    name: u32,
    /// Where the value starts in `Pairs::text`.
    start: u32,
    len: u32,
}

#[derive(Debug)]
struct Name {
    text: Box<str>,
    /// The ids of its pairs, in no order; empty if the name is free.
    pairs: Vec<u32>,
}

#[derive(Debug)]
pub(super) struct Pairs {
    names: Vec<Name>,
    name_ids: HashMap<Box<str>, u32>,
    free_names: Vec<u32>,
    pairs: Vec<Pair>,
    /// By pair id; empty for a free id.
    postings: Vec<Postings>,
    free: Vec<u32>,
    by_text: HashTable,
    /// The values, one after the other.
    text: Vec<u8>,
    /// Bytes of `text` that belong to freed pairs.
    garbage: usize,
    /// Heap of the postings and of the names, kept so that admission need not walk them.
    postings_bytes: usize,
    names_bytes: usize,
}

impl Pairs {
    pub(super) fn new() -> Self {
        Self {
            names: Vec::new(),
            name_ids: HashMap::new(),
            free_names: Vec::new(),
            pairs: Vec::new(),
            postings: Vec::new(),
            free: Vec::new(),
            by_text: HashTable::new(),
            text: Vec::new(),
            garbage: 0,
            postings_bytes: 0,
            names_bytes: 0,
        }
    }

    /// Whether pair `id` is (`name`, `value`).
    #[inline]
    pub(super) fn is(&self, id: u32, name: &[u8], value: &[u8]) -> bool {
        let pair = self.pairs[id as usize];
        equal(self.bytes_of(pair), value)
            && equal(self.names[pair.name as usize].text.as_bytes(), name)
    }

    /// The name and the value of pair `id`.
    pub(super) fn get(&self, id: u32) -> (&str, &str) {
        let pair = self.pairs[id as usize];
        (&self.names[pair.name as usize].text, self.value_of(pair))
    }

    #[inline]
    fn bytes_of(&self, pair: Pair) -> &[u8] {
        &self.text[pair.start as usize..][..pair.len as usize]
    }

    fn value_of(&self, pair: Pair) -> &str {
        std::str::from_utf8(self.bytes_of(pair))
            .unwrap_or_else(|_| unreachable!("only checked labels are interned"))
    }

    /// The id of (`name`, `value`), if it is interned.
    pub(super) fn find(&self, hash: &KeyedHash, name: &str, value: &str) -> Option<u32> {
        self.find_under(hash, *self.name_ids.get(name)?, value)
    }

    fn find_under(&self, hash: &KeyedHash, name: u32, value: &str) -> Option<u32> {
        self.by_text.find(hash.of_pair(name, value.as_bytes()), |id| {
            let pair = self.pairs[id as usize];
            pair.name == name && self.bytes_of(pair) == value.as_bytes()
        })
    }

    /// The id of (`name`, `value`), interned if it is new; `None` when 4 GiB of values or 2^32
    /// pairs are held. The caller adds a slot to its postings, or gives the pair back by
    /// [`Pairs::remove_unused`].
    pub(super) fn intern(&mut self, hash: &KeyedHash, name: &str, value: &str) -> Option<u32> {
        let name_id = self.name_ids.get(name).copied();
        if let Some(id) = name_id.and_then(|name| self.find_under(hash, name, value)) {
            return Some(id);
        }
        let start = u32::try_from(self.text.len()).ok()?;
        let len = u32::try_from(value.len()).ok()?;
        start.checked_add(len)?;
        let id = match self.free.pop() {
            Some(id) => id,
            None => u32::try_from(self.pairs.len()).ok().filter(|&id| id != u32::MAX)?,
        };
        let name = name_id.unwrap_or_else(|| self.add_name(name));
        let pair = Pair { name, start, len };
        if id as usize == self.pairs.len() {
            grow(&mut self.pairs, 1);
            grow(&mut self.postings, 1);
            self.pairs.push(pair);
            self.postings.push(Postings::Empty);
        } else {
            self.pairs[id as usize] = pair;
        }
        grow(&mut self.text, value.len());
        self.text.extend_from_slice(value.as_bytes());
        self.by_text.insert(hash.of_pair(name, value.as_bytes()), id);
        let name = &mut self.names[name as usize];
        self.names_bytes -= name.bytes();
        grow(&mut name.pairs, 1);
        name.pairs.push(id);
        self.names_bytes += name.bytes();
        Some(id)
    }

    fn add_name(&mut self, text: &str) -> u32 {
        let name = Name { text: text.into(), pairs: Vec::new() };
        self.names_bytes += name.bytes();
        let id = match self.free_names.pop() {
            Some(id) => {
                self.names[id as usize] = name;
                id
            }
            None => {
                self.names.push(name);
                (self.names.len() - 1) as u32
            }
        };
        self.name_ids.insert(text.into(), id);
        id
    }

    pub(super) fn add_posting(&mut self, id: u32, slot: u32) {
        let postings = &mut self.postings[id as usize];
        self.postings_bytes -= postings.heap_bytes();
        postings.push(slot);
        self.postings_bytes += postings.heap_bytes();
    }

    pub(super) fn postings(&self, id: u32) -> &[u32] {
        self.postings[id as usize].as_slice()
    }

    /// The names in use, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.name_ids.keys().map(|name| &**name)
    }

    /// The pairs of `name`, in no order, each with its value.
    pub(super) fn of_name(&self, name: &str) -> impl Iterator<Item = (u32, &str)> {
        let pairs = self.name_ids.get(name).map_or(&[][..], |&n| &self.names[n as usize].pairs);
        pairs.iter().map(|&id| (id, self.value_of(self.pairs[id as usize])))
    }

    /// One above the highest pair id.
    pub(super) fn bound(&self) -> usize {
        self.pairs.len()
    }

    /// Gives back the last interned pairs if nothing carries them.
    pub(super) fn remove_unused(&mut self, ids: &[u32]) {
        let mut affected = BitSet::new(self.bound());
        ids.iter().for_each(|&id| affected.insert(id));
        self.remove_slots(&affected, &BitSet::new(0));
    }

    /// Removes the slots `dead` from the postings of the pairs `affected`, and the pairs that no
    /// series carries then.
    pub(super) fn remove_slots(&mut self, affected: &BitSet, dead: &BitSet) {
        let mut unused = BitSet::new(self.bound());
        for id in affected.iter() {
            let postings = &mut self.postings[id as usize];
            self.postings_bytes -= postings.heap_bytes();
            if postings.remove_all(dead) {
                unused.insert(id);
            }
            self.postings_bytes += postings.heap_bytes();
        }
        if unused.len() == 0 {
            return;
        }
        self.by_text.retain(|id| !unused.contains(id));
        for id in unused.iter() {
            self.garbage += self.pairs[id as usize].len as usize;
        }
        for id in 0..self.names.len() {
            let name = &mut self.names[id];
            if name.pairs.is_empty() {
                continue; // free already, and not counted
            }
            self.names_bytes -= name.bytes();
            name.pairs.retain(|&pair| !unused.contains(pair));
            if name.pairs.is_empty() {
                self.name_ids.remove(&name.text);
                *name = Name { text: "".into(), pairs: Vec::new() };
                self.free_names.push(id as u32);
                continue;
            } else if name.pairs.len() * 4 < name.pairs.capacity() {
                name.pairs.shrink_to_fit();
            }
            self.names_bytes += name.bytes();
        }
        self.free.extend(unused.iter());
        if self.garbage * 2 > self.text.len() {
            self.compact_text();
        }
    }

    /// Moves the values of the pairs in use together; ids stay. Makes no second copy of the text, which may be
    /// most of what the registry holds, just when that is full.
    fn compact_text(&mut self) {
        self.close_gaps();
        self.text.shrink_to_fit();
    }

    /// Moves each value towards the start, in the order in which they lie, and gives no memory back.
    fn close_gaps(&mut self) {
        let mut ids: Vec<u32> = self.names.iter().flat_map(|name| &name.pairs).copied().collect();
        ids.sort_unstable_by_key(|&id| self.pairs[id as usize].start);
        let mut end = 0;
        for id in ids {
            let pair = &mut self.pairs[id as usize];
            let (start, len) = (pair.start as usize, pair.len as usize);
            self.text.copy_within(start..start + len, end);
            pair.start = end as u32;
            end += len;
        }
        self.text.truncate(end);
        self.garbage = 0;
    }

    /// Bytes of heap held.
    pub(super) fn bytes(&self) -> usize {
        self.names_bytes
            + self.postings_bytes
            + self.free_names.len() * size_of::<Name>()
            + self.pairs.capacity() * size_of::<Pair>()
            + self.postings.capacity() * size_of::<Postings>()
            + (self.free.capacity() + self.free_names.capacity()) * 4
            + self.by_text.bytes()
            + self.text.capacity()
    }

    /// Bytes of what is in use or cannot be used again before it is compacted.
    pub(super) fn used_bytes(&self) -> usize {
        let pairs = self.pairs.len() - self.free.len();
        self.names_bytes
            + self.postings_bytes
            + pairs * (size_of::<Pair>() + size_of::<Postings>())
            + self.by_text.used_bytes()
            + self.text.len()
    }

    #[cfg(test)]
    pub(super) fn check_bytes(&self) {
        let names = self.name_ids.values().map(|&id| self.names[id as usize].bytes());
        assert_eq!(self.names_bytes, names.sum::<usize>());
        let postings = self.postings.iter().map(Postings::heap_bytes);
        assert_eq!(self.postings_bytes, postings.sum::<usize>());
        assert!(self.used_bytes() <= self.bytes() * 5 / 4 + 1024);
    }
}

impl Name {
    /// Bytes of heap with its place in both tables.
    fn bytes(&self) -> usize {
        let places = size_of::<Name>() + (size_of::<(Box<str>, u32)>() + 1) * 3 / 2;
        2 * self.text.len() + self.pairs.capacity() * 4 + places
    }
}

/// Whether two short texts are equal, without a call into the C library: every known series of every
/// batch is confirmed here, label by label.
#[inline]
fn equal(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    // A text of 8 to 16 bytes is its first 8 and its last 8, which may overlap; so with 4 and 2.
    fn ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
        a.first_chunk::<N>() == b.first_chunk::<N>() && a.last_chunk::<N>() == b.last_chunk::<N>()
    }
    match a.len() {
        0 => true,
        1 => a[0] == b[0],
        2..=3 => ends::<2>(a, b),
        4..=7 => ends::<4>(a, b),
        8..=16 => ends::<8>(a, b),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_move_together_within_the_memory_that_they_have() {
        let hash = KeyedHash::new(&[7; 32]);
        let mut pairs = Pairs::new();
        let value = |n: usize| n.to_string().repeat(n);
        let name = |n: usize| if n.is_multiple_of(2) { "a" } else { "b" };
        let ids: Vec<u32> =
            (0..100).map(|n| pairs.intern(&hash, name(n), &value(n)).unwrap()).collect();
        let gone: Vec<u32> = ids.iter().step_by(3).copied().collect();
        pairs.remove_unused(&gone);
        let (before, at) = (pairs.text.len(), pairs.text.as_ptr());
        pairs.close_gaps();
        assert_eq!(pairs.text.as_ptr(), at, "no second copy is made");
        let left = |n: &usize| !n.is_multiple_of(3);
        let used: usize = (0..100).filter(left).map(|n| value(n).len()).sum();
        assert_eq!((pairs.text.len(), pairs.garbage), (used, 0));
        assert!(used < before);
        for n in (0..100).filter(left) {
            assert_eq!(pairs.get(ids[n]), (name(n), &*value(n)));
        }
    }

    #[test]
    fn equality_looks_at_every_byte() {
        for len in 0..40 {
            let a: Vec<u8> = (0..len).collect();
            assert!(equal(&a, &a.clone()), "{len} bytes");
            assert!(!equal(&a, &[&a[..], &[0]].concat()), "{len} bytes and one more");
            for at in 0..a.len() {
                let mut b = a.clone();
                b[at] ^= 0x80;
                assert!(!equal(&a, &b), "{len} bytes, byte {at}");
            }
        }
    }
}
