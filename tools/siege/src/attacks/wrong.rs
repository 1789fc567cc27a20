//! Requests that are wrong as they stand, and would be each time: refused for good, so that nobody repeats them.

use std::time::Duration;

use siltstone_rig::bad_requests::{LENGTHS, RANGES, http2_resets};
use siltstone_rig::http::query_value;
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::WRITE_PATH;
use siltstone_rig::wire::{put_bytes, put_fixed64, put_integer};
use snap::raw::Encoder;

use crate::arena::{Arena, Outcomes};
use crate::socket::{Pace, Socket, get, post, write};

use super::Attack;
use super::bombs::any_of;
use super::labels::message;

const CLIENTS: usize = 4;
/// More than a request may have.
const SERIES: usize = 110_000;
const SAMPLES: usize = 1_100_000;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("wrong-types", &["400", "415"], wrong_types),
    Attack::new("bad-labels", &["400"], bad_labels),
    Attack::new("too-many", &["413"], too_many),
    Attack::new("bad-times", &["400"], bad_times),
    Attack::new("closed-admin", &["403"], admin),
    Attack::new("http2", &["400", "closed"], http2),
];

/// Other codings and types than said, and bytes that are none of them.
fn wrong_types(arena: &Arena<'_>) -> Outcomes {
    let body = message(arena, "siege_wrong", 1, 1);
    let typed = |coding: &str, kind: &str, body: &[u8]| {
        let headers = [("Content-Encoding", coding), ("Content-Type", kind)];
        post(arena, WRITE_PATH, &headers, body)
    };
    let v2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request";
    any_of(
        arena,
        &[
            typed("snappy", "text/plain", &body),
            typed("br", "application/x-protobuf", &body),
            typed("snappy", v2, &body),
            post(arena, WRITE_PATH, HEADERS, b"not snappy"),
            post(arena, WRITE_PATH, HEADERS, b"\x05\x10abcde"),
            post(arena, "/api/v1/import", &[("Content-Encoding", "br")], b"{}"),
            post(arena, "/api/v1/import", &[("Content-Encoding", "gzip")], b"no gzip"),
            post(arena, "/api/v1/import", &[], b"\xff\xfe\n"),
            post(arena, "/api/v1/read", &HEADERS[..2], b"not snappy"),
        ],
    )
}

/// A remote write of one series with these labels and one sample.
fn labelled(arena: &Arena<'_>, labels: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut series = Vec::new();
    for (name, value) in labels {
        let mut label = Vec::new();
        put_bytes(&mut label, 1, name);
        put_bytes(&mut label, 2, value);
        put_bytes(&mut series, 1, &label);
    }
    let mut sample = Vec::new();
    put_fixed64(&mut sample, 1, 0);
    put_integer(&mut sample, 2, arena.stored.last_ms.cast_unsigned());
    put_bytes(&mut series, 2, &sample);
    in_a_request(arena, &series, 1)
}

fn in_a_request(arena: &Arena<'_>, series: &[u8], times: usize) -> Vec<u8> {
    let mut message = Vec::new();
    (0..times).for_each(|_| put_bytes(&mut message, 1, series));
    write(arena, &Encoder::new().compress_vec(&message).unwrap_or_default())
}

fn bad_labels(arena: &Arena<'_>) -> Outcomes {
    let name: (&[u8], &[u8]) = (b"__name__", b"siege_bad");
    let names: Vec<String> = (0..1000).map(|number| format!("l{number:04}")).collect();
    let many: Vec<_> = names.iter().map(|label| (label.as_bytes(), &b"x"[..])).collect();
    let (long, kib) = (vec![b'n'; 2 << 10], vec![b'v'; 8 << 10]);
    let large: Vec<_> = names.iter().take(5).map(|label| (label.as_bytes(), &kib[..])).collect();
    any_of(
        arena,
        &[
            labelled(arena, &many),
            labelled(arena, &large),
            labelled(arena, &[name, (&long, b"x")]),
            labelled(arena, &[name, (b"a", b"1"), (b"a", b"2")]),
            labelled(arena, &[name, (b"", b"x")]),
            labelled(arena, &[name, (b"a", b"\xff\xfe")]),
            labelled(arena, &[]),
        ],
    )
}

/// More series, and more samples, than one request may have.
fn too_many(arena: &Arena<'_>) -> Outcomes {
    let mut label = Vec::new();
    put_bytes(&mut label, 1, b"__name__");
    put_bytes(&mut label, 2, b"siege_many");
    let mut series = Vec::new();
    put_bytes(&mut series, 1, &label);
    let requests = [SERIES, 1].map(|times| {
        let samples = if times == 1 { SAMPLES } else { 1 };
        let mut series = series.clone();
        // Empty samples: value and time are zero.
        (0..samples).for_each(|_| put_bytes(&mut series, 2, b""));
        in_a_request(arena, &series, times)
    });
    any_of(arena, &requests)
}

/// Times, steps and ranges that are backwards, empty, endless or no numbers.
fn bad_times(arena: &Arena<'_>) -> Outcomes {
    let ranges = RANGES.map(|range| format!("/api/v1/query_range?query=siege_m1&{range}"));
    let queries = LENGTHS.map(|query| format!("/api/v1/query?query={}", query_value(query)));
    let others = [
        "/api/v1/query?query=x&time=NaN",
        "/api/v1/query?query=x&time=x",
        "/api/v1/export?match[]=x&start=x",
        "/api/v1/series?match[]=x&start=2&end=x",
    ];
    let targets = ranges.iter().chain(&queries).map(String::as_str).chain(others);
    let requests: Vec<_> = targets.map(|target| get(arena, target)).collect();
    any_of(arena, &requests)
}

/// The admin API, which is not open.
fn admin(arena: &Arena<'_>) -> Outcomes {
    let requests = ["delete_series?match[]=siege_m1", "flush", "compact", "snapshot"]
        .map(|call| post(arena, &format!("/api/v1/admin/tsdb/{call}"), &[], b""));
    any_of(arena, &requests)
}

fn http2(arena: &Arena<'_>) -> Outcomes {
    let bytes = http2_resets();
    arena.repeat(CLIENTS, Duration::ZERO, |_, _| {
        let mut socket = Socket::open(arena)?;
        socket.send(&bytes);
        Ok(socket.outcome(Pace::Full))
    })
}
