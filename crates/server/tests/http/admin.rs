//! The admin API: off unless opened, closed to web pages, Prometheus' answers.

use siltstone::Options;
use siltstone_server::ServerConfig;

use crate::harness::{Server, one, server};

fn admin() -> Server {
    Server::start(Options::default(), ServerConfig { admin: true, ..ServerConfig::default() })
}

const ENDPOINTS: [&str; 2] = ["flush", "snapshot"];

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
