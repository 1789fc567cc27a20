//! What readers see: one moment of a store, pinned. Its methods check their arguments, keep the segments
//! in place while they run, and hand over to `read`.
//!
//! In one file because it is the public list of what can be read: most of it are docs and examples.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::env::segment_files::BrokenSegment;
use super::versions::VersionSet;
use super::view::View;
use super::view::changes::{Changes, Mark};
use super::view::sources::{Pinned, pinned, views};
use crate::cursor::Columns;
use crate::error::{Error, Result};
use crate::read::{
    Aggregation, ContentDigest, QueryOptions, Selection, SeriesSet, Sources, Steps, Unreadable,
};
use crate::segment::{Segment, SegmentPin};
use crate::sys::{Clock, Executor};
use crate::types::{Labels, Matcher, SegmentMeta, TimeRange, TimeScale, Timestamp};

/// One moment of the store: everything that was visible when it was taken and nothing later, however
/// long it is kept. Clones share it. What it sees stays on disk and in memory while it lives.
///
/// Ranges are half-open in ticks. Results come in label order: the byte order of the labels'
/// canonical encoding (see [`Labels`]).
#[derive(Clone)]
pub struct Snapshot {
    sources: Arc<Sources>,
    /// Segments that could not be opened.
    broken: Vec<Arc<BrokenSegment>>,
    clock: Arc<dyn Clock>,
    scale: TimeScale,
    /// Bytes of a query that does not say how many it may hold.
    query_bytes_max: u64,
    /// Which moment it is; it knows the horizon: earlier samples have expired, and are not seen.
    mark: Mark,
    /// Where scans are timed and damage is noted; none for a read-only opener.
    view: Option<Arc<View>>,
    /// Segments that their owner, another process, may remove at any time.
    foreign: Vec<Arc<Segment>>,
}

/// Files that stay open while this lives; see [`Snapshot::keep_open`].
#[must_use]
pub struct KeptOpen {
    _pins: Vec<SegmentPin>,
}

impl fmt::Debug for KeptOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptOpen").finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The present moment of an open store.
    pub(super) fn of_now(view: &Arc<View>, versions: &VersionSet) -> Self {
        let horizon = || versions.retention.horizon().unwrap_or(Timestamp::MIN);
        let ((now, memtables), mark) = view.moment(horizon, views);
        let mut snapshot = Self::of(pinned(&now, memtables, &view.env));
        snapshot.mark = mark;
        snapshot.view = Some(Arc::clone(view));
        snapshot
    }

    /// The moment of a read-only opener: what a query touches is opened before its first row, so that
    /// the owner cannot pull files from under it.
    pub(super) fn of_foreign(pinned: Pinned<'_>) -> Self {
        let foreign = pinned.segments.to_vec();
        Self { foreign, ..Self::of(pinned) }
    }

    fn of(pinned: Pinned<'_>) -> Self {
        Self {
            broken: pinned.broken.to_vec(),
            mark: Mark { opening: None, position: 0, horizon: Timestamp::MIN },
            clock: Arc::clone(&pinned.clock),
            scale: TimeScale::new(pinned.ticks_per_second),
            query_bytes_max: pinned.query_bytes_max,
            sources: Arc::new(pinned.into_sources()),
            view: None,
            foreign: Vec::new(),
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
    /// Finding the series: I/O errors, [`Error::Corrupt`], limits, [`Error::Cancelled`], and beside
    /// another process that owns the store [`Error::SnapshotGone`]. Errors of one series are its item
    /// of the iteration.
    pub fn select(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<Selection> {
        let (range, ref options) = self.checked(range, options)?;
        let pins = self.pin(range)?;
        self.timed(|| Ok(self.sources.select(matchers, range, options)?.keeping(pins)))
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
        self.timed(|| self.sources.scan(matchers, range, options, visit))
    }

    /// The series that satisfy every matcher and may have samples in `range`, with the labels of all of
    /// them, and without any sample yet: [`SeriesSet::fold`] reads those, in any order and on several
    /// threads. For who has to know all labels first, to sort or to group by them.
    ///
    /// ```
    /// # use std::ops::ControlFlow;
    /// # use siltstone::{Db, Matcher, Options, QueryOptions, TimeRange};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let matchers = [Matcher::equal("__name__", "up")];
    /// let hour = TimeRange::new(1_700_000_000_000, 1_700_003_600_000);
    /// let set = db.snapshot()?.list(&matchers, hour, &QueryOptions::default())?;
    /// let mut numbers: Vec<u32> = (0..set.labels().len() as u32).collect();
    /// numbers.sort_by_key(|number| set.labels()[*number as usize].get("job").map(str::to_owned));
    /// set.fold(&numbers, &mut |number, columns| {
    ///     println!("{} has {} samples", set.labels()[number as usize], columns.len());
    ///     ControlFlow::Continue(())
    /// })?;
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Snapshot::select`].
    pub fn list(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<SeriesSet> {
        let (range, ref options) = self.checked(range, options)?;
        let pins = self.pin(range)?;
        let set = self.timed(|| self.sources.list_all(matchers, range, options))?;
        Ok(self.attended(set, pins))
    }

    /// As [`Snapshot::list`], but holds no labels: in their place comes a list of what `take` makes of
    /// them, by the number of the series. It is given the labels of the series before in label order, if
    /// there is one, and its own, and is called on several threads. For who needs little of the labels of
    /// many series: ten million of them take gigabytes. What a `T` takes itself is counted as held; what is
    /// behind it `take` may count.
    ///
    /// ```
    /// # use siltstone::{Db, Matcher, Options, QueryOptions, TimeRange};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// let matchers = [Matcher::equal("__name__", "up")];
    /// let hour = TimeRange::new(1_700_000_000_000, 1_700_003_600_000);
    /// let is_demo = |_: Option<&_>, labels: &siltstone::Labels| Ok(labels.get("job") == Some("demo"));
    /// let (set, are_demo) =
    ///     db.snapshot()?.list_as(&matchers, hour, &QueryOptions::default(), &is_demo)?;
    /// assert_eq!(set.series_count(), are_demo.len());
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`Snapshot::select`], and those of `take`.
    pub fn list_as<T: Send>(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        take: &(dyn Fn(Option<&Labels>, &Labels) -> Result<T> + Sync),
    ) -> Result<(SeriesSet, Vec<T>)> {
        let (range, ref options) = self.checked(range, options)?;
        let pins = self.pin(range)?;
        let (set, taken) = self.timed(|| self.sources.list_as(matchers, range, options, take))?;
        Ok((self.attended(set, pins), taken))
    }

    /// The set, which keeps the files in place and tells of damage.
    fn attended(&self, set: SeriesSet, pins: Vec<SegmentPin>) -> SeriesSet {
        let set = set.keeping(pins);
        match self.view.clone() {
            Some(view) => set.notifying(move |error| view.note_damage(error)),
            None => set,
        }
    }

    /// Keeps what overlaps `range` open while the answer lives, where another process owns the store and may
    /// remove its files; of an own store they are in place anyway. For who calls several of these methods and
    /// answers with one of their results before it has the next: none of them finds less than the first. At
    /// most [`Options::open_files_max`](crate::Options::open_files_max) segments are kept; more may be gone
    /// when they are read.
    ///
    /// # Errors
    /// [`Error::SnapshotGone`] if one is gone already.
    pub fn keep_open(&self, range: TimeRange) -> Result<KeptOpen> {
        self.pin(range).map(|pins| KeptOpen { _pins: pins })
    }

    /// What names this moment, to be asked about later: see [`Snapshot::changed_since`].
    #[must_use]
    pub fn mark(&self) -> Mark {
        self.mark.clone()
    }

    /// The times at which this snapshot may have other samples than the one that `mark` names had;
    /// everywhere else both have the same ones, bit for bit. For who keeps what it has computed of a
    /// snapshot: of rates by the minute only the last minutes are to be computed again, unless something
    /// was written late, deleted, dropped or attached meanwhile, or found damaged.
    ///
    /// What is said to have changed may be more than what has; it never is less. Of another store, of
    /// an earlier opening of this one, and beside another process that owns the store, nothing is known.
    ///
    /// ```
    /// # use siltstone::{Changes, Db, Labels, Options, WriteBatch};
    /// # let dir = tempfile::tempdir()?;
    /// # let db = Db::open(dir.path(), Options::default())?;
    /// # let series = db.series(&Labels::from_pairs([("__name__", "up")])?)?;
    /// let mut batch = WriteBatch::new();
    /// batch.push(series, 15_000, 1.0)?;
    /// db.write(&batch)?;
    /// let mark = db.snapshot()?.mark();
    /// db.flush()?; // changes nothing
    /// batch.clear();
    /// batch.push(series, 30_000, 1.0)?;
    /// db.write(&batch)?;
    /// let changes = db.snapshot()?.changed_since(&mark);
    /// assert_eq!(changes, Changes::Within(vec![30_000..=30_000]));
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn changed_since(&self, mark: &Mark) -> Changes {
        match &self.view {
            Some(view) => view.changes.between(mark, &self.mark),
            None => Changes::Everything,
        }
    }

    /// The ticks in which the store counts time.
    #[must_use]
    pub fn time_scale(&self) -> TimeScale {
        self.scale
    }

    /// Where series of this store are decoded: other work on its answers may run there, too.
    #[must_use]
    pub fn executor(&self) -> &Executor {
        self.sources.executor()
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
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
        // Buckets are counted from where they were asked for, expired or not.
        let origin = range.start;
        let (range, ref options) = self.checked(range, options)?;
        let pins = self.pin(range)?;
        self.timed(|| {
            let steps = Steps::new(origin, step)?;
            Ok(self.sources.aggregate(matchers, range, steps, options)?.keeping(pins))
        })
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
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
        let (range, ref options) = self.checked(range, options)?;
        let _pins = self.pin(range)?;
        self.sources.label_values(name, matchers, range, options, limit)
    }

    /// The times of the earliest and the latest sample, from what is known without reading: deleted
    /// and expired samples that are still stored may be among them. `None` without samples.
    #[must_use]
    pub fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        self.sources.extent()
    }

    /// The part of a range that has not expired, and the options with which it is read. Refuses a range
    /// in which a segment is missing: never silently an empty answer.
    fn checked(
        &self,
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<(TimeRange, QueryOptions)> {
        let range = TimeRange { start: range.start.max(self.mark.horizon), ..range };
        let overlaps = |meta: &SegmentMeta| range.overlaps(meta.min_timestamp, meta.max_timestamp);
        let mut unreadable = Vec::new();
        for broken in self.broken.iter().filter(|broken| overlaps(&broken.meta)) {
            let BrokenSegment { meta, error } = &**broken;
            match &options.skip_damaged {
                Some(damage) => damage.push(error.duplicate()),
                None => return Err(error.duplicate()),
            }
            let range = TimeRange::closed(meta.min_timestamp, meta.max_timestamp);
            unreadable.push(Unreadable { min_seq: meta.min_seq, range });
        }
        let mut options = options.clone();
        if let Some(damage) = &mut options.skip_damaged {
            *damage = damage.without(unreadable);
        }
        options.bytes_max.get_or_insert(self.query_bytes_max);
        // Damage that is left out has to be noted like damage that is an error.
        if let (Some(damage), Some(view)) = (&mut options.skip_damaged, self.view.clone()) {
            *damage = damage.notifying(move |error| view.note_damage(error));
        }
        Ok((range, options))
    }

    /// Opens the foreign segments that overlap `range`, as many as may be open at a time. What else is
    /// wrong with one of them is for the query to say.
    fn pin(&self, range: TimeRange) -> Result<Vec<SegmentPin>> {
        let overlapping = self.foreign.iter().filter(|segment| {
            range.overlaps(segment.meta().min_timestamp, segment.meta().max_timestamp)
        });
        let pins = overlapping.map(|segment| match segment.pin() {
            Ok(pin) => Ok(Some(pin)),
            Err(gone @ Error::SnapshotGone { .. }) => Err(gone),
            Err(_) => Ok(None),
        });
        let pins = pins.filter_map(Result::transpose);
        match self.foreign.first() {
            Some(segment) => pins.take(segment.open_files_max()).collect(),
            None => Ok(Vec::new()),
        }
    }

    fn timed<T>(&self, query: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = self.clock.monotonic();
        let result = query();
        if let Some(view) = &self.view {
            view.env.counters.scan.record(self.clock.monotonic().saturating_sub(start));
            if let Err(error) = &result {
                view.note_damage(error);
            }
        }
        result
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").finish_non_exhaustive()
    }
}
