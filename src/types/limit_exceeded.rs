//! Limits: which one was reached, and how much of what was asked for.

use std::fmt;

/// A limit of the store, of a batch or of a query was reached. What was refused has changed nothing.
///
/// ```
/// # use siltstone::{Error, Limit, LimitExceeded};
/// let error = Error::from(LimitExceeded::new(Limit::QuerySeries, 1001, 1000));
/// assert_eq!(
///     error.to_string(),
///     "the query needs at least 1001 series, more than series_max = 1000: narrow its matchers, or \
///      raise series_max"
/// );
/// let Error::LimitExceeded(exceeded) = error else { panic!() };
/// assert_eq!((exceeded.limit, exceeded.needed, exceeded.max), (Limit::QuerySeries, 1001, 1000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitExceeded {
    /// Which limit.
    pub limit: Limit,
    /// How much would have been needed at least, in the limit's unit.
    pub needed: u64,
    /// How much there may be, in the same unit.
    pub max: u64,
}

/// The limits, each with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Limit {
    /// Active series: as many as there are now, by [`Options::series_max`](field@crate::Options::series_max) or
    /// by the memory budget.
    #[non_exhaustive]
    ActiveSeries {
        /// Bytes that those take in the registry.
        bytes: u64,
    },
    /// Labels of active series, which are numbered in memory.
    LabelNumbers,
    /// Rows of a batch.
    BatchRows,
    /// Bytes that a batch takes in the log.
    BatchBytes,
    /// Bytes of batches that wait for their commit:
    /// [`Options::queue_bytes_max`](field@crate::Options::queue_bytes_max).
    QueueBytes,
    /// Matchers of a delete.
    DeleteMatchers,
    /// Bytes of a delete's matchers.
    DeleteBytes,
    /// Deletes that compaction has not carried out yet.
    PendingDeletes,
    /// Bytes of the matchers of those.
    PendingDeleteBytes,
    /// Bytes of one edit of the manifest.
    ManifestEditBytes,
    /// Series of a query: [`QueryOptions::series_max`](crate::QueryOptions::series_max).
    QuerySeries,
    /// Samples of a query: [`QueryOptions::samples_max`](crate::QueryOptions::samples_max).
    QuerySamples,
    /// Bytes of memory of a query: [`QueryOptions::bytes_max`](crate::QueryOptions::bytes_max).
    QueryBytes,
    /// Bytes of memory of all queries of a [`MemoryPool`](crate::MemoryPool).
    #[non_exhaustive]
    PoolBytes {
        /// Bytes that the queries beside it take.
        taken: u64,
    },
}

impl LimitExceeded {
    /// That `limit` would have to be `needed` and is `max`.
    #[must_use]
    pub const fn new(limit: Limit, needed: u64, max: u64) -> Self {
        Self { limit, needed, max }
    }
}

impl fmt::Display for LimitExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, needed, max } = self;
        match limit {
            Limit::ActiveSeries { bytes } => write!(
                f,
                "the store has {max} active series in {bytes} bytes, its limit; known series are \
                 still accepted. Raise the limit and the memory budget, or remove a label whose \
                 values keep changing; series without new samples make room for others"
            ),
            Limit::LabelNumbers => f.write_str(
                "the labels of the active series pass what one store can number in memory (4 GiB of \
                 distinct label values, 2^32 labels in all): remove a label whose value changes with \
                 every series, or split the series over two stores",
            ),
            Limit::BatchRows => {
                write!(f, "a batch holds at most {max} rows: write it first")
            }
            Limit::BatchBytes => write!(
                f,
                "the batch needs {needed} bytes of log, more than {max}: write it in parts"
            ),
            Limit::QueueBytes => write!(
                f,
                "batches that wait for their commit would take {needed} bytes, of at most {max}: \
                 commit them first"
            ),
            Limit::DeleteMatchers => {
                write!(f, "a delete with {needed} matchers; at most {max} are allowed")
            }
            Limit::DeleteBytes => {
                write!(f, "a delete of {needed} bytes; at most {max} are allowed")
            }
            Limit::PendingDeletes => write!(
                f,
                "{needed} deletes would wait until compaction has carried them out; at most {max} \
                 may: compact, then delete again"
            ),
            Limit::PendingDeleteBytes => write!(
                f,
                "deletes of {needed} bytes would wait until compaction has carried them out; at most \
                 {max} may: compact, then delete again"
            ),
            Limit::ManifestEditBytes => write!(
                f,
                "a version edit of {needed} bytes; at most {max} fit in the manifest"
            ),
            Limit::QuerySeries => write!(
                f,
                "the query needs at least {needed} series, more than series_max = {max}: narrow its \
                 matchers, or raise series_max"
            ),
            Limit::QuerySamples => write!(
                f,
                "the query needs at least {needed} samples, more than samples_max = {max}: narrow \
                 its matchers or its time range, or raise samples_max"
            ),
            Limit::QueryBytes => write!(
                f,
                "the query needs at least {needed} bytes of memory, more than bytes_max = {max}: \
                 select fewer series, a shorter time range or a longer step, scan instead of \
                 collecting whole series, or raise bytes_max"
            ),
            Limit::PoolBytes { taken } => write!(
                f,
                "the query needs at least {needed} bytes of memory, and queries that run beside it \
                 take {taken} of the {max} that are there for all of them: select fewer series, a \
                 shorter time range or a longer step, or raise the memory budget"
            ),
        }
    }
}

impl std::error::Error for LimitExceeded {}
