//! Compressed answers.

use std::fmt::Write;
use std::io::Read;

use siltstone::{Options, TimeRange};
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::{Answer, connect, head, request};
use siltstone_server_testing::harness::{Server, server};

fn ask(server: &Server, path: &str, accept: &str) -> Answer {
    request(server.address, "GET", path, &[("Accept-Encoding", accept)], b"")
}

pub(crate) fn decoded(answer: &Answer) -> Vec<u8> {
    let mut out = Vec::new();
    match answer.header("content-encoding") {
        Some("gzip") => {
            flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut out).unwrap();
        }
        Some("zstd") => out = zstd::decode_all(&answer.body[..]).unwrap(),
        None => out.clone_from(&answer.body),
        Some(other) => panic!("{other}"),
    }
    out
}

fn all(answer: &Answer, name: &str) -> Vec<String> {
    let named = answer.headers.iter().filter(|(n, _)| n == name);
    named.map(|(_, value)| value.clone()).collect()
}

/// A store of so many series with ten samples each.
fn filled(series: usize) -> Server {
    let server = server();
    let mut text = String::new();
    let now = server.db.options().clock.wall_ms() - 10_000;
    for i in 0..series {
        for k in 0..10 {
            writeln!(text, "m{{host=\"host-{i:06}\"}} {} {}", i * k, now + k as i64).unwrap();
        }
    }
    assert_eq!(server.post("/api/v1/import/prometheus", &[], text.as_bytes()).status, 204);
    server
}

#[test]
fn every_reading_route_compresses_what_is_long() {
    let server = filled(3000);
    for path in [
        "/api/v1/series?match[]=m",
        "/api/v1/label/host/values",
        "/api/v1/export?match[]=m",
        "/federate?match[]=m",
        "/api/v1/status/flags",
        "/prometheus/api/v1/series?match[]=m",
    ] {
        let plain = ask(&server, path, "identity");
        assert_eq!((plain.status, plain.header("content-encoding")), (200, None), "{path}");
        assert!(all(&plain, "vary").contains(&"Accept-Encoding".to_owned()), "{path}");
        for coding in ["gzip", "zstd"] {
            let answer = ask(&server, path, coding);
            assert_eq!(answer.header("content-encoding"), Some(coding), "{path}");
            assert_eq!(answer.header("content-type"), plain.header("content-type"));
            assert!(all(&answer, "vary").contains(&"Accept-Encoding".to_owned()), "{path}");
            assert!(answer.body.len() < plain.body.len() * 2 / 3, "{path}: {}", answer.body.len());
            assert!(decoded(&answer) == plain.body, "{path} as {coding}");
        }
    }
    let refused = ask(&server, "/api/v1/series?match[]=m", "gzip;q=0");
    assert_eq!(refused.header("content-encoding"), None);
}

#[test]
fn short_answers_and_others_are_left_alone() {
    let server = filled(1);
    for path in ["/api/v1/labels", "/api/v1/label/host/values", "/api/v1/nothing", "/metrics"] {
        let answer = ask(&server, path, "gzip, zstd");
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
    assert!(ask(&server, "/metrics", "gzip").header("vary").is_none());
}

#[test]
fn errors_keep_their_status() {
    let server = server();
    let long = format!("/api/v1/series?match[]=%7B{}", "x".repeat(2000));
    let answer = ask(&server, &long, "gzip");
    assert_eq!(answer.status, 400);
    let text = String::from_utf8(decoded(&answer)).unwrap();
    assert!(text.starts_with("{\"status\":\"error\",\"errorType\":\"bad_data\""), "{text}");
}

/// An answer of several pieces that breaks off must not pass for a whole one.
#[test]
fn a_compressed_answer_that_is_cut_off_has_no_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let db = siltstone::Db::open(&path, Options::default()).unwrap();
    let mut batch = siltstone::WriteBatch::new();
    let mut noise = 7u64;
    for i in 0..40 {
        let labels = [("__name__", "m"), ("host", &format!("{i:02}"))];
        let labels = siltstone::Labels::from_pairs(labels).unwrap();
        let series = db.series(&labels).unwrap();
        for time in 0..8000 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            batch.push(series, time, f64::from_bits(noise >> 12 | 0x3ff0 << 48)).unwrap();
        }
    }
    db.write(&batch).unwrap();
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    db.close().unwrap();
    damage_the_middle(&path);
    let server = Server::over(&path, Options::default(), ServerConfig::default());
    for coding in ["identity", "gzip", "zstd"] {
        let mut stream = connect(server.address);
        let head = head("GET", "/api/v1/export?match[]=m", &[("Accept-Encoding", coding)], 0);
        std::io::Write::write_all(&mut stream, &head).unwrap();
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.starts_with("HTTP/1.1 200"), "{coding}: begun before the damage: {text:.200}");
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{coding}: the end passes for a whole answer");
    }
}

/// Flips a byte in the middle of the largest file.
#[expect(clippy::disallowed_methods, reason = "damages a store that is closed")]
fn damage_the_middle(store: &std::path::Path) {
    let files = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let largest = files.max_by_key(|path| path.metadata().unwrap().len()).unwrap();
    let mut bytes = std::fs::read(&largest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    std::fs::write(&largest, bytes).unwrap();
}
