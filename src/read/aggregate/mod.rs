//! Count, sum, extremes and ends of each series in steps of time.
//!
//! Called by `db` ([`Snapshot::aggregate`](crate::Snapshot::aggregate)). Chunks whose summary in the
//! index is enough are not decoded; [`Merge::pass_over`](crate::cursor::Merge::pass_over) says when
//! that is. The answer must not depend on it, nor on the layout: every part of it is defined by the
//! set of samples alone. Sums are the hard part, see [`BucketValues::sum`].
//!
//! Series are folded ahead of their reader, in parallel, within `bytes_max`. Of what does not fit, less
//! is folded ahead: how much never decides whether a query fails.

mod exact_sum;
mod fold;

use std::fmt;
use std::sync::Arc;

use super::decode_ahead::ends_query;
use super::lists::FoundSeries;
use super::meter::Meter;
use super::reader::SeriesReader;
use super::series_ahead::{Outcome, SeriesAhead, Turn, runs_max};
use super::{QueryOptions, Sources};
use crate::cursor::{Columns, Summary};
use crate::error::{Error, Result};
use crate::segment::SegmentPin;
use crate::types::{Labels, Matcher, Sample, TimeRange, Timestamp};
use exact_sum::ExactSum;
use fold::Fold;
pub(crate) use fold::Steps;

/// Series that one thread folds at a time.
const RUN_SERIES: usize = 16;
/// Buckets after which it folds no further series.
const RUN_BUCKETS: usize = 64 * 1024;

/// One series in steps of time.
#[derive(Debug, Clone)]
pub struct SeriesBuckets {
    /// The labels.
    pub labels: Labels,
    /// The buckets with a sample, in order of time; at least one.
    pub buckets: Vec<Bucket>,
}

/// The samples of a series from `start` on for one step.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// The first tick of the bucket.
    pub start: Timestamp,
    /// The number of stale markers. They count for nothing else.
    pub stale_markers: u64,
    /// The other samples; `None` if there are none.
    pub values: Option<BucketValues>,
}

/// What samples add up to; stale markers are left out. Other NaNs count in `count`, `first` and
/// `last`; they make the sum NaN, and the extremes leave them out.
#[derive(Debug, Clone, Copy)]
pub struct BucketValues {
    /// The number of samples, at least 1.
    pub count: u64,
    /// The sum, the same in whatever order and layout the samples are kept. If all values are
    /// decimal numbers (integers below 2^52 at a common exponent of at most 18), it is their exact
    /// decimal sum, rounded: ten times 0.1 is 1. Otherwise it is the exact sum of the floats,
    /// rounded once. Zero is +0, and NaN the sum of both infinities.
    pub sum: f64,
    /// The smallest value, -0 below +0; NaN if all are NaN.
    pub min: f64,
    /// The largest value.
    pub max: f64,
    /// The earliest sample.
    pub first: Sample,
    /// The latest sample.
    pub last: Sample,
}

impl Sources {
    /// The series that satisfy every matcher and have samples in `range`, which starts at or after
    /// `steps`, folded into its buckets, in label order.
    ///
    /// # Errors
    /// Those of finding the series. Errors of reading a series are its item of the iteration.
    pub(crate) fn aggregate(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        steps: Steps,
        options: &QueryOptions,
    ) -> Result<Aggregation> {
        debug_assert!(steps.start <= range.start, "buckets are counted from the first tick");
        let meter = self.meter(options);
        let list = self.list(matchers, range, &meter)?;
        Ok(Aggregation {
            sources: Arc::clone(self),
            series: SeriesAhead::new(list),
            range,
            steps,
            pins: Vec::new(),
            meter,
            folders: Vec::new(),
            series_ahead: usize::MAX,
            over: false,
        })
    }
}

/// The series of an aggregation in label order, folded some series ahead. Dropping it ends the query.
///
/// An error of one series, such as damage, takes its place, and the iteration goes on behind it.
/// After [`Error::Cancelled`] or [`Error::LimitExceeded`] it ends.
pub struct Aggregation {
    sources: Arc<Sources>,
    series: SeriesAhead<Folded>,
    range: TimeRange,
    steps: Steps,
    /// What keeps the files of a foreign store in place.
    pins: Vec<SegmentPin>,
    meter: Arc<Meter>,
    /// Folders that are not in use.
    folders: Vec<Folder>,
    /// Most series that are folded ahead at once.
    series_ahead: usize,
    over: bool,
}

/// A series with its buckets, whose bytes are held.
type Folded = (FoundSeries, Vec<Bucket>);

impl Aggregation {
    /// Keeps these segments open until the query is over.
    #[must_use]
    pub(crate) fn keeping(mut self, pins: Vec<SegmentPin>) -> Self {
        self.pins = pins;
        self
    }

    fn next_series(&mut self) -> Result<Option<SeriesBuckets>> {
        loop {
            let meter = &self.meter;
            match self.series.turn(|folded| give_up(meter, folded))? {
                Turn::Done((series, buckets)) => {
                    self.meter.release(held_bytes(buckets.len()));
                    self.series_ahead = self.series_ahead.saturating_mul(2);
                    self.meter.add_series()?;
                    self.meter.add_samples(buckets.len())?;
                    return Ok(Some(SeriesBuckets { labels: series.labels, buckets }));
                }
                Turn::Work { alone } => {
                    if alone {
                        self.series_ahead = 1;
                    }
                    self.meter.check()?;
                    if !self.fold_more()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Folds at least one series, and puts the results before what is in the queue. False if there is
    /// none left.
    fn fold_more(&mut self) -> Result<bool> {
        let runs_max = runs_max(self.sources.executor());
        let series_max = self.series_ahead.min(runs_max * RUN_SERIES);
        let runs = self.series.take_runs(series_max, runs_max)?;
        let Some(run_series) = runs.first().map(Vec::len) else { return Ok(false) };
        let mut with_folder = Vec::with_capacity(runs.len());
        for run in runs {
            with_folder.push((self.folders.pop().unwrap_or_else(|| self.folder()), run));
        }
        let results = self.sources.executor().map(with_folder, |(mut folder, run)| {
            let items = folder.fold_run(run);
            (folder, items)
        });
        let mut outcomes = Vec::with_capacity(runs_max * run_series);
        for (folder, run) in results {
            self.folders.push(folder);
            outcomes.extend(run);
        }
        self.series.put_back(outcomes.into_iter());
        Ok(true)
    }

    fn folder(&self) -> Folder {
        Folder {
            reader: self.sources.reader(self.range, &self.meter).with_summaries(),
            sources: Arc::clone(&self.sources),
            range: self.range,
            steps: self.steps,
            meter: Arc::clone(&self.meter),
            fold: Fold::new(self.steps),
            columns: Columns::default(),
        }
    }
}

impl Iterator for Aggregation {
    type Item = Result<SeriesBuckets>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let next = self.next_series();
        self.over = match &next {
            Ok(series) => series.is_none(),
            Err(e) => ends_query(e),
        };
        if self.over {
            self.pins.clear();
        }
        next.transpose()
    }
}

impl std::iter::FusedIterator for Aggregation {}

impl Drop for Aggregation {
    fn drop(&mut self) {
        let meter = &self.meter;
        self.series.give_up(|folded| give_up(meter, folded));
    }
}

impl fmt::Debug for Aggregation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aggregation")
            .field("over", &self.over)
            .field("pins", &self.pins.len())
            .finish_non_exhaustive()
    }
}

/// Gives back the memory of what was folded ahead.
fn give_up(meter: &Meter, (series, buckets): Folded) -> FoundSeries {
    meter.release(held_bytes(buckets.len()));
    series
}

fn held_bytes(buckets: usize) -> u64 {
    (buckets * size_of::<Bucket>()) as u64
}

/// What one thread needs to fold series.
struct Folder {
    reader: SeriesReader,
    sources: Arc<Sources>,
    range: TimeRange,
    steps: Steps,
    meter: Arc<Meter>,
    fold: Fold,
    columns: Columns,
}

/// Why a series has no buckets.
enum Failure {
    Failed(Error),
    TooLarge(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Folder {
    /// Folds the series of a run until it is enough.
    fn fold_run(&mut self, run: Vec<FoundSeries>) -> Vec<Outcome<Folded>> {
        let mut items = Vec::with_capacity(run.len());
        let mut buckets = 0;
        for series in run {
            if buckets >= RUN_BUCKETS {
                items.push(Outcome::Waiting(series));
                continue;
            }
            let mut held = 0;
            match self.fold(&series, &mut held) {
                Ok(()) if self.fold.buckets.is_empty() => {}
                Ok(()) => {
                    buckets += self.fold.buckets.len();
                    items.push(Outcome::Done((series, std::mem::take(&mut self.fold.buckets))));
                }
                Err(failure) => {
                    self.meter.release(held_bytes(held));
                    match failure {
                        Failure::TooLarge(error) => {
                            buckets = RUN_BUCKETS;
                            items.push(Outcome::TooLarge(series, error));
                        }
                        Failure::Failed(error) => {
                            let stop = ends_query(&error);
                            items.push(Outcome::Failed(error));
                            if stop {
                                break;
                            }
                        }
                    }
                }
            }
        }
        items
    }

    /// Folds a series into the buckets of `self.fold`; `held` counts those whose bytes are held,
    /// whatever the outcome.
    fn fold(&mut self, series: &FoundSeries, held: &mut usize) -> Result<(), Failure> {
        self.fold.start();
        self.reader.open(series)?;
        loop {
            let range = self.range;
            let is_inside = |s: &Summary| range.contains(s.first) && range.contains(s.last);
            while let Some(summary) =
                self.reader.pass_over(|summary| is_inside(summary) && self.fold.takes(summary))?
            {
                self.fold.add_summary(&summary);
                self.hold(held)?;
            }
            self.columns.clear();
            if self.reader.append(&mut self.columns)? == 0 {
                break;
            }
            self.fold.add_columns(&self.columns);
            self.hold(held)?;
        }
        self.fold.finish();
        self.hold(held)?;
        for at in std::mem::take(&mut self.fold.unsummed) {
            self.sum_again(series, at)?;
        }
        Ok(())
    }

    /// Holds the bytes of new buckets.
    fn hold(&self, held: &mut usize) -> Result<(), Failure> {
        let new = self.fold.buckets.len() - *held;
        *held += new;
        self.meter.check_samples_ahead(self.fold.buckets.len())?;
        self.meter.hold(held_bytes(new)).map_err(Failure::TooLarge)
    }

    /// Computes the sum of a bucket from all of its samples in the range, none of which is a NaN but
    /// for stale markers.
    fn sum_again(&mut self, series: &FoundSeries, at: usize) -> Result<()> {
        let first = self.fold.buckets[at].start;
        let last = self.steps.last_of(first).min(self.range.last());
        let range = TimeRange::closed(first.max(self.range.start), last);
        let mut reader = self.sources.reader(range, &self.meter);
        reader.open(series)?;
        let mut sum = ExactSum::new();
        loop {
            self.columns.clear();
            if reader.append(&mut self.columns)? == 0 {
                break;
            }
            // The range may reach one tick further.
            let rows = self.columns.timestamps.partition_point(|&t| t <= last);
            let values = self.columns.values.f64()[..rows].iter();
            values.filter(|v| !v.is_nan()).for_each(|&v| sum.add(v));
        }
        if let Some(values) = &mut self.fold.buckets[at].values {
            values.sum = sum.value();
        }
        Ok(())
    }
}
