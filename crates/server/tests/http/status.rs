//! `/api/v1/status/`, and what a server answers that neither scrapes nor alerts.

use std::time::Duration;

use serde_json::{Value, json};
use siltstone::Options;
use siltstone_server::{CorsOrigin, ServerConfig};
use siltstone_server_testing::harness::{Server, percent, series, server};

fn data(server: &Server, path: &str) -> Value {
    let answer = server.get(&format!("/api/v1/{path}"));
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["status"], "success", "{path}");
    json["data"].clone()
}

#[test]
fn what_is_not_there_has_the_shape_of_an_empty_prometheus() {
    let server = server();
    for (path, expected) in [
        ("rules", json!({"groups": []})),
        ("rules?type=alert&exclude_alerts=true&rule_name[]=x&match[]=up", json!({"groups": []})),
        ("alerts", json!({"alerts": []})),
        ("alertmanagers", json!({"activeAlertmanagers": [], "droppedAlertmanagers": []})),
        ("scrape_pools", json!({"scrapePools": []})),
        ("targets/metadata?match_target=up%7Bjob%3D%22x%22%7D&limit=5", json!([])),
        ("targets", json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}})),
        (
            "targets?state=active&scrapePool=x",
            json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": null}),
        ),
    ] {
        assert_eq!(data(&server, path), expected, "{path}");
    }
    for path in [
        "rules?type=other",
        "rules?match[]=up%7B",
        "rules?exclude_alerts=perhaps",
        "rules?group_limit=x",
        "targets/metadata?match_target=%7B",
        "targets/metadata?limit=x",
    ] {
        let answer = server.get(&format!("/api/v1/{path}"));
        assert_eq!(
            (answer.status, &answer.json()["errorType"]),
            (400, &json!("bad_data")),
            "{path}"
        );
    }
}

#[test]
fn flags_are_the_configuration() {
    let options = Options {
        retention: Some(Duration::from_secs(90 * 86_400)),
        memory_budget_bytes: 64 << 20,
        ..Options::default()
    };
    let config = ServerConfig {
        reads_max: 7,
        query_timeout: Duration::from_millis(1500),
        cors_origin: CorsOrigin::new("https://x").unwrap(),
        ..ServerConfig::default()
    };
    let server = Server::start(options, config);
    let flags = data(&server, "status/flags");
    for (name, value) in [
        ("retention", "90d"),
        ("storage.tsdb.retention.time", "90d"),
        ("memory-budget", "67108864"),
        ("bodies-max", "8388608"),
        ("reads-max", "7"),
        ("query.max-concurrency", "7"),
        ("query.timeout", "1500ms"),
        ("cors-origin", "https://x"),
        ("enable-admin", "false"),
        ("retention-bytes", ""),
        ("durability", "always"),
    ] {
        assert_eq!(flags[name], value, "{name}");
    }
    assert!(flags.as_object().unwrap().values().all(Value::is_string));
    assert_eq!(flags["listen"], server.address.to_string());
    assert_eq!(flags["web.listen-address"], server.address.to_string());
    assert_eq!(flags["probe-listen"], server.probes.to_string());
    assert_eq!(flags["data"], server.db.dir().display().to_string());
    assert_eq!(data(&server, "status/runtimeinfo")["storageRetention"], "90d");
}

#[test]
fn the_version_is_one_that_grafana_asks_everything_of() {
    let server = server();
    let build = data(&server, "status/buildinfo");
    let version = build["version"].as_str().unwrap();
    let (prometheus, ours) = version.split_once('+').unwrap();
    let numbers: Vec<u32> = prometheus.split('.').map(|n| n.parse().unwrap()).collect();
    assert!(numbers >= vec![2, 24, 0], "{version}");
    assert_eq!(ours, format!("siltstone.{}", env!("CARGO_PKG_VERSION")));
    assert!(build.get("features").is_none(), "Grafana would take this for a Mimir");
    let mut keys: Vec<&str> = build.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["branch", "buildDate", "buildUser", "goVersion", "revision", "version"]);
}

#[test]
fn the_runtime_and_the_configuration_file() {
    let server = server();
    let info = data(&server, "status/runtimeinfo");
    let now = server.db.options().clock.wall_ms();
    let started = info["startTime"].as_str().unwrap();
    let started = siltstone_server::time::parse_time(started).unwrap();
    assert!((now - 60_000..=now).contains(&started), "{info}");
    assert_eq!(info["reloadConfigSuccess"], true);
    assert_eq!(info["corruptionCount"], 0);
    assert_eq!(info["GOMEMLIMIT"], server.db.options().memory_budget_bytes);
    assert!(info["goroutineCount"].as_u64().unwrap() > 0, "{info}");
    assert!(info["GOMAXPROCS"].as_u64().unwrap() > 0 && info["CWD"].is_string());
    let yaml = data(&server, "status/config")["yaml"].clone();
    assert!(yaml.as_str().unwrap().contains("\nglobal:\n"), "{yaml}");
    assert_eq!(data(&server, "status/walreplay"), json!({"min": 0, "max": 0, "current": 0}));
}

#[test]
fn series_are_counted_by_what_they_have() {
    let server = server();
    let head = data(&server, "status/tsdb")["headStats"].clone();
    assert_eq!((&head["numSeries"], &head["numLabelPairs"]), (&json!(0), &json!(0)));
    assert_eq!((&head["minTime"], &head["maxTime"]), (&json!(i64::MAX), &json!(i64::MIN)));
    let mut body = Vec::new();
    for i in 0..5 {
        let host = format!("h{i}");
        body.extend(series(&[("__name__", "up"), ("host", &host)], &[(1000 + i, 1.0)]));
    }
    body.extend(series(&[("__name__", "load"), ("host", "h0")], &[(99, 1.0)]));
    assert_eq!(server.write(&body).status, 204);
    let all = data(&server, "status/tsdb");
    let head = json!({
        "numSeries": 6, "numLabelPairs": 7, "chunkCount": 0, "minTime": 99, "maxTime": 1004,
    });
    assert_eq!(all["headStats"], head);
    let count = |name: &str, value: u64| json!({"name": name, "value": value});
    assert_eq!(all["seriesCountByMetricName"], json!([count("up", 5), count("load", 1)]));
    assert_eq!(all["labelValueCountByLabelName"], json!([count("host", 5), count("__name__", 2)]));
    assert_eq!(all["memoryInBytesByLabelName"], json!([count("host", 10), count("__name__", 6)]));
    let pairs = all["seriesCountByLabelValuePair"].as_array().unwrap();
    assert_eq!(pairs[..2], [count("__name__=up", 5), count("host=h0", 2)]);
    assert_eq!(pairs.len(), 7);
    let top = data(&server, "status/tsdb?limit=1");
    assert_eq!(top["seriesCountByLabelValuePair"], json!([count("__name__=up", 5)]));
    assert_eq!(top["headStats"], head);
    for limit in ["0", "-1", "x", "10001"] {
        let answer = server.get(&format!("/api/v1/status/tsdb?limit={}", percent(limit)));
        assert_eq!((answer.status, &answer.json()["errorType"]), (400, &json!("bad_data")));
    }
}
