//! Bodies, headers, labels and series that are too large or too many.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use siltstone_rig::store::WRITE_PATH;
use siltstone_rig::wire::put_bytes;

use super::beside::{BODIES, Besieged, DECODING, START_MS, exchange};
use super::messages::{
    HEADERS, Series, put_label, put_sample, remote_write, snappy, write_request,
};
use super::requests::{get, post};

/// What bodies may become, each more than may be held decoded.
const BOMB_BYTES: usize = 40 << 20;

#[test]
fn a_body_that_becomes_too_large() {
    let besieged = Besieged::start(&[]);
    let zeros = vec![0; BOMB_BYTES];
    let zstd_headers = [("Content-Encoding", "zstd"), HEADERS[1], HEADERS[2]];
    let requests = [
        remote_write(&zeros),
        post(WRITE_PATH, &zstd_headers, &zstd::encode_all(&*zeros, 1).unwrap()),
        // As it arrives, without any coding.
        post("/api/v1/write", HEADERS, &zeros),
    ];
    besieged.answers(BODIES + DECODING, &requests, &[413]);
}

#[test]
fn a_length_that_is_declared_and_does_not_follow() {
    let besieged = Besieged::start(&[]);
    let bodies: [&[u8]; 3] =
        [b"\xff\xff\xff\xff\x0f\0abc", b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x80\x10"];
    let requests = bodies.map(|body| post(WRITE_PATH, HEADERS, body));
    besieged.answers(DECODING, &requests, &[400, 413]);
}

#[test]
fn imports_that_become_long() {
    let besieged = Besieged::start(&[]);
    let mut requests = Vec::new();
    for byte in [b'\n', b'a'] {
        let plain = vec![byte; BOMB_BYTES];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(&plain).unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = zstd::encode_all(&*plain, 1).unwrap();
        for path in ["/api/v1/import", "/api/v1/import/prometheus"] {
            requests.push(post(path, &[("Content-Encoding", "gzip")], &gzip));
            requests.push(post(path, &[("Content-Encoding", "zstd")], &zstd));
        }
    }
    // Empty lines are no samples, and one line that does not end is refused by itself. Several at a time may not
    // have room for what came of them so far.
    besieged.answers(BODIES + DECODING, &requests, &[200, 204, 400, 503]);
}

#[test]
fn too_many_headers_and_too_long_ones() {
    let besieged = Besieged::start(&[]);
    let head = "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(100 << 10));
    let requests = [
        format!("{head}{many}\r\n").into_bytes(),
        format!("{head}{long}\r\n").into_bytes(),
        get(&format!("/-/healthy?{}", "x".repeat(100 << 10))),
    ];
    besieged.answers(0, &requests, &[414, 431]);
}

#[test]
fn bad_labels_cost_their_series_alone() {
    let besieged = Besieged::start(&[]);
    let sample = [(START_MS, 1.0)];
    let good: Series<'_> = (&[("__name__", "good")], &sample);
    let names: Vec<String> = (0..70).map(|n| format!("l{n}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
    let (long, longer) = ("n".repeat(2 << 10), "v".repeat(9 << 10));
    let value = "v".repeat(8 << 10);
    let large: Vec<(&str, &str)> =
        names.iter().take(5).map(|name| (name.as_str(), &*value)).collect();
    let bad: [&[(&str, &str)]; 8] = [
        &many,
        &large,
        &[("__name__", "bad"), (&long, "x")],
        &[("__name__", "bad"), ("a", &longer)],
        &[("__name__", "bad"), ("a", "1"), ("a", "2")],
        &[("__name__", "bad"), ("", "x")],
        &[("__name__", "")],
        &[],
    ];
    let requests = bad.map(|labels| remote_write(&write_request(&[(labels, &sample), good])));
    for request in &requests {
        let (status, text) = exchange(besieged.address(), request);
        assert_eq!(status, 400, "{text}");
        let head = text.to_ascii_lowercase();
        assert!(head.contains("x-prometheus-remote-write-samples-written: 1\r\n"), "{text}");
    }
    besieged.answers(DECODING, &requests, &[400]);
    let (_, stored) =
        exchange(besieged.address(), &get("/api/v1/series?match[]={__name__=~%22.%2B%22}"));
    assert!(stored.contains("good") && !stored.contains("bad"), "{stored}");
}

#[test]
fn labels_without_number() {
    let besieged = Besieged::start(&[]);
    let requests =
        [(3_000_000, &b""[..]), (500_000, b"\x0a\x01a\x12\x01b")].map(|(count, label)| {
            let mut series = Vec::new();
            (0..count).for_each(|_| put_bytes(&mut series, 1, label));
            put_sample(&mut series, START_MS, 1.0);
            let mut message = Vec::new();
            put_bytes(&mut message, 1, &series);
            remote_write(&message)
        });
    besieged.answers(BODIES + DECODING, &requests, &[400, 413]);
}

#[test]
fn too_many_series_and_samples_in_one_request() {
    let besieged =
        Besieged::start(&["--request-series-max", "1000", "--request-samples-max", "1000"]);
    let mut series = Vec::new();
    put_label(&mut series, b"__name__", b"many");
    let mut samples = series.clone();
    put_sample(&mut series, START_MS, 1.0);
    (0..1001).for_each(|n| put_sample(&mut samples, START_MS + n, 1.0));
    let mut message = Vec::new();
    (0..1001).for_each(|_| put_bytes(&mut message, 1, &series));
    let mut one = Vec::new();
    put_bytes(&mut one, 1, &samples);
    besieged.answers(DECODING, &[remote_write(&message), remote_write(&one)], &[413]);
}

#[test]
fn new_series_without_room_may_come_again() {
    let besieged = Besieged::start(&["--series-max", "1"]);
    let metrics: Vec<String> = (0..100).map(|n| format!("new{n}")).collect();
    let labels: Vec<[(&str, &str); 1]> =
        metrics.iter().map(|name| [("__name__", name.as_str())]).collect();
    let sample = [(START_MS, 1.0)];
    let all: Vec<Series<'_>> = labels.iter().map(|labels| (&labels[..], &sample[..])).collect();
    let message = write_request(&all);
    let lines: String = metrics.iter().map(|name| format!("{name} 1 {START_MS}\n")).collect();
    let requests = [
        remote_write(&message),
        post("/api/v1/import/prometheus", &[], lines.as_bytes()),
        post("/metrics/job/x", &[], lines.as_bytes()),
    ];
    for request in &requests {
        let (status, text) = exchange(besieged.address(), request);
        assert!(status == 429 && text.to_ascii_lowercase().contains("retry-after: "), "{text}");
    }
    besieged.answers(DECODING, &requests, &[429]);
    // The bytes as they are.
    besieged.answers(DECODING, &[post(WRITE_PATH, HEADERS, &snappy(&message))], &[429]);
}
