//! What an open store counts and times. Counting never decides anything.

use std::sync::PoisonError;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::sys::sync::unscheduled::{AtomicU64, Mutex, Ordering};

/// Longest latency that is told apart: an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A summary of latencies, in microseconds. Percentiles are exact to two digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Events.
    pub count: u64,
    /// Sum of all latencies.
    pub total_us: u64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

/// A histogram that many threads record into.
#[derive(Debug)]
pub(in crate::db) struct LatencyCell {
    state: Mutex<(Histogram<u64>, u64)>,
}

impl Default for LatencyCell {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LATENCY_US_MAX, 2).expect("bounds are valid");
        Self { state: Mutex::new((histogram, 0)) }
    }
}

impl LatencyCell {
    pub(in crate::db) fn record(&self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.saturating_record(us);
        state.1 = state.1.saturating_add(us);
    }

    pub(in crate::db) fn read(&self) -> Latency {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |q| state.0.value_at_quantile(q);
        Latency {
            count: state.0.len(),
            total_us: state.1,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            max_us: state.0.max(),
        }
    }
}

/// The counters that are not derived from other state.
#[derive(Debug, Default)]
pub(in crate::db) struct Counters {
    pub(in crate::db) batches_written: Counter,
    pub(in crate::db) samples_written: Counter,
    pub(in crate::db) samples_superseded: Counter,
    pub(in crate::db) samples_merged: Counter,
    pub(in crate::db) samples_deleted: Counter,
    pub(in crate::db) samples_expired: Counter,
    pub(in crate::db) merges: Counter,
    pub(in crate::db) merge_failures: Counter,
    pub(in crate::db) flush_bytes_written: Counter,
    pub(in crate::db) merge_bytes_read: Counter,
    pub(in crate::db) merge_bytes_written: Counter,
    pub(in crate::db) slowdowns: Counter,
    pub(in crate::db) segments_dropped: Counter,
    pub(in crate::db) segments_excluded: Counter,
    pub(in crate::db) blocks_quarantined: Counter,
    pub(in crate::db) deletes: Counter,
    pub(in crate::db) flushes: Counter,
    pub(in crate::db) flush_failures: Counter,
    pub(in crate::db) stalls: Counter,
    pub(in crate::db) series_refused: Counter,
    pub(in crate::db) series_waited: Counter,
    pub(in crate::db) series_evicted: Counter,
    pub(in crate::db) queue_refused: Counter,
    pub(in crate::db) early_seals: Counter,
    pub(in crate::db) corruption: Counter,
    pub(in crate::db) write: LatencyCell,
    pub(in crate::db) fsync: LatencyCell,
    pub(in crate::db) flush: LatencyCell,
    pub(in crate::db) merge: LatencyCell,
    pub(in crate::db) scan: LatencyCell,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(in crate::db) struct Counter(AtomicU64);

impl Counter {
    pub(in crate::db) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(in crate::db) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
