//! The registry against a map of label sets, and under threads that resolve, select and evict.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};

use proptest::prelude::*;

use super::*;
use crate::types::{LabelError, Matcher};

const KEY: [u8; 32] = [42; 32];

fn registry(series_max: usize) -> Registry {
    Registry::new(KEY, LabelsLimits::default(), series_max)
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).unwrap()
}

/// A sender's encoding: length-prefixed, in the order given, as protobuf does it.
struct Sent {
    bytes: Vec<u8>,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Sent {
    fn new<N: AsRef<[u8]>, V: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let pairs: Vec<(Vec<u8>, Vec<u8>)> =
            pairs.into_iter().map(|(n, v)| (n.as_ref().to_vec(), v.as_ref().to_vec())).collect();
        let mut bytes = Vec::new();
        for text in pairs.iter().flat_map(|(n, v)| [n, v]) {
            bytes.extend_from_slice(&(text.len() as u32).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        Self { bytes, pairs }
    }
}

impl EncodedLabels for Sent {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pairs<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool) {
        let _ = self.pairs.iter().all(|(name, value)| visit(name, value));
    }
}

const NAMES: [&str; 4] = ["__name__", "a", "b", "شهر"];
const VALUES: [&str; 5] = ["", "x", "xy", "تهران", "1"];

/// Whether the series that `handle` was given for is still active. Only [`Registry::mark_used`]
/// keeps it so.
fn is_live(registry: &Registry, handle: SeriesHandle) -> bool {
    registry.slots.version(handle.slot) == handle.version
}

#[derive(Debug, Clone)]
enum Op {
    /// The value of each name (an index; 0 is the empty value) and the rotation it is sent in.
    Resolve {
        values: [usize; 4],
        rotation: usize,
        sent: bool,
    },
    MarkUsed {
        series: usize,
    },
    Advance,
    Evict {
        keep: u32,
    },
    Select {
        matchers: Vec<(usize, usize, usize)>,
    },
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let index = 0usize..VALUES.len();
    let resolve = (prop::array::uniform4(index), 0usize..4, any::<bool>())
        .prop_map(|(values, rotation, sent)| Op::Resolve { values, rotation, sent });
    let matcher = (0..4usize, 0..NAMES.len() + 1, 0..PATTERNS.len());
    prop::collection::vec(
        prop_oneof![
            8 => resolve,
            2 => (0usize..20).prop_map(|series| Op::MarkUsed { series }),
            1 => Just(Op::Advance),
            1 => (0u32..3).prop_map(|keep| Op::Evict { keep }),
            3 => prop::collection::vec(matcher, 0..4).prop_map(|matchers| Op::Select { matchers }),
        ],
        0..80,
    )
}

const PATTERNS: [&str; 8] = ["", "x", "xy", "x|1", "x.*", ".*", ".+", "x?"];

fn matcher((op, name, pattern): (usize, usize, usize)) -> Matcher {
    let name = NAMES.get(name).copied().unwrap_or("never");
    let pattern = PATTERNS[pattern];
    match op {
        0 => Matcher::equal(name, pattern),
        1 => Matcher::not_equal(name, pattern),
        2 => Matcher::regex(name, pattern).unwrap(),
        _ => Matcher::not_regex(name, pattern).unwrap(),
    }
}

/// What the registry has to know: the active series, each with its handle and last generation.
#[derive(Default)]
struct Model {
    series: BTreeMap<Labels, (SeriesHandle, u32)>,
    stale: Vec<SeriesHandle>,
    generation: u32,
}

impl Model {
    fn resolve(&mut self, registry: &Registry, labels: Labels, sent: &impl EncodedLabels) {
        let handle = registry.resolve(sent).unwrap();
        let generation = self.generation;
        let known = self.series.entry(labels).or_insert((handle, 0));
        assert_eq!(known.0, handle, "one slot and version per series");
        known.1 = known.1.max(generation);
        assert!(!self.stale.contains(&handle), "no handle comes back");
    }

    fn evict(&mut self, registry: &Registry, oldest_live: u32) {
        let before = self.series.len();
        self.series.retain(|_, (handle, last)| {
            if *last < oldest_live {
                self.stale.push(*handle);
            }
            *last >= oldest_live
        });
        assert_eq!(registry.evict(oldest_live), before - self.series.len());
    }

    fn select(&self, registry: &Registry, matchers: &[Matcher]) {
        let selected = || {
            self.series.iter().filter(|(labels, _)| {
                matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or("")))
            })
        };
        let slots: BTreeSet<u32> = selected().map(|(_, (handle, _))| handle.slot()).collect();
        assert_eq!(registry.select(matchers), Vec::from_iter(slots), "{matchers:?}");
        let pairs = || selected().flat_map(|(labels, _)| labels.iter());
        let names: BTreeSet<&str> = pairs().map(|(name, _)| name).collect();
        assert_eq!(registry.label_names(matchers), Vec::from_iter(names));
        for name in NAMES {
            let values: BTreeSet<&str> = pairs().filter(|p| p.0 == name).map(|p| p.1).collect();
            assert_eq!(registry.label_values(name, matchers), Vec::from_iter(values));
        }
    }

    fn check(&self, registry: &Registry) {
        assert_eq!(registry.len(), self.series.len());
        registry.read().pairs.check_bytes();
        for (labels, (handle, _)) in &self.series {
            assert!(is_live(registry, *handle));
            assert_eq!(registry.labels(handle.slot()).as_ref(), Some(labels));
        }
        for &handle in &self.stale {
            assert!(!is_live(registry, handle) && !registry.mark_used(handle, u32::MAX));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn the_registry_is_a_map_of_label_sets(ops in ops()) {
        let registry = registry(1000);
        let mut model = Model { generation: 1, ..Model::default() };
        for op in ops {
            match op {
                Op::Resolve { values, rotation, sent } => {
                    let mut pairs: Vec<(&str, &str)> =
                        NAMES.into_iter().zip(values.map(|v| VALUES[v])).collect();
                    let Ok(canonical) = Labels::from_pairs(pairs.iter().copied()) else { continue };
                    pairs.rotate_left(rotation);
                    if sent {
                        model.resolve(&registry, canonical, &Sent::new(pairs));
                    } else {
                        model.resolve(&registry, canonical.clone(), &canonical);
                    }
                }
                Op::MarkUsed { series } => {
                    if let Some((handle, last)) = model.series.values_mut().nth(series) {
                        prop_assert!(registry.mark_used(*handle, model.generation));
                        *last = model.generation;
                    }
                }
                Op::Advance => {
                    model.generation += 1;
                    registry.set_generation(model.generation);
                }
                Op::Evict { keep } => {
                    let oldest_live = model.generation.saturating_sub(keep);
                    model.evict(&registry, oldest_live);
                }
                Op::Select { matchers } => {
                    let matchers: Vec<Matcher> = matchers.into_iter().map(matcher).collect();
                    model.select(&registry, &matchers);
                }
            }
            model.check(&registry);
        }
        model.evict(&registry, u32::MAX);
        model.check(&registry);
        model.select(&registry, &[]);
    }
}

#[test]
fn many_encodings_are_one_series_and_few_are_remembered() {
    let registry = registry(10);
    let first = registry.resolve(&labels(&[("a", "1"), ("b", "2"), ("c", "3")])).unwrap();
    let bytes = registry.memory_bytes();
    for round in 0..100 {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let pairs = [("a", "1"), ("b", "2"), ("c", "3")];
            let empties = (0..round % 7).map(|i| (format!("e{i}"), String::new()));
            let sent = order.map(|at| (pairs[at].0.to_owned(), pairs[at].1.to_owned()));
            let sent = Sent::new(empties.chain(sent));
            assert_eq!(registry.resolve(&sent).unwrap(), first);
        }
    }
    assert_eq!(registry.len(), 1);
    assert_eq!(registry.memory_bytes(), bytes, "aliases are replaced, not piled up");
}

#[test]
fn bad_labels_are_refused_with_their_reason_and_leave_nothing() {
    let registry = registry(10);
    let refused = |pairs: &[(&[u8], &[u8])]| match registry.resolve(&Sent::new(pairs.to_vec())) {
        Err(Error::Labels(e)) => e,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]), LabelError::Empty);
    assert_eq!(refused(&[(b"a", b"")]), LabelError::Empty);
    assert_eq!(refused(&[(b"", b"v")]), LabelError::EmptyName("v".into()));
    let twice = LabelError::DuplicateName("a".into());
    assert_eq!(refused(&[(b"a", b"1"), (b"a", b"1")]), twice);
    assert!(matches!(refused(&[(b"a", b"\xff")]), LabelError::NotUtf8(_)));
    // A duplicate does not pass for a known series of the same length either.
    registry.resolve(&labels(&[("a", "1"), ("b", "2")])).unwrap();
    assert_eq!(refused(&[(b"a", b"1"), (b"a", b"1")]), twice);
    let long = vec![b'x'; 9000];
    assert!(matches!(refused(&[(b"a", &long)]), LabelError::TooLong { bytes: 9000, .. }));
    assert_eq!((registry.len(), registry.label_names(&[])), (1, vec!["a".into(), "b".into()]));
}

#[test]
fn colliding_hashes_are_told_apart_by_their_strings() {
    let mut catalog = catalog::Catalog::new();
    let hash = KeyedHash::new(&KEY);
    let sets = [labels(&[("a", "1")]), labels(&[("a", "2")]), labels(&[("a", "1"), ("b", "1")])];
    for (slot, set) in (0..).zip(&sets) {
        assert_eq!(catalog.create(&hash, set).unwrap(), slot);
        catalog.add_alias(slot, 7);
    }
    for (slot, set) in (0..).zip(&sets) {
        assert_eq!(catalog.find(7, set), Some(slot));
    }
    assert_eq!(catalog.find(7, &labels(&[("b", "1")])), None);
    let twice = Sent::new([("a", "1"), ("a", "1")]);
    assert_eq!(catalog.find(7, &twice), None, "as long as {{a, b}}, but not the same");
}

#[test]
fn the_limit_refuses_new_series_only() {
    let registry = registry(2);
    let set = |i: u32| labels(&[("a", &i.to_string())]);
    let known = registry.resolve(&set(0)).unwrap();
    registry.resolve(&set(1)).unwrap();
    let Err(error @ Error::LimitExceeded(_)) = registry.resolve(&set(2)) else { panic!() };
    let message = error.to_string();
    assert!(message.contains("2 active series") && message.contains("Raise"), "{message}");
    assert_eq!(registry.resolve(&set(0)).unwrap(), known);
    assert_eq!(registry.resolve(&Sent::new([("a", "0"), ("b", "")])).unwrap(), known);
    registry.set_generation(2);
    assert!(registry.mark_used(known, 2));
    assert_eq!(registry.evict(2), 1);
    assert!(registry.resolve(&set(2)).is_ok());
}

#[test]
fn what_is_evicted_is_given_back() {
    let registry = registry(100_000);
    let fill = |round: u32| {
        for i in 0..5000 {
            let value = format!("{round}-{i}");
            let name = format!("n{}", i % 50 + round * 50);
            registry.resolve(&labels(&[("job", "same"), (&name, &value)])).unwrap();
        }
    };
    fill(0);
    let bytes = registry.memory_bytes();
    for round in 1..6 {
        registry.set_generation(round + 1);
        assert_eq!(registry.evict(round + 1), 5000);
        fill(round);
        let slots = registry.select(&[Matcher::equal("job", "same")]);
        assert!(slots.iter().copied().eq(0..5000), "slots are reused");
    }
    let after = registry.memory_bytes();
    assert!(after < bytes * 5 / 4, "{bytes} bytes grew to {after}");
}

/// More than the number of labels that can be confirmed in any order.
#[test]
fn very_wide_series_resolve_in_every_order() {
    let limits = LabelsLimits { labels_max: 500, ..LabelsLimits::default() };
    let registry = Registry::new(KEY, limits, 10);
    for width in [127, 128, 129, 300] {
        let pairs: Vec<(String, String)> =
            (0..width).map(|i| (format!("n{i:03}"), format!("v{width}"))).collect();
        let handle = registry.resolve(&Sent::new(pairs.clone())).unwrap();
        for _ in 0..2 {
            let backwards = Sent::new(pairs.iter().rev().cloned());
            assert_eq!(registry.resolve(&backwards).unwrap(), handle);
        }
    }
    assert_eq!(registry.len(), 4);
}

/// Series `i` carries what `i` determines, so that any answer about a slot can be verified by itself.
#[test]
fn threads_never_see_a_slot_answer_for_another_series() {
    const SERIES: u32 = 400;
    let set = |i: u32| {
        let (id, parity) = (i.to_string(), (i % 2).to_string());
        labels(&[("id", &id), ("parity", &parity)])
    };
    let registry = registry(SERIES as usize);
    let generation = AtomicU32::new(1);
    let evicted = AtomicU64::new(0);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2u32)
            .map(|seed| {
                let (registry, generation, evicted) = (&registry, &generation, &evicted);
                scope.spawn(move || {
                    let mut held: HashMap<u32, SeriesHandle> = HashMap::new();
                    let mut random = 0x9E37_79B9u32 ^ seed;
                    // As long as it takes until some were evicted under it.
                    for round in 0..100_000_000 {
                        if round >= 6000 && evicted.load(Ordering::Relaxed) > 0 {
                            break;
                        }
                        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                        let i = (random >> 8) % SERIES;
                        let now = generation.load(Ordering::SeqCst);
                        let old = held.get(&i).copied().filter(|&h| registry.mark_used(h, now));
                        let handle = registry.resolve(&set(i)).unwrap();
                        let live = old.filter(|&old| is_live(registry, old));
                        assert!(live.is_none_or(|old| old == handle), "two handles to a series");
                        let answer = registry.labels(handle.slot());
                        if is_live(registry, handle) {
                            assert_eq!(answer, Some(set(i)));
                        }
                        held.insert(i, handle);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let next = generation.fetch_add(1, Ordering::SeqCst) + 1;
                registry.set_generation(next);
                let freed = registry.evict(next);
                evicted.fetch_add(freed as u64, Ordering::Relaxed);
                std::thread::yield_now();
            }
        });
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let odd = registry.select(&[Matcher::equal("parity", "1")]);
                let mut sorted = odd.clone();
                sorted.dedup();
                assert_eq!(odd, sorted, "no slot twice");
                for value in registry.label_values("id", &[Matcher::equal("parity", "1")]) {
                    assert_eq!(value.parse::<u32>().unwrap() % 2, 1);
                }
                std::thread::yield_now();
            }
        });
        let results: Vec<_> = writers.into_iter().map(|w| w.join()).collect();
        done.store(true, Ordering::Release);
        results.into_iter().for_each(|r| r.unwrap());
    });
    assert!(evicted.into_inner() > 0, "the test evicts while it resolves");
}
