//! What queries have cost, by kind.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Cost, QueryKind};

/// Longest time that is told from longer ones, in microseconds.
const SECONDS_MAX_US: u64 = 3_600_000_000;

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    Success,
    /// The query, or its parameters, say nothing that can be evaluated.
    BadData,
    /// The evaluation has no answer, or would need more than a limit.
    Execution,
    Timeout,
    Canceled,
    Internal,
    /// Nobody waited for the answer any more.
    ClientGone,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Timeout => "timeout",
            Self::Canceled => "canceled",
            Self::Internal => "internal",
            Self::ClientGone => "client_gone",
        }
    }
}

/// Counters by kind of query; they only grow.
#[derive(Debug, Default)]
pub(crate) struct Statistics {
    kinds: Mutex<BTreeMap<QueryKind, KindStatistics>>,
}

/// Counters of one kind.
#[derive(Debug, Clone)]
pub(crate) struct KindStatistics {
    pub(crate) by_outcome: BTreeMap<Outcome, u64>,
    pub(crate) samples_read: u64,
    pub(crate) series: u64,
    /// Microseconds from the turn of a query to the end of its answer.
    pub(crate) took_us: Histogram<u64>,
    pub(crate) total_us: u64,
}

impl Statistics {
    pub(super) fn record(&self, kind: QueryKind, outcome: Outcome, took: Duration, cost: Cost) {
        let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(SECONDS_MAX_US);
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        let of = kinds.entry(kind).or_insert_with(KindStatistics::new);
        *of.by_outcome.entry(outcome).or_insert(0) += 1;
        of.samples_read += cost.samples_read;
        of.series += cost.series;
        of.took_us.saturating_record(us);
        of.total_us += us;
    }

    /// A copy of the counters of each kind that was asked.
    pub(crate) fn kinds(&self) -> Vec<(QueryKind, KindStatistics)> {
        let kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        kinds.iter().map(|(kind, statistics)| (*kind, statistics.clone())).collect()
    }
}

impl KindStatistics {
    fn new() -> Self {
        let took_us = Histogram::new_with_bounds(1, SECONDS_MAX_US, 2)
            .expect("the bounds and the precision are constants in range");
        Self { by_outcome: BTreeMap::new(), samples_read: 0, series: 0, took_us, total_us: 0 }
    }
}
