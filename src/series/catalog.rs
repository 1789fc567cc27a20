//! What the registry's lock guards: which series is in which slot, and how to find it.

use super::bits::BitSet;
use super::encoded::EncodedLabels;
use super::grow;
use super::hash::{HashTable, KeyedHash};
use super::lists::{ListRef, Lists};
use super::pairs::Pairs;
use super::slots::Slots;
use crate::error::Result;
use crate::types::{Labels, Limit, LimitExceeded};

/// Encodings remembered per series beside the canonical one; a further one replaces the oldest.
const ALIASES_MAX: usize = 4;
/// Sets up to this size are confirmed in any order; larger ones only in canonical order.
const UNORDERED_MAX: usize = 128;

/// One slot: the pair ids of its series in label order, and the hashes of its other encodings.
#[derive(Debug, Default)]
struct Record {
    list: ListRef,
    aliases: [u32; ALIASES_MAX],
    /// Aliases ever added; the next one goes to this modulo `ALIASES_MAX`.
    alias_count: u32,
}

#[derive(Debug)]
pub(super) struct Catalog {
    pub(super) pairs: Pairs,
    records: Vec<Record>,
    lists: Lists,
    /// Hashes of encodings to slots: one entry for the canonical encoding, one for each alias.
    by_hash: HashTable,
    /// Freed slots, the next to use last.
    free: Vec<u32>,
    live: usize,
}

impl Catalog {
    pub(super) fn new() -> Self {
        Self {
            pairs: Pairs::new(),
            records: Vec::new(),
            lists: Lists::default(),
            by_hash: HashTable::new(),
            free: Vec::new(),
            live: 0,
        }
    }

    /// Series in slots.
    pub(super) fn len(&self) -> usize {
        self.live
    }

    /// The slot of the series with `labels`, whose encoding has the hash `hash`, if that encoding
    /// is known.
    #[inline]
    pub(super) fn find(&self, hash: u32, labels: &impl EncodedLabels) -> Option<u32> {
        self.by_hash.find(hash, |slot| self.carries(slot, labels))
    }

    /// Whether the series in `slot` has exactly `labels`.
    #[inline]
    fn carries(&self, slot: u32, labels: &impl EncodedLabels) -> bool {
        let list = self.pair_ids(slot);
        let mut seen = 0u128;
        let mut found = 0;
        let mut next = 0;
        let mut same = true;
        labels.pairs(|name, value| {
            if value.is_empty() {
                return true;
            }
            // Most senders sort: the pair is the one after the last. If not, look for it.
            let is = |at: &usize| list.get(*at).is_some_and(|&id| self.pairs.is(id, name, value));
            let at = match Some(next).filter(is) {
                None if list.len() <= UNORDERED_MAX => (0..list.len()).find(is),
                at => at,
            };
            let Some(at) = at else {
                same = false;
                return false;
            };
            if list.len() <= UNORDERED_MAX {
                same = seen >> at & 1 == 0;
                seen |= 1 << at;
            }
            found += 1;
            next = at + 1;
            same
        });
        same && found == list.len() && found > 0
    }

    /// The pair ids of the series in `slot` in label order; empty for a free slot.
    #[inline]
    pub(super) fn pair_ids(&self, slot: u32) -> &[u32] {
        self.records.get(slot as usize).map_or(&[], |record| self.lists.get(record.list))
    }

    pub(super) fn labels(&self, slot: u32) -> Option<Labels> {
        let ids = self.pair_ids(slot);
        let mut encoded = Vec::with_capacity(ids.len() * 32);
        for &id in ids {
            let (name, value) = self.pairs.get(id);
            for text in [name, value] {
                encoded.extend_from_slice(text.as_bytes());
                encoded.push(0xFF);
            }
        }
        // Refuses the empty encoding of a free slot.
        Labels::from_encoded(&encoded).ok()
    }

    /// Bytes of the encoded labels of these series.
    pub(super) fn encoded_bytes(&self, slots: &[u32]) -> usize {
        let pair_bytes = |&id: &u32| {
            let (name, value) = self.pairs.get(id);
            name.len() + value.len() + 2
        };
        slots.iter().flat_map(|&slot| self.pair_ids(slot)).map(pair_bytes).sum()
    }

    /// The slots of all series, ascending.
    pub(super) fn slots(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.records).filter(|(_, r)| !r.list.is_empty()).map(|(slot, _)| slot)
    }

    /// Gives the series `labels`, which is in no slot yet, a slot.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] when the numbering is used up; nothing is changed then.
    pub(super) fn create(&mut self, hash: &KeyedHash, labels: &Labels) -> Result<u32> {
        let (list, ids) = self.add_list(hash, labels)?;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                grow(&mut self.records, 1);
                self.records.push(Record::default());
                (self.records.len() - 1) as u32
            }
        };
        self.records[slot as usize] = Record { list, ..Record::default() };
        for id in ids {
            self.pairs.add_posting(id, slot);
        }
        self.by_hash.insert(hash.of(labels.encoded()), slot);
        self.live += 1;
        Ok(slot)
    }

    fn add_list(&mut self, hash: &KeyedHash, labels: &Labels) -> Result<(ListRef, Vec<u32>)> {
        let mut ids = Vec::with_capacity(16);
        let room = self.free.last().is_some() || self.records.len() < u32::MAX as usize;
        let all = labels.iter().all(|(name, value)| {
            self.pairs.intern(hash, name, value).inspect(|&id| ids.push(id)).is_some()
        });
        if self.lists.is_sparse_for(ids.len()) {
            let used = self.records.iter_mut().map(|record| &mut record.list);
            self.lists.compact(used.filter(|list| !list.is_empty()));
        }
        if let Some(list) = (room && all).then(|| self.lists.add(&ids)).flatten() {
            return Ok((list, ids));
        }
        self.pairs.remove_unused(&ids);
        let numbers = u64::from(u32::MAX);
        Err(LimitExceeded::new(Limit::LabelNumbers, numbers + 1, numbers).into())
    }

    /// Remembers another encoding of the series in `slot`, in place of the oldest if it has many.
    pub(super) fn add_alias(&mut self, slot: u32, hash: u32) {
        let record = &mut self.records[slot as usize];
        let at = record.alias_count as usize % ALIASES_MAX;
        if record.alias_count as usize >= ALIASES_MAX {
            let removed = self.by_hash.remove(record.aliases[at], slot);
            debug_assert!(removed, "every remembered alias is in the table");
        }
        record.aliases[at] = hash;
        // Wraps around within the range that says "full".
        let next = record.alias_count + 1;
        record.alias_count = if next == 2 * ALIASES_MAX as u32 { ALIASES_MAX as u32 } else { next };
        self.by_hash.insert(hash, slot);
    }

    /// Ends the series of the slots that `expire` ends; returns how many.
    pub(super) fn evict(&mut self, words: &Slots, expire: impl Fn(u32) -> bool) -> usize {
        let mut dead = BitSet::new(self.records.len());
        let mut affected = BitSet::new(self.pairs.bound());
        for (slot, record) in (0u32..).zip(&mut self.records) {
            if !record.list.is_empty() && expire(slot) {
                self.lists.get(record.list).iter().for_each(|&id| affected.insert(id));
                self.lists.remove(std::mem::take(record).list);
                dead.insert(slot);
            }
        }
        if dead.len() > 0 {
            self.by_hash.retain(|slot| !dead.contains(slot));
            self.pairs.remove_slots(&affected, &dead);
            self.free.extend(dead.iter().filter(|&slot| words.is_reusable(slot)));
            // Low slots first, so that the pages of memtables stay dense.
            self.free.sort_unstable_by(|a, b| b.cmp(a));
            self.live -= dead.len();
        }
        dead.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.pairs.bytes()
            + self.records.capacity() * size_of::<Record>()
            + self.lists.bytes()
            + self.by_hash.bytes()
            + self.free.capacity() * size_of::<u32>()
    }

    /// Bytes of what is in use or cannot be used again before it is compacted, with the eighth by
    /// which the arrays grow.
    pub(super) fn used_bytes(&self) -> usize {
        let records = self.live * (size_of::<Record>() + Slots::SLOT_BYTES);
        let arrays = self.pairs.used_bytes() + records + self.lists.used_bytes();
        arrays / 8 * 9 + self.by_hash.used_bytes()
    }
}
