//! Lengths of time such as `1h30m`: reading and writing them.
//!
//! Units go from large to small, each at most once: `y` (365 days), `w`, `d`, `h`, `m`, `s`, `ms`.
//! A length fits in 63 bits of nanoseconds, as Go's `time.Duration` does.

use std::fmt::Write;

use crate::quote::quoted;

/// The units in the order in which they are written, with their milliseconds.
const UNITS: [(&str, u64); 7] = [
    ("y", 1000 * 60 * 60 * 24 * 365),
    ("w", 1000 * 60 * 60 * 24 * 7),
    ("d", 1000 * 60 * 60 * 24),
    ("h", 1000 * 60 * 60),
    ("m", 1000 * 60),
    ("s", 1000),
    ("ms", 1),
];

/// The longest length, in milliseconds: 63 bits of nanoseconds.
const MILLISECONDS_MAX: u64 = i64::MAX.unsigned_abs() / 1_000_000;

/// The error of a length that does not fit.
pub(super) const OUT_OF_RANGE: &str = "duration out of range";

/// The milliseconds of `text`, such as `1h30m`: whole numbers of the units `y` (365 days), `w`, `d`,
/// `h`, `m`, `s` and `ms`, from large to small and each at most once. Nothing at all is 0.
///
/// ```
/// assert_eq!(siltstone_promql::parse_duration("1h30m"), Ok(5_400_000));
/// assert!(siltstone_promql::parse_duration("1.5h").is_err());
/// ```
///
/// # Errors
/// The message of Prometheus if a unit is unknown, repeated or out of order, a number is missing, or
/// the length exceeds 292 years.
pub fn parse_duration(text: &str) -> Result<u64, String> {
    let invalid = || format!("not a valid duration string: {}", quoted(text.as_bytes()));
    let mut total = 0u64;
    let mut units = &UNITS[..];
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (unit, behind) = behind.split_at(letters);
        if number.is_empty() || unit.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| invalid())?;
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            let unit = quoted(unit.as_bytes());
            return Err(format!("unknown unit {unit} in duration {}", quoted(text.as_bytes())));
        }
        let place = units.iter().position(|(name, _)| *name == unit).ok_or_else(invalid)?;
        total = number
            .checked_mul(units[place].1)
            .and_then(|length| total.checked_add(length))
            .filter(|total| *total <= MILLISECONDS_MAX)
            .ok_or(OUT_OF_RANGE)?;
        units = &units[place + 1..];
        rest = behind;
    }
    Ok(total)
}

/// The milliseconds of `seconds`, rounded to nanoseconds and cut to milliseconds, as Prometheus keeps
/// nanoseconds and evaluates milliseconds; `None` if they do not fit in 63 bits of nanoseconds.
pub(super) fn from_seconds(seconds: f64) -> Option<i64> {
    /// 2^63 nanoseconds, in seconds.
    const SECONDS_MAX: f64 = 9_223_372_036.854_776;
    if !(-SECONDS_MAX..=SECONDS_MAX).contains(&seconds) {
        return None;
    }
    let nanoseconds = (seconds * 1e9).round() as i64;
    Some(nanoseconds / 1_000_000)
}

/// A length of milliseconds in Prometheus's form, which [`parse_duration`] reads back unless it is
/// negative: `90d`, `1h30m`, `500ms`.
///
/// ```
/// assert_eq!(siltstone_promql::format_duration(5_400_000), "1h30m");
/// ```
#[must_use]
pub fn format_duration(milliseconds: i64) -> String {
    let mut out = String::new();
    write_milliseconds(&mut out, milliseconds);
    out
}

/// Appends a length in Prometheus's form: units from large to small, but years and weeks only where
/// nothing smaller remains, because `90d` reads better than `12w6d`.
pub(crate) fn write_milliseconds(out: &mut String, milliseconds: i64) {
    if milliseconds < 0 {
        out.push('-');
    }
    let mut rest = milliseconds.unsigned_abs();
    if rest == 0 {
        out.push_str("0s");
    }
    for (unit, length) in UNITS {
        let must_divide = matches!(unit, "y" | "w");
        if rest < length || (must_divide && !rest.is_multiple_of(length)) {
            continue;
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{}{unit}", rest / length);
        rest %= length;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read() {
        for (text, expected) in [
            ("1s", Ok(1000)),
            ("1h30m", Ok(5_400_000)),
            ("1y2w3d4h5m6s7ms", Ok(33_019_506_007)),
            ("0s", Ok(0)),
            ("292y", Ok(292 * 365 * 86_400_000)),
            ("293y", Err("duration out of range")),
            ("99999999999999w", Err("duration out of range")),
            (
                "99999999999999999999w",
                Err("not a valid duration string: \"99999999999999999999w\""),
            ),
            ("1m1m", Err("not a valid duration string: \"1m1m\"")),
            ("1m1h", Err("not a valid duration string: \"1m1h\"")),
            ("1.5h", Err("unknown unit \".\" in duration \"1.5h\"")),
            ("5hs", Err("unknown unit \"hs\" in duration \"5hs\"")),
        ] {
            assert_eq!(parse_duration(text), expected.map_err(str::to_owned), "{text}");
        }
        assert_eq!(from_seconds(1.0006), Some(1000));
        assert_eq!(from_seconds(-1.9999), Some(-1999));
        assert_eq!(from_seconds(1e-7), Some(0));
        assert_eq!(from_seconds(9.3e9), None);
        assert_eq!(from_seconds(f64::NAN), None);
    }

    #[test]
    fn lengths_are_written_and_read_back() {
        for (milliseconds, text) in [
            (0, "0s"),
            (1, "1ms"),
            (-5000, "-5s"),
            (5_400_000, "1h30m"),
            (86_400_000, "1d"),
            (90_000_000, "1d1h"),
            (7 * 86_400_000, "1w"),
            (8 * 86_400_000, "8d"),
            (365 * 86_400_000, "1y"),
            (i64::MIN, "-106751991167d7h12m55s808ms"),
        ] {
            assert_eq!(format_duration(milliseconds), text);
        }
        for milliseconds in [1u64, 59_999, 3_600_001, 694_861_001, 9_000_000_000_000] {
            let text = format_duration(i64::try_from(milliseconds).unwrap());
            assert_eq!(parse_duration(&text), Ok(milliseconds), "{text}");
        }
    }
}
