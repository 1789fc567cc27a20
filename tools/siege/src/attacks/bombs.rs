//! Bodies that are small as they come and large as they are decoded.

use std::io::{self, Read, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::WRITE_PATH;
use snap::raw::Encoder;

use crate::arena::{Arena, Outcomes};
use crate::socket::{ask, post, write};

use super::Attack;

const CLIENTS: usize = 4;
/// What streams of gzip and zstd become.
const STREAM_BYTES: u64 = 64 << 20;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("snappy-bombs", &["400", "413"], snappy),
    Attack::new("snappy-4-gib-declared", &["400", "413"], declared),
    Attack::new("gzip-bombs", &["200", "204", "400", "413"], gzip),
    // 200 is a text without samples.
    Attack::new("zstd-bombs", &["200", "204", "400", "413", "415"], zstd),
];

/// What to send that is not to be had.
fn without_bomb(error: &io::Error) -> Outcomes {
    let mut outcomes = Outcomes::default();
    outcomes.note(format!("no bomb ({error})"));
    outcomes
}

fn snappy(arena: &Arena<'_>) -> Outcomes {
    let bodies: Result<Vec<_>, _> =
        [15, 20, 40].iter().map(|mib| Encoder::new().compress_vec(&vec![0; mib << 20])).collect();
    match bodies {
        Ok(bodies) => {
            let requests: Vec<_> = bodies.iter().map(|body| write(arena, body)).collect();
            any_of(arena, &requests)
        }
        Err(error) => without_bomb(&io::Error::other(error)),
    }
}

/// Requests of which each client sends one after the other at random.
pub(super) fn any_of(arena: &Arena<'_>, requests: &[Vec<u8>]) -> Outcomes {
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        ask(arena, &requests[random.below(requests.len() as u64) as usize])
    })
}

/// The length in front says 4 GiB, and nothing like that follows.
fn declared(arena: &Arena<'_>) -> Outcomes {
    let bodies =
        [&b"\xff\xff\xff\xff\x0f\x00abc"[..], b"\x80\x80\x80\x80\x10", b"\xff\xff\xff\xff\x07"];
    any_of(arena, &bodies.map(|body| write(arena, body)))
}

/// What decompresses to lines without content, and to one line without an end.
fn streams(
    arena: &Arena<'_>,
    coding: &str,
    compress: impl Fn(u8) -> io::Result<Vec<u8>>,
) -> io::Result<Vec<Vec<u8>>> {
    let headers = [("Content-Encoding", coding)];
    let mut requests = Vec::new();
    for byte in [b'\n', b'a'] {
        let body = compress(byte)?;
        for path in ["/api/v1/import", "/api/v1/import/prometheus"] {
            requests.push(post(arena, path, &headers, &body));
        }
    }
    Ok(requests)
}

fn gzip(arena: &Arena<'_>) -> Outcomes {
    let requests = streams(arena, "gzip", |byte| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        io::copy(&mut io::repeat(byte).take(STREAM_BYTES), &mut encoder)?;
        encoder.flush()?;
        encoder.finish()
    });
    requests.map_or_else(|error| without_bomb(&error), |requests| any_of(arena, &requests))
}

fn zstd(arena: &Arena<'_>) -> Outcomes {
    let compress = |byte| ::zstd::encode_all(io::repeat(byte).take(STREAM_BYTES), 1);
    let requests = streams(arena, "zstd", compress).and_then(|mut requests| {
        let headers = [&[("Content-Encoding", "zstd")], &HEADERS[1..]].concat();
        requests.push(post(arena, WRITE_PATH, &headers, &compress(0)?));
        Ok(requests)
    });
    requests.map_or_else(|error| without_bomb(&error), |requests| any_of(arena, &requests))
}
