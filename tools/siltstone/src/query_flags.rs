//! The flags that `query` and `explain` share: at which times, and what the evaluation may use.

use std::time::Duration;

use clap::Args;
use siltstone::Timestamp;
use siltstone_query::{Engine, Limits};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::times::{HOUR, now_ms, parse_duration, parse_step, parse_time, round_step};

/// Points of a series where the step is not given, about.
const POINTS: i128 = 250;

/// At one time, or at steps from one time to another.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct WhenFlags {
    /// Evaluate at this time: -1h, now-5m, 2026-01-31, RFC 3339, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true,
        conflicts_with_all = ["start", "end", "step"])]
    time: Option<i64>,
    /// Evaluate in steps from this time on [default: an hour before --end]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    start: Option<i64>,
    /// Evaluate in steps up to this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_hyphen_values = true)]
    end: Option<i64>,
    /// The distance of the steps, such as 30s or 5m [default: for about 250 of them]
    #[arg(long, value_name = "DURATION", value_parser = parse_step, allow_hyphen_values = true)]
    step: Option<Duration>,
}

/// When a query is evaluated, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// Once.
    At(Timestamp),
    /// At `start`, `start + step` and so on up to `end`; the step is positive.
    Range { start: Timestamp, end: Timestamp, step: i64 },
}

impl WhenFlags {
    /// The times; those of a range also without flags of one if `is_range`.
    pub(crate) fn when(self, is_range: bool) -> Result<When> {
        self.when_at(is_range, now_ms())
    }

    fn when_at(self, is_range: bool, now: Timestamp) -> Result<When> {
        let has_range = self.start.is_some() || self.end.is_some() || self.step.is_some();
        if !is_range && !has_range {
            return Ok(When::At(self.time.unwrap_or(now)));
        }
        let end = self.end.unwrap_or(now);
        let start = self.start.unwrap_or_else(|| end.saturating_sub(HOUR));
        if start > end {
            let message = if self.end.is_some() {
                "--end is before --start"
            } else {
                "--start is in the future: give --end as well"
            };
            return Err(Failure::usage(message));
        }
        let given = self.step.map(|step| i64::try_from(step.as_millis()).unwrap_or(i64::MAX));
        // The length of a range may exceed what its ends fit in, a part of it does not.
        let part = (i128::from(end) - i128::from(start)) / POINTS;
        let step = given.unwrap_or_else(|| round_step(part as i64));
        Ok(When::Range { start, end, step })
    }
}

/// What an evaluation may use.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct LimitFlags {
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = parse_duration)]
    pub(crate) timeout: Duration,
    /// Most samples that may be read, each as often as the query reads it [default: a billion]
    #[arg(long, value_name = "N", conflicts_with = "url")]
    pub(crate) max_samples: Option<u64>,
}

impl Default for LimitFlags {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(120), max_samples: None }
    }
}

impl LimitFlags {
    /// The engine within these limits, which the signal stops.
    pub(crate) fn engine(self, interrupt: &Interrupt) -> Engine {
        let defaults = Limits::default();
        let limits = Limits {
            time: Some(self.timeout),
            samples: self.max_samples.unwrap_or(defaults.samples),
            ..defaults
        };
        Engine { limits, cancel: interrupt.cancel(), ..Engine::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: WhenFlags = WhenFlags { time: None, start: None, end: None, step: None };

    #[test]
    fn what_is_not_given_has_a_default() {
        let now = 1_700_000_000_000;
        let when = |flags: WhenFlags, is_range| flags.when_at(is_range, now);
        assert_eq!(when(NONE, false), Ok(When::At(now)));
        assert_eq!(when(WhenFlags { time: Some(5), ..NONE }, false), Ok(When::At(5)));
        let hour = When::Range { start: now - HOUR, end: now, step: 15_000 };
        assert_eq!(when(NONE, true), Ok(hour));
        assert_eq!(when(WhenFlags { start: Some(now - HOUR), ..NONE }, false), Ok(hour));
        let step = Some(Duration::from_secs(60));
        let minutes = When::Range { start: 7 - HOUR, end: 7, step: 60_000 };
        assert_eq!(when(WhenFlags { end: Some(7), step, ..NONE }, false), Ok(minutes));
        let one = When::Range { start: 7, end: 7, step: 1 };
        assert_eq!(when(WhenFlags { start: Some(7), end: Some(7), ..NONE }, false), Ok(one));
        for (start, end) in [(8, Some(7)), (now + 1, None)] {
            assert!(when(WhenFlags { start: Some(start), end, ..NONE }, false).is_err());
        }
        let all = WhenFlags { start: Some(i64::MIN), end: Some(i64::MAX), ..NONE };
        let Ok(When::Range { step, .. }) = when(all, false) else { panic!("a range") };
        assert_eq!((u64::MAX / step.unsigned_abs()), 250);
    }
}
