//! Reads what Siltstone exports: JSON lines, values as strings, exact for every bit pattern.
//!
//! Written apart from the server's own reader on purpose: the judge does not ask the accused how to
//! read. Strict: a value that is not a string, or a NaN without its bits, is an error, not a guess.

use std::collections::BTreeMap;
use std::io;

use serde::Deserialize;
use siltstone_peerbench::RigError;
use siltstone_peerbench::http::{HttpClient, query_value};

use crate::compare::{Sample, SeriesLabels, SeriesSet};

/// The bits of the NaN that is written as plain `NaN`.
const PLAIN_NAN: u64 = 0x7ff8_0000_0000_0000;

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
pub(crate) fn parse_line(line: &[u8]) -> Result<(SeriesLabels, Vec<Sample>), String> {
    let line: Line = serde_json::from_slice(line).map_err(|e| e.to_string())?;
    if line.values.len() != line.timestamps.len() {
        return Err(format!("{} values, {} times", line.values.len(), line.timestamps.len()));
    }
    let mut samples = Vec::with_capacity(line.values.len());
    for (value, timestamp) in line.values.iter().zip(line.timestamps) {
        samples.push((timestamp, parse_value(value)?));
    }
    Ok((SeriesLabels::new(line.metric), samples))
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

/// Calls `visit` with each line of an export of the series that `selector` matches.
///
/// # Errors
/// If the export does not come whole or a line cannot be read.
pub(crate) fn for_each_line(
    client: &mut HttpClient,
    selector: &str,
    mut visit: impl FnMut(SeriesLabels, Vec<Sample>),
) -> Result<(), RigError> {
    let target = format!("/api/v1/export?match[]={}", query_value(selector));
    let mut number = 0u64;
    let answer = client
        .get_lines(&target, &mut |line| {
            number += 1;
            let (labels, samples) = parse_line(line).map_err(|what| {
                let start = String::from_utf8_lossy(&line[..line.len().min(200)]).into_owned();
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number}: {what}: {start}"),
                )
            })?;
            visit(labels, samples);
            Ok(())
        })
        .map_err(RigError::io(format!("exporting {selector}")))?;
    answer.map_err(|response| RigError::failed(format!("exporting {selector}: {response}")))
}

/// Everything that `selector` matches.
///
/// # Errors
/// As [`for_each_line`].
pub(crate) fn read_all(client: &mut HttpClient, selector: &str) -> Result<SeriesSet, RigError> {
    let mut set = SeriesSet::default();
    for_each_line(client, selector, |labels, samples| set.add(labels, samples))?;
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_bit_for_bit() {
        let line = br#"{"metric":{"b":"\u0436","__name__":"m"},
            "values":["1.5","-0","NaN","NaN:7ff0000000000002","+Inf","-Inf","5e-324"],
            "timestamps":[-1,2,3,4,5,6,9223372036854775807]}"#;
        let (labels, samples) = parse_line(line).unwrap();
        assert_eq!(labels.to_string(), r#"{__name__="m",b="ж"}"#);
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
        let line = |text: &str| parse_line(text.as_bytes()).is_err();
        assert!(line(r#"{"metric":{"a":"b"},"values":[1.5],"timestamps":[1]}"#), "a number");
        assert!(line(r#"{"metric":{"a":"b"},"values":["1","2"],"timestamps":[1]}"#));
        assert!(line(r#"{"metric":{"a":"b"},"values":["1"]}"#));
        assert!(line("{"));
    }
}
