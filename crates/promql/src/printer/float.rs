//! Numbers as Go writes them.

use std::fmt::Write;

/// Appends `value` as `strconv.FormatFloat(value, 'f', -1, 64)`: the shortest digits that read back,
/// without an exponent.
pub(super) fn write_plain(out: &mut String, value: f64) {
    // Writing to a string cannot fail.
    let _ = match value {
        f64::INFINITY => out.write_str("+Inf"),
        f64::NEG_INFINITY => out.write_str("-Inf"),
        _ => write!(out, "{value}"),
    };
}

/// Appends `value` as `%v`: the same digits, with an exponent below 1e-4 and from 1e21 on.
pub(super) fn write_short(out: &mut String, value: f64) {
    let size = value.abs();
    if value == 0.0 || !value.is_finite() || (1e-4..1e21).contains(&size) {
        return write_plain(out, value);
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let _ = write!(out, "{digits}e{sign}{exponent:0>2}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_does() {
        for (value, plain, short) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (0.1, "0.1", "0.1"),
            (1e-4, "0.0001", "0.0001"),
            (-1.5e-5, "-0.000015", "-1.5e-05"),
            (1e20, "100000000000000000000", "100000000000000000000"),
            (1e21, "1000000000000000000000", "1e+21"),
            (f64::NAN, "NaN", "NaN"),
            (f64::INFINITY, "+Inf", "+Inf"),
            (f64::NEG_INFINITY, "-Inf", "-Inf"),
        ] {
            let (mut a, mut b) = (String::new(), String::new());
            write_plain(&mut a, value);
            write_short(&mut b, value);
            assert_eq!((a.as_str(), b.as_str()), (plain, short));
        }
    }
}
