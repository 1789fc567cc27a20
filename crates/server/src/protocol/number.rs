//! How values are written as text, and read back bit for bit.
//!
//! Shared by the text exposition format, JSON lines and the command. Written: the shortest digits
//! that read back as the same bits, plain between 1e-6 and 1e21 and with an exponent of at least two
//! digits beyond, as Prometheus writes them; `+Inf`, `-Inf`; `NaN` for 0x7ff8000000000000 and
//! `NaN:` with 16 hexadecimal digits for every other NaN. Read: those, every decimal notation, and
//! the names of infinities and `NaN` in any case. A decimal too large for an `f64` is refused, not
//! turned into an infinity. Hexadecimal floats and digit separators are refused, as by Prometheus.

use std::fmt;
use std::io::Write;

use siltstone_promql::go_float::{format_f, is_between, scientific};

/// The bits of the NaN that is written as plain `NaN`.
pub const NAN_BITS: u64 = 0x7ff8_0000_0000_0000;

/// Hexadecimal digits after `NaN:`.
const NAN_DIGITS: usize = 16;

/// Largest integer up to which every integer is an `f64`.
const EXACT_INTEGER_MAX: u64 = 1 << 53;

/// The powers of ten that an `f64` holds exactly.
const EXACT_POWERS_OF_TEN: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Why a text is not a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NumberError {
    /// Not a number in any accepted notation.
    Malformed,
    /// A decimal whose magnitude no `f64` holds.
    OutOfRange,
    /// `NaN:` is not followed by the 16 hexadecimal digits of a NaN.
    NanBits,
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "not a number",
            Self::OutOfRange => "the number is too large for a 64-bit float",
            Self::NanBits => "after \"NaN:\" come the 16 lower-case hexadecimal digits of a NaN",
        })
    }
}

impl std::error::Error for NumberError {}

/// Reads a value in a notation that other systems write too; a NaN gets the bits [`NAN_BITS`].
///
/// # Errors
/// [`NumberError`] if `text` is not such a number.
pub fn parse(text: &[u8]) -> Result<f64, NumberError> {
    if let Some(value) = parse_short_decimal(text) {
        return Ok(value);
    }
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if unsigned.first().is_some_and(|b| b.is_ascii_digit() || *b == b'.') {
        let text = std::str::from_utf8(text).map_err(|_| NumberError::Malformed)?;
        let value: f64 = text.parse().map_err(|_| NumberError::Malformed)?;
        return if value.is_finite() { Ok(value) } else { Err(NumberError::OutOfRange) };
    }
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if text.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::from_bits(NAN_BITS));
    }
    Err(NumberError::Malformed)
}

/// Reads what [`write()`] wrote: as [`parse`], and `NaN:` with the bits of a NaN.
///
/// # Errors
/// [`NumberError`] if `text` is not such a number.
pub fn parse_exact(text: &[u8]) -> Result<f64, NumberError> {
    let Some(digits) = text.strip_prefix(b"NaN:") else {
        return parse(text);
    };
    if digits.len() != NAN_DIGITS {
        return Err(NumberError::NanBits);
    }
    let mut bits = 0u64;
    for digit in digits {
        let nibble = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return Err(NumberError::NanBits),
        };
        bits = bits << 4 | u64::from(nibble);
    }
    let value = f64::from_bits(bits);
    if value.is_nan() { Ok(value) } else { Err(NumberError::NanBits) }
}

/// The common case without the cost of the general one: digits with at most one point, an integer
/// up to 2^53 over an exact power of ten. Both are `f64`s, so one division rounds correctly.
fn parse_short_decimal(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // 19 digits and a point: the integer stays below 2^64.
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    let mut integer = 0u64;
    let mut point = None;
    for (i, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 {
            integer = integer.checked_mul(10)?.checked_add(u64::from(digit))?;
        } else if byte == b'.' && point.is_none() {
            point = Some(i);
        } else {
            return None;
        }
    }
    let decimals = point.map_or(0, |at| digits.len() - at - 1);
    if integer > EXACT_INTEGER_MAX || (point.is_some() && digits.len() == 1) {
        return None;
    }
    let magnitude = integer as f64 / EXACT_POWERS_OF_TEN[decimals];
    Some(if negative { -magnitude } else { magnitude })
}

/// Appends `value` in the form that [`parse_exact`] reads back bit for bit.
pub fn write(value: f64, out: &mut Vec<u8>) {
    let written = if value.is_nan() {
        match value.to_bits() {
            NAN_BITS => out.write_all(b"NaN"),
            bits => write!(out, "NaN:{bits:016x}"),
        }
    } else if value.is_infinite() {
        out.write_all(if value > 0.0 { b"+Inf" } else { b"-Inf" })
    } else if value == 0.0 {
        out.write_all(if value.is_sign_negative() { b"-0" } else { b"0" })
    } else if value.abs() < 1e-6 || value.abs() >= 1e21 {
        write_with_exponent(value, out);
        Ok(())
    } else if value.abs() <= EXACT_INTEGER_MAX as f64 && value.trunc() == value {
        {
            write_integer(value as i64, out);
            Ok(())
        }
    } else {
        write_plain(value, out)
    };
    written.unwrap_or_else(|_| unreachable!("writing into a vector cannot fail"));
}

fn write_plain(value: f64, out: &mut Vec<u8>) -> std::io::Result<()> {
    let start = out.len();
    write!(out, "{value}")?;
    let decimals = out[start..].iter().rev().position(|byte| *byte == b'.').unwrap_or(0);
    if is_between(value, decimals) {
        // Rare: Go's digits are not those of the standard library.
        out.truncate(start);
        out.extend_from_slice(format_f(value).as_bytes());
    }
    Ok(())
}

/// Appends an integer in decimal.
pub fn write_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The standard library's `1e-7` in the form `1e-07`.
fn write_with_exponent(value: f64, out: &mut Vec<u8>) {
    let text = scientific(value);
    let (digits, exponent) = text.split_once('e').expect("{:e} writes an exponent");
    let (sign, magnitude) = match exponent.strip_prefix('-') {
        Some(magnitude) => (b'-', magnitude),
        None => (b'+', exponent),
    };
    out.extend_from_slice(digits.as_bytes());
    out.extend_from_slice(&[b'e', sign]);
    if magnitude.len() == 1 {
        out.push(b'0');
    }
    out.extend_from_slice(magnitude.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: f64) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_prometheus_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (0.000023804, "0.000023804"),
            (1e-6, "0.000001"),
            (2.11e-7, "2.11e-07"),
            (5e-324, "5e-324"),
            (18446744073709552000.0, "18446744073709552000"),
            (9007199254740993.0, "9007199254740992"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1e300, "-1e+300"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::from_bits(0x7ff8_0000_0000_0000), "NaN"),
            (f64::from_bits(0x7ff0_0000_0000_0002), "NaN:7ff0000000000002"),
            (f64::from_bits(0xfff8_0000_0000_0000), "NaN:fff8000000000000"),
        ] {
            assert_eq!(written(value), text);
            assert_eq!(
                parse_exact(text.as_bytes()).map(f64::to_bits),
                Ok(value.to_bits()),
                "{text}"
            );
        }
    }

    #[test]
    fn notations_of_others_are_read() {
        for (text, value) in [
            ("+1", 1.0),
            ("1.", 1.0),
            (".5", 0.5),
            ("-.5", -0.5),
            ("00012", 12.0),
            ("1E+06", 1e6),
            ("1e-400", 0.0),
            ("Inf", f64::INFINITY),
            ("+inf", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("nan", f64::from_bits(NAN_BITS)),
            ("9007199254740993", 9007199254740992.0),
            ("99999999999999999999", 1e20),
            ("0.30000000000000004", 0.1 + 0.2),
        ] {
            assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Ok(value.to_bits()), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "-",
            "+",
            ".",
            "-.",
            "1.2.3",
            "1e",
            "e5",
            "1 ",
            " 1",
            "0x1p-2",
            "1_000",
            "--1",
            "-nan",
            "infin",
            "١٢",
            "1\u{0}",
            "NaN:",
            "\u{feff}1",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(NumberError::Malformed), "{text:?}");
        }
        assert_eq!(parse(b"1\xff"), Err(NumberError::Malformed));
        assert_eq!(parse(b"1e400"), Err(NumberError::OutOfRange));
        assert_eq!(parse(b"-1e309"), Err(NumberError::OutOfRange));
        assert_eq!(parse(&[b'9'; 400]), Err(NumberError::OutOfRange));
        for text in [
            "NaN:",
            "NaN:7ff000000000000",
            "NaN:7ff00000000000020",
            "NaN:7FF0000000000002",
            "NaN:7ff0000000000000",
            "NaN:3ff0000000000000",
            "NaN:+ff0000000000002",
        ] {
            assert_eq!(parse_exact(text.as_bytes()), Err(NumberError::NanBits), "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_are_written_in_full(value: i64) {
            for value in [value, i64::MIN, i64::MAX, 0] {
                let mut out = Vec::new();
                write_integer(value, &mut out);
                prop_assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
            }
        }

        #[test]
        fn every_bit_pattern_reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            let text = written(value);
            prop_assert_eq!(parse_exact(text.as_bytes()).map(f64::to_bits), Ok(bits), "{}", text);
        }

        #[test]
        fn short_decimals_read_back(integer in -(1i64 << 54)..1i64 << 54, decimals in 0u32..18) {
            let text = format!("{integer}e-{decimals}");
            let value: f64 = text.parse().unwrap();
            let shown = written(value);
            prop_assert_eq!(parse(shown.as_bytes()).map(f64::to_bits), Ok(value.to_bits()), "{}", shown);
        }

        #[test]
        fn short_decimals_agree_with_the_standard_library(text in "-?[0-9]{0,20}\\.?[0-9]{0,20}") {
            let expected = text.parse::<f64>().ok().map(f64::to_bits);
            prop_assert_eq!(parse(text.as_bytes()).ok().map(f64::to_bits), expected, "{}", text);
        }
    }
}
