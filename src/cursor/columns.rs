//! Samples as columns: what cursors fill and queries return.

use std::iter::{Copied, Zip};
use std::ops::Range;
use std::slice::Iter;

use crate::types::{TimeRange, Timestamp};

/// Samples of one series in time order: row `i` is the sample (`timestamps[i]`, `values[i]`).
///
/// The columns have equal lengths; timestamps are strictly increasing.
///
/// ```
/// # use siltstone::Columns;
/// let columns = Columns::default();
/// for (timestamp, value) in &columns {
///     println!("{timestamp} {value}");
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Ticks since the Unix epoch.
    pub timestamps: Vec<Timestamp>,
    /// The values, bit for bit as they were written.
    pub values: Column,
}

/// The values of samples of one kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Column {
    /// Floats; every bit pattern occurs, NaN payloads and -0.0 too.
    F64(Vec<f64>),
}

impl Default for Column {
    fn default() -> Self {
        Self::F64(Vec::new())
    }
}

impl Column {
    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.f64().len()
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as floats.
    #[must_use]
    pub fn f64(&self) -> &[f64] {
        let Self::F64(values) = self;
        values
    }

    /// The vector of floats, for a source to append to.
    pub fn f64_mut(&mut self) -> &mut Vec<f64> {
        let Self::F64(values) = self;
        values
    }
}

impl Columns {
    /// The number of samples.
    #[must_use]
    pub fn len(&self) -> usize {
        debug_assert_eq!(self.timestamps.len(), self.values.len(), "columns have equal lengths");
        self.timestamps.len()
    }

    /// Whether there are no samples.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// The samples one by one, as (timestamp, value): for tests and small results.
    pub fn iter(&self) -> Samples<'_> {
        self.into_iter()
    }

    /// Forgets the samples and keeps the memory.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.f64_mut().clear();
    }

    /// Makes room for `rows` more samples.
    pub fn reserve(&mut self, rows: usize) {
        self.timestamps.reserve(rows);
        self.values.f64_mut().reserve(rows);
    }

    /// Appends the samples `rows` of `from`.
    pub(crate) fn append_rows(&mut self, from: &Self, rows: Range<usize>) {
        self.timestamps.extend_from_slice(&from.timestamps[rows.clone()]);
        self.values.f64_mut().extend_from_slice(&from.values.f64()[rows]);
    }

    /// Removes the samples `rows`; those behind move up.
    pub(crate) fn remove_rows(&mut self, rows: Range<usize>) {
        self.timestamps.drain(rows.clone());
        self.values.f64_mut().drain(rows);
    }

    /// Removes the samples outside `range` from row `base` on. The rows before stay.
    pub(crate) fn clip(&mut self, base: usize, range: TimeRange) {
        let added = &self.timestamps[base..];
        let (Some(&first), Some(&last)) = (added.first(), added.last()) else { return };
        if range.contains(first) && range.contains(last) {
            return;
        }
        let before = added.partition_point(|&t| t < range.start);
        let until = added.partition_point(|&t| t < range.start || range.contains(t));
        self.timestamps.truncate(base + until);
        self.values.f64_mut().truncate(base + until);
        self.timestamps.drain(base..base + before);
        self.values.f64_mut().drain(base..base + before);
    }
}

/// The samples of some columns, one by one.
#[derive(Debug, Clone)]
pub struct Samples<'a>(Zip<Copied<Iter<'a, Timestamp>>, Copied<Iter<'a, f64>>>);

impl Iterator for Samples<'_> {
    type Item = (Timestamp, f64);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl DoubleEndedIterator for Samples<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back()
    }
}

impl ExactSizeIterator for Samples<'_> {}

impl<'a> IntoIterator for &'a Columns {
    type Item = (Timestamp, f64);
    type IntoIter = Samples<'a>;

    fn into_iter(self) -> Samples<'a> {
        Samples(self.timestamps.iter().copied().zip(self.values.f64().iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(timestamps: &[i64]) -> Columns {
        let values = timestamps.iter().map(|&t| t as f64).collect();
        Columns { timestamps: timestamps.to_vec(), values: Column::F64(values) }
    }

    #[test]
    fn clips_what_was_added_and_nothing_before() {
        let all = [i64::MIN, 1, 5, i64::MIN, -7, 0, 3, 4, i64::MAX];
        for start in [i64::MIN, -7, -6, 0, 4, 5, i64::MAX] {
            for end in [i64::MIN, -7, 0, 1, 4, 5, i64::MAX] {
                let range = TimeRange::new(start, end);
                let mut clipped = columns(&all);
                clipped.clip(3, range);
                let mut expected = all[..3].to_vec();
                expected.extend(all[3..].iter().filter(|&&t| range.contains(t)));
                assert_eq!(clipped.timestamps, expected, "{range:?}");
                let values: Vec<f64> = expected.iter().map(|&t| t as f64).collect();
                assert_eq!(clipped.values.f64(), values);
            }
        }
    }

    #[test]
    fn clearing_keeps_the_memory() {
        let mut some = columns(&[1, 2, 3]);
        some.reserve(1000);
        let capacity = some.timestamps.capacity();
        some.clear();
        assert!(some.is_empty() && some.values.is_empty());
        assert_eq!(some.timestamps.capacity(), capacity);
    }
}
