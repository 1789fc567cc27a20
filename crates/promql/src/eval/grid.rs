//! The times at which an expression is evaluated, and where its windows lie.

use siltstone::Timestamp;

use crate::ast::RangeMode;

/// The steps of an evaluation: `start`, `start + step`, ..., `count` of them. Times are in
/// milliseconds since the Unix epoch and saturate at the ends of `i64`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Grid {
    pub(crate) start: Timestamp,
    /// At least 1.
    pub(crate) step: i64,
    pub(crate) count: usize,
}

impl Grid {
    /// One step at `time`.
    pub(crate) fn instant(time: Timestamp) -> Self {
        Self { start: time, step: 1, count: 1 }
    }

    /// The time of a step.
    #[inline]
    pub(crate) fn time(&self, step: usize) -> Timestamp {
        let steps = i64::try_from(step).unwrap_or(i64::MAX);
        self.start.saturating_add(self.step.saturating_mul(steps))
    }

    /// The time of the last step; of the first where there is none.
    pub(crate) fn end(&self) -> Timestamp {
        self.time(self.count.saturating_sub(1))
    }
}

/// Where a selector or subquery looks at a step at time `t`: at `at` or else `t`, less `offset`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Shift {
    pub(crate) at: Option<Timestamp>,
    /// Milliseconds; positive looks back.
    pub(crate) offset: i64,
}

impl Shift {
    /// The time that is looked at at a step at `time`.
    #[inline]
    pub(crate) fn apply(&self, time: Timestamp) -> Timestamp {
        self.at.unwrap_or(time).saturating_sub(self.offset)
    }
}

/// The windows of a range function: at each step the samples with `end - range < t <= end`, where
/// `end` is the step's time, shifted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Windows {
    pub(crate) grid: Grid,
    pub(crate) shift: Shift,
    /// Milliseconds. 0 of a length below one: then the windows hold nothing.
    pub(crate) range: i64,
    pub(crate) mode: RangeMode,
    /// How far back the sample before a window may be, for `anchored` and `smoothed`; and how far
    /// ahead the one behind it, for `smoothed`. Milliseconds.
    pub(crate) lookback: i64,
}

impl Windows {
    /// The end of the window of a step, inclusive.
    #[inline]
    pub(crate) fn end(&self, step: usize) -> Timestamp {
        self.shift.apply(self.grid.time(step))
    }

    /// The start of the window of a step, exclusive.
    #[inline]
    pub(crate) fn start(&self, step: usize) -> Timestamp {
        self.end(step).saturating_sub(self.range)
    }

    /// Whether two of them may have samples in common. It does not depend on how many steps there are,
    /// but for the grid of an instant.
    #[inline]
    pub(crate) fn overlap(&self) -> bool {
        let Grid { step, count, .. } = self.grid;
        let is_instant = count == 1 && step == 1;
        self.range > step && !is_instant
    }

    /// The times of the samples that the windows of all steps need together, inclusive.
    pub(crate) fn needed(&self) -> (Timestamp, Timestamp) {
        let (mut first, mut last) = (self.start(0), self.end(self.grid.count.saturating_sub(1)));
        if self.mode != RangeMode::Inside {
            first = first.saturating_sub(self.lookback);
        }
        if self.mode == RangeMode::Smoothed {
            last = last.saturating_add(self.lookback);
        }
        (first.saturating_add(1), last)
    }
}
