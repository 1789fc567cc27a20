//! Workload: the same queries for Siltstone and its peers, beside each other on the same data.
//!
//! 1. Every store is started on an empty directory and gets the same samples in the same order
//!    ([`fill`]), then comes to rest ([`crate::settle`]).
//! 2. The requests of all rows are made from a seed ([`plan`]): each row asks a number of times, at other
//!    times and for other hosts.
//! 3. Row by row, each store takes its turn on one kept-alive connection ([`ask`]); the others are idle
//!    meanwhile.
//! 4. The answers are compared ([`compare`]): Siltstone's with Prometheus's by series, timestamp and
//!    value; VictoriaMetrics, whose functions look at other windows, counts its series only.
//!
//! The caller prints the report ([`report`]).

pub mod answer;
pub mod ask;
pub mod compare;
pub mod fill;
pub mod plan;
pub mod report;
pub mod span;

use std::path::Path;
use std::time::Instant;

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::store::Store;

use crate::running::Running;

use ask::Asked;
use plan::Row;
use report::{Answered, Judged, Report, RowReport, StoreReport};
use span::{STEP_S, Span};

/// What is stored and asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Hosts, each with ten series.
    pub hosts: u64,
    /// Hours of samples, ten seconds apart.
    pub hours: u64,
    /// Times that each row asks, with other hosts and times.
    pub times: u64,
    /// Seed of values and requests.
    pub seed: u64,
}

impl Load {
    /// # Errors
    /// If there is too little to ask about.
    pub fn check(&self) -> Result<(), RigError> {
        if self.hosts < plan::HOSTS_OF_SOME {
            let least = plan::HOSTS_OF_SOME;
            return Err(RigError::failed(format!("a row asks about {least} hosts: too few hosts")));
        }
        if self.hours == 0 {
            return Err(RigError::failed("rows ask about an hour: there must be one at least"));
        }
        if self.times < 2 {
            return Err(RigError::failed("a row asks once and then again: at least twice"));
        }
        Ok(())
    }

    /// Samples in all.
    #[must_use]
    pub fn samples(&self) -> u64 {
        Span::of(self, 0).series() * self.hours * 3600 / STEP_S
    }
}

/// Runs the workload; `say` is told what happens.
///
/// # Errors
/// If a store does not start, take the samples, come to rest or end. A query that is refused or answered
/// differently is part of the report.
pub fn run(
    stores: &[Store],
    load: &Load,
    now_ms: i64,
    work: &Path,
    interrupt: &Interrupt,
    say: &dyn Fn(&str),
) -> Result<Report, RigError> {
    load.check()?;
    let span = Span::of(load, now_ms);
    let mut running = Vec::new();
    for store in stores {
        running.push(Running::start(store, work, interrupt)?);
    }
    let started = Instant::now();
    let mut clients: Vec<HttpClient> = running.iter().map(Running::client).collect();
    fill::all(&mut clients, load, &span, interrupt)?;
    say(&format!("filled in {:.0} s", started.elapsed().as_secs_f64()));
    for running in &mut running {
        running.settle(interrupt)?;
        say(&format!("{:<17} {}", running.store().name(), running.state()));
    }
    let mut rows = Vec::new();
    for row in plan::rows(load, &span) {
        say(&row.name);
        rows.push(ask_all(&running, &row, interrupt)?);
    }
    let mut reports = Vec::new();
    for running in running {
        reports.push(StoreReport {
            name: running.store().name(),
            version: running.store().version(),
            state: running.state().to_owned(),
            rss_anon_bytes: running.server().usage()?.rss_anon_bytes,
        });
        running.stop()?;
    }
    Ok(Report::new(load, &span, reports, rows))
}

/// Asks every store for one row and compares the answers.
fn ask_all(
    running: &[Running<'_>],
    row: &Row,
    interrupt: &Interrupt,
) -> Result<RowReport, RigError> {
    let mut asked = Vec::new();
    for running in running {
        asked.push((running.store().name(), ask::row(running, row, interrupt)?));
    }
    let judged = judge(row, &asked);
    Ok(RowReport::new(row, &asked, judged))
}

/// Compares the answers of those stores that were asked.
fn judge(row: &Row, asked: &[(&'static str, Asked)]) -> Judged {
    let answers: Vec<_> = asked.iter().map(|(name, asked)| (*name, asked.parse(row))).collect();
    let find = |wanted: &str| answers.iter().find(|(name, _)| *name == wanted).map(|(_, a)| a);
    let mut judged = Judged::default();
    for (name, answers) in &answers {
        let refusals: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
        judged.answered.insert(
            name,
            Answered {
                series: answers.iter().flatten().map(answer::Answer::series).sum(),
                refused: refusals.len() as u64,
                first_refusal: refusals.first().map(ToString::to_string),
            },
        );
    }
    if let (Some(theirs), Some(ours)) = (find("prometheus"), find("siltstone")) {
        for (theirs, ours) in theirs.iter().zip(ours) {
            let found = compare::outcomes(theirs.as_ref(), ours.as_ref());
            judged.differences.add(found);
        }
        judged.compared = true;
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_with_too_little_are_refused() {
        let load = Load { hosts: 1_000, hours: 6, times: 15, seed: 1 };
        load.check().unwrap();
        assert_eq!(load.samples(), 21_600_000);
        for load in
            [Load { hosts: 7, ..load }, Load { hours: 0, ..load }, Load { times: 1, ..load }]
        {
            assert!(load.check().is_err(), "{load:?}");
        }
    }
}
