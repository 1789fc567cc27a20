//! Request targets as clients write them: raw quotes and letters, HEAD, the ends of time.

use std::io::Write;

use siltstone_server_testing::client::{connect, raw, read_answer, request};
use siltstone_server_testing::harness::server;

const UP: &[u8] = "up{job=\"node\",\"شهر\"=\"تهران\"} 1 1700000000000\n".as_bytes();

#[test]
fn raw_quotes_and_letters_are_read_as_prometheus_reads_them() {
    let server = server();
    assert_eq!(server.post("/api/v1/import/prometheus", &[], UP).status, 204);
    for target in [
        "/api/v1/series?match[]=up{job=\"node\"}",
        "/api/v1/series?match[]={\"up\",\"شهر\"=\"تهران\"}",
        "/api/v1/series?match[]={job=~\"n.*|^x\\\\d<>`\"}",
        "/api/v1/query?query=label_replace(up,\"a\",\"#$1\",\"job\",\"(.*)\")&time=1700000000",
        "/api/v1/query?query=up&time=1700000000",
    ] {
        let answer = server.get(target);
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        let json = answer.json();
        let data = match json["data"]["result"].as_array() {
            Some(result) => result,
            None => json["data"].as_array().unwrap(),
        };
        assert_eq!(data.len(), 1, "{target}: {json}");
    }
    let values = server.get("/api/v1/label/شهر/values");
    assert_eq!(values.json()["data"], serde_json::json!(["تهران"]));
    assert!(server.get("/api/v1/query?query=label_replace(up,\"a\",\"#$1\",\"job\",\"(.*)\")&time=1700000000").text().contains("#node"));
    let latin = [
        &b"GET /api/v1/series?match[]=caf\xe9 HTTP/1.1\r\nHost: t\r\n"[..],
        b"Connection: close\r\n\r\n",
    ]
    .concat();
    let answer = String::from_utf8(raw(server.address, &latin)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("not valid UTF-8"), "{answer}");
}

#[test]
fn every_request_of_a_connection_and_no_byte_of_a_body() {
    let server = server();
    let get = "GET /api/v1/series?match[]=up{job=\"node\"} HTTP/1.1\r\nHost: t\r\n\r\n";
    // A body in which requests stand, behind a head with a raw quote, in pieces of every size.
    let body = "# GET /\"{ HTTP/1.1\n\n\nGET{a=\"GET /\\\" HTTP/1.1\"} 1 1700000000000\n";
    let post = format!(
        "POST /api/v1/import/prometheus?extra=\"x\" HTTP/1.1\r\nHost: t\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let last = "GET /api/v1/series?match[]=GET HTTP/1.1\r\nHost: t\r\n\r\n";
    let all = format!("\r\n{get}{get}HEAD /\"x HTTP/1.1\r\nHost: t\r\n\r\n{post}{last}");
    for piece in [1, 2, 3, 7, 50, 1000, all.len()] {
        let mut stream = connect(server.address);
        stream.set_nodelay(true).unwrap();
        for piece in all.as_bytes().chunks(piece) {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(read_answer(&mut stream).unwrap().status, 200, "{piece}");
        assert_eq!(read_answer(&mut stream).unwrap().status, 200, "{piece}");
        let missing = read_head(&mut stream);
        assert!(missing.starts_with("HTTP/1.1 404"), "{piece}: {missing}");
        assert_eq!(read_answer(&mut stream).unwrap().status, 204, "{piece}");
        let found = read_answer(&mut stream).unwrap();
        let value = &found.json()["data"][0]["a"];
        assert_eq!(value, "GET /\" HTTP/1.1", "{piece}: {}", found.text());
    }
}

/// The head of an answer without a body.
fn read_head(stream: &mut std::net::TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        std::io::Read::read_exact(stream, &mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn what_is_refused_before_a_route_says_why_and_is_counted() {
    let server = server();
    let long = format!("GET / HTTP/1.1\r\nHost: t\r\nX: {}\r\n\r\n", "x".repeat(70 << 10));
    let many: String = (0..101).map(|i| format!("x-{i}: 1\r\n")).collect();
    let many = format!("GET / HTTP/1.1\r\nHost: t\r\n{many}\r\n");
    for (request, status) in [
        (&b"GET /a b HTTP/1.1\r\nHost: t\r\n\r\n"[..], "400"),
        (b"GET /\x01 HTTP/1.1\r\nHost: t\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        (b"GET / HTTP/9.9\r\n\r\n", "400"),
        (long.as_bytes(), "431"),
        (many.as_bytes(), "431"),
    ] {
        let answer = String::from_utf8(raw(server.address, request)).unwrap();
        let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{shown}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(body.ends_with('\n') && body.len() > 20, "{shown}: {answer}");
        let len = format!("content-length: {}", body.len());
        assert!(head.to_ascii_lowercase().contains(&len), "{shown}: {answer}");
        assert!(head.to_ascii_lowercase().contains("connection: close"), "{shown}: {answer}");
    }
    // A connection is counted when it has ended, and that lingers.
    let counted = ["status=\"400\"} 4", "status=\"431\"} 2"]
        .map(|counted| format!("siltstone_http_requests_total{{path=\"none\",{counted}"));
    let is_counted = |_: &i32| {
        let metrics = server.get("/metrics");
        let all = counted.iter().all(|line| metrics.text().contains(line));
        if !all {
            server.pause(std::time::Duration::from_millis(50));
        }
        all
    };
    assert!((0..100).any(|turn| is_counted(&turn)), "{}", server.get("/metrics").text());
}

#[test]
fn the_ends_of_time_are_clamped() {
    let times = [i64::MIN, -62_135_596_800_000, -1, 0, 253_402_300_799_999, i64::MAX];
    let times: Vec<String> = times.iter().map(i64::to_string).collect();
    let body = format!(
        "{{\"metric\":{{\"__name__\":\"d\"}},\"values\":[1,2,3,4,5,6],\"timestamps\":[{}]}}",
        times.join(",")
    );
    // The server takes nothing from the future.
    let options = siltstone::Options { ahead_max: None, ..Default::default() };
    let config = siltstone_server::ServerConfig::default();
    let server = siltstone_server_testing::harness::Server::start(options, config);
    assert_eq!(server.post("/api/v1/import", &[], body.as_bytes()).status, 204);
    for (range, count) in [
        ("end=9999-12-31T23:59:59Z", 4),
        ("end=9999-12-31T23:59:59.999Z", 5),
        ("end=9999-12-31T23:59:59.999%2B00:00", 5),
        ("start=0001-01-01T00:00:00Z&end=9999-12-31T22:59:59.999-01:00", 4),
        ("start=-inf&end=%2BInf", 6),
        ("start=-Infinity&end=inf", 6),
        ("start=-1e300&end=99999999999999999999", 6),
        ("start=-1&end=1e300", 4),
    ] {
        let answer = server.get(&format!("/api/v1/export?match[]=d&{range}"));
        assert_eq!(answer.status, 200, "{range}: {}", answer.text());
        let found: serde_json::Value = serde_json::from_str(answer.text()).unwrap();
        assert_eq!(found["timestamps"].as_array().unwrap().len(), count, "{range}");
    }
    for bad in ["NaN", "9999-12-31", "9999-13-31T23:59:59Z", "9999-12-31T23:59:59"] {
        assert_eq!(server.get(&format!("/api/v1/export?match[]=d&end={bad}")).status, 400, "{bad}");
    }
    assert_eq!(server.get("/api/v1/query?query=1&time=%2BInf").status, 200);
    let range = server.get("/api/v1/query_range?query=1&start=-Inf&end=Inf&step=1");
    assert_eq!(range.status, 400, "{}", range.text());
}

#[test]
fn head_is_answered_where_get_is() {
    let server = server();
    assert_eq!(server.post("/api/v1/import/prometheus", &[], UP).status, 204);
    for path in [
        "/",
        "/metrics",
        "/-/ready",
        "/health",
        "/federate?match[]=up",
        "/api/v1/export?match[]=up",
        "/api/v1/query?query=up",
        "/api/v1/query?query=(",
        "/api/v1/query_range?query=up&start=0&end=1&step=1",
        "/api/v1/series?match[]=up",
        "/api/v1/labels",
        "/api/v1/label/job/values",
        "/api/v1/metadata",
        "/api/v1/rules",
        "/api/v1/targets",
        "/api/v1/status/buildinfo",
        "/api/v1/status/tsdb",
    ] {
        let (get, head) = (server.get(path), request(server.address, "HEAD", path, &[], b""));
        assert_eq!(head.status, get.status, "{path}");
        for name in ["content-type", "vary", "transfer-encoding"] {
            assert_eq!(head.header(name), get.header(name), "{path} {name}");
        }
        assert!(head.body.is_empty());
    }
    let write = request(server.address, "HEAD", "/api/v1/write", &[], b"");
    assert_eq!((write.status, write.header("allow")), (405, Some("POST")));
    let none = request(server.address, "DELETE", "/api/v1/query", &[], b"");
    assert_eq!((none.status, none.header("allow")), (405, Some("GET, HEAD, POST")));
}
