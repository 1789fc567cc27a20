//! `siltstone serve` over a segment that is truncated under it: it lives on, says so, and answers what does
//! not need the file.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use crate::harness::{Serving, import, names, place, run};

const ROWS: i64 = 20_000;

/// A series from `start` on whose values take pages.
fn noise(start: i64) -> String {
    let times: Vec<String> = (start..start + ROWS).map(|t| t.to_string()).collect();
    let mut values = String::new();
    for t in start..start + ROWS {
        let mixed = (t as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        write!(values, "\"{}\",", f64::from(mixed as u32) / 7.0).unwrap();
    }
    let values = values.trim_end_matches(',');
    let times = times.join(",");
    format!(
        "{{\"metric\":{{\"__name__\":\"m\"}},\"values\":[{values}],\"timestamps\":[{times}]}}\n"
    )
}

fn export(server: &Serving, start: i64, more: &str) -> String {
    let (start, end) = (start as f64 / 1000.0, (start + ROWS - 1) as f64 / 1000.0);
    server.get(&format!("/api/v1/export?match[]=m&start={start}&end={end}{more}"))
}

#[expect(clippy::disallowed_methods, reason = "damages a file from outside")]
fn cut(path: &Path, len: u64) {
    File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_server_lives_on_when_a_segment_is_truncated() {
    for len in [0, 5000, 70_001] {
        let (_dir, data) = place();
        for start in [0, ROWS] {
            import(&data, &noise(start));
        }
        let segments = names(&data).into_iter().filter(|name| name.ends_with(".seg"));
        let newest = segments.max().unwrap();
        let server = Serving::start(&data);
        let before = [0, ROWS].map(|start| export(&server, start, ""));
        for (answer, start) in before.iter().zip([0, ROWS]) {
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer:.300}");
            assert!(answer.contains(&format!("{}]", start + ROWS - 1)), "{start}");
        }
        cut(&Path::new(&data).join(&newest), len);
        for _ in 0..3 {
            let refused = export(&server, ROWS, "");
            assert!(refused.starts_with("HTTP/1.1 500"), "{refused:.300}");
            assert!(refused.contains(&newest) && refused.contains("has changed"), "{refused:.900}");
            assert!(export(&server, ROWS, "&skip_damaged=true").starts_with("HTTP/1.1 200"));
            // Bodies alone: heads have dates.
            let body = |answer: &str| answer.split_once("\r\n\r\n").unwrap().1.to_owned();
            assert!(body(&export(&server, 0, "")) == body(&before[0]), "the other segment answers");
        }
        let query = server.get("/api/v1/query?query=stddev_over_time(m[30s])&time=39.999");
        assert!(query.starts_with("HTTP/1.1 422") && query.contains(&newest), "{query:.900}");
        assert!(server.get("/-/healthy").starts_with("HTTP/1.1 200"));
        assert_eq!(run(&["verify", "--data", &data]).code, 1);
        assert_eq!(server.end("-TERM"), Some(0));
    }
}
