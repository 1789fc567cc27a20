//! What has expired: whole segments are dropped, the rest is hidden from readers until a merge trims
//! it.
//!
//! Segments go by manifest edit first, files later, never by scanning the directory. The *horizon*, the
//! time before which samples have expired, never falls while the store is open: what a reader has not
//! seen does not come back. A store that is opened starts with the horizon of the last edit that dropped
//! something: what was hidden must not show for the time until the clock is looked at, which is a day if
//! that is distrusted.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::compaction::Runner;
use super::core::{Core, Live};
use super::observer::Event;
use super::options::Options;
use crate::compaction::{RetentionClock, RetentionLimits, expired, trimmed_before};
use crate::error::Result;
use crate::manifest::Version;
use crate::sys::Clock;
use crate::types::{ClockRecord, FileName, SegmentMeta, Timestamp};

#[derive(Debug)]
pub(super) struct Retention {
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
    pub(super) fn new(options: &Options, version: &Version, ticks_per_second: u64) -> Self {
        let (wall_ms, monotonic) = (options.clock.wall_ms(), options.clock.monotonic());
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
    pub(super) fn horizon(&self) -> Option<Timestamp> {
        Some(self.horizon.load(Ordering::Relaxed)).filter(|&horizon| horizon > i64::MIN)
    }

    /// From here on explicit compactions erase what has expired by now.
    pub(super) fn want_trimming(&self) {
        self.trim_wanted.fetch_max(self.horizon.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What to record of the clock with an edit made now.
    pub(super) fn clock_for_edit(&self, clock: &dyn Clock) -> ClockRecord {
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
    pub(super) fn drop_expired(&self, _runner: &Runner) -> Result<bool> {
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
        let horizon = now.zip(limits.age_ticks).map(|(now, age)| now.saturating_sub(age));
        if let Some(horizon) = horizon {
            retention.horizon.fetch_max(horizon, Ordering::Relaxed);
        }
        let live = self.live();
        let segments = live.version.segments();
        // How much is kept needs no clock.
        let gone = expired(segments, self.wal_bytes(), limits.bytes, horizon);
        if gone.is_empty() {
            return Ok(false);
        }
        let dropped = segments.iter().filter(|meta| gone.contains(&meta.file_number));
        let dropped: Vec<SegmentMeta> = dropped.map(|meta| **meta).collect();
        drop(live);
        let change = self.extent_of(&gone);
        self.with_reserve(|| self.replace_segments(Vec::new(), &gone, &[], change))?;
        self.counters.segments_dropped.add(dropped.len() as u64);
        let samples = dropped.iter().map(|meta| meta.samples).sum();
        self.counters.samples_expired.add(samples);
        self.tell(Event::Dropped { segments: &dropped, horizon: retention.horizon() });
        self.sweep();
        Ok(true)
    }

    /// As [`drop_expired`](Self::drop_expired), for a store in which nothing merges by itself.
    pub(super) fn keep_retention(&self) -> Result<()> {
        let runner = self.compactor.lock_runner();
        // What a merge reads is not taken from under it.
        while runner.is_free() && self.drop_expired(&runner)? {}
        Ok(())
    }

    /// Whether a merge of the segment alone would leave out what had expired when somebody last asked
    /// for that.
    pub(super) fn is_trimming_due(&self, live: &Live, meta: &SegmentMeta) -> bool {
        let wanted = self.compactor.retention.trim_wanted.load(Ordering::Relaxed);
        let segments = live.version.segments();
        meta.min_timestamp < wanted
            && meta.min_timestamp < trimmed_before(segments, &[Arc::new(*meta)], wanted)
    }

    /// Bytes of log files.
    fn wal_bytes(&self) -> u64 {
        let entries = self.vfs().list(&self.dir).unwrap_or_default();
        let is_wal = |name: &str| matches!(FileName::parse(name), Some(FileName::Wal(_)));
        let logs = entries.iter().filter(|entry| entry.name.to_str().is_some_and(is_wal));
        logs.map(|entry| entry.len).sum()
    }
}
