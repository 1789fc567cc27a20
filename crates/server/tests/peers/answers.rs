//! Answers beside a real Prometheus: what is not there is not there alike, and heads are alike.

use siltstone_server_testing::client::{Answer, get, request};
use siltstone_server_testing::harness::server;

use crate::prometheus::Prometheus;

#[test]
fn what_is_not_there_is_not_there_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::start("global: {}\n") else { return };
    for path in [
        "rules",
        "rules?type=record",
        "rules?type=x",
        "alerts",
        "alertmanagers",
        "scrape_pools",
        "targets",
        "targets?state=any",
        "targets?state=active",
        "targets?state=dropped",
        "targets?state=x",
        "targets/metadata",
        "metadata",
        "metadata?metric=up&limit=3",
        "query_exemplars?query=up",
        "query_exemplars?query=up&start=1699999980000&end=1700000040000",
        "query_exemplars?query=up&start=2&end=1",
        "series",
        "series?match[]=up",
        "labels?match[]=up&limit=5",
        "label/job/values?start=1&end=2",
        "status/walreplay",
    ] {
        let path = format!("/api/v1/{path}");
        let (ours, theirs) = (server.get(&path), get(prometheus.address, &path));
        assert_eq!((ours.status, ours.json()), (theirs.status, theirs.json()), "{path}");
    }
    // Bodies that tell of the machine have the same members.
    for path in ["status/runtimeinfo", "status/buildinfo", "status/tsdb", "status/config"] {
        let path = format!("/api/v1/{path}");
        let keys = |answer: &Answer| {
            let data = answer.json()["data"].clone();
            data.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(keys(&server.get(&path)), keys(&get(prometheus.address, &path)), "{path}");
    }
}

#[test]
fn heads_are_alike() {
    let server = server();
    let Some(prometheus) = Prometheus::start("global: {}\n") else { return };
    for (method, path) in [
        ("OPTIONS", "/api/v1/labels"),
        ("OPTIONS", "/api/v1/nothing"),
        ("GET", "/api/v1/query_exemplars?query=1"),
        ("GET", "/federate"),
        ("GET", "/federate?match[]=up%7B"),
        ("POST", "/federate"),
        ("PUT", "/api/v1/labels"),
        ("POST", "/api/v1/metadata"),
        ("GET", "/api/v1/nothing"),
    ] {
        let ours = request(server.address, method, path, &[], b"");
        let theirs = request(prometheus.address, method, path, &[], b"");
        assert_eq!(ours.status, theirs.status, "{method} {path}");
        if ours.status == 200 {
            let kind = |answer: &Answer| answer.header("content-type").map(str::to_owned);
            assert_eq!(kind(&ours), kind(&theirs), "{method} {path}");
        }
    }
}
