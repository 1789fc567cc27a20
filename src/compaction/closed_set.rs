//! Sets of segments that may be merged.
//!
//! Recency between segments is decided by seq range alone, so that a merge must leave no segment
//! out that lies between its inputs: one that overlaps both their time hull and their seq hull.
//! [`ClosedSet`] can only be made of such inputs; the merge job takes nothing else.

use std::collections::HashSet;
use std::sync::Arc;

use crate::types::SegmentMeta;

/// Segments that may be merged into one: live, none excluded, and no other live segment overlaps
/// both their time hull and their seq hull.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSet {
    /// By seq, oldest first, then by file number.
    segments: Vec<Arc<SegmentMeta>>,
    hull: Hull,
}

/// Why segments are no [`ClosedSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotClosed {
    /// There are none.
    Empty,
    /// One is not live, or is named twice.
    NotLive(u64),
    /// One must not be merged now.
    Excluded(u64),
    /// This one would have to be merged with them.
    Missing(u64),
}

/// The smallest ranges around segments, ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Hull {
    time: (i64, i64),
    seq: (u64, u64),
}

impl Hull {
    fn of(meta: &SegmentMeta) -> Self {
        Self { time: (meta.min_timestamp, meta.max_timestamp), seq: (meta.min_seq, meta.max_seq) }
    }

    fn around(segments: &[Arc<SegmentMeta>]) -> Option<Self> {
        segments.iter().map(|meta| Self::of(meta)).reduce(Self::join)
    }

    fn join(self, other: Self) -> Self {
        Self {
            time: (self.time.0.min(other.time.0), self.time.1.max(other.time.1)),
            seq: (self.seq.0.min(other.seq.0), self.seq.1.max(other.seq.1)),
        }
    }

    fn overlaps(&self, meta: &SegmentMeta) -> bool {
        meta.min_timestamp <= self.time.1
            && self.time.0 <= meta.max_timestamp
            && meta.min_seq <= self.seq.1
            && self.seq.0 <= meta.max_seq
    }
}

impl ClosedSet {
    /// The set of exactly the segments `file_numbers` among `live`.
    ///
    /// # Errors
    /// [`NotClosed`] says what keeps them from being merged.
    pub fn new(
        live: &[Arc<SegmentMeta>],
        excluded: &HashSet<u64>,
        file_numbers: &[u64],
    ) -> Result<Self, NotClosed> {
        let mut wanted: HashSet<u64> = HashSet::with_capacity(file_numbers.len());
        for &number in file_numbers {
            if !wanted.insert(number) {
                return Err(NotClosed::NotLive(number));
            }
        }
        let mut segments = Vec::with_capacity(file_numbers.len());
        for meta in live {
            if wanted.remove(&meta.file_number) {
                segments.push(Arc::clone(meta));
            }
        }
        if let Some(&number) = wanted.iter().min() {
            return Err(NotClosed::NotLive(number));
        }
        let hull = Hull::around(&segments).ok_or(NotClosed::Empty)?;
        let chosen: HashSet<u64> = segments.iter().map(|meta| meta.file_number).collect();
        for meta in live.iter().filter(|meta| hull.overlaps(meta)) {
            if !chosen.contains(&meta.file_number) {
                return Err(NotClosed::Missing(meta.file_number));
            }
        }
        Self::of(segments, hull, excluded)
    }

    /// The smallest closed set around `seed`; `None` if `seed` is empty, or if the set would take
    /// an excluded segment or more than `segments_max`.
    #[must_use]
    pub fn closure(
        live: &[Arc<SegmentMeta>],
        excluded: &HashSet<u64>,
        seed: &[Arc<SegmentMeta>],
        segments_max: usize,
    ) -> Option<Self> {
        let mut hull = Hull::around(seed)?;
        loop {
            let inside = live.iter().filter(|meta| hull.overlaps(meta));
            let grown = inside.clone().fold(hull, |around, meta| around.join(Hull::of(meta)));
            if grown == hull {
                if inside.clone().count() > segments_max {
                    return None;
                }
                return Self::of(inside.cloned().collect(), hull, excluded).ok();
            }
            hull = grown;
        }
    }

    fn of(
        mut segments: Vec<Arc<SegmentMeta>>,
        hull: Hull,
        excluded: &HashSet<u64>,
    ) -> Result<Self, NotClosed> {
        if let Some(meta) = segments.iter().find(|meta| excluded.contains(&meta.file_number)) {
            return Err(NotClosed::Excluded(meta.file_number));
        }
        segments.sort_unstable_by_key(|meta| (meta.min_seq, meta.max_seq, meta.file_number));
        Ok(Self { segments, hull })
    }

    /// The segments by seq, oldest first; at least one.
    #[must_use]
    pub fn segments(&self) -> &[Arc<SegmentMeta>] {
        &self.segments
    }

    /// The earliest and the latest timestamp.
    #[must_use]
    pub fn time_hull(&self) -> (i64, i64) {
        self.hull.time
    }

    /// The lowest and the highest seq: the seq range of the outputs.
    #[must_use]
    pub fn seq_hull(&self) -> (u64, u64) {
        self.hull.seq
    }

    /// The size of the files, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().fold(0, |sum: u64, meta| sum.saturating_add(meta.file_bytes))
    }

    /// The level of the outputs: one above the highest input.
    #[must_use]
    pub fn output_level(&self) -> u8 {
        self.segments.iter().map(|meta| meta.level).max().unwrap_or(0).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::simulator::meta;
    use super::*;

    fn live() -> Vec<Arc<SegmentMeta>> {
        vec![
            meta(1, (0, 9), (1, 4), 1, 10),
            meta(2, (5, 20), (5, 6), 0, 20),
            meta(3, (8, 9), (7, 9), 0, 40),
            meta(4, (30, 40), (5, 6), 3, 80),
        ]
    }

    fn numbers(set: &ClosedSet) -> Vec<u64> {
        set.segments().iter().map(|meta| meta.file_number).collect()
    }

    #[test]
    fn a_set_must_hold_what_lies_between() {
        let (live, none) = (live(), HashSet::new());
        let set = |numbers: &[u64]| ClosedSet::new(&live, &none, numbers);
        assert_eq!(set(&[]), Err(NotClosed::Empty));
        assert_eq!(set(&[1, 7]), Err(NotClosed::NotLive(7)));
        assert_eq!(set(&[1, 1]), Err(NotClosed::NotLive(1)));
        assert_eq!(set(&[1, 3]), Err(NotClosed::Missing(2)));
        assert_eq!(numbers(&set(&[2, 1]).unwrap()), [1, 2]);
        let all = set(&[4, 3, 2, 1]).unwrap();
        assert_eq!(numbers(&all), [1, 2, 4, 3], "by seq");
        assert_eq!((all.time_hull(), all.seq_hull()), ((0, 40), (1, 9)));
        assert_eq!((all.bytes(), all.output_level()), (150, 4));
    }

    #[test]
    fn excluded_segments_are_neither_taken_nor_passed_over() {
        let (live, excluded) = (live(), HashSet::from([2]));
        assert_eq!(ClosedSet::new(&live, &excluded, &[1, 2]), Err(NotClosed::Excluded(2)));
        assert_eq!(ClosedSet::new(&live, &excluded, &[1, 3]), Err(NotClosed::Missing(2)));
        let seed = [Arc::clone(&live[0]), Arc::clone(&live[2])];
        assert_eq!(ClosedSet::closure(&live, &excluded, &seed, 9), None);
        let none = HashSet::new();
        assert_eq!(numbers(&ClosedSet::closure(&live, &none, &seed, 3).unwrap()), [1, 2, 3]);
        assert_eq!(ClosedSet::closure(&live, &none, &seed, 2), None, "too many");
        assert_eq!(ClosedSet::closure(&live, &none, &[], 2), None);
    }

    proptest! {
        #[test]
        fn a_closure_is_the_smallest_closed_set(
            raw in prop::collection::vec((0i64..40, 0i64..12, 1u64..30, 0u64..5), 1..9),
            seed in prop::collection::vec(0usize..9, 1..4),
        ) {
            let live: Vec<_> = raw.iter().enumerate().map(|(i, &(t, dt, s, ds))| {
                meta(i as u64, (t, t + dt), (s, s + ds), 0, 1)
            }).collect();
            let seed: HashSet<usize> = seed.iter().map(|at| at % live.len()).collect();
            let seed: Vec<_> = seed.into_iter().map(|at| Arc::clone(&live[at])).collect();
            let none = HashSet::new();
            let closure = ClosedSet::closure(&live, &none, &seed, 9).unwrap();
            let exact = ClosedSet::new(&live, &none, &numbers(&closure));
            prop_assert_eq!(exact.as_ref(), Ok(&closure));
            // Among all closed sets around the seed, none is smaller.
            for bits in 1u32..1 << live.len() {
                let chosen: Vec<u64> = (0..live.len() as u64).filter(|i| bits >> i & 1 == 1).collect();
                let around = seed.iter().all(|meta| chosen.contains(&meta.file_number));
                if around && ClosedSet::new(&live, &none, &chosen).is_ok() {
                    prop_assert!(numbers(&closure).iter().all(|number| chosen.contains(number)));
                }
            }
        }
    }
}
