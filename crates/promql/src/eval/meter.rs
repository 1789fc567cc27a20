//! What one evaluation may use, and what it has used.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use siltstone::{Cancel, Clock, QueryMemory};

use crate::query_error::QueryError;
use crate::source::{Control, SourceError};

/// Bounds of one evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most samples that are read, each as often as it is read; a billion by default.
    pub samples: u64,
    /// Most bytes of values, labels that the query makes, and results that are held at a time; 1 GiB
    /// by default. The columns of the series that a thread is at do not count.
    pub bytes: u64,
    /// Most series that are listed, all selections together; ten million by default.
    pub series: u64,
    /// Most steps of the query, and of each subquery; ten million by default.
    pub steps: usize,
    /// Longest time; `None` for no bound. Two minutes by default.
    pub time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            samples: 1_000_000_000,
            bytes: 1 << 30,
            series: 10_000_000,
            steps: 10_000_000,
            time: Some(Duration::from_secs(120)),
        }
    }
}

/// Counts what an evaluation uses; shared by its threads.
pub(crate) struct Meter {
    limits: Limits,
    cancel: Cancel,
    clock: Arc<dyn Clock>,
    /// When the time is up, on the clock's monotonic time.
    deadline: Option<Duration>,
    samples: AtomicU64,
    series: AtomicU64,
    bytes: AtomicU64,
    bytes_peak: AtomicU64,
    /// Where everything is counted as well, with what the source holds.
    memory: Option<QueryMemory>,
}

impl Meter {
    pub(crate) fn new(limits: Limits, cancel: Cancel, clock: Arc<dyn Clock>) -> Self {
        let deadline = limits.time.map(|time| clock.monotonic().saturating_add(time));
        Self {
            limits,
            cancel,
            clock,
            deadline,
            samples: AtomicU64::new(0),
            series: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            bytes_peak: AtomicU64::new(0),
            memory: None,
        }
    }

    /// Counts in `memory` as well.
    pub(crate) fn counting_in(self, memory: QueryMemory) -> Self {
        Self { memory: Some(memory), ..self }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a source keeps to from now on.
    pub(crate) fn control(&self) -> Control {
        let time = self.deadline.map(|end| end.saturating_sub(self.clock.monotonic()));
        Control { cancel: self.cancel.clone(), time, memory: self.memory.clone() }
    }

    /// Why there is no answer after a source has failed: it may have been stopped.
    pub(crate) fn source_error(&self, error: SourceError) -> QueryError {
        self.check().err().unwrap_or(QueryError::Source(error))
    }

    /// Fails when the evaluation was cancelled or its time is up.
    pub(crate) fn check(&self) -> Result<(), QueryError> {
        if self.cancel.is_cancelled() {
            return Err(QueryError::Cancelled);
        }
        if self.deadline.is_some_and(|deadline| self.clock.monotonic() > deadline) {
            return Err(QueryError::Timeout);
        }
        Ok(())
    }

    /// Counts samples that are read.
    pub(crate) fn read_samples(&self, count: usize) -> Result<(), QueryError> {
        add(&self.samples, count as u64, self.limits.samples, "samples")?;
        self.check()
    }

    /// Counts series that are listed.
    pub(crate) fn list_series(&self, count: usize) -> Result<(), QueryError> {
        add(&self.series, count as u64, self.limits.series, "series").map(drop)
    }

    /// Counts bytes that will be held until [`Meter::release`].
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), QueryError> {
        let held = add(&self.bytes, bytes as u64, self.limits.bytes, "bytes of values")?;
        self.bytes_peak.fetch_max(held, Ordering::Relaxed);
        match &self.memory {
            Some(memory) => memory.hold(bytes as u64).map_err(QueryError::Memory),
            None => Ok(()),
        }
    }

    /// Gives back bytes that were held.
    pub(crate) fn release(&self, bytes: usize) {
        if let Some(memory) = &self.memory {
            memory.release(bytes as u64);
        }
        let held = self.bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
        debug_assert!(held >= bytes as u64, "{bytes} bytes are given back, but {held} were held");
    }

    /// The bytes that are held: 0 when an evaluation has succeeded. One that fails leaves the count
    /// as it is, for nothing reads it any more.
    pub(crate) fn bytes_held(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Samples that were read.
    pub(crate) fn samples(&self) -> u64 {
        self.samples.load(Ordering::Relaxed)
    }

    /// The most bytes that were held at a time.
    pub(crate) fn bytes_peak(&self) -> u64 {
        self.bytes_peak.load(Ordering::Relaxed)
    }
}

/// Looks at the clock and at the cancellation now and then while long work goes on.
pub(crate) struct Ticker<'a> {
    meter: &'a Meter,
    left: usize,
}

/// After how much work, in samples or pairs looked at, the clock is looked at: some tens of
/// microseconds.
const WORK_PER_CHECK: usize = 1 << 16;

impl<'a> Ticker<'a> {
    pub(crate) fn new(meter: &'a Meter) -> Self {
        Self { meter, left: WORK_PER_CHECK }
    }

    /// Says that so much work, in samples or pairs looked at, is about to be done.
    ///
    /// # Errors
    /// Those of [`Meter::check`].
    #[inline]
    pub(crate) fn tick(&mut self, work: usize) -> Result<(), QueryError> {
        match self.left.checked_sub(work) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = WORK_PER_CHECK;
                self.meter.check()
            }
        }
    }
}

/// Adds `more` to a counter and returns the sum, which may be at most `max`.
fn add(counter: &AtomicU64, more: u64, max: u64, what: &'static str) -> Result<u64, QueryError> {
    let sum = counter.fetch_add(more, Ordering::Relaxed).saturating_add(more);
    if sum > max { Err(QueryError::Limit { what, max }) } else { Ok(sum) }
}
