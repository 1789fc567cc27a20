//! Clients that ask for much and take it slowly, or not at all. A remote read for which there is no memory is
//! answered 400, as in Prometheus.

use crate::arena::{Arena, Outcomes};
use crate::requests::long_answers;
use crate::socket::{Pace, ask_at};

use super::Attack;

const CLIENTS: usize = 40;
/// Steady ones, which must not be cut off.
const STEADY: usize = 16;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::new(
        "readers-that-stop",
        &["200", "400", "422", "503", "left", "200 left", "200 cut"],
        |arena| read(arena, CLIENTS, Pace::Nothing),
    )
    .leaving()
    .lasting(),
    Attack::new("readers-at-16-kb-s", &["200", "422", "left", "200 left"], |arena| {
        read(arena, STEADY, Pace::BytesPerSecond(16 << 10))
    })
    .leaving()
    .lasting(),
    Attack::new(
        "readers-at-1-b-s",
        &["200", "400", "422", "503", "left", "200 left", "200 cut"],
        |arena| read(arena, CLIENTS, Pace::BytesPerSecond(1)),
    )
    .leaving()
    .lasting(),
];

/// Each client asks once and stays.
fn read(arena: &Arena<'_>, clients: usize, pace: Pace) -> Outcomes {
    let requests = long_answers(arena);
    arena.clients(clients, |client, _| {
        let mut outcomes = Outcomes::default();
        let request = &requests[client % requests.len()];
        outcomes.note(ask_at(arena, request, pace).unwrap_or_else(|failed| failed));
        outcomes
    })
}
