//! Series, label names and label values in Prometheus' envelope.

use serde_json::json;
use siltstone_server_testing::client::request;
use siltstone_server_testing::harness::{Server, percent, server};

fn filled() -> Server {
    let server = server();
    let body = "up{job=\"a\",zone=\"1\"} 1 1000\nup{job=\"b\"} 1 2000\nload{job=\"a\"} 1 3000\n\
        {\"دما\",\"شهر.نام\"=\"می\u{200c}رود\"} 1 4000\n";
    assert_eq!(server.post("/api/v1/import/prometheus", &[], body.as_bytes()).status, 204);
    server
}

fn data(server: &Server, path: &str) -> serde_json::Value {
    let answer = server.get(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["status"], "success");
    json["data"].clone()
}

#[test]
fn series_are_label_sets() {
    let server = filled();
    let up = json!([
        {"__name__": "up", "job": "a", "zone": "1"},
        {"__name__": "up", "job": "b"},
    ]);
    assert_eq!(data(&server, "/api/v1/series?match[]=up"), up);
    let both = format!("/api/v1/series?match[]=up&match[]={}", percent("{job=\"b\"}"));
    assert_eq!(data(&server, &both), up, "each series once");
    assert_eq!(data(&server, "/api/v1/series?match[]=up&start=1.5&end=2"), json!([up[1]]));
    assert_eq!(data(&server, "/api/v1/series?match[]=nothing"), json!([]));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let answer = server.post("/api/v1/series?start=0", &form, b"match[]=up");
    assert_eq!(answer.json()["data"], up);
    let persian = format!("/prometheus/api/v1/series?match[]={}", percent("{\"شهر.نام\"=~\".+\"}"));
    let expected = json!([{"__name__": "دما", "شهر.نام": "می\u{200c}رود"}]);
    assert_eq!(data(&server, &persian), expected);
}

#[test]
fn names_and_values() {
    let server = filled();
    let names = data(&server, "/api/v1/labels");
    assert_eq!(names, json!(["__name__", "job", "zone", "شهر.نام"]));
    assert_eq!(data(&server, "/api/v1/labels?match[]=load"), json!(["__name__", "job"]));
    let values = |name: &str| data(&server, &format!("/api/v1/label/{name}/values"));
    assert_eq!(values("job"), json!(["a", "b"]));
    assert_eq!(values("__name__"), json!(["load", "up", "دما"]));
    assert_eq!(values("nothing"), json!([]));
    assert_eq!(values(&percent("شهر.نام")), json!(["می\u{200c}رود"]));
    assert_eq!(values("U___634__647__631__2e__646__627__645_"), json!(["می\u{200c}رود"]));
    assert_eq!(data(&server, "/api/v1/label/job/values?match[]=load"), json!(["a"]));
    assert_eq!(data(&server, "/api/v1/label/job/values?start=2&end=2"), json!(["b"]));
}

#[test]
fn what_is_cut_is_said() {
    let server = filled();
    let warning = json!(["results truncated due to limit"]);
    for path in ["/api/v1/series?match[]=up", "/api/v1/labels?a=b", "/api/v1/label/job/values?a=b"]
    {
        let cut = server.get(&format!("{path}&limit=1")).json();
        assert_eq!(cut["data"].as_array().unwrap().len(), 1, "{path}");
        assert_eq!(cut["warnings"], warning, "{path}");
        let whole = server.get(&format!("{path}&limit=0")).json();
        assert!(
            whole["data"].as_array().unwrap().len() > 1 && whole["warnings"].is_null(),
            "{path}"
        );
    }
    let exact = server.get("/api/v1/series?match[]=up&limit=2").json();
    assert!(exact["warnings"].is_null(), "nothing was cut: {exact}");
}

#[test]
fn errors_come_in_the_envelope() {
    let server = filled();
    for path in [
        "/api/v1/series",
        "/api/v1/series?match[]=up%7B",
        "/api/v1/series?match[]=%7B%7D",
        "/api/v1/labels?start=x",
        "/api/v1/labels?start=2&end=1",
        "/api/v1/labels?limit=-1",
        "/api/v1/labels?match[]=%ff",
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        let json = answer.json();
        assert_eq!((&json["status"], &json["errorType"]), (&json!("error"), &json!("bad_data")));
        assert!(!json["error"].as_str().unwrap().is_empty());
    }
    let error = server.get("/api/v1/labels?start=x").json();
    assert!(error["error"].as_str().unwrap().starts_with("invalid parameter \"start\""), "{error}");
    let answer = request(server.address, "POST", "/api/v1/label/job/values", &[], b"");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")));
}

#[test]
fn hostile_expressions_are_refused() {
    let server = filled();
    for regex in [
        r"(\\pL{30}){30}".to_owned(),
        format!("{}a{}", "(".repeat(300), ")".repeat(300)),
        "((a{60}){60}){60}".to_owned(),
    ] {
        let selector = percent(&format!("{{job=~\"{regex}\"}}"));
        let answer = server.get(&format!("/api/v1/series?match[]={selector}"));
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    // Matching is linear: what others backtrack in for ever is answered.
    let slow = percent(&format!("{{job=~\"{}\"}}", "(x+x+)+y".repeat(1000)));
    assert_eq!(server.get(&format!("/api/v1/series?match[]={slow}")).status, 200);
    server.assert_healthy();
}
