//! Where one attack takes place: the server's address, the time there is, and the clients.
//!
//! Nothing here lasts longer than [`Arena::leave`]: clients stop asking at [`Arena::end`], and those that wait
//! for an answer leave then.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::thread::{self, Builder};
use std::time::{Duration, Instant};

use siltstone_rig::Interrupt;
use siltstone_rig::seeded::{Seeded, mix};

use crate::stored::Stored;

/// Stack of a client's thread: there are many.
const STACK_BYTES: usize = 512 << 10;
/// Pause between two requests of a client.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a client sleeps before it looks whether its time is over.
const STEP: Duration = Duration::from_millis(20);

/// What came of requests or connections, and how many there were of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    counts: BTreeMap<String, u64>,
}

impl Outcomes {
    pub(crate) fn note(&mut self, outcome: impl Into<String>) {
        *self.counts.entry(outcome.into()).or_insert(0) += 1;
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (outcome, count) in &other.counts {
            *self.counts.entry(outcome.clone()).or_insert(0) += count;
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(outcome, count)| (outcome.as_str(), *count))
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (outcome, count)) in self.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{outcome}: {count}")?;
        }
        Ok(())
    }
}

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arena<'a> {
    pub(crate) address: SocketAddr,
    /// What is stored.
    pub(crate) stored: Stored,
    /// How long the attack lasts; the server's deadlines are parts of it.
    pub(crate) length: Duration,
    /// No request begins later.
    pub(crate) end: Instant,
    /// No client stays longer.
    pub(crate) leave: Instant,
    pub(crate) seed: u64,
    /// Only one of so many clients comes.
    pub(crate) share: usize,
    pub(crate) interrupt: &'a Interrupt,
}

impl Arena<'_> {
    /// Whether clients have to leave.
    pub(crate) fn is_over(&self) -> bool {
        Instant::now() >= self.leave || self.interrupt.is_raised()
    }

    /// Whether there is so much time until no request may begin.
    pub(crate) fn has_time(&self, needed: Duration) -> bool {
        Instant::now() + needed < self.end && !self.interrupt.is_raised()
    }

    /// Sleeps, but not longer than clients may stay.
    pub(crate) fn pause(&self, duration: Duration) {
        let until = Instant::now() + duration;
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            thread::sleep(left.min(STEP));
        }
    }

    /// Sleeps as long as clients may stay.
    pub(crate) fn wait_to_leave(&self) {
        self.pause(self.leave.saturating_duration_since(Instant::now()));
    }

    /// How many of so many clients come.
    pub(crate) fn share_of(&self, clients: usize) -> usize {
        clients.div_ceil(self.share)
    }

    /// Runs clients side by side, each once, with numbers from zero.
    pub(crate) fn clients(
        &self,
        clients: usize,
        run: impl Fn(usize, &mut Seeded) -> Outcomes + Sync,
    ) -> Outcomes {
        let mut outcomes = Outcomes::default();
        thread::scope(|scope| {
            let started: Vec<_> = (0..self.share_of(clients))
                .map(|number| {
                    let run = &run;
                    let client = move || {
                        let mut random = Seeded::new(mix(self.seed ^ number as u64));
                        run(number, &mut random)
                    };
                    Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, client)
                })
                .collect();
            for client in started {
                match client.map(thread::ScopedJoinHandle::join) {
                    Ok(Ok(of_client)) => outcomes.merge(&of_client),
                    Ok(Err(_)) => outcomes.note("the client panicked"),
                    Err(_) => outcomes.note("no thread for the client"),
                }
            }
        });
        outcomes
    }

    /// Runs clients side by side, each again and again while there is as much time as it needs; each does its
    /// work once at least.
    pub(crate) fn repeat(
        &self,
        clients: usize,
        needed: Duration,
        work: impl Fn(usize, &mut Seeded) -> Result<String, String> + Sync,
    ) -> Outcomes {
        self.clients(clients, |number, random| {
            let mut outcomes = Outcomes::default();
            loop {
                outcomes.note(work(number, random).unwrap_or_else(|failed| failed));
                self.pause(PAUSE);
                if !self.has_time(needed) {
                    return outcomes;
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_end_with_their_time() {
        let interrupt = Interrupt::default();
        let now = Instant::now();
        let arena = Arena {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            stored: Stored { last_ms: 0 },
            length: Duration::from_millis(100),
            end: now + Duration::from_millis(100),
            leave: now + Duration::from_millis(200),
            seed: 1,
            share: 2,
            interrupt: &interrupt,
        };
        let outcomes = arena.repeat(5, Duration::ZERO, |number, _| {
            if number == 0 { Err("no".into()) } else { Ok("yes".into()) }
        });
        assert!(outcomes.total() >= 6, "three clients: {outcomes}");
        assert!(outcomes.to_string().starts_with("no: "));
        arena.wait_to_leave();
        assert!(arena.is_over() && !arena.has_time(Duration::ZERO));
        let once = arena.repeat(1, Duration::from_secs(9), |_, _| Ok("once".into()));
        assert_eq!(once.to_string(), "once: 1");
    }
}
