//! Which ranges of time of which series in which layer are hidden.
//!
//! A [`Filter`] is made for one pass over series: a query or a merge. Series by series it finds the
//! tombstones that match, then tells for each layer what they hide there. A tombstone with an `=`
//! is only looked at for series that have that label pair, so that a pass over many series does not
//! cost a comparison for each of many deletes.

use std::collections::HashMap;
use std::sync::Arc;

use super::Tombstones;
use crate::cursor::{HiddenRanges, Layer};
use crate::types::{Labels, MatchOp, TimeRange, Timestamp, Tombstone};

/// The tombstones that may hide something in a pass over series.
#[derive(Debug)]
pub struct Filter {
    tombstones: Vec<Arc<Tombstone>>,
    /// By label name, then by value: the tombstones that require this pair.
    by_pair: Vec<(String, HashMap<String, Vec<usize>>)>,
    /// Those that require no pair.
    others: Vec<usize>,
    /// Those that match the present series, by seq.
    matching: Vec<usize>,
}

impl Filter {
    /// A filter for a pass that reads `range` of `layers`, each given with the times of its earliest
    /// and latest sample; `None` if nothing can be hidden there.
    #[must_use]
    pub(crate) fn new(
        tombstones: &Tombstones,
        layers: &[(Layer, (Timestamp, Timestamp))],
        range: TimeRange,
    ) -> Option<Self> {
        let relevant = |tombstone: &&Arc<Tombstone>| {
            let hides = |&(layer, (first, last)): &(Layer, (Timestamp, Timestamp))| {
                is_older(layer, tombstone) && tombstone.range.overlaps(first, last)
            };
            overlap(tombstone.range, range) && layers.iter().any(hides)
        };
        Self::of(tombstones.iter().filter(relevant).cloned().collect())
    }

    fn of(tombstones: Vec<Arc<Tombstone>>) -> Option<Self> {
        if tombstones.is_empty() {
            return None;
        }
        let mut filter = Self { tombstones, by_pair: vec![], others: vec![], matching: vec![] };
        let counts = pair_counts(&filter.tombstones);
        for (at, tombstone) in filter.tombstones.iter().enumerate() {
            // File the tombstone under its most selective pair: the one that the fewest tombstones
            // require. A series is then checked against few tombstones. If many deletes name the same
            // metric and each a host of its own, that is the host.
            let Some(pair) = required(tombstone).min_by_key(|pair| counts[pair]) else {
                filter.others.push(at);
                continue;
            };
            let known = filter.by_pair.iter().position(|(name, _)| name == pair.0);
            let place = known.unwrap_or_else(|| {
                filter.by_pair.push((pair.0.to_owned(), HashMap::new()));
                filter.by_pair.len() - 1
            });
            filter.by_pair[place].1.entry(pair.1.to_owned()).or_default().push(at);
        }
        Some(filter)
    }

    /// Goes to the series with these labels; whether anything may be hidden of it.
    pub fn start(&mut self, labels: &Labels) -> bool {
        let Self { tombstones, by_pair, others, matching } = self;
        matching.clear();
        matching.extend(others.iter().filter(|&&at| tombstones[at].matches(labels)));
        for (name, values) in by_pair {
            let at_value = labels.get(name).and_then(|value| values.get(value));
            let candidates = at_value.into_iter().flatten();
            matching.extend(candidates.filter(|&&at| tombstones[at].matches(labels)));
        }
        !matching.is_empty()
    }

    /// What is hidden of the present series in a layer; in place of what `hidden` held.
    pub(crate) fn hidden(&self, layer: Layer, hidden: &mut HiddenRanges) {
        self.hidden_before(u64::MAX, layer, hidden);
    }

    /// As [`hidden`](Self::hidden), by tombstones older than `seq` only.
    pub(crate) fn hidden_before(&self, seq: u64, layer: Layer, hidden: &mut HiddenRanges) {
        hidden.clear();
        for &at in &self.matching {
            let tombstone = &self.tombstones[at];
            if tombstone.seq < seq && is_older(layer, tombstone) {
                hidden.insert(tombstone.range);
            }
        }
    }
}

/// The label pairs, name and value, that a series must have for the tombstone to match.
fn required(tombstone: &Tombstone) -> impl Iterator<Item = (&str, &str)> {
    let equal = tombstone.matchers.iter().filter(|m| m.op() == MatchOp::Equal && m.value() != "");
    equal.map(|matcher| (matcher.name(), matcher.value()))
}

/// How many tombstones require each pair.
fn pair_counts(tombstones: &[Arc<Tombstone>]) -> HashMap<(&str, &str), usize> {
    let mut counts = HashMap::new();
    for pair in tombstones.iter().flat_map(|tombstone| required(tombstone)) {
        *counts.entry(pair).or_default() += 1;
    }
    counts
}

/// Whether a tombstone hides what it matches in a layer. A layer lies wholly before a tombstone
/// or wholly behind it, unless the tombstone is carried out in it.
fn is_older(layer: Layer, tombstone: &Tombstone) -> bool {
    layer.min_seq < tombstone.seq && layer.tombstone_seq < tombstone.seq
}

fn overlap(a: TimeRange, b: TimeRange) -> bool {
    !b.is_empty() && a.overlaps(b.start, b.last())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Matcher;

    fn tombstone(seq: u64, matchers: Vec<Matcher>, range: TimeRange) -> Arc<Tombstone> {
        Arc::new(Tombstone { seq, range, matchers, created_ms: 0 })
    }

    fn layer(min_seq: u64, tombstone_seq: u64) -> Layer {
        Layer { min_seq, tombstone_seq }
    }

    #[test]
    fn nothing_to_hide_is_no_filter() {
        let all =
            Tombstones::new([tombstone(5, vec![Matcher::equal("a", "b")], TimeRange::new(10, 20))]);
        let filter = |layer, extent, range| Filter::new(&all, &[(layer, extent)], range);
        assert!(filter(layer(4, 0), (0, 10), TimeRange::ALL).is_some());
        assert!(filter(layer(6, 0), (0, 10), TimeRange::ALL).is_none(), "a newer layer");
        assert!(filter(layer(4, 5), (0, 10), TimeRange::ALL).is_none(), "carried out");
        assert!(filter(layer(4, 0), (0, 9), TimeRange::ALL).is_none(), "another time");
        assert!(filter(layer(4, 0), (0, 10), TimeRange::new(0, 10)).is_none(), "not asked for");
        assert!(filter(layer(4, 0), (0, 10), TimeRange::new(5, 5)).is_none());
        assert!(Filter::new(&Tombstones::default(), &[], TimeRange::ALL).is_none());
    }

    #[test]
    fn a_delete_is_found_by_the_pair_that_the_fewest_require() {
        let of = |seq: u64| {
            let host = Matcher::equal("host", seq.to_string());
            tombstone(seq, vec![Matcher::equal("__name__", "cpu"), host], TimeRange::ALL)
        };
        let filter = Filter::of((1..9).map(of).collect()).unwrap();
        let looked_at: Vec<(&str, usize)> =
            filter.by_pair.iter().map(|(name, values)| (name.as_str(), values.len())).collect();
        assert_eq!(looked_at, [("host", 8)], "and not by the metric, which is that of all");
    }

    fn any_matcher() -> impl Strategy<Value = Matcher> {
        let name = prop::sample::select(vec!["a", "b", "c"]);
        let value = prop::sample::select(vec!["", "x", "y", "x|y", ".*"]);
        (0..4, name, value).prop_map(|(op, name, value)| match op {
            0 => Matcher::equal(name, value),
            1 => Matcher::not_equal(name, value),
            2 => Matcher::regex(name, value).unwrap(),
            _ => Matcher::not_regex(name, value).unwrap(),
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// The look-up by pairs finds what asking every tombstone finds.
        #[test]
        fn hides_what_asking_each_tombstone_hides(
            given in prop::collection::vec(
                (prop::collection::vec(any_matcher(), 1..3), 0i64..20, 1i64..8), 0..8),
            series in prop::collection::vec(prop::collection::btree_map(
                "[abc]", prop::sample::select(vec!["x", "y", "z"]), 1..3), 1..4),
            layer_seq in 0u64..9, erased in 0u64..9,
        ) {
            let all: Vec<_> = given.into_iter().zip(1..).map(|((matchers, start, ticks), seq)| {
                tombstone(seq, matchers, TimeRange::new(start, start + ticks))
            }).collect();
            let layer = layer(layer_seq, erased);
            let tombstones = Tombstones::new(all.clone());
            let mut filter = Filter::new(&tombstones, &[(layer, (0, 40))], TimeRange::ALL);
            for pairs in series {
                let labels = Labels::from_pairs(pairs.iter().map(|(n, v)| (&n[..], *v))).unwrap();
                let mut hidden = HiddenRanges::default();
                if let Some(filter) = filter.as_mut() {
                    let started = filter.start(&labels);
                    filter.hidden(layer, &mut hidden);
                    prop_assert!(started || hidden.is_empty());
                }
                for t in -1..30 {
                    let gone = all.iter().any(|tombstone| {
                        tombstone.seq > layer_seq && tombstone.seq > erased
                            && tombstone.range.contains(t) && tombstone.matches(&labels)
                    });
                    prop_assert_eq!(hidden.hides(t), gone, "{} at {}", labels, t);
                }
            }
        }
    }
}
