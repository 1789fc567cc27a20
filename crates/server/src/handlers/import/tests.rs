//! Steps of imports: what one does, and what is held between two.

use std::io::Read;

use hyper::header::HeaderMap;
use siltstone::{Db, Options};

use super::*;
use crate::ingest::IngestLimits;

/// An import of `body` in `coding`, all of which has arrived.
fn arrived(db: &Db, coding: &str, body: Vec<u8>) -> Import {
    let mut headers = HeaderMap::new();
    headers.insert(hyper::header::CONTENT_ENCODING, coding.parse().unwrap());
    let limits = IngestLimits { line_bytes_max: 10 << 20, batch_rows: 50_000 };
    Import {
        expand: Expand::of(&headers).unwrap(),
        ingest: Ingest::new(db, Format::JsonLines, limits),
        collected: VecDeque::from([Bytes::from(body)]),
        at_end: true,
        counted: (0, 0),
    }
}

/// How many steps it takes, and the most that is held between two.
fn steps(import: &mut Import) -> (usize, usize) {
    let (mut steps, mut held_max) = (1, 0);
    while let Come::Far = import.work().unwrap() {
        steps += 1;
        held_max = held_max.max(import.bytes());
    }
    (steps, held_max)
}

#[test]
fn a_step_is_short_however_well_a_body_was_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store"), Options::default()).unwrap();
    let text_bytes: usize = 16 << 20;
    let line = br#"{"metric":{"a":"b"},"values":[1],"timestamps":[1]}"#;
    for (byte, lines) in [(b' ', 1), (b'\n', text_bytes as u64 + 1)] {
        let text =
            || std::io::repeat(byte).take(text_bytes as u64).chain(&b"\n"[..]).chain(&line[..]);
        let zstd = zstd::encode_all(text(), 1).unwrap();
        let mut gzip = Vec::new();
        let level = flate2::Compression::default();
        flate2::read::GzEncoder::new(text(), level).read_to_end(&mut gzip).unwrap();
        for (coding, body) in [("zstd", zstd), ("gzip", gzip)] {
            let mut import = arrived(&db, coding, body);
            let (steps, held_max) = steps(&mut import);
            assert!(steps >= text_bytes / (2 * STEP_WORK), "{coding}: {steps} steps");
            // A line that is too long is not held; one that may become whole is, and the window of the coding.
            assert!(held_max <= 24 << 20, "{coding}: {held_max} bytes");
            let report = import.ingest.report();
            assert_eq!((report.lines > lines, report.samples), (true, 1), "{coding}");
        }
    }
}

#[test]
fn text_that_is_not_compressed_needs_no_more_steps_than_it_has_pieces() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store"), Options::default()).unwrap();
    let mut import = arrived(&db, "identity", vec![b'\n'; STEP_BYTES]);
    assert_eq!(steps(&mut import), (1, 0));
}

#[test]
fn memory_in_which_lines_were_read_counts_between_steps() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path().join("store"), Options::default()).unwrap();
    let samples = 100_000;
    let list = vec!["1"; samples].join(",");
    // The values are not as many as the times: nothing of the line waits to be written.
    let line = format!("{{\"metric\":{{}},\"values\":[{list},1],\"timestamps\":[{list}]}}\n");
    let mut import = arrived(&db, "identity", line.into_bytes());
    import.at_end = false;
    let (_, held_max) = steps(&mut import);
    assert_eq!((import.ingest.report().refused.count(), held_max), (1, 0));
    assert!(import.bytes() >= 16 * samples, "{}", import.bytes());
}
