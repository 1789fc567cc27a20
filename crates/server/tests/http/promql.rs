//! `/api/v1/query` and `/api/v1/query_range` on stored samples, and the list of those that run.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};
use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{Server, percent, series, server};

/// A minute of `requests_total` for two instances of two jobs, every 15 s; and `دما` once.
fn filled() -> Server {
    let server = server();
    fill(&server);
    server
}

fn fill(server: &Server) {
    let mut body = Vec::new();
    for (job, instance, rate) in [("api", "a", 1.0), ("api", "b", 2.0), ("db", "a", 4.0)] {
        let labels = [("__name__", "requests_total"), ("instance", instance), ("job", job)];
        let sample = |i: i64| (i * 15_000, i as f64 * 15.0 * rate);
        body.extend(series(&labels, &(0..=8).map(sample).collect::<Vec<_>>()));
    }
    body.extend(series(&[("__name__", "دما"), ("شهر", "تبریز")], &[(60_000, 21.5)]));
    assert_eq!(server.write(&body).status, 204);
}

fn query(server: &Server, expr: &str, more: &str) -> Answer {
    server.get(&format!("/api/v1/query?query={}{more}", percent(expr)))
}

fn range(server: &Server, expr: &str, more: &str) -> Answer {
    server.get(&format!("/api/v1/query_range?query={}{more}", percent(expr)))
}

fn data(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["status"], "success");
    json["data"].clone()
}

#[test]
fn instant_queries_of_every_type() {
    let server = filled();
    // What Grafana asks when a data source is saved.
    let scalar = data(&query(&server, "1+1", "&time=4"));
    assert_eq!(scalar, json!({"resultType": "scalar", "result": [4, "2"]}));
    let text = data(&query(&server, "\"می‌رود\"", "&time=4.5"));
    assert_eq!(text, json!({"resultType": "string", "result": [4.5, "می‌رود"]}));
    let sums = data(&query(&server, "sum by (job) (requests_total)", "&time=120"));
    let expected = json!({"resultType": "vector", "result": [
        {"metric": {"job": "api"}, "value": [120, "360"]},
        {"metric": {"job": "db"}, "value": [120, "480"]},
    ]});
    assert_eq!(sums, expected);
    let raw = data(&query(&server, "requests_total{job=\"db\"}[31s]", "&time=60"));
    let metric = json!({"__name__": "requests_total", "instance": "a", "job": "db"});
    let values = json!([[30, "120"], [45, "180"], [60, "240"]]);
    assert_eq!(raw["result"], json!([{"metric": metric, "values": values}]));
    let persian = data(&query(&server, "{\"دما\"}", "&time=61"));
    let metric = json!({"__name__": "دما", "شهر": "تبریز"});
    assert_eq!(persian["result"], json!([{"metric": metric, "value": [61, "21.5"]}]));
    assert_eq!(data(&query(&server, "nothing", ""))["result"], json!([]));
    // A form, and the default of the time, which is now.
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let now = server.post("/api/v1/query", &form, b"query=time()");
    assert!(data(&now)["result"][0].as_f64().unwrap() > 1.7e9);
}

#[test]
fn a_long_series_is_answered_whole() {
    let server = server();
    let samples: Vec<(i64, f64)> = (0..70_000).map(|i| (i * 1000, i as f64)).collect();
    assert_eq!(server.write(&series(&[("__name__", "long")], &samples)).status, 204);
    assert_eq!(server.write(&series(&[("__name__", "short")], &samples[..3])).status, 204);
    let answer = data(&query(&server, "{__name__=~\"long|short\"}[30h]", "&time=70000"));
    let found = answer["result"].as_array().unwrap();
    let points = |at: usize| found[at]["values"].as_array().unwrap();
    assert_eq!((points(0).len(), points(1).len()), (70_000, 3));
    assert_eq!(points(0)[69_999], json!([69_999, "69999"]));
}

#[test]
fn range_queries() {
    let server = filled();
    let sums = "sum by (job) (max_over_time(requests_total[1m]))";
    let answer = data(&range(&server, sums, "&start=60&end=90&step=15"));
    let expected = json!({"resultType": "matrix", "result": [
        {"metric": {"job": "api"}, "values": [[60, "180"], [75, "225"], [90, "270"]]},
        {"metric": {"job": "db"}, "values": [[60, "240"], [75, "300"], [90, "360"]]},
    ]});
    assert_eq!(answer, expected);
    let half = data(&range(&server, "vector(7)", "&start=0&end=1&step=0.5"));
    assert_eq!(half["result"][0]["values"], json!([[0, "7"], [0.5, "7"], [1, "7"]]));
    // The same from segments.
    server.db.flush().unwrap();
    assert_eq!(data(&range(&server, sums, "&start=60&end=90&step=15s")), expected);
    let short = range(&server, "requests_total", "&start=300&end=300&step=1&lookback_delta=1m");
    assert_eq!(data(&short)["result"], json!([]));
}

fn refused(answer: &Answer, status: u16, kind: &str, says: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["status"], &json["errorType"]), (&json!("error"), &json!(kind)));
    let error = json["error"].as_str().unwrap();
    assert!(error.contains(says), "{error}");
}

#[test]
fn what_is_wrong_is_said_with_prometheus_s_codes() {
    let server = filled();
    let wrong = |answer: &Answer, says| refused(answer, 400, "bad_data", says);
    wrong(&query(&server, "sum(", ""), "invalid parameter \"query\": 1:5: parse error");
    wrong(&query(&server, "", ""), "no expression found in input");
    wrong(&query(&server, "up", "&time=x"), "invalid parameter \"time\"");
    wrong(&query(&server, "up", "&timeout=1.5h"), "invalid parameter \"timeout\"");
    wrong(&range(&server, "up", "&start=1&end=2"), "invalid parameter \"step\"");
    wrong(&range(&server, "up", "&end=2&step=1"), "invalid parameter \"start\"");
    wrong(&range(&server, "up", "&start=2&end=1&step=1"), "must not be before start time");
    wrong(&range(&server, "up", "&start=1&end=2&step=0"), "zero or negative");
    wrong(&range(&server, "up", "&start=0&end=11001&step=1"), "11,000 points");
    assert_eq!(range(&server, "up", "&start=0&end=11000&step=1").status, 200);
    wrong(&range(&server, "up[1m]", "&start=1&end=2&step=1"), "for range query");
    let many = "requests_total * on (job) requests_total";
    refused(&query(&server, many, "&time=60"), 422, "execution", "many-to-many");
    refused(&query(&server, "requests_total", "&timeout=0"), 503, "timeout", "timed out");
}

#[test]
fn limits_annotations_and_stats() {
    let server = filled();
    let cut = query(&server, "requests_total", "&time=60&limit=2");
    assert_eq!(data(&cut)["result"].as_array().unwrap().len(), 2);
    assert_eq!(cut.json()["warnings"], json!(["results truncated due to limit"]));
    let whole = query(&server, "requests_total", "&time=60&limit=3");
    assert!(whole.json()["warnings"].is_null());
    let odd = query(&server, "quantile(7, rate({__name__=\"دما\"}[1m])) + rate(دما2[1m])", "");
    assert_eq!(odd.status, 400, "not a name without quotes");
    let warned = query(&server, "quantile(7, requests_total)", "&time=60").json();
    let text = warned["warnings"][0].as_str().unwrap();
    assert!(text.starts_with("PromQL warning: quantile value should be between 0 and 1"), "{text}");
    let informed = query(&server, "rate({\"دما\"}[1m])", "&time=60").json();
    assert!(informed["infos"].is_null(), "one sample is no rate: {informed}");
    let stats = data(&query(&server, "requests_total", "&time=60&stats=all"))["stats"].clone();
    assert_eq!(stats["samples"]["totalQueryableSamples"], 15, "{stats}");
    assert!(stats["timings"]["evalTotalTime"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_query_that_needs_too_much_memory_is_refused_and_no_other() {
    let config = ServerConfig { query_bytes_max: Some(1 << 20), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    fill(&server);
    let greedy = "count_values(\"v\", vector(time()))";
    let answer = range(&server, greedy, "&start=0&end=100000&step=10");
    refused(&answer, 422, "execution", "1048576 bytes");
    let sums = range(&server, "sum(requests_total)", "&start=60&end=90&step=15");
    assert_eq!(data(&sums)["result"][0]["values"][0], json!([60, "420"]));
    let metrics = server.get("/metrics");
    let metrics = metrics.text();
    for line in [
        "siltstone_queries_total{kind=\"range\",outcome=\"execution\"} 1",
        "siltstone_queries_total{kind=\"range\",outcome=\"success\"} 1",
        "siltstone_query_bytes_max 1048576",
        "siltstone_query_bytes_shared 0",
        "siltstone_queries_running 0",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// A query that takes much longer than a test, and little memory.
fn endless() -> String {
    let (open, close) = ("sin(".repeat(500), ")".repeat(500));
    format!("sum_over_time(({open}vector(time()){close})[1d:100ms])")
}

#[test]
fn queries_that_run_are_listed_and_can_be_stopped() {
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    std::thread::scope(|scope| {
        let endless = endless();
        let path = format!("time=1e9&query={}", percent(&endless));
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let server = &server;
        let asked = scope.spawn(move || server.post("/api/v1/query", &form, path.as_bytes()));
        let id = loop {
            let list = data(&server.get("/api/v1/status/active_queries"));
            if let Some(first) = list.get(0) {
                assert_eq!(first["kind"], "instant");
                assert_eq!(first["query"], endless);
                break first["id"].as_str().unwrap().to_owned();
            }
            std::thread::yield_now();
        };
        let cancel =
            |id: &str| server.post(&format!("/api/v1/admin/queries/{id}/cancel"), &[], b"");
        assert_eq!(cancel("x").status, 400);
        assert_eq!(cancel("999").status, 404);
        assert_eq!(cancel(&id).status, 204);
        refused(&asked.join().unwrap(), 499, "canceled", "canceled");
    });
    assert_eq!(data(&server.get("/api/v1/status/active_queries")), json!([]));
}

#[test]
fn a_query_ends_when_its_client_leaves() {
    let server = server();
    let mut stream = siltstone_server_testing::client::connect(server.address);
    let path = format!("/api/v1/query?time=1e9&query={}", percent(&endless()));
    std::io::Write::write_all(
        &mut stream,
        &siltstone_server_testing::client::head("GET", &path, &[], 0),
    )
    .unwrap();
    let running = || data(&server.get("/api/v1/status/active_queries")).as_array().unwrap().len();
    let wait = |count| {
        let paused = (0..4000).find(|_| {
            server.pause(Duration::from_millis(5));
            running() == count
        });
        assert!(paused.is_some(), "never {count} queries run");
    };
    wait(1);
    drop(stream);
    wait(0);
    let metrics = server.get("/metrics");
    let line = "siltstone_queries_total{kind=\"instant\",outcome=\"client_gone\"} 1";
    let counted: Vec<&str> =
        metrics.text().lines().filter(|line| line.starts_with("siltstone_queries")).collect();
    assert!(metrics.text().contains(line), "{counted:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "damages a file behind the store's back")]
fn damage_is_an_error_with_its_place_or_a_warning() {
    let server = filled();
    server.db.flush().unwrap();
    let segments = fs::read_dir(server.db.dir()).unwrap().map(|entry| entry.unwrap().path());
    let segment = segments.into_iter().find(|path| path.extension().is_some_and(|e| e == "seg"));
    let segment = segment.unwrap();
    let sound = fs::read(&segment).unwrap();
    let ask = |more| query(&server, "sum(requests_total) or {\"دما\"}", more);
    // The first bytes behind the header are those of a value block.
    let at = (64..256).find(|at| {
        let mut damaged = sound.clone();
        damaged[*at] ^= 1;
        fs::write(&segment, &damaged).unwrap();
        ask("&time=60").status != 200
    });
    assert!(at.is_some(), "a flipped bit in a value block is noticed");
    refused(&ask("&time=60"), 422, "execution", "value block");
    let counted = server.get("/metrics");
    let none = "siltstone_corruption_total 0";
    assert!(!counted.text().contains(none), "what queries meet is counted");
    let rest = ask("&time=60&partial_response=true");
    assert_eq!(rest.status, 200, "{}", rest.text());
    let warnings = rest.json()["warnings"].to_string();
    assert!(warnings.contains("value block") && warnings.contains(".seg"), "{warnings}");
    assert_eq!(server.get("/api/v1/series?match[]=requests_total").status, 200);
    fs::write(&segment, &sound).unwrap();
    assert_eq!(ask("&time=60").status, 200);
}
