//! Slots in label order, without building the labels.
//!
//! The encoding of a pair ends with a separator that no text holds, so no pair's encoding is a prefix
//! of another's, and comparing label sets is comparing their pairs one by one. Each distinct pair is
//! compared as text once, to rank it; the sets then compare as lists of small numbers.

use std::cmp::Ordering;

use super::Registry;
use super::bits::BitSet;
use super::catalog::Catalog;

impl Registry {
    /// `slots` in label order. Free slots are left out.
    #[must_use]
    pub fn in_label_order(&self, slots: &[u32]) -> Vec<u32> {
        let (mut keys, ranks) = self.ranked(slots);
        keys.sort_unstable_by(|a, b| ranks[a.range()].cmp(&ranks[b.range()]));
        keys.into_iter().map(|key| key.slot).collect()
    }

    /// The slots and, for each, its pairs' ranks in one array.
    fn ranked(&self, slots: &[u32]) -> (Vec<Key>, Vec<u32>) {
        let catalog = self.read();
        let mut ids = Vec::new();
        let mut keys = Vec::with_capacity(slots.len());
        for &slot in slots {
            let start = ids.len();
            ids.extend_from_slice(catalog.pair_ids(slot));
            if ids.len() > start {
                // The registry holds fewer than 2^32 pair ids in all.
                keys.push(Key { slot, start: start as u32, pairs: (ids.len() - start) as u32 });
            }
        }
        let rank = ranks(&catalog, &ids);
        drop(catalog);
        ids.iter_mut().for_each(|id| *id = rank[*id as usize]);
        (keys, ids)
    }
}

struct Key {
    slot: u32,
    start: u32,
    pairs: u32,
}

impl Key {
    fn range(&self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.pairs as usize
    }
}

/// The rank of each pair id among `ids`; ids that do not occur have rank 0.
fn ranks(catalog: &Catalog, ids: &[u32]) -> Vec<u32> {
    let bound = catalog.pairs.bound();
    let mut seen = BitSet::new(bound);
    let mut distinct: Vec<u32> = Vec::new();
    for &id in ids {
        if !seen.contains(id) {
            seen.insert(id);
            distinct.push(id);
        }
    }
    distinct.sort_unstable_by(|&a, &b| {
        let ((name_a, value_a), (name_b, value_b)) = (catalog.pairs.get(a), catalog.pairs.get(b));
        terminated(name_a, name_b).then_with(|| terminated(value_a, value_b))
    });
    let mut rank = vec![0; bound];
    distinct.iter().zip(0..).for_each(|(&id, r)| rank[id as usize] = r);
    rank
}

/// The order of two texts that each end with the separator 0xFF, which is above every byte of text.
fn terminated(a: &str, b: &str) -> Ordering {
    let shared = a.len().min(b.len());
    a.as_bytes()[..shared].cmp(&b.as_bytes()[..shared]).then(b.len().cmp(&a.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Labels, LabelsLimits};

    #[test]
    fn the_order_is_that_of_labels() {
        let registry = Registry::new([1; 32], LabelsLimits::default(), usize::MAX);
        let values = ["a", "ab", "b", "abc", "", "é", "دما"];
        let mut slots = Vec::new();
        for first in values {
            for second in values {
                for (name, other) in [("a", "ab"), ("m", "n"), ("دما", "z")] {
                    if let Ok(labels) = Labels::from_pairs([(name, first), (other, second)]) {
                        slots.push(registry.resolve(&labels).unwrap().slot());
                    }
                }
            }
        }
        slots.push(1_000_000);
        let ordered = registry.in_label_order(&slots);
        let labels: Vec<Labels> = ordered.iter().map(|&s| registry.labels(s).unwrap()).collect();
        let mut sorted = labels.clone();
        sorted.sort();
        assert_eq!(labels, sorted);
        assert_eq!(ordered.len(), slots.len() - 1, "the free slot is left out");
    }
}
