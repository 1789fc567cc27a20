//! Times and lengths of time as the flags take them: one reader of each, so that what one flag takes
//! every other takes as well.
//!
//! The notations of the protocols are read by the crates that own them: times by
//! [`siltstone_server::time`], lengths by [`siltstone_promql::parse_duration`]. Here is what people
//! type besides: times relative to now, dates, and seconds without a unit. All of it is UTC.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use siltstone::{Clock, SystemClock};
use siltstone_promql::parse_duration as parse_units;
use siltstone_server::time::parse_time as parse_absolute;

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
        // A number that is too large, and not merely some other notation.
        Err(reason) if text.parse::<f64>().is_ok_and(f64::is_finite) => Err(reason),
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
    let wrong = |reason: &str| {
        format!(
            "{text:?} is not a length of time: {reason}; give whole numbers with units from large \
             to small as 1h30m, 2w, 1y or 500ms, or seconds as 90"
        )
    };
    let is_number = text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if is_number {
        let seconds: f64 = text.parse().map_err(|_| wrong("it is no number"))?;
        // As long as the longest with units: 63 bits of nanoseconds.
        let ms = (seconds * 1000.0).round();
        let is_short = ms <= i64::MAX as f64 / 1e6;
        return if is_short { Ok(ms as i64) } else { Err(wrong("it is longer than 292 years")) };
    }
    if text.is_empty() {
        return Err(wrong("it is empty"));
    }
    let ms = parse_units(text).map_err(|reason| wrong(&reason))?;
    i64::try_from(ms).map_err(|_| wrong("it is longer than 292 years"))
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
        assert!(parse_time_at("1e300", NOW).unwrap_err().contains("out of range"));
        assert!(parse_time_at("-1h", i64::MIN).unwrap_err().contains("out of range"));
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
        for bad in ["", "h", "1.5h", "-5m", "5x", "1m1h", "1h30", "300y", "1e3", "9223372037", "."]
        {
            let said = parse_duration(bad).unwrap_err();
            assert!(said.contains("1h30m") && said.contains(&format!("{bad:?}")), "{bad}: {said}");
        }
        assert!(parse_step("0s").is_err() && parse_step("0.0001").is_err());
        assert_eq!(parse_step("1ms"), Ok(Duration::from_millis(1)));
    }
}
