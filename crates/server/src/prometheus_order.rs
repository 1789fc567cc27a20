//! Samples of series in Prometheus's order of labels, which differs from the engine's.
//!
//! Prometheus compares labels one by one, name then value ([`LabelSet`] does); the engine compares
//! encodings, in which the end of a text is the highest byte. So `host="h1"` comes before `host="h10"`
//! here and after it there. Clients of remote read merge streams that must be in Prometheus's order.
//!
//! The labels of all series are listed and sorted; they are what is held, and counted in the account of
//! the query. Then one series after the other is read, batch by batch.

use std::ops::ControlFlow;

use siltstone::{Columns, Matcher, QueryOptions, Snapshot, TimeRange};
use siltstone_promql::LabelSet;

use crate::refusal::Refusal;

/// What is read.
pub(crate) struct Ordered<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) matchers: &'a [Matcher],
    pub(crate) range: TimeRange,
    /// Most series.
    pub(crate) series_max: usize,
    pub(crate) options: &'a QueryOptions,
}

/// What is called with the samples of each series, several times if it is long.
type Visit<'a> = &'a mut dyn FnMut(&LabelSet, &Columns) -> ControlFlow<()>;

impl Ordered<'_> {
    /// Visits every series that satisfies every matcher and has samples in the range, in Prometheus's
    /// order, and its samples in the order of time, until `visit` breaks.
    pub(crate) fn scan(&self, visit: Visit<'_>) -> Result<(), Refusal> {
        let set = self.snapshot.list(self.matchers, self.range, self.options);
        let set = set.map_err(Refusal::of_remote_read)?;
        let labels: Vec<LabelSet> = set.labels().iter().map(LabelSet::from).collect();
        if labels.len() > self.series_max {
            return Err(Refusal::bad_request(format!(
                "the query selects more than {} series: narrow its matchers or its time range",
                self.series_max
            )));
        }
        let mut numbers: Vec<u32> = (0..u32::try_from(labels.len()).unwrap_or(u32::MAX)).collect();
        numbers.sort_unstable_by(|a, b| labels[*a as usize].cmp(&labels[*b as usize]));
        let mut visit_batch = |number: u32, batch: &Columns| visit(&labels[number as usize], batch);
        set.scan(&numbers, &mut visit_batch).map_err(Refusal::of_remote_read)
    }
}

#[cfg(test)]
mod tests;
