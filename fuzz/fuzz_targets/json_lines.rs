//! JSON lines: what is read must be written and read back bit for bit, by the same reader.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone_server::protocol::json_lines::{JsonLineReader, JsonSeries, write_line};

fuzz_target!(|data: &[u8]| {
    let mut reader = JsonLineReader::new();
    for (i, line) in data.split(|b| *b == b'\n').enumerate() {
        let Ok(Some(series)) = reader.parse_line(line, i as u64) else { continue };
        let before = parts(&series);
        let mut out = Vec::new();
        write_line(series.labels(), series.timestamps(), series.values(), &mut out);
        let again = reader.parse_line(&out, 1).expect("well-formed").expect("a series");
        assert_eq!(parts(&again), before);
    }
});

type Parts = (Vec<(String, String)>, Vec<i64>, Vec<u64>);

fn parts(series: &JsonSeries<'_>) -> Parts {
    (
        series.labels().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
        series.timestamps().to_vec(),
        series.values().iter().map(|v| v.to_bits()).collect(),
    )
}
