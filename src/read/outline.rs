//! Outlines: of a series as many samples only as a function of windows needs.
//!
//! What windows of time ask of the samples inside them is often little: the last one, the largest, how
//! many. Where no window begins or ends inside a chunk, its summary answers that, and the chunk is not
//! decoded: one *point* stands for its samples. Called by [`SeriesSet::outline`].
//!
//! A window is open on the left, as in PromQL: it holds the samples with `end - length < t <= end`. Steps
//! and samples often fall on the same round times, and so do the cuts of chunks: the first sample of a
//! chunk then belongs to the window that ends there, all others to the next one. Such a chunk becomes
//! two points: its first sample, and one for the rest, which is the summary less that sample.
//!
//! # Invariants
//!
//! - Every window holds the points of exactly those samples that it would hold.
//! - What [`Wanted`] says is the same, bit for bit, of the points of a window as of its samples.
//!
//! [`SeriesSet::outline`]: super::SeriesSet::outline

use crate::cursor::{Summary, ValueSummary};
use crate::types::{TimeRange, Timestamp};

/// What is asked of the samples in a window. Stale markers are no samples where it says *values*.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The last sample, stale markers included.
    Last,
    /// The smallest value, of equal ones the first. Chunks with a NaN among their values are decoded.
    Min,
    /// The largest value, in the same way.
    Max,
    /// The number of values. What a point's own value is says nothing.
    Count,
    /// The number of values and their sum, if all values of the series are whole numbers and no sum of
    /// their magnitudes exceeds 2^53, so that floats add up without rounding in any order. Where points
    /// stand for several samples, the magnitudes of the points add up to those of the samples. If they
    /// show that it is not so, the series has to be read whole.
    Sum,
}

/// Windows, and what is wanted of the samples in each.
///
/// ```
/// use siltstone::{Outline, Wanted};
///
/// // The largest value of each day of January 2024: 31 windows, the first of which ends with its first day.
/// let day_ms = 86_400_000;
/// let outline = Outline::new(Wanted::Max, 1_704_067_200_000 + day_ms, (day_ms, 31), day_ms);
/// assert_eq!(outline.wanted(), Wanted::Max);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outline {
    wanted: Wanted,
    ends: Steps,
    starts: Steps,
}

/// `first`, `first + step`, ..., up to `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Steps {
    first: i128,
    last: i128,
    step: i128,
}

/// One sample of an outline, which may stand for others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    pub(super) timestamp: Timestamp,
    pub(super) value: f64,
    /// How many samples it stands for, at least 1.
    pub(super) count: u32,
}

/// The points of a chunk: none, one or two.
pub(super) type Points = [Option<Point>; 2];

/// Where windows begin or end among the samples of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Nowhere: all samples are in the same windows.
    Nowhere,
    /// Right behind the first sample, and nowhere else.
    BehindFirst,
    Elsewhere,
}

impl Outline {
    /// `wanted` of the samples with `end - length < t <= end`, for `count` windows of which the first ends
    /// at `first_end` and each other one `step` after the one before; all in ticks. A step or a length
    /// below 1 is 1, and so is a count of 0.
    #[must_use]
    pub fn new(
        wanted: Wanted,
        first_end: Timestamp,
        (step, count): (i64, usize),
        length: i64,
    ) -> Self {
        let (first, step) = (i128::from(first_end), i128::from(step.max(1)));
        let last = first + step * (count.max(1) as i128 - 1);
        let length = i128::from(length.max(1));
        Self {
            wanted,
            ends: Steps { first, last, step },
            starts: Steps { first: first - length, last: last - length, step },
        }
    }

    /// What is wanted.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// What stands for the samples of a chunk within `range`; `None` if it has to be decoded.
    pub(super) fn points(&self, summary: &Summary, range: TimeRange) -> Option<Points> {
        let Summary { first, last, rows, stale_markers, .. } = *summary;
        if !range.contains(last) {
            return None;
        }
        if self.wanted == Wanted::Last {
            // A window that begins inside the chunk has its last sample as well.
            let is_cut = self.ends.any_within(i128::from(first), i128::from(last) - 1);
            let values = summary.values.filter(|_| stale_markers == 0 && !is_cut)?;
            return Some([None, Some(Point { timestamp: last, value: values.last, count: rows })]);
        }
        let cut = self.cut(first, last);
        let whole = || {
            let (count, value) = (rows - stale_markers, self.value(summary)?);
            Some((count > 0).then_some(Point { timestamp: last, value, count }))
        };
        let is_whole = range.contains(first);
        match cut {
            Cut::Nowhere if is_whole => Some([None, whole()?]),
            Cut::BehindFirst if stale_markers == 0 && rows > 1 => {
                let (head, rest) = self.values_of_cut(summary)?;
                let head = is_whole.then_some(Point { timestamp: first, value: head, count: 1 });
                // The range may begin where the first window does: right behind the first sample.
                let is_rest_whole = is_whole || range.start == first + 1;
                let rest = Point { timestamp: last, value: rest, count: rows - 1 };
                is_rest_whole.then_some([head, Some(rest)])
            }
            Cut::Nowhere | Cut::BehindFirst | Cut::Elsewhere => None,
        }
    }

    fn cut(&self, first: Timestamp, last: Timestamp) -> Cut {
        let (first, last) = (i128::from(first), i128::from(last));
        let within = |from, to| self.ends.any_within(from, to) || self.starts.any_within(from, to);
        // A bound at `last` cuts behind the chunk.
        if within(first + 1, last - 1) {
            Cut::Elsewhere
        } else if first < last && within(first, first) {
            Cut::BehindFirst
        } else {
            Cut::Nowhere
        }
    }

    /// The value that stands for all samples; `None` if the summary does not tell.
    fn value(&self, summary: &Summary) -> Option<f64> {
        if self.wanted == Wanted::Count || summary.rows == summary.stale_markers {
            return Some(0.0);
        }
        let values = summary.values?;
        match self.wanted {
            Wanted::Min => of_one_zero(values.min, &values),
            Wanted::Max => of_one_zero(values.max, &values),
            Wanted::Sum => whole_sum(&values).map(|sum| sum as f64),
            Wanted::Last | Wanted::Count => None,
        }
    }

    /// The first value, and the one that stands for all others, of which there are some.
    fn values_of_cut(&self, summary: &Summary) -> Option<(f64, f64)> {
        if self.wanted == Wanted::Count {
            return Some((0.0, 0.0));
        }
        let values = summary.values?;
        let first = values.first.to_bits();
        let are_equal = values.min.to_bits() == values.max.to_bits();
        let rest = match self.wanted {
            // Where the first one is an extreme, the others may have it, too, or not.
            Wanted::Min if first != values.min.to_bits() || are_equal => {
                of_one_zero(values.min, &values)?
            }
            Wanted::Max if first != values.max.to_bits() || are_equal => {
                of_one_zero(values.max, &values)?
            }
            Wanted::Sum => (whole_sum(&values)? - values.first as i64) as f64,
            Wanted::Last | Wanted::Count | Wanted::Min | Wanted::Max => return None,
        };
        Some((values.first, rest))
    }
}

/// An extreme, unless it is a zero beside one of the other sign: of those the first counts.
fn of_one_zero(extreme: f64, values: &ValueSummary) -> Option<f64> {
    (extreme != 0.0 || values.sum.is_some()).then_some(extreme)
}

/// The sum of whole numbers without different signs: then its magnitude is the sum of theirs.
fn whole_sum(values: &ValueSummary) -> Option<i64> {
    let total = values.sum.filter(|total| total.exponent == 0)?;
    (values.min >= 0.0 || values.max <= 0.0).then_some(total.sum)
}

impl Steps {
    /// Whether one of them is from `from` to `to`, both inclusive.
    fn any_within(&self, from: i128, to: i128) -> bool {
        let (from, to) = (from.max(self.first), to.min(self.last));
        if from > to {
            return false;
        }
        // Mostly windows are either much shorter than a chunk, or much longer.
        to - from >= self.step || {
            let past = (from - self.first + self.step - 1) / self.step * self.step;
            self.first + past <= to
        }
    }
}
