//! Workload: more series than fit, in turn or all at once; whether memory stays within the budget.
//!
//! *In turn*: a window of active series moves on over all of them, so that each gets its samples and
//! is never heard of again: none may be refused. *At once*: every round sends all series: those that
//! find no room have to be refused, and those that found room in the first round have to be taken in
//! every later one. Values follow from series and round, so that what the store answers can be
//! checked without keeping what was sent. RssAnon is read every 100 ms from the first request to the
//! last answer.

mod check;
mod sender;

use std::path::Path;
use std::time::{Duration, Instant};

use siltstone_rig::error::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::interrupt::Interrupt;
use siltstone_rig::process::{DiskUse, disk_use, free_address};
use siltstone_rig::store::{END_TIMEOUT, Store};

use siltstone_rig::gauge::{self, Peak};

pub use check::Checked;
pub use sender::Sent;

/// How long a request may take: it may wait for a flush.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);
/// How often RssAnon is read.
const MEMORY_EVERY: Duration = Duration::from_millis(100);
/// Time between two rounds in the samples' own time, in milliseconds.
const STEP_MS: i64 = 10_000;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Series in all; a multiple of `request_series`.
    pub series: u64,
    /// Series that get samples at a time; all of them for *at once*.
    pub active: u64,
    /// Samples of each.
    pub samples_per_series: u64,
    /// Series (and samples) in a request.
    pub request_series: u64,
    /// Connections, each with series of its own.
    pub connections: u64,
    /// What the store was told to keep to, in bytes.
    pub budget_bytes: u64,
    /// After this nothing new is sent.
    pub time_max: Duration,
}

impl Load {
    /// # Errors
    /// If the numbers do not fit together.
    pub fn check(&self) -> Result<(), RigError> {
        let fail = |what: &str| Err(RigError::failed(what));
        if self.request_series == 0 || self.connections == 0 || self.samples_per_series == 0 {
            return fail("series a request, connections and samples a series must not be zero");
        }
        if !self.series.is_multiple_of(self.request_series) || self.series == 0 {
            return fail("the series must fill whole requests");
        }
        if self.requests_active() < self.samples_per_series {
            return fail("too few active series: at each step at least one request must leave");
        }
        if self.active > self.series {
            return fail("there cannot be more active series than series");
        }
        Ok(())
    }

    /// Whether all series are active at once.
    #[must_use]
    pub fn at_once(&self) -> bool {
        self.active == self.series
    }

    /// Requests that one connection sends in a round.
    fn requests_active(&self) -> u64 {
        self.active / self.request_series / self.connections
    }
}

/// What the store did.
#[derive(Debug, Clone)]
pub struct Measured {
    /// What was sent and how it was answered.
    pub sent: Sent,
    /// From the first request to the last answer.
    pub wall: Duration,
    /// The most memory at any moment.
    pub peak: Peak,
    /// What was read back.
    pub checked: Checked,
    /// Selected lines of the store's own metrics at the end.
    pub metrics: Vec<String>,
    /// Bytes on disk after a clean end.
    pub disk: DiskUse,
}

/// Runs the load against a fresh instance of the store below `work`.
///
/// # Errors
/// If the store does not start, answers with anything but a success or 429, ends, or does not hold
/// what it has taken.
pub fn run(
    store: &Store,
    load: Load,
    now_ms: i64,
    work: &Path,
    interrupt: &Interrupt,
) -> Result<Measured, RigError> {
    load.check()?;
    let dir = tempfile::tempdir_in(work).map_err(RigError::io("making a directory"))?;
    let data = dir.path().join("data");
    let address = free_address()?;
    let log = dir.path().join("log");
    let (mut server, _) = store.start_ready(&data, address, &log, interrupt)?;
    let client = || HttpClient::new(address, REQUEST_TIMEOUT);
    let plan = sender::Plan { load, first_ms: now_ms - STEP_MS * 10_000 };
    let started = Instant::now();
    let (sent, peak) =
        gauge::watch(&server, MEMORY_EVERY, Some(client()), || plan.send_all(client, interrupt))?;
    let sent = sent?;
    let wall = started.elapsed();
    let metrics = gauge::metrics(&mut client())?;
    let checked = check::read_back(&mut client(), &plan, &sent, &metrics)?;
    server.terminate(END_TIMEOUT)?;
    Ok(Measured { sent, wall, peak, checked, metrics, disk: disk_use(&data) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        series: 1000,
        active: 80,
        samples_per_series: 4,
        request_series: 10,
        connections: 2,
        budget_bytes: 1 << 24,
        time_max: Duration::from_secs(1),
    };

    #[test]
    fn loads_that_do_not_add_up_are_refused() {
        LOAD.check().unwrap();
        assert!(!LOAD.at_once() && Load { active: 1000, ..LOAD }.at_once());
        for load in [
            Load { series: 1001, ..LOAD },
            Load { series: 0, ..LOAD },
            Load { active: 79, ..LOAD },
            Load { active: 1010, ..LOAD },
            Load { connections: 0, ..LOAD },
            Load { samples_per_series: 0, ..LOAD },
        ] {
            assert!(load.check().is_err(), "{load:?}");
        }
    }
}
