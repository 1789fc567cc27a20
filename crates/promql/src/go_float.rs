//! Floats as text, in the two notations in which Prometheus (and so Go's `strconv` and `fmt`) prints
//! them. The printer of expressions, label values of `count_values`, annotations and the text of a
//! histogram go through here, so that a number looks the same wherever it is shown.
//!
//! Both use the fewest digits that read back as the same number, and of such texts the nearest. Rust's own
//! formatting gives the same, but for numbers exactly between two of them: Go takes the even one
//! ([`is_between`]).

/// `value` in plain notation, as `strconv.FormatFloat(value, 'f', -1, 64)`: never an exponent;
/// `+Inf`, `-Inf`, `NaN`; a negative zero keeps its sign.
#[must_use]
pub fn format_f(value: f64) -> String {
    match special(value) {
        Some(text) => text.to_owned(),
        None => plain(value),
    }
}

/// The fewest digits in plain notation.
fn plain(value: f64) -> String {
    let text = value.to_string();
    let decimals = decimals(&text);
    if is_between(value, decimals) {
        // All digits are known here, and the standard library rounds them half to even.
        let even = format!("{value:.decimals$}");
        if even.parse() == Ok(value) {
            return even;
        }
    }
    text
}

/// The fewest digits of a number with an exponent, as the standard library writes that: `1e-7`.
#[must_use]
pub fn scientific(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let digits = decimals(digits);
    let places = digits as i64 - exponent.parse::<i64>().unwrap_or(0);
    if is_between(value, usize::try_from(places).unwrap_or(0)) {
        let even = format!("{value:.digits$e}");
        if even.parse() == Ok(value) {
            return even;
        }
    }
    text
}

/// The number of digits behind the point.
fn decimals(text: &str) -> usize {
    text.split_once('.').map_or(0, |(_, decimals)| decimals.len())
}

/// Whether `value` lies exactly between two numbers of `places` decimals next to each other, as 0.25 does for
/// one: then it is an odd multiple of 2^-(`places` + 1), the only ones whose last decimal is a 5 one place
/// further. Whole numbers never do.
#[must_use]
pub fn is_between(value: f64, places: usize) -> bool {
    // Exact, because only the exponent changes; infinite, and so no number of that kind, at worst.
    let scaled = value * 2f64.powi(places as i32 + 1);
    let whole = scaled as i64; // saturates
    places > 0 && whole % 2 != 0 && whole.unsigned_abs() < 1 << 53 && whole as f64 == scaled
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
    let scientific = scientific(value);
    // `{:e}` always has an exponent; a text without one would be printed as it is.
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..exponent_end).contains(&exponent) {
        return plain(value);
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

    /// As Prometheus 3.5 prints them, where Rust's own shortest digits end in 3.
    #[test]
    fn between_two_texts_the_even_one_is_taken() {
        for (value, text) in [
            (4_397_157_744_877_709.0 / 4.0, "1099289436219427.2"),
            (8_815_077_686_834_605.0 / 4.0, "2203769421708651.2"),
            (-4_397_157_744_877_709.0 / 4.0, "-1099289436219427.2"),
            (4_397_157_744_877_711.0 / 4.0, "1099289436219427.8"),
            (0.25, "0.25"),
            (0.5, "0.5"),
        ] {
            assert_eq!(format_f(value), text);
        }
        assert_eq!(format_g(4_397_157_744_877_709.0 / 4.0), "1.0992894362194272e+15");
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
