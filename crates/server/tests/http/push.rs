//! What the paths that take samples have in common: answers, limits, labels that a request adds.

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::request;
use siltstone_server_testing::harness::{REMOTE_WRITE, Server, line, one, percent, series, server};

const TEXT: &str = "/api/v1/import/prometheus";
const WRITTEN: &str = "x-prometheus-remote-write-samples-written";

#[test]
fn too_many_series_are_429_on_every_path() {
    let options = Options {
        series_max: Some(2),
        admission_wait: std::time::Duration::from_millis(100),
        ..Options::default()
    };
    let start = || Server::start(options.clone(), ServerConfig::default());
    let names = ["s1", "s2", "s3", "s4"];
    let written: Vec<u8> = names.iter().flat_map(|name| one(name, 1, 1.0)).collect();
    let text: String = names.iter().map(|name| format!("{name} 1 1000\n")).collect();
    let json: String = names
        .iter()
        .map(|name| line(&format!("\"__name__\":\"{name}\""), "1", 1000) + "\n")
        .collect();
    for (at, path) in ["/api/v1/write", TEXT, "/api/v1/import"].iter().enumerate() {
        let server = start();
        let answer = match at {
            0 => server.write(&written),
            1 => server.post(path, &[], (text.clone() + "bad{\n").as_bytes()),
            _ => server.post(path, &[], (json.clone() + "bad\n").as_bytes()),
        };
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{path}");
        assert!(answer.text().contains("no room for 2"), "{path}: {}", answer.text());
        assert_eq!(answer.header(WRITTEN), Some("2"), "{path}");
        if at > 0 {
            assert!(answer.text().contains("1 of 5 lines were refused"), "{}", answer.text());
            assert!(answer.text().contains("line 5"), "{}", answer.text());
        }
    }
}

/// A path, headers and a body, and how they are answered.
type Refused<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16);

#[test]
fn every_answer_to_a_push_counts_what_was_stored() {
    let server = server();
    let good = server.post(TEXT, &[], b"a 1 1700000000000\nb 1 1700000000000\n");
    assert_eq!((good.status, good.header(WRITTEN)), (204, Some("2")));
    let bad = server.post(TEXT, &[], b"a 1 1700000000000\nb{\n");
    assert_eq!((bad.status, bad.header(WRITTEN)), (400, Some("1")));
    let json = server.post("/api/v1/import", &[], line("\"a\":\"b\"", "1", 1).as_bytes());
    assert_eq!((json.status, json.header(WRITTEN)), (204, Some("1")));
    let nothing: [Refused<'_>; 6] = [
        (TEXT, &[("Content-Encoding", "br")], b"a 1", 415),
        (TEXT, &[("Content-Encoding", "gzip")], b"a 1", 400),
        ("/api/v1/import", &[], b"{", 400),
        ("/api/v1/write", REMOTE_WRITE, b"\xff", 400),
        ("/api/v1/write", &[("Content-Type", "image/png")], b"x", 415),
        ("/api/v1/import/prometheus?a=%zz", &[], b"a 1", 400),
    ];
    for (path, headers, body, status) in nothing {
        let answer = server.post(path, headers, body);
        assert_eq!((answer.status, answer.header(WRITTEN)), (status, Some("0")), "{path}");
        assert_eq!(answer.header("x-prometheus-remote-write-histograms-written"), Some("0"));
        assert_eq!(answer.header("x-prometheus-remote-write-exemplars-written"), Some("0"));
    }
    let get = server.get(TEXT);
    assert_eq!((get.status, get.header(WRITTEN)), (405, Some("0")));
}

#[test]
fn limits_of_lines_reach_the_readers() {
    let config = ServerConfig {
        json_line_bytes_max: 64 << 20,
        text_line_bytes_max: 8 << 20,
        ..ServerConfig::default()
    };
    let server = Server::start(Options::default(), config);
    let json = line("\"__name__\":\"long\"", "1", 1) + &" ".repeat(17 << 20);
    let answer = server.post("/api/v1/import", &[], json.as_bytes());
    assert_eq!(answer.status, 204, "{}", answer.text());
    let text = "big 1 1700000000000".to_owned() + &" ".repeat(2_000_000);
    let answer = server.post(TEXT, &[], text.as_bytes());
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.everything().len(), 2);
}

#[test]
fn extra_labels_are_added_or_replace() {
    let server = server();
    let extra = "extra_label=env=prod&extra_label=job%3Dx%3Dy";
    let stored = |name: &str| {
        let metric = format!("\"__name__\":\"{name}\",\"env\":\"prod\",\"job\":\"x=y\"");
        [line(&metric, "1", 1_700_000_000_000)]
    };
    let text = b"t{job=\"old\"} 1 1700000000000\n";
    assert_eq!(server.post(&format!("{TEXT}?{extra}"), &[], text).status, 204);
    assert_eq!(server.export("t"), stored("t"));
    let json = line("\"__name__\":\"j\",\"env\":\"dev\"", "1", 1_700_000_000_000);
    assert_eq!(server.post(&format!("/api/v1/import?{extra}"), &[], json.as_bytes()).status, 204);
    assert_eq!(server.export("j"), stored("j"));
    let labels = [("__name__", "w"), ("job", "old")];
    let body = series(&labels, &[(1_700_000_000_000, 1.0)]);
    let body = siltstone_server::protocol::snappy::compress(&body).unwrap();
    let answer = server.post(&format!("/api/v1/write?{extra}"), REMOTE_WRITE, &body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("w"), stored("w"));
    for bad in ["extra_label=env", "extra_label==x"] {
        for path in [TEXT, "/api/v1/import", "/api/v1/write"] {
            let answer = server.post(&format!("{path}?{bad}"), &[], b"");
            assert_eq!(answer.status, 400, "{path} {bad}");
        }
    }
}

#[test]
fn pushes_as_to_a_pushgateway() {
    let server = server();
    let push = |method: &str, path: &str, body: &[u8]| {
        request(server.address, method, path, &[("Content-Type", "text/plain")], body)
    };
    let body = b"# TYPE done gauge\ndone{job=\"other\"} 1 1700000000000\n";
    let path = "/metrics/job/backup%20all/instance/h1";
    for (method, path) in [
        ("POST", path),
        ("PUT", path),
        ("PUT", "/metrics/job@base64/YmFja3VwIGFsbA/instance/h1"),
        ("POST", "/metrics/job@base64/YmFja3VwIGFsbA==/instance@base64/aDE="),
        ("POST", "/api/v1/import/prometheus/metrics/job/backup%20all/instance/h1"),
    ] {
        let answer = push(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        assert_eq!(answer.header(WRITTEN), Some("1"), "{path}");
    }
    let metric = "\"__name__\":\"done\",\"instance\":\"h1\",\"job\":\"backup all\"";
    assert_eq!(server.everything(), [line(metric, "1", 1_700_000_000_000)]);
    // An empty value is written as '=' by clients, and a path as base64.
    let answer = push(
        "POST",
        "/metrics/job/a/path@base64/L3Zhci90bXA/empty@base64/=",
        b"b 1 1700000000000\n",
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let metric = "\"__name__\":\"b\",\"job\":\"a\",\"path\":\"/var/tmp\"";
    assert_eq!(server.export("b"), [line(metric, "1", 1_700_000_000_000)]);
    for (path, status) in [
        ("/metrics/job/", 400),
        ("/metrics/job/a/b", 400),
        ("/metrics/job/a/b@base64/!!", 400),
        ("/metrics/job/a/__name__/x", 400),
        ("/metrics/instance/a", 404),
        ("/metrics/", 404),
    ] {
        assert_eq!(push("POST", path, b"c 1\n").status, status, "{path}");
    }
    assert_eq!(push("DELETE", "/metrics/job/a", b"").status, 405);
    let protobuf = [(
        "Content-Type",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
    )];
    assert_eq!(server.post("/metrics/job/a", &protobuf, b"\x08").status, 415);
    assert_eq!(server.get("/metrics").status, 200);
}

#[test]
fn zstd_that_is_called_snappy_is_read() {
    let server = server();
    let body = zstd::encode_all(&one("z", 1, 1.0)[..], 3).unwrap();
    let answer = server.post("/api/v1/write", REMOTE_WRITE, &body);
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert_eq!(server.export("z").len(), 1);
}

#[test]
fn names_that_clients_of_victoriametrics_use() {
    let server = server();
    assert_eq!(server.post(TEXT, &[], b"a 1 1700000000000\nb 1 1700000000000\n").status, 204);
    let two = server.get("/api/v1/export?match=a&match[]=b");
    assert_eq!((two.status, two.text().lines().count()), (200, 2), "{}", two.text());
    let selector = percent("{__name__=\"a\"}");
    let found = server.get(&format!("/api/v1/series?match={selector}"));
    assert_eq!((found.status, found.json()["data"].as_array().unwrap().len()), (200, 1));
    let health = server.get("/health");
    assert_eq!((health.status, health.text()), (200, "OK"));
}
