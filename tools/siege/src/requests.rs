//! Requests for all that is stored, from every endpoint that reads.

use siltstone_rig::http::query_value;
use siltstone_rig::wire::{put_bytes, put_integer};
use snap::raw::Encoder;

use crate::arena::Arena;
use crate::socket::{get, post};
use crate::stored::ALL;

/// One of each kind.
pub(crate) fn everything(arena: &Arena<'_>) -> Vec<Vec<u8>> {
    let all = query_value("{__name__!=\"\"}");
    vec![
        get(arena, &format!("/api/v1/series?match[]={all}")),
        get(arena, "/api/v1/labels"),
        get(arena, "/api/v1/label/instance/values"),
        get(arena, "/api/v1/label/__name__/values"),
        get(arena, &format!("/api/v1/export?match[]={all}")),
        get(arena, &format!("/federate?match[]={all}")),
        get(arena, "/api/v1/status/tsdb"),
        remote_read(arena, false),
        remote_read(arena, true),
    ]
}

/// A remote read of everything, in one piece or as a stream of chunks.
pub(crate) fn remote_read(arena: &Arena<'_>, streamed: bool) -> Vec<u8> {
    let mut matcher = Vec::new();
    put_integer(&mut matcher, 1, 2);
    put_bytes(&mut matcher, 2, b"__name__");
    put_bytes(&mut matcher, 3, b".+");
    let mut query = Vec::new();
    put_integer(&mut query, 1, 0);
    put_integer(&mut query, 2, (arena.stored.last_ms + 1).cast_unsigned());
    put_bytes(&mut query, 3, &matcher);
    let mut message = Vec::new();
    put_bytes(&mut message, 1, &query);
    if streamed {
        put_integer(&mut message, 2, 1);
    }
    let body = Encoder::new().compress_vec(&message).unwrap_or_default();
    let headers = [("Content-Encoding", "snappy"), ("Content-Type", "application/x-protobuf")];
    post(arena, "/api/v1/read", &headers, &body)
}

/// A large answer of each kind that is sent as it is made.
pub(crate) fn long_answers(arena: &Arena<'_>) -> Vec<Vec<u8>> {
    let all = query_value(ALL);
    vec![
        get(arena, &format!("/api/v1/export?match[]={all}")),
        get(arena, &format!("/api/v1/query_range?{}", arena.stored.range(ALL, 200))),
        get(arena, &format!("/api/v1/series?match[]={all}")),
        remote_read(arena, true),
    ]
}
