//! Bodies that come late, slowly, in part or not at all.

use crate::arena::{Arena, Outcomes};
use crate::socket::{FORM, Pace, Socket, chunk, chunked_head, post_head};
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::store::WRITE_PATH;

use super::Attack;
use super::labels::message;

const WRITERS: usize = 20;
const PROMISES: usize = 200;
const FORMS: usize = 60;
const NEWLINES: usize = 8;
const MEBIBYTE: usize = 1 << 20;
/// The paths that take forms.
const FORM_PATHS: &[&str] =
    &["/api/v1/query", "/api/v1/query_range", "/api/v1/series", "/api/v1/export", "/api/v1/labels"];

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("late-bodies", &["204"], late).lasting(),
    Attack::new("promised-bodies", &["408", "503"], promised).lasting(),
    Attack::new("trickling-bodies", &["408", "503"], trickling).lasting(),
    Attack::new("partial-lines", &["204"], partial_lines).lasting(),
    Attack::new("newlines-then-silence", &["408"], newlines).lasting(),
    Attack::new("slow-forms", &["408", "503"], slow_forms).lasting(),
];

/// Chunked writes: all heads first, each body a quarter of the time later.
fn late(arena: &Arena<'_>) -> Outcomes {
    arena.repeat(WRITERS, arena.length / 2, |client, random| {
        let body = message(arena, "siege_late", client as u64, random.below(1000));
        let mut socket = Socket::open(arena)?;
        socket.send(&chunked_head(arena, WRITE_PATH, HEADERS));
        arena.pause(arena.length / 4);
        socket.send(&[chunk(&body), chunk(b"")].concat());
        Ok(socket.outcome(Pace::Full))
    })
}

/// Heads that promise a body which never comes.
fn promised(arena: &Arena<'_>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut sockets = Vec::new();
    for number in 0..arena.share_of(PROMISES) {
        let import = number % 2 == 0;
        let (path, headers) =
            if import { ("/api/v1/import", &[][..]) } else { (WRITE_PATH, HEADERS) };
        match Socket::open(arena) {
            Ok(mut socket) => {
                socket.send(&post_head(arena, path, headers, 400 << 10));
                sockets.push(socket);
            }
            Err(failed) => outcomes.note(failed),
        }
    }
    sockets.into_iter().for_each(|socket| outcomes.note(socket.outcome(Pace::Full)));
    outcomes
}

/// A byte at a time, far below the rate that a body has to keep.
fn trickling(arena: &Arena<'_>) -> Outcomes {
    const PATHS: &[(&str, &[(&str, &str)])] =
        &[(WRITE_PATH, HEADERS), ("/api/v1/import", &[]), ("/api/v1/import/prometheus", &[])];
    arena.clients(WRITERS, |client, _| {
        let (path, headers) = PATHS[client % PATHS.len()];
        trickle(arena, &post_head(arena, path, headers, 100 << 10), b"x")
    })
}

/// Sends `start`, and then `piece` again and again until there is an answer.
fn trickle(arena: &Arena<'_>, start: &[u8], piece: &[u8]) -> Outcomes {
    let mut outcomes = Outcomes::default();
    outcomes.note(match Socket::open(arena) {
        Ok(mut socket) => {
            socket.send(start);
            while !socket.has_answer() && !arena.is_over() && socket.send(piece) {}
            socket.outcome(Pace::Full)
        }
        Err(failed) => failed,
    });
    outcomes
}

/// JSON lines that stand half there for a quarter of the time.
fn partial_lines(arena: &Arena<'_>) -> Outcomes {
    arena.repeat(WRITERS, arena.length / 2, |client, _| {
        let line = format!(
            "{{\"metric\":{{\"__name__\":\"siege_partial\",\"n\":\"{client}\"}},\
             \"values\":[1],\"timestamps\":[{}]}}\n",
            arena.stored.last_ms
        );
        let (start, end) = line.as_bytes().split_at(line.len() / 2);
        let mut socket = Socket::open(arena)?;
        socket.send(&[chunked_head(arena, "/api/v1/import", &[]), chunk(start)].concat());
        arena.pause(arena.length / 4);
        socket.send(&[chunk(end), chunk(b"")].concat());
        Ok(socket.outcome(Pace::Full))
    })
}

/// A megabyte of nothing buys no time for a silence.
fn newlines(arena: &Arena<'_>) -> Outcomes {
    let request =
        [post_head(arena, "/api/v1/import/prometheus", &[], 2 * MEBIBYTE), vec![b'\n'; MEBIBYTE]]
            .concat();
    arena.clients(NEWLINES, |_, _| {
        let mut outcomes = Outcomes::default();
        outcomes.note(crate::socket::ask(arena, &request).unwrap_or_else(|failed| failed));
        outcomes
    })
}

fn slow_forms(arena: &Arena<'_>) -> Outcomes {
    arena.clients(FORMS, |client, _| {
        let path = FORM_PATHS[client % FORM_PATHS.len()];
        let start = [post_head(arena, path, FORM, 1000), b"query=".to_vec()].concat();
        trickle(arena, &start, b"a")
    })
}
