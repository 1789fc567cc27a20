//! JSON lines: round trips of every value, and malformed lines.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

type OwnedSeries = (Vec<(String, String)>, Vec<i64>, Vec<u64>);

fn parse(line: &[u8]) -> Result<OwnedSeries, String> {
    let mut reader = JsonLineReader::new();
    let series = reader.parse_line(line, 7).map_err(|e| e.to_string())?.expect("not blank");
    let labels = series.labels().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    let bits = series.values().iter().map(|v| v.to_bits()).collect();
    Ok((labels, series.timestamps().to_vec(), bits))
}

fn values(list: &str) -> Result<Vec<u64>, String> {
    let count = list.split(',').count();
    let timestamps = vec!["1"; count].join(",");
    let line = format!(r#"{{"metric":{{}},"values":[{list}],"timestamps":[{timestamps}]}}"#);
    parse(line.as_bytes()).map(|series| series.2)
}

#[test]
fn the_form_is_that_of_the_recordings() {
    let mut out = Vec::new();
    let nan = f64::from_bits(0x7ff0_0000_0000_0002);
    let labels = [("__name__", "دما"), ("a", "\"\\\n\u{1}می\u{200c}خواهم")];
    write_line(labels, &[-5, i64::MAX], &[-0.0, nan], &mut out);
    let expected = "{\"metric\":{\"__name__\":\"دما\",\"a\":\"\\\"\\\\\\n\\u0001می\u{200c}خواهم\"},\
        \"values\":[\"-0\",\"NaN:7ff0000000000002\"],\"timestamps\":[-5,9223372036854775807]}\n";
    assert_eq!(String::from_utf8(out).unwrap(), expected);
}

#[test]
fn values_are_strings_numbers_or_null() {
    let bits =
        values(r#""1.5",1.5,-0,"-0",1e3,null,"NaN","NaN:7ff0000000000002","+Inf","-Infinity""#);
    let inf = f64::INFINITY.to_bits();
    let expected = [
        1.5f64.to_bits(),
        1.5f64.to_bits(),
        1 << 63,
        1 << 63,
        1000f64.to_bits(),
        0x7ff8_0000_0000_0000,
        0x7ff8_0000_0000_0000,
        0x7ff0_0000_0000_0002,
        inf,
        inf | 1 << 63,
    ];
    assert_eq!(bits.unwrap(), expected);
    assert_eq!(values(r#""\u0031.5""#).unwrap(), [1.5f64.to_bits()]);
    assert_eq!(values("9007199254740993").unwrap(), [9007199254740992f64.to_bits()]);
}

#[test]
fn keys_come_in_any_order_and_unknown_ones_are_skipped() {
    let line = br#" { "x":[{"y":[]},{},true,"\""] , "timestamps":[ 1 , 2 ],"values":["1","2"],
        "metric":{ "a":"b" } } "#;
    let expected =
        (vec![("a".into(), "b".into())], vec![1, 2], vec![1f64.to_bits(), 2f64.to_bits()]);
    assert_eq!(parse(line), Ok(expected));
    for blank in ["", " \t", "\r\n"] {
        assert!(JsonLineReader::new().parse_line(blank.as_bytes(), 1).unwrap().is_none());
    }
}

#[test]
fn errors_name_line_column_and_reason() {
    for (line, message) in [
        ("x", "line 7, column 1: expected '{'"),
        ("{", "line 7, column 2: expected '\"'"),
        ("{}", "line 7, column 1: the key \"metric\" is missing"),
        (r#"{"metric":{},"values":[]}"#, "line 7, column 1: the key \"timestamps\" is missing"),
        (r#"{"metric":{},"metric":{}}"#, "line 7, column 14: the key \"metric\" occurs twice"),
        (
            r#"{"metric":{},"values":[1,2],"timestamps":[1]}"#,
            "line 7, column 1: 2 values, but 1 timestamps",
        ),
        (
            r#"{"metric":{},"values":[],"timestamps":[]}"#,
            "line 7, column 1: the series has no samples",
        ),
        (r#"{"metric":{"دما":1}}"#, "line 7, column 18: expected '\"'"),
        (r#"{"metric":[]}"#, "line 7, column 11: expected the labels, an object"),
        (r#"{"metric":{"a":"b",}}"#, "line 7, column 20: expected '\"'"),
        (r#"{"values":[1,]}"#, "line 7, column 14: expected a number"),
        (r#"{"values":[1 2]}"#, "line 7, column 14: expected ',' or ']'"),
        (r#"{"values":[1,"x"]}"#, "line 7, column 14: value 2: not a number"),
        (
            r#"{"values":[1e999]}"#,
            "line 7, column 12: value 1: the number is too large for a 64-bit float",
        ),
        (r#"{"values":[+1]}"#, "line 7, column 12: expected a number"),
        (r#"{"values":[NaN]}"#, "line 7, column 12: expected a number"),
        (r#"{"values":[nul]}"#, "line 7, column 12: expected a number"),
        (r#"{"timestamps":["1"]}"#, "line 7, column 16: expected a number"),
        (r#"{"timestamps":[1.5]}"#, "line 7, column 16: expected a 64-bit integer"),
        (
            r#"{"metric":{},"values":[1],"timestamps":[1]}}"#,
            "line 7, column 44: expected the end of the line",
        ),
    ] {
        assert_eq!(parse(line.as_bytes()), Err(message.to_string()), "{line}");
    }
    let error = parse(b"{\"metric\":{\"a\":\"\xff\"}}").unwrap_err();
    assert_eq!(error, "line 7, column 17: the text is not valid UTF-8");
    assert!(
        values(r#""NaN:7ff0000000000000""#).unwrap_err().contains("hexadecimal digits of a NaN")
    );
}

#[test]
fn the_length_of_a_line_is_the_callers_business() {
    let mut line = br#"{"metric":{},"values":[1],"timestamps":[1]}"#.to_vec();
    line.resize(17 << 20, b' ');
    assert!(parse(&line).is_ok());
}

#[test]
fn the_reader_forgets_the_line_before() {
    let mut reader = JsonLineReader::new();
    let good = br#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]}"#;
    for other in
        [&b"{\"metric\":{\"c\":\"d\"},\"values\":[1,2,3],\"timestamps\":[4,5]}"[..], b"{", b""]
    {
        let _ = reader.parse_line(other, 1);
        let series = reader.parse_line(good, 2).unwrap().unwrap();
        assert_eq!(series.labels().collect::<Vec<_>>(), [("a", "b")]);
        assert_eq!((series.values().len(), series.timestamps()), (1, &[1][..]));
    }
}

#[test]
fn truncations_and_flips_never_panic_and_stay_small() {
    let line = r#"{"metric":{"__name__":"دما","a\u0041\ud83d\ude00":"می‌خواهم"},"x":{"y":[1,null]},
        "values":["1.5","NaN:7ff0000000000002",-2e3,null],"timestamps":[1700000000000,-1,0,5]}"#;
    let line = line.as_bytes();
    assert!(parse(line).is_ok());
    let mut reader = JsonLineReader::new();
    for end in 0..line.len() {
        assert!(!matches!(reader.parse_line(&line[..end], 1), Ok(Some(_))), "{end}");
    }
    for bit in 0..line.len() * 8 {
        let mut flipped = line.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let _ = reader.parse_line(&flipped, 1);
    }
    assert!(reader.text.capacity() + reader.scratch.capacity() <= 4 * line.len());
    assert!(reader.values.capacity() + reader.timestamps.capacity() <= line.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back(
        labels in vec(any::<(String, String)>(), 0..5),
        samples in vec(any::<(i64, u64)>(), 1..20),
    ) {
        let (timestamps, bits): (Vec<i64>, Vec<u64>) = samples.into_iter().unzip();
        let values: Vec<f64> = bits.iter().map(|&b| f64::from_bits(b)).collect();
        let mut out = Vec::new();
        write_line(labels.iter().map(|(n, v)| (&n[..], &v[..])), &timestamps, &values, &mut out);
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&out).is_ok());
        prop_assert_eq!(parse(&out), Ok((labels, timestamps, bits)));
    }

    #[test]
    fn random_text_never_panics(text in "[{}\\[\\]:,\"metricvalus0-9 .-]{0,60}", bytes: Vec<u8>) {
        let mut reader = JsonLineReader::new();
        let _ = reader.parse_line(text.as_bytes(), 1);
        let _ = reader.parse_line(&bytes, 1);
    }
}

#[test]
fn a_line_has_a_bounded_number_of_samples() {
    let line = |samples: usize| {
        let list = vec!["1"; samples].join(",");
        format!(r#"{{"metric":{{"a":"b"}},"timestamps":[{list}],"values":[{list}]}}"#)
    };
    let mut reader = JsonLineReader::new();
    let most = line(LINE_SAMPLES_MAX);
    let series = reader.parse_line(most.as_bytes(), 1).unwrap().unwrap();
    assert_eq!(series.values().len(), LINE_SAMPLES_MAX);
    let held = reader.bytes();
    assert!(held >= 16 * LINE_SAMPLES_MAX, "{held} bytes are kept for the next line");
    let error = reader.parse_line(line(5 * LINE_SAMPLES_MAX).as_bytes(), 2).unwrap_err();
    assert!(error.to_string().ends_with("more than 1000000 samples in a line"), "{error}");
    let values = format!(r#"{{"values":[{}"#, "1,".repeat(5 * LINE_SAMPLES_MAX));
    assert!(reader.parse_line(values.as_bytes(), 3).is_err());
    assert_eq!(reader.bytes(), held, "what is refused takes no more");
}
