//! Metrics of a server at work, and its orderly end.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use siltstone::{Error, Options, WriteBatch};
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::{connect, head, read_answer};
use siltstone_server_testing::harness::{Server, one, server};

#[test]
fn metrics_count_what_happened() {
    let server = server();
    assert_eq!(server.write(&one("a", 1, 1.0)).status, 204);
    assert_eq!(server.post("/api/v1/import/prometheus", &[], b"b 1 1\nbad{\n").status, 400);
    assert_eq!(server.get("/nowhere").status, 404);
    let answer = server.get("/metrics");
    assert_eq!(answer.status, 200);
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.header("content-type"), Some(kind));
    for line in [
        "siltstone_samples 2",
        "siltstone_http_samples_written_total 2",
        "siltstone_http_refused_total 1",
        "siltstone_http_requests_total{path=\"/api/v1/write\",status=\"204\"} 1",
        "siltstone_http_requests_total{path=\"/api/v1/import/prometheus\",status=\"400\"} 1",
        "siltstone_http_requests_total{path=\"none\",status=\"404\"} 1",
        "siltstone_http_request_seconds_count{path=\"/api/v1/write\"} 1",
        "siltstone_disk_bytes{kind=\"wal\"} ",
        "siltstone_level0_merge 32",
        "siltstone_level0_slowdown 64",
        "siltstone_level0_stall 256",
        "siltstone_slowdowns_total 0",
        "siltstone_stalls_total 0",
        "siltstone_merges_total 0",
        "siltstone_memory_bytes{kind=\"queue\"} ",
        "siltstone_operation_seconds{operation=\"fsync\",quantile=\"0.99\"} ",
    ] {
        assert!(answer.text().lines().any(|l| l.starts_with(line)), "{line}\n{}", answer.text());
    }
    // Each metric is described once, before its samples, and no series occurs twice.
    let mut described = std::collections::BTreeSet::new();
    let mut series = std::collections::BTreeSet::new();
    for line in answer.text().lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(described.insert(name.to_owned()), "{name} has two types");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
        } else if !line.starts_with('#') {
            let (id, _) = line.rsplit_once(' ').unwrap();
            assert!(series.insert(id), "{id} occurs twice");
            let name = id.split('{').next().unwrap();
            let base = name.strip_suffix("_sum").or(name.strip_suffix("_count")).unwrap_or(name);
            assert!(described.contains(name) || described.contains(base), "{line}");
        }
    }
    // What is printed can be read by the reader of the same format.
    for (i, line) in answer.text().lines().enumerate() {
        use siltstone_server::protocol::exposition::{Dialect, parse_line};
        parse_line(line.as_bytes(), i as u64, Dialect::Prometheus).unwrap();
    }
    assert!(answer.text().ends_with('\n'));
}

#[test]
fn requests_that_run_are_finished_before_the_store_is_closed() {
    let mut server = server();
    let body = b"late 1 1\n";
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/import/prometheus", &[], body.len())).unwrap();
    let mut idle = connect(server.address);
    idle.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut idle).unwrap().status, 200);
    server.pause(Duration::from_millis(100));
    server.signal();
    server.pause(Duration::from_millis(100));
    assert!(TcpStream::connect(server.address).is_err(), "nothing more is accepted");
    stream.write_all(body).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 204);
    server.join().unwrap();
    assert!(matches!(closed(&server), Err(Error::Closed)));
}

fn closed(server: &Server) -> siltstone::Result<()> {
    let series = server.db.series(&siltstone::Labels::from_pairs([("a", "b")])?)?;
    let mut batch = WriteBatch::new();
    batch.push(series, 1, 1.0)?;
    server.db.write(&batch).map(|_| ())
}

#[test]
fn a_client_that_never_ends_does_not_keep_the_server() {
    let config =
        ServerConfig { shutdown_timeout: Duration::from_millis(200), ..ServerConfig::default() };
    let mut server = Server::start(Options::default(), config);
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/import", &[], 1000)).unwrap();
    server.pause(Duration::from_millis(100));
    let start = tokio::time::Instant::now();
    server.signal();
    server.join().unwrap();
    assert!(start.elapsed() < Duration::from_secs(5));
}
