//! Answers of range queries that are kept: what a panel that moves costs, and that it never shows what is
//! not there any more.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use siltstone::sys::SimClock;
use siltstone::{Background, Options};
use siltstone_server::ServerConfig;
use siltstone_server_testing::harness::{Server, percent, series, server};

/// A sample each 15 s for an hour of two counters that rise by 1 and 2 a second.
fn filled(server: &Server) {
    let mut body = Vec::new();
    for (instance, rate) in [("a", 1.0), ("b", 2.0)] {
        let labels = [("__name__", "requests_total"), ("instance", instance)];
        let samples: Vec<_> = (0..=240).map(|i| (i * 15_000, i as f64 * 15.0 * rate)).collect();
        body.extend(series(&labels, &samples));
    }
    assert_eq!(server.write(&body).status, 204);
}

/// Minutes of the first and the last step, a minute apart; what is answered, samples read, steps that
/// were kept.
fn ask(server: &Server, expr: &str, (start, end): (i64, i64), more: &str) -> (Value, u64, u64) {
    let (start, end) = (start * 60, end * 60);
    let path = format!(
        "/api/v1/query_range?query={}&start={start}&end={end}&step=60&stats=all{more}",
        percent(expr)
    );
    let answer = server.get(&path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let data = answer.json()["data"].clone();
    let samples = &data["stats"]["samples"];
    let count = |name: &str| samples[name].as_u64().unwrap();
    (data["result"].clone(), count("totalQueryableSamples"), count("cachedSteps"))
}

/// As [`ask`], and that nothing else would be answered without the cache.
fn checked(server: &Server, expr: &str, range: (i64, i64)) -> (u64, u64) {
    let (result, read, kept) = ask(server, expr, range, "");
    let (expected, _, none) = ask(server, expr, range, "&nocache=1");
    assert_eq!((result, 0), (expected, none), "{expr} {range:?}");
    (read, kept)
}

const SUM: &str = "sum(rate(requests_total[5m]))";

#[test]
fn a_panel_that_moves_by_a_step_evaluates_the_new_one() {
    let server = server();
    filled(&server);
    // The first window lies before the range: 35 minutes of two series.
    assert_eq!(checked(&server, SUM, (10, 40)), (2 * 35 * 4, 0));
    assert_eq!(checked(&server, SUM, (11, 41)), (2 * 5 * 4, 30));
    assert_eq!(checked(&server, SUM, (11, 41)), (0, 31));
    assert_eq!(checked(&server, SUM, (8, 43)), (2 * (7 + 6) * 4, 31));
    let metrics = server.get("/metrics");
    let metrics = metrics.text();
    for line in [
        "siltstone_result_cache_lookups_total{outcome=\"whole\"} 1",
        "siltstone_result_cache_lookups_total{outcome=\"partial\"} 2",
        "siltstone_result_cache_lookups_total{outcome=\"miss\"} 1",
        "siltstone_result_cache_lookups_total{outcome=\"unfit\"} 0",
        "siltstone_result_cache_steps_total 92",
        "siltstone_result_cache_queries 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    assert!(!metrics.contains("siltstone_memory_bytes{kind=\"result_cache\"} 0"), "{metrics}");
}

#[test]
fn nocache_takes_nothing_and_keeps_nothing() {
    let server = server();
    filled(&server);
    for _ in 0..2 {
        assert_eq!(ask(&server, SUM, (10, 20), "&nocache=1").2, 0);
        assert_eq!(ask(&server, SUM, (10, 20), "&nocache=true").2, 0);
        assert_eq!(ask(&server, SUM, (10, 20), "&partial_response=true").2, 0);
    }
    assert_eq!(ask(&server, SUM, (10, 20), "&nocache=0").2, 0, "nothing was kept");
    assert_eq!(ask(&server, SUM, (10, 20), "").2, 11);
}

#[test]
fn late_samples_and_deletes_show() {
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    filled(&server);
    checked(&server, SUM, (10, 40));
    // Late, in minute 20: steps 20 to 24 see it, those before are fewer than those behind.
    let labels = [("__name__", "requests_total"), ("instance", "a")];
    assert_eq!(server.write(&series(&labels, &[(20 * 60_000, 5.0)])).status, 204);
    let (read, kept) = checked(&server, SUM, (10, 40));
    assert_eq!(kept, 15, "{read}");
    assert_eq!(checked(&server, SUM, (10, 40)), (0, 31));
    let deleted = server.post(
        &format!(
            "/api/v1/admin/tsdb/delete_series?match[]={}&start=1800&end=1860",
            percent("requests_total{instance=\"b\"}")
        ),
        &[],
        b"",
    );
    assert!(deleted.status < 300, "{}", deleted.text());
    let (_, kept) = checked(&server, SUM, (10, 40));
    assert!((15..25).contains(&kept), "{kept}");
    // New samples change what is new.
    assert_eq!(server.write(&series(&labels, &[(241 * 15_000, 3700.0)])).status, 204);
    assert_eq!(checked(&server, SUM, (10, 40)), (0, 31));
}

#[test]
fn what_has_expired_shows_no_more() {
    let clock = Arc::new(SimClock::new(3_600_000));
    let options = Options {
        clock: Arc::clone(&clock) as _,
        background: Background::Manual,
        retention: Some(Duration::from_secs(3600)),
        ..Options::default()
    };
    let server = Server::start(options, ServerConfig::default());
    filled(&server);
    checked(&server, SUM, (10, 40));
    assert_eq!(checked(&server, SUM, (10, 40)), (0, 31));
    for minute in 61..=80 {
        clock.advance(Duration::from_secs(60));
        let labels = [("__name__", "requests_total"), ("instance", "a")];
        assert_eq!(server.write(&series(&labels, &[(minute * 60_000, 1.0)])).status, 204);
        server.db.tick().unwrap();
    }
    // What is older than minute 20 has expired.
    let (_, kept) = checked(&server, SUM, (10, 40));
    assert!((14..=16).contains(&kept), "{kept}");
    let (result, ..) = ask(&server, "count(requests_total)", (10, 19), "");
    assert_eq!(result, serde_json::json!([]));
}

#[test]
fn the_cache_is_bounded_and_can_be_off() {
    let config = ServerConfig { query_cache_bytes: Some(20_000), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    filled(&server);
    for number in 0..40 {
        let expr = format!("sum(rate(requests_total[5m])) + {number}");
        checked(&server, &expr, (10, 40));
    }
    let bytes = |server: &Server| {
        let metrics = server.get("/metrics");
        let name = "siltstone_memory_bytes{kind=\"result_cache\"} ";
        let text = metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.parse::<u64>().unwrap()
    };
    assert!((10_000..=20_000).contains(&bytes(&server)), "{}", bytes(&server));
    let newest = "sum(rate(requests_total[5m])) + 39";
    assert_eq!(checked(&server, newest, (10, 40)), (0, 31));
    assert_eq!(checked(&server, "sum(rate(requests_total[5m])) + 0", (10, 40)).1, 0);
    let config = ServerConfig { query_cache_bytes: Some(0), ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    filled(&server);
    (0..2).for_each(|_| assert_eq!(checked(&server, SUM, (10, 40)).1, 0));
    assert_eq!(bytes(&server), 0);
}
