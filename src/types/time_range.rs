//! Half-open ranges of time.

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo};

use super::Timestamp;

/// A range of ticks `start <= t < end`; an `end` of `i64::MAX` includes the last tick, so that every
/// sample can be selected.
///
/// ```
/// # use siltstone::TimeRange;
/// assert_eq!(TimeRange::from(5..10), TimeRange::new(5, 10));
/// assert_eq!(TimeRange::from(5..=10), TimeRange::closed(5, 10));
/// assert_eq!(TimeRange::from(..), TimeRange::ALL);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First tick of the range.
    pub start: Timestamp,
    /// First tick behind the range, or `i64::MAX` for all that follow.
    pub end: Timestamp,
}

impl TimeRange {
    /// Every tick.
    pub const ALL: Self = Self { start: i64::MIN, end: i64::MAX };

    /// The range from `start` up to but without `end`; empty when `end <= start`.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        Self { start, end }
    }

    /// The range from `first` to `last`, both included. A `last` of `i64::MAX - 1` takes in the last
    /// tick too: no range ends between the two, so that who must leave it out checks each timestamp.
    #[must_use]
    pub fn closed(first: Timestamp, last: Timestamp) -> Self {
        Self { start: first, end: last.saturating_add(1) }
    }

    /// The last tick of the range; below `start` when the range is empty.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        if self.end == i64::MAX { i64::MAX } else { self.end.saturating_sub(1) }
    }

    /// Whether no tick lies in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start > self.last() || self.end == i64::MIN
    }

    /// Whether `timestamp` lies in the range.
    #[must_use]
    pub fn contains(&self, timestamp: Timestamp) -> bool {
        self.start <= timestamp && timestamp <= self.last() && self.end != i64::MIN
    }

    /// Whether a tick of `first..=last` lies in the range.
    #[must_use]
    pub fn overlaps(&self, first: Timestamp, last: Timestamp) -> bool {
        !self.is_empty() && first <= self.last() && self.start <= last
    }
}

impl From<Range<Timestamp>> for TimeRange {
    fn from(range: Range<Timestamp>) -> Self {
        Self::new(range.start, range.end)
    }
}

impl From<RangeInclusive<Timestamp>> for TimeRange {
    /// As [`TimeRange::closed`].
    fn from(range: RangeInclusive<Timestamp>) -> Self {
        Self::closed(*range.start(), *range.end())
    }
}

impl From<RangeFrom<Timestamp>> for TimeRange {
    fn from(range: RangeFrom<Timestamp>) -> Self {
        Self::new(range.start, i64::MAX)
    }
}

impl From<RangeTo<Timestamp>> for TimeRange {
    fn from(range: RangeTo<Timestamp>) -> Self {
        Self::new(i64::MIN, range.end)
    }
}

impl From<RangeFull> for TimeRange {
    fn from(_: RangeFull) -> Self {
        Self::ALL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_tick_can_be_selected() {
        assert!(TimeRange::ALL.contains(i64::MAX) && TimeRange::ALL.contains(i64::MIN));
        assert!(TimeRange::closed(5, i64::MAX).contains(i64::MAX));
        assert!(!TimeRange::new(5, 6).contains(6) && TimeRange::new(5, 6).contains(5));
        assert!(TimeRange::closed(5, 5).contains(5));
        assert!(TimeRange::closed(5, i64::MAX - 1).contains(i64::MAX), "as documented");
        assert!(!TimeRange::closed(5, i64::MAX - 2).contains(i64::MAX - 1));
        assert!(TimeRange::from(3..).contains(i64::MAX) && !TimeRange::from(..3).contains(3));
        assert!(TimeRange::from(3..3).is_empty() && !TimeRange::from(3..=3).is_empty());
    }

    #[test]
    fn empty_ranges_hold_nothing() {
        for range in
            [TimeRange::new(5, 5), TimeRange::new(6, 5), TimeRange::new(i64::MIN, i64::MIN)]
        {
            assert!(range.is_empty(), "{range:?}");
            assert!(!range.contains(5) && !range.contains(i64::MIN));
            assert!(!range.overlaps(i64::MIN, i64::MAX));
        }
        assert!(!TimeRange::new(i64::MAX, i64::MAX).is_empty(), "holds the last tick");
    }
}
