//! The length of a bucket, and where buckets begin.

use std::ops::ControlFlow;
use std::time::Duration;

use siltstone::{Error, Snapshot, TimeRange};

use super::Request;
use crate::failure::{Failure, Result};

/// The length of a bucket in a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// At least 1.
    pub(super) ticks: i64,
    /// Whether buckets are counted from where the range begins, not from 1970.
    from_start: bool,
}

impl Step {
    /// Refuses a step that is no whole number of ticks: the buckets would not be of one length.
    pub(super) fn new(step: Duration, ticks_per_second: u64, from_start: bool) -> Result<Self> {
        let thousandths = step.as_millis() * u128::from(ticks_per_second);
        if !thousandths.is_multiple_of(1000) {
            return Err(Failure::usage(format!(
                "--step {step:?} is not a whole number of ticks; the store has {ticks_per_second} \
                 a second"
            )));
        }
        let ticks = i64::try_from(thousandths / 1000).map_err(|_| {
            Failure::usage(format!("--step {step:?} is longer than the time that a store can hold"))
        })?;
        Ok(Self { ticks, from_start })
    }

    /// The range from the first tick of a bucket on.
    pub(super) fn aligned(self, range: TimeRange) -> TimeRange {
        if self.from_start {
            return range;
        }
        // Rounded towards 1970: before it there may be less than a bucket.
        let first = i64::MIN / self.ticks * self.ticks;
        TimeRange { start: range.start.max(first), ..range }
    }

    /// Refuses to leave out samples that [`aligned`](Self::aligned) does.
    pub(super) fn refuse_left_out(
        self,
        snapshot: &Snapshot,
        request: &Request,
        range: TimeRange,
    ) -> siltstone::Result<()> {
        let left_out = TimeRange::new(range.start, self.aligned(range).start.min(range.end));
        if left_out.is_empty() {
            return Ok(());
        }
        let mut found = None;
        request.selection.within(left_out).scan(snapshot, &request.options, |_, columns| {
            found = columns.timestamps.first().copied();
            ControlFlow::Break(())
        })?;
        found.map_or(Ok(()), |timestamp| {
            Err(Error::InvalidArgument(format!(
                "the bucket of the sample at tick {timestamp} begins before the first tick there \
                 is: give --start"
            )))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_begin_at_multiples_unless_there_is_a_start() {
        let hour = |from_start| Step::new(Duration::from_secs(3600), 1000, from_start).unwrap();
        let all = hour(false).aligned(TimeRange::ALL);
        assert_eq!((all.start % 3_600_000, all.end), (0, i64::MAX));
        assert!(all.start - i64::MIN < 3_600_000);
        let range = TimeRange::new(5, 10);
        assert_eq!(hour(true).aligned(range), range);
        assert_eq!(hour(true).aligned(TimeRange::ALL), TimeRange::ALL);
        let tick = Step::new(Duration::from_millis(1), 1000, false).unwrap();
        assert_eq!(tick.aligned(TimeRange::ALL), TimeRange::ALL);
    }

    #[test]
    fn steps_are_whole_ticks() {
        let ticks = |ms, per_second| {
            Step::new(Duration::from_millis(ms), per_second, false).map(|step| step.ticks)
        };
        assert_eq!(ticks(1, 1000), Ok(1));
        assert_eq!(ticks(2000, 1), Ok(2));
        assert_eq!(ticks(1, 1_000_000_000), Ok(1_000_000));
        for (ms, per_second) in [(1500, 1), (1, 999), (u64::MAX, 1_000_000_000)] {
            assert!(ticks(ms, per_second).is_err(), "{ms} ms, {per_second}");
        }
    }
}
