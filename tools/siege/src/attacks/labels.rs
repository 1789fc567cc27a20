//! Labels and series that would fill memory: too many, too large, of samples that are not stored.

use std::time::Duration;

use siltstone_rig::remote_write::put_time_series;
use siltstone_rig::seeded::Seeded;
use siltstone_rig::wire::{put_bytes, put_fixed64, put_integer};
use snap::raw::Encoder;

use crate::arena::{Arena, Outcomes};
use crate::socket::{ask, write};

use super::Attack;
use super::bombs::any_of;

const CLIENTS: usize = 4;
/// Series of a request.
const SERIES: u64 = 1000;
/// Series of a request whose labels are as long as they may be.
const LONG_SERIES: u64 = 50;
/// Ten years.
const FAR_MS: i64 = 315_360_000_000;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("label-bombs", &["400", "413"], label_bombs),
    Attack::new("too-long-values", &["400"], too_long),
    Attack::new("ghost-series", &["400", "413"], ghosts),
    Attack::new("cardinality-flood", &["204", "429", "503"], flood).filling(),
    Attack::new("longest-values-flood", &["204", "429", "503"], longest).filling(),
];

/// A remote write of one sample of a series, which this attack has for itself.
pub(super) fn message(arena: &Arena<'_>, metric: &str, series: u64, value: u64) -> Vec<u8> {
    let mut message = Vec::new();
    put_series(&mut message, metric, &series.to_string(), arena.stored.last_ms, value);
    compressed(&message)
}

fn put_series(message: &mut Vec<u8>, metric: &str, n: &str, at_ms: i64, value: u64) {
    let labels = [("__name__".to_owned(), metric.to_owned()), ("n".to_owned(), n.to_owned())];
    put_time_series(message, &labels, &[(at_ms, (value as f64).to_bits())]);
}

/// The body; an empty one if the message is too large for snappy, which none here is.
fn compressed(message: &[u8]) -> Vec<u8> {
    Encoder::new().compress_vec(message).unwrap_or_default()
}

/// Millions of labels without a name and a value, two bytes each; and half a million with a name.
fn label_bombs(arena: &Arena<'_>) -> Outcomes {
    let requests = [(16_000_000, &[][..]), (7_500_000, &[]), (500_000, b"\x0a\x01a\x12\x01b")].map(
        |(labels, label)| {
            let mut series = Vec::new();
            for _ in 0..labels {
                put_bytes(&mut series, 1, label);
            }
            let mut sample = Vec::new();
            put_fixed64(&mut sample, 1, 0);
            put_integer(&mut sample, 2, arena.stored.last_ms.cast_unsigned());
            put_bytes(&mut series, 2, &sample);
            let mut message = Vec::new();
            put_bytes(&mut message, 1, &series);
            write(arena, &compressed(&message))
        },
    );
    any_of(arena, &requests)
}

fn too_long(arena: &Arena<'_>) -> Outcomes {
    let mut message = Vec::new();
    put_series(&mut message, "siege_long", &"v".repeat(1 << 20), arena.stored.last_ms, 1);
    any_of(arena, &[write(arena, &compressed(&message))])
}

/// Ever new series, as the clients go on.
fn new_series(
    arena: &Arena<'_>,
    series: u64,
    at_ms: i64,
    value: impl Fn(&mut Seeded) -> String + Sync,
) -> Outcomes {
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        let mut message = Vec::new();
        for _ in 0..series {
            put_series(&mut message, "siege_flood", &value(random), at_ms, 1);
        }
        ask(arena, &write(arena, &compressed(&message)))
    })
}

/// New series whose samples are refused, so that none of them may take room.
fn ghosts(arena: &Arena<'_>) -> Outcomes {
    let name = |random: &mut Seeded| format!("{:0200x}", random.next_u64());
    new_series(arena, SERIES, arena.stored.last_ms + FAR_MS, name)
}

fn flood(arena: &Arena<'_>) -> Outcomes {
    new_series(arena, SERIES, arena.stored.last_ms, |random| format!("{:x}", random.next_u64()))
}

fn longest(arena: &Arena<'_>) -> Outcomes {
    // 8 KiB, which snappy cannot make shorter.
    let value =
        |random: &mut Seeded| (0..512).map(|_| format!("{:016x}", random.next_u64())).collect();
    new_series(arena, LONG_SERIES, arena.stored.last_ms, value)
}
