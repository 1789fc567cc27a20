//! Clients that are slow, by intent or not.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use siltstone::Options;
use siltstone_server::ServerConfig;
use siltstone_server_testing::client::{connect, head, read_answer};
use siltstone_server_testing::harness::{REMOTE_WRITE, Server};
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(30);

/// A server on which one phase is short.
fn with(set: impl FnOnce(&mut ServerConfig)) -> Server {
    let mut config = ServerConfig {
        header_timeout: LONG,
        body_timeout: LONG,
        idle_timeout: LONG,
        write_timeout: LONG,
        ..ServerConfig::default()
    };
    set(&mut config);
    Server::start(Options::default(), config)
}

/// Waits until the server closes, and says how long that took.
fn closed_after(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    start.elapsed()
}

#[test]
fn headers_must_arrive_in_time_however_they_trickle() {
    let server = with(|config| config.header_timeout = SHORT);
    let mut silent = connect(server.address);
    let mut trickling = connect(server.address);
    let start = Instant::now();
    let mut sent = 0;
    for byte in b"GET /-/healthy HTTP/1.1\r\nHost: t\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if trickling.write_all(&[*byte]).is_err() {
            break;
        }
        sent += 1;
        server.pause(Duration::from_millis(20));
    }
    assert!(sent < 70 && start.elapsed() < Duration::from_secs(5), "{sent} bytes were taken");
    assert!(closed_after(&mut silent) < Duration::from_secs(5));
    server.assert_healthy();
}

#[test]
fn idle_connections_have_a_deadline_of_their_own() {
    let server = with(|config| config.idle_timeout = SHORT);
    let mut stream = connect(server.address);
    stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 200);
    let waited = closed_after(&mut stream);
    assert!(waited > SHORT / 2 && waited < Duration::from_secs(5), "{waited:?}");
    // Idling does not use up the time for headers.
    let server = with(|config| config.header_timeout = SHORT);
    let mut stream = connect(server.address);
    for _ in 0..2 {
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert_eq!(read_answer(&mut stream).unwrap().status, 200);
        server.pause(SHORT * 2);
    }
}

#[test]
fn bodies_must_arrive_in_time() {
    let server = with(|config| {
        config.body_timeout = SHORT;
        config.body_rate_min = 1 << 20;
    });
    for path in ["/api/v1/write", "/api/v1/import", "/api/v1/import/prometheus"] {
        let mut stream = connect(server.address);
        let headers = if path.ends_with("write") { REMOTE_WRITE } else { &[] };
        stream.write_all(&head("POST", path, headers, 1000)).unwrap();
        let start = Instant::now();
        for _ in 0..40 {
            if stream.write_all(b"x").is_err() || start.elapsed() > SHORT * 3 {
                break;
            }
            server.pause(Duration::from_millis(20));
        }
        let answer = read_answer(&mut stream).unwrap();
        assert_eq!(answer.status, 408, "{path}: {}", answer.text());
        assert!(start.elapsed() < Duration::from_secs(5), "{path}");
    }
    server.assert_healthy();
}

#[test]
fn a_streamed_body_may_be_slow_if_it_keeps_coming() {
    let server = with(|config| {
        config.body_timeout = SHORT;
        config.body_rate_min = 10;
    });
    let body = b"slow 1 1\nslow 2 2\nslow 3 3\nslow 4 4\n";
    let mut stream = connect(server.address);
    stream.write_all(&head("POST", "/api/v1/import/prometheus", &[], body.len())).unwrap();
    for line in body.chunks(9) {
        server.pause(SHORT / 2);
        stream.write_all(line).unwrap();
    }
    assert_eq!(read_answer(&mut stream).unwrap().status, 204);
}
