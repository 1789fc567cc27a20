//! What one request may hold: its time over all of its parts, its turn until its work has ended, and
//! nothing any more once it was stopped.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone::sys::Clock;
use siltstone::{Background, Options};
use siltstone_server::ServerConfig;
use siltstone_server::protocol::remote_read::{Query, ReadRequest, ResponseType};
use siltstone_server::protocol::snappy;

use crate::harness::{Server, one, percent};

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
}
