//! The admin API: off unless opened, closed to web pages, Prometheus' answers.

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::harness::{Server, line, one, server};

fn admin() -> Server {
    Server::start(Options::default(), ServerConfig { admin: true, ..ServerConfig::default() })
}

const ENDPOINTS: [&str; 4] = ["delete_series", "flush", "compact", "snapshot"];

#[test]
fn it_is_off_unless_opened() {
    let server = server();
    for endpoint in ENDPOINTS {
        let answer = server.post(&format!("/api/v1/admin/tsdb/{endpoint}"), &[], b"");
        assert_eq!(answer.status, 403, "{endpoint}");
        let said = answer.json();
        assert_eq!(said["errorType"], "unavailable");
        assert!(said["error"].as_str().unwrap().contains("--enable-admin"), "{said}");
    }
}

#[test]
fn it_answers_no_web_page_and_no_get() {
    let server = admin();
    for endpoint in ENDPOINTS {
        let path = format!("/api/v1/admin/tsdb/{endpoint}");
        let same_origin = format!("http://{}", server.address);
        for origin in ["https://evil.example", "null", &same_origin] {
            let answer = server.post(&path, &[("Origin", origin)], b"");
            assert_eq!(answer.status, 403, "{endpoint} {origin}");
        }
        let get = server.get(&path);
        assert_eq!((get.status, get.header("allow")), (405, Some("POST, PUT")), "{endpoint}");
    }
    assert!(server.db.stats().segments == 0, "nothing was flushed");
}

#[test]
fn flush_and_snapshot() {
    let server = admin();
    assert_eq!(server.write(&one("a", 1000, 1.0)).status, 204);
    let flushed = server.post("/api/v1/admin/tsdb/flush", &[], b"");
    assert_eq!((flushed.status, flushed.body.as_slice()), (204, &b""[..]));
    assert_eq!(server.db.stats().segments, 1);
    assert_eq!(server.write(&one("b", 1000, 1.0)).status, 204);
    let names: Vec<String> = (0..2)
        .map(|_| {
            let answer = server.post("/api/v1/admin/tsdb/snapshot?skip_head=false", &[], b"");
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(answer.json()["status"], "success");
            answer.json()["data"]["name"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_ne!(names[0], names[1], "two in one second");
    for name in names {
        let (time, random) = name.split_once('-').unwrap();
        assert!(time.len() == 16 && time.ends_with('Z') && random.len() == 16, "{name}");
        let dir = server.db.dir().join("snapshots").join(&name);
        let copy = siltstone::ReadOnlyDb::open(dir, Options::default()).unwrap();
        let options = siltstone::QueryOptions::default();
        let all = siltstone::TimeRange::ALL;
        assert_eq!(copy.snapshot().count_series(&[], all, &options).unwrap(), 2);
    }
}

#[test]
fn compactions_answer_when_they_are_done() {
    let options = Options { compaction_threads: 0, ..Options::default() };
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(options, config);
    for value in 0..3 {
        assert_eq!(server.write(&one("a", 1000, f64::from(value))).status, 204);
        assert_eq!(server.post("/api/v1/admin/tsdb/flush", &[], b"").status, 204);
    }
    assert_eq!(server.db.stats().level0_segments, 3);
    let none = server.post("/api/v1/admin/tsdb/compact?start=100&end=200", &[], b"");
    assert_eq!((none.status, &none.json()["data"]["merges"]), (200, &0.into()));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let done = server.post("/api/v1/admin/tsdb/compact", &form, b"start=0&end=2");
    let data = &done.json()["data"];
    assert_eq!((&data["segments_in"], &data["superseded"]), (&3.into(), &2.into()));
    assert_eq!(server.db.stats().level0_segments, 0);
    assert_eq!(server.write(&one("a", 1000, 9.0)).status, 204);
    let lines = server.post("/api/v1/admin/tsdb/compact?progress=true", &[], b"");
    let last: serde_json::Value = {
        let lines: Vec<&str> = lines.text().lines().collect();
        serde_json::from_str(lines.last().unwrap()).unwrap()
    };
    assert_eq!((&last["status"], &last["data"]["superseded"]), (&"success".into(), &1.into()));
    assert_eq!(server.everything().len(), 1);
    for bad in ["start=2&end=1", "start=soon", "progress=maybe"] {
        let answer = server.post(&format!("/api/v1/admin/tsdb/compact?{bad}"), &[], b"");
        assert_eq!(
            (answer.status, &answer.json()["errorType"]),
            (400, &"bad_data".into()),
            "{bad}"
        );
    }
}

#[test]
fn delete_series_as_prometheus_has_it() {
    let server = admin();
    for (name, time) in [("a", 1000), ("a", 2000), ("b", 1000), ("c", 1000)] {
        assert_eq!(server.write(&one(name, time, 1.0)).status, 204);
    }
    let path = "/api/v1/admin/tsdb/delete_series";
    for (query, status) in [
        ("", 400),
        ("?match[]=a{", 400),
        ("?match[]={}", 400),
        ("?match[]=a&start=2&end=1", 400),
        ("?match[]=a&dry_run=perhaps", 400),
        ("?match[]={__name__=~%22.%2B%22}", 400),
        ("?match[]=b&match[]={__name__!=%22%22}", 400),
    ] {
        let answer = server.post(&format!("{path}{query}"), &[], b"");
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert_eq!(answer.json()["errorType"], "bad_data");
    }
    assert_eq!(server.everything().len(), 3, "nothing was deleted");
    // Both ends are included.
    let dry = server.post(&format!("{path}?match[]=a&start=1&end=1&dry_run=true"), &[], b"");
    assert_eq!((dry.status, &dry.json()["data"]["receipts"][0]["samples"]), (200, &1.into()));
    let form = [("Content-Type", "application/x-www-form-urlencoded")];
    let done = server.post(path, &form, b"match[]=a&match%5B%5D=b&start=1&end=1");
    assert_eq!((done.status, done.body.len()), (204, 0));
    assert_eq!(server.everything().len(), 2);
    assert_eq!(server.export("a"), [line("\"__name__\":\"a\"", "1", 2000)]);
    let all = server.post(&format!("{path}?match[]={{__name__!=%22%22}}&all=true"), &[], b"");
    assert_eq!(all.status, 204);
    assert!(server.everything().is_empty());
}
