//! What all routes of the query API have in common: web pages of other origins, OPTIONS, methods,
//! kinds of errors, times and limits.

use serde_json::{Value, json};
use siltstone::Options;
use siltstone_server::{CorsOrigin, ServerConfig};
use siltstone_server_testing::client::{Answer, request};
use siltstone_server_testing::harness::{Server, percent, server};

fn from_page(server: &Server, method: &str, path: &str, origin: &str) -> Answer {
    request(server.address, method, path, &[("Origin", origin)], b"")
}

/// Every page may read, as with Prometheus.
fn open_to_pages() -> Server {
    let cors_origin = CorsOrigin::new(".*").unwrap();
    Server::start(Options::default(), ServerConfig { cors_origin, ..ServerConfig::default() })
}

const ALLOW_ORIGIN: &str = "access-control-allow-origin";

#[test]
fn pages_may_read_what_the_pattern_allows() {
    let closed = server();
    for origin in ["https://grafana.example", "http://localhost:7480", "null"] {
        let answer = from_page(&closed, "GET", "/api/v1/labels", origin);
        assert_eq!((answer.status, answer.header(ALLOW_ORIGIN)), (200, None), "{origin}");
    }
    let open = open_to_pages();
    let answer = from_page(&open, "GET", "/api/v1/labels", "https://grafana.example");
    assert_eq!(answer.header(ALLOW_ORIGIN), Some("*"));
    let methods = answer.header("access-control-allow-methods");
    assert_eq!(methods, Some("GET, POST, OPTIONS"));
    let headers = answer.header("access-control-allow-headers");
    assert_eq!(headers, Some("Accept, Authorization, Content-Type, Origin"));
    assert_eq!(answer.header("access-control-expose-headers"), Some("Date"));
    let plain = open.get("/api/v1/labels");
    assert_eq!((plain.header("vary"), plain.header(ALLOW_ORIGIN)), (Some("Origin"), None));
    // Errors, too, or the page would not learn why.
    let answer = from_page(&open, "GET", "/api/v1/labels?limit=x", "null");
    assert_eq!((answer.status, answer.header(ALLOW_ORIGIN)), (400, Some("*")));

    let cors_origin = CorsOrigin::new("https?://(a|b)\\.example").unwrap();
    let config = ServerConfig { cors_origin, admin: true, ..ServerConfig::default() };
    let some = Server::start(Options::default(), config);
    for (origin, allowed) in [
        ("https://a.example", Some("https://a.example")),
        ("http://b.example", Some("http://b.example")),
        ("https://a.example.evil", None),
        ("https://xa.example", None),
        ("", None),
    ] {
        let answer = from_page(&some, "GET", "/api/v1/status/buildinfo", origin);
        assert_eq!((answer.status, answer.header(ALLOW_ORIGIN)), (200, allowed), "{origin}");
    }
    // Never what writes.
    for path in ["/api/v1/admin/tsdb/flush", "/api/v1/write", "/api/v1/import", "/metrics"] {
        let answer = from_page(&some, "POST", path, "https://a.example");
        assert_eq!(answer.header(ALLOW_ORIGIN), None, "{path}");
    }
}

#[test]
fn browsers_ask_first() {
    let server = open_to_pages();
    for path in ["/api/v1/labels", "/prometheus/api/v1/label/job/values", "/api/v1/series"] {
        let answer = from_page(&server, "OPTIONS", path, "https://x");
        assert_eq!((answer.status, answer.text()), (204, ""), "{path}");
        assert_eq!(answer.header(ALLOW_ORIGIN), Some("*"), "{path}");
    }
    for path in ["/api/v1/nothing", "/api/v1/admin/tsdb/delete_series", "/api/v1/write"] {
        let answer = from_page(&server, "OPTIONS", path, "https://x");
        assert_eq!((answer.status, answer.header(ALLOW_ORIGIN)), (204, None), "{path}");
    }
    assert_eq!(from_page(&server, "OPTIONS", "/metrics", "https://x").status, 405);
}

#[test]
fn methods_are_those_of_prometheus() {
    let server = server();
    for (path, methods) in [
        ("/api/v1/labels", "GET, HEAD, POST"),
        ("/api/v1/query_exemplars", "GET, HEAD, POST"),
        ("/api/v1/metadata", "GET, HEAD"),
        ("/api/v1/rules", "GET, HEAD"),
        ("/api/v1/status/buildinfo", "GET, HEAD"),
    ] {
        for method in ["DELETE", "PUT"] {
            let answer = request(server.address, method, path, &[], b"");
            assert_eq!((answer.status, answer.header("allow")), (405, Some(methods)), "{path}");
        }
    }
    let answer = request(server.address, "HEAD", "/-/healthy", &[], b"");
    assert_eq!(answer.status, 200);
}

#[test]
fn unknown_parameters_are_ignored() {
    let server = server();
    let answer = server.get("/api/v1/labels?unknown=1&unknown=2&&nocache=1&start=&end=");
    assert_eq!(answer.json(), json!({"status": "success", "data": []}));
}

#[test]
fn times_in_every_notation_select() {
    let server = server();
    let body = b"up{job=\"a\"} 1 1700000000123\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body).status, 204);
    let found = |start: &str, end: &str| -> usize {
        let (start, end) = (percent(start), percent(end));
        let path = format!("/api/v1/series?match[]=up&start={start}&end={end}");
        let answer = server.get(&path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["data"].as_array().unwrap().len()
    };
    for (start, end) in [
        ("1700000000", "1700000001"),
        ("1700000000.123", "1700000000.123"),
        ("1.700000000123e9", "1.700000000123e+09"),
        ("2023-11-14T22:13:20.123Z", "2023-11-14T22:13:20.123000000Z"),
        ("2023-11-15T01:43:20.122999999+03:30", "2023-11-15T01:43:20.123456789+03:30"),
        ("-292273086-05-16T16:47:06Z", "292277025-08-18T07:12:54.999999999Z"),
        ("", "1700000000.123"),
        ("1700000000.123", ""),
    ] {
        assert_eq!(found(start, end), 1, "{start} to {end}");
    }
    assert_eq!(found("1700000000.124", "1700000001"), 0);
    assert_eq!(found("", "2023-11-14T22:13:20.122Z"), 0);
}

#[test]
fn a_selector_of_everything_is_refused() {
    let server = server();
    for selector in ["{}", "{a=\"\"}", "{a=~\".*\"}", "{a!~\"x\"}", "{a!=\"x\",b=~\"|y\"}"] {
        for path in ["series", "labels", "label/job/values"] {
            let answer = server.get(&format!("/api/v1/{path}?match[]={}", percent(selector)));
            let json = answer.json();
            assert_eq!(
                (answer.status, &json["errorType"]),
                (400, &json!("bad_data")),
                "{selector}"
            );
            let error = json["error"].as_str().unwrap();
            assert!(error.starts_with("invalid parameter \"match[]\": "), "{error}");
            assert!(error.contains("at least one non-empty matcher"), "{error}");
        }
    }
}

#[test]
fn a_read_beyond_a_limit_is_not_throttled() {
    let config = ServerConfig { query_timeout: std::time::Duration::ZERO, ..Default::default() };
    let server = Server::start(Options::default(), config);
    let body = b"up{job=\"a\"} 1 1700000000123\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body).status, 204);
    for path in ["/api/v1/series?match[]=up", "/api/v1/label/job/values"] {
        let answer = server.get(path);
        let json = answer.json();
        assert_eq!((answer.status, &json["errorType"]), (503, &json!("timeout")), "{path}: {json}");
        assert_eq!(json["data"], Value::Null);
    }
}
