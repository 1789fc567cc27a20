//! `vmalert` evaluates rules here and writes what they yield back here.
//!
//! Its `-remoteRead.url`, from which it restores since when an alert is pending, is left out: it asks there
//! with `default_rollup`, a function of MetricsQL, which Prometheus does not have either.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use siltstone::{Clock, SystemClock};
use siltstone_server_testing::client::get;
use siltstone_server_testing::harness::{Server, percent, series, server};

use crate::program::{Running, find, free_address, wait};

/// One recording rule, one alert that fires at once, one that waits for an hour, one that never does.
const RULES: &str = "groups:
- name: test
  interval: 1s
  rules:
  - record: job:requests:irate5m
    expr: sum by (job) (irate(requests_total[5m]))
    labels: {origin: rule}
  - alert: Many
    expr: requests_total{job=\"api\"} > 100
    labels: {severity: page}
  - alert: Long
    expr: requests_total{job=\"db\"} > 100
    for: 1h
  - alert: Never
    expr: requests_total < 0
";

/// A vmalert that asks, writes to and reads from `server`.
fn start(program: &Path, server: &Server, directory: &Path) -> Running {
    let rules = directory.join("rules.yml");
    #[expect(clippy::disallowed_methods, reason = "rules of another program, not a store")]
    std::fs::write(&rules, RULES).unwrap();
    let mut command = Command::new(program);
    for side in ["datasource", "remoteWrite"] {
        command.arg(format!("-{side}.url=http://{}", server.address));
    }
    command
        .arg(format!("-rule={}", rules.display()))
        .arg(format!("-httpListenAddr={}", free_address()))
        .args(["-notifier.blackhole", "-remoteWrite.flushInterval=200ms", "-loggerLevel=ERROR"])
        .args(["-rule.evalDelay=0s", "-datasource.queryStep=15s"])
        .current_dir(directory)
        .stdout(Stdio::null());
    Running::start(&mut command)
}

/// The metrics and values of an instant query now, in the order of the answer.
fn now(server: &Server, query: &str) -> Vec<(Value, String)> {
    let answer = get(server.address, &format!("/api/v1/query?query={}", percent(query)));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let result = answer.json()["data"]["result"].take();
    let series = result.as_array().unwrap().iter();
    series.map(|s| (s["metric"].clone(), s["value"][1].as_str().unwrap().to_owned())).collect()
}

/// Counters that grow by 2 and 4 a second since ten minutes ago, to ten minutes from now, so that every
/// evaluation in between has the same rate.
fn fill(server: &Server) {
    let start_s = SystemClock::default().wall_ms() / 1000 - 600;
    let mut body = Vec::new();
    for (job, rate) in [("api", 2.0), ("db", 4.0)] {
        let sample = |i: i64| ((start_s + i * 15) * 1000, 1000.0 + i as f64 * 15.0 * rate);
        let samples: Vec<_> = (0..=80).map(sample).collect();
        body.extend(series(&[("__name__", "requests_total"), ("job", job)], &samples));
    }
    assert_eq!(server.write(&body).status, 204);
}

#[test]
fn rules_are_evaluated_and_written_back() {
    let Some(program) = find("vmalert") else { return };
    let server = server();
    fill(&server);
    let dir = tempfile::tempdir().unwrap();
    let mut running = start(&program, &server, dir.path());
    let mut comes = |what: &str, query: &str, count: usize| {
        wait(what, || {
            assert!(!running.has_ended(), "vmalert ended");
            now(&server, query).len() == count
        });
    };
    comes("recorded series", "job:requests:irate5m", 2);
    comes("alerts", "ALERTS", 2);
    comes("the state of alerts", "ALERTS_FOR_STATE", 2);

    let recorded = |job: &str| {
        let metric = json!({"__name__": "job:requests:irate5m", "job": job, "origin": "rule"});
        (metric, if job == "api" { "2" } else { "4" }.to_owned())
    };
    assert_eq!(now(&server, "sort(job:requests:irate5m)"), [recorded("api"), recorded("db")]);
    // The group's name is vmalert's own label.
    let alert = |name: &str, state: &str, more: Value| {
        let mut metric = json!({"__name__": "ALERTS", "alertname": name, "alertstate": state,
            "alertgroup": "test"});
        metric.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        (metric, "1".to_owned())
    };
    let firing = alert("Many", "firing", json!({"job": "api", "severity": "page"}));
    assert_eq!(now(&server, "ALERTS{alertstate=\"firing\"}"), [firing]);
    let pending = alert("Long", "pending", json!({"job": "db"}));
    assert_eq!(now(&server, "ALERTS{alertstate=\"pending\"}"), [pending]);
    // It writes the time at which each became active, which stays while the samples' own times go on.
    comes("more evaluations", "count_over_time(ALERTS_FOR_STATE[5m]) > 2", 2);
    assert_eq!(now(&server, "changes(ALERTS_FOR_STATE[5m]) > 0"), []);
    assert_eq!(now(&server, "timestamp(ALERTS) - on (alertname) ALERTS_FOR_STATE < 0"), []);
}
