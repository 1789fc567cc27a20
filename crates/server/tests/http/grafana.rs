//! What Grafana's Prometheus data source asks for, as it was recorded, as far as nothing is evaluated.

use serde_json::{Value, json};

use crate::client::{Answer, request};
use crate::harness::{Server, server};

/// Grafana's own client asks for gzip and sends a body with POST as a form.
fn ask(server: &Server, method: &str, path: &str, form: &str) -> Answer {
    let headers = [
        ("User-Agent", "Grafana/12.0.0"),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept-Encoding", "gzip"),
    ];
    let headers = if form.is_empty() { &headers[..1] } else { &headers[..] };
    request(server.address, method, path, headers, form.as_bytes())
}

fn data(server: &Server, method: &str, path: &str, form: &str) -> Value {
    let answer = ask(server, method, path, form);
    assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"), "{path}");
    let json = answer.json();
    assert_eq!(json["status"], "success", "{path}");
    json["data"].clone()
}

/// Two metrics of two jobs, with a sample in the minute that Grafana asks for.
fn filled() -> Server {
    let server = server();
    let body = "up{job=\"api\",instance=\"a:1\"} 1 1700000030000\n\
        up{job=\"db\",instance=\"b:1\"} 0 1700000030000\n\
        {\"http.requests\",\"http.status\"=\"200\"} 5 1700000030000\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    server
}

const MINUTE: &str = "start=1699999980&end=1700000040";

#[test]
fn save_and_test_asks_for_the_build() {
    let server = filled();
    let build = data(&server, "GET", "/api/v1/status/buildinfo", "");
    assert!(build["version"].as_str().unwrap().starts_with("3."), "{build}");
    assert!(build.get("features").is_none(), "a list here means Mimir");
}

#[test]
fn on_load_it_asks_for_rules_and_exemplars() {
    let server = filled();
    assert_eq!(data(&server, "GET", "/api/v1/rules", ""), json!({"groups": []}));
    // Milliseconds where seconds are meant: a time in the year 55000.
    let times = "start=1699999980000&end=1700000040000";
    let path = format!("/api/v1/query_exemplars?query=test&{times}");
    assert_eq!(data(&server, "GET", &path, ""), json!([]));
    let form = format!("query=test&{times}");
    assert_eq!(data(&server, "POST", "/api/v1/query_exemplars", &form), json!([]));
    let panel = "query=histogram_quantile%280.95%2C+sum%28rate%28up%5B1m0s%5D%29%29+by+%28le%29%29&\
                 start=1699999980.000&end=1700000040.000";
    assert_eq!(data(&server, "POST", "/api/v1/query_exemplars", panel), json!([]));
}

#[test]
fn label_browsing() {
    let server = filled();
    let get = |path: &str| data(&server, "GET", path, "");
    let names = format!("/api/v1/label/__name__/values?{MINUTE}&limit=40000");
    assert_eq!(get(&names), json!(["http.requests", "up"]));
    let labels = json!(["__name__", "http.status", "instance", "job"]);
    assert_eq!(get(&format!("/api/v1/labels?{MINUTE}&limit=40000")), labels);
    let form = format!("{MINUTE}&limit=40000");
    assert_eq!(data(&server, "POST", "/api/v1/labels", &form), labels);
    let form = format!("{MINUTE}&limit=40000&match%5B%5D=up");
    assert_eq!(
        data(&server, "POST", "/api/v1/labels", &form),
        json!(["__name__", "instance", "job"])
    );
    assert_eq!(get(&format!("/api/v1/label/job/values?{MINUTE}")), json!(["api", "db"]));
    let matched =
        format!("/api/v1/label/job/values?{MINUTE}&match%5B%5D=up%7Binstance%3D%22b%3A1%22%7D");
    assert_eq!(get(&matched), json!(["db"]));
    assert_eq!(get(&format!("/api/v1/label/U__http_2e_status/values?{MINUTE}")), json!(["200"]));
    assert_eq!(get("/api/v1/label/job/values?start=1600000000&end=1600000060"), json!([]));
    assert_eq!(get("/api/v1/metadata?limit=40000"), json!({}));
}

#[test]
fn the_series_of_a_store() {
    let server = filled();
    let all = "match%5B%5D=%7B__name__%21%3D%22%22%7D";
    let path = format!("/api/v1/series?{all}&{MINUTE}&limit=40000");
    let series = data(&server, "GET", &path, "");
    assert_eq!(series.as_array().unwrap().len(), 3);
    assert!(series.as_array().unwrap().contains(&json!({
        "__name__": "up", "job": "api", "instance": "a:1",
    })));
    let form = format!("{all}&{MINUTE}&limit=40000");
    assert_eq!(data(&server, "POST", "/api/v1/series", &form), series);
    let cut = ask(&server, "GET", &format!("/api/v1/series?{all}&limit=2"), "").json();
    assert_eq!(cut["data"].as_array().unwrap().len(), 2);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

/// A POST that answers 405 is repeated as GET with the body in the URL.
#[test]
fn what_has_no_post_says_so() {
    let server = filled();
    let answer = ask(&server, "POST", "/api/v1/label/job/values", MINUTE);
    assert_eq!(answer.status, 405);
    assert_eq!(ask(&server, "POST", "/api/v1/metadata", "limit=1").status, 405);
}
