//! What retention may and must do: a model of the horizon, before which samples have expired.
//!
//! The store says where its horizon is; the model knows how high it may be: the age before the wall
//! clock, or before an hour ahead of the newest sample. It rises while the store is open, and not while
//! a wall clock that was set is distrusted, for a day of running time. What is before the highest
//! horizon ever may be gone. A store that was opened anew knows the horizon of the last edit that dropped
//! something and may show what expired after that until it looks at its clock; readers of the directory
//! and copies may show more: that is left out of the comparison.

use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, SimClock};
use siltstone::{Stats, TimeRange};
use siltstone_testing::oracle::OracleSeries;

/// A minute more than samples may be ahead of the clock: the newest sample never expires.
pub(crate) const RETENTION: Duration = Duration::from_secs(HOUR_MS as u64 / 1000 + 60);
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const DAY: Duration = Duration::from_secs(DAY_MS as u64 / 1000);

pub(crate) struct Expiry {
    clock: Arc<SimClock>,
    /// The highest horizon that a store had.
    horizon: i64,
    /// That of the open store.
    current: i64,
    /// The highest that the clocks have allowed.
    allowed: i64,
    /// The newest timestamps: of what may ever have been written, and of what this process has accepted.
    newest: [Option<i64>; 2],
    /// The latest wall clock that could be believed.
    good_wall_ms: i64,
    /// How far the wall clock was set, how far the store knows that it was, and since when it is so.
    drift: i64,
    believed: i64,
    since: Duration,
    /// Whether a flush has recorded a clock.
    recorded: bool,
    has_jumped: bool,
}

impl Expiry {
    pub(crate) fn new(clock: &Arc<SimClock>) -> Self {
        Self {
            clock: Arc::clone(clock),
            horizon: i64::MIN,
            current: i64::MIN,
            allowed: i64::MIN,
            newest: [None; 2],
            good_wall_ms: i64::MIN,
            drift: 0,
            believed: 0,
            since: Duration::ZERO,
            recorded: false,
            has_jumped: false,
        }
    }

    /// Notes a sample that the next process may find.
    pub(crate) fn may_be_there(&mut self, timestamp: i64) {
        self.newest[0] = self.newest[0].max(Some(timestamp));
    }

    /// Notes one that the open store has taken.
    pub(crate) fn accepted(&mut self, timestamp: i64) {
        self.may_be_there(timestamp);
        self.newest[1] = self.newest[1].max(Some(timestamp));
    }

    /// Sets the wall clock.
    pub(crate) fn jump(&mut self, days: i64) {
        self.allow();
        self.clock.set_wall_ms(self.clock.wall_ms() + days * DAY_MS);
        self.drift += days;
        self.since = self.clock.monotonic();
        self.has_jumped = true;
    }

    /// The store was opened: what it knew of the newest sample is on its disk.
    pub(crate) fn reopened(&mut self) {
        self.current = i64::MIN;
        self.newest[1] = None;
        if !self.recorded {
            self.believed = self.drift;
        }
    }

    /// Takes in where the store says that its horizon is; answers with the highest of all.
    pub(crate) fn observe(&mut self, stats: &Stats) -> i64 {
        self.allow();
        self.recorded |= stats.flushes > 0 && self.drift == self.believed;
        let horizon = stats.retention_horizon.unwrap_or(i64::MIN);
        assert!(horizon >= self.current, "the horizon falls: {horizon} from {}", self.current);
        assert!(horizon <= self.allowed, "the horizon is {horizon}, beyond {}", self.allowed);
        self.current = horizon;
        self.horizon = self.horizon.max(horizon);
        self.horizon
    }

    /// After the background work was done: the horizon is where the clock says, unless it may be
    /// distrusted.
    pub(crate) fn must_be_applied(&mut self, stats: &Stats) {
        let (Some(horizon), Some(newest)) = (stats.retention_horizon, self.newest[1]) else {
            return;
        };
        if !self.has_jumped && self.clock.monotonic() < DAY {
            let due = at(self.clock.wall_ms(), newest);
            assert!(horizon >= due, "the horizon is {horizon}, before {due}");
        }
    }

    /// The part of a range in which it is known what is there.
    pub(crate) fn known(&self, range: TimeRange) -> TimeRange {
        if self.current == self.horizon {
            return range;
        }
        TimeRange { start: range.start.max(self.horizon), ..range }
    }

    /// What counts of what the open store shows.
    pub(crate) fn visible(&self, found: Vec<OracleSeries>) -> Vec<OracleSeries> {
        if self.current == self.horizon { found } else { self.filter(found) }
    }

    /// What has not expired.
    pub(crate) fn filter(&self, found: Vec<OracleSeries>) -> Vec<OracleSeries> {
        since(self.horizon, found)
    }

    /// As [`filter`](Self::filter), for another store with these samples, which is open too.
    pub(crate) fn seen_by(&self, other: &Stats, found: Vec<OracleSeries>) -> Vec<OracleSeries> {
        let horizon = other.retention_horizon.unwrap_or(i64::MIN);
        assert!(horizon <= self.allowed, "the horizon of a copy is {horizon}");
        since(horizon.max(self.horizon), found)
    }

    /// Raises what is allowed, as time passes.
    pub(crate) fn allow(&mut self) {
        if self.clock.monotonic().saturating_sub(self.since) >= DAY {
            self.believed = self.drift;
        }
        if self.drift == self.believed {
            self.good_wall_ms = self.good_wall_ms.max(self.clock.wall_ms());
        }
        // A clock that was believed once stays good: an opening goes by the last that was recorded.
        if let Some(newest) = self.newest[0] {
            self.allowed = self.allowed.max(at(self.good_wall_ms, newest));
        }
    }
}

/// The horizon by this clock and with this newest sample.
fn at(wall_ms: i64, newest: i64) -> i64 {
    wall_ms.min(newest.saturating_add(HOUR_MS)).saturating_sub(RETENTION.as_millis() as i64)
}

fn since(horizon: i64, mut found: Vec<OracleSeries>) -> Vec<OracleSeries> {
    for (_, samples) in &mut found {
        samples.retain(|&(timestamp, _)| timestamp >= horizon);
    }
    found.retain(|(_, samples)| !samples.is_empty());
    found
}
