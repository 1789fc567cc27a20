//! Requests that are wrong as they stand, and would be each time.

use std::io::Write;

use siltstone_rig::bad_requests::{http2_resets, lengths_that_disagree};
use siltstone_rig::store::WRITE_PATH;

use super::beside::{Besieged, CLOSED, DECODING, START_MS, connect, exchange};
use super::messages::{HEADERS, snappy, write_request};
use super::requests::{get, post};

#[test]
fn bytes_that_are_no_message() {
    let besieged = Besieged::start(&[]);
    // Groups within groups; a length beyond the end; a varint without one; a label that is no UTF-8.
    let groups = b"\x0b".repeat(100_000);
    let bodies: [&[u8]; 4] =
        [&groups, b"\x0a\x7f", &[0xff; 64], b"\x0a\x08\x0a\x06\x0a\x01a\x12\x01\xff"];
    let mut requests: Vec<Vec<u8>> =
        bodies.iter().map(|body| post(WRITE_PATH, HEADERS, &snappy(body))).collect();
    requests.push(post(WRITE_PATH, HEADERS, b"not snappy"));
    requests.push(post(WRITE_PATH, HEADERS, b"\x05\x10abcde"));
    requests.push(post("/api/v1/read", &HEADERS[..2], b"not snappy"));
    requests.push(post("/api/v1/import", &[("Content-Encoding", "gzip")], b"no gzip"));
    requests.push(post("/api/v1/import", &[], b"\xff\xfe\n"));
    besieged.answers(DECODING, &requests, &[400]);
}

#[test]
fn types_and_codings_that_are_not_read() {
    let besieged = Besieged::start(&[]);
    let body = snappy(&write_request(&[(&[("__name__", "x")], &[(START_MS, 1.0)])]));
    let typed = |coding: &str, kind: &str| {
        let headers = [("Content-Encoding", coding), ("Content-Type", kind)];
        post(WRITE_PATH, &headers, &body)
    };
    let requests = [
        typed("snappy", "text/plain"),
        typed("br", "application/x-protobuf"),
        typed("snappy", "application/x-protobuf;proto=io.prometheus.write.v2.Request"),
        post("/api/v1/import", &[("Content-Encoding", "br")], b"{}"),
    ];
    besieged.answers(DECODING, &requests, &[415]);
}

#[test]
fn paths_that_lead_elsewhere() {
    let besieged = Besieged::start(&[]);
    let requests = [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/../../metrics",
        "/api/v1/label/..%2f..%2fetc/other",
        "/x%00y",
        "//etc/passwd",
    ];
    besieged.answers(0, &requests.map(get), &[400, 404]);
}

#[test]
fn requests_that_end_in_two_places() {
    let besieged = Besieged::start(&[]);
    let inner = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let length = inner.len() + 5;
    let requests = lengths_that_disagree(length).map(|headers| {
        format!(
            "POST /api/v1/import HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n\r\n0\r\n\r\n{inner}"
        )
        .into_bytes()
    });
    for request in &requests {
        let (_, text) = exchange(besieged.address(), request);
        // The text of an answer may name the protocol, too.
        assert_eq!(text.matches("HTTP/1.1 400").count(), 1, "{text}");
        assert_eq!(text.matches("HTTP/1.1 200").count(), 0, "{text}");
    }
    besieged.answers(0, &requests, &[400]);
}

#[test]
fn streams_of_http_2() {
    let besieged = Besieged::start(&[]);
    besieged.answers(0, &[http2_resets()], &[400, CLOSED]);
}

#[test]
fn many_requests_before_the_first_answer_is_read() {
    let besieged = Besieged::start(&[]);
    let one = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let requests = [one.repeat(1000).as_bytes(), &get("/-/healthy")].concat();
    besieged.holds(0, &[200], || {
        let mut stream = connect(besieged.address());
        stream.write_all(&requests).unwrap();
        let (status, text) = super::beside::answer(&mut stream);
        assert_eq!(text.matches("HTTP/1.1 200").count(), 1001);
        vec![status]
    });
}

#[test]
fn an_admin_api_that_is_not_open() {
    let besieged = Besieged::start(&[]);
    let calls = ["delete_series?match[]=healthy", "flush", "compact", "snapshot"];
    let requests = calls.map(|call| post(&format!("/api/v1/admin/tsdb/{call}"), &[], b""));
    besieged.answers(0, &requests, &[403]);
}
