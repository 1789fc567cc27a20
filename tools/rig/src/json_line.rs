//! Reads a line as Siltstone exports it: values as strings, exact for every bit pattern.
//!
//! Written apart from the server's own reader on purpose: the judge does not ask the accused how to
//! read. Strict: a value that is not a string, or a NaN without its bits, is an error, not a guess.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The bits of the NaN that is written as plain `NaN`.
const PLAIN_NAN: u64 = 0x7ff8_0000_0000_0000;

/// A line: part of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLine {
    /// Sorted by name.
    pub labels: Vec<(String, String)>,
    /// Timestamps in milliseconds and the bits of values, as they stand.
    pub samples: Vec<(i64, u64)>,
}

#[derive(Debug, Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    values: Vec<String>,
    timestamps: Vec<i64>,
}

/// Reads a line.
///
/// # Errors
/// What is wrong with it.
pub fn parse(line: &[u8]) -> Result<JsonLine, String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if line.values.len() != line.timestamps.len() {
        return Err(format!("{} values, {} times", line.values.len(), line.timestamps.len()));
    }
    let mut samples = Vec::with_capacity(line.values.len());
    for (value, timestamp) in line.values.iter().zip(line.timestamps) {
        samples.push((timestamp, parse_value(value)?));
    }
    Ok(JsonLine { labels: line.metric.into_iter().collect(), samples })
}

/// The bits of a value as export writes it.
fn parse_value(text: &str) -> Result<u64, String> {
    let fault = || format!("{text:?} is not a value");
    match text {
        "NaN" => return Ok(PLAIN_NAN),
        "+Inf" => return Ok(f64::INFINITY.to_bits()),
        "-Inf" => return Ok(f64::NEG_INFINITY.to_bits()),
        _ => {}
    }
    if let Some(hex) = text.strip_prefix("NaN:") {
        let bits = u64::from_str_radix(hex, 16).map_err(|_| fault())?;
        let exact = hex.len() == 16 && f64::from_bits(bits).is_nan() && bits != PLAIN_NAN;
        return if exact { Ok(bits) } else { Err(fault()) };
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value.to_bits()),
        _ => Err(fault()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_bit_for_bit() {
        let line = br#"{"metric":{"b":"\u0436","__name__":"m"},
            "values":["1.5","-0","NaN","NaN:7ff0000000000002","+Inf","-Inf","5e-324"],
            "timestamps":[-1,2,3,4,5,6,9223372036854775807]}"#;
        let JsonLine { labels, samples } = parse(line).unwrap();
        assert_eq!(labels, [("__name__".into(), "m".into()), ("b".into(), "ж".into())]);
        let bits: Vec<u64> = samples.iter().map(|s| s.1).collect();
        assert_eq!(
            bits,
            [
                0x3ff8_0000_0000_0000,
                0x8000_0000_0000_0000,
                0x7ff8_0000_0000_0000,
                0x7ff0_0000_0000_0002,
                0x7ff0_0000_0000_0000,
                0xfff0_0000_0000_0000,
                1
            ]
        );
        assert_eq!((samples[0].0, samples[6].0), (-1, i64::MAX));
    }

    #[test]
    fn what_is_not_exact_is_refused() {
        for value in [
            "NaN:7ff8000000000000",
            "NaN:3ff0000000000000",
            "NaN:7ff",
            "NaN:",
            "nan",
            "inf",
            "1e999",
            "",
            "x",
        ] {
            assert!(parse_value(value).is_err(), "{value:?}");
        }
        let line = |text: &str| parse(text.as_bytes()).is_err();
        assert!(line(r#"{"metric":{"a":"b"},"values":[1.5],"timestamps":[1]}"#), "a number");
        assert!(line(r#"{"metric":{"a":"b"},"values":["1","2"],"timestamps":[1]}"#));
        assert!(line(r#"{"metric":{"a":"b"},"values":["1"]}"#));
        assert!(line("{"));
    }
}
