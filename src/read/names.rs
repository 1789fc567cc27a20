//! Series, label names and label values, without their samples.
//!
//! Exact: what is listed belongs to a series with a sample in the range. Indexes answer for segments
//! that lie within the range and of which nothing is deleted. Elsewhere they only propose, and series are looked at until every
//! proposal is confirmed: by their extents, and by decoding one batch where the range lies between
//! two samples of an extent.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::lists::{FoundSeries, listed_bytes};
use super::meter::Meter;
use super::{QueryOptions, Sources};
use crate::cursor::{Columns, ListedSeries, SeriesSource};
use crate::error::Result;
use crate::types::{Labels, Matcher, TimeRange};

/// Asked of a source: names or values.
type Propose<'a> = &'a dyn Fn(&dyn SeriesSource) -> Result<Vec<String>>;
/// Asked of a series: the names or values that it has.
type Carried<'a> = &'a dyn Fn(&Labels, &mut dyn FnMut(&str));

/// What a series takes in an answer beside its labels: its place in a list, and in whatever the caller sorts.
const PLACE_BYTES: u64 = 32;

impl Sources {
    /// The first `limit` series, in label order, that satisfy every matcher and have a sample in
    /// `range`.
    ///
    /// # Errors
    /// Those of reading the sources, and of the limits.
    pub(crate) fn series(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<Labels>> {
        let mut series = Vec::new();
        if limit > 0 {
            self.visit_series(matchers, range, options, &mut |labels, meter| {
                meter.hold(listed_bytes(&labels) + PLACE_BYTES)?;
                series.push(labels);
                Ok(if series.len() < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                })
            })?;
        }
        Ok(series)
    }

    /// The number of series that satisfy every matcher and have a sample in `range`. Their labels
    /// are not held.
    ///
    /// # Errors
    /// Those of reading the sources, and of the limits.
    pub(crate) fn count_series(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<u64> {
        let mut count = 0;
        self.visit_series(matchers, range, options, &mut |_, _| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// Hands the series that satisfy every matcher and have a sample in `range` to `visit`, in label
    /// order, until it breaks.
    fn visit_series(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        visit: &mut dyn FnMut(Labels, &Meter) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let meter = self.meter(options);
        let mut list = self.list(matchers, range, &meter)?;
        let mut reader = self.reader(range, &meter);
        let mut scratch = Columns::default();
        while let Some(found) = list.next()? {
            reader.open(&found)?;
            if reader.has_samples(&mut scratch)? {
                meter.add_series()?;
                if visit(found.labels, &meter)?.is_break() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The first `limit` label names, sorted, of the series that satisfy every matcher and have a
    /// sample in `range`.
    ///
    /// # Errors
    /// Those of reading the sources, and of the limits.
    pub(crate) fn label_names(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<String>> {
        let query = Query { sources: self, matchers, range, meter: self.meter(options) };
        let carried = |labels: &Labels, visit: &mut dyn FnMut(&str)| {
            labels.iter().for_each(|(name, _)| visit(name));
        };
        query.confirmed(&|source| source.label_names(matchers), &carried, limit)
    }

    /// The first `limit` values, sorted, of the label `name` among the series that satisfy every
    /// matcher and have a sample in `range`.
    ///
    /// # Errors
    /// Those of reading the sources, and of the limits.
    pub(crate) fn label_values(
        self: &Arc<Self>,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<String>> {
        let query = Query { sources: self, matchers, range, meter: self.meter(options) };
        let carried = |labels: &Labels, visit: &mut dyn FnMut(&str)| {
            labels.get(name).into_iter().for_each(visit);
        };
        query.confirmed(&|source| source.label_values(name, matchers), &carried, limit)
    }
}

struct Query<'a> {
    sources: &'a Arc<Sources>,
    matchers: &'a [Matcher],
    range: TimeRange,
    meter: Arc<Meter>,
}

impl Query<'_> {
    fn confirmed(
        &self,
        propose: Propose<'_>,
        carried: Carried<'_>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let mut confirmed = BTreeSet::new();
        let mut doubtful = Vec::new();
        for at in self.sources.overlapping(self.range) {
            self.meter.check()?;
            let source = self.sources.source(at);
            let proposed = match propose(source.as_ref()) {
                Ok(proposed) => proposed,
                Err(e) => {
                    self.meter.skip(e)?;
                    continue;
                }
            };
            self.meter.hold(proposed.iter().map(|text| text.len() as u64 + 32).sum())?;
            if source.lists_are_exact()
                && self.contains_all_of(source.as_ref())
                && !self.sources.may_hide(at, self.range)
            {
                confirmed.extend(proposed);
            } else {
                doubtful.push((at, proposed));
            }
        }
        for (at, mut proposed) in doubtful {
            proposed.retain(|text| !confirmed.contains(text));
            if !proposed.is_empty() {
                let proposed = proposed.into_iter().collect();
                self.confirm(at, proposed, carried, &mut confirmed)?;
            }
        }
        let first: Vec<String> = confirmed.into_iter().take(limit).collect();
        first.iter().try_for_each(|_| self.meter.add_series())?;
        Ok(first)
    }

    fn contains_all_of(&self, source: &dyn SeriesSource) -> bool {
        source
            .extent()
            .is_some_and(|(first, last)| self.range.contains(first) && self.range.contains(last))
    }

    /// Moves from `proposed` to `confirmed` what series of source number `at` carry.
    fn confirm(
        &self,
        at: usize,
        mut proposed: BTreeSet<String>,
        carried: Carried<'_>,
        confirmed: &mut BTreeSet<String>,
    ) -> Result<()> {
        let mut series = self.sources.source(at).series(self.matchers, self.range)?;
        let mut reader = self.sources.reader(self.range, &self.meter);
        let mut scratch = Columns::default();
        let mut block = Vec::new();
        while !proposed.is_empty() && series.next_block(&mut block)? {
            self.meter.check()?;
            for ListedSeries { labels, key } in block.drain(..) {
                let mut useful = false;
                carried(&labels, &mut |text| useful |= proposed.contains(text));
                if !useful {
                    continue;
                }
                let found = FoundSeries { labels, parts: vec![(at, key)] };
                reader.open(&found)?;
                if reader.has_samples(&mut scratch)? {
                    carried(&found.labels, &mut |text| confirmed.extend(proposed.take(text)));
                }
            }
        }
        Ok(())
    }
}
