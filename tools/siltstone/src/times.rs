//! Times and lengths of time as the flags take them: one reader of each, so that what one flag takes
//! every other takes as well.
//!
//! The notations of the protocols, Unix seconds, RFC 3339 and lengths of time, are read by
//! [`siltstone_server::time`]. Here is what people type besides: times relative to now, and dates. All
//! of it is UTC.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use siltstone::{Clock, SystemClock};
use siltstone_server::time::{parse_duration_ms as parse_length, parse_time as parse_absolute};

pub(crate) const SECOND: i64 = 1000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// The present in milliseconds since 1970: the same one for all flags of this process, so that
/// `--start -1h --end now` is an hour.
pub(crate) fn now_ms() -> i64 {
    static NOW: OnceLock<i64> = OnceLock::new();
    *NOW.get_or_init(|| SystemClock::new().wall_ms())
}

/// Reads a time: `now`, `now-5m`, `-1h` (before now), `2026-11-27`, `2026-11-27T08:30`, RFC 3339, or
/// seconds since 1970, which may be negative. The result is in milliseconds since 1970.
///
/// # Errors
/// A message that says what is expected.
pub(crate) fn parse_time(text: &str) -> Result<i64, String> {
    parse_time_at(text, now_ms())
}

fn parse_time_at(text: &str, now: i64) -> Result<i64, String> {
    if let Some(offset) = relative(text) {
        let offset = offset.map_err(|reason| format!("{text:?} is not a time: {reason}"))?;
        return now.checked_add(offset).ok_or_else(|| format!("the time {text} is out of range"));
    }
    // Before the calendar: what is written as seconds, or with a zone, says exactly what it means.
    match parse_absolute(text) {
        Ok(ms) => Ok(ms),
        Err(_) => calendar(text).ok_or_else(|| {
            format!(
                "{text:?} is not a time: give now, now-5m, -1h, a date as 2026-01-31, RFC 3339 as \
                 2026-01-31T08:00:00Z, or seconds since 1970"
            )
        }),
    }
}

/// The milliseconds from now of `now`, `now-5m`, `-1h`, `+1h`; `None` for what is not relative. A
/// number without a unit is not: `-5` is five seconds before 1970, as in the protocols.
fn relative(text: &str) -> Option<Result<i64, String>> {
    let offset = text.strip_prefix("now");
    if offset == Some("") {
        return Some(Ok(0));
    }
    let offset = offset.unwrap_or(text);
    let sign = match offset.as_bytes().first() {
        Some(b'-') => -1,
        Some(b'+') => 1,
        _ => return None,
    };
    let length = &offset[1..];
    let has_unit = length.ends_with(['y', 'w', 'd', 'h', 'm', 's']);
    if offset.len() == text.len() && !has_unit {
        return None;
    }
    Some(parse_duration_ms(length).map(|ms| sign * ms))
}

/// The start of a day, or a time of day, in UTC.
fn calendar(text: &str) -> Option<i64> {
    // The parser would pass over a zone behind the time.
    if text.get(10..).is_some_and(|time| time.contains(['+', '-', '['])) {
        return None;
    }
    let time: DateTime = text.parse().ok()?;
    Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Distances that people count in, from a millisecond to two weeks, in milliseconds.
pub(crate) const ROUND_STEPS: [i64; 34] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    4 * HOUR,
    6 * HOUR,
    8 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    3 * DAY,
    4 * DAY,
    7 * DAY,
    14 * DAY,
];

/// The distance that people count in which is nearest to `ms`, by how many times it is as long;
/// beyond two weeks, whole days.
pub(crate) fn round_step(ms: i64) -> i64 {
    let ms = ms.max(1);
    let Some(above) = ROUND_STEPS.iter().position(|step| *step >= ms) else {
        return ms.div_euclid(DAY).saturating_mul(DAY);
    };
    let (below, above) = (ROUND_STEPS[above.saturating_sub(1)], ROUND_STEPS[above]);
    // Products of numbers of at most two weeks.
    if ms * ms <= below * above { below } else { above }
}

/// Reads a length of time: `1h30m`, `2w`, `1y`, `500ms`, or seconds as a plain number, `90` or `0.5`.
///
/// # Errors
/// A message that says what is expected.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    parse_duration_ms(text).map(|ms| Duration::from_millis(ms.unsigned_abs()))
}

/// As [`parse_duration`], for a length that something is divided into.
pub(crate) fn parse_step(text: &str) -> Result<Duration, String> {
    let step = parse_duration(text)?;
    if step.is_zero() {
        return Err("a step must be longer than nothing, at least 1ms".to_owned());
    }
    Ok(step)
}

/// Milliseconds, not negative.
fn parse_duration_ms(text: &str) -> Result<i64, String> {
    parse_length(text).ok().filter(|ms| *ms >= 0).ok_or_else(|| {
        format!(
            "{text:?} is not a length of time: give whole numbers with units from large to small as \
             1h30m, 2w, 1y or 500ms (at most 292y), or seconds as 90"
        )
    })
}

/// Milliseconds as seconds, which every time parameter takes.
pub(crate) fn ms_text(ms: i64) -> String {
    let (sign, ms) = (if ms < 0 { "-" } else { "" }, ms.unsigned_abs());
    format!("{sign}{}.{:03}", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_123;

    #[test]
    fn times_relative_to_now() {
        for (text, offset) in [
            ("now", 0),
            ("now-5m", -300_000),
            ("now+1h30m", 5_400_000),
            ("-1h", -3_600_000),
            ("-1w2d", -9 * 86_400_000),
            ("+500ms", 500),
            ("now-90", -90_000),
        ] {
            assert_eq!(parse_time_at(text, NOW), Ok(NOW + offset), "{text}");
        }
        let (start, end) = (parse_time("now-1h").unwrap(), parse_time("now").unwrap());
        assert_eq!(end - start, 3_600_000, "one present for all");
    }

    #[test]
    fn times_of_the_calendar_and_of_the_protocols() {
        for (text, ms) in [
            ("2023-11-14", 1_699_920_000_000),
            ("2023-11-14T22:13", 1_699_999_980_000),
            ("2023-11-14 22:13:20.5", 1_700_000_000_500),
            ("2023-11-14T22:13:20Z", 1_700_000_000_000),
            ("2023-11-15T01:43:20+03:30", 1_700_000_000_000),
            ("1700000000.5", 1_700_000_000_500),
            ("-5", -5000),
            ("1700000000123", 1_700_000_000_123),
        ] {
            assert_eq!(parse_time_at(text, NOW), Ok(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_what_is() {
        for bad in [
            "",
            "yesterday",
            "2023-02-30",
            "now5m",
            "tomorrow",
            "nowish",
            "1h",
            "NaN",
            "2023-11-14T22:13:20+33:30",
        ] {
            let said = parse_time_at(bad, NOW).unwrap_err();
            assert!(said.contains("now-5m") && said.contains("2026-01-31"), "{bad}: {said}");
        }
        for bad in ["-1.5h", "now-", "now-1m1h", "-300y", "-5x1m"] {
            let said = parse_time_at(bad, NOW).unwrap_err();
            assert!(said.contains("1h30m") && said.contains(bad), "{bad}: {said}");
        }
        assert_eq!(parse_time_at("1e300", NOW), Ok(i64::MAX), "the end of time, as in the API");
        assert!(parse_time_at("-1h", i64::MIN).unwrap_err().contains("out of range"));
    }

    #[test]
    fn steps_are_rounded() {
        for (ms, step) in [
            (i64::MIN, 1),
            (0, 1),
            (1, 1),
            (3, 2),
            (4, 5),
            (14_400, 15_000),
            (345_600, 5 * MINUTE),
            (DAY + 1, DAY),
            (100 * DAY + 5, 100 * DAY),
        ] {
            assert_eq!(round_step(ms), step, "{ms}");
        }
        assert!(round_step(i64::MAX) > i64::MAX - DAY);
        assert!(ROUND_STEPS.is_sorted());
    }

    #[test]
    fn lengths_of_time() {
        for (text, ms) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1h30m", 5_400_000),
            ("2w", 14 * 86_400_000),
            ("1y", 365 * 86_400_000),
            ("90", 90_000),
            ("0.5", 500),
            ("0", 0),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in ["", "h", "1.5h", "-5m", "5x", "1m1h", "1h30", "300y", "-5", "NaN", "."] {
            let said = parse_duration(bad).unwrap_err();
            assert!(said.contains("1h30m") && said.contains(&format!("{bad:?}")), "{bad}: {said}");
        }
        assert!(parse_step("0s").is_err() && parse_step("0.0001").is_err());
        assert_eq!(parse_step("1ms"), Ok(Duration::from_millis(1)));
    }

    #[test]
    fn milliseconds_are_sent_so_that_they_are_read_back() {
        for ms in [0, -1, -1500, 1_700_000_000_123, 253_402_300_799_999, -62_135_596_800_001] {
            assert_eq!(parse_time(&ms_text(ms)), Ok(ms), "{}", ms_text(ms));
        }
    }
}
