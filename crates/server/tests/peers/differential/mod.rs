//! The same samples by remote write into a Prometheus and a Siltstone, in order and late, then the same
//! queries to both.
//!
//! 1. `data` makes the series: counter resets, stale markers, NaN, gaps, names beyond ASCII.
//! 2. Both get the same requests, in the same order; Siltstone's answers are asked for from memory, and once
//!    more from segments.
//! 3. `queries` has a fixed list and draws random queries (`SILTSTONE_QUERY_SEEDS=n` widens); each is asked at two instants and over two ranges.
//! 4. `compare` allows other last bits where numbers are added up, and nothing else.

mod compare;
mod data;
mod queries;

use siltstone_server::protocol::snappy;
use siltstone_server_testing::client::get;
use siltstone_server_testing::harness::{REMOTE_WRITE, Server, percent, server};

use crate::prometheus::Prometheus;

use data::{LENGTH_S, START_S};

/// Differences that are shown.
const SHOWN: usize = 40;

/// A Prometheus that takes late samples, and a Siltstone, with the same samples.
fn both() -> Option<(Prometheus, Server)> {
    let config = "storage:\n  tsdb:\n    out_of_order_time_window: 2h\n";
    let prometheus = Prometheus::start(config)?;
    let server = server();
    for body in data::requests() {
        assert_eq!(server.write(&body).status, 204);
        let body = snappy::compress(&body).unwrap();
        let (status, text) = prometheus.post("/api/v1/write", REMOTE_WRITE, &body);
        assert_eq!(status, 204, "{}", String::from_utf8_lossy(&text));
    }
    Some((prometheus, server))
}

/// What is asked about each query: at odd times, at times of samples, over steps larger and smaller than
/// those of samples, beyond both ends.
fn paths(query: &str) -> [String; 4] {
    let query = percent(query);
    let (end, middle) = (START_S + LENGTH_S, START_S + LENGTH_S / 2);
    [
        format!("query?query={query}&time={middle}"),
        format!("query?query={query}&time={}.789", START_S + 1234),
        format!("query_range?query={query}&start={}&end={}&step=73", START_S - 100, end + 400),
        format!("query_range?query={query}&start={middle}.5&end={}&step=7", middle + 300),
    ]
}

/// How many seeds queries are drawn with: 1, or what `SILTSTONE_QUERY_SEEDS` says.
fn seeds() -> u64 {
    std::env::var("SILTSTONE_QUERY_SEEDS").map_or(1, |text| text.parse().unwrap())
}

fn assert_alike(prometheus: &Prometheus, server: &Server) {
    let mut differences = Vec::new();
    let mut answered = 0;
    for query in queries::all(seeds()) {
        for path in paths(&query) {
            let path = format!("/api/v1/{path}");
            let (ours, theirs) = (server.get(&path), get(prometheus.address, &path));
            answered += usize::from(theirs.json()["data"]["result"][0].is_object());
            differences.extend(compare::difference(&query, &ours, &theirs));
        }
    }
    let (count, shown) = (differences.len(), differences.len().min(SHOWN));
    assert!(count == 0, "{count} differences:\n{}", differences[..shown].join("\n"));
    // Most must be about something.
    assert!(answered > 700, "only {answered} answers have series");
}

#[test]
fn queries_are_answered_as_prometheus_answers_them() {
    let Some((prometheus, server)) = both() else { return };
    assert_alike(&prometheus, &server);
    server.db.flush().unwrap();
    assert_alike(&prometheus, &server);
}
