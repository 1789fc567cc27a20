//! What readers see: one moment of a store, pinned.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::core::{Broken, Core, Live};
use super::stats::LatencyCell;
use crate::cursor::{Columns, SeriesSource};
use crate::error::{Error, Result};
use crate::read::{
    Aggregation, ContentDigest, MemtableView, Memtables, QueryOptions, Selection, Sources,
};
use crate::segment::Segment;
use crate::series::Registry;
use crate::sys::{Clock, Executor};
use crate::types::{Labels, Matcher, TimeRange};

/// One moment of the store: everything that was visible when it was taken and nothing later, however
/// long it is kept. Clones share it. What it sees stays on disk and in memory while it lives.
///
/// Ranges are half-open in ticks. Results come in label order: the byte order of the labels'
/// canonical encoding (see [`Labels`]).
#[derive(Clone)]
pub struct Snapshot {
    sources: Arc<Sources>,
    /// Segments that could not be opened.
    broken: Vec<Arc<Broken>>,
    clock: Arc<dyn Clock>,
    /// Where scans are timed; none for a read-only opener.
    core: Option<Arc<Core>>,
}

/// What a snapshot is taken of.
pub(super) struct Pinned<'a> {
    pub(super) segments: &'a [Arc<Segment>],
    pub(super) broken: &'a [Arc<Broken>],
    /// Each registry with its memtables, those of one registry together.
    pub(super) memtables: Vec<(Arc<Registry>, Vec<MemtableView>)>,
    pub(super) executor: Executor,
    pub(super) clock: Arc<dyn Clock>,
}

impl Snapshot {
    /// The present moment of an open store.
    pub(super) fn of_live(core: &Arc<Core>) -> Self {
        let live = core.live();
        let mut snapshot = Self::of(Pinned {
            segments: &live.segments,
            broken: &live.broken,
            memtables: views(&live),
            executor: core.executor.clone(),
            clock: Arc::clone(&core.options.clock),
        });
        snapshot.core = Some(Arc::clone(core));
        snapshot
    }

    pub(super) fn of(pinned: Pinned<'_>) -> Self {
        let segments = pinned.segments.iter().map(|s| Arc::clone(s) as Arc<dyn SeriesSource>);
        let memtables = pinned.memtables.into_iter().map(|(registry, views)| {
            Arc::new(Memtables::new(registry, views)) as Arc<dyn SeriesSource>
        });
        let sources = segments.chain(memtables).collect();
        Self {
            sources: Arc::new(Sources::new(sources, pinned.executor, Arc::clone(&pinned.clock))),
            broken: pinned.broken.to_vec(),
            clock: pinned.clock,
            core: None,
        }
    }

    /// The series that satisfy every matcher and have samples in `range`, each whole, in label order;
    /// groups of series are decoded in parallel, ahead of the iteration.
    ///
    /// ```
    /// # use siltstone::{Db, Matcher, Options, QueryOptions, TimeRange};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let matchers = [Matcher::equal("__name__", "up"), Matcher::regex("job", "node|db")?];
    /// let hour = TimeRange::new(1_700_000_000_000, 1_700_003_600_000);
    /// for series in db.snapshot()?.select(&matchers, hour, &QueryOptions::default())? {
    ///     let series = series?;
    ///     println!("{} has {} samples", series.labels, series.columns.len());
    /// }
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Finding the series: I/O errors, [`Error::Corrupt`], limits, [`Error::Cancelled`]. Errors of one
    /// series are its item of the iteration.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Selection> {
        self.check(range, options)?;
        self.timed(|| self.sources.select(matchers, range, options))
    }

    /// Hands every batch of columns, at most 65,536 samples, to `visit`, in label and time order,
    /// until it breaks. The memory is bounded, however long a series is.
    ///
    /// # Errors
    /// The first error of any series; what was visited before stands.
    pub fn scan(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        visit: &mut dyn FnMut(&Labels, &Columns) -> ControlFlow<()>,
    ) -> Result<()> {
        self.check(range, options)?;
        self.timed(|| self.sources.scan(matchers, range, options, visit))
    }

    /// The labels of at most `limit` series that satisfy every matcher and have samples in `range`.
    ///
    /// # Errors
    /// As [`Snapshot::select`].
    pub fn series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<Labels>> {
        self.check(range, options)?;
        self.sources.series(matchers, range, options, limit)
    }

    /// The number of these series, without holding their labels.
    ///
    /// # Errors
    /// As [`Snapshot::select`].
    pub fn count_series(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<u64> {
        self.check(range, options)?;
        self.sources.count_series(matchers, range, options)
    }

    /// A digest of the samples in `range` of the series that satisfy every matcher: equal for equal
    /// content, whatever its layout (in memory, flushed, merged, exported and imported). The memory
    /// is bounded as in a scan. See [`ContentDigest`] for its limits.
    ///
    /// # Errors
    /// As [`Snapshot::scan`]; `samples_max` counts what is digested.
    pub fn digest(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<ContentDigest> {
        self.check(range, options)?;
        self.timed(|| self.sources.digest(matchers, range, options))
    }

    /// Count, sum, smallest, largest, first and last value of each series in each *bucket*: `step`
    /// ticks from `range.start`, the next `step` ticks, and so on. Series come in label order, those
    /// without a sample in `range` and empty buckets are left out; see
    /// [`BucketValues`](crate::BucketValues) for what
    /// counts.
    ///
    /// What the index knows of whole chunks is used instead of decoding them, where a chunk lies
    /// within one bucket and nothing else was written between its ends. The answer is the same, bit
    /// for bit, however the samples are laid out. Damage of samples that need not be decoded is not
    /// noticed.
    ///
    /// ```
    /// # use siltstone::{Db, Matcher, Options, QueryOptions, TimeRange};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let day = TimeRange::new(1_700_000_000_000, 1_700_086_400_000);
    /// let matchers = [Matcher::equal("__name__", "temperature")];
    /// let hourly = db.snapshot()?.aggregate(&matchers, day, 3_600_000, &QueryOptions::default())?;
    /// for series in hourly {
    ///     let series = series?;
    ///     for bucket in &series.buckets {
    ///         let Some(values) = &bucket.values else { continue };
    ///         println!("{} from {}: at most {}", series.labels, bucket.start, values.max);
    ///     }
    /// }
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if `step` is below 1; otherwise as [`Snapshot::select`], where
    /// `samples_max` counts buckets.
    pub fn aggregate(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        step: i64,
        options: &QueryOptions,
    ) -> Result<Aggregation> {
        self.check(range, options)?;
        self.timed(|| self.sources.aggregate(matchers, range, step, options))
    }

    /// At most `limit` label names of these series, sorted.
    ///
    /// # Errors
    /// As [`Snapshot::select`].
    pub fn label_names(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.check(range, options)?;
        self.sources.label_names(matchers, range, options, limit)
    }

    /// At most `limit` values of the label `name` of these series, sorted.
    ///
    /// # Errors
    /// As [`Snapshot::select`].
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        limit: usize,
    ) -> Result<Vec<String>> {
        self.check(range, options)?;
        self.sources.label_values(name, matchers, range, options, limit)
    }

    /// Refuses a range in which a segment is missing: never silently an empty answer.
    fn check(&self, range: TimeRange, options: &QueryOptions) -> Result<()> {
        for broken in &self.broken {
            if range.overlaps(broken.meta.min_timestamp, broken.meta.max_timestamp) {
                match &options.skip_damaged {
                    Some(damage) => damage.push(broken.error.duplicate()),
                    None => return Err(broken.error.duplicate()),
                }
            }
        }
        Ok(())
    }

    fn timed<T>(&self, query: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = self.clock.monotonic();
        let result = query();
        if let Some(core) = &self.core {
            let cell: &LatencyCell = &core.counters.scan;
            cell.record(self.clock.monotonic().saturating_sub(start));
            if matches!(result, Err(Error::Corrupt { .. })) {
                core.counters.corruption.add(1);
            }
        }
        result
    }
}

/// The memtables of a moment, those of one registry together.
fn views(live: &Live) -> Vec<(Arc<Registry>, Vec<MemtableView>)> {
    let mut found: Vec<(Arc<Registry>, Vec<MemtableView>)> = Vec::new();
    for generation in live.sealed.iter().chain([&live.active]) {
        let Some(view) = MemtableView::now(Arc::clone(&generation.memtable)) else { continue };
        match found.iter_mut().find(|(registry, _)| Arc::ptr_eq(registry, &generation.registry)) {
            Some((_, views)) => views.push(view),
            None => found.push((Arc::clone(&generation.registry), vec![view])),
        }
    }
    found
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
