//! Asks one store what a row asks, and takes the time.
//!
//! The wall time of a request ends when the last byte of its answer is read; nothing is parsed
//! meanwhile. CPU time is read before the first asking, after it, and after the last.

use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::{HttpClient, Response};
use siltstone_rig::interrupt::Interrupt;

use crate::cpu_meter::CpuMeter;
use crate::queries::answer::{Answer, parse};
use crate::queries::plan::{Request, Row};
use crate::running::Running;

/// What a store did for a row.
#[derive(Debug)]
pub struct Asked {
    /// Wall time of each asking, of all its requests.
    pub wall: Vec<Duration>,
    /// CPU time of the server for the first asking.
    pub first_cpu: Duration,
    /// CPU time of the server for the others together.
    pub repeated_cpu: Duration,
    /// The answer to each request of all askings, or why there is none.
    pub(super) answers: Vec<Result<Response, String>>,
}

impl Asked {
    /// The answers, or why there are none, in the order of the requests.
    #[must_use]
    pub fn parse(&self, row: &Row) -> Vec<Result<Answer, String>> {
        let requests = row.askings.iter().flatten();
        let answers = self.answers.iter().zip(requests);
        answers
            .map(|(answer, request)| match answer {
                Ok(response) => parse(&request.target, response),
                Err(error) => Err(error.clone()),
            })
            .collect()
    }
}

/// Asks everything of a row on one connection.
///
/// # Errors
/// If the server has ended, or Ctrl-C; a request without an answer is none.
pub fn row(running: &Running<'_>, row: &Row, interrupt: &Interrupt) -> Result<Asked, RigError> {
    let mut client = running.client();
    // Connects; connections of earlier rows may have been closed as idle.
    client.get(running.store().ready_path()).map_err(RigError::io("asking whether it is ready"))?;
    let mut meter = CpuMeter::new(running.server());
    let mut wall = Vec::with_capacity(row.askings.len());
    let mut answers = Vec::new();
    let before = meter.read()?;
    let mut after_first = before;
    for (at, asking) in row.askings.iter().enumerate() {
        interrupt.check()?;
        let started = Instant::now();
        answers.extend(asking.iter().map(|request| ask(&mut client, request)));
        wall.push(started.elapsed());
        if at == 0 {
            after_first = meter.read()?;
        }
    }
    let after = meter.read()?;
    Ok(Asked {
        wall,
        first_cpu: after_first.saturating_sub(before),
        repeated_cpu: after.saturating_sub(after_first),
        answers,
    })
}

fn ask(client: &mut HttpClient, request: &Request) -> Result<Response, String> {
    client.get(&request.target).map_err(|error| error.to_string())
}
