//! Who is served when all places for connections are taken.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use siltstone::Options;
use siltstone_server::{ServerConfig, listen};
use siltstone_server_testing::client::{connect, get, read_answer};
use siltstone_server_testing::harness::{Server, one};

const LONG: Duration = Duration::from_secs(60);

/// A server with few places, none of which becomes free by waiting.
fn with_places(connections_max: usize) -> Server {
    let config = ServerConfig {
        connections_max,
        header_timeout: LONG,
        body_timeout: LONG,
        idle_timeout: LONG,
        ..ServerConfig::default()
    };
    Server::start(Options::default(), config)
}

const BODY: &[u8] = b"long 1 1\n";

/// A connection whose request is under way: its handler has asked for the body.
fn at_work(server: &Server) -> TcpStream {
    let mut stream = connect(server.address);
    let head = "POST /api/v1/import/prometheus HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\n";
    write!(stream, "{head}Content-Length: {}\r\n\r\n", BODY.len()).unwrap();
    let mut go_on = [0; 25];
    stream.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

fn finish(mut stream: TcpStream) {
    stream.write_all(BODY).unwrap();
    assert_eq!(read_answer(&mut stream).unwrap().status, 204);
}

/// A connection that has had an answer.
fn kept_alive(server: &Server) -> TcpStream {
    let mut stream = connect(server.address);
    ask(&mut stream, "/-/healthy");
    stream
}

fn ask(stream: &mut TcpStream, path: &str) {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(read_answer(stream).unwrap().status, 200);
}

/// Waits for the end of a connection on which nothing more is sent.
fn assert_closed(stream: &mut TcpStream) {
    let read = stream.read(&mut [0]);
    let timed_out = read.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock);
    assert!(!timed_out && read.unwrap_or(0) == 0, "it is still open");
}

fn counted(server: &Server, line: &str) -> bool {
    get(server.probes, "/metrics").text().lines().any(|l| l == line)
}

#[test]
fn silent_connections_keep_nobody_out() {
    let server = with_places(4);
    let mut silent: Vec<TcpStream> = (0..4).map(|_| connect(server.address)).collect();
    for _ in 0..3 {
        for path in ["/-/healthy", "/-/ready", "/metrics", "/api/v1/labels"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        assert_eq!(server.write(&one("a", 1, 1.0)).status, 204);
        silent.extend((0..8).map(|_| connect(server.address)));
    }
    // There were 4 places and 16 for probes.
    assert_closed(&mut silent[0]);
    let count = get(server.probes, "/metrics");
    let name = "siltstone_http_connections_closed_total{reason=\"places\"}";
    let line = count.text().lines().find(|l| l.starts_with(name)).unwrap();
    assert!(!line.ends_with(" 0"), "{line}");
}

#[test]
fn a_flood_of_connections_stays_bounded() {
    let server = with_places(4);
    let silent: Vec<TcpStream> = (0..400).map(|_| connect(server.address)).collect();
    let answer = server.get("/metrics");
    let name = "siltstone_http_connections ";
    let open = answer.text().lines().find_map(|line| line.strip_prefix(name)).unwrap();
    // Those that were given up and are not closed yet among them.
    assert!(open.parse::<usize>().unwrap() <= 4 + 16 + 64, "{open}");
    drop(silent);
}

#[test]
fn the_one_without_a_request_longest_goes() {
    let server = with_places(3);
    let mut working = at_work(&server);
    let mut first = kept_alive(&server);
    let mut second = kept_alive(&server);
    // It has been idle for less time now than the second.
    ask(&mut first, "/metrics");
    ask(&mut kept_alive(&server), "/metrics");
    assert_closed(&mut second);
    ask(&mut first, "/-/ready");
    working.write_all(BODY).unwrap();
    assert_eq!(read_answer(&mut working).unwrap().status, 204);
    ask(&mut working, "/-/healthy");
}

#[test]
fn who_has_just_come_is_not_closed_for_a_request() {
    let server = with_places(2);
    let working = at_work(&server);
    let mut young = connect(server.address);
    young.write_all(b"GET /-/healthy HTTP/1.1\r\nX-Slow: a").unwrap();
    // Where it is not read yet the request is answered that there is no place.
    server.wait_for("a place", || server.write(&one("a", 1, 1.0)).status == 204);
    young.write_all(b"\r\nHost: t\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut young).unwrap().status, 200);
    finish(working);
}

#[test]
fn a_burst_of_connections_waits_in_the_system() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let within = runtime.enter();
    let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
    drop(within);
    let somaxconn = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    let most = somaxconn.map_or(128, |text| text.trim().parse().unwrap());
    // Nobody accepts: one that does not fit is never connected, however long it waits.
    let (address, time) = (listener.local_addr().unwrap(), Duration::from_secs(10));
    let connect = |_| TcpStream::connect_timeout(&address, time).unwrap();
    let burst: Vec<TcpStream> = (0..300.min(most)).map(connect).collect();
    drop(burst);
}

#[test]
fn probes_are_served_while_all_places_are_at_work() {
    let server = with_places(2);
    let working = [at_work(&server), at_work(&server)];
    for _ in 0..3 {
        for path in ["/-/healthy", "/-/ready", "/metrics", "/prometheus/-/ready"] {
            assert_eq!(server.get(path).status, 200, "{path}");
        }
        let refused = server.write(&one("a", 1, 1.0));
        assert_eq!((refused.status, refused.header("connection")), (503, Some("close")));
        assert!(refused.header("retry-after").is_some());
        let refused = server.get("/api/v1/query?query=1");
        assert_eq!((refused.status, &refused.json()["status"]), (503, &"error".into()));
    }
    assert!(counted(&server, "siltstone_http_requests_refused_total{reason=\"places\"} 6"));
    // Silent ones do not keep probes out either.
    let mut silent: Vec<TcpStream> = (0..20).map(|_| connect(server.address)).collect();
    assert_eq!(server.get("/-/healthy").status, 200);
    assert_closed(&mut silent[0]);
    // A connection that was for probes is for everything when there is a place again.
    let mut waiting = kept_alive(&server);
    working.into_iter().for_each(finish);
    ask(&mut waiting, "/api/v1/labels");
    assert!(counted(&server, "siltstone_http_requests_refused_total{reason=\"places\"} 6"));
}

#[test]
fn places_for_probes_are_not_held_by_who_says_nothing() {
    let server = with_places(1);
    let _working = at_work(&server);
    // The time for headers is a minute elsewhere, which is more than the client waits.
    assert_closed(&mut connect(server.address));
    let line = "siltstone_http_connections_closed_total{reason=\"header_timeout\"} 1";
    assert!(counted(&server, line));
}

#[test]
fn the_listener_for_probes_is_for_probes() {
    let server = with_places(1);
    let _working = at_work(&server);
    let _silent: Vec<TcpStream> = (0..40).map(|_| connect(server.address)).collect();
    let _more: Vec<TcpStream> = (0..40).map(|_| connect(server.probes)).collect();
    for path in ["/-/healthy", "/-/ready", "/metrics"] {
        assert_eq!(get(server.probes, path).status, 200, "{path}");
    }
    for path in ["/", "/api/v1/labels", "/api/v1/export", "/nowhere"] {
        assert_eq!(get(server.probes, path).status, 404, "{path}");
    }
    let line = "siltstone_http_requests_refused_total{reason=\"probe_listener\"} 4";
    assert!(counted(&server, line));
}
