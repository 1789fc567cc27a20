//! A store that is served read-only: nothing is written, the owner's writes show, and files that it replaces or
//! that vanish are a newer answer or none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use siltstone::{Db, Durability, Labels, Matcher, Options, TimeRange, WriteBatch};
use siltstone_server::ServerConfig;
use siltstone_server::protocol::remote_read::{Query, ReadRequest, ResponseType};
use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::Answer;
use siltstone_server_testing::harness::{REMOTE_WRITE, Server, damage, one, percent};
use tempfile::TempDir;

type Reader = Server<()>;

const DAY_MS: i64 = 86_400_000;

/// Refreshed by queries alone. With few threads, since there are many servers.
fn on_demand() -> ServerConfig {
    ServerConfig {
        refresh_interval: Duration::from_secs(3600),
        admin: true,
        writes_max: 1,
        reads_max: 2,
        exports_max: 2,
        slow_answers_max: 2,
        ..ServerConfig::default()
    }
}

fn quick() -> ServerConfig {
    ServerConfig { refresh_interval: Duration::from_millis(100), ..on_demand() }
}

/// Few segments stay open, so that the files of others can go.
fn few_files() -> Options {
    Options { open_files_max: 16, ..Options::default() }
}

fn reader(dir: &Path, config: ServerConfig) -> Reader {
    Server::reading(dir, Options::default(), config)
}

/// An owner that merges when it is told to.
fn owner() -> (TempDir, PathBuf, Db) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store");
    let (compaction_threads, durability) = (0, Durability::Never);
    let options = Options { compaction_threads, durability, ..Options::default() };
    let db = Db::open(&path, options).unwrap();
    (dir, path, db)
}

/// More segments of the last minutes than [`few_files`] keeps open.
fn write_segments(db: &Db) {
    for number in 0..17 {
        write(db, now_ms(db) - 1000 * number, 1.0);
        db.flush().unwrap();
    }
}

fn now_ms(db: &Db) -> i64 {
    db.options().clock.wall_ms()
}

/// One sample of each of two series.
fn write(db: &Db, timestamp: i64, value: f64) {
    let mut batch = WriteBatch::new();
    for job in ["a", "b"] {
        let labels = Labels::from_pairs([("__name__", "up"), ("job", job)]).unwrap();
        batch.push(db.series(&labels).unwrap(), timestamp, value).unwrap();
    }
    db.write(&batch).unwrap();
}

fn compact(db: &Db) {
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
}

/// Every file with its bytes and the time of its last change.
#[expect(clippy::disallowed_methods, reason = "looks at a store from outside")]
fn fingerprint(dir: &Path) -> BTreeMap<PathBuf, (Vec<u8>, std::time::SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.insert(path.clone(), (Vec::new(), std::time::UNIX_EPOCH));
            found.extend(fingerprint(&path));
        } else {
            let changed = path.metadata().unwrap().modified().unwrap();
            found.insert(path.clone(), (std::fs::read(&path).unwrap(), changed));
        }
    }
    found
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let of_segments = |path: &PathBuf| path.extension().is_some_and(|e| e == "seg");
    fingerprint(dir).into_keys().filter(of_segments).collect()
}

#[expect(clippy::disallowed_methods, reason = "does to a store what should not be done")]
fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap();
}

/// The ways to read samples or series of all times up to `now`.
fn ways(now: i64) -> Vec<String> {
    let all = percent("{__name__=~\".+\"}");
    let (now, start) = (now / 1000 + 60, now / 1000 - 240);
    vec![
        format!("/api/v1/query?query=up&time={now}"),
        format!("/api/v1/query_range?query=sum(up)&start={start}&end={now}&step=60"),
        format!("/api/v1/series?match[]={all}"),
        "/api/v1/labels".to_owned(),
        "/api/v1/label/job/values".to_owned(),
        format!("/api/v1/export?match[]={all}&match[]=up"),
        format!("/federate?match[]={all}"),
    ]
}

fn remote_read<D>(server: &Server<D>, now: i64) -> Answer {
    let queries = ["a", "b"].map(|job| Query {
        start_ms: now - DAY_MS,
        end_ms: now + DAY_MS,
        matchers: vec![Matcher::equal("job", job)],
    });
    let request = ReadRequest::new(queries.into(), vec![ResponseType::StreamedXorChunks]);
    let headers = [REMOTE_WRITE[0], REMOTE_WRITE[1], ("X-Prometheus-Remote-Read-Version", "0.1.0")];
    server.post("/api/v1/read", &headers, &snappy::compress(&request.encode()).unwrap())
}

#[test]
fn what_would_write_is_refused_and_the_directory_stays_as_it_is() {
    let (_dir, path, db) = owner();
    write(&db, now_ms(&db), 1.0);
    db.flush().unwrap();
    write(&db, now_ms(&db), 2.0);
    // Not closed, so that there is a log to read.
    let now = now_ms(&db);
    drop(db);
    let before = fingerprint(&path);
    assert!(before.len() > 3, "{before:?}");
    let server = reader(&path, quick());
    let text = b"up 1\n";
    let line = b"{\"metric\":{\"__name__\":\"up\"},\"values\":[1],\"timestamps\":[1000]}\n";
    let sent = snappy::compress(&one("up", now, 1.0)).unwrap();
    let refused = [
        ("/api/v1/write", REMOTE_WRITE, &sent[..]),
        ("/api/v1/import", &[], line),
        ("/api/v1/import/prometheus", &[], text),
        ("/metrics/job/x", &[], text),
        ("/api/v1/import/prometheus/metrics/job/x", &[], text),
        ("/api/v1/admin/tsdb/delete_series?match[]=up", &[], b""),
        ("/api/v1/admin/tsdb/flush", &[], b""),
        ("/api/v1/admin/tsdb/compact", &[], b""),
        ("/api/v1/admin/tsdb/snapshot", &[], b""),
    ];
    for (path, headers, body) in refused {
        let answer = server.post(path, headers, body);
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert!(answer.text().contains("read-only"), "{path}: {}", answer.text());
        assert_eq!(answer.header("retry-after"), None, "{path}");
    }
    assert_eq!(server.post("/api/v1/admin/queries/7/cancel", &[], b"").status, 404, "none runs");
    let counted = "siltstone_http_requests_total{path=\"/api/v1/write\",status=\"403\"}";
    assert_eq!(server.metric(counted), 1);
    for way in ways(now) {
        let answer = server.get(&way);
        assert_eq!(answer.status, 200, "{way}: {}", answer.text());
        let text = answer.text();
        let told = ["\"job\"", "job=", "\"a\"", "\"4\""].iter().any(|some| text.contains(some));
        assert!(told, "two series of 2: {way}: {text}");
    }
    assert_eq!(remote_read(&server, now).status, 200);
    for path in ["/-/healthy", "/-/ready", "/health", "/metrics", "/api/v1/metadata"] {
        assert_eq!(server.get(path).status, 200, "{path}");
    }
    drop(server);
    assert_eq!(fingerprint(&path), before);
}

#[test]
fn what_the_owner_does_is_seen() {
    let (_dir, path, db) = owner();
    let server = reader(&path, quick());
    let owned = Server::over_open(db.clone(), ServerConfig::default());
    let now = now_ms(&db);
    type Step = fn(&Db, i64);
    let steps: [Step; 7] = [
        |db, now| write(db, now - 120_000, 1.0),
        |db, _| db.flush().unwrap(),
        |db, now| write(db, now - 60_000, 2.0),
        |db, _| db.flush().unwrap(),
        |db, _| compact(db),
        |db, now| write(db, now, 3.0),
        |db, now| {
            let matchers = [Matcher::equal("job", "b")];
            db.delete(&matchers, TimeRange::new(0, now - 90_000)).unwrap();
        },
    ];
    for (number, step) in steps.iter().enumerate() {
        step(&db, now);
        let expected = owned.everything();
        server.wait_for(&format!("step {number}"), || server.everything() == expected);
        for way in ways(now) {
            assert_eq!(server.get(&way).text(), owned.get(&way).text(), "step {number}: {way}");
        }
        assert_eq!(remote_read(&server, now).body, remote_read(&owned, now).body);
    }
    assert_eq!(server.metric("siltstone_samples"), db.stats().samples);
    assert!(server.metric("siltstone_view_refreshes_total") >= 3);
    assert_eq!(server.metric("siltstone_view_refresh_failures_total"), 0);
}

/// The owner has merged since the view was taken, of which most is open and some is not.
#[test]
fn a_query_whose_files_are_replaced_runs_again() {
    let (_dir, path, db) = owner();
    let now = now_ms(&db);
    let owned = Server::over_open(db.clone(), ServerConfig::default());
    let ask = |way: &str, server: &Reader| match way {
        "read" => remote_read(server, now),
        way => server.get(way),
    };
    write_segments(&db);
    let ways = ways(now).into_iter().chain(["read".to_owned()]);
    let of_each = ways.map(|way| (way, Server::reading(&path, few_files(), on_demand())));
    let of_each: Vec<(String, Reader)> = of_each.collect();
    compact(&db);
    for (way, server) in &of_each {
        let answer = ask(way, server);
        assert_eq!(answer.status, 200, "{way}: {}", answer.text());
        let expected = match way.as_str() {
            "read" => remote_read(&owned, now),
            way => owned.get(way),
        };
        assert_eq!(answer.body, expected.body, "{way}");
        assert_eq!(server.metric("siltstone_view_retries_total"), 1, "{way}");
        assert_eq!(ask(way, server).status, 200, "{way}");
        assert_eq!(server.metric("siltstone_view_retries_total"), 1, "{way}: it has what is new");
    }
}

/// Missing although the manifest lists it: no refresh helps, and nothing less is answered.
#[test]
fn a_segment_that_is_gone_for_good_is_no_answer() {
    let (_dir, path, db) = owner();
    let now = now_ms(&db);
    write(&db, now - DAY_MS, 1.0);
    db.flush().unwrap();
    write_segments(&db);
    db.close().unwrap();
    let server = Server::reading(&path, few_files(), on_demand());
    let gone = segments(&path).split_off(1);
    let away = |path: &PathBuf| path.with_extension("away");
    gone.iter().for_each(|path| rename(path, &away(path)));
    for way in ways(now) {
        let answer = server.get(&way);
        assert_eq!(answer.status, 503, "{way}: {}", answer.text());
        assert!(answer.header("retry-after").is_some(), "{way}");
        assert!(answer.text().contains("replaced"), "{way}: {}", answer.text());
    }
    assert_eq!(remote_read(&server, now).status, 503);
    assert_eq!(server.metric("siltstone_view_retries_total"), 0, "there was no other view");
    // Of another time nothing is missing.
    let earlier = (now - DAY_MS) / 1000 + 60;
    let answer = server.get(&format!("/api/v1/query?query=up&time={earlier}"));
    assert_eq!(
        (answer.status, answer.json()["data"]["result"][0]["value"][1].as_str()),
        (200, Some("1"))
    );
    gone.iter().for_each(|path| rename(&away(path), path));
    assert_eq!(server.everything().len(), 2, "they are back");
    // Damage is what it is for any server.
    gone.iter().for_each(|path| damage(path, 10));
    let fresh = reader(&path, on_demand());
    assert_eq!(fresh.get(&ways(now)[0]).status, 422);
}

/// The old view is served, and metrics tell.
#[test]
fn a_refresh_that_fails_leaves_the_view() {
    let (_dir, path, db) = owner();
    write(&db, 1000, 1.0);
    db.flush().unwrap();
    let server = reader(&path, quick());
    let before = server.everything();
    let (current, away) = (path.join("CURRENT"), path.with_extension("current"));
    rename(&current, &away);
    let failures = || server.metric("siltstone_view_refresh_failures_total");
    server.wait_for("a failure", || failures() > 1);
    assert!(seconds(&server, "siltstone_view_age_seconds") > 0.1);
    assert_eq!(server.everything(), before);
    assert_eq!(server.get("/-/ready").status, 200);
    assert_eq!(server.get("/-/healthy").status, 200);
    rename(&away, &current);
    write(&db, 2000, 2.0);
    server.wait_for("the new sample", || server.everything() != before);
}

fn seconds(server: &Reader, name: &str) -> f64 {
    let page = server.get("/metrics");
    let line = page.text().lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn what_only_the_owner_knows_is_not_said() {
    let (_dir, path, db) = owner();
    write(&db, 1000, 1.0);
    db.flush().unwrap();
    write(&db, 2000, 1.0);
    let server = reader(&path, on_demand());
    let data = |path: &str| -> Value { server.get(&format!("/api/v1/status/{path}")).json() };
    let flags = data("flags")["data"].clone();
    for (name, value) in [
        ("read-only", Some("true")),
        ("refresh-interval", Some("1h")),
        ("ticks-per-second", Some("1000")),
        ("web.enable-remote-write-receiver", Some("false")),
        ("memory-budget", Some("536870912")),
        ("durability", None),
        ("retention", None),
    ] {
        assert_eq!(flags[name].as_str(), value, "{name}");
    }
    let tsdb = data("tsdb");
    assert_eq!(tsdb["data"]["headStats"]["numSeries"], 2);
    assert_eq!(tsdb["data"]["headStats"]["maxTime"], 2000);
    assert!(tsdb["warnings"][0].as_str().unwrap().contains("read-only"), "{tsdb}");
    assert_eq!(data("walreplay")["data"]["max"], 1);
    assert_eq!(data("runtimeinfo")["data"]["corruptionCount"], 0);
    assert_eq!(data("integrity")["status"], "success");
    assert_eq!(server.get("/api/v1/metadata").json()["data"], serde_json::json!({}));
    let page = server.get("/metrics");
    for name in ["siltstone_read_only 1", "siltstone_segments 1", "siltstone_samples 4"] {
        assert!(page.text().lines().any(|line| line == name), "{name} in {}", page.text());
    }
    for name in ["_written_total", "_flushes", "_merges", "_durable", "kind=\"queue\"", "fsync"] {
        let told = page.text().lines().find(|line| line.contains(name) && !line.contains("http"));
        assert_eq!(told, None);
    }
}
