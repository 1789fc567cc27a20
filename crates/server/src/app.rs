//! What all requests share: the store, the limits, memory that is reused, counters.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone::{Db, MemoryPool, WriteBatch};
use siltstone_query::ResultCache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::ServerConfig;
use crate::http_stats::HttpStats;
use crate::metric_metadata::MetricMetadata;
use crate::queries::Queries;
use crate::refusal::Refusal;

/// The part of the store's memory budget that bodies may take, unless the configuration says.
const BODIES_PART: u64 = 8;
/// The part of the store's memory budget that queries may take, their kept answers included, unless the
/// configuration says.
const QUERIES_PART: u64 = 4;
/// The part that queries may take at least, however much is kept.
const QUERIES_PART_MIN: u64 = 8;
/// The part of the store's memory budget that kept answers may take, unless the configuration says.
const ANSWERS_PART: u64 = 16;
/// The part of the bodies' bytes that buffers kept for later requests may take on top.
const SCRATCH_PART: usize = 4;
/// Unit in which the memory of bodies is counted, so that a semaphore can.
const MEMORY_UNIT: usize = 1 << 10;

/// See the module.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) config: ServerConfig,
    pub(crate) stats: HttpStats,
    pub(crate) queries: Arc<Queries>,
    /// Answers of range queries.
    pub(crate) results: ResultCache,
    /// What senders said of their metrics since the start.
    pub(crate) metadata: MetricMetadata,
    /// When the server was started, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
    bodies_units_max: usize,
    scratch: Mutex<Vec<Scratch>>,
}

/// Which turns a route's requests wait for before they start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// None: cheap, and needed most when there is much to do.
    Free,
    Write,
    Read,
}

/// The memory in which a write request is decoded.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) body: Vec<u8>,
    pub(crate) decoded: Vec<u8>,
    pub(crate) batch: WriteBatch,
}

impl Scratch {
    fn bytes(&self) -> usize {
        self.body.capacity() + self.decoded.capacity() + self.batch.bytes()
    }
}

impl App {
    pub(crate) fn new(db: Db, config: ServerConfig, stats: HttpStats) -> Self {
        let turns = |n: usize| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS)));
        let share = db.options().memory_budget_bytes / BODIES_PART;
        let bodies =
            config.bodies_bytes_max.unwrap_or(usize::try_from(share).unwrap_or(usize::MAX));
        let budget = db.options().memory_budget_bytes;
        let kept_bytes = config.query_cache_bytes.unwrap_or(budget / ANSWERS_PART);
        let rest = (budget / QUERIES_PART).saturating_sub(kept_bytes);
        let query_bytes = config.query_bytes_max.unwrap_or(rest.max(budget / QUERIES_PART_MIN));
        let pool = MemoryPool::new(query_bytes, config.reads_max);
        let bodies_units_max = (bodies / MEMORY_UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            writes: turns(config.writes_max),
            reads: turns(config.reads_max),
            bodies: turns(bodies_units_max),
            bodies_units_max,
            scratch: Mutex::new(Vec::new()),
            queries: Queries::new(pool, config.slow_query),
            results: ResultCache::new(kept_bytes),
            metadata: MetricMetadata::default(),
            started_ms: db.options().clock.wall_ms(),
            db,
            config,
            stats,
        }
    }

    /// Waits for the turn of a request.
    pub(crate) async fn admit(
        &self,
        admission: Admission,
    ) -> Result<Option<OwnedSemaphorePermit>, Refusal> {
        match admission {
            Admission::Free => Ok(None),
            Admission::Write => self.wait_for(&self.writes, 1, "writes").await.map(Some),
            Admission::Read => self.wait_for(&self.reads, 1, "queries").await.map(Some),
        }
    }

    /// When a read that begins now has to end, however many queries it consists of: for
    /// [`QueryOptions::deadline`](siltstone::QueryOptions::deadline).
    pub(crate) fn query_deadline(&self) -> Duration {
        self.db.options().clock.monotonic().saturating_add(self.config.query_timeout)
    }

    /// Waits until bodies may take `bytes` more.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let units = (bytes / MEMORY_UNIT + 1).min(self.bodies_units_max);
        self.wait_for(&self.bodies, units, "large bodies").await
    }

    /// Bytes that bodies may take at a time.
    pub(crate) fn bodies_bytes_max(&self) -> usize {
        self.bodies_units_max * MEMORY_UNIT
    }

    /// Bytes set apart for bodies in flight, and those of buffers kept for the next ones.
    pub(crate) fn bodies_bytes(&self) -> usize {
        let in_flight = self.bodies_units_max.saturating_sub(self.bodies.available_permits());
        let kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        in_flight * MEMORY_UNIT + kept.iter().map(Scratch::bytes).sum::<usize>()
    }

    async fn wait_for(
        &self,
        turns: &Arc<Semaphore>,
        count: usize,
        what: &str,
    ) -> Result<OwnedSemaphorePermit, Refusal> {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let permit = timeout(self.config.queue_timeout, turns.clone().acquire_many_owned(count));
        match permit.await {
            Ok(Ok(permit)) => Ok(permit),
            // The semaphores are never closed; both cases are "not now".
            Ok(Err(_)) | Err(_) => Err(Refusal::unavailable(format!("too many {what} at a time"))),
        }
    }

    /// Memory for a write request, used before if possible.
    pub(crate) fn take_scratch(&self) -> Scratch {
        self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps the memory for a later request, unless all that is kept would be too much.
    pub(crate) fn keep_scratch(&self, mut scratch: Scratch) {
        let bytes = scratch.bytes();
        scratch.batch.clear();
        let mut kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = kept.iter().map(Scratch::bytes).sum();
        if all + bytes <= self.bodies_bytes_max() / SCRATCH_PART {
            kept.push(scratch);
        }
    }
}
