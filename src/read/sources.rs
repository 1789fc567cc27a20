//! The sources of one snapshot and their order of recency.

use std::fmt;
use std::sync::Arc;

use super::lists::MergedList;
use super::meter::Meter;
use super::options::QueryOptions;
use crate::cursor::{Footprint, Layer, SeriesCursor, SeriesSource};
use crate::deletes::{Filter, Tombstones};
use crate::error::Result;
use crate::sys::{Clock, Executor};
use crate::types::{Matcher, TimeRange, Timestamp};

/// What a snapshot reads from: segments and memtables, immutable as far as it sees them.
pub(crate) struct Sources {
    sources: Vec<Source>,
    /// The number of layers of all sources.
    ranks: usize,
    tombstones: Tombstones,
    executor: Executor,
    clock: Arc<dyn Clock>,
}

struct Source {
    source: Arc<dyn SeriesSource>,
    layers: Vec<Layer>,
    /// The rank of each of them.
    ranks: Vec<usize>,
}

impl Sources {
    /// Ranks the layers of `sources` by their lowest seq. Layers that overlap in time must not
    /// overlap in seq, and no seq may be the lowest of two of them.
    #[must_use]
    pub(crate) fn new(
        sources: Vec<Arc<dyn SeriesSource>>,
        executor: Executor,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let layers = |source: Arc<dyn SeriesSource>| (source.layers(), source);
        let sources: Vec<_> = sources.into_iter().map(layers).collect();
        let all = sources.iter().flat_map(|(layers, _)| layers);
        let mut seqs: Vec<u64> = all.map(|layer| layer.min_seq).collect();
        seqs.sort_unstable();
        let rank_of = |seq: u64| seqs.partition_point(|&other| other < seq);
        let mut taken = vec![false; seqs.len()];
        let mut next_rank = |seq: u64| {
            // Equal seqs can only be in layers that do not overlap in time: any order will do.
            let mut rank = rank_of(seq);
            while taken[rank] {
                rank += 1;
            }
            taken[rank] = true;
            rank
        };
        let sources = sources
            .into_iter()
            .map(|(layers, source)| Source {
                ranks: layers.iter().map(|layer| next_rank(layer.min_seq)).collect(),
                layers,
                source,
            })
            .collect();
        Self { sources, ranks: seqs.len(), tombstones: Tombstones::default(), executor, clock }
    }

    /// The same sources without what `tombstones` hide.
    #[must_use]
    pub(crate) fn without(self, tombstones: Tombstones) -> Self {
        Self { tombstones, ..self }
    }

    /// The earliest and the latest time of a sample; `None` without samples.
    #[must_use]
    pub(crate) fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        let extents = self.sources.iter().filter_map(|source| source.source.extent());
        extents.reduce(|(first, last), (f, l)| (first.min(f), last.max(l)))
    }

    /// What is hidden in `range`; `None` if nothing can be.
    pub(super) fn filter(&self, range: TimeRange) -> Option<Filter> {
        if self.tombstones.is_empty() {
            return None;
        }
        let sources = self.overlapping(range).map(|at| &self.sources[at]);
        let layers = sources.flat_map(Source::layers).collect::<Vec<_>>();
        Filter::new(&self.tombstones, &layers, range)
    }

    /// Whether something of source number `at` may be hidden in `range`.
    pub(super) fn may_hide(&self, at: usize, range: TimeRange) -> bool {
        let layers: Vec<_> = self.sources[at].layers().collect();
        Filter::new(&self.tombstones, &layers, range).is_some()
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
                Ok(series) => list.add((at, self.source(at)), series)?,
                Err(e) => meter.skip_series(e, &*self.source(at))?,
            }
        }
        Ok(list)
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

    /// Nothing for each source.
    pub(super) fn no_footprints(&self) -> Vec<Footprint> {
        vec![Footprint::default(); self.sources.len()]
    }

    /// The number of layers.
    pub(super) fn ranks(&self) -> usize {
        self.ranks
    }

    /// A source's layers with their ranks, in order of their numbers.
    pub(super) fn ranks_of(&self, at: usize) -> impl Iterator<Item = (Layer, usize)> {
        let Source { layers, ranks, .. } = &self.sources[at];
        layers.iter().copied().zip(ranks.iter().copied())
    }

    pub(super) fn cursor(
        &self,
        at: usize,
        layer: usize,
        range: TimeRange,
    ) -> Box<dyn SeriesCursor> {
        self.source(at).cursor(layer, range)
    }

    /// Where series are decoded.
    #[must_use]
    pub(crate) fn executor(&self) -> &Executor {
        &self.executor
    }
}

impl Source {
    /// The layers, each with the times of the earliest and the latest sample of any.
    fn layers(&self) -> impl Iterator<Item = (Layer, (Timestamp, Timestamp))> {
        let extent = self.source.extent();
        self.layers.iter().filter_map(move |&layer| Some((layer, extent?)))
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("sources", &self.sources.len())
            .field("layers", &self.ranks)
            .field("executor", &self.executor)
            .finish_non_exhaustive()
    }
}
