//! Clients that take their time: with headers, with a body, with an answer.

use std::io::Write;
use std::net::TcpStream;

use siltstone_rig::store::WRITE_PATH;

use super::beside::{BODIES, Besieged, CLOSED, CUT, QUERIES, START_MS, answer, connect};
use super::requests::get;

/// Connections of an attacker.
const SILENT: usize = 60;

#[test]
fn headers_and_bodies_that_do_not_come() {
    let besieged = Besieged::start(&["--header-timeout", "300ms", "--body-timeout", "300ms"]);
    let headers = "GET /-/healthy HTTP/1.1\r\nHost: local";
    let body = format!(
        "POST {WRITE_PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nab"
    );
    let import =
        "POST /api/v1/import HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    besieged.holds(BODIES, &[408, CLOSED], || {
        let open = |n: usize| {
            let mut stream = connect(besieged.address());
            let _ = stream.write_all([headers, &body, import, ""][n % 4].as_bytes());
            stream
        };
        let mut streams: Vec<TcpStream> = (0..SILENT).map(open).collect();
        streams.iter_mut().map(|stream| answer(stream).0).collect()
    });
}

#[test]
fn answers_that_nobody_takes() {
    const POINTS: i64 = 10_000;
    let besieged = Besieged::start(&["--write-timeout", "300ms"]);
    besieged.store(10);
    let start = START_MS / 1000;
    // 1.7 MB of text, more than sockets hold.
    let range =
        format!("query=last_over_time(stored[4h])&start={start}&end={}&step=1", start + POINTS);
    let request = get(&format!("/api/v1/query_range?{range}"));
    // Each query has its answer in memory, so that not all may have room for theirs at the same time.
    let statuses = besieged.holds(QUERIES, &[CUT, 422], || {
        let mut stream = connect(besieged.address());
        stream.write_all(&request).unwrap();
        pause();
        vec![answer(&mut stream).0]
    });
    assert!(statuses.contains(&CUT), "{statuses:?}");
}

/// Longer than a client may stand still.
#[expect(clippy::disallowed_methods, reason = "a client that waits")]
fn pause() {
    std::thread::sleep(std::time::Duration::from_millis(1200));
}
