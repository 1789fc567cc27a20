//! Remote write: what is stored, what is refused, and how the sender learns.

use std::io::Read;
use std::time::Duration;

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::{Answer, request};
use siltstone_server_testing::harness::{REMOTE_WRITE, Server, field, line, one, series, server};

fn written(answer: &Answer) -> u64 {
    answer.header("x-prometheus-remote-write-samples-written").unwrap().parse().unwrap()
}

#[test]
fn samples_come_back_bit_for_bit() {
    let server = server();
    let nan = |bits: u64| f64::from_bits(bits);
    let samples = [
        (i64::MIN, 0.1),
        (-1, -0.0),
        (0, nan(0x7ff0_0000_0000_0002)),
        (1, nan(0x7ff8_0000_0000_0001)),
        (2, f64::INFINITY),
        (i64::MAX, f64::NEG_INFINITY),
    ];
    let answer = server.write(&series(&[("__name__", "up"), ("job", "a")], &samples));
    assert_eq!((answer.status, written(&answer)), (204, 6), "{}", answer.text());
    assert_eq!(answer.header("x-prometheus-remote-write-histograms-written"), Some("0"));
    assert_eq!(answer.header("x-prometheus-remote-write-exemplars-written"), Some("0"));
    let expected = "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},\"values\":[\"0.1\",\"-0\",\
        \"NaN:7ff0000000000002\",\"NaN:7ff8000000000001\",\"+Inf\",\"-Inf\"],\
        \"timestamps\":[-9223372036854775808,-1,0,1,2,9223372036854775807]}";
    assert_eq!(server.everything(), [expected]);
    // A retry of what was stored is a success and changes nothing.
    assert_eq!(server.write(&series(&[("__name__", "up"), ("job", "a")], &samples)).status, 204);
    assert_eq!(server.everything(), [expected]);
}

#[test]
fn every_script_is_kept_byte_for_byte() {
    let server = server();
    // A zero-width non-joiner, a combining breve and a right-to-left word.
    let labels = [
        ("شهر", "تهران"),
        ("__name__", "دمای_هوا"),
        ("حالت", "می\u{200c}رود"),
        ("город", "Йошкар-Ола и\u{306}"),
    ];
    assert_eq!(server.write(&series(&labels, &[(5, 21.5)])).status, 204);
    let metric = "\"__name__\":\"دمای_هوا\",\"город\":\"Йошкар-Ола и\u{306}\",\
        \"حالت\":\"می\u{200c}رود\",\"شهر\":\"تهران\"";
    assert_eq!(server.everything(), [line(metric, "21.5", 5)]);
    assert_eq!(server.export("{\"شهر\"=~\"ته.*\"}").len(), 1);
    assert_eq!(server.export("{\"حالت\"=\"میرود\"}").len(), 0, "without the joiner it differs");
}

#[test]
fn labels_are_sorted_and_empty_values_dropped() {
    let server = server();
    let a = series(&[("b", "2"), ("__name__", "x"), ("empty", "")], &[(1, 1.0)]);
    let b = series(&[("__name__", "x"), ("b", "2")], &[(2, 2.0)]);
    assert_eq!(server.write(&[a, b].concat()).status, 204);
    let lines = server.everything();
    assert_eq!(lines.len(), 1, "one series: {lines:?}");
    assert!(lines[0].contains("\"values\":[\"1\",\"2\"]"), "{lines:?}");
}

#[test]
fn bad_series_do_not_take_the_good_ones_with_them() {
    let options = Options { ahead_max: Some(Duration::from_secs(3600)), ..Options::default() };
    let server = Server::start(options, ServerConfig::default());
    let not_utf8 = field(1, &[field(1, b"a"), field(2, b"\xc0\x80")].concat());
    let sample = field(2, &[0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1]);
    let long = "x".repeat(9000);
    let body = [
        one("good_1", 1, 1.0),
        series(&[("__name__", "x"), ("dup", "1"), ("dup", "2")], &[(1, 1.0)]),
        series(&[], &[(1, 1.0)]),
        series(&[("", "nameless")], &[(1, 1.0)]),
        series(&[("__name__", "x"), ("long", &long)], &[(1, 1.0)]),
        field(1, &[not_utf8, sample].concat()),
        series(&[("__name__", "good_2")], &[(2, 2.0), (i64::MAX, 3.0)]),
    ];
    let answer = server.write(&body.concat());
    assert_eq!((answer.status, written(&answer)), (400, 2), "{}", answer.text());
    for reason in [
        "2 samples were stored",
        "6 series or samples were refused",
        "series 2 {\"__name__\"=\"x\", \"dup\"=\"1\", \"dup\"=\"2\"}: the label name \"dup\" occurs twice",
        "series 3 {}: the series has no labels",
        "series 4",
        "empty name",
        "series 5",
        "8192",
        "series 6",
        "UTF-8",
        "series 7",
        "too far in the future",
    ] {
        assert!(answer.text().contains(reason), "{reason} in {}", answer.text());
    }
    let expected =
        [line("\"__name__\":\"good_1\"", "1", 1), line("\"__name__\":\"good_2\"", "2", 2)];
    assert_eq!(server.everything(), expected);
}

#[test]
fn damage_stores_nothing() {
    let server = server();
    assert_eq!(server.write(&one("known", 1, 1.0)).status, 204);
    let good = one("other", 1, 1.0);
    for cut in [1, 3, good.len() - 1] {
        let body = [good.as_slice(), &good[..cut]].concat();
        let answer = server.write(&body);
        assert_eq!(answer.status, 400, "cut at {cut}");
        assert!(answer.text().starts_with("protobuf, byte "), "{}", answer.text());
    }
    // The labels of a known series, and then a damaged label.
    let name = field(1, &[field(1, b"__name__"), field(2, b"known")].concat());
    let damaged = field(1, &[name, field(1, &[0x0a, 5, b'x'])].concat());
    let answer = server.write(&[good, damaged].concat());
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert_eq!(server.everything(), [line("\"__name__\":\"known\"", "1", 1)]);
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, b"\x05not snappy").status, 400);
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, b"").status, 400);
    server.assert_healthy();
}

#[test]
fn formats_that_are_not_spoken_are_415_whatever_the_body() {
    let server = server();
    let post = |headers: &[(&str, &str)]| server.post("/api/v1/write", headers, b"\xff\xff broken");
    for kind in [
        "application/json",
        "image/png",
        "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        "application/x-protobuf;proto",
    ] {
        assert_eq!(post(&[("Content-Type", kind)]).status, 415, "{kind}");
    }
    for coding in ["gzip", "deflate", "br"] {
        let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", coding)];
        assert_eq!(post(&headers).status, 415, "{coding}");
    }
    // Without headers it is snappy and version 1.
    let body = snappy::compress(&one("plain", 1, 1.0)).unwrap();
    assert_eq!(server.post("/api/v1/write", &[], &body).status, 204);
    let headers = [("Content-Type", "application/x-protobuf;proto=prometheus.WriteRequest")];
    assert_eq!(server.post("/prometheus/api/v1/write", &headers, &body).status, 204);
}

#[test]
fn zstd_as_vmagent_sends_it() {
    let server = server();
    let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "zstd")];
    let post = |body: &[u8]| server.post("/api/v1/write", &headers, body);
    let body = zstd::encode_all(one("z", 1, 1.0).as_slice(), 3).unwrap();
    let answer = post(&body);
    assert_eq!((answer.status, written(&answer)), (204, 1), "{}", answer.text());
    assert_eq!(post(&body[..body.len() - 2]).status, 400, "cut off");
    assert_eq!(post(b"not zstd").status, 400);
    let bomb = zstd::encode_all(std::io::repeat(0).take(40 << 20), 1).unwrap();
    assert_eq!(post(&bomb).status, 413, "{} bytes", bomb.len());
    // Memory is set apart for what the first frame announces, so that there may be one frame only.
    let frame = |message: &[u8]| zstd::bulk::compress(message, 1).unwrap();
    let second = [frame(&one("y", 1, 1.0)), frame(&one("y", 2, 1.0))].concat();
    let answer = post(&second);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("one zstd frame"), "{}", answer.text());
    let skipped = [&b"\x50\x2a\x4d\x18\x01\0\0\0x"[..], &frame(&one("y", 1, 1.0))].concat();
    assert_eq!(post(&skipped).status, 400);
    assert_eq!(server.everything().len(), 1);
}

#[test]
fn large_bodies_are_refused_before_they_take_memory() {
    let server = server();
    let four_gib = [0x80, 0x80, 0x80, 0x80, 0x10, 0, b'x'];
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, &four_gib).status, 413);
    let implausible = [0x80, 0x80, 0x80, 0x08, 0, b'x'];
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, &implausible).status, 400);
    let bomb = snappy::compress(&vec![0; 33 << 20]).unwrap();
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, &bomb).status, 413);
    let long = vec![0; (32 << 20) + 1];
    assert_eq!(server.post("/api/v1/write", REMOTE_WRITE, &long).status, 413);
    server.assert_healthy();
}

#[test]
fn counts_are_limited() {
    let config =
        ServerConfig { request_samples_max: 3, request_series_max: 2, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let samples = series(&[("__name__", "a")], &[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0)]);
    assert_eq!(server.write(&samples).status, 413);
    let three = ["a", "b", "c"].map(|name| one(name, 1, 1.0)).concat();
    assert_eq!(server.write(&three).status, 413);
    assert!(server.everything().is_empty(), "nothing of them is stored");
    assert_eq!(server.write(&three[..three.len() / 3 * 2]).status, 204);
}

#[test]
fn new_series_beyond_the_limit_wait_and_known_ones_go_on() {
    let options = Options { series_max: Some(2), ..Options::default() };
    let server = Server::start(options, ServerConfig::default());
    let first = ["a", "b", "c", "d"].map(|name| one(name, 1, 1.0)).concat();
    let answer = server.write(&first);
    assert_eq!((answer.status, written(&answer)), (429, 2), "{}", answer.text());
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert!(answer.text().contains("no room for 2 new series"), "{}", answer.text());
    assert!(answer.text().contains("series 3 {\"__name__\"=\"c\"}"), "{}", answer.text());
    assert_eq!(server.write(&[one("a", 2, 2.0), one("b", 2, 2.0)].concat()).status, 204);
    assert_eq!(server.everything().len(), 2);
}

#[test]
fn what_is_not_stored_is_not_claimed() {
    let server = server();
    // Metadata alone, and nothing at all, are successes.
    assert_eq!(server.write(&field(3, &[0x08, 1])).status, 204);
    assert_eq!(server.write(b"").status, 204);
    // A series with a native histogram.
    let name = field(1, &[field(1, b"__name__"), field(2, b"h")].concat());
    let answer = server.write(&field(1, &[name, field(4, &[0x08, 1])].concat()));
    assert_eq!((answer.status, written(&answer)), (400, 0));
    assert!(answer.text().contains("1 native histograms were refused"), "{}", answer.text());
}

#[test]
fn other_methods_are_405() {
    let server = server();
    for method in ["GET", "PUT", "DELETE", "BREW"] {
        let answer = request(server.address, method, "/api/v1/write", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn a_store_that_is_closed_asks_to_come_again() {
    let server = server();
    server.db.close().unwrap();
    let answer = server.write(&one("a", 1, 1.0));
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some());
    assert_eq!(server.get("/-/ready").status, 503);
    assert_eq!(server.get("/-/healthy").status, 200);
}
