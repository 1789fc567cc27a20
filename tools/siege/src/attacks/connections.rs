//! Connections that say nothing, or take long to say it, or say too much.

use std::time::Duration;

use crate::arena::{Arena, Outcomes};
use crate::socket::{Pace, Socket, ask};

use super::Attack;

const SILENT: usize = 600;
const SLOW: usize = 150;
/// Time between two bytes of a head.
const SLOW_STEP: Duration = Duration::from_millis(100);
const FLOODERS: usize = 8;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new("silent-connections", &["closed", "408", "left"], silent).leaving().lasting(),
    Attack::new("slow-headers", &["closed", "408", "left"], slow_headers).leaving().lasting(),
    Attack::new("header-floods", &["431", "414"], header_floods),
];

fn silent(arena: &Arena<'_>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut sockets = Vec::new();
    for _ in 0..arena.share_of(SILENT) {
        match Socket::open(arena) {
            Ok(socket) => sockets.push(socket),
            Err(failed) => outcomes.note(failed),
        }
    }
    arena.wait_to_leave();
    sockets.into_iter().for_each(|socket| outcomes.note(what_became(socket)));
    outcomes
}

/// What has come of a connection until now.
fn what_became(socket: Socket<'_>) -> String {
    if socket.has_answer_now() { socket.outcome(Pace::Nothing) } else { "left".to_owned() }
}

/// Many heads that grow by a byte at a time; who is closed comes again.
fn slow_headers(arena: &Arena<'_>) -> Outcomes {
    let mut outcomes = Outcomes::default();
    let mut sockets: Vec<Socket<'_>> = Vec::new();
    while !arena.is_over() {
        let (ended, open): (Vec<_>, Vec<_>) = sockets.into_iter().partition(Socket::has_answer_now);
        sockets = open;
        for socket in ended {
            outcomes.note(socket.first_outcome());
        }
        while sockets.len() < arena.share_of(SLOW) && !arena.is_over() {
            match Socket::open(arena) {
                Ok(mut socket) => {
                    socket.send(b"GET /-/healthy HTTP/1.1\r\nHost: ");
                    sockets.push(socket);
                }
                Err(failed) => outcomes.note(failed),
            }
        }
        for socket in &mut sockets {
            socket.send(b"a");
        }
        arena.pause(SLOW_STEP);
    }
    sockets.iter().for_each(|_| outcomes.note("left"));
    outcomes
}

/// Heads with too many bytes, too many lines, too long a target.
fn header_floods(arena: &Arena<'_>) -> Outcomes {
    let start = format!("GET /-/healthy HTTP/1.1\r\nHost: {}\r\n", arena.address);
    let long = format!("{start}X-Long: {}\r\n\r\n", "x".repeat(70 << 10));
    let lines: String = (0..101).map(|number| format!("x-{number}: 1\r\n")).collect();
    let many = format!("{start}{lines}\r\n");
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70 << 10));
    arena.repeat(FLOODERS, Duration::ZERO, |_, random| {
        let request = [&long, &many, &target][random.below(3) as usize];
        ask(arena, request.as_bytes())
    })
}
