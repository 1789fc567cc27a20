//! Lists of series of whose labels little is kept.
//!
//! `sum by (job) (rate(requests_total[5m]))` needs the job of a series, and to know which series there
//! are; of a million series all labels would take hundreds of megabytes. A source that is told so by
//! [`Hints::labels_kept`](super::Hints) may hand over a [`KeptList`] in place of the labels:
//!
//! 1. [`LabelKeeper::of`] says whether the selection allows it.
//! 2. For each series, in the engine's label order, [`LabelKeeper::keep`] takes what matters of its
//!    labels. It may be called on several threads.
//! 3. [`LabelKeeper::finish`] makes the list.
//!
//! # Invariants
//!
//! - An evaluation yields the same bits as over all labels: a series goes to the share that all of its
//!   labels say, and series come in Prometheus's order of all labels, which is computed from how long a
//!   beginning neighbours in the engine's order have in common.
//! - Where series lose their names they differ without the labels that go with these: all have the same name,
//!   and none has a label for its type or its unit. Otherwise there is no such list.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use siltstone::{Labels, MatchOp};
use xxhash_rust::xxh64::xxh64;

use super::SelectRequest;
use crate::value::{
    LabelSet, METRIC_NAME, METRIC_TYPE, METRIC_UNIT, SEPARATOR, equal_start, hash_without_metric,
    is_metric_label,
};

/// Tables of label sets, so that threads seldom wait for each other. A power of two.
const TABLES: usize = 16;
/// Bytes of a label set beside its encoding, in a table and in the list.
const SET_BYTES: usize = 96;

/// Takes of the labels of each series what the result keeps.
#[derive(Debug)]
pub struct LabelKeeper<'a> {
    /// Sorted, among them the name of the metric, which annotations tell.
    names: Vec<&'a str>,
    tables: [Mutex<Table>; TABLES],
    /// Whether series lose their names.
    names_go: bool,
    /// Whether a series has a label that would go with its name.
    has_metadata: AtomicBool,
}

/// Label sets that were found.
#[derive(Debug, Default)]
struct Table {
    /// By their hash the places of sets; of several with one hash the last one.
    places: HashMap<u64, u32>,
    sets: Vec<LabelSet>,
    bytes: usize,
}

/// What was kept of the labels of a series.
#[derive(Debug, Clone, Copy)]
pub struct KeptLabels {
    /// The table of the set in the low bits, its place there in the others.
    set: u32,
    /// How many bytes of the encoding are those of the series before.
    shared: u32,
    /// Whether a text ends there.
    text_ends: bool,
    hash_top: u8,
    /// Bytes of a set that no series before had.
    new_bytes: u32,
}

impl KeptLabels {
    /// Bytes that were taken for what is kept of this series, 0 if another one has the same.
    #[must_use]
    pub fn new_bytes(&self) -> u64 {
        u64::from(self.new_bytes)
    }
}

impl<'a> LabelKeeper<'a> {
    /// What takes the labels of a selection's series; `None` where all of them matter.
    #[must_use]
    pub fn of(selection: &SelectRequest<'a>) -> Option<Self> {
        let kept = selection.hints.labels_kept?;
        let names_one = selection.matchers.iter().any(|matcher| {
            matcher.op() == MatchOp::Equal
                && matcher.name() == METRIC_NAME
                && !matcher.value().is_empty()
        });
        let names_go = selection.hints.names_go;
        if names_go && (!names_one || kept.iter().any(|name| is_metric_label(name))) {
            return None;
        }
        let mut names: Vec<&str> = kept.iter().map(String::as_str).collect();
        names.push(METRIC_NAME);
        names.sort_unstable();
        names.dedup();
        let has_metadata = AtomicBool::new(false);
        Some(Self { names, tables: Default::default(), names_go, has_metadata })
    }

    /// Takes what is kept of the labels of a series. `before` are those of the series before in the
    /// engine's order, if there is one.
    #[must_use]
    pub fn keep(&self, before: Option<&Labels>, labels: &Labels) -> KeptLabels {
        let encoded = labels.encoded();
        let shared = before.map_or(0, |before| equal_start(before.encoded(), encoded));
        let mut kept = Vec::with_capacity(64);
        let mut names = self.names.iter().map(|name| name.as_bytes()).peekable();
        let mut parts = encoded.split(|byte| *byte == SEPARATOR);
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            if name == METRIC_TYPE.as_bytes() || name == METRIC_UNIT.as_bytes() {
                self.has_metadata.store(true, Ordering::Relaxed);
            }
            while names.next_if(|listed| *listed < name).is_some() {}
            if names.peek() == Some(&name) {
                for part in [name, value] {
                    kept.extend_from_slice(part);
                    kept.push(SEPARATOR);
                }
            }
        }
        let (set, new_bytes) = self.set_of(&kept);
        KeptLabels {
            set,
            new_bytes,
            shared: u32::try_from(shared).unwrap_or(u32::MAX),
            text_ends: encoded.get(shared) == Some(&SEPARATOR),
            hash_top: (hash_without_metric(encoded, &mut kept) >> 56) as u8,
        }
    }

    /// The set with this encoding, and the bytes that it takes if it is new.
    fn set_of(&self, encoded: &[u8]) -> (u32, u32) {
        let hash = xxh64(encoded, 0);
        let number = hash as usize % TABLES;
        let mut table = self.tables[number].lock().unwrap_or_else(PoisonError::into_inner);
        let Table { places, sets, bytes } = &mut *table;
        let place = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        let (at, new_bytes) = match places.entry(hash) {
            Entry::Occupied(found) if sets[*found.get() as usize].encoded() == encoded => {
                (*found.get(), 0)
            }
            entry => {
                entry.insert_entry(place);
                sets.push(LabelSet::of_encoded(encoded));
                (place, encoded.len() + SET_BYTES)
            }
        };
        *bytes += new_bytes;
        (at * TABLES as u32 + number as u32, u32::try_from(new_bytes).unwrap_or(u32::MAX))
    }

    /// About how many bytes all sets take: what [`KeptLabels::new_bytes`] told.
    #[must_use]
    pub fn set_bytes(&self) -> u64 {
        let bytes = |table: &Mutex<Table>| {
            table.lock().unwrap_or_else(PoisonError::into_inner).bytes as u64
        };
        self.tables.iter().map(bytes).sum()
    }

    /// The list of the series whose labels were taken, in the engine's order; `None` if all of their
    /// labels matter after all.
    #[must_use]
    pub fn finish(self, series: Vec<KeptLabels>) -> Option<KeptList> {
        if self.names_go && self.has_metadata.into_inner() {
            return None;
        }
        let mut sets = Vec::new();
        let starts = self.tables.map(|table| {
            let table = table.into_inner().unwrap_or_else(PoisonError::into_inner);
            let start = sets.len() as u32;
            sets.extend(table.sets);
            start
        });
        let set_of =
            |kept: &KeptLabels| starts[kept.set as usize % TABLES] + kept.set / TABLES as u32;
        Some(KeptList {
            set_of: series.iter().map(set_of).collect(),
            hash_tops: series.iter().map(|kept| kept.hash_top).collect(),
            order: prometheus_order(&series),
            sets,
        })
    }
}

/// The series of a selection, with as much of their labels as the result keeps.
#[derive(Debug)]
pub struct KeptList {
    /// What series have of the labels that are kept; each once, but for rare hashes.
    sets: Vec<LabelSet>,
    /// For each series the place of its set.
    set_of: Vec<u32>,
    /// For each series the first byte of the hash of all its labels but the metric's.
    hash_tops: Vec<u8>,
    /// The series numbers in Prometheus's order of all labels.
    order: Vec<u32>,
}

impl KeptList {
    /// The bytes that say of each series what it has.
    #[must_use]
    pub fn series_bytes(&self) -> u64 {
        (self.order.len() * (2 * size_of::<u32>() + 1)) as u64
    }

    pub(crate) fn sets(&self) -> &[LabelSet] {
        &self.sets
    }

    /// The place among the sets of the labels of a series.
    pub(crate) fn set_of(&self, number: u32) -> usize {
        self.set_of[number as usize] as usize
    }

    /// The first byte of the hash of all labels of a series but those that describe the metric.
    pub(crate) fn hash_top(&self, number: u32) -> u8 {
        self.hash_tops[number as usize]
    }

    pub(crate) fn order(&self) -> &[u32] {
        &self.order
    }
}

/// Series that follow each other in Prometheus's order, of those that the engine has in one place.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: u32,
    last: u32,
}

/// Series with the same beginning, and a place behind it where they differ from the next ones.
#[derive(Debug)]
struct Branch {
    shared: u32,
    done: Stretch,
    /// Whether in the series behind them a text ends there.
    text_ends: bool,
}

/// The numbers of the series, which are in the engine's order, in Prometheus's.
///
/// Both orders compare encodings byte by byte. The byte that ends a text is the highest for the engine and
/// the lowest for Prometheus, so that `"1"` comes before `"10"`. So among all series with one beginning those
/// in which a text ends behind it are the last here and the first there. The beginnings form a tree, which is
/// walked by the lengths that neighbours have in common, as the tree of suffixes over an array of them
/// (Kasai et al., "Linear-Time Longest-Common-Prefix Computation in Suffix Arrays", CPM 2001).
fn prometheus_order(series: &[KeptLabels]) -> Vec<u32> {
    const END: u32 = u32::MAX;
    let mut next = vec![END; series.len()];
    let join = |next: &mut [u32], before: Stretch, behind: Stretch| {
        next[before.last as usize] = behind.first;
        Stretch { first: before.first, last: behind.last }
    };
    let mut open: Vec<Branch> = Vec::new();
    let mut present: Option<Stretch> = None;
    let close = |next: &mut [u32], branch: Branch, present: Stretch| match branch.text_ends {
        true => join(next, present, branch.done),
        false => join(next, branch.done, present),
    };
    for (kept, number) in series.iter().zip(0u32..) {
        if let Some(mut done) = present {
            while let Some(branch) = open.pop_if(|branch| branch.shared >= kept.shared) {
                done = close(&mut next, branch, done);
            }
            open.push(Branch { shared: kept.shared, done, text_ends: kept.text_ends });
        }
        present = Some(Stretch { first: number, last: number });
    }
    let Some(mut all) = present else { return Vec::new() };
    while let Some(branch) = open.pop() {
        all = close(&mut next, branch, all);
    }
    let following = |at: &u32| Some(next[*at as usize]).filter(|next| *next != END);
    std::iter::successors(Some(all.first), following).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::source::Hints;
    use siltstone::Matcher;

    fn keeper<'a>(matchers: &'a [Matcher], kept: &'a [String]) -> Option<LabelKeeper<'a>> {
        let hints = Hints { labels_kept: Some(kept), names_go: true, ..Hints::default() };
        LabelKeeper::of(&SelectRequest { matchers, start: 0, end: 0, hints })
    }

    fn list(all: &[Labels], kept: &[String]) -> Option<KeptList> {
        let matchers = [Matcher::equal(METRIC_NAME, "m")];
        let keeper = keeper(&matchers, kept).expect("one name");
        let before = std::iter::once(None).chain(all.iter().map(Some));
        let series = before.zip(all).map(|(before, own)| keeper.keep(before, own)).collect();
        keeper.finish(series)
    }

    #[test]
    fn little_is_kept_only_of_series_with_one_name() {
        let equal = Matcher::equal(METRIC_NAME, "m");
        let job = ["job".to_owned()];
        assert!(keeper(std::slice::from_ref(&equal), &job).is_some());
        let regex = Matcher::regex(METRIC_NAME, "m|n").expect("a pattern");
        assert!(keeper(&[regex], &job).is_none());
        assert!(keeper(&[Matcher::equal(METRIC_NAME, "")], &job).is_none());
        assert!(keeper(&[Matcher::equal("job", "m")], &job).is_none());
        for name in [METRIC_NAME, METRIC_TYPE, METRIC_UNIT] {
            assert!(keeper(std::slice::from_ref(&equal), &[name.to_owned()]).is_none());
            if name != METRIC_NAME {
                let labels = Labels::from_pairs([(METRIC_NAME, "m"), (name, "x")]);
                assert!(list(&[labels.expect("valid")], &job).is_none());
            }
        }
    }

    proptest! {
        #[test]
        fn series_have_the_order_the_share_and_the_labels_that_all_labels_say(
            sets in prop::collection::btree_set(
                prop::collection::btree_map("[abc]{1,3}", "[01é]{1,4}", 0..4),
                0..40,
            ),
            kept in prop::collection::btree_set("[abc]{1,3}", 0..4),
        ) {
            let with_name = |set: std::collections::BTreeMap<String, String>| {
                let name = (METRIC_NAME.to_owned(), "m".to_owned());
                Labels::from_pairs(set.into_iter().chain([name])).expect("valid")
            };
            let mut all: Vec<Labels> = sets.into_iter().map(with_name).collect();
            all.sort();
            let kept: Vec<String> = kept.into_iter().collect();
            let list = list(&all, &kept).expect("no metadata");
            let whole: Vec<LabelSet> = all.iter().map(LabelSet::from).collect();
            let mut order: Vec<u32> = (0..all.len() as u32).collect();
            order.sort_by(|a, b| whole[*a as usize].cmp(&whole[*b as usize]));
            prop_assert_eq!(list.order(), order);
            for (labels, number) in whole.iter().zip(0..) {
                let expected =
                    labels.filter(|name| name == METRIC_NAME || kept.iter().any(|k| k == name));
                prop_assert_eq!(&list.sets()[list.set_of(number)], &expected);
                let hash = hash_without_metric(labels.encoded(), &mut Vec::new());
                prop_assert_eq!(u64::from(list.hash_top(number)), hash >> 56);
            }
            let distinct: std::collections::HashSet<_> = list.sets().iter().collect();
            prop_assert_eq!(distinct.len(), list.sets().len());
        }
    }
}
