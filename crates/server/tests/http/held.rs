//! What one request may hold: its time over all of its parts, its turn until its work has ended, and
//! nothing any more once it was stopped.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use siltstone::sys::Clock;
use siltstone::{Background, Labels, Options, WriteBatch};
use siltstone_server::ServerConfig;
use siltstone_server::protocol::remote_read::{Query, ReadRequest, ResponseType};
use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::{connect, head};
use siltstone_server_testing::harness::{Server, one, percent};

/// A clock on which each look takes a millisecond.
#[derive(Debug, Default)]
struct LooksCost(AtomicU64);

impl Clock for LooksCost {
    fn wall_ms(&self) -> i64 {
        1_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// A server that gives a request the time of 100 looks at the clock, with one series.
fn hurried() -> Server {
    let options = Options {
        clock: Arc::new(LooksCost::default()),
        background: Background::Manual,
        ..Options::default()
    };
    let query_timeout = Duration::from_millis(100);
    let server = Server::start(options, ServerConfig { query_timeout, ..ServerConfig::default() });
    assert_eq!(server.write(&one("up", 1_000_000, 1.0)).status, 204);
    server
}

#[test]
fn the_time_of_a_request_covers_its_regular_expressions() {
    let server = hurried();
    let names = |class: &str, count: usize| {
        let matcher = |number: usize| format!("__name__=~\"up|{class}+{number}\"");
        percent(&format!("{{{}}}", (0..count).map(matcher).collect::<Vec<_>>().join(",")))
    };
    for path in ["/federate", "/api/v1/series", "/api/v1/labels", "/api/v1/export", "/api/v1/rules"]
    {
        let status = |count: usize| {
            let (a, b) = (names("[ab]", count), names("[xy]", count));
            server.get(&format!("{path}?match[]={a}&match[]={b}")).status
        };
        assert_eq!((status(2), status(60)), (200, 503), "{path}");
    }
    for path in ["/api/v1/query", "/api/v1/format_query"] {
        let status = |count: usize| {
            let (a, b) = (names("[ab]", count), names("[xy]", count));
            server.get(&format!("{path}?query={a}%20or%20{b}")).status
        };
        assert_eq!((status(2), status(60)), (200, 503), "{path}");
    }
}

#[test]
fn selectors_share_the_time_of_their_request() {
    let server = hurried();
    for path in ["/federate", "/api/v1/series", "/api/v1/labels", "/api/v1/label/__name__/values"] {
        let status = |selectors: usize| {
            let mut path = format!("{path}?");
            for number in 0..selectors {
                write!(
                    path,
                    "match[]={}&",
                    percent(&format!("{{__name__=\"up\",a!=\"{number}\"}}"))
                )
                .unwrap();
            }
            server.get(&path).status
        };
        assert_eq!((status(1), status(99)), (200, 503), "{path}");
    }
}

#[test]
fn queries_of_a_remote_read_share_its_time() {
    let server = hurried();
    let ask = |queries: usize| {
        let query = || Query { start_ms: 0, end_ms: 2_000_000, matchers: Vec::new() };
        let queries = std::iter::repeat_with(query).take(queries).collect();
        let request = ReadRequest::new(queries, vec![ResponseType::Samples]);
        let body = snappy::compress(&request.encode()).unwrap();
        server.post("/api/v1/read", &[], &body)
    };
    assert_eq!(ask(1).status, 200);
    let late = ask(99);
    assert_eq!(late.status, 503);
    assert_eq!(late.header("retry-after"), None, "it would take as long again");
}

/// A clock that stands still for who asks for the time of day, while it is held.
#[derive(Debug, Default)]
struct Gate {
    is_closed: Mutex<bool>,
    moved: Condvar,
    somebody_waits: AtomicBool,
}

impl Gate {
    fn set(&self, is_closed: bool) {
        *self.is_closed.lock().unwrap() = is_closed;
        self.moved.notify_all();
    }
}

impl Clock for Gate {
    fn wall_ms(&self) -> i64 {
        let mut is_closed = self.is_closed.lock().unwrap();
        while *is_closed {
            self.somebody_waits.store(true, Ordering::Relaxed);
            is_closed = self.moved.wait(is_closed).unwrap();
        }
        1_000_000
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[test]
fn a_turn_is_held_until_the_work_has_ended() {
    let gate = Arc::new(Gate::default());
    let options = Options {
        clock: Arc::clone(&gate) as _,
        background: Background::Manual,
        ..Options::default()
    };
    let queue_timeout = Duration::from_millis(100);
    let config = ServerConfig { reads_max: 1, queue_timeout, ..ServerConfig::default() };
    let server = Server::start(options, config);
    let status = || server.get("/api/v1/format_query?query=up").status;
    assert_eq!(status(), 200);
    gate.set(true);
    let mut stream = connect(server.address);
    // Without a time, it asks for the time of day.
    stream.write_all(&head("GET", "/api/v1/query?query=up", &[], 0)).unwrap();
    server.wait_for("the query began", || gate.somebody_waits.load(Ordering::Relaxed));
    drop(stream);
    let is_alone = || server.get("/metrics").text().contains("siltstone_http_connections 1\n");
    server.wait_for("the client is gone", is_alone);
    let held = status();
    gate.set(false);
    assert_eq!(held, 503, "its work goes on");
    server.wait_for("the turn is free", || status() == 200);
}

#[test]
fn a_query_is_stopped_while_its_answer_is_written() {
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    // More than what lies in the buffers of sockets.
    for number in 0..10 {
        let labels = Labels::from_pairs([("__name__", "m"), ("n", &number.to_string())]).unwrap();
        let handle = server.db.series(&labels).unwrap();
        let mut batch = WriteBatch::new();
        (0..150_000).for_each(|row| batch.push(handle, row * 1000, row as f64 / 7.0).unwrap());
        server.db.write(&batch).unwrap();
    }
    let running = || {
        let list = server.get("/api/v1/status/active_queries").json();
        list["data"].as_array().unwrap().clone()
    };
    // Long series are written one by one, shorter ones in pieces.
    for expr in ["m[50h]", "{__name__=\"m\"}[17h]"] {
        let mut stream = connect(server.address);
        let path = format!("/api/v1/query?time=150000&query={}", percent(expr));
        stream.write_all(&head("GET", &path, &[], 0)).unwrap();
        let mut start = [0; 15];
        stream.read_exact(&mut start).unwrap();
        assert_eq!(&start, b"HTTP/1.1 200 OK");
        let list = running();
        assert_eq!(list.len(), 1, "it is being written");
        let id = list[0]["id"].as_str().unwrap();
        let cancelled = server.post(&format!("/api/v1/admin/queries/{id}/cancel"), &[], b"");
        assert_eq!(cancelled.status, 204);
        // Although the client takes nothing.
        server.wait_for("it ends", || running().is_empty());
        let mut rest = Vec::new();
        // An error, or an end before the last chunk.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.ends_with(b"0\r\n\r\n"), "an answer that looks whole");
    }
    let line = "siltstone_queries_total{kind=\"instant\",outcome=\"canceled\"} 2";
    assert!(server.get("/metrics").text().contains(line));
    server.assert_healthy();
}
