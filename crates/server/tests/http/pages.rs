//! Web pages that want to read or change what is stored, and the names by which a server is reached.

use std::io::Write;

use siltstone::Options;
use siltstone_server::{AllowedHost, ServerConfig};
use siltstone_server_testing::client::{Answer, connect, read_answer};
use siltstone_server_testing::harness::{Server, one, server};

/// Sends a request whose head is these lines.
fn send(server: &Server, lines: &[&str], body: &str) -> Answer {
    let mut stream = connect(server.address);
    let head = lines.join("\r\n");
    let length =
        if body.is_empty() { String::new() } else { format!("\r\nContent-Length: {}", body.len()) };
    write!(stream, "{head}{length}\r\nConnection: close\r\n\r\n{body}").unwrap();
    read_answer(&mut stream).unwrap()
}

fn get_as(server: &Server, host: &str, path: &str) -> Answer {
    send(server, &[&format!("GET {path} HTTP/1.1"), &format!("Host: {host}")], "")
}

fn counted(server: &Server, reason: &str, count: u64) -> bool {
    let name = "siltstone_http_requests_refused_total";
    let line = format!("{name}{{reason=\"{reason}\"}} {count}\n");
    server.get("/metrics").text().contains(&line)
}

#[test]
fn no_route_answers_to_the_name_of_another() {
    let server = server();
    assert_eq!(server.write(&one("secret", 1, 1.0)).status, 204);
    for path in [
        "/api/v1/export?match[]=secret",
        "/api/v1/query?query=secret",
        "/federate?match[]=secret",
        "/metrics",
        "/-/healthy",
        "/",
        "/nowhere",
    ] {
        for host in ["evil.example", "evil.example:7480", "10.1.2.3", "localhost.evil.example"] {
            let answer = get_as(&server, host, path);
            assert_eq!(answer.status, 421, "{host} {path}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(text.contains("--allowed-host") && !text.contains("\"values\""), "{text}");
        }
        for host in ["localhost", "LOCALHOST:9", "x.localhost", "127.0.0.1:7480", "[::1]", "t."] {
            assert_ne!(get_as(&server, host, path).status, 421, "{host} {path}");
        }
    }
    assert!(counted(&server, "host", 28));
    let absolute = ["GET http://evil.example/metrics HTTP/1.1", "Host: localhost"];
    assert_eq!(send(&server, &absolute, "").status, 421);
    let write = ["POST /api/v1/import/prometheus HTTP/1.1", "Host: evil.example"];
    assert_eq!(send(&server, &write, "foreign 1 1\n").status, 421);
    assert_eq!(server.everything().len(), 1);
}

#[test]
fn a_host_is_named_once() {
    let server = server();
    for (lines, status) in [
        (&["GET /-/healthy HTTP/1.1"][..], 400),
        (&["GET /-/healthy HTTP/1.1", "Host: localhost", "Host: localhost"], 400),
        (&["GET /-/healthy HTTP/1.1", "Host: "], 400),
        (&["GET /-/healthy HTTP/1.1", "Host: a b"], 400),
        (&["GET /-/healthy HTTP/1.0"], 200),
        (&["GET /-/healthy HTTP/1.0", "Host: localhost", "Host: localhost"], 400),
        (&["GET /-/healthy HTTP/1.0", "Host: evil.example"], 421),
    ] {
        assert_eq!(send(&server, lines, "").status, status, "{lines:?}");
    }
}

#[test]
fn the_operator_names_hosts() {
    let allowed_hosts = vec![AllowedHost::new("Siltstone").unwrap()];
    let named = Server::start(
        Options::default(),
        ServerConfig { allowed_hosts, ..ServerConfig::default() },
    );
    assert_eq!(get_as(&named, "siltstone:9009", "/metrics").status, 200);
    assert_eq!(get_as(&named, "siltstone.example", "/metrics").status, 421);
    assert_eq!(named.get("/api/v1/status/flags").json()["data"]["allowed-host"], "siltstone,t");
    let allowed_hosts = vec![AllowedHost::new("*").unwrap()];
    let any = Server::start(
        Options::default(),
        ServerConfig { allowed_hosts, ..ServerConfig::default() },
    );
    assert_eq!(get_as(&any, "siltstone.example", "/metrics").status, 200);
}

const CHANGES: [&str; 10] = [
    "/api/v1/write",
    "/api/v1/import",
    "/prometheus/api/v1/import/prometheus",
    "/metrics/job/a",
    "/api/v1/import/prometheus/metrics/job/a/b/c",
    "/api/v1/admin/tsdb/delete_series?match[]=kept",
    "/api/v1/admin/tsdb/flush",
    "/api/v1/admin/tsdb/compact",
    "/api/v1/admin/tsdb/snapshot",
    "/api/v1/admin/queries/1/cancel",
];

#[test]
fn pages_of_others_change_nothing() {
    let config = ServerConfig { admin: true, ..ServerConfig::default() };
    let server = Server::start(Options::default(), config);
    assert_eq!(server.write(&one("kept", 1, 1.0)).status, 204);
    let mut refused = 0;
    for path in CHANGES {
        for header in [
            "Origin: https://evil.example",
            "Origin: null",
            "Origin: http://localhost:3000",
            "Sec-Fetch-Site: cross-site",
            "Sec-Fetch-Site: same-site",
        ] {
            let post = format!("POST {path} HTTP/1.1");
            let answer = send(&server, &[&post, "Host: localhost:7480", header], "posted 1 1\n");
            assert_eq!(answer.status, 403, "{path} {header}");
            refused += 1;
        }
    }
    assert!(counted(&server, "origin", refused));
    assert_eq!(server.everything().len(), 1);
    assert_eq!(server.db.stats().segments, 0);
}

#[test]
fn its_own_pages_may_push() {
    let server = server();
    let post = "POST /api/v1/import/prometheus HTTP/1.1";
    let own = ["Origin: http://localhost:7480", "Sec-Fetch-Site: same-origin"];
    let answer = send(&server, &[post, "Host: localhost:7480", own[0], own[1]], "own 1 1\n");
    assert_eq!(answer.status, 204);
    // Typed by the user, or sent by no browser.
    let answer = send(&server, &[post, "Host: localhost", "Sec-Fetch-Site: none"], "typed 1 1\n");
    assert_eq!(answer.status, 204);
    assert_eq!(server.everything().len(), 2);
}
