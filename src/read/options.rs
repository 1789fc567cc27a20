//! What a query may use, and how it is stopped.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::QueryMemory;
use crate::error::Error;
use crate::sys::sync::atomic::{AtomicBool, Ordering};
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::TimeRange;

/// Limits of one query. The defaults suit a question that a person asks; an export raises
/// `samples_max`.
///
/// ```
/// # use siltstone::QueryOptions;
/// let options = QueryOptions { samples_max: u64::MAX, ..QueryOptions::default() };
/// assert_eq!(options.series_max, u64::MAX, "no limit unless set");
/// ```
#[derive(Debug, Clone)]
pub struct QueryOptions {
    /// Most samples returned. Default: 50 million.
    pub samples_max: u64,
    /// Most series (or label names or values) returned. Default: no limit.
    pub series_max: u64,
    /// Most bytes of heap held at once: lists of series, and samples that were decoded but not yet
    /// handed out. A query that collects whole series needs 16 bytes per sample of a few of the
    /// longest; a scan needs about 10 MiB per thread. Default: a quarter of
    /// [`Options::memory_budget_bytes`](crate::Options::memory_budget_bytes).
    pub bytes_max: Option<u64>,
    /// Where the bytes are counted, in place of `bytes_max`: an account that may be part of a
    /// [`MemoryPool`](super::MemoryPool), and shared with other work of the same query. Default: none.
    pub memory: Option<QueryMemory>,
    /// Longest time from the start of the query to its end, in which the caller's own work between
    /// the results counts. Default: none.
    pub timeout: Option<Duration>,
    /// The moment at which the query ends at the latest, on the monotonic clock of the store
    /// (`Options::clock`): for several queries that have one limit of time together. Default: none.
    pub deadline: Option<Duration>,
    /// Stops the query from another thread. Default: none.
    pub cancel: Option<Cancel>,
    /// Leaves out what is damaged or lost and collects what that is here, to salvage the rest. What is
    /// returned is certain: an older sample at a time at which a lost one was, or may have been, is left
    /// out too. Default: none, that is, a lost sample is an error.
    pub skip_damaged: Option<Damage>,
}

/// A source of which it is not known which series it has, or not of all. In the query's answer nothing
/// older of its time is certain.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unreadable {
    /// The lowest seq of its samples.
    pub(crate) min_seq: u64,
    /// The times of its samples.
    pub(crate) range: TimeRange,
}

impl Default for QueryOptions {
    fn default() -> Self {
        Self {
            samples_max: 50_000_000,
            series_max: u64::MAX,
            bytes_max: None,
            memory: None,
            timeout: None,
            deadline: None,
            cancel: None,
            skip_damaged: None,
        }
    }
}

/// Stops queries: every clone of it acts on all queries that were given one. They end with
/// [`Error::Cancelled`] at their next block.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    cancelled: Arc<AtomicBool>,
}

impl Cancel {
    /// Stops the queries, for good.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// A list of the damage that queries left out. Clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Damage {
    errors: Arc<Mutex<Vec<Error>>>,
    listener: Option<Listener>,
    /// Segments that could not be opened and are left out.
    unreadable: Vec<Unreadable>,
}

/// Who is notified of damage that is new to a list.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(&Error) + Send + Sync>);

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listener")
    }
}

impl Damage {
    /// Takes the errors found so far, in no particular order: [`Error::Lost`] for each series of each
    /// damaged block, [`Error::Corrupt`] where the series are not known.
    #[must_use]
    pub fn take(&self) -> Vec<Error> {
        std::mem::take(&mut *self.lock())
    }

    /// The same list; `notify` is called with what is added through this one and new.
    pub(crate) fn notifying(&self, notify: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(notify))), ..self.clone() }
    }

    /// The same list, for a query that leaves out these segments.
    pub(crate) fn without(&self, unreadable: Vec<Unreadable>) -> Self {
        Self { unreadable, ..self.clone() }
    }

    pub(crate) fn unreadable(&self) -> &[Unreadable] {
        &self.unreadable
    }

    /// Adds an error, once for each place: a damaged index block is met once per series.
    pub(crate) fn push(&self, error: Error) {
        if self.extends_known(&error) {
            return;
        }
        // Without the lock, since the listener takes others. Two threads may notify it of one place.
        if let Some(Listener(notify)) = &self.listener {
            notify(&error);
        }
        if !self.extends_known(&error) {
            self.lock().push(error);
        }
    }

    /// Whether the place is known; if so, what is lost there is what both say.
    fn extends_known(&self, error: &Error) -> bool {
        let mut errors = self.lock();
        let Some(known) = errors.iter_mut().find(|known| is_same_place(known, error)) else {
            return false;
        };
        if let (Error::Lost(known), Error::Lost(more)) = (known, error) {
            known.add(more);
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Error>> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_same_place(a: &Error, b: &Error) -> bool {
    use Error::Corrupt;
    match (a, b) {
        (
            Corrupt { path: a, section: a_section, offset: a_offset, .. },
            Corrupt { path: b, section: b_section, offset: b_offset, .. },
        ) => (a_offset, a_section, a) == (b_offset, b_section, b),
        (Error::Lost(a), Error::Lost(b)) => {
            (a.offset, &a.labels, &a.path) == (b.offset, &b.labels, &b.path)
        }
        _ => false,
    }
}
