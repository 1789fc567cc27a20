//! Samples of series in Prometheus's order of labels, which differs from the engine's.
//!
//! Prometheus compares labels one by one, name then value ([`LabelSet`] does); the engine compares
//! encodings, in which the end of a text is the highest byte. So `host="h1"` comes before `host="h10"`
//! here and after it there. Clients of remote read merge streams that must be in Prometheus's order.
//!
//! How it is done without holding samples:
//!
//! 1. The labels of all series are listed and sorted. They are what is held, and bounded.
//! 2. As many series as possible are picked that have the same order on both sides (the longest
//!    increasing subsequence of their places in the engine's order). One scan reads these.
//! 3. Each of the others, those with a text that begins others' texts, is read by itself when its turn
//!    comes.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hyper::StatusCode;
use siltstone::{Columns, Error, Labels, Matcher, QueryOptions, Snapshot, TimeRange};
use siltstone_promql::LabelSet;

use crate::refusal::Refusal;
use crate::selection::unlimited;

/// Most bytes of the labels that are listed.
const LABELS_BYTES_MAX: u64 = 128 << 20;

/// What is read.
pub(crate) struct Ordered<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) matchers: &'a [Matcher],
    pub(crate) range: TimeRange,
    /// Most series.
    pub(crate) series_max: usize,
    /// Its time and its cancelling hold for each step; its other limits do not.
    pub(crate) options: &'a QueryOptions,
}

/// What is called with the samples of each series, several times if it is long.
type Visit<'a> = &'a mut dyn FnMut(&LabelSet, &Columns) -> ControlFlow<()>;

impl Ordered<'_> {
    /// Visits every series that satisfies every matcher and has samples in the range, in Prometheus's
    /// order, and its samples in the order of time, until `visit` breaks.
    pub(crate) fn scan(&self, visit: Visit<'_>) -> Result<(), Refusal> {
        let listed = self.list()?;
        let mut turns = Turns::new(listed);
        let mut outcome = Ok(ControlFlow::Continue(()));
        self.snapshot.scan(
            self.matchers,
            self.range,
            &self.scan_options(),
            &mut |labels, batch| {
                outcome = turns.visit_scanned(self, labels, batch, visit);
                if matches!(outcome, Ok(ControlFlow::Continue(()))) {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            },
        )?;
        if outcome?.is_continue() {
            turns.finish(self, visit)?;
        }
        Ok(())
    }

    /// The labels of all series, in the engine's order.
    fn list(&self) -> Result<Vec<LabelSet>, Refusal> {
        let options = QueryOptions { bytes_max: LABELS_BYTES_MAX, ..self.options.clone() };
        let limit = self.series_max.saturating_add(1);
        let listed = self.snapshot.series(self.matchers, self.range, &options, limit);
        let listed = listed.map_err(|error| match error {
            // The same query fails the same way again.
            Error::LimitExceeded(message) => Refusal::bad_request(message),
            error => error.into(),
        })?;
        if listed.len() > self.series_max {
            return Err(Refusal::bad_request(format!(
                "the query selects more than {} series: narrow its matchers or its time range",
                self.series_max
            )));
        }
        Ok(listed.into_iter().map(|labels| LabelSet::from(&labels)).collect())
    }

    fn scan_options(&self) -> QueryOptions {
        QueryOptions {
            cancel: self.options.cancel.clone(),
            timeout: self.options.timeout,
            ..unlimited()
        }
    }

    /// Visits one series; `names` are those of all labels there are.
    fn read_one(
        &self,
        labels: &LabelSet,
        names: &BTreeSet<String>,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, Refusal> {
        // Labels that it does not have are named as well: there may be thousands of series with its
        // labels and more.
        let matchers: Vec<Matcher> =
            names.iter().map(|name| Matcher::equal(name, labels.get(name))).collect();
        let (mut flow, mut found) = (ControlFlow::Continue(()), false);
        self.snapshot.scan(&matchers, self.range, &self.scan_options(), &mut |read, batch| {
            if read.encoded() == labels.encoded() {
                found = true;
                flow = visit(labels, batch);
            }
            flow
        })?;
        if found { Ok(flow) } else { Err(lost(labels)) }
    }
}

/// Listed series that a scan does not find: a mistake of this program, and no reason to leave them out.
fn lost(labels: &LabelSet) -> Refusal {
    let message = format!("the samples of the series {labels} were not found again");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
}

/// Whose turn it is.
struct Turns {
    /// All series, in Prometheus's order.
    wanted: Vec<LabelSet>,
    /// Those that the scan reads, as places in `wanted`, ascending.
    in_scan: Vec<usize>,
    /// Names of labels that occur; empty if the scan reads all series.
    names: BTreeSet<String>,
    /// How many of `in_scan` have had their turn or have it now.
    scanned: usize,
    /// How many of `wanted` have had their turn or have it now.
    done: usize,
}

impl Turns {
    fn new(listed: Vec<LabelSet>) -> Self {
        let mut ranked: Vec<(LabelSet, usize)> = listed.into_iter().zip(0..).collect();
        ranked.sort_unstable();
        let ranks: Vec<usize> = ranked.iter().map(|(_, rank)| *rank).collect();
        let in_scan = longest_increasing(&ranks);
        let wanted: Vec<LabelSet> = ranked.into_iter().map(|(labels, _)| labels).collect();
        let mut names = BTreeSet::new();
        if in_scan.len() < wanted.len() {
            for name in wanted.iter().flat_map(LabelSet::iter).map(|(name, _)| name) {
                if !names.contains(name) {
                    names.insert(name.to_owned());
                }
            }
        }
        Self { wanted, in_scan, names, scanned: 0, done: 0 }
    }

    /// Takes a batch of the scan: the rest of the series whose turn it is, the next one's, or that of a
    /// series which is read by itself.
    fn visit_scanned(
        &mut self,
        ordered: &Ordered<'_>,
        labels: &Labels,
        batch: &Columns,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, Refusal> {
        let is = |place: Option<&usize>| {
            place.is_some_and(|place| self.wanted[*place].encoded() == labels.encoded())
        };
        let present = self.scanned.checked_sub(1).and_then(|at| self.in_scan.get(at));
        if is(present) {
            return Ok(visit(&self.wanted[self.done - 1], batch));
        }
        let next = self.in_scan.get(self.scanned);
        if !is(next) {
            return Ok(ControlFlow::Continue(()));
        }
        let place = next.copied().unwrap_or(self.wanted.len());
        if self.read_up_to(place, ordered, visit)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        self.scanned += 1;
        self.done = place + 1;
        Ok(visit(&self.wanted[place], batch))
    }

    /// Reads, one by one, the series before `place` whose turn has come.
    fn read_up_to(
        &mut self,
        place: usize,
        ordered: &Ordered<'_>,
        visit: Visit<'_>,
    ) -> Result<ControlFlow<()>, Refusal> {
        while self.done < place {
            let labels = &self.wanted[self.done];
            self.done += 1;
            if ordered.read_one(labels, &self.names, visit)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// After the scan: the series behind its last one.
    fn finish(mut self, ordered: &Ordered<'_>, visit: Visit<'_>) -> Result<(), Refusal> {
        if let Some(place) = self.in_scan.get(self.scanned) {
            return Err(lost(&self.wanted[*place]));
        }
        self.read_up_to(self.wanted.len(), ordered, visit).map(|_| ())
    }
}

/// The places of a longest increasing subsequence of distinct numbers, ascending (patience sorting:
/// Fredman, "On computing the length of longest increasing subsequences", 1975).
fn longest_increasing(numbers: &[usize]) -> Vec<usize> {
    // `ends[n]` is where the subsequence of length n + 1 with the lowest last number ends.
    let mut ends: Vec<usize> = Vec::new();
    let mut before = vec![usize::MAX; numbers.len()];
    for (at, number) in numbers.iter().enumerate() {
        let len = ends.partition_point(|end| numbers[*end] < *number);
        if let Some(shorter) = len.checked_sub(1) {
            before[at] = ends[shorter];
        }
        match ends.get_mut(len) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut places = Vec::with_capacity(ends.len());
    let mut next = ends.last().copied();
    while let Some(at) = next {
        places.push(at);
        next = Some(before[at]).filter(|before| *before != usize::MAX);
    }
    places.reverse();
    places
}

#[cfg(test)]
mod tests;
