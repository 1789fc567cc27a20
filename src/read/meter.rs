//! Counts what a query uses and stops it at its limits.

use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::options::Unreadable;
use super::{QueryMemory, QueryOptions};
use crate::cursor::{Layer, SeriesSource};
use crate::error::{Error, Result};
use crate::sys::Clock;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::sys::sync::{RwLock, RwLockReadGuard};
use crate::types::{Limit, LimitExceeded, TimeRange};

/// The use of one query, shared by the threads that work on it.
pub(super) struct Meter {
    options: QueryOptions,
    clock: Arc<dyn Clock>,
    /// On the monotonic clock.
    deadline: Option<Duration>,
    samples: AtomicU64,
    series: AtomicU64,
    memory: QueryMemory,
    /// What the query leaves out because its series are not known.
    unreadable: RwLock<Vec<Unreadable>>,
}

impl Meter {
    /// Starts the query's time.
    pub(super) fn start(options: &QueryOptions, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let own = options.timeout.map(|timeout| clock.monotonic().saturating_add(timeout));
        Arc::new(Self {
            options: options.clone(),
            clock: Arc::clone(clock),
            deadline: own.into_iter().chain(options.deadline).min(),
            samples: AtomicU64::new(0),
            series: AtomicU64::new(0),
            memory: options
                .memory
                .clone()
                .unwrap_or_else(|| QueryMemory::new(options.bytes_max.unwrap_or(u64::MAX))),
            unreadable: RwLock::new(
                options.skip_damaged.as_ref().map_or_else(Vec::new, |d| d.unreadable().to_vec()),
            ),
        })
    }

    /// Whether the query may go on.
    pub(super) fn check(&self) -> Result<()> {
        let cancelled = self.options.cancel.as_ref().is_some_and(super::Cancel::is_cancelled);
        let late = self.deadline.is_some_and(|deadline| self.clock.monotonic() >= deadline);
        if cancelled || late { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Counts samples that are about to be returned.
    pub(super) fn add_samples(&self, samples: usize) -> Result<()> {
        let used = self.samples.fetch_add(samples as u64, Ordering::Relaxed) + samples as u64;
        self.check_samples(used)
    }

    /// Whether `samples` more could be returned: for a series that is still collected.
    pub(super) fn check_samples_ahead(&self, samples: usize) -> Result<()> {
        self.check_samples(self.samples.load(Ordering::Relaxed).saturating_add(samples as u64))
    }

    fn check_samples(&self, used: u64) -> Result<()> {
        at_most(used, self.options.samples_max, Limit::QuerySamples)
    }

    /// Counts a series (or name or value) that is about to be returned.
    pub(super) fn add_series(&self) -> Result<()> {
        let used = self.series.fetch_add(1, Ordering::Relaxed) + 1;
        at_most(used, self.options.series_max, Limit::QuerySeries)
    }

    /// Counts bytes that the query holds until they are released; see [`QueryMemory::hold`].
    pub(super) fn hold(&self, bytes: u64) -> Result<()> {
        self.memory.hold(bytes)
    }

    /// The counterpart of [`Meter::hold`], also of one that failed.
    pub(super) fn release(&self, bytes: u64) {
        self.memory.release(bytes);
    }

    /// Notes damage that the query may leave out; hands the error back otherwise.
    pub(super) fn skip(&self, error: Error) -> Result<()> {
        match &self.options.skip_damaged {
            Some(damage) if error.damaged_place().is_some() => {
                damage.push(error);
                Ok(())
            }
            _ => Err(error),
        }
    }

    /// As [`skip`](Self::skip), of an error because of which series of a source are not known.
    pub(super) fn skip_series(&self, error: Error, source: &dyn SeriesSource) -> Result<()> {
        self.skip(error)?;
        if let Some((first, last)) = source.extent() {
            let range = TimeRange::closed(first, last);
            let layers = source.layers().into_iter();
            let unreadable = layers.map(|Layer { min_seq, .. }| Unreadable { min_seq, range });
            self.unreadable.write().unwrap_or_else(PoisonError::into_inner).extend(unreadable);
        }
        Ok(())
    }

    /// What is left out because its series are not known.
    pub(super) fn unreadable(&self) -> RwLockReadGuard<'_, Vec<Unreadable>> {
        self.unreadable.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").field("options", &self.options).finish_non_exhaustive()
    }
}

fn at_most(used: u64, max: u64, limit: Limit) -> Result<()> {
    if used <= max { Ok(()) } else { Err(LimitExceeded::new(limit, used, max).into()) }
}
