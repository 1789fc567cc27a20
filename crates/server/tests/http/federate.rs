//! The newest samples for another Prometheus.

use std::fmt::Write;

use siltstone_server_testing::client::{Answer, request};
use siltstone_server_testing::harness::{Server, percent, series, server};

/// The bits of a stale marker.
const STALE: u64 = 0x7ff0_0000_0000_0002;

fn now(server: &Server) -> i64 {
    server.db.options().clock.wall_ms()
}

fn federate(server: &Server, selectors: &[&str], accept: &str) -> Answer {
    let query: Vec<String> = selectors.iter().map(|s| format!("match[]={}", percent(s))).collect();
    let path = format!("/federate?{}", query.join("&"));
    request(server.address, "GET", &path, &[("Accept", accept)], b"")
}

#[test]
fn the_newest_sample_of_each_series_sorted_by_name() {
    let server = server();
    let now = now(&server);
    let (fresh, old) = (now - 60_000, now - 310_000);
    let mut body = Vec::new();
    // A label before `__name__` in label order must not come before other names.
    let zulu = [("A", "1"), ("__name__", "zulu"), ("instance", "i"), ("q", "a\"b\\c\nd")];
    body.extend(series(&zulu, &[(old, 1.0), (fresh - 5, 2.0), (fresh, 3.5)]));
    body.extend(series(&[("__name__", "alpha"), ("job", "b")], &[(fresh, f64::INFINITY)]));
    body.extend(series(&[("__name__", "alpha"), ("job", "a")], &[(fresh, 1e6)]));
    body.extend(series(&[("__name__", "alpha"), ("job", "gone")], &[(old, 1.0)]));
    let stale = [(fresh - 5, 1.0), (fresh, f64::from_bits(STALE))];
    body.extend(series(&[("__name__", "alpha"), ("job", "stale")], &stale));
    body.extend(series(&[("__name__", "alpha"), ("job", "ahead")], &[(now + 600_000, 1.0)]));
    assert_eq!(server.write(&body).status, 204);
    let expected = format!(
        "# TYPE alpha untyped\nalpha{{job=\"a\",instance=\"\"}} 1e+06 {fresh}\n\
         alpha{{job=\"b\",instance=\"\"}} +Inf {fresh}\n\
         # TYPE zulu untyped\nzulu{{A=\"1\",instance=\"i\",q=\"a\\\"b\\\\c\\nd\"}} 3.5 {fresh}\n"
    );
    let answer = federate(&server, &["{__name__=~\".+\"}"], "*/*");
    assert_eq!((answer.status, answer.text()), (200, &*expected));
    let text = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    assert_eq!(answer.header("content-type"), Some(text));
    // What several selectors select comes once.
    let answer = federate(&server, &["{__name__=~\"a.*\"}", "zulu", "{job=\"a\"}"], "*/*");
    assert_eq!(answer.text(), expected);
    let answer = federate(&server, &["{__name__!=\"alpha\",A!=\"\"}"], "*/*");
    assert!(answer.text().starts_with("# TYPE zulu"), "{}", answer.text());
    server.db.flush().unwrap();
    let answer = federate(&server, &["{__name__!=\"\"}"], "*/*");
    assert_eq!(answer.text(), expected, "flushed");
}

#[test]
fn the_client_chooses_format_and_escaping() {
    let server = server();
    let at = now(&server) / 1000 * 1000 - 1000;
    let body = series(&[("__name__", "دما.a"), ("شهر", "یزد")], &[(at, -2.0)]);
    assert_eq!(server.write(&body).status, 204);
    let all = ["{__name__!=\"\"}"];
    let old = federate(&server, &all, "text/plain");
    let expected = format!("# TYPE ____a untyped\n____a{{___=\"یزد\",instance=\"\"}} -2 {at}\n");
    assert_eq!(old.text(), expected);
    let accept = "application/openmetrics-text;version=1.0.0;escaping=allow-utf8,text/plain;q=0.5";
    let new = federate(&server, &all, accept);
    let expected = format!(
        "# TYPE \"دما.a\" unknown\n{{\"دما.a\",\"شهر\"=\"یزد\",\"instance\"=\"\"}} -2.0 {}.000\n# EOF\n",
        at / 1000
    );
    let expected = expected.replace("\"instance\"", "instance");
    assert_eq!(new.text(), expected);
    assert!(new.header("content-type").unwrap().starts_with("application/openmetrics-text;"));
    // It is what an import takes.
    let utf8 = federate(&server, &all, "text/plain;version=1.0.0;escaping=allow-utf8");
    let other = siltstone_server_testing::harness::server();
    assert_eq!(other.post("/api/v1/import/prometheus", &[], &utf8.body).status, 204);
    assert_eq!(other.everything(), server.everything());
}

#[test]
fn nothing_is_asked_and_nothing_is_there() {
    let server = server();
    let answer = server.get("/federate");
    assert_eq!((answer.status, answer.text()), (200, ""));
    let accept = "application/openmetrics-text";
    assert_eq!(federate(&server, &["up"], accept).text(), "# EOF\n");
    let answer = server.get("/federate?match[]=up%7B");
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("parse error"), "{}", answer.text());
    assert_eq!(server.post("/federate", &[], b"").status, 405);
}

#[test]
fn a_long_page_is_streamed() {
    let server = server();
    let now = now(&server);
    let mut text = String::new();
    for i in 0..5000 {
        writeln!(text, "m{}{{host=\"h{i:05}\"}} {i} {now}", i % 7).unwrap();
    }
    assert_eq!(server.post("/api/v1/import/prometheus", &[], text.as_bytes()).status, 204);
    let answer = federate(&server, &["{host!=\"\"}"], "*/*");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    let samples: Vec<&str> = answer.text().lines().filter(|l| !l.starts_with('#')).collect();
    assert_eq!(samples.len(), 5000);
    assert!(samples.is_sorted(), "by name, then by host");
    assert_eq!(answer.text().matches("# TYPE").count(), 7);
}
