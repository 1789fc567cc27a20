//! The PromQL queries of a server: which run now, what they have cost, and how one is stopped.
//!
//! A [`Running`] is made when a query has its turn and dropped when its answer is written, or its
//! client gone. Then the query is counted by kind and outcome, and written to the log if it took long.
//!
//! # Invariants
//!
//! - Every query that evaluates is in the list, with its account of memory.
//! - A query that was cancelled here ends with `canceled`, at its next series or, while its answer is written,
//!   at the next piece, behind which the answer is cut off.

mod statistics;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone::{Cancel, MemoryPool, QueryMemory};
use siltstone_query::tree_bytes_max;
use tokio::time::Instant;

pub(crate) use statistics::{Outcome, Statistics};

/// Most bytes of a query's text that the list and the log show.
const TEXT_BYTES_SHOWN: usize = 4096;

/// What kind of query it is: the label of its counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum QueryKind {
    Instant,
    Range,
}

impl QueryKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Instant => "instant",
            Self::Range => "range",
        }
    }
}

/// What a query asks for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) kind: QueryKind,
    pub(crate) text: String,
    /// The first and the last step, in milliseconds.
    pub(crate) times: (i64, i64),
    /// Milliseconds between steps; 0 of an instant query.
    pub(crate) step: i64,
}

/// The queries of a server.
#[derive(Debug)]
pub(crate) struct Queries {
    list: Mutex<List>,
    pool: MemoryPool,
    slow: Duration,
    pub(crate) statistics: Statistics,
}

#[derive(Debug, Default)]
struct List {
    next: u64,
    running: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    asked: Asked,
    started: Instant,
    cancel: Cancel,
    /// Whether it was cancelled through the list.
    stopped: bool,
    memory: QueryMemory,
}

/// A query as the list shows it.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    pub(crate) id: u64,
    pub(crate) asked: Asked,
    pub(crate) elapsed: Duration,
    pub(crate) bytes_held: u64,
}

/// What an evaluation has cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) samples_read: u64,
    pub(crate) series: u64,
}

impl Queries {
    /// For queries that share `pool`; those that take `slow` or longer are written to the log.
    pub(crate) fn new(pool: MemoryPool, slow: Duration) -> Arc<Self> {
        let (list, statistics) = (Mutex::default(), Statistics::default());
        Arc::new(Self { list, pool, slow, statistics })
    }

    /// An account in the memory that all queries share.
    pub(crate) fn memory(&self) -> QueryMemory {
        self.pool.query(u64::MAX)
    }

    /// An account that holds what the tree of `text` may take: to be made before it is parsed.
    ///
    /// # Errors
    /// [`siltstone::Error::LimitExceeded`].
    pub(crate) fn memory_of(&self, text: &str) -> siltstone::Result<QueryMemory> {
        let memory = self.memory();
        memory.hold(tree_bytes_max(text))?;
        Ok(memory)
    }

    /// The memory that all queries share.
    pub(crate) fn pool(&self) -> &MemoryPool {
        &self.pool
    }

    /// Puts a query, which ends with `cancel` and has this account, on the list.
    pub(crate) fn start(
        self: &Arc<Self>,
        mut asked: Asked,
        cancel: Cancel,
        memory: QueryMemory,
    ) -> Running {
        cut(&mut asked.text);
        let (started, stopped) = (Instant::now(), false);
        let entry = Entry { asked, started, cancel, stopped, memory: memory.clone() };
        let mut list = self.lock();
        list.next += 1;
        let id = list.next;
        list.running.insert(id, entry);
        drop(list);
        let (queries, cost) = (Arc::clone(self), Cost::default());
        Running { queries, id, memory, cost, outcome: Outcome::Internal }
    }

    /// The queries that run now, the oldest first.
    pub(crate) fn shown(&self) -> Vec<Shown> {
        let show = |(id, entry): (&u64, &Entry)| Shown {
            id: *id,
            asked: entry.asked.clone(),
            elapsed: entry.started.elapsed(),
            bytes_held: entry.memory.bytes_held(),
        };
        self.lock().running.iter().map(show).collect()
    }

    /// Stops a query; false if none with this number runs.
    pub(crate) fn cancel(&self, id: u64) -> bool {
        let mut list = self.lock();
        let Some(entry) = list.running.get_mut(&id) else { return false };
        entry.stopped = true;
        entry.cancel.cancel();
        true
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shortens a text to what is shown of it.
fn cut(text: &mut String) {
    let mut ends = (0..=TEXT_BYTES_SHOWN.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    text.truncate(end.unwrap_or(0));
}

/// A query on the list.
#[derive(Debug)]
pub(crate) struct Running {
    queries: Arc<Queries>,
    id: u64,
    /// What the query, its source and its answer hold.
    pub(crate) memory: QueryMemory,
    pub(crate) cost: Cost,
    /// How it ended, as far as is known.
    pub(crate) outcome: Outcome,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut list = self.queries.lock();
        let Some(entry) = list.running.remove(&self.id) else { return };
        let (took, asked) = (entry.started.elapsed(), entry.asked);
        if self.outcome == Outcome::Canceled && !entry.stopped {
            self.outcome = Outcome::ClientGone;
        }
        // Under the lock: what is not on the list any more is counted.
        self.queries.statistics.record(asked.kind, self.outcome, took, self.cost);
        drop(list);
        if took >= self.queries.slow {
            tracing::warn!(
                query = asked.text,
                kind = asked.kind.as_str(),
                start_ms = asked.times.0,
                end_ms = asked.times.1,
                step_ms = asked.step,
                seconds = took.as_secs_f64(),
                outcome = self.outcome.as_str(),
                series = self.cost.series,
                samples_read = self.cost.samples_read,
                bytes_peak = self.memory.bytes_peak(),
                "slow query"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> Asked {
        Asked { kind: QueryKind::Instant, text: text.to_owned(), times: (5, 5), step: 0 }
    }

    #[test]
    fn queries_are_listed_while_they_run_and_counted_after() {
        let queries = Queries::new(MemoryPool::new(1 << 20, 2), Duration::MAX);
        let (first, second) = (Cancel::default(), Cancel::default());
        let start = |text: &str, cancel: &Cancel| {
            queries.start(asked(text), cancel.clone(), queries.memory())
        };
        let mut running = start("up", &first);
        let mut other = start(&"ن".repeat(4000), &second);
        running.memory.hold(1000).unwrap();
        let shown = queries.shown();
        assert_eq!(shown.iter().map(|one| one.bytes_held).collect::<Vec<_>>(), [1000, 0]);
        assert_eq!((shown[0].asked.text.as_str(), shown[1].asked.text.len()), ("up", 4096));
        assert!(queries.cancel(shown[1].id) && !queries.cancel(77));
        assert!(second.is_cancelled() && !first.is_cancelled());
        other.outcome = Outcome::Success;
        running.outcome = Outcome::Canceled;
        other.cost.samples_read = 7;
        drop((running, other));
        assert!(queries.shown().is_empty());
        let kinds = queries.statistics.kinds();
        let (kind, statistics) = &kinds[0];
        assert_eq!((*kind, statistics.samples_read), (QueryKind::Instant, 7));
        let counts: Vec<_> = statistics.by_outcome.iter().map(|(o, n)| (o.as_str(), *n)).collect();
        assert_eq!(counts, [("success", 1), ("client_gone", 1)]);
    }
}
