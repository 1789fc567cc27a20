//! Values as Prometheus's HTTP API writes them.

use crate::units;

/// The fewest digits that read back as the same number; every NaN is `NaN`, whatever its bits.
pub(super) fn format(value: f64) -> String {
    if value.is_nan() { "NaN".to_owned() } else { units::exact(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponents_begin_where_those_of_go_do() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (0.1, "0.1"),
            (1e-6, "0.000001"),
            (9.9e-7, "9.9e-07"),
            (123_456_789.0, "123456789"),
            (1e20, "100000000000000000000"),
            (-1e21, "-1e+21"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
            (f64::from_bits(0x7ff0_0000_0000_0002), "NaN"),
        ] {
            assert_eq!(format(value), text);
        }
    }
}
