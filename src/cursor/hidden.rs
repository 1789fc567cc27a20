//! Ranges of time that deletes hide in one series of one layer.

use super::Columns;
use crate::types::{TimeRange, Timestamp};

/// Sorted, disjoint ranges of ticks, none adjacent to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HiddenRanges {
    /// (first, last), both included.
    ranges: Vec<(Timestamp, Timestamp)>,
}

impl HiddenRanges {
    /// Whether nothing is hidden.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges as (first, last), both included, in order of time.
    #[cfg(test)]
    fn as_slice(&self) -> &[(Timestamp, Timestamp)] {
        &self.ranges
    }

    /// Hides nothing any more, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.ranges.clear();
    }

    /// Hides `range` too.
    pub(crate) fn insert(&mut self, range: TimeRange) {
        if !range.is_empty() {
            self.insert_closed(range.start, range.last());
        }
    }

    /// Hides the ticks from `first` to `last` too, both included; a [`TimeRange`] that ends before the last
    /// tick of all cannot say so.
    pub(crate) fn insert_closed(&mut self, mut first: Timestamp, mut last: Timestamp) {
        // Those that overlap it or touch it become one with it.
        let from = self.ranges.partition_point(|r| r.1.saturating_add(1) < first);
        let until = self.ranges.partition_point(|r| r.0 <= last.saturating_add(1));
        if from < until {
            first = first.min(self.ranges[from].0);
            last = last.max(self.ranges[until - 1].1);
        }
        self.ranges.splice(from..until.max(from), [(first, last)]);
    }

    /// Whether `timestamp` is hidden.
    #[must_use]
    pub(crate) fn hides(&self, timestamp: Timestamp) -> bool {
        self.hides_all(timestamp, timestamp)
    }

    /// Whether every tick from `first` to `last` is hidden.
    #[must_use]
    pub(crate) fn hides_all(&self, first: Timestamp, last: Timestamp) -> bool {
        let at = self.ranges.partition_point(|r| r.1 < last);
        self.ranges.get(at).is_some_and(|r| r.0 <= first)
    }

    /// Whether a tick from `first` to `last` is hidden.
    #[must_use]
    pub(crate) fn touches(&self, first: Timestamp, last: Timestamp) -> bool {
        let at = self.ranges.partition_point(|r| r.1 < first);
        self.ranges.get(at).is_some_and(|r| r.0 <= last)
    }

    /// Removes the hidden samples from row `base` on, where the timestamps rise, and hands them to
    /// `removed`; returns how many.
    pub(crate) fn remove_from(
        &self,
        columns: &mut Columns,
        base: usize,
        mut removed: impl FnMut(&[Timestamp], &[f64]),
    ) -> usize {
        let times = &columns.timestamps;
        let (Some(&first), Some(&last)) = (times[base..].first(), times.last()) else { return 0 };
        if !self.touches(first, last) {
            return 0;
        }
        let rows = columns.len();
        let (mut kept, mut at) = (base, base);
        let next = self.ranges.partition_point(|r| r.1 < first);
        for &(first, last) in &self.ranges[next..] {
            let times = &columns.timestamps[at..];
            let visible = at + times.partition_point(|&t| t < first);
            let behind = at + times.partition_point(|&t| t <= last);
            if visible < behind {
                let hidden = visible..behind;
                removed(&columns.timestamps[hidden.clone()], &columns.values.f64()[hidden]);
            }
            kept = move_rows(columns, at..visible, kept);
            at = behind;
            if at == rows {
                break;
            }
        }
        kept = move_rows(columns, at..rows, kept);
        columns.timestamps.truncate(kept);
        columns.values.f64_mut().truncate(kept);
        rows - kept
    }
}

/// Moves rows down to row `to`; returns the row behind them there.
fn move_rows(columns: &mut Columns, rows: std::ops::Range<usize>, to: usize) -> usize {
    let behind = to + rows.len();
    columns.timestamps.copy_within(rows.clone(), to);
    columns.values.f64_mut().copy_within(rows, to);
    behind
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cursor::Column;

    #[test]
    fn all_but_the_last_tick_can_be_hidden() {
        let mut hidden = HiddenRanges::default();
        hidden.insert_closed(0, i64::MAX - 1);
        assert!(hidden.hides(i64::MAX - 1) && !hidden.hides(i64::MAX));
    }

    #[test]
    fn the_ends_of_time_can_be_hidden() {
        let mut hidden = HiddenRanges::default();
        hidden.insert(TimeRange::new(i64::MAX, i64::MAX));
        hidden.insert(TimeRange::closed(i64::MIN, i64::MIN));
        hidden.insert(TimeRange::new(5, 5));
        assert_eq!(hidden.as_slice(), [(i64::MIN, i64::MIN), (i64::MAX, i64::MAX)]);
        assert!(hidden.hides(i64::MAX) && !hidden.hides(i64::MAX - 1));
        hidden.insert(TimeRange::ALL);
        assert_eq!(hidden.as_slice(), [(i64::MIN, i64::MAX)]);
        assert!(hidden.hides_all(i64::MIN, i64::MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn as_a_set_of_ticks(
            ranges in prop::collection::vec((-20i64..20, 0i64..9), 0..8),
            times in prop::collection::btree_set(-22i64..30, 0..30),
            base in 0usize..3,
        ) {
            let mut hidden = HiddenRanges::default();
            let ranges: Vec<_> = ranges.iter().map(|&(s, d)| TimeRange::new(s, s + d)).collect();
            ranges.iter().for_each(|&range| hidden.insert(range));
            let gone = |t: i64| ranges.iter().any(|range| range.contains(t));
            let apart = |pair: &[(i64, i64)]| pair[0].1 + 1 < pair[1].0;
            prop_assert!(hidden.as_slice().windows(2).all(apart), "{:?}", hidden);
            for first in -22..30 {
                prop_assert_eq!(hidden.hides(first), gone(first));
                for last in first..30 {
                    prop_assert_eq!(hidden.hides_all(first, last), (first..=last).all(gone));
                    prop_assert_eq!(hidden.touches(first, last), (first..=last).any(gone));
                }
            }
            let mut all = vec![0; base];
            all.extend(&times);
            let values = |times: &[i64]| times.iter().map(|&t| t as f64).collect::<Vec<_>>();
            let mut columns =
                Columns { values: Column::F64(values(&all)), timestamps: all.clone() };
            let mut taken = Vec::new();
            let removed = hidden.remove_from(&mut columns, base, |times, _| taken.extend_from_slice(times));
            prop_assert!(taken.iter().copied().eq(times.iter().copied().filter(|&t| gone(t))));
            let mut expected = all[..base].to_vec();
            expected.extend(times.iter().filter(|&&t| !gone(t)));
            prop_assert_eq!(removed, all.len() - expected.len());
            prop_assert_eq!(columns.values.f64(), &values(&expected)[..]);
            prop_assert_eq!(columns.timestamps, expected);
        }
    }
}
