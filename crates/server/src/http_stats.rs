//! Counters of the HTTP side: requests by route and status, latencies, what was refused.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::connection_stats::ConnectionStats;

/// Longest latency that is told from longer ones, in microseconds.
const LATENCY_MAX_US: u64 = 3_600_000_000;

/// Counters of a server; every one only grows, except `connections`.
#[derive(Debug)]
pub(crate) struct HttpStats {
    routes: Vec<(&'static str, Mutex<RouteStats>)>,
    /// Open connections.
    pub(crate) connections: AtomicU64,
    /// What was closed and refused before it came to a handler.
    pub(crate) by_reason: Arc<ConnectionStats>,
    /// Samples stored by remote write and imports.
    pub(crate) samples_written: AtomicU64,
    /// Series or lines refused of requests whose rest was stored.
    pub(crate) refused: AtomicU64,
    /// Bytes of remote write bodies as received.
    pub(crate) remote_write_bytes: AtomicU64,
}

/// Counters of one route.
#[derive(Debug, Clone)]
pub(crate) struct RouteStats {
    /// Requests by status.
    pub(crate) by_status: BTreeMap<u16, u64>,
    /// Microseconds from the request line to the end of the answer.
    pub(crate) latency_us: Histogram<u64>,
    /// Sum of the latencies in microseconds.
    pub(crate) total_us: u64,
}

impl HttpStats {
    /// Counters for routes with these names.
    pub(crate) fn new(routes: impl Iterator<Item = &'static str>) -> Self {
        Self {
            routes: routes.map(|name| (name, Mutex::new(RouteStats::new()))).collect(),
            connections: AtomicU64::new(0),
            by_reason: Arc::default(),
            samples_written: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            remote_write_bytes: AtomicU64::new(0),
        }
    }

    /// Counts a request of the route with this index.
    pub(crate) fn record(&self, route: usize, status: u16, took: Duration) {
        let Some((_, stats)) = self.routes.get(route) else { return };
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(LATENCY_MAX_US);
        let mut stats = stats.lock().unwrap_or_else(PoisonError::into_inner);
        *stats.by_status.entry(status).or_insert(0) += 1;
        stats.latency_us.saturating_record(us);
        stats.total_us += us;
    }

    /// A copy of the counters of each route that was used.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&'static str, RouteStats)> {
        self.routes
            .iter()
            .map(|(name, stats)| {
                (*name, stats.lock().unwrap_or_else(PoisonError::into_inner).clone())
            })
            .filter(|(_, stats)| !stats.by_status.is_empty())
    }
}

impl RouteStats {
    fn new() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LATENCY_MAX_US, 2)
            .expect("the bounds and the precision are constants in range");
        Self { by_status: BTreeMap::new(), latency_us, total_us: 0 }
    }
}

/// Adds to a counter whose order to others does not matter.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
