//! What all requests share: the store, the limits, memory that is reused, counters.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone::{Cancel, MemoryPool, PatternCache, Patterns, Snapshot, WriteBatch};
use siltstone_query::ResultCache;
use tokio::sync::Semaphore;

use crate::admission::Admission;
use crate::config::ServerConfig;
use crate::http_stats::HttpStats;
use crate::ingest::LongLines;
use crate::metric_metadata::MetricMetadata;
use crate::queries::Queries;
use crate::refusal::Refusal;
use crate::reply::ReplySink;
use crate::store::Store;

/// The part of the store's memory budget that queries may take, their kept answers included, unless the
/// configuration says.
const QUERIES_PART: u64 = 4;
/// The part that queries may take at least, however much is kept.
const QUERIES_PART_MIN: u64 = 8;
/// The part of the store's memory budget that kept answers may take, unless the configuration says.
const ANSWERS_PART: u64 = 16;
/// Answers that are compressed at a time, each in less than a megabyte.
const ENCODERS_MAX: usize = 32;
/// The part of the store's memory budget that compiled regular expressions may take between requests.
const PATTERNS_PART: u64 = 64;
/// What they take at most.
const PATTERNS_BYTES_MAX: u64 = 16 << 20;
/// Most of them.
const PATTERNS_MAX: usize = 4096;
/// The part of the bodies' bytes that buffers kept for later requests may take on top.
const KEPT_PART: usize = 4;

/// See the module.
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) config: ServerConfig,
    pub(crate) stats: HttpStats,
    pub(crate) admission: Admission,
    pub(crate) queries: Arc<Queries>,
    /// Encoders of answers that there may be at a time.
    pub(crate) encoders: Arc<Semaphore>,
    /// What imports share, so that they read long lines one at a time.
    pub(crate) long_lines: LongLines,
    /// Answers of range queries.
    pub(crate) results: ResultCache,
    /// Regular expressions that requests have compiled.
    pub(crate) patterns: PatternCache,
    /// What senders said of their metrics since the start.
    pub(crate) metadata: MetricMetadata,
    /// When the server was started, in milliseconds since the Unix epoch.
    pub(crate) started_ms: i64,
    /// Where it listens, and where for probes.
    pub(crate) addresses: Addresses,
    kept: Mutex<Kept>,
}

/// What the listeners of a server are bound to, as far as the system says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    pub(crate) public: Option<SocketAddr>,
    pub(crate) probes: Option<SocketAddr>,
}

/// Memory that waits for its next use.
#[derive(Debug, Default)]
struct Kept {
    buffers: Vec<Vec<u8>>,
    scratch: Vec<Scratch>,
    bytes: usize,
}

/// The memory in which a write request is decoded.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) decoded: Vec<u8>,
    pub(crate) batch: WriteBatch,
}

impl Scratch {
    fn bytes(&self) -> usize {
        self.decoded.capacity() + self.batch.bytes()
    }
}

impl App {
    /// To be called inside the runtime.
    ///
    /// # Errors
    /// If the system refuses the threads.
    pub(crate) fn new(
        store: Store,
        config: ServerConfig,
        addresses: Addresses,
        stats: HttpStats,
    ) -> io::Result<Self> {
        let budget = store.options().memory_budget_bytes;
        let kept_bytes = match store.writable() {
            Ok(_) => config.query_cache_bytes.unwrap_or(budget / ANSWERS_PART),
            // What has changed of a view is not known, so none of its answers can be used again.
            Err(_) => 0,
        };
        let rest = (budget / QUERIES_PART).saturating_sub(kept_bytes);
        let query_bytes = config.query_bytes_max.unwrap_or(rest.max(budget / QUERIES_PART_MIN));
        // Whoever holds a part of the pool works, or waits with an answer.
        let accounts = config.reads_max + config.exports_max + config.slow_answers_max;
        let pool = MemoryPool::new(query_bytes, accounts);
        Ok(Self {
            admission: Admission::start(&config, budget)?,
            kept: Mutex::default(),
            encoders: Arc::new(Semaphore::new(ENCODERS_MAX)),
            long_lines: LongLines::default(),
            queries: Queries::new(pool, config.slow_query),
            results: ResultCache::new(kept_bytes),
            patterns: PatternCache::new(
                (budget / PATTERNS_PART).min(PATTERNS_BYTES_MAX) as usize,
                PATTERNS_MAX,
            ),
            metadata: MetricMetadata::default(),
            started_ms: store.options().clock.wall_ms(),
            addresses,
            store,
            config,
            stats,
        })
    }

    /// Calls `read` with the present moment of the store, again if the owner of it replaces files meanwhile and
    /// nothing has been sent yet: see [`Store::read`].
    ///
    /// # Errors
    /// Those of `read`.
    pub(crate) fn read_into(
        &self,
        sink: &mut ReplySink,
        mut read: impl FnMut(&Snapshot, &mut ReplySink) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        self.store.read(|snapshot| {
            read(snapshot, sink).map_err(|mut refusal| {
                refusal.files_gone = refusal.files_gone && sink.start_over();
                refusal
            })
        })
    }

    /// When a read that begins now has to end, however many queries it consists of: for
    /// [`QueryOptions::deadline`](siltstone::QueryOptions::deadline).
    pub(crate) fn query_deadline(&self) -> Duration {
        self.store.options().clock.monotonic().saturating_add(self.config.query_timeout)
    }

    /// What compiles the regular expressions of a request, all of them within one bound, until the request is
    /// cancelled or `deadline` has passed. To be used on a thread for work.
    pub(crate) fn compiler(&self, cancel: &Cancel, deadline: Duration) -> Patterns {
        let (cancel, clock) = (cancel.clone(), self.store.options().clock.clone());
        let goes_on = move || !cancel.is_cancelled() && clock.monotonic() <= deadline;
        Patterns::default().cached(&self.patterns).while_true(goes_on)
    }

    /// Bytes of buffers that are kept for the next requests.
    pub(crate) fn kept_bytes(&self) -> usize {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// A buffer for a body, used before if possible.
    pub(crate) fn take_buffer(&self) -> Vec<u8> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(buffer) = kept.buffers.pop() else { return Vec::new() };
        kept.bytes -= buffer.capacity();
        buffer
    }

    /// Keeps the memory for a later request, unless all that is kept would be too much.
    pub(crate) fn keep_buffer(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        let bytes = buffer.capacity();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes <= self.admission.bodies.bytes_max() / KEPT_PART {
            kept.bytes += bytes;
            kept.buffers.push(buffer);
        }
    }

    /// Memory for a write request, used before if possible.
    pub(crate) fn take_scratch(&self) -> Scratch {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(scratch) = kept.scratch.pop() else { return Scratch::default() };
        kept.bytes -= scratch.bytes();
        scratch
    }

    /// As [`App::keep_buffer`].
    pub(crate) fn keep_scratch(&self, mut scratch: Scratch) {
        scratch.batch.clear();
        let bytes = scratch.bytes();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.bytes + bytes <= self.admission.bodies.bytes_max() / KEPT_PART {
            kept.bytes += bytes;
            kept.scratch.push(scratch);
        }
    }
}
