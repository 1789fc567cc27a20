//! Requests with a few bytes changed at random: whatever they have become, they are no reason for an error
//! of the server's own.

use std::time::Duration;

use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::seeded::Seeded;
use siltstone_rig::store::WRITE_PATH;
use snap::raw::{Decoder, Encoder};

use crate::arena::{Arena, Outcomes};
use crate::requests::remote_read;
use crate::socket::{FORM, ask, post};

use super::Attack;
use super::labels::message;

const CLIENTS: usize = 8;
/// Most places that are changed.
const CHANGES_MAX: u64 = 8;
/// Bytes that mean something to one of the readers.
const SPECIAL: &[u8] = b"\0\x01\x7f\x80\xff\"{}[],:\\\n\r =#%&+-.eE09NaI";

pub(super) const ATTACKS: &[Attack] =
    &[Attack::new("mutations", &["200", "204", "400", "413", "415", "422"], mutations)];

/// Changes, adds, removes and repeats bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Seeded) {
    for _ in 0..=random.below(CHANGES_MAX) {
        let at = random.below(bytes.len().max(1) as u64) as usize;
        let special = SPECIAL[random.below(SPECIAL.len() as u64) as usize];
        match random.below(5) {
            0 => bytes.insert(at.min(bytes.len()), special),
            _ if bytes.is_empty() => {}
            1 => bytes[at] = special,
            2 => bytes[at] ^= 1 << random.below(8),
            3 => drop(bytes.remove(at)),
            _ => {
                let end = (at + random.below(40) as usize).min(bytes.len());
                let repeated = bytes[at..end].to_vec();
                bytes.splice(at..at, repeated);
            }
        }
    }
}

fn mutations(arena: &Arena<'_>) -> Outcomes {
    let write = message(arena, "siege_mutated", 1, 1);
    let plain = Decoder::new().decompress_vec(&write).unwrap_or_default();
    let read = remote_read(arena, true);
    // The body behind the head.
    let read_at = read.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let json =
        b"{\"metric\":{\"__name__\":\"siege_mutated\",\"a\":\"b\"},\"values\":[1,2.5,\"NaN\"],\
        \"timestamps\":[1,2,3]}\n";
    let text = b"# TYPE siege_mutated counter\nsiege_mutated{a=\"b\",c=\"d\\n\"} 1.5e3 1000\n";
    let query =
        arena.stored.range("sum by (zone) (rate(siege_m1{zone=~\"z.*\"}[5m] offset 1m))", 5);
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        let mutated = |bytes: &[u8], random: &mut Seeded| {
            let mut bytes = bytes.to_vec();
            mutate(&mut bytes, random);
            bytes
        };
        let request = match random.below(6) {
            0 => post(arena, WRITE_PATH, HEADERS, &mutated(&write, random)),
            1 => {
                let body = Encoder::new().compress_vec(&mutated(&plain, random));
                post(arena, WRITE_PATH, HEADERS, &body.unwrap_or_default())
            }
            2 => post(arena, "/api/v1/import", &[], &mutated(json, random)),
            3 => post(arena, "/api/v1/import/prometheus", &[], &mutated(text, random)),
            4 => post(arena, "/api/v1/query_range", FORM, &mutated(query.as_bytes(), random)),
            _ => {
                let body = mutated(&read[read_at..], random);
                post(arena, "/api/v1/read", &HEADERS[..2], &body)
            }
        };
        ask(arena, &request)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_mutations_and_nothing_is_too_short() {
        for seed in 0..500 {
            let mut twice = [b"abc".to_vec(), b"abc".to_vec()];
            twice.iter_mut().for_each(|bytes| mutate(bytes, &mut Seeded::new(seed)));
            assert_eq!(twice[0], twice[1]);
            mutate(&mut Vec::new(), &mut Seeded::new(seed));
        }
    }
}
