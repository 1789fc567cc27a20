//! What is kept of an answer: its values as columns, for a run of steps.

use std::ops::RangeInclusive;

use siltstone::types::STALE_MARKER_BITS;
use siltstone::{Mark, Timestamp};
use siltstone_promql::{LabelSet, Point, ResultSeries};

/// Stands at a step without a value. No value of an answer has these bits.
const ABSENT: u64 = STALE_MARKER_BITS;
/// What a series takes beside its labels and values: its column, the counts of its labels, and what an
/// allocator keeps for both.
const SERIES_BYTES: u64 = (size_of::<Column>() + 16 + 32) as u64;

/// The steps of a range query: `first`, `first + step`, ..., `count` of them, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Steps {
    pub(super) first: Timestamp,
    /// At least 1.
    pub(super) step: i64,
    /// At least 1.
    pub(super) count: u64,
}

impl Steps {
    /// `start`, `start + step`, ... up to `end`; `None` if there are none.
    pub(super) fn of((start, end): (Timestamp, Timestamp), step: i64) -> Option<Self> {
        if step < 1 || end < start {
            return None;
        }
        let count = end.checked_sub(start)?.unsigned_abs() / step.unsigned_abs() + 1;
        Some(Self { first: start, step, count })
    }

    pub(super) fn last(self) -> Timestamp {
        self.time(self.count - 1)
    }

    fn time(self, step: u64) -> Timestamp {
        self.first + self.step * i64::try_from(step).unwrap_or(i64::MAX)
    }

    /// The number of the step at `time`, which is one.
    fn number(self, time: Timestamp) -> usize {
        usize::try_from((time - self.first) / self.step).unwrap_or(usize::MAX)
    }

    /// The steps of both, which lie on the same multiples.
    pub(super) fn common_with(self, other: Self) -> Option<Self> {
        let first = self.first.max(other.first);
        Self::of((first, self.last().min(other.last())), self.step)
    }

    /// The steps before those of `part`.
    pub(super) fn before(self, part: Self) -> Option<Self> {
        Self::of((self.first, part.first - self.step), self.step)
    }

    /// The steps behind those of `part`.
    pub(super) fn behind(self, part: Self) -> Option<Self> {
        Self::of((part.last() + self.step, self.last()), self.step)
    }

    /// The longest run of steps that lie in none of `blocked`; of several the last.
    pub(super) fn longest_without(
        self,
        blocked: impl Iterator<Item = RangeInclusive<Timestamp>>,
    ) -> Option<Self> {
        let mut blocked: Vec<(Timestamp, Timestamp)> =
            blocked.map(|range| (*range.start(), *range.end())).collect();
        blocked.sort_unstable();
        let (mut longest, mut from): (Option<Self>, Timestamp) = (None, self.first);
        for (first, last) in blocked.into_iter().chain([(Timestamp::MAX, Timestamp::MAX)]) {
            // Steps from `from` on that lie before `first`.
            let end = self.last().min(first.saturating_sub(1));
            let run = Self::of((from, end), self.step);
            if run.is_some_and(|run| longest.is_none_or(|known| run.count >= known.count)) {
                longest = run;
            }
            if last >= self.last() {
                break;
            }
            if last >= from {
                // The first step behind `last`.
                from += ((last - from) / self.step + 1) * self.step;
            }
        }
        longest
    }
}

/// The values of a run of steps, valid for the snapshot that `mark` names.
#[derive(Debug)]
pub(super) struct Extent {
    pub(super) mark: Mark,
    pub(super) steps: Steps,
    /// In order of labels.
    pub(super) series: Vec<Column>,
    pub(super) bytes: u64,
}

/// A series: at each step the bits of its value, or [`ABSENT`].
#[derive(Debug)]
pub(super) struct Column {
    pub(super) labels: LabelSet,
    values: Box<[u64]>,
}

impl Extent {
    /// Bytes that these series will take.
    pub(super) fn bytes_of(series: &[ResultSeries], steps: Steps) -> u64 {
        let labels: u64 = series.iter().map(|one| one.labels.encoded().len() as u64).sum();
        let each = steps.count.saturating_mul(8).saturating_add(SERIES_BYTES);
        let series = (series.len() as u64).saturating_mul(each);
        labels.saturating_add(series).saturating_add(size_of::<Self>() as u64)
    }

    /// The values of an answer to all of `steps`; `None` if there are others than floats.
    pub(super) fn new(series: &[ResultSeries], steps: Steps, mark: Mark) -> Option<Self> {
        let bytes = Self::bytes_of(series, steps);
        let count = usize::try_from(steps.count).ok()?;
        let column = |one: &ResultSeries| {
            let mut values = vec![ABSENT; count].into_boxed_slice();
            for (time, point) in &one.points {
                let Point::Float(value) = point else { return None };
                *values.get_mut(steps.number(*time))? = value.to_bits();
            }
            // The labels are shared with whoever else has them.
            Some(Column { labels: one.labels.clone(), values })
        };
        let series = series.iter().map(column).collect::<Option<Vec<_>>>()?;
        Some(Self { mark, steps, series, bytes })
    }

    /// How many points the answer has at the steps of `part`.
    pub(super) fn points(&self, part: Steps) -> u64 {
        self.series.iter().map(|column| self.bits(column, part).count() as u64).sum()
    }

    /// The points of a series at the steps of `part`, in time order.
    pub(super) fn bits(
        &self,
        column: &Column,
        part: Steps,
    ) -> impl Iterator<Item = (Timestamp, Point)> {
        let first = self.steps.number(part.first);
        let values = &column.values[first..][..usize::try_from(part.count).unwrap_or(0)];
        let present = (0u64..).zip(values).filter(|(_, bits)| **bits != ABSENT);
        present.map(move |(step, bits)| (part.time(step), Point::Float(f64::from_bits(*bits))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(first: i64, count: u64) -> Steps {
        Steps { first, step: 10, count }
    }

    #[test]
    fn parts_are_before_and_behind() {
        let all = steps(100, 11);
        assert_eq!((Steps::of((100, 209), 10), all.last()), (Some(all), 200));
        let part = steps(120, 3);
        assert_eq!(
            (all.before(part), all.behind(part)),
            (Some(steps(100, 2)), Some(steps(150, 6)))
        );
        assert_eq!((all.before(all), all.behind(all)), (None, None));
        assert_eq!(all.common_with(steps(180, 9)), Some(steps(180, 3)));
        assert_eq!(all.common_with(steps(210, 9)), None);
        assert_eq!(Steps::of((5, 4), 1).or(Steps::of((5, 6), 0)), None);
    }

    #[test]
    fn the_longest_run_is_between_what_is_blocked() {
        let all = steps(100, 11);
        let longest = |blocked: &[(i64, i64)]| {
            all.longest_without(blocked.iter().map(|&(first, last)| first..=last))
        };
        assert_eq!(longest(&[]), Some(all));
        assert_eq!(longest(&[(101, 109), (111, 119)]), Some(steps(120, 9)));
        assert_eq!(longest(&[(200, 200)]), Some(steps(100, 10)));
        assert_eq!(longest(&[(201, 900), (0, 99)]), Some(all));
        assert_eq!(longest(&[(100, 100), (150, 155), (190, i64::MAX)]), Some(steps(110, 4)));
        assert_eq!(longest(&[(120, 130), (110, 180)]), Some(steps(190, 2)));
        assert_eq!(longest(&[(i64::MIN, 195)]), Some(steps(200, 1)));
        assert_eq!(longest(&[(i64::MIN, i64::MAX)]), None);
        assert_eq!(longest(&[(0, 150), (151, 300)]), None);
    }
}
