//! Ticks and milliseconds.
//!
//! A store counts time in ticks of its own, most protocols speak milliseconds, the standard library has
//! `SystemTime`. The only place where one becomes the other.

use std::time::{Duration, SystemTime};

use super::{TimeRange, Timestamp};

const NANOS: i128 = 1_000_000_000;

/// Converts between milliseconds, the system's times and ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeScale {
    ticks_per_second: u64,
}

impl TimeScale {
    /// The scale of a store with so many ticks per second.
    #[must_use]
    pub fn new(ticks_per_second: u64) -> Self {
        Self { ticks_per_second }
    }

    /// Ticks of a timestamp per second.
    #[must_use]
    pub fn ticks_per_second(self) -> u64 {
        self.ticks_per_second
    }

    /// The tick in which the millisecond lies; `None` if it is beyond the range of ticks.
    #[must_use]
    #[inline]
    pub fn from_ms(self, ms: i64) -> Option<Timestamp> {
        if self.ticks_per_second == 1000 {
            return Some(ms);
        }
        let ticks = (i128::from(ms) * i128::from(self.ticks_per_second)).div_euclid(1000);
        Timestamp::try_from(ticks).ok()
    }

    /// The millisecond in which the tick lies, as far as there is one.
    #[must_use]
    pub fn to_ms(self, ticks: Timestamp) -> i64 {
        let ms = (i128::from(ticks) * 1000).div_euclid(i128::from(self.ticks_per_second.max(1)));
        saturate(ms)
    }

    /// The tick in which the system's time lies; `None` if it is beyond the range of ticks.
    ///
    /// ```
    /// # use siltstone::TimeScale;
    /// # use std::time::{Duration, SystemTime};
    /// let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    /// assert_eq!(TimeScale::new(1000).from_system_time(time), Some(1_700_000_000_123));
    /// ```
    #[must_use]
    pub fn from_system_time(self, time: SystemTime) -> Option<Timestamp> {
        let nanos = match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => i128::try_from(after.as_nanos()).ok()?,
            Err(before) => -i128::try_from(before.duration().as_nanos()).ok()?,
        };
        let ticks = nanos.checked_mul(i128::from(self.ticks_per_second))?;
        Timestamp::try_from(ticks.div_euclid(NANOS)).ok()
    }

    /// The system's time at which the tick begins; `None` if the system has no such time.
    #[must_use]
    pub fn to_system_time(self, ticks: Timestamp) -> Option<SystemTime> {
        let nanos =
            (i128::from(ticks) * NANOS).div_euclid(i128::from(self.ticks_per_second.max(1)));
        let distance = nanos.unsigned_abs();
        let seconds = u64::try_from(distance / NANOS.unsigned_abs()).ok()?;
        let distance = Duration::new(seconds, (distance % NANOS.unsigned_abs()) as u32);
        match nanos < 0 {
            true => SystemTime::UNIX_EPOCH.checked_sub(distance),
            false => SystemTime::UNIX_EPOCH.checked_add(distance),
        }
    }

    /// The ticks from millisecond `start` to millisecond `end`, both included; without a bound, all.
    #[must_use]
    pub fn range(self, start: Option<i64>, end: Option<i64>) -> TimeRange {
        let first_at = |ms: i128| {
            let ticks = ms * i128::from(self.ticks_per_second);
            saturate(-(-ticks).div_euclid(1000))
        };
        TimeRange::new(
            start.map_or(i64::MIN, |ms| first_at(i128::from(ms))),
            end.map_or(i64::MAX, |ms| first_at(i128::from(ms) + 1)),
        )
    }
}

fn saturate(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_of_a_range_are_included() {
        let seconds = TimeScale::new(1);
        assert_eq!(seconds.range(Some(1500), Some(2500)), TimeRange::new(2, 3));
        assert_eq!(seconds.range(Some(1000), Some(999)), TimeRange::new(1, 1));
        let ms = TimeScale::new(1000);
        assert_eq!(ms.range(Some(5), Some(5)), TimeRange::new(5, 6));
        assert_eq!(ms.range(None, None), TimeRange::ALL);
        assert_eq!(ms.range(Some(i64::MIN), Some(i64::MAX)), TimeRange::ALL);
        let ns = TimeScale::new(1_000_000_000);
        assert_eq!(ns.range(Some(5), Some(5)), TimeRange::new(5_000_000, 6_000_000));
        assert_eq!(ns.range(Some(i64::MIN), Some(i64::MAX)), TimeRange::ALL);
    }

    #[test]
    fn ticks_and_milliseconds() {
        assert_eq!(TimeScale::new(1).from_ms(-1), Some(-1), "rounded down, not to zero");
        assert_eq!(TimeScale::new(1_000_000_000).from_ms(i64::MAX), None);
        assert_eq!(TimeScale::new(1_000_000_000).to_ms(-1), -1);
        assert_eq!(TimeScale::new(1000).from_ms(i64::MIN), Some(i64::MIN));
        assert_eq!(TimeScale::new(1).to_ms(i64::MAX), i64::MAX);
    }

    #[test]
    fn ticks_and_system_times() {
        for ticks_per_second in [1, 1000, 1_000_000_000] {
            let scale = TimeScale::new(ticks_per_second);
            for ticks in [0, 1, -1, 1_700_000_000, -1_700_000_001] {
                let time = scale.to_system_time(ticks).unwrap();
                assert_eq!(scale.from_system_time(time), Some(ticks), "{ticks_per_second}");
            }
        }
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(TimeScale::new(1).from_system_time(before), Some(-1), "rounded down");
        let late = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(TimeScale::new(1_000_000_000).from_system_time(late), None);
    }
}
