//! A list of series that is kept, and whose samples are read in any order, on several threads.
//!
//! For who needs all labels before the first sample: a query language, which groups and sorts by them.
//! Called by `db` ([`Snapshot::list`](crate::Snapshot::list)).
//!
//! 1. Each source finds its series; the labels of their lists are decoded in parallel.
//! 2. The lists are merged in label order. Of each series is kept in which sources it is, and under
//!    which key.
//! 3. [`SeriesSet::fold`] reads the samples of some series, each whole ([`SeriesSet::scan`]: batch by
//!    batch; [`SeriesSet::outline`]: as much as windows need), through a *folder*: a reader and a buffer,
//!    which are kept for the next call. Neighbours read one after the other share blocks.
//!
//! # Invariants
//!
//! - The list does not change, and reading a series twice yields the same samples.
//! - What is held is counted: labels and places in the list, and for each folder the columns of the
//!   longest series that it has read.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use super::lists::MergedList;
use super::meter::Meter;
use super::reader::SeriesReader;
use super::{Outline, QueryOptions, Sources};
use crate::cursor::{Columns, ListedSeries, ReadCost, SeriesList, Summary};
use crate::error::{Error, Result};
use crate::segment::SegmentPin;
use crate::types::{Labels, Matcher, TimeRange};

/// Bytes of a series in the list beside its labels: counts of references, and where its samples are.
const SERIES_BYTES: u64 = 64;
/// Bytes of a sample in columns.
const SAMPLE_BYTES: usize = 16;

/// The series of a selection in label order, to be read in any order; see
/// [`Snapshot::list`](crate::Snapshot::list).
pub struct SeriesSet {
    sources: Arc<Sources>,
    range: TimeRange,
    meter: Arc<Meter>,
    labels: Vec<Labels>,
    /// (number of the source, key within it), series by series.
    parts: Vec<(u32, u32)>,
    /// Where in `parts` each series ends.
    ends: Vec<u32>,
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
    /// The series that satisfy every matcher and may have samples in `range`.
    ///
    /// # Errors
    /// Those of finding the series.
    pub fn list_all(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        options: &QueryOptions,
    ) -> Result<SeriesSet> {
        let meter = self.meter(options);
        let mut set = SeriesSet {
            sources: Arc::clone(self),
            range,
            meter: Arc::clone(&meter),
            labels: Vec::new(),
            parts: Vec::new(),
            ends: Vec::new(),
            folders: Mutex::new(Vec::new()),
            pins: Vec::new(),
            on_damage: None,
        };
        let mut lists = self.lists(matchers, range, &meter)?;
        if lists.len() == 1
            && let Some((source, series)) = lists.pop()
        {
            series.into_iter().for_each(|one| set.push(one.labels, [(source, one.key)]));
            return Ok(set);
        }
        let mut repeated: u64 = 0;
        let mut merged = MergedList::new(Arc::clone(&meter));
        for (source, series) in lists {
            merged.add(source, Box::new(Listed(series)))?;
        }
        while let Some(found) = merged.next()? {
            repeated += (found.parts.len() as u64 - 1) * listed_bytes(&found.labels);
            set.push(found.labels, found.parts);
        }
        meter.release(repeated);
        Ok(set)
    }

    /// The matching series of each source, whole; sources without any are left out.
    fn lists(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        meter: &Arc<Meter>,
    ) -> Result<Vec<(usize, Vec<ListedSeries>)>> {
        // More pieces than threads: they take unequal time.
        let pieces_max = self.executor().width() * 2;
        let mut pieces = Vec::new();
        for at in self.overlapping(range) {
            meter.check()?;
            match self.source(at).series(matchers, range) {
                Ok(series) => {
                    pieces.extend(series.split(pieces_max).into_iter().map(|piece| (at, piece)));
                }
                Err(e) => meter.skip(e)?,
            }
        }
        let read = self.executor().map(pieces, |(at, piece)| (at, read_out(piece, meter)));
        let mut lists: Vec<(usize, Vec<ListedSeries>)> = Vec::new();
        for piece in read {
            let (at, series) = (piece.0, piece.1?);
            match lists.last_mut() {
                Some((last, list)) if *last == at => list.extend(series),
                _ if series.is_empty() => {}
                _ => lists.push((at, series)),
            }
        }
        Ok(lists)
    }
}

/// All series of a list, whose labels are then held.
fn read_out(mut series: Box<dyn SeriesList>, meter: &Meter) -> Result<Vec<ListedSeries>> {
    let mut all = Vec::new();
    let own = series.held_bytes();
    meter.hold(own)?;
    loop {
        meter.check()?;
        let before = all.len();
        match series.next_block(&mut all) {
            Ok(true) => {}
            Ok(false) => {
                meter.release(own);
                return Ok(all);
            }
            Err(e) => meter.skip(e)?,
        }
        meter.hold(all[before..].iter().map(|one| listed_bytes(&one.labels)).sum())?;
    }
}

fn listed_bytes(labels: &Labels) -> u64 {
    labels.encoded().len() as u64 + SERIES_BYTES
}

/// Series that were read out.
struct Listed(Vec<ListedSeries>);

impl SeriesList for Listed {
    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        block.append(&mut self.0);
        Ok(!block.is_empty())
    }

    /// They are counted where they were read out.
    fn held_bytes(&self) -> u64 {
        0
    }

    fn split(self: Box<Self>, _parts: usize) -> Vec<Box<dyn SeriesList>> {
        vec![self]
    }
}

impl SeriesSet {
    fn push(&mut self, labels: Labels, parts: impl IntoIterator<Item = (usize, u32)>) {
        self.labels.push(labels);
        self.parts.extend(parts.into_iter().map(|(source, key)| (source as u32, key)));
        self.ends.push(self.parts.len() as u32);
    }

    /// Keeps these segments open as long as the set lives.
    #[must_use]
    pub fn keeping(mut self, pins: Vec<SegmentPin>) -> Self {
        self.pins = pins;
        self
    }

    /// Calls `on_damage` when reading ends at damage, so that a store can count it.
    #[must_use]
    pub fn telling(mut self, on_damage: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_damage = Some(Box::new(on_damage));
        self
    }

    /// The labels of the series, in label order. The *number* of a series is its place here.
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
            self.told(self.read(number, &mut folder))?;
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
            self.told(reader.open_parts(&self.labels[number as usize], self.parts_of(number)))?;
            loop {
                columns.clear();
                if self.told(reader.append(columns))? == 0 {
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
            self.told(self.read_outline(number, outline, &mut folder))?;
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
        for (number, labels) in (0..).zip(&self.labels) {
            reader.open_parts(labels, self.parts_of(number))?;
            cost.add(reader.cost(&passed));
        }
        Ok(cost)
    }

    /// Passes a result on; tells of damage.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        if let (Err(error @ Error::Corrupt { .. }), Some(on_damage)) = (&result, &self.on_damage) {
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
        reader.open_parts(&self.labels[number as usize], self.parts_of(number))?;
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
        reader.open_parts(&self.labels[number as usize], self.parts_of(number))?;
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

    fn parts_of(&self, number: u32) -> impl Iterator<Item = (usize, u32)> {
        let at = number as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let parts = &self.parts[start..self.ends[at] as usize];
        parts.iter().map(|(source, key)| (*source as usize, *key))
    }
}

impl Drop for SeriesSet {
    fn drop(&mut self) {
        let folders = self.folders.get_mut().unwrap_or_else(PoisonError::into_inner);
        let buffers: usize = folders.iter().map(|folder| folder.held).sum();
        self.meter.release(buffers as u64);
        self.meter.release(self.labels.iter().map(listed_bytes).sum());
    }
}

impl fmt::Debug for SeriesSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesSet")
            .field("series", &self.labels.len())
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}
