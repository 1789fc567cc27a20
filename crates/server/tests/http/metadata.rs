//! Type, help and unit of metrics, as remote write brings them.

use serde_json::{Value, json};
use siltstone_server_testing::harness::{Server, field, one, server};

/// A request about one metric.
fn about(kind: u8, name: &str, help: &str, unit: &str) -> Vec<u8> {
    let mut message = vec![1 << 3, kind];
    for (number, text) in [(2, name), (4, help), (5, unit)] {
        message.extend(field(number, text.as_bytes()));
    }
    field(3, &message)
}

fn data(server: &Server, query: &str) -> Value {
    let answer = server.get(&format!("/api/v1/metadata{query}"));
    assert_eq!(answer.status, 200, "{query}: {}", answer.text());
    answer.json()["data"].clone()
}

#[test]
fn the_newest_of_each_metric_is_served() {
    let server = server();
    assert_eq!(data(&server, ""), json!({}));
    let mut body = about(1, "requests_total", "Old.", "");
    body.extend(one("requests_total", 1, 1.0));
    body.extend(about(1, "requests_total", "Requests, \"all\".", ""));
    body.extend(about(2, "دما", "", "celsius"));
    let answer = server.write(&body);
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("x-prometheus-remote-write-samples-written"), Some("1"));
    let requests = json!([{"type": "counter", "help": "Requests, \"all\".", "unit": ""}]);
    let warmth = json!([{"type": "gauge", "help": "", "unit": "celsius"}]);
    assert_eq!(data(&server, ""), json!({"requests_total": requests, "دما": warmth}));
    assert_eq!(data(&server, "?limit=1"), json!({"requests_total": requests}));
    assert_eq!(data(&server, "?limit=1&metric=%D8%AF%D9%85%D8%A7"), json!({"دما": warmth}));
    assert_eq!(data(&server, "?metric=none&limit_per_metric=1"), json!({}));
    let metrics = server.get("/metrics");
    assert!(metrics.text().contains("\nsiltstone_metadata_families 2\n"), "{}", metrics.text());
}

#[test]
fn numbers_must_be_numbers() {
    let server = server();
    for query in ["?limit=x", "?limit_per_metric=1.5"] {
        let answer = server.get(&format!("/api/v1/metadata{query}"));
        assert_eq!((answer.status, &answer.json()["errorType"]), (400, &json!("bad_data")));
    }
}

#[test]
fn damaged_metadata_refuses_the_request_and_stores_nothing() {
    let server = server();
    let mut body = one("up", 1, 1.0);
    body.extend(field(3, &[2 << 3 | 2, 9, b'a']));
    let answer = server.write(&body);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("protobuf, byte"), "{}", answer.text());
    assert!(server.everything().is_empty());
}

#[test]
fn thousands_of_metrics_are_streamed_each_once() {
    let server = server();
    let help = "h".repeat(100);
    let body: Vec<u8> = (0..2000).flat_map(|i| about(2, &format!("m{i}"), &help, "")).collect();
    assert_eq!(server.write(&body).status, 204);
    let answer = server.get("/api/v1/metadata");
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert_eq!(answer.json()["data"].as_object().unwrap().len(), 2000);
    assert_eq!(answer.text().matches(&help).count(), 2000);
    assert_eq!(data(&server, "?limit=130").as_object().unwrap().len(), 130);
}
