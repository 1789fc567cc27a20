//! Clients that leave: within the head, within the body, before the answer, within it.

use std::time::Duration;

use siltstone_rig::http::query_value;

use crate::arena::{Arena, Outcomes};
use crate::requests::{everything, long_answers};
use crate::socket::{Socket, get, post, write};
use crate::stored::ALL;

use super::Attack;
use super::labels::message;

const CLIENTS: usize = 30;
/// Longest time until a client leaves.
const STAY_MAX_MS: u64 = 300;

pub(super) const ATTACKS: &[Attack] = &[Attack::new("leaving-clients", &["left"], leave)];

fn leave(arena: &Arena<'_>) -> Outcomes {
    let mut requests = [everything(arena), long_answers(arena)].concat();
    requests.push(write(arena, &message(arena, "siege_leaving", 1, 1)));
    requests.push(post(
        arena,
        "/api/v1/import/prometheus",
        &[],
        &b"siege_leaving 1\n".repeat(5000),
    ));
    let costly = query_value(&format!("max_over_time(sum by (instance) ({ALL})[1d:1s])"));
    requests.push(get(arena, &format!("/api/v1/query?query={costly}")));
    arena.repeat(CLIENTS, Duration::ZERO, |_, random| {
        let request = &requests[random.below(requests.len() as u64) as usize];
        // One in two sends everything.
        let sent = match random.below(2) {
            0 => random.below(request.len() as u64) as usize,
            _ => request.len(),
        };
        let mut socket = Socket::open(arena)?;
        socket.send(&request[..sent]);
        arena.pause(Duration::from_millis(random.below(STAY_MAX_MS)));
        drop(socket);
        Ok("left".to_owned())
    })
}
