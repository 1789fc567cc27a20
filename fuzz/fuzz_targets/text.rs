//! Texts: exposition lines, numbers and selectors.

#![no_main]

use std::fmt::Write;

use libfuzzer_sys::fuzz_target;
use siltstone_server::protocol::exposition::{Dialect, TextSample, parse_line};
use siltstone_server::protocol::number;

fuzz_target!(|data: &[u8]| {
    for dialect in [Dialect::Prometheus, Dialect::OpenMetrics] {
        if let Ok(Some(sample)) = parse_line(data, 1, dialect) {
            let line = written(&sample);
            let again = parse_line(&line, 1, Dialect::Prometheus);
            let again = again.expect("well-formed").expect("a sample");
            assert_eq!(again.labels, sample.labels);
            assert_eq!(again.value.to_bits(), sample.value.to_bits());
            assert_eq!(again.timestamp_ms, sample.timestamp_ms);
        }
    }
    if let Ok(value) = number::parse_exact(data) {
        let mut text = Vec::new();
        number::write(value, &mut text);
        assert_eq!(number::parse_exact(&text).map(f64::to_bits), Ok(value.to_bits()));
    }
    if let Ok(text) = std::str::from_utf8(data) {
        match siltstone_promql::parse_selector(text) {
            Ok(matchers) => assert!(matchers.iter().any(|m| !m.matches(""))),
            Err(error) => assert!(text.get(error.span.range()).is_some()),
        }
    }
});

/// The sample as a line in which every name is quoted.
fn written(sample: &TextSample<'_>) -> Vec<u8> {
    let escaped = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut line = String::from("{");
    for (name, value) in &sample.labels {
        let _ = write!(line, "\"{}\"=\"{}\",", escaped(name), escaped(value));
    }
    line += "} ";
    let mut line = line.into_bytes();
    number::write(sample.value, &mut line);
    if let Some(timestamp) = sample.timestamp_ms {
        line.extend(format!(" {timestamp}").bytes());
    }
    line
}
