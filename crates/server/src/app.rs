//! What all requests share: the store, the limits, memory that is reused, counters.

use std::sync::{Arc, Mutex, PoisonError};

use siltstone::{Db, WriteBatch};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::config::ServerConfig;
use crate::http_stats::HttpStats;
use crate::refusal::Refusal;

/// Buffers that are kept for later requests.
const SCRATCH_KEPT: usize = 16;
/// A buffer that has grown beyond this is not kept.
const SCRATCH_BYTES_MAX: usize = 4 << 20;
/// Unit in which the memory of bodies is counted, so that a semaphore can.
const MEMORY_UNIT: usize = 1 << 10;

/// See the module.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) config: ServerConfig,
    pub(crate) stats: HttpStats,
    writes: Arc<Semaphore>,
    reads: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
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

impl App {
    pub(crate) fn new(db: Db, config: ServerConfig, stats: HttpStats) -> Self {
        let turns = |n: usize| Arc::new(Semaphore::new(n.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            writes: turns(config.writes_max),
            reads: turns(config.reads_max),
            bodies: turns(config.bodies_bytes_max / MEMORY_UNIT),
            scratch: Mutex::new(Vec::new()),
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

    /// Waits until bodies may take `bytes` more.
    pub(crate) async fn reserve(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Refusal> {
        let most = (self.config.bodies_bytes_max / MEMORY_UNIT).max(1);
        let units = (bytes / MEMORY_UNIT + 1).min(most);
        self.wait_for(&self.bodies, units, "large bodies").await
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

    /// Keeps the memory for a later request, unless it is too much.
    pub(crate) fn keep_scratch(&self, mut scratch: Scratch) {
        let largest = scratch.body.capacity().max(scratch.decoded.capacity());
        if largest > SCRATCH_BYTES_MAX || scratch.batch.rows() * 20 > SCRATCH_BYTES_MAX {
            return;
        }
        scratch.batch.clear();
        let mut kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < SCRATCH_KEPT {
            kept.push(scratch);
        }
    }
}
