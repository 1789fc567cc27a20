//! The buckets of one side of a histogram: columns of indices and counts.
//!
//! Indices are strictly increasing; for the negative side, too, they count away from zero. Buckets
//! that were given with a count of zero stay until [`Buckets::compact`], because their presence can
//! be seen: an empty bucket on the negative side makes the zero bucket two-sided in quantiles, and
//! two histograms are equal only with the same buckets.
//!
//! Columns rather than Prometheus's spans: adding two histograms of the same series, by far the
//! commonest case, is one comparison of indices and one addition of counts, and every other case is
//! one merge of two sorted lists.

use super::count::Count;
use super::error::HistogramError;
use super::layout::coarser_index;

/// Most buckets on one side: those of the finest schema for all finite floats are about half of it.
pub const BUCKETS_MAX: usize = 1 << 20;

/// A run of buckets without a gap, as histograms are transferred and stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Of the first span: the index of its first bucket. Of others: the number of indices between
    /// the end of the previous span and the start of this one, not negative.
    pub offset: i32,
    /// Number of buckets.
    pub length: u32,
}

/// The buckets of one side of a histogram.
#[derive(Debug, Clone, Default)]
pub struct Buckets<C = f64> {
    indices: Vec<i32>,
    counts: Vec<C>,
}

impl Buckets<f64> {
    /// Buckets without a gap, the first one with index `first`.
    ///
    /// # Errors
    /// [`HistogramError::TooManyBuckets`], or [`HistogramError::IndexOverflow`].
    pub fn from_dense(first: i32, counts: &[f64]) -> Result<Self, HistogramError> {
        let length = u32::try_from(counts.len());
        let length = length.map_err(|_| HistogramError::TooManyBuckets(BUCKETS_MAX))?;
        Self::from_spans(&[Span { offset: first, length }], counts)
    }

    /// Buckets as spans and one count for each of their buckets.
    ///
    /// # Errors
    /// [`HistogramError::SpansMismatch`] for another number of counts, found before anything is
    /// allocated; [`HistogramError::NegativeOffset`] of any span but the first;
    /// [`HistogramError::TooManyBuckets`]; [`HistogramError::IndexOverflow`].
    pub fn from_spans(spans: &[Span], counts: &[f64]) -> Result<Self, HistogramError> {
        let covered = spans.iter().fold(0u64, |sum, span| sum.saturating_add(span.length.into()));
        if usize::try_from(covered) != Ok(counts.len()) {
            return Err(HistogramError::SpansMismatch { spans: covered, counts: counts.len() });
        }
        if counts.len() > BUCKETS_MAX {
            return Err(HistogramError::TooManyBuckets(BUCKETS_MAX));
        }
        let mut indices = Vec::with_capacity(counts.len());
        let mut next = 0i64;
        for (at, span) in spans.iter().enumerate() {
            if at > 0 && span.offset < 0 {
                return Err(HistogramError::NegativeOffset(at + 1, span.offset));
            }
            // Saturating: many empty spans could leave 64 bits; no index beyond 32 bits is taken.
            next = next.saturating_add(span.offset.into());
            for _ in 0..span.length {
                indices.push(i32::try_from(next).map_err(|_| HistogramError::IndexOverflow)?);
                next += 1;
            }
        }
        Ok(Self { indices, counts: counts.to_vec() })
    }
}

impl<C: Count> Buckets<C> {
    /// Number of buckets, empty ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Whether there is no bucket, not even an empty one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.indices.is_empty()
    }

    /// The indices, strictly increasing.
    #[must_use]
    pub fn indices(&self) -> &[i32] {
        &self.indices
    }

    /// The counts, one for each index.
    #[must_use]
    pub fn counts(&self) -> &[C] {
        &self.counts
    }

    /// Index and count of bucket number `at`, which must be below [`len`](Self::len).
    pub(super) fn at(&self, at: usize) -> (i32, C) {
        (self.indices[at], self.counts[at])
    }

    /// The counts for changes in place.
    pub(super) fn counts_mut(&mut self) -> &mut [C] {
        &mut self.counts
    }

    /// Index and count of each bucket, away from zero.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (i32, C)> + ExactSizeIterator {
        self.indices.iter().copied().zip(self.counts.iter().copied())
    }

    /// Bytes that the columns take on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.indices.capacity() * size_of::<i32>() + self.counts.capacity() * size_of::<C>()
    }

    /// Removes the buckets whose count is zero.
    pub(super) fn compact(&mut self) {
        if self.counts.iter().any(|count| count.is_zero()) {
            self.retain(|_, count| !count.is_zero());
        }
    }

    /// Removes all buckets.
    pub(super) fn clear(&mut self) {
        self.indices.clear();
        self.counts.clear();
    }

    /// Keeps the buckets for which `keep` is true.
    pub(super) fn retain(&mut self, keep: impl Fn(i32, C) -> bool) {
        let mut kept = 0;
        for at in 0..self.indices.len() {
            if keep(self.indices[at], self.counts[at]) {
                self.indices[kept] = self.indices[at];
                self.counts[kept] = self.counts[at];
                kept += 1;
            }
        }
        self.indices.truncate(kept);
        self.counts.truncate(kept);
    }

    /// Merges the buckets so that they follow a schema `finer` steps coarser. No count is lost.
    pub(super) fn reduce(&mut self, finer: u32) {
        self.merge_by(|index| coarser_index(index, finer));
    }

    /// Gives every bucket the index that `target` has for its own, a function that never decreases,
    /// and merges the buckets that then have the same.
    pub(super) fn merge_by(&mut self, target: impl Fn(i32) -> i32) {
        let mut kept = 0;
        for at in 0..self.indices.len() {
            let index = target(self.indices[at]);
            if kept > 0 && self.indices[kept - 1] == index {
                let count = self.counts[at];
                self.counts[kept - 1].add(count);
            } else {
                self.indices[kept] = index;
                self.counts[kept] = self.counts[at];
                kept += 1;
            }
        }
        self.indices.truncate(kept);
        self.counts.truncate(kept);
    }

    /// The same buckets with each count converted.
    pub(super) fn map<D: Count>(&self, convert: impl Fn(C) -> D) -> Buckets<D> {
        let counts = self.counts.iter().map(|&count| convert(count)).collect();
        Buckets { indices: self.indices.clone(), counts }
    }

    /// Adds `other` from its bucket number `skip` on, each count converted. Buckets that are not
    /// here yet are inserted.
    pub(super) fn add<D: Count>(
        &mut self,
        other: &Buckets<D>,
        skip: usize,
        convert: impl Fn(D) -> C,
    ) {
        let (indices, counts) = (&other.indices[skip..], &other.counts[skip..]);
        if self.indices == indices {
            for (own, &count) in self.counts.iter_mut().zip(counts) {
                own.add(convert(count));
            }
            return;
        }
        let pairs = indices.iter().copied().zip(counts.iter().map(|&count| convert(count)));
        self.add_pairs(pairs);
    }

    /// Adds counts at indices that never decrease.
    pub(super) fn add_pairs(&mut self, pairs: impl ExactSizeIterator<Item = (i32, C)>) {
        if pairs.len() == 0 {
            return;
        }
        let length = self.len() + pairs.len();
        let mut merged =
            Self { indices: Vec::with_capacity(length), counts: Vec::with_capacity(length) };
        let mut own = self.iter().peekable();
        for (index, count) in pairs {
            while let Some((index, count)) = own.next_if(|&(at, _)| at <= index) {
                merged.indices.push(index);
                merged.counts.push(count);
            }
            match merged.counts.last_mut() {
                Some(last) if merged.indices.last() == Some(&index) => last.add(count),
                _ => {
                    merged.indices.push(index);
                    merged.counts.push(count);
                }
            }
        }
        for (index, count) in own {
            merged.indices.push(index);
            merged.counts.push(count);
        }
        *self = merged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn span(offset: i32, length: u32) -> Span {
        Span { offset, length }
    }

    fn pairs(buckets: &Buckets) -> Vec<(i32, f64)> {
        buckets.iter().collect()
    }

    #[test]
    fn spans_place_counts_at_indices() {
        let buckets = Buckets::from_spans(
            &[span(-3, 2), span(0, 1), span(4, 0), span(1, 1)],
            &[1., 2., 3., 4.],
        );
        assert_eq!(pairs(&buckets.unwrap()), [(-3, 1.0), (-2, 2.0), (-1, 3.0), (5, 4.0)]);
    }

    #[test]
    fn hostile_spans_are_refused() {
        let refused = |spans: &[Span], counts: usize| {
            Buckets::from_spans(spans, &vec![1.0; counts]).unwrap_err()
        };
        assert_eq!(
            refused(&[span(0, u32::MAX), span(0, u32::MAX)], 2),
            HistogramError::SpansMismatch { spans: 2 * u64::from(u32::MAX), counts: 2 }
        );
        assert_eq!(refused(&[span(0, 1), span(-1, 1)], 2), HistogramError::NegativeOffset(2, -1));
        assert_eq!(refused(&[span(i32::MAX, 2)], 2), HistogramError::IndexOverflow);
        assert_eq!(refused(&[span(i32::MAX, 0), span(1, 1)], 1), HistogramError::IndexOverflow);
        assert_eq!(refused(&[], 1), HistogramError::SpansMismatch { spans: 0, counts: 1 });
        assert_eq!(
            Buckets::from_dense(0, &vec![1.0; BUCKETS_MAX + 1]).unwrap_err(),
            HistogramError::TooManyBuckets(BUCKETS_MAX)
        );
        assert!(Buckets::from_dense(i32::MIN, &[1.0, 2.0]).is_ok());
    }

    #[test]
    fn reduction_merges_towards_the_bound_above() {
        // Schema 1 to 0: buckets (1, 1.4], (1.4, 2] make (1, 2], index 1.
        let mut buckets = Buckets::from_dense(-1, &[1.0, 2.0, 4.0, 8.0, 16.0]).unwrap();
        buckets.reduce(1);
        assert_eq!(pairs(&buckets), [(0, 3.0), (1, 12.0), (2, 16.0)]);
    }

    #[test]
    fn compaction_drops_empty_buckets_and_keeps_nan() {
        let mut buckets = Buckets::from_dense(0, &[0.0, 1.0, -0.0, f64::NAN, 0.0]).unwrap();
        buckets.compact();
        assert_eq!(buckets.indices(), [1, 3]);
    }

    #[test]
    fn adding_skips_the_first_buckets_on_request() {
        let mut buckets = Buckets::from_dense(1, &[1.0]).unwrap();
        let other = Buckets::from_dense(0, &[10.0, 20.0, 30.0]).unwrap();
        buckets.add(&other, 1, |count| count);
        assert_eq!(pairs(&buckets), [(1, 21.0), (2, 30.0)]);
    }

    fn any_buckets() -> impl Strategy<Value = BTreeMap<i32, i16>> {
        prop::collection::btree_map(-40i32..40, any::<i16>(), 0..20)
    }

    fn built(map: &BTreeMap<i32, i16>) -> Buckets {
        let mut buckets = Buckets::default();
        let counts: Vec<_> = map.iter().map(|(&at, &count)| (at, f64::from(count))).collect();
        buckets.add_pairs(counts.into_iter());
        buckets
    }

    proptest! {
        #[test]
        fn adding_is_adding_index_by_index(left in any_buckets(), right in any_buckets()) {
            let mut sum = built(&left);
            sum.add(&built(&right), 0, |count| count);
            let mut expected: BTreeMap<i32, f64> = BTreeMap::new();
            for (&at, &count) in left.iter().chain(&right) {
                *expected.entry(at).or_default() += f64::from(count);
            }
            prop_assert_eq!(pairs(&sum), expected.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn reduction_keeps_the_total_and_the_order(map in any_buckets(), finer in 0u32..8) {
            let mut buckets = built(&map);
            buckets.reduce(finer);
            let total: f64 = map.values().map(|&count| f64::from(count)).sum();
            prop_assert_eq!(buckets.counts().iter().sum::<f64>(), total);
            prop_assert!(buckets.indices().windows(2).all(|pair| pair[0] < pair[1]));
        }
    }
}
