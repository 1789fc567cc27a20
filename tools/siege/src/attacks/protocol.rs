//! Requests that two readers of HTTP could understand in two ways, and those for other servers.

use std::time::Duration;

use siltstone_rig::bad_requests::lengths_that_disagree;

use crate::arena::{Arena, Outcomes};
use crate::socket::{Socket, ask, post};

use super::{Attack, PATIENCE};

const CLIENTS: usize = 4;
/// Requests that are sent before the first answer is read.
const PIPELINED: usize = 200;

/// What a request with a length and chunks may be answered instead of 400.
const CLOSED: &str = "204 and closed";

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("pipelines", &["200"], pipelines),
    Attack::new("two-hosts", &["400"], two_hosts),
    Attack::new("foreign-hosts", &["421"], foreign_hosts),
    Attack::new("foreign-origins", &["403"], foreign_origins),
    Attack::new("smuggling", &["400", CLOSED], smuggling),
    Attack::new("path-traversal", &["400", "404"], traversal),
];

fn pipelines(arena: &Arena<'_>) -> Outcomes {
    arena.clients(CLIENTS, |_, _| {
        let mut outcomes = Outcomes::default();
        let one = |target: &str, close: &str| {
            format!("GET {target} HTTP/1.1\r\nHost: {}\r\n{close}\r\n", arena.address)
        };
        while arena.has_time(Duration::ZERO) {
            let pair = one("/-/healthy", "") + &one("/api/v1/query?query=1", "");
            let last = one("/-/ready", "Connection: close\r\n");
            let requests = pair.repeat(PIPELINED / 2) + &last;
            match Socket::open(arena) {
                Ok(mut socket) => {
                    socket.send(requests.as_bytes());
                    note_answers(&mut outcomes, &socket.rest(), PIPELINED + 1);
                }
                Err(failed) => outcomes.note(failed),
            }
        }
        outcomes
    })
}

/// Counts the answers of a connection by their status, and those that are missing.
fn note_answers(outcomes: &mut Outcomes, bytes: &[u8], wanted: usize) {
    let text = String::from_utf8_lossy(bytes);
    // The text of an answer may name the protocol, too.
    let is_status = |text: &&str| text.bytes().all(|byte| byte.is_ascii_digit());
    let answers = text.split("HTTP/1.1 ").skip(1).map(|answer| answer.get(..3).unwrap_or("none"));
    let statuses: Vec<_> = answers.filter(is_status).collect();
    statuses.iter().for_each(|status| outcomes.note(*status));
    (statuses.len()..wanted).for_each(|_| outcomes.note("closed"));
}

/// Sends each of these in turn.
fn each(arena: &Arena<'_>, requests: &[String]) -> Outcomes {
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        let request = &requests[random.below(requests.len() as u64) as usize];
        ask(arena, request.as_bytes())
    })
}

fn two_hosts(arena: &Arena<'_>) -> Outcomes {
    let own = arena.address;
    let second = |host: &str, target: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: {own}\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    let requests = ["/-/healthy", "/api/v1/query?query=1", "/metrics"]
        .map(|target| [second(&own.to_string(), target), second("other.example", target)].concat());
    // Only the first of each pair is answered: the connection ends with it.
    each(arena, &requests)
}

fn foreign_hosts(arena: &Arena<'_>) -> Outcomes {
    let requests =
        ["/-/healthy", "/api/v1/query?query=1", "/api/v1/export?match[]=up"].map(|target| {
            format!("GET {target} HTTP/1.1\r\nHost: attacker.example\r\nConnection: close\r\n\r\n")
        });
    each(arena, &requests)
}

fn foreign_origins(arena: &Arena<'_>) -> Outcomes {
    let headers = [("Origin", "http://attacker.example"), ("Content-Type", "text/plain")];
    let requests = ["/api/v1/import/prometheus", "/api/v1/import", "/api/v1/write"];
    let requests = requests.map(|path| post(arena, path, &headers, b"foreign 1\n"));
    super::bombs::any_of(arena, &requests)
}

/// Each ends with a request that is inside the body for one reader, and behind it for another; a second
/// answer is what must not come.
fn smuggling(arena: &Arena<'_>) -> Outcomes {
    let host = arena.address;
    let inner = format!("GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let length = inner.len() + 5;
    // A length and chunks: the only ones that may be answered, if the connection ends with that.
    let both = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
    ];
    let variants = lengths_that_disagree(length).into_iter().chain(both);
    let requests = variants.map(|headers| {
        let end = format!("\r\n\r\n0\r\n\r\n{inner}");
        let request = format!("POST /api/v1/import HTTP/1.1\r\nHost: {host}\r\n{headers}{end}");
        (headers.replace("\r\n", "; "), request)
    });
    let requests: Vec<(String, String)> = requests.collect();
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        let (headers, request) = &requests[random.below(requests.len() as u64) as usize];
        let mut socket = Socket::open(arena)?;
        socket.send(request.as_bytes());
        let mut outcomes = Outcomes::default();
        // The connection ends, which may take its time in a crowd.
        let (answers, has_closed) = socket.rest_within(PATIENCE);
        note_answers(&mut outcomes, &answers, 1);
        let first = outcomes.iter().next().map_or("closed", |(outcome, _)| outcome);
        Ok(match outcomes.total() {
            // The chunks count, and nothing behind them: RFC 9112, section 6.1.
            1 if first == "204"
                && has_closed
                && headers.contains("; ")
                && headers.contains("chunked") =>
            {
                CLOSED.to_owned()
            }
            1 if first.starts_with('2') => format!("{first} to {headers}"),
            1 => first.to_owned(),
            answers => format!("{answers} answers to {headers}"),
        })
    })
}

fn traversal(arena: &Arena<'_>) -> Outcomes {
    let requests = [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/../../metrics",
        "/api/v1/label/..%2f..%2fetc/other",
        "/prometheus/../metrics",
        "/x%00y",
        "/..%5c..%5cetc",
        "//etc/passwd",
    ]
    .map(|target| {
        let host = arena.address;
        format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    });
    each(arena, &requests)
}
