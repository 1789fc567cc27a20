//! Which active series satisfy a set of matchers, and the names and values among them.
//!
//! One matcher, the narrowest, proposes slots by its postings; every other one is then checked on
//! the pair ids of each slot. Values are compared once per distinct value, never per series.

use std::collections::BTreeSet;

use super::Registry;
use super::bits::BitSet;
use super::catalog::Catalog;
use super::hash::KeyedHash;
use crate::types::Matcher;

/// A matcher, evaluated over the values that its label has now.
enum Condition {
    /// The series carries this pair: `=` with a value.
    Has(u32),
    /// The series carries one of these pairs: the matcher refuses an absent label.
    HasAny(PairSet),
    /// The series carries none of these pairs: the matcher accepts an absent label.
    HasNone(PairSet),
}

struct PairSet {
    ids: Vec<u32>,
    bits: BitSet,
}

impl Registry {
    /// The slots of the active series that satisfy every matcher, ascending; all without matchers.
    ///
    /// The lock is held for reading meanwhile: time grows with the distinct values of the labels
    /// that regular expressions test, and with the series that the narrowest matcher selects.
    #[must_use]
    pub fn select(&self, matchers: &[Matcher]) -> Vec<u32> {
        self.read().select(&self.hash, matchers)
    }

    /// The label names of the active series that satisfy every matcher, sorted.
    #[must_use]
    pub fn label_names(&self, matchers: &[Matcher]) -> Vec<String> {
        let catalog = self.read();
        let mut names: Vec<String> = if matchers.is_empty() {
            catalog.pairs.names().map(str::to_owned).collect()
        } else {
            let pairs = catalog.pairs_of(&catalog.select(&self.hash, matchers));
            let names: BTreeSet<&str> = pairs.iter().map(|id| catalog.pairs.get(id).0).collect();
            names.into_iter().map(str::to_owned).collect()
        };
        names.sort_unstable();
        names
    }

    /// The values of the label `name` among the active series that satisfy every matcher, sorted.
    #[must_use]
    pub fn label_values(&self, name: &str, matchers: &[Matcher]) -> Vec<String> {
        let catalog = self.read();
        let carried =
            (!matchers.is_empty()).then(|| catalog.pairs_of(&catalog.select(&self.hash, matchers)));
        let mut values: Vec<String> = catalog
            .pairs
            .of_name(name)
            .filter(|(id, _)| carried.as_ref().is_none_or(|pairs| pairs.contains(*id)))
            .map(|(_, value)| value.to_owned())
            .collect();
        values.sort_unstable();
        values
    }
}

impl Catalog {
    fn select(&self, hash: &KeyedHash, matchers: &[Matcher]) -> Vec<u32> {
        let mut conditions = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            match self.condition(hash, matcher) {
                Some(condition) => conditions.push(condition),
                None => return Vec::new(),
            }
        }
        let narrowest = (0..conditions.len())
            .filter_map(|at| Some((self.proposes(&conditions[at])?, at)))
            .min()
            .map(|(_, at)| conditions.swap_remove(at));
        let Some(narrowest) = narrowest else {
            return self.slots().filter(|&slot| self.satisfies(slot, &conditions)).collect();
        };
        // A series has one value of a label: the postings of a matcher's pairs are disjoint.
        let mut slots: Vec<u32> = narrowest
            .ids()
            .iter()
            .flat_map(|&id| self.pairs.postings(id))
            .copied()
            .filter(|&slot| self.satisfies(slot, &conditions))
            .collect();
        slots.sort_unstable();
        slots
    }

    /// Evaluates `matcher`; `None` if no series can satisfy it.
    fn condition(&self, hash: &KeyedHash, matcher: &Matcher) -> Option<Condition> {
        let empty = matcher.matches_empty();
        let literals = matcher.literals().filter(|_| matcher.op().is_positive() != empty);
        let ids: Vec<u32> = match literals {
            // The values denoted are known, and none of them is "": look them up.
            Some(values) => values
                .iter()
                .filter_map(|value| self.pairs.find(hash, matcher.name(), value))
                .collect(),
            None => self
                .pairs
                .of_name(matcher.name())
                .filter(|(_, value)| matcher.matches(value) != empty)
                .map(|(id, _)| id)
                .collect(),
        };
        match (ids[..].len(), empty) {
            (0, false) => None,
            (1, false) => Some(Condition::Has(ids[0])),
            (_, false) => Some(Condition::HasAny(self.pair_set(ids))),
            (_, true) => Some(Condition::HasNone(self.pair_set(ids))),
        }
    }

    fn pair_set(&self, ids: Vec<u32>) -> PairSet {
        let mut bits = BitSet::new(self.pairs.bound());
        ids.iter().for_each(|&id| bits.insert(id));
        PairSet { ids, bits }
    }

    /// How many slots the condition would propose; `None` if it only excludes.
    fn proposes(&self, condition: &Condition) -> Option<usize> {
        if matches!(condition, Condition::HasNone(_)) {
            return None;
        }
        Some(condition.ids().iter().map(|&id| self.pairs.postings(id).len()).sum())
    }

    fn satisfies(&self, slot: u32, conditions: &[Condition]) -> bool {
        let ids = self.pair_ids(slot);
        conditions.iter().all(|condition| match condition {
            Condition::Has(id) => ids.contains(id),
            Condition::HasAny(set) => ids.iter().any(|&id| set.bits.contains(id)),
            Condition::HasNone(set) => !ids.iter().any(|&id| set.bits.contains(id)),
        })
    }

    /// The pairs that the series in `slots` carry.
    fn pairs_of(&self, slots: &[u32]) -> BitSet {
        let mut pairs = BitSet::new(self.pairs.bound());
        for &slot in slots {
            self.pair_ids(slot).iter().for_each(|&id| pairs.insert(id));
        }
        pairs
    }
}

impl Condition {
    fn ids(&self) -> &[u32] {
        match self {
            Self::Has(id) => std::slice::from_ref(id),
            Self::HasAny(set) | Self::HasNone(set) => &set.ids,
        }
    }
}
