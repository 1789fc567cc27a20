//! A list of series that is kept, and whose samples are read in any order, on several threads.
//!
//! For who needs all labels before the first sample: a query language, which groups and sorts by them.
//! Called by `db` ([`Snapshot::list`](crate::Snapshot::list)).
//!
//! 1. The series are found ([`listing`](super::listing)). Of each is kept where its samples are, and its
//!    labels, or what the caller makes of them ([`Snapshot::list_as`]).
//! 2. [`SeriesSet::fold`] reads the samples of some series, each whole ([`SeriesSet::scan`]: batch by
//!    batch; [`SeriesSet::outline`]: as much as windows need), through a *folder*: a reader and a buffer,
//!    which are kept for the next call. Neighbours read one after the other share blocks.
//!
//! [`Snapshot::list_as`]: crate::Snapshot::list_as
//!
//! # Invariants
//!
//! - The list does not change, and reading a series twice yields the same samples.
//! - What is held is counted: labels and places in the list, and for each folder the columns of the
//!   longest series that it has read.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use super::listing::{Kept, Listing, Places};
use super::meter::Meter;
use super::reader::SeriesReader;
use super::{Outline, QueryOptions, Sources};
use crate::cursor::{Columns, ReadCost, Summary};
use crate::error::{Error, Result};
use crate::segment::SegmentPin;
use crate::sys::sync::Mutex;
use crate::types::{Labels, Matcher, TimeRange};

/// Bytes of a sample in columns.
const SAMPLE_BYTES: usize = 16;

/// The series of a selection in label order, to be read in any order; see
/// [`Snapshot::list`](crate::Snapshot::list).
pub struct SeriesSet {
    sources: Arc<Sources>,
    range: TimeRange,
    meter: Arc<Meter>,
    /// The labels, unless it was listed without, and nothing is hidden that is found by them.
    labels: Vec<Labels>,
    places: Places,
    /// Bytes of all that, which are counted as held.
    listed_bytes: u64,
    folders: Mutex<Vec<Folder>>,
    /// What keeps the files of a foreign store in place.
    pins: Vec<SegmentPin>,
    /// Told of damage that reading meets; see [`SeriesSet::telling`].
    on_damage: Option<OnDamage>,
}

/// What is called when reading meets damage.
type OnDamage = Box<dyn Fn(&Error) + Send + Sync>;

/// What is called with the number of a series, its points, and how many samples each stands for.
type OutlineVisit<'v> = dyn FnMut(u32, &Columns, &[u32]) -> ControlFlow<()> + 'v;

/// What one thread needs to read series.
struct Folder {
    reader: SeriesReader,
    columns: Columns,
    /// Of an outline: how many samples each of the columns' stands for.
    counts: Vec<u32>,
    /// Bytes of the columns and the counts that are counted as held.
    held: usize,
}

impl Sources {
    /// The series that satisfy every matcher and may have samples in `range`, with their labels.
    ///
    /// # Errors
    /// Those of finding the series.
    pub(crate) fn list_all(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<SeriesSet> {
        let mut listing = Listing::new(self, self.meter(options));
        let labels = listing.add(matchers, range, &Kept::labels())?;
        Ok(self.set_of(listing, labels, range))
    }

    /// The same without their labels; in their place, in the same order, what `take` makes of those of
    /// the series before, if there is one, and its own.
    ///
    /// # Errors
    /// Those of finding the series, and of `take`.
    pub(crate) fn list_as<T: Send>(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
        take: &(dyn Fn(Option<&Labels>, &Labels) -> Result<T> + Sync),
    ) -> Result<(SeriesSet, Vec<T>)> {
        if self.filter(range).is_some() {
            // Deletes are found by labels.
            let mut set = self.list_all(matchers, range, options)?;
            let before = std::iter::once(None).chain(set.labels.iter().map(Some));
            let taken = before.zip(&set.labels).map(|(before, labels)| take(before, labels));
            let taken: Vec<T> = taken.collect::<Result<_>>()?;
            set.listed_bytes += size_of_val(&taken[..]) as u64;
            set.meter.hold(size_of_val(&taken[..]) as u64)?;
            return Ok((set, taken));
        }
        let mut listing = Listing::new(self, self.meter(options));
        let kept = Kept {
            take: &|before, labels: Labels| take(before, &labels),
            bytes: &|_| size_of::<T>() as u64,
            is_labels: false,
        };
        let taken = listing.add(matchers, range, &kept)?;
        Ok((self.set_of(listing, Vec::new(), range), taken))
    }

    fn set_of(
        self: &Arc<Self>,
        listing: Listing<'_>,
        labels: Vec<Labels>,
        range: TimeRange,
    ) -> SeriesSet {
        let Listing { meter, places, bytes, .. } = listing;
        SeriesSet {
            sources: Arc::clone(self),
            range,
            meter,
            labels,
            places,
            listed_bytes: bytes,
            folders: Mutex::new(Vec::new()),
            pins: Vec::new(),
            on_damage: None,
        }
    }
}

impl SeriesSet {
    /// Keeps these segments open as long as the set lives.
    #[must_use]
    pub(crate) fn keeping(mut self, pins: Vec<SegmentPin>) -> Self {
        self.pins = pins;
        self
    }

    /// Calls `on_damage` when reading ends at damage, so that a store can count it.
    #[must_use]
    pub(crate) fn notifying(mut self, on_damage: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_damage = Some(Box::new(on_damage));
        self
    }

    /// How many series there are. The *number* of a series is its place among them in label order.
    #[must_use]
    pub fn series_count(&self) -> usize {
        self.places.len()
    }

    /// The labels of the series, by number. Those that [`Snapshot::list_as`](crate::Snapshot::list_as)
    /// made are not to be relied on: mostly there are none.
    #[must_use]
    pub fn labels(&self) -> &[Labels] {
        &self.labels
    }

    /// Hands the samples of the series with these numbers to `visit`, one series after the other, each
    /// whole and maybe empty, until it breaks. May be called on several threads at a time. Series whose
    /// numbers are neighbours are read best one after the other.
    ///
    /// # Errors
    /// Damage, I/O errors, limits, [`Error::Cancelled`](crate::Error::Cancelled). What was visited
    /// before stands.
    ///
    /// # Panics
    /// If a number is not that of a series.
    pub fn fold(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, &Columns) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut folder = self.take_folder();
        for &number in numbers {
            self.noted(self.read(number, &mut folder))?;
            if visit(number, &folder.columns).is_break() {
                break;
            }
        }
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
        Ok(())
    }

    /// As [`fold`](Self::fold), but hands over batch by batch, at most 8,192 samples and at least one, so
    /// that the memory does not grow with the length of a series.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold).
    ///
    /// # Panics
    /// If a number is not that of a series.
    pub fn scan(
        &self,
        numbers: &[u32],
        visit: &mut dyn FnMut(u32, &Columns) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut folder = self.take_folder();
        let Folder { reader, columns, .. } = &mut folder;
        'series: for &number in numbers {
            self.noted(reader.open_parts(self.labels_of(number), self.places.of(number)))?;
            loop {
                columns.clear();
                if self.noted(reader.append(columns))? == 0 {
                    break;
                }
                self.meter.add_samples(columns.len())?;
                if visit(number, columns).is_break() {
                    break 'series;
                }
            }
        }
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
        Ok(())
    }

    /// As [`fold`](Self::fold), but hands over as many samples only as `outline` needs, with the number of
    /// samples that each stands for: see there. No numbers where each stands for itself.
    ///
    /// # Errors
    /// Those of [`fold`](Self::fold). Damage of samples that need not be decoded is not noticed.
    ///
    /// # Panics
    /// If a number is not that of a series.
    pub fn outline(
        &self,
        numbers: &[u32],
        outline: &Outline,
        visit: &mut OutlineVisit<'_>,
    ) -> Result<()> {
        let mut folder = self.take_folder();
        folder.reader.stop_at_summaries(true);
        for &number in numbers {
            self.noted(self.read_outline(number, outline, &mut folder))?;
            if visit(number, &folder.columns, &folder.counts).is_break() {
                break;
            }
        }
        folder.reader.stop_at_summaries(false);
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
        Ok(())
    }

    /// What reading all series takes, as far as their indexes tell: whole, or with an outline. Samples
    /// that were overwritten, or overlap in time, may be counted for more than they turn out to be.
    ///
    /// # Errors
    /// Those of reading the indexes.
    pub fn cost(&self, outline: Option<&Outline>) -> Result<ReadCost> {
        let mut reader = self.sources.reader(self.range, &self.meter);
        let mut cost = ReadCost::default();
        let passed =
            |summary: &Summary| outline.is_some_and(|o| o.points(summary, self.range).is_some());
        for number in 0..self.series_count() as u32 {
            reader.open_parts(self.labels_of(number), self.places.of(number))?;
            cost.add(reader.cost(&passed));
        }
        Ok(cost)
    }

    /// Passes a result on, and notes damage.
    fn noted<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(error), Some(on_damage)) = (&result, &self.on_damage)
            && error.damaged_place().is_some()
        {
            on_damage(error);
        }
        result
    }

    fn take_folder(&self) -> Folder {
        let kept = self.folders.lock().unwrap_or_else(PoisonError::into_inner).pop();
        kept.unwrap_or_else(|| Folder {
            reader: self.sources.reader(self.range, &self.meter),
            columns: Columns::default(),
            counts: Vec::new(),
            held: 0,
        })
    }

    /// Puts the samples of a series into the folder's columns.
    fn read(&self, number: u32, folder: &mut Folder) -> Result<()> {
        let Folder { reader, columns, held, .. } = folder;
        columns.clear();
        reader.open_parts(self.labels_of(number), self.places.of(number))?;
        while reader.append(columns)? > 0 {
            self.hold_buffers(columns, &[], held)?;
        }
        self.meter.add_samples(columns.len())
    }

    /// Puts the outline of a series into the folder's columns and counts.
    fn read_outline(&self, number: u32, outline: &Outline, folder: &mut Folder) -> Result<()> {
        let Folder { reader, columns, counts, held } = folder;
        columns.clear();
        counts.clear();
        reader.open_parts(self.labels_of(number), self.places.of(number))?;
        loop {
            let takes = |summary: &Summary| outline.points(summary, self.range).is_some();
            while let Some(summary) = reader.pass_over(takes)? {
                counts.resize(columns.len(), 1);
                let points = outline.points(&summary, self.range);
                for point in points.into_iter().flatten().flatten() {
                    columns.timestamps.push(point.timestamp);
                    columns.values.f64_mut().push(point.value);
                    counts.push(point.count);
                }
            }
            if reader.append(columns)? == 0 {
                break;
            }
            self.hold_buffers(columns, counts, held)?;
        }
        if !counts.is_empty() {
            counts.resize(columns.len(), 1);
        }
        self.hold_buffers(columns, counts, held)?;
        self.meter.add_samples(columns.len())
    }

    fn hold_buffers(&self, columns: &Columns, counts: &[u32], held: &mut usize) -> Result<()> {
        let bytes = columns.timestamps.capacity() * SAMPLE_BYTES + size_of_val(counts);
        if bytes > *held {
            self.meter.hold((bytes - *held) as u64)?;
            *held = bytes;
        }
        Ok(())
    }

    fn labels_of(&self, number: u32) -> Option<&Labels> {
        self.labels.get(number as usize)
    }
}

impl Drop for SeriesSet {
    fn drop(&mut self) {
        let folders = self.folders.get_mut().unwrap_or_else(PoisonError::into_inner);
        let buffers: usize = folders.iter().map(|folder| folder.held).sum();
        self.meter.release(buffers as u64);
        self.meter.release(self.listed_bytes);
    }
}

impl fmt::Debug for SeriesSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesSet")
            .field("series", &self.series_count())
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
