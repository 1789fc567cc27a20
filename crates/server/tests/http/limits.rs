//! What is too large, too many or malformed before a handler sees it.

use std::io::Write;

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::{connect, get, raw, read_answer, request};
use siltstone_server_testing::harness::{Server, series, server};

fn status_of(answer: &[u8]) -> u16 {
    let text = String::from_utf8_lossy(answer);
    text.split(' ').nth(1).unwrap_or_else(|| panic!("{text:?}")).parse().unwrap()
}

#[test]
fn headers_are_limited() {
    let server = server();
    let long = "x".repeat(70 << 10);
    let mut request = format!("GET /-/healthy HTTP/1.1\r\nHost: t\r\nX-Long: {long}\r\n\r\n");
    assert_eq!(status_of(&raw(server.address, request.as_bytes())), 431);
    request = "GET /-/healthy HTTP/1.1\r\nHost: t\r\n".to_owned();
    (0..101).for_each(|i| request += &format!("x-{i}: 1\r\n"));
    assert_eq!(status_of(&raw(server.address, (request + "\r\n").as_bytes())), 431);
    let path = format!("/{}", "x".repeat(70 << 10));
    let answer = raw(server.address, format!("GET {path} HTTP/1.1\r\n\r\n").as_bytes());
    assert!(matches!(status_of(&answer), 414 | 431));
    server.assert_healthy();
}

#[test]
fn garbage_is_refused() {
    let server = server();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not tls here\r\n\r\n"[..],
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let answer = raw(server.address, bytes);
        assert!(answer.is_empty() || status_of(&answer) >= 400, "{bytes:?}");
    }
    // Two lengths: whoever stands before us might read another end of the body than we do.
    let smuggled = b"POST /api/v1/import HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
        Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde";
    assert_eq!(status_of(&raw(server.address, smuggled)), 400);
    server.assert_healthy();
}

#[test]
fn paths_do_not_climb() {
    let server = server();
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/../../metrics",
        "/api/v1/label/..%2f..%2fetc/other",
        "/prometheus/../metrics",
        "/x%00y",
    ] {
        let answer = get(server.address, path);
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    // A label may have any name; it is only looked up.
    let odd = get(server.address, "/api/v1/label/..%2F%00/values");
    assert_eq!((odd.status, &odd.json()["data"]), (200, &serde_json::json!([])));
}

#[test]
fn chunked_bodies_are_limited_as_they_arrive() {
    let config = ServerConfig { body_bytes_max: 10_000, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    let mut stream = connect(server.address);
    let head = "POST /api/v1/write HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"1000\r\n".as_slice(), &[0; 4096], b"\r\n"].concat();
    for _ in 0..100 {
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    assert_eq!(read_answer(&mut stream).unwrap().status, 413);
}

#[test]
fn forms_are_limited() {
    let server = server();
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let body = format!("match[]={}", "x".repeat(520 << 10));
    let answer = server.post("/api/v1/series", &form, body.as_bytes());
    assert_eq!(answer.status, 413);
    let answer = server.post("/api/v1/series", &form, "a=1&".repeat(2000).as_bytes());
    assert_eq!(answer.status, 400);
}

#[test]
fn one_connection_serves_many_requests() {
    let server = server();
    let mut stream = connect(server.address);
    for _ in 0..3 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    }
    // Pipelined.
    stream.write_all(&b"GET /-/ready HTTP/1.1\r\nHost: t\r\n\r\n".repeat(3)).unwrap();
    for _ in 0..3 {
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    }
}

#[test]
fn probes_answer_head() {
    let server = server();
    for path in ["/-/healthy", "/-/ready", "/prometheus/-/ready"] {
        let mut stream = connect(server.address);
        let request = format!("HEAD {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut answer).unwrap();
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
        let post = request_status(&server, "POST", path);
        assert_eq!(post, (405, Some("GET, HEAD".to_owned())));
    }
    assert_eq!(server.get("/-/ready").text(), "Siltstone is Ready.\n");
}

fn request_status(server: &Server, method: &str, path: &str) -> (u16, Option<String>) {
    let answer = request(server.address, method, path, &[], b"");
    (answer.status, answer.header("allow").map(str::to_owned))
}

#[test]
fn too_many_series_are_throttled_while_known_ones_are_written() {
    let options = Options { series_max: Some(100), ..Options::default() };
    let server = Server::start(options, ServerConfig::default());
    let request = |range: std::ops::Range<u32>, time: i64| -> Vec<u8> {
        let one = |i: u32| {
            let name = format!("s{i}");
            series(&[("__name__", &name), ("job", "many")], &[(time, f64::from(i))])
        };
        range.flat_map(one).collect()
    };
    assert_eq!(server.write(&request(0..100, 1)).status, 204);
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| {
            for time in 2..20 {
                let answer = server.write(&request(100..150, time));
                assert_eq!(answer.status, 429, "{}", answer.text());
                assert!(answer.header("retry-after").is_some());
                assert!(answer.text().contains("no room for 50 new series"), "{}", answer.text());
                assert!(answer.text().contains("known series are still accepted"));
            }
        });
        for time in 2..20 {
            assert_eq!(server.write(&request(0..100, time)).status, 204);
        }
        refused.join().unwrap();
    });
    // A request of both: the known part is stored.
    let answer = server.write(&request(90..110, 20));
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), Some("10"));
    assert_eq!(answer.status, 429);
    let stats = server.db.stats();
    assert_eq!((stats.samples, stats.series_refused), (100 * 19 + 10, 18 * 50 + 10));
    let metrics = server.get("/metrics");
    for line in ["siltstone_series_refused_total 910", "siltstone_early_seals_total 0"] {
        assert!(metrics.text().contains(line), "{line} in {}", metrics.text());
    }
    assert!(metrics.text().contains("siltstone_memory_bytes{kind=\"registry\"}"));
}
