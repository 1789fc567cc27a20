//! The time of retention: the clock that says what is expired, and the *horizon*, the time before which
//! samples have expired.
//!
//! The horizon never falls while the store is open: what a reader has not seen does not come back. A
//! store that is opened starts with the horizon of the last edit that recorded a trusted clock: what was
//! hidden must not show until the clock is believed again, which takes a day if it has jumped.
//!
//! Owned by the version set, whose edits record the clock. Read by snapshots; moved on by the compactor,
//! which drops what has expired; the commit notes how new its samples are.

use std::sync::PoisonError;
use std::time::Duration;

use crate::compaction::RetentionClock;
use crate::db::env::Env;
use crate::manifest::Version;
use crate::sys::sync::atomic::{AtomicI64, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::{ClockRecord, Timestamp};

/// What an open store knows of the time of retention.
#[derive(Debug)]
pub(in crate::db) struct Retention {
    clock: Mutex<RetentionClock>,
    /// Earlier samples have expired; `i64::MIN` before that is known.
    horizon: AtomicI64,
    /// The horizon as the last explicit compaction found it: what is older it erases. The horizon
    /// itself moves on with every sample, and nothing would ever be done.
    trim_wanted: AtomicI64,
    /// The time of the newest sample accepted; `i64::MIN` without one.
    newest: AtomicI64,
}

impl Retention {
    pub(in crate::db) fn new(env: &Env, version: &Version) -> Self {
        let (options, ticks_per_second) = (&env.options, env.ticks_per_second);
        let (wall_ms, monotonic) = clocks(env);
        let newest = version.segments().iter().map(|meta| meta.max_timestamp).max();
        let age = options.retention_limits(ticks_per_second).age_ticks;
        let known = version.clock().trusted_ms.zip(age).and_then(|(recorded_ms, age)| {
            let mut then = RetentionClock::open(ClockRecord::default(), recorded_ms, monotonic);
            let now = then.now((recorded_ms, monotonic), newest, ticks_per_second)?;
            Some(now.saturating_sub(age))
        });
        Self {
            clock: Mutex::new(RetentionClock::open(version.clock(), wall_ms, monotonic)),
            horizon: AtomicI64::new(known.unwrap_or(i64::MIN)),
            trim_wanted: AtomicI64::new(i64::MIN),
            newest: AtomicI64::new(newest.unwrap_or(i64::MIN)),
        }
    }

    /// The time before which samples have expired, once one is known.
    pub(in crate::db) fn horizon(&self) -> Option<Timestamp> {
        Some(self.horizon.load(Ordering::Relaxed)).filter(|&horizon| horizon > i64::MIN)
    }

    /// From here on explicit compactions erase what has expired by now.
    pub(in crate::db) fn want_trimming(&self) {
        self.trim_wanted.fetch_max(self.horizon.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// The horizon as the last explicit compaction found it; `i64::MIN` before the first one.
    pub(in crate::db) fn trim_wanted(&self) -> Timestamp {
        self.trim_wanted.load(Ordering::Relaxed)
    }

    /// Looks at the clock and moves the horizon on to `age_ticks` before now, where both are known. What
    /// it was found to be by now, which may be less than [`horizon`](Self::horizon).
    pub(in crate::db) fn advance(&self, env: &Env, age_ticks: Option<i64>) -> Option<Timestamp> {
        let newest = Some(self.newest.load(Ordering::Relaxed)).filter(|&t| t > i64::MIN);
        let now = self.lock_clock().now(clocks(env), newest, env.ticks_per_second);
        let horizon = now.zip(age_ticks).map(|(now, age)| now.saturating_sub(age));
        if let Some(horizon) = horizon {
            self.horizon.fetch_max(horizon, Ordering::Relaxed);
        }
        horizon
    }

    /// Whether the wall clock is not trusted because it has jumped back.
    pub(in crate::db) fn clock_is_behind(&self, env: &Env) -> bool {
        let (wall_ms, monotonic) = clocks(env);
        self.lock_clock().is_behind(wall_ms, monotonic)
    }

    /// What to record of the clock with an edit made now.
    pub(in crate::db) fn clock_for_edit(&self, env: &Env) -> ClockRecord {
        let (wall_ms, monotonic) = clocks(env);
        self.lock_clock().for_edit(wall_ms, monotonic)
    }

    /// Notes the newest of the samples that were written.
    pub(in crate::db) fn note(&self, newest: Timestamp) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }

    fn lock_clock(&self) -> MutexGuard<'_, RetentionClock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The wall clock in milliseconds, and the time that has run.
fn clocks(env: &Env) -> (i64, Duration) {
    (env.clock().wall_ms(), env.clock().monotonic())
}
