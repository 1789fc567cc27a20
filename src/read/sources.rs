//! The sources of one snapshot and their order of recency.

use std::fmt;
use std::sync::Arc;

use super::lists::MergedList;
use super::meter::Meter;
use super::reader::SeriesReader;
use super::waves::Waves;
use super::{QueryOptions, Selection};
use crate::cursor::{SeriesCursor, SeriesSource};
use crate::error::Result;
use crate::sys::{Clock, Executor};
use crate::types::{Matcher, TimeRange};

/// What a snapshot reads from: segments and memtables, immutable as far as it sees them.
pub struct Sources {
    sources: Vec<Source>,
    /// The number of strata of all sources.
    ranks: usize,
    executor: Executor,
    clock: Arc<dyn Clock>,
}

struct Source {
    source: Arc<dyn SeriesSource>,
    /// The rank of each of its strata.
    ranks: Vec<usize>,
}

impl Sources {
    /// Ranks the strata of `sources` by their lowest seq. Strata that overlap in time must not
    /// overlap in seq, and no seq may be the lowest of two of them.
    #[must_use]
    pub fn new(
        sources: Vec<Arc<dyn SeriesSource>>,
        executor: Executor,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut seqs: Vec<u64> = sources.iter().flat_map(|source| source.strata()).collect();
        seqs.sort_unstable();
        let rank_of = |seq: u64| seqs.partition_point(|&other| other < seq);
        let mut taken = vec![false; seqs.len()];
        let mut next_rank = |seq: u64| {
            // Equal seqs can only be in strata that do not overlap in time: any order will do.
            let mut rank = rank_of(seq);
            while taken[rank] {
                rank += 1;
            }
            taken[rank] = true;
            rank
        };
        let sources = sources
            .into_iter()
            .map(|source| Source {
                ranks: source.strata().into_iter().map(&mut next_rank).collect(),
                source,
            })
            .collect();
        Self { sources, ranks: seqs.len(), executor, clock }
    }

    /// The series that satisfy every matcher and have samples in `range`, whole, in label order.
    ///
    /// # Errors
    /// Those of finding the series. Errors of reading a series are its item of the iteration.
    pub fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Selection> {
        Ok(Selection::new(self.waves(matchers, range, options)?))
    }

    pub(super) fn waves(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Waves> {
        let meter = self.meter(options);
        let list = self.list(matchers, range, &meter)?;
        Ok(Waves::new(Arc::clone(self), list, range, meter))
    }

    pub(super) fn meter(&self, options: &QueryOptions) -> Arc<Meter> {
        Meter::start(options, &self.clock)
    }

    /// The matching series of all sources, merged in label order.
    pub(super) fn list(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        meter: &Arc<Meter>,
    ) -> Result<MergedList> {
        let mut list = MergedList::new(Arc::clone(meter));
        for at in self.overlapping(range) {
            meter.check()?;
            match self.source(at).series(matchers, range) {
                Ok(series) => list.add(at, series)?,
                Err(e) => meter.skip(e)?,
            }
        }
        Ok(list)
    }

    /// A reader of the series of this snapshot.
    pub(super) fn reader(self: &Arc<Self>, range: TimeRange, meter: &Arc<Meter>) -> SeriesReader {
        SeriesReader::new(Arc::clone(self), range, Arc::clone(meter))
    }

    /// The numbers of the sources that may have samples in `range`.
    pub(super) fn overlapping(&self, range: TimeRange) -> impl Iterator<Item = usize> {
        let overlaps = move |source: &Source| {
            source.source.extent().is_some_and(|(first, last)| range.overlaps(first, last))
        };
        let numbers = self.sources.iter().enumerate();
        numbers.filter(move |(_, source)| overlaps(source)).map(|(at, _)| at)
    }

    pub(super) fn source(&self, at: usize) -> Arc<dyn SeriesSource> {
        Arc::clone(&self.sources[at].source)
    }

    /// The number of strata.
    pub(super) fn ranks(&self) -> usize {
        self.ranks
    }

    /// The ranks of a source's strata, in order of its strata.
    pub(super) fn ranks_of(&self, at: usize) -> &[usize] {
        &self.sources[at].ranks
    }

    pub(super) fn cursor(
        &self,
        at: usize,
        stratum: usize,
        range: TimeRange,
    ) -> Box<dyn SeriesCursor> {
        self.source(at).cursor(stratum, range)
    }

    pub(super) fn executor(&self) -> &Executor {
        &self.executor
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("sources", &self.sources.len())
            .field("strata", &self.ranks)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}
