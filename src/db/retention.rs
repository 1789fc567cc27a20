//! What has expired: whole segments are dropped, the rest is hidden from readers until a merge trims
//! it.
//!
//! Segments go by manifest edit first, files later, never by scanning the directory. The *horizon*, the
//! time before which samples have expired, never falls while the store is open: what a reader has not
//! seen does not come back. A store that is opened starts with the horizon of the last edit that dropped
//! something: a value whose replacement has gone must not show for the time until the clock is looked at,
//! which is a day if that is distrusted.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicI64, Ordering};

use super::compaction::Runner;
use super::core::Core;
use super::observer::Event;
use super::options::Options;
use crate::compaction::{RetentionClock, RetentionLimits, expired};
use crate::error::Result;
use crate::manifest::Version;
use crate::sys::Clock;
use crate::types::{FileName, SegmentMeta, Timestamp};

#[derive(Debug)]
pub(super) struct Retention {
    clock: Mutex<RetentionClock>,
    /// Earlier samples have expired; `i64::MIN` before that is known.
    horizon: AtomicI64,
    /// The time of the newest sample accepted; `i64::MIN` without one.
    newest: AtomicI64,
}

impl Retention {
    pub(super) fn new(options: &Options, version: &Version, ticks_per_second: u64) -> Self {
        let (wall_ms, monotonic) = (options.clock.wall_ms(), options.clock.monotonic());
        let newest = version.segments().iter().map(|meta| meta.max_timestamp).max();
        let age = options.retention_limits(ticks_per_second).age_ticks;
        let known = version.clock_ms().zip(age).and_then(|(recorded_ms, age)| {
            let mut then = RetentionClock::open(None, recorded_ms, monotonic);
            let now = then.now((recorded_ms, monotonic), newest, ticks_per_second)?;
            Some(now.saturating_sub(age))
        });
        Self {
            clock: Mutex::new(RetentionClock::open(version.clock_ms(), wall_ms, monotonic)),
            horizon: AtomicI64::new(known.unwrap_or(i64::MIN)),
            newest: AtomicI64::new(newest.unwrap_or(i64::MIN)),
        }
    }

    /// The time before which samples have expired, once one is known.
    pub(super) fn horizon(&self) -> Option<Timestamp> {
        Some(self.horizon.load(Ordering::Relaxed)).filter(|&horizon| horizon > i64::MIN)
    }

    /// The wall clock to record with an edit made now; `None` while it is not trusted.
    pub(super) fn clock_for_edit(&self, clock: &dyn Clock) -> Option<i64> {
        let mut guard = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        guard.for_edit(clock.wall_ms(), clock.monotonic())
    }

    /// Notes the newest of the samples that were written.
    pub(super) fn note(&self, newest: Timestamp) {
        self.newest.fetch_max(newest, Ordering::Relaxed);
    }
}

impl Core {
    /// Drops the segments that retention no longer keeps; whether there were any.
    pub(super) fn drop_expired(&self, _runner: &mut Runner) -> Result<bool> {
        let limits = self.options.retention_limits(self.ticks_per_second);
        if limits == RetentionLimits::default() {
            return Ok(false);
        }
        let retention = &self.compactor.retention;
        let clocks = (self.clock().wall_ms(), self.clock().monotonic());
        let newest = Some(retention.newest.load(Ordering::Relaxed)).filter(|&t| t > i64::MIN);
        let now = {
            let mut clock = retention.clock.lock().unwrap_or_else(PoisonError::into_inner);
            clock.now(clocks, newest, self.ticks_per_second)
        };
        let Some(now) = now else { return Ok(false) };
        if let Some(age) = limits.age_ticks {
            retention.horizon.fetch_max(now.saturating_sub(age), Ordering::Relaxed);
        }
        let live = self.live();
        let segments = live.version.segments();
        let gone = expired(segments, self.wal_bytes(), limits, now);
        if gone.is_empty() {
            return Ok(false);
        }
        let dropped = segments.iter().filter(|meta| gone.contains(&meta.file_number));
        let dropped: Vec<SegmentMeta> = dropped.map(|meta| **meta).collect();
        drop(live);
        self.replace_segments(Vec::new(), &gone, &[])?;
        self.counters.segments_dropped.add(dropped.len() as u64);
        let samples = dropped.iter().map(|meta| meta.samples).sum();
        self.counters.samples_expired.add(samples);
        self.tell(Event::Dropped { segments: &dropped, horizon: retention.horizon() });
        self.sweep();
        Ok(true)
    }

    /// Bytes of log files.
    fn wal_bytes(&self) -> u64 {
        let entries = self.vfs().list(&self.dir).unwrap_or_default();
        let is_wal = |name: &str| matches!(FileName::parse(name), Some(FileName::Wal(_)));
        let logs = entries.iter().filter(|entry| entry.name.to_str().is_some_and(is_wal));
        logs.map(|entry| entry.len).sum()
    }
}
