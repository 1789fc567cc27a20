//! What Grafana's Prometheus data source asks for, as it was recorded.

use serde_json::{Value, json};
use siltstone_server_testing::client::{Answer, request};
use siltstone_server_testing::harness::{Server, series, server};

use crate::coding::decoded;

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
    let json: Value = serde_json::from_slice(&decoded(&answer)).unwrap();
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

/// A quarter of an hour of a counter of two jobs, every 15 s, behind the minute of [`filled`].
fn counting() -> Server {
    let server = filled();
    let mut body = Vec::new();
    for (job, rate) in [("api", 2.0), ("db", 4.0)] {
        let sample = |i: i64| (1_700_000_040_000 + i * 15_000, i as f64 * 15.0 * rate);
        let samples: Vec<_> = (0..=60).map(sample).collect();
        body.extend(series(&[("__name__", "requests_total"), ("job", job)], &samples));
    }
    assert_eq!(server.write(&body).status, 204);
    server
}

/// 'Save & test' evaluates this; a scalar of the time 4 means that all is well.
#[test]
fn save_and_test_evaluates() {
    let server = filled();
    let expected = json!({"resultType": "scalar", "result": [4, "2"]});
    let path = "/api/v1/query?query=1%2B1&time=4";
    assert_eq!(data(&server, "GET", path, ""), expected);
    assert_eq!(data(&server, "POST", "/api/v1/query", "query=1%2B1&time=4"), expected);
    let millis = "query=1%2B1&time=4.000";
    assert_eq!(data(&server, "POST", "/api/v1/query", millis), expected);
}

/// A panel of a quarter of an hour: `$__rate_interval` is a minute there, and start and end are seconds with
/// a fraction, aligned to the step.
#[test]
fn a_panel_over_a_range() {
    let server = counting();
    let query = "sum+by+%28job%29+%28rate%28requests_total%5B1m0s%5D%29%29";
    let form = format!("query={query}&start=1700000100.000&end=1700000940.000&step=15.000");
    let posted = data(&server, "POST", "/api/v1/query_range", &form);
    assert_eq!(posted["resultType"], "matrix");
    let result = posted["result"].as_array().unwrap();
    let metrics: Vec<_> = result.iter().map(|series| &series["metric"]).collect();
    assert_eq!(metrics, [&json!({"job": "api"}), &json!({"job": "db"})]);
    for (series, rate) in result.iter().zip([2.0, 4.0]) {
        let values = series["values"].as_array().unwrap();
        assert_eq!(values.len(), 57);
        for (value, at) in values.iter().zip((1_700_000_100..).step_by(15)) {
            assert_eq!(value[0], json!(at));
            let found: f64 = value[1].as_str().unwrap().parse().unwrap();
            assert!((found - rate).abs() < 1e-9, "{value}");
        }
    }
    let path = format!("/api/v1/query_range?{form}");
    assert_eq!(data(&server, "GET", &path, ""), posted);
}

/// Explore asks for both, a range and an instant; steps may be parts of a second.
#[test]
fn explore_and_instant_panels() {
    let server = counting();
    let form =
        "query=requests_total%7Bjob%3D%22db%22%7D&start=1700000040.5&end=1700000041.5&step=0.5";
    let metric = json!({"__name__": "requests_total", "job": "db"});
    let values = json!([[1_700_000_040.5, "0"], [1_700_000_041, "0"], [1_700_000_041.5, "0"]]);
    assert_eq!(
        data(&server, "POST", "/api/v1/query_range", form),
        json!({"resultType": "matrix", "result": [{"metric": metric, "values": values}]})
    );
    let form = "query=requests_total%7Bjob%3D%22db%22%7D&time=1700000940.000";
    assert_eq!(
        data(&server, "POST", "/api/v1/query", form),
        json!({"resultType": "vector", "result": [
            {"metric": metric, "value": [1_700_000_940, "3600"]},
        ]})
    );
    // A table of what was typed so far: the raw samples of a range.
    let form = "query=requests_total%7Bjob%3D%22db%22%7D%5B30s%5D&time=1700000100.123";
    let values = json!([[1_700_000_085, "180"], [1_700_000_100, "240"]]);
    assert_eq!(
        data(&server, "POST", "/api/v1/query", form),
        json!({"resultType": "matrix", "result": [{"metric": metric, "values": values}]})
    );
    // Nothing there is an answer, not an error.
    let form = "query=nothing&start=1700000040&end=1700000940&step=15";
    let nothing = json!({"resultType": "matrix", "result": []});
    assert_eq!(data(&server, "POST", "/api/v1/query_range", form), nothing);
}

/// What a person types wrong is shown in the panel.
#[test]
fn a_wrong_query_says_why() {
    let server = counting();
    let form = "query=sum%28&start=1700000040&end=1700000940&step=15";
    let answer = ask(&server, "POST", "/api/v1/query_range", form);
    assert_eq!(answer.status, 400);
    let json = answer.json();
    assert_eq!((&json["status"], &json["errorType"]), (&json!("error"), &json!("bad_data")));
    assert!(json["error"].as_str().unwrap().starts_with("invalid parameter \"query\": 1:5: "));
}
