//! The value of a number, as Go's `strconv` reads it.
//!
//! Prometheus tries `ParseInt` with base 0 and then `ParseFloat`. So `010` is octal 8, `08` is 8
//! because it is no octal number, `0x1F` is 31, and underscores may stand between digits.

/// The value of `text`, which the lexer took for a number.
///
/// # Errors
/// The message of Prometheus if `text` is no number or too large for a double.
pub(super) fn value(text: &str) -> Result<f64, String> {
    if let Some(integer) = integer(text) {
        return Ok(integer);
    }
    let error = |why: &str| {
        let shown = crate::quote::quoted(text.as_bytes());
        format!("error parsing number: strconv.ParseFloat: parsing {shown}: {why}")
    };
    let parsed = if !underscores_separate_digits(text) {
        None
    } else {
        let plain = without_underscores(text);
        if is_hexadecimal(&plain) { hexadecimal_float(&plain) } else { plain.parse().ok() }
    };
    let value = parsed.ok_or_else(|| error("invalid syntax"))?;
    if value.is_infinite() && !text.eq_ignore_ascii_case("inf") {
        return Err(error("value out of range"));
    }
    Ok(value)
}

/// An integer of at most 63 bits in the base that its prefix says.
fn integer(text: &str) -> Option<f64> {
    // Most numbers are a few decimal digits.
    let is_plain = text.len() < 16 && text.bytes().all(|b| b.is_ascii_digit());
    if !is_plain && !underscores_separate_digits(text) {
        return None;
    }
    let plain = without_underscores(text);
    let (digits, radix) = if is_hexadecimal(&plain) {
        (&plain[2..], 16)
    } else if plain.len() > 1 && plain.starts_with('0') {
        (&plain[1..], 8)
    } else {
        (&plain[..], 10)
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|integer| integer as f64)
}

fn is_hexadecimal(text: &str) -> bool {
    text.starts_with("0x") || text.starts_with("0X")
}

fn without_underscores(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('_') { text.replace('_', "").into() } else { text.into() }
}

/// Whether every underscore stands between two digits, or between the base's prefix and a digit.
fn underscores_separate_digits(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let hex = is_hexadecimal(text);
    let is_digit =
        |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || (hex && b.is_ascii_hexdigit()));
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, b)| **b == b'_').all(|(at, _)| {
        let behind_prefix = hex && at == 2;
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        (behind_prefix || is_digit(before)) && is_digit(bytes.get(at + 1))
    })
}

/// `0x` digits `p` exponent: the digits times a power of two, rounded once, to even.
///
/// The lexer lets no point pass in hexadecimal numbers.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text[2..].split_once(['p', 'P'])?;
    // Beyond this every mantissa that fits a query is zero or infinite.
    let exponent: i64 = exponent.parse::<i64>().ok()?.clamp(-1 << 40, 1 << 40);
    if digits.is_empty() {
        return None;
    }
    let mut mantissa = 0u64;
    let mut dropped_bits = 0i64;
    for digit in digits.chars() {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            // The last bit remembers that something was cut off, so that a tie is no tie.
            mantissa |= u64::from(digit != 0);
            dropped_bits += 4;
        }
    }
    Some(scaled(mantissa, exponent.saturating_add(dropped_bits)))
}

/// `mantissa * 2^exponent`, rounded to the nearest double, ties to even; infinite if too large.
fn scaled(mantissa: u64, exponent: i64) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    // The highest bit at place 63: the value is 1.xxx * 2^(exponent + 63).
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    let exponent = exponent - i64::from(shift) + 63;
    if exponent > 1023 {
        return f64::INFINITY;
    }
    // A double keeps 53 bits, and fewer below its smallest normal exponent.
    let lost = 11 + (-1022 - exponent).max(0);
    let Some(lost) = u32::try_from(lost).ok().filter(|lost| *lost <= 64) else { return 0.0 };
    let kept = mantissa.checked_shr(lost).unwrap_or(0);
    let rest = if lost == 64 { mantissa } else { mantissa & ((1 << lost) - 1) };
    let half = 1u64 << (lost - 1);
    let round_up = rest > half || (rest == half && kept & 1 == 1);
    let kept = kept + u64::from(round_up);
    // Adding to the bits carries into the exponent where rounding does.
    let biased = if exponent < -1022 { 0 } else { u64::try_from(exponent + 1022).unwrap_or(0) };
    f64::from_bits((biased << 52) + kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        for (text, expected) in [
            ("0", 0.0),
            ("1.5e3", 1500.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("010", 8.0),
            ("0_10", 8.0),
            ("08", 8.0),
            ("0.5", 0.5),
            ("0x1F", 31.0),
            ("0X_1f", 31.0),
            ("1_000", 1000.0),
            ("1_23.50_0_0e+1_2", 123.5e12),
            ("0x1p-2", 0.25),
            ("0X_1FFFP-16", 0.124_984_741_210_937_5),
            ("0x1.", f64::NAN),
            ("9223372036854775807", 9_223_372_036_854_775_807.0),
            ("9223372036854775808", 9_223_372_036_854_775_808.0),
            ("0xFFFFFFFFFFFFFFFFF", f64::NAN),
            ("Inf", f64::INFINITY),
            ("5e-324", 5e-324),
            ("1e-400", 0.0),
        ] {
            match value(text) {
                Ok(read) => assert_eq!(read.to_bits(), expected.to_bits(), "{text}"),
                Err(_) => assert!(expected.is_nan(), "{text}"),
            }
        }
        assert!(value("nan").unwrap().is_nan());
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        let prefix = "error parsing number: strconv.ParseFloat: parsing ";
        for (text, why) in [
            ("1e400", "value out of range"),
            ("0x1e+2", "invalid syntax"),
            ("1_e5", "invalid syntax"),
            ("0x", "invalid syntax"),
            ("0xp1", "invalid syntax"),
            ("0x1p", "invalid syntax"),
            ("0x1p2000", "value out of range"),
            (".", "invalid syntax"),
        ] {
            assert_eq!(value(text), Err(format!("{prefix}\"{text}\": {why}")));
        }
    }

    #[test]
    fn hexadecimal_floats_are_rounded_once() {
        for (text, expected) in [
            ("0x1p0", 1.0),
            ("0x1p1023", f64::from_bits(0x7fe << 52)),
            ("0x1p-1022", f64::MIN_POSITIVE),
            ("0x1p-1074", 5e-324),
            ("0x1p-1075", 0.0),
            ("0x3p-1076", 5e-324),
            ("0x1fffffffffffff8p0", 144_115_188_075_855_864.0),
            ("0x20000000000001p0", 9_007_199_254_740_992.0),
            ("0x20000000000003p0", 9_007_199_254_740_996.0),
            ("0x200000000000010000000000000000001p0", 2f64.powi(129) + 2f64.powi(77)),
        ] {
            assert_eq!(value(text).map(f64::to_bits), Ok(expected.to_bits()), "{text}");
        }
    }
}
