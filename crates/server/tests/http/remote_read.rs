//! Remote read: both kinds of answers, what is refused, and that nothing partial passes for an answer.

use std::io::{Read, Write};

use siltstone::{Labels, Matcher, Options, WriteBatch};
use siltstone_server::ServerConfig;
use siltstone_server::protocol::remote_read::{Frames, Query, ReadRequest, ResponseType};
use siltstone_server::protocol::remote_write::WriteRequest;
use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::{Answer, connect, head, read_answer, request};
use siltstone_server_testing::harness::{Server, damage, field, one, segment, series, server};

const STREAMED: &[ResponseType] = &[ResponseType::StreamedXorChunks, ResponseType::Samples];
const SAMPLES: &[ResponseType] = &[ResponseType::Samples];
const HEADERS: &[(&str, &str)] = &[
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Read-Version", "0.1.0"),
];

/// The series of one query's result: labels, and samples with the bits of their values.
type Result = Vec<(Vec<(String, String)>, Vec<(i64, u64)>)>;

fn query(matchers: &[(&str, &str)], start_ms: i64, end_ms: i64) -> Query {
    let matchers = matchers.iter().map(|(name, value)| Matcher::regex(*name, *value).unwrap());
    Query { start_ms, end_ms, matchers: matchers.collect() }
}

/// A request after snappy.
fn body(queries: Vec<Query>, accepted: &[ResponseType]) -> Vec<u8> {
    snappy::compress(&ReadRequest::new(queries, accepted.to_vec()).encode()).unwrap()
}

fn ask(server: &Server, queries: Vec<Query>, accepted: &[ResponseType]) -> Answer {
    server.post("/api/v1/read", HEADERS, &body(queries, accepted))
}

fn text(label: (&[u8], &[u8])) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(label.0), text(label.1))
}

/// The results of an answer, of which type it may be.
fn results(answer: &Answer, queries: usize) -> Vec<Result> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    match answer.header("content-type").unwrap() {
        "application/x-protobuf" => {
            assert_eq!(answer.header("content-encoding"), Some("snappy"));
            let mut message = Vec::new();
            snappy::decompress(&answer.body, 1 << 30, &mut message).unwrap();
            let results: Vec<Result> = messages(&message).into_iter().map(of_samples).collect();
            assert_eq!(results.len(), queries);
            results
        }
        "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" => {
            assert_eq!(answer.header("content-encoding"), None);
            let mut results = vec![Result::new(); queries];
            for frame in Frames::new(&answer.body) {
                let frame = frame.unwrap();
                let samples = frame.chunks.iter().flat_map(|chunk| chunk.samples().unwrap());
                let samples = samples.map(|s| (s.timestamp, s.value.to_bits())).collect();
                let labels = frame.labels.into_iter().map(text).collect();
                results[frame.query as usize].push((labels, samples));
            }
            results
        }
        other => panic!("{other}"),
    }
}

/// The contents of the fields 1, of which the message consists.
fn messages(mut message: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let Some((tag, rest)) = message.split_first() {
        assert_eq!(*tag, 0x0a);
        let last = rest.iter().position(|byte| *byte < 0x80).unwrap();
        let (varint, rest) = rest.split_at(last + 1);
        let len = varint.iter().rev().fold(0, |len, byte| len << 7 | usize::from(byte & 0x7f));
        let (content, rest) = rest.split_at(len);
        found.push(content);
        message = rest;
    }
    found
}

/// A `QueryResult` has its series where a `WriteRequest` has them.
fn of_samples(result: &[u8]) -> Result {
    let read = |series: siltstone_server::protocol::remote_write::TimeSeries<'_>| {
        let labels = series.labels().map(|label| text(label.unwrap())).collect();
        let samples = series.samples().map(|s| s.unwrap());
        (labels, samples.map(|s| (s.timestamp, s.value.to_bits())).collect())
    };
    WriteRequest::new(result).map(|series| read(series.unwrap())).collect()
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

#[test]
fn both_kinds_of_answers_are_bit_for_bit_what_was_written() {
    let server = server();
    let values =
        [0x7ff0_0000_0000_0002, 0x7ff8_0000_0000_0001, 1 << 63, 0x7ff0 << 48, 0xfff0 << 48];
    let bits = |i: i64| values[i as usize % 5] ^ if i % 7 == 6 { 0xdead_beef } else { 0 };
    let samples: Vec<(i64, f64)> = (0..500).map(|i| (i * 10, f64::from_bits(bits(i)))).collect();
    let hosts = ["h1", "h10", "h2", "میزبان"];
    for host in hosts {
        let labels = [("__name__", "up"), ("host", host), ("job", "a")];
        assert_eq!(server.write(&series(&labels, &samples)).status, 204);
    }
    let queries = || {
        vec![
            query(&[("__name__", "up"), ("host", "h.*")], 1000, 3990),
            query(&[("__name__", "down")], i64::MIN, i64::MAX),
            query(&[], i64::MIN, i64::MAX),
            query(&[], 5, 4),
        ]
    };
    let expected = |hosts: &[&str], rows: std::ops::Range<i64>| -> Result {
        let samples: Vec<(i64, u64)> = rows.map(|i| (i * 10, bits(i))).collect();
        let labels = |host| labels(&[("__name__", "up"), ("host", host), ("job", "a")]);
        hosts.iter().map(|host| (labels(host), samples.clone())).collect()
    };
    // In Prometheus's order, in which h1 is before h10, with both ends of the time.
    let expected = [expected(&hosts[..3], 100..400), vec![], expected(&hosts, 0..500), vec![]];
    for flushed in [false, true] {
        for accepted in [STREAMED, SAMPLES, &[]] {
            assert_eq!(results(&ask(&server, queries(), accepted), 4), expected, "{flushed}");
        }
        server.db.flush().unwrap();
    }
    let prefixed = server.post("/prometheus/api/v1/read", HEADERS, &body(queries(), STREAMED));
    assert_eq!(results(&prefixed, 4), expected);
    assert_eq!(ask(&server, Vec::new(), STREAMED).status, 200);
}

#[test]
fn of_ticks_within_a_millisecond_the_last_one_counts() {
    let options = Options { ticks_per_second: 1_000_000, ..Options::default() };
    let server = Server::start(options, ServerConfig::default());
    let handle = server.db.series(&Labels::from_pairs([("a", "b")]).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    for ticks in [-1, 999, 1000, 1001, 1999, 2000, 2999, 3000] {
        batch.push(handle, ticks, ticks as f64).unwrap();
    }
    server.db.write(&batch).unwrap();
    let sample = |ms: i64, ticks: f64| (ms, ticks.to_bits());
    for accepted in [STREAMED, SAMPLES] {
        let queries = vec![query(&[], 0, 2), query(&[], -1, -1), query(&[], 3, 3)];
        let read = results(&ask(&server, queries, accepted), 3);
        let read: Vec<_> = read.into_iter().map(|mut result| result.remove(0).1).collect();
        let middle = vec![sample(0, 999.0), sample(1, 1999.0), sample(2, 2999.0)];
        assert_eq!(read, [middle, vec![sample(-1, -1.0)], vec![sample(3, 3000.0)]]);
    }
}

#[test]
fn what_is_not_spoken_is_415_whatever_the_body() {
    let server = server();
    let post = |headers: &[(&str, &str)]| server.post("/api/v1/read", headers, b"\xff broken");
    for kind in ["application/json", "application/x-protobuf;proto=prometheus.WriteRequest"] {
        assert_eq!(post(&[("Content-Type", kind)]).status, 415, "{kind}");
    }
    for coding in ["gzip", "deflate"] {
        assert_eq!(post(&[("Content-Encoding", coding)]).status, 415, "{coding}");
    }
    for method in ["GET", "PUT"] {
        let answer = request(server.address, method, "/api/v1/read", &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    let plain = server.post("/api/v1/read", &[], &body(vec![query(&[], 0, 1)], SAMPLES));
    assert_eq!(results(&plain, 1), [vec![]]);
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let server = server();
    let post =
        |message: &[u8]| server.post("/api/v1/read", HEADERS, &snappy::compress(message).unwrap());
    let refused = |answer: Answer, text: &str| {
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(text), "{text} in {}", answer.text());
    };
    refused(server.post("/api/v1/read", HEADERS, b"\x05not snappy"), "snappy");
    refused(post(&[0x0a, 9]), "protobuf, byte 1");
    refused(post(&[0x10, 77]), "STREAMED_XOR_CHUNKS");
    let pattern = [&[0x08, 2][..], &field(2, b"a"), &field(3, b"(")].concat();
    refused(post(&field(1, &field(3, &pattern))), "query 1, matcher 1: invalid regular expression");
    refused(ask(&server, vec![query(&[], 0, 1); 101], STREAMED), "more than 100 queries");
    let four_gib = [0x80, 0x80, 0x80, 0x80, 0x10, 0, b'x'];
    assert_eq!(server.post("/api/v1/read", HEADERS, &four_gib).status, 413);
    assert_eq!(server.post("/api/v1/read", HEADERS, &vec![0; (4 << 20) + 1]).status, 413);
    server.assert_healthy();
}

/// Series `a` to `e` with samples that take 8 bytes each.
fn fill(server: &Server, rows: i64) {
    for name in ["a", "b", "c", "d", "e"] {
        let labels = Labels::from_pairs([("__name__", name)]).unwrap();
        let handle = server.db.series(&labels).unwrap();
        let mut batch = WriteBatch::new();
        for row in 0..rows {
            let bits = (row as u64 ^ u64::from(name.as_bytes()[0]) << 32)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            batch.push_bits(handle, row * 1000, bits).unwrap();
        }
        server.db.write(&batch).unwrap();
    }
}

#[test]
fn an_answer_in_one_piece_is_bounded_and_a_streamed_one_is_not() {
    let config = ServerConfig { read_bytes_max: 1 << 20, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    fill(&server, 20_000);
    let all = || vec![query(&[], i64::MIN, i64::MAX)];
    let answer = ask(&server, all(), SAMPLES);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("exceeded sample limit"), "{}", answer.text());
    assert!(answer.text().contains("STREAMED_XOR_CHUNKS"), "{}", answer.text());
    let read = results(&ask(&server, all(), STREAMED), 1).remove(0);
    assert_eq!(read.iter().map(|(_, samples)| samples.len()).collect::<Vec<_>>(), [20_000; 5]);
    let one = ask(&server, vec![query(&[("__name__", "c")], i64::MIN, i64::MAX)], SAMPLES);
    assert_eq!(results(&one, 1), [read[2..3].to_vec()]);
}

#[test]
fn too_many_series_are_refused() {
    let config = ServerConfig { results_max: 2, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    assert_eq!(server.write(&["a", "b", "c"].map(|name| one(name, 1, 1.0)).concat()).status, 204);
    for accepted in [STREAMED, SAMPLES] {
        let answer = ask(&server, vec![query(&[], 0, 5)], accepted);
        assert_eq!(answer.status, 400);
        assert!(answer.text().contains("more than 2 series"), "{}", answer.text());
        assert_eq!(ask(&server, vec![query(&[("__name__", "a|b")], 0, 5)], accepted).status, 200);
    }
}

#[test]
fn damage_is_an_error_with_its_place() {
    for accepted in [STREAMED, SAMPLES] {
        let server = server();
        fill(&server, 20_000);
        let path = segment(&server);
        damage(&path, 2);
        let answer = ask(&server, vec![query(&[], i64::MIN, i64::MAX)], accepted);
        assert_eq!(answer.status, 500, "{} bytes", answer.body.len());
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(answer.text().contains(name), "{}", answer.text());
        // What is not damaged is answered.
        let whole = ask(&server, vec![query(&[("__name__", "e")], i64::MIN, i64::MAX)], accepted);
        assert_eq!(results(&whole, 1)[0][0].1.len(), 20_000);
    }
}

#[test]
fn damage_behind_the_head_cuts_the_answer_off() {
    let server = server();
    fill(&server, 100_000);
    damage(&segment(&server), 75);
    let body = body(vec![query(&[], i64::MIN, i64::MAX)], STREAMED);
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/read", HEADERS, body.len())).unwrap();
    stream.write_all(&body).unwrap();
    let mut start = [0; 15];
    stream.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    let mut rest = Vec::new();
    // An error, or an end before the last chunk.
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() > 500_000, "{} bytes", rest.len());
    assert!(!rest.ends_with(b"0\r\n\r\n"), "an answer that looks whole");
    let answer = ask(&server, vec![query(&[], i64::MIN, i64::MAX)], SAMPLES);
    assert!(answer.status != 200, "{}", answer.status);
    server.assert_healthy();
}

#[test]
fn a_client_that_goes_away_or_sleeps_holds_nothing_up() {
    let config = ServerConfig {
        reads_max: 1,
        write_timeout: std::time::Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    // More than what lies in the buffers of sockets.
    fill(&server, 500_000);
    let body = body(vec![query(&[], i64::MIN, i64::MAX)], STREAMED);
    let message = [head("POST", "/api/v1/read", HEADERS, body.len()), body].concat();
    // One reads a little and goes, one stays and reads nothing; each has the only turn.
    let mut gone = connect(server.address);
    gone.write_all(&message).unwrap();
    gone.read_exact(&mut [0; 1000]).unwrap();
    drop(gone);
    let mut asleep = connect(server.address);
    asleep.write_all(&message).unwrap();
    let answer = ask(&server, vec![query(&[("__name__", "a")], 0, 5_000_000)], STREAMED);
    assert_eq!(results(&answer, 1)[0][0].1.len(), 5001);
    // Its turn may have come only now. Once it is given up, only the one who asks is connected.
    let is_alone = || server.get("/metrics").text().contains("siltstone_http_connections 1\n");
    let mut looks = 0..600;
    while !is_alone() {
        assert!(looks.next().is_some(), "the sleeper is still waited for");
        server.pause(std::time::Duration::from_millis(50));
    }
    assert!(read_answer(&mut asleep).is_err(), "cut off");
}
