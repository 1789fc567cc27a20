//! Thousands of regular expressions in one request, each of which is large when it is compiled.

use std::time::Duration;

use siltstone_rig::wire::{put_bytes, put_integer};
use snap::raw::Encoder;

use crate::arena::{Arena, Outcomes};
use crate::socket::{FORM, ask, get, post};

use super::Attack;

const CLIENTS: usize = 8;
/// As much as fits into a request line with the rest of the head, once braces and backslashes are escaped.
const TARGET_BYTES: usize = 36 << 10;
/// Matchers of a remote read, whose body may be larger.
const READ_MATCHERS: u64 = 20_000;

pub(super) const ATTACKS: &[Attack] =
    &[Attack::new("pattern-bombs", &["400", "413", "422", "503"], patterns)];

/// As many matchers as fit; what a query string may have is not encoded.
fn selector(bytes: usize) -> String {
    let mut selector = "{__name__=%22siege_m1%22".to_owned();
    for number in 0.. {
        let matcher = format!(",a{number}=~%22\\\\pL{{10}}{number}%22");
        if selector.len() + matcher.len() >= bytes {
            break;
        }
        selector += &matcher;
    }
    selector + "}"
}

/// A remote read with matchers of kind "matches".
fn remote_read(arena: &Arena<'_>) -> Vec<u8> {
    let mut query = Vec::new();
    put_integer(&mut query, 1, 0);
    put_integer(&mut query, 2, arena.stored.last_ms.cast_unsigned());
    for number in 0..READ_MATCHERS {
        let mut matcher = Vec::new();
        put_integer(&mut matcher, 1, 2);
        put_bytes(&mut matcher, 2, format!("a{number}").as_bytes());
        put_bytes(&mut matcher, 3, format!("\\pL{{10}}{number}").as_bytes());
        put_bytes(&mut query, 3, &matcher);
    }
    let mut message = Vec::new();
    put_bytes(&mut message, 1, &query);
    let body = Encoder::new().compress_vec(&message).unwrap_or_default();
    let headers = [("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf")];
    post(arena, "/api/v1/read", &headers, &body)
}

fn patterns(arena: &Arena<'_>) -> Outcomes {
    let selector = selector(TARGET_BYTES);
    let (start, end) = arena.stored.span_s();
    let range = format!("start={start}&end={end}&step=60&query={selector}");
    let mut requests = vec![
        get(arena, &format!("/api/v1/series?match[]={selector}")),
        get(arena, &format!("/api/v1/export?match[]={selector}")),
        get(arena, &format!("/federate?match[]={selector}")),
        get(arena, &format!("/api/v1/labels?match[]={selector}")),
        get(arena, &format!("/api/v1/label/instance/values?match[]={selector}")),
        get(arena, &format!("/api/v1/query?query={selector}")),
        get(arena, &format!("/api/v1/query_range?{range}")),
        remote_read(arena),
    ];
    requests.push(post(arena, "/api/v1/query_range", FORM, range.as_bytes()));
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        ask(arena, &requests[random.below(requests.len() as u64) as usize])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_full_of_matchers() {
        let selector = selector(TARGET_BYTES);
        assert!(selector.len() <= TARGET_BYTES + 1 && selector.len() > TARGET_BYTES - 64);
        assert!(selector.matches("pL{10}").count() > 1500, "{}", selector.matches("pL").count());
        assert!(selector.contains(",a0=~%22\\\\pL{10}0%22,"));
    }
}
