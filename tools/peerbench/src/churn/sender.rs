//! Which request is sent when, by whom, and how it was answered.

use std::collections::VecDeque;
use std::time::Instant;

use siltstone_rig::error::RigError;
use siltstone_rig::http::{HttpClient, Response};
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::remote_write::{HEADERS, RequestTemplate};
use siltstone_rig::seeded::mix;
use siltstone_rig::store::WRITE_PATH;
use siltstone_rig::tsbs::template;
use snap::raw::Encoder;

use super::{Load, STEP_MS};

/// A load with its times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) load: Load,
    /// Timestamp of round 0 in milliseconds.
    pub(super) first_ms: i64,
}

/// What was sent, and how it was answered.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Requests.
    pub requests: u64,
    /// Samples that were stored, as the store said.
    pub samples: u64,
    /// Samples that were refused.
    pub refused: u64,
    /// Samples that were refused although all series of their request had been taken before.
    pub known_refused: u64,
    /// Requests all of whose series were taken at their first sight.
    pub known_requests: Vec<u64>,
    /// Whether the time was up before everything was sent.
    pub cut_short: bool,
    /// The first refusal in the store's words.
    pub first_refusal: Option<String>,
}

impl Plan {
    /// When the samples of a round were taken.
    pub(super) fn time_of(&self, round: u64) -> i64 {
        self.first_ms + STEP_MS * round.cast_signed()
    }

    /// The value of a series in a round: a whole percentage.
    pub(super) fn value_of(series: u64, round: u64) -> u64 {
        mix(series.wrapping_mul(1 << 20) ^ round) % 101
    }

    /// Sends everything, on all connections at once.
    pub(super) fn send_all(
        &self,
        client: impl Fn() -> HttpClient,
        interrupt: &Interrupt,
    ) -> Result<Sent, RigError> {
        let end = Instant::now() + self.load.time_max;
        let parts: Vec<Result<Sent, RigError>> = std::thread::scope(|scope| {
            let connections: Vec<_> = (0..self.load.connections)
                .map(|number| {
                    let connection = Connection {
                        plan: *self,
                        number,
                        client: client(),
                        encoder: Encoder::new(),
                        body: Vec::new(),
                        end,
                        sent: Sent::default(),
                    };
                    scope.spawn(move || match self.load.at_once() {
                        true => connection.at_once(interrupt),
                        false => connection.in_turn(interrupt),
                    })
                })
                .collect();
            let joined = connections.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined
                .map(|r| r.unwrap_or_else(|_| Err(RigError::failed("a sender panicked"))))
                .collect()
        });
        let mut all = Sent::default();
        for part in parts {
            all.add(part?);
        }
        Ok(all)
    }

    /// The requests of a connection, by number.
    fn requests_of(&self, connection: u64) -> impl Iterator<Item = u64> + use<> {
        let Load { series, request_series, connections, .. } = self.load;
        (connection..series / request_series).step_by(connections as usize)
    }
}

impl Sent {
    fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.samples += other.samples;
        self.refused += other.refused;
        self.known_refused += other.known_refused;
        self.known_requests.extend(other.known_requests);
        self.cut_short |= other.cut_short;
        self.first_refusal = self.first_refusal.take().or(other.first_refusal);
    }
}

struct Connection {
    plan: Plan,
    number: u64,
    client: HttpClient,
    encoder: Encoder,
    body: Vec<u8>,
    end: Instant,
    sent: Sent,
}

impl Connection {
    /// A window over the requests, that moves on so that each is sent `samples_per_series` times.
    fn in_turn(mut self, interrupt: &Interrupt) -> Result<Sent, RigError> {
        let load = self.plan.load;
        let mut new = self.plan.requests_of(self.number);
        let mut window: VecDeque<(u64, u64, RequestTemplate)> = VecDeque::new();
        let step = load.requests_active() / load.samples_per_series;
        for round in 0.. {
            for request in new.by_ref().take(step as usize) {
                window.push_back((request, 0, self.template(request)));
            }
            if window.is_empty() {
                break;
            }
            for (request, times, template) in &mut window {
                if self.is_over(interrupt)? {
                    return Ok(self.sent);
                }
                let stored = self.send(*request, round, template)?;
                let whole = stored == load.request_series;
                match (*times, whole) {
                    (0, true) => self.sent.known_requests.push(*request),
                    (1.., false) => self.sent.known_refused += load.request_series - stored,
                    _ => {}
                }
                *times += 1;
            }
            while window.front().is_some_and(|(_, times, _)| *times >= load.samples_per_series) {
                window.pop_front();
            }
        }
        Ok(self.sent)
    }

    /// All requests, round after round; templates are made anew, to keep this program small.
    fn at_once(mut self, interrupt: &Interrupt) -> Result<Sent, RigError> {
        let load = self.plan.load;
        let mut known = Vec::new();
        for round in 0..load.samples_per_series {
            for (at, request) in self.plan.requests_of(self.number).enumerate() {
                if self.is_over(interrupt)? {
                    return Ok(self.sent);
                }
                let mut template = self.template(request);
                let stored = self.send(request, round, &mut template)?;
                let whole = stored == load.request_series;
                if round == 0 {
                    known.push(whole);
                    self.sent.known_requests.extend(whole.then_some(request));
                } else if known[at] {
                    self.sent.known_refused += load.request_series - stored;
                }
            }
        }
        Ok(self.sent)
    }

    fn is_over(&mut self, interrupt: &Interrupt) -> Result<bool, RigError> {
        interrupt.check()?;
        self.sent.cut_short |= Instant::now() >= self.end;
        Ok(self.sent.cut_short)
    }

    fn template(&self, request: u64) -> RequestTemplate {
        let load = self.plan.load;
        template(request * load.request_series, load.request_series)
    }

    /// Sends one sample of every series of a request; returns how many were stored.
    fn send(
        &mut self,
        request: u64,
        round: u64,
        template: &mut RequestTemplate,
    ) -> Result<u64, RigError> {
        let first = request * self.plan.load.request_series;
        for index in 0..template.series() {
            let value = Plan::value_of(first + index as u64, round) as f64;
            template.set_sample(index, self.plan.time_of(round), value.to_bits());
        }
        template.compress(&mut self.encoder, &mut self.body);
        let response = self
            .client
            .post(WRITE_PATH, HEADERS, &self.body)
            .map_err(RigError::io("a remote write"))?;
        let offered = template.series() as u64;
        let stored = stored(&response, offered)?;
        self.sent.requests += 1;
        self.sent.samples += stored;
        self.sent.refused += offered - stored;
        if stored < offered && self.sent.first_refusal.is_none() {
            self.sent.first_refusal = Some(response.to_string());
        }
        Ok(stored)
    }
}

/// Samples stored of those offered: all after a success, after a 429 what its text says.
fn stored(response: &Response, offered: u64) -> Result<u64, RigError> {
    if response.is_success() {
        return Ok(offered);
    }
    let text = String::from_utf8_lossy(&response.body);
    let said = text.split(' ').next().and_then(|number| number.parse().ok());
    match (response.status, said) {
        (429, Some(stored)) if stored <= offered => Ok(stored),
        _ => Err(RigError::failed(format!("a remote write was answered with {response}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stored_is_read_from_the_answer() {
        let answer = |status, body: &str| Response { status, body: body.into() };
        assert_eq!(stored(&answer(204, ""), 10).unwrap(), 10);
        let partly = answer(429, "7 samples were stored; no room for 3 new series");
        assert_eq!(stored(&partly, 10).unwrap(), 7);
        for bad in [answer(429, "later"), answer(429, "11 samples"), answer(503, "7 samples")] {
            assert!(stored(&bad, 10).is_err(), "{bad}");
        }
    }

    #[test]
    fn connections_share_all_requests_and_none_twice() {
        let load = Load {
            series: 1000,
            active: 80,
            samples_per_series: 4,
            request_series: 10,
            connections: 3,
            budget_bytes: 0,
            time_max: std::time::Duration::ZERO,
        };
        let plan = Plan { load, first_ms: 0 };
        let mut all: Vec<u64> = (0..3).flat_map(|c| plan.requests_of(c)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
