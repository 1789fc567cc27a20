//! Floats as text, in the two notations in which Prometheus (and so Go's `strconv` and `fmt`) prints
//! them. The printer of expressions, label values of `count_values`, annotations and the text of a
//! histogram go through here, so that a number looks the same wherever it is shown.
//!
//! Both use the fewest digits that read back as the same number, which is also what Rust's own
//! formatting gives; only the notation around the digits is Go's.

/// `value` in plain notation, as `strconv.FormatFloat(value, 'f', -1, 64)`: never an exponent;
/// `+Inf`, `-Inf`, `NaN`; a negative zero keeps its sign.
#[must_use]
pub fn format_f(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    }
}

/// `value` as Go's `%g` and `%v` print it: plain notation for decimal exponents from -4 to 5, else
/// `d.ddde±xx` with at least two digits of exponent; `+Inf`, `-Inf`, `NaN` as [`format_f`].
///
/// The upper limit of 21 that is known from JSON numbers does not hold here: `fmt.Sprint(1e6)` is
/// `1e+06`.
#[must_use]
pub fn format_g(value: f64) -> String {
    general(value, 6)
}

/// `value` in plain notation for decimal exponents from -4 to below `exponent_end`, else with an
/// exponent. Prometheus's printer writes fill values with an end of 21, that of Go's `%v` for the
/// shortest digits.
pub(crate) fn general(value: f64, exponent_end: i32) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let scientific = format!("{value:e}");
    // `{:e}` always has an exponent; a text without one would be printed as it is.
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..exponent_end).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.unsigned_abs())
}

/// The text of a value that has no digits.
fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value.is_infinite() {
        Some(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_notation_never_has_an_exponent() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.5, "1.5"),
            (1e21, "1000000000000000000000"),
            (1e-7, "0.0000001"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_f(value), text);
        }
    }

    #[test]
    fn general_notation_changes_at_a_million_and_at_a_ten_thousandth() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (100_000.0, "100000"),
            (999_999.5, "999999.5"),
            (1_000_000.0, "1e+06"),
            (-12_345_678.0, "-1.2345678e+07"),
            (0.0001, "0.0001"),
            (0.000_012_34, "1.234e-05"),
            (1e100, "1e+100"),
            (5e-324, "5e-324"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(format_g(value), text);
        }
    }

    #[test]
    fn general_notation_changes_where_it_is_told_to() {
        for (value, text) in [
            (-0.0, "-0"),
            (0.0001, "0.0001"),
            (-1.5e-5, "-1.5e-05"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (f64::NEG_INFINITY, "-Inf"),
        ] {
            assert_eq!(general(value, 21), text);
        }
    }

    proptest! {
        #[test]
        fn both_notations_read_back_as_the_same_number(value in any::<f64>()) {
            prop_assume!(!value.is_nan());
            prop_assert_eq!(format_f(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
            prop_assert_eq!(format_g(value).parse::<f64>().unwrap().to_bits(), value.to_bits());
        }
    }
}
