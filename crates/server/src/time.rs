//! Times as clients write them, and the ticks of the store.
//!
//! The protocols speak milliseconds, or seconds with a fraction; a store may have other ticks. The
//! only place where one becomes the other.

use std::time::Duration;

use jiff::Timestamp as Rfc3339;
use jiff::civil::DateTime;
pub use siltstone::TimeScale;
use siltstone::{Db, Options, Timestamp};

/// Numbers without a fraction from here on are milliseconds, as VictoriaMetrics' clients send them;
/// as seconds they would be after the year 5100.
const MILLISECONDS_FROM: f64 = 1e11;

/// The start of the year 2000.
const YEAR_2000_MS: i128 = 946_684_800_000;

/// Prometheus' names for the start and the end of time.
const MIN_TIME: &str = "-292273086-05-16T16:47:06Z";
const MAX_TIME: &str = "292277025-08-18T07:12:54.999999999Z";

/// Reads a length of time in milliseconds: seconds, with a fraction or not, or as PromQL writes it
/// (`1h30m`).
///
/// # Errors
/// What was expected.
pub fn parse_duration_ms(text: &str) -> Result<i64, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        let ms = (seconds * 1000.0).round();
        // The largest whole numbers of an f64 round up to 2^63, which is no i64.
        let fits = ms.is_finite() && ms.abs() < i64::MAX as f64;
        return if fits { Ok(ms as i64) } else { Err(format!("{text:?} is too long")) };
    }
    let ms = siltstone_promql::parse_duration(text).ok().filter(|_| !text.is_empty());
    ms.and_then(|ms| i64::try_from(ms).ok()).ok_or_else(|| {
        format!("cannot parse {text:?} to a valid duration, such as 15, 0.5 or 1h30m")
    })
}

/// Writes a tick as RFC 3339 with as many digits as the ticks have, all of one width; as a number
/// where the calendar ends.
#[must_use]
pub fn format_ticks(scale: TimeScale, ticks: Timestamp) -> String {
    let per_second = i128::from(scale.ticks_per_second().max(1));
    let digits = [0, 3, 6].into_iter().find(|d| 10i128.pow(*d) % per_second == 0).unwrap_or(9);
    let ns = (i128::from(ticks) * 1_000_000_000).div_euclid(per_second);
    Rfc3339::from_nanosecond(ns).map_or_else(
        |_| format!("{ticks} ticks"),
        |time| format!("{time:.precision$}", precision = digits as usize),
    )
}

fn saturate(value: i128) -> i64 {
    value.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
}

/// The ticks that the store takes at this moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeBounds {
    pub(crate) scale: TimeScale,
    min: Timestamp,
    max: Timestamp,
    year_2000: Timestamp,
    /// Earlier samples have expired.
    kept_from: Timestamp,
    /// The wall clock as it was read, in milliseconds, and whether it is known to be behind.
    now_ms: i64,
    is_behind: bool,
}

/// Why a timestamp is not taken.
#[derive(Debug)]
pub(crate) struct TimeRefusal {
    pub(crate) reason: String,
    /// It may be taken once the clock of this machine is right.
    pub(crate) clock_is_wrong: bool,
}

impl TimeBounds {
    pub(crate) fn now(db: &Db) -> Self {
        let scale = TimeScale::new(db.ticks_per_second());
        Self::at(db.options(), scale, db.wall_clock_is_behind())
    }

    fn at(options: &Options, scale: TimeScale, is_behind: bool) -> Self {
        let wall_ms = options.clock.wall_ms();
        let now_ms = i128::from(wall_ms);
        let ms = |d: Duration| d.as_millis() as i128;
        let at = |ms: i128| scale.from_ms(saturate(ms));
        let min = options.age_max.and_then(|age| at(now_ms - ms(age))).unwrap_or(i64::MIN);
        let max = options.ahead_max.and_then(|ahead| at(now_ms + ms(ahead))).unwrap_or(i64::MAX);
        let year_2000 = at(YEAR_2000_MS).unwrap_or(i64::MIN);
        let kept_from = options.retention.and_then(|age| at(now_ms - ms(age)));
        Self {
            scale,
            min,
            max,
            year_2000,
            kept_from: kept_from.unwrap_or(i64::MIN),
            now_ms: wall_ms,
            is_behind,
        }
    }

    pub(crate) fn is_before_2000(&self, timestamp: Timestamp) -> bool {
        timestamp < self.year_2000
    }

    /// Whether a sample is older than the store keeps any, by its clock.
    pub(crate) fn is_expired(&self, timestamp: Timestamp) -> bool {
        timestamp < self.kept_from
    }

    /// What is wrong with a timestamp, if anything.
    #[inline]
    pub(crate) fn check(&self, timestamp: Timestamp) -> Result<(), TimeRefusal> {
        if timestamp <= self.max && timestamp >= self.min {
            Ok(())
        } else {
            Err(self.refused(timestamp))
        }
    }

    /// The ticks of a time in milliseconds, if the store takes it.
    #[inline]
    pub(crate) fn of_ms(&self, ms: i64) -> Result<Timestamp, TimeRefusal> {
        let Some(timestamp) = self.scale.from_ms(ms) else {
            let reason = format!("the timestamp {ms} is out of range");
            return Err(TimeRefusal { reason, clock_is_wrong: false });
        };
        self.check(timestamp).map(|()| timestamp)
    }

    #[cold]
    fn refused(&self, timestamp: Timestamp) -> TimeRefusal {
        let is_ahead = timestamp > self.max;
        let reason = if is_ahead && self.is_behind {
            format!(
                "the timestamp {timestamp} is too far in the future for the clock of this server, which was \
                 set back to {} and is not believed: set it, and send the samples again",
                format_time(self.now_ms)
            )
        } else if is_ahead {
            format!("the timestamp {timestamp} is too far in the future")
        } else {
            format!("the timestamp {timestamp} is older than the store takes")
        };
        TimeRefusal { reason, clock_is_wrong: is_ahead && self.is_behind }
    }
}

/// Reads a time: seconds since the epoch with or without a fraction, milliseconds if it is an integer
/// of 12 digits or more, RFC 3339 in the years 1 to 9999, or Prometheus' names for the ends of time. The result
/// is in milliseconds. What lies beyond them, infinities included, is the end of time.
///
/// # Errors
/// A message that says what is expected.
pub fn parse_time(text: &str) -> Result<i64, String> {
    if text == MIN_TIME {
        return Ok(i64::MIN);
    }
    if text.trim_start_matches('+') == MAX_TIME {
        return Ok(i64::MAX);
    }
    if let Some(number) = text.parse::<f64>().ok().filter(|n| !n.is_nan()) {
        let is_integer = !text.contains(['.', 'e', 'E', 'i', 'I']);
        let is_ms = is_integer && number.abs() >= MILLISECONDS_FROM;
        if is_ms && let Ok(ms) = text.parse() {
            return Ok(ms);
        }
        // A cast ends at the ends of an i64.
        return Ok((number * if is_ms { 1.0 } else { 1000.0 }).round() as i64);
    }
    if let Ok(time) = text.parse::<Rfc3339>() {
        return Ok(time.as_millisecond());
    }
    last_day(text).ok_or_else(|| {
        format!(
            "{text:?} is not a time: give seconds since 1970, or RFC 3339 as 2026-01-31T08:00:00Z"
        )
    })
}

/// RFC 3339 in the last hours of the year 9999, where timestamps of the library end before the calendar does.
fn last_day(text: &str) -> Option<i64> {
    let (local, offset_s) = match text.strip_suffix(['Z', 'z']) {
        Some(local) => (local, 0),
        None => {
            let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
            let (hours, minutes) = offset.get(1..)?.split_once(':')?;
            let number = |two: &str| two.parse::<u8>().ok().map(i64::from);
            let size = number(hours)? * 3600 + number(minutes)? * 60;
            match offset.as_bytes()[0] {
                b'+' => (local, size),
                b'-' => (local, -size),
                _ => return None,
            }
        }
    };
    if !local.starts_with("9999-12-3") || !local.contains(['T', 't']) {
        return None;
    }
    let since =
        local.parse::<DateTime>().ok()?.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    Some(since.as_millis() as i64 - offset_s * 1000)
}

/// Writes a time in milliseconds as RFC 3339; as a number where the calendar ends.
#[must_use]
pub fn format_time(ms: i64) -> String {
    Rfc3339::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_notation() {
        for (text, ms) in [
            ("1700000000", 1_700_000_000_000),
            ("1700000000.1234", 1_700_000_000_123),
            ("1.7e9", 1_700_000_000_000),
            ("1700000000123", 1_700_000_000_123),
            ("-5", -5000),
            ("0", 0),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-15T01:43:20.5+03:30", 1_700_000_000_500),
            (MIN_TIME, i64::MIN),
            (MAX_TIME, i64::MAX),
            ("+292277025-08-18T07:12:54.999999999Z", i64::MAX),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
            ("9999-12-30T21:59:59Z", 253_402_207_199_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("9999-12-31T23:59:59.999+01:30", 253_402_295_399_999),
            ("9999-12-31T23:59:59-01:00", 253_402_304_399_000),
            ("inf", i64::MAX),
            ("+Inf", i64::MAX),
            ("-Infinity", i64::MIN),
            ("1e300", i64::MAX),
            ("-99999999999999999999", i64::MIN),
        ] {
            assert_eq!(parse_time(text), Ok(ms), "{text}");
        }
        for bad in [
            "",
            "NaN",
            "yesterday",
            "2023-11-14",
            "9999-12-31",
            "9999-12-31T23:59:59",
            "9999-12-32T00:00:00Z",
            "9999-12-31T23:59:59+1:00",
        ] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_in_both_notations() {
        for (text, ms) in
            [("15", 15_000), ("0.0015", 2), ("1e1", 10_000), ("-5", -5000), ("1h30m", 5_400_000)]
        {
            assert_eq!(parse_duration_ms(text), Ok(ms), "{text}");
        }
        for bad in ["", "NaN", "inf", "1e300", "1.5h", "m", "9223372036854776"] {
            assert!(parse_duration_ms(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn times_are_written_to_the_tick_and_read_back() {
        let shown = |per_second, ticks| format_ticks(TimeScale::new(per_second), ticks);
        assert_eq!(shown(1000, 1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(shown(1000, -1), "1969-12-31T23:59:59.999Z");
        assert_eq!(shown(1, 1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(shown(10, 5), "1970-01-01T00:00:00.500Z");
        assert_eq!(shown(1_000_000, 1), "1970-01-01T00:00:00.000001Z");
        assert_eq!(shown(1_000_000_000, 1), "1970-01-01T00:00:00.000000001Z");
        assert_eq!(shown(3, 1), "1970-01-01T00:00:00.333333333Z");
        assert_eq!(shown(1000, i64::MAX), "9223372036854775807 ticks");
        assert_eq!(parse_time(&shown(1000, -62_135_596_800_001)), Ok(-62_135_596_800_001));
    }

    #[test]
    fn bounds_follow_the_options() {
        let options = Options { ahead_max: Some(Duration::from_secs(60)), ..Options::default() };
        let now = options.clock.wall_ms();
        let scale = TimeScale::new(1000);
        let bounds = TimeBounds::at(&options, scale, false);
        assert!(bounds.check(now + 50_000).is_ok() && bounds.check(i64::MIN).is_ok());
        assert!(bounds.check(now + 90_000).is_err() && bounds.check(i64::MAX).is_err());
        let none = TimeBounds::at(&Options::default(), scale, true);
        assert!(none.check(i64::MAX).is_ok());
    }
}
