//! What is stored when the queries run: which hosts, over which time.

use siltstone_rig::tsbs::METRICS;

use crate::queries::Load;

/// Seconds between two samples of a series.
pub const STEP_S: u64 = 10;
/// The samples end this long before now: VictoriaMetrics holds back what is younger than 30 s.
const BEFORE_NOW_S: i64 = 120;

/// The time and the hosts that are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Hosts, named `host_0` and on.
    pub hosts: u64,
    /// Hours of samples.
    pub hours: u64,
    /// The time of the last samples in seconds since the epoch.
    pub last_s: i64,
}

impl Span {
    /// What a load stores at this time, in milliseconds since the epoch.
    #[must_use]
    pub fn of(load: &Load, now_ms: i64) -> Self {
        let step = STEP_S.cast_signed();
        let before = now_ms.div_euclid(1000) - BEFORE_NOW_S;
        let last_s = before - before.rem_euclid(step);
        Self { hosts: load.hosts, hours: load.hours, last_s }
    }

    /// Series of all hosts.
    #[must_use]
    pub fn series(&self) -> u64 {
        self.hosts * METRICS.len() as u64
    }

    /// The time of the first samples in seconds since the epoch.
    #[must_use]
    pub fn first_s(&self) -> i64 {
        self.last_s - (self.hours * 3600 - STEP_S).cast_signed()
    }
}
