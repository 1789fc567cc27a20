//! Text lines as senders write them, and as they should not.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

fn parse(line: &str) -> Result<Option<TextSample<'_>>, String> {
    parse_line(line.as_bytes(), 7, Dialect::Prometheus).map_err(|e| e.to_string())
}

/// Labels joined by `|`, the bits of the value, the timestamp.
fn shown(line: &str) -> (String, u64, Option<i64>) {
    let sample = parse(line).unwrap().expect("a sample");
    let labels: Vec<_> = sample.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
    (labels.join("|"), sample.value.to_bits(), sample.timestamp_ms)
}

#[test]
fn samples_in_every_shape() {
    for (line, labels, value, timestamp) in [
        ("up 1", "__name__=up", 1.0, None),
        ("up 1\r\n", "__name__=up", 1.0, None),
        ("a:b_9{} -0.5 -12\n", "__name__=a:b_9", -0.5, Some(-12)),
        ("\t up { a = \"b\" , c=\"d\" , } 1e3\t5  ", "__name__=up|a=b|c=d", 1e3, Some(5)),
        (
            "up{a=\"\"} 9223372036854775807 9223372036854775807",
            "__name__=up|a=",
            2f64.powi(63),
            Some(i64::MAX),
        ),
        (r#"{"my.name","lab.el"="v"} 1"#, "__name__=my.name|lab.el=v", 1.0, None),
        (r#"{a="b","my.name"} 1"#, "__name__=my.name|a=b", 1.0, None),
        (r#"{__name__="x",a="b"}1"#, "__name__=x|a=b", 1.0, None),
        (r#"up{p="C:\\x\"\n\d"} -Inf"#, "__name__=up|p=C:\\x\"\n\\d", f64::NEG_INFINITY, None),
        ("up +Inf -9223372036854775808", "__name__=up", f64::INFINITY, Some(i64::MIN)),
        ("b_bucket{le=\"1\"} 3 # {trace_id=\"x\"} 0.7 1.5", "__name__=b_bucket|le=1", 3.0, None),
        ("b 3 4 # {trace_id=\"x\"} 0.7", "__name__=b", 3.0, Some(4)),
        ("up -0", "__name__=up", -0.0, None),
        ("NaN NaN", "__name__=NaN", f64::from_bits(number::NAN_BITS), None),
    ] {
        assert_eq!(shown(line), (labels.to_string(), value.to_bits(), timestamp), "{line}");
    }
}

#[test]
fn lines_without_samples() {
    for line in ["", "\n", " \t\r\n", "# HELP up بالا", "#", "# TYPE up gauge", "# EOF", "  # EOF\n"]
    {
        assert_eq!(parse(line), Ok(None), "{line:?}");
    }
}

#[test]
fn errors_name_line_column_and_reason() {
    for (line, message) in [
        ("up", "line 7, column 3: the value is missing"),
        ("up 1 2 3", "line 7, column 8: expected the end of the line"),
        ("up x", "line 7, column 4: the value: not a number"),
        ("up 1e999", "line 7, column 4: the value: the number is too large for a 64-bit float"),
        ("up 1 1.5", "line 7, column 6: the timestamp is not a 64-bit integer of milliseconds"),
        (
            "up 1 9223372036854775808",
            "line 7, column 6: the timestamp is not a 64-bit integer of milliseconds",
        ),
        ("9up 1", "line 7, column 1: expected the name of a metric or '{'"),
        ("up{a} 1", "line 7, column 5: expected '=' after the name of the label"),
        ("up{a=b} 1", "line 7, column 6: expected '\"' before the value of the label"),
        ("up{a=\"b} 1", "line 7, column 6: the quote is not closed"),
        ("up{a=\"b\\", "line 7, column 6: the quote is not closed"),
        ("up{a=\"b\" c=\"d\"} 1", "line 7, column 10: expected ',' or '}' after a label"),
        ("up{,} 1", "line 7, column 4: expected the name of a label, '\"' or '}'"),
        ("up{a:b=\"c\"} 1", "line 7, column 5: expected '=' after the name of the label"),
        ("up{a=\"b\"", "line 7, column 9: expected ',' or '}' after a label"),
        ("{a=\"b\"} 1", "line 7, column 1: the metric has no name"),
        ("{} 1", "line 7, column 1: the metric has no name"),
        (
            "up{\"down\"} 1",
            "line 7, column 4: the metric has a second name; a label needs '=' and a value",
        ),
        ("دما 1", "line 7, column 1: expected the name of a metric or '{'"),
    ] {
        assert_eq!(parse(line), Err(message.to_string()), "{line}");
    }
    assert!(parse("my.name 1").unwrap_err().starts_with("line 7, column 3: a character that"));
    let error = parse_line(b"up{a=\"\xc0\x80\"} 1", 1, Dialect::Prometheus).unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 7: the text is not valid UTF-8");
}

#[test]
fn the_length_of_a_line_is_the_callers_business() {
    let line = "up 1".to_owned() + &" ".repeat(2 << 20);
    assert!(parse(&line).unwrap().is_some());
}

#[test]
fn comments_need_no_encoding() {
    for line in [&b"# HELP t temp\xe9rature"[..], b" \t#\xff", b"# EOF"] {
        assert_eq!(parse_line(line, 1, Dialect::Prometheus), Ok(None));
    }
    assert!(parse_line(b"up 1 # \xff", 1, Dialect::Prometheus).is_err());
}

#[test]
fn open_metrics_counts_seconds() {
    let ms = |line: &str| {
        let sample = parse_line(line.as_bytes(), 1, Dialect::OpenMetrics);
        sample.map(|s| s.unwrap().timestamp_ms.unwrap()).map_err(|e| e.column)
    };
    assert_eq!(ms("a 1 1700000000"), Ok(1_700_000_000_000));
    assert_eq!(ms("a 1 1700000000.123"), Ok(1_700_000_000_123));
    assert_eq!(ms("a 1 -1.0015"), Ok(-1002), "rounded to the nearest, not cut");
    assert_eq!(ms("a 1 1.7e9"), Ok(1_700_000_000_000));
    for bad in ["a 1 9223372036854775807", "a 1 1e16", "a 1 NaN", "a 1 +Inf", "a 1 x"] {
        assert_eq!(ms(bad), Err(5), "{bad}");
    }
}

#[test]
fn every_script_passes_byte_for_byte_and_unescaped_text_is_borrowed() {
    let line = "{\"دما\",\"город\"=\"Йошкар-Ола\",\"قِيمَة\"=\"می\u{200c}خواهم\"} 1";
    let sample = parse(line).unwrap().unwrap();
    let expected = [("__name__", "دما"), ("город", "Йошкар-Ола"), ("قِيمَة", "می\u{200c}خواهم")];
    for ((name, value), (expected_name, expected_value)) in sample.labels.iter().zip(expected) {
        assert_eq!(
            (name.as_bytes(), value.as_bytes()),
            (expected_name.as_bytes(), expected_value.as_bytes())
        );
        assert!(matches!((name, value), (Cow::Borrowed(_), Cow::Borrowed(_))));
    }
    assert_eq!(sample.labels.len(), 3);
}

#[test]
fn truncations_and_flips_never_panic() {
    let line = "{\"دما\", \"a.b\"=\"می\\n\u{200c}\\\\خواهم\", c=\"d\"} -1.5e-3 1700000000000 # {a=\"b\"} 1".as_bytes();
    for end in 0..=line.len() {
        let _ = parse_line(&line[..end], 1, Dialect::Prometheus);
    }
    for bit in 0..line.len() * 8 {
        let mut flipped = line.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = parse_line(&flipped, 1, Dialect::OpenMetrics);
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        name: String,
        labels in proptest::collection::vec(any::<(String, String)>(), 0..5),
        bits: u64,
        timestamp: Option<i64>,
    ) {
        let value = f64::from_bits(bits);
        prop_assume!(!value.is_nan() && labels.iter().all(|(n, _)| n != METRIC_NAME));
        let mut line = format!("{{\"{}\"", escaped(&name));
        for (name, value) in &labels {
            write!(line, ",\"{}\"=\"{}\"", escaped(name), escaped(value)).unwrap();
        }
        line += "} ";
        let mut line = line.into_bytes();
        number::write(value, &mut line);
        if let Some(timestamp) = timestamp {
            line.extend(format!(" {timestamp}").bytes());
        }
        let sample = parse_line(&line, 1, Dialect::Prometheus).unwrap().unwrap();
        prop_assert_eq!(&sample.labels[0], &(METRIC_NAME.into(), name.into()));
        let rest: Vec<(String, String)> =
            sample.labels[1..].iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        prop_assert_eq!(rest, labels);
        prop_assert_eq!((sample.value.to_bits(), sample.timestamp_ms), (bits, timestamp));
    }

    #[test]
    fn random_text_never_panics(text in "[a{}\"=,\\\\ #0-9.\u{645}-]{0,40}", bytes: Vec<u8>) {
        let _ = parse(&text);
        let _ = parse_line(&bytes, 1, Dialect::OpenMetrics);
    }
}
