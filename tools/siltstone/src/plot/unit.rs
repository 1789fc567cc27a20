//! What values count, and numbers as people write them.

use clap::ValueEnum;

/// What the values of a plot count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// Plain numbers
    None,
    /// Bytes, shown as KiB, MiB and so on
    Bytes,
    /// Seconds, shown from ns to days
    Seconds,
}

/// What numbers are divided by before they are written, and what stands behind them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    /// Positive and finite.
    pub(crate) factor: f64,
    pub(crate) suffix: String,
}

/// Names of the powers of 1,000 from 1,000 on.
const THOUSANDS: [&str; 4] = ["k", "M", "G", "T"];
const BYTES: [&str; 6] = [" B", " KiB", " MiB", " GiB", " TiB", " PiB"];
/// Below so many of a unit the one before it is used; the last is for all others.
const SECONDS: [(f64, f64, &str); 6] = [
    (1e-6, 1e-9, " ns"),
    (1e-3, 1e-6, " µs"),
    (1.0, 1e-3, " ms"),
    (120.0, 1.0, " s"),
    (7200.0, 60.0, " min"),
    (172_800.0, 3600.0, " h"),
];
const DAY: f64 = 86_400.0;
const PIB: f64 = (1u64 << 50) as f64;

/// A power of 1,000, by name or as `e-6`, and then `unit`.
fn exponent(magnitude: f64, unit: &str) -> Scale {
    // Powers below this one are not floats of full precision.
    let power = ((magnitude.log10() / 3.0).floor() as i32).max(-102) * 3;
    let name = usize::try_from(power / 3 - 1).ok().and_then(|at| THOUSANDS.get(at));
    let suffix = match name {
        Some(name) if unit.is_empty() => (*name).to_owned(),
        _ => format!("e{power}{unit}"),
    };
    Scale { factor: format!("1e{power}").parse().unwrap_or(1.0), suffix }
}

impl Unit {
    /// The unit that Prometheus's naming convention puts at the end of a metric's name.
    pub(crate) fn of_metric(name: &str) -> Self {
        let base = ["_total", "_sum", "_bucket", "_max", "_min"];
        let name = base.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        if name.ends_with("_bytes") {
            Self::Bytes
        } else if name.ends_with("_seconds") {
            Self::Seconds
        } else {
            Self::None
        }
    }

    /// How numbers up to `magnitude`, finite and not negative, are written.
    pub(crate) fn scale(self, magnitude: f64) -> Scale {
        let scale = |factor: f64, suffix: &str| Scale { factor, suffix: suffix.to_owned() };
        match self {
            Self::None if magnitude == 0.0 || (1e-3..1e4).contains(&magnitude) => scale(1.0, ""),
            Self::None => exponent(magnitude, ""),
            Self::Bytes if magnitude == 0.0 => scale(1.0, BYTES[0]),
            Self::Bytes if (1e-3..1e4 * PIB).contains(&magnitude) => {
                let power = (magnitude.log2() / 10.0).floor().clamp(0.0, 5.0);
                scale(1024f64.powf(power), BYTES[power as usize])
            }
            Self::Bytes => exponent(magnitude, BYTES[0]),
            Self::Seconds if magnitude == 0.0 => scale(1.0, " s"),
            Self::Seconds if (1e-12..1e4 * DAY).contains(&magnitude) => {
                let found = SECONDS.iter().find(|(below, ..)| magnitude < *below);
                found.map_or(scale(DAY, " d"), |(_, factor, suffix)| scale(*factor, suffix))
            }
            Self::Seconds => exponent(magnitude, " s"),
        }
    }

    /// A number in at most four digits, or five before the point.
    pub(crate) fn human(self, value: f64) -> String {
        if value.is_nan() {
            return "NaN".to_owned();
        }
        if value.is_infinite() {
            return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
        }
        let scale = self.scale(value.abs());
        let number = value / scale.factor;
        let digits = if number == 0.0 { 0 } else { number.abs().log10().floor() as i32 };
        let decimals = usize::try_from(3 - digits).unwrap_or(0);
        let text = format!("{number:.decimals$}");
        let text = if text.contains('.') {
            text.trim_end_matches('0').trim_end_matches('.')
        } else {
            &text
        };
        format!("{text}{}", scale.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        for (unit, value, text) in [
            (Unit::None, 0.0, "0"),
            (Unit::None, 1234.0, "1234"),
            (Unit::None, 12_345.0, "12.35k"),
            (Unit::None, 0.25, "0.25"),
            (Unit::None, -0.001_234_5, "-0.001234"),
            (Unit::None, 0.000_25, "250e-6"),
            (Unit::None, 7e9, "7G"),
            (Unit::None, f64::MAX, "179.8e306"),
            (Unit::None, 5e-324, "0.000000000000000004941e-306"),
            (Unit::None, f64::NAN, "NaN"),
            (Unit::None, f64::NEG_INFINITY, "-Inf"),
            (Unit::Bytes, 0.0, "0 B"),
            (Unit::Bytes, 1023.0, "1023 B"),
            (Unit::Bytes, 1536.0, "1.5 KiB"),
            (Unit::Bytes, -3.0 * 1024f64.powi(3), "-3 GiB"),
            (Unit::Bytes, 1e30, "1e30 B"),
            (Unit::Seconds, 0.0, "0 s"),
            (Unit::Seconds, 2.5e-8, "25 ns"),
            (Unit::Seconds, 0.25, "250 ms"),
            (Unit::Seconds, 90.0, "90 s"),
            (Unit::Seconds, 5400.0, "90 min"),
            (Unit::Seconds, 259_200.0, "3 d"),
            (Unit::Seconds, 1e300, "1e300 s"),
        ] {
            assert_eq!(unit.human(value), text, "{unit:?} {value}");
        }
    }

    #[test]
    fn names_of_metrics_tell_the_unit() {
        for (name, unit) in [
            ("node_memory_free_bytes", Unit::Bytes),
            ("http_request_duration_seconds_bucket", Unit::Seconds),
            ("process_cpu_seconds_total", Unit::Seconds),
            ("up", Unit::None),
            ("megabytes", Unit::None),
        ] {
            assert_eq!(Unit::of_metric(name), unit, "{name}");
        }
    }
}
