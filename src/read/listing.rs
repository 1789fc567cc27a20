//! Finding the series of a selection in all sources, and keeping of each what its caller needs.
//!
//! 1. Each source finds its series. The labels of a single source, or of few series, are decoded in
//!    parallel; those of many series in several sources while they are merged, unless they are kept.
//! 2. The lists are merged in label order. Of each series is kept in which sources it is, under which
//!    key, and what [`Kept`] makes of its labels.

use std::sync::Arc;

use super::Sources;
use super::lists::{MergedList, listed_bytes};
use super::meter::Meter;
use crate::cursor::{ListedSeries, SeriesList, SeriesSource};
use crate::error::Result;
use crate::types::{Labels, Matcher, TimeRange};

/// Bytes of where the samples of a series are.
const PLACE_BYTES: u64 = 16;
/// Up to so many series the lists of several sources are read out before they are merged: some 20 MB.
/// Few in tests, so that they go both ways.
const READ_OUT_SERIES_MAX: usize = if cfg!(test) { 4 } else { 64 << 10 };

/// Where the samples of each series are, by its number.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// (number of the source, key within it), series by series.
    parts: Vec<(u32, u32)>,
    /// Where in `parts` each series ends.
    ends: Vec<u32>,
}

impl Places {
    fn push(&mut self, parts: impl IntoIterator<Item = (usize, u32)>) {
        self.parts.extend(parts.into_iter().map(|(source, key)| (source as u32, key)));
        self.ends.push(self.parts.len() as u32);
    }

    /// How many series there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// (number of the source, key within it) of a series.
    pub(super) fn of(&self, number: u32) -> impl Iterator<Item = (usize, u32)> {
        let at = number as usize;
        let start = at.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        let parts = &self.parts[start..self.ends[at] as usize];
        parts.iter().map(|(source, key)| (*source as usize, *key))
    }
}

/// A list in the making.
pub(super) struct Listing<'a> {
    sources: &'a Sources,
    pub(super) meter: Arc<Meter>,
    pub(super) places: Places,
    /// Bytes of what is kept of all series, which are counted as held.
    pub(super) bytes: u64,
}

/// A list with the number of its source.
type OpenedList = (usize, Box<dyn SeriesList>);

/// What is kept of each series.
pub(super) struct Kept<'a, T> {
    /// Makes it of the labels of the series before, if there is one, and its own.
    pub(super) take: &'a (dyn Fn(Option<&Labels>, Labels) -> Result<T> + Sync),
    /// The bytes that it takes.
    pub(super) bytes: &'a (dyn Fn(&T) -> u64 + Sync),
    /// Whether it is the labels themselves.
    pub(super) is_labels: bool,
}

impl Kept<'_, Labels> {
    /// The labels themselves.
    pub(super) fn labels() -> Self {
        Self { take: &|_, labels| Ok(labels), bytes: &listed_bytes, is_labels: true }
    }
}

/// A part of a list that was read out.
struct Piece<T> {
    /// The first series, for which the one before is not known yet.
    first: Option<(Labels, u32)>,
    /// What is kept of the others, with their keys.
    others: Vec<(T, u32)>,
    /// The labels of the last series.
    last: Option<Labels>,
}

/// Reads out a list of `source`. What it holds is counted.
fn read_out<T>(
    source: &dyn SeriesSource,
    mut series: Box<dyn SeriesList>,
    meter: &Meter,
    kept: &Kept<'_, T>,
) -> Result<Piece<T>> {
    let mut piece = Piece { first: None, others: Vec::new(), last: None };
    let own = series.held_bytes();
    meter.hold(own)?;
    let mut block = Vec::new();
    loop {
        meter.check()?;
        match series.next_block(&mut block) {
            Ok(true) => {}
            Ok(false) => {
                meter.release(own);
                return Ok(piece);
            }
            Err(e) => meter.skip_series(e, source)?,
        }
        let mut bytes = 0;
        for ListedSeries { labels, key } in block.drain(..) {
            let before = piece.last.replace(labels.clone());
            if before.is_none() {
                piece.first = Some((labels, key));
                continue;
            }
            let taken = (kept.take)(before.as_ref(), labels)?;
            bytes += (kept.bytes)(&taken) + PLACE_BYTES;
            piece.others.push((taken, key));
        }
        meter.hold(bytes)?;
    }
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

    fn series_max(&self) -> usize {
        self.0.len()
    }

    fn split(self: Box<Self>, _parts: usize) -> Vec<Box<dyn SeriesList>> {
        vec![self]
    }
}

impl<'a> Listing<'a> {
    pub(super) fn new(sources: &'a Sources, meter: Arc<Meter>) -> Self {
        Self { sources, meter, places: Places::default(), bytes: 0 }
    }

    /// Adds the series that satisfy every matcher and may have samples in `range`, in label order;
    /// returns what is kept of each. Called once.
    pub(super) fn add<T: Send>(
        &mut self,
        matchers: &[Matcher],
        range: TimeRange,
        kept: &Kept<'_, T>,
    ) -> Result<Vec<T>> {
        let lists = self.open(matchers, range)?;
        self.add_all(lists, kept)
    }

    /// The lists of the sources that have matching series.
    fn open(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<OpenedList>> {
        let mut lists = Vec::new();
        for at in self.sources.overlapping(range) {
            self.meter.check()?;
            match self.sources.source(at).series(matchers, range) {
                Ok(series) if series.series_max() == 0 => {}
                Ok(series) => lists.push((at, series)),
                Err(e) => self.meter.skip_series(e, &*self.sources.source(at))?,
            }
        }
        Ok(lists)
    }

    /// Adds the series of these lists, whose order is that of labels, and returns what is kept of each.
    fn add_all<T: Send>(
        &mut self,
        mut lists: Vec<OpenedList>,
        kept: &Kept<'_, T>,
    ) -> Result<Vec<T>> {
        if lists.len() == 1
            && let Some((source, series)) = lists.pop()
        {
            return self.add_one(source, series, kept);
        }
        let mut merged = MergedList::new(Arc::clone(&self.meter));
        let mut read_out_bytes: u64 = 0;
        let all: usize = lists.iter().map(|(_, series)| series.series_max()).sum();
        if all <= READ_OUT_SERIES_MAX || kept.is_labels {
            // In parallel, since merging takes one thread.
            for (source, series) in self.read_out_all(lists)? {
                read_out_bytes +=
                    series.iter().map(|one| listed_bytes(&one.labels) + PLACE_BYTES).sum::<u64>();
                let from = (source, self.sources.source(source));
                merged.add_counted(from, Box::new(Listed(series)))?;
            }
        } else {
            for (source, series) in lists {
                merged.add((source, self.sources.source(source)), series)?;
            }
        }
        let mut all = Vec::new();
        let mut before: Option<Labels> = None;
        while let Some(found) = merged.next()? {
            let labels = found.labels.clone();
            let taken = (kept.take)(before.as_ref(), found.labels)?;
            let bytes = (kept.bytes)(&taken) + PLACE_BYTES;
            self.bytes += bytes;
            if kept.is_labels {
                // They were counted when they were read out.
                read_out_bytes -= bytes;
            } else {
                self.meter.hold(bytes)?;
            }
            self.places.push(found.parts);
            all.push(taken);
            before = Some(labels);
        }
        self.meter.release(read_out_bytes);
        Ok(all)
    }

    /// The same of one list.
    fn add_one<T: Send>(
        &mut self,
        source: usize,
        series: Box<dyn SeriesList>,
        kept: &Kept<'_, T>,
    ) -> Result<Vec<T>> {
        let meter = Arc::clone(&self.meter);
        let pieces = series.split(self.pieces_max());
        let origin = self.sources.source(source);
        let read_out = |piece| read_out(&*origin, piece, &meter, kept);
        let pieces = self.sources.executor().map(pieces, read_out);
        let mut all = Vec::new();
        let mut before: Option<Labels> = None;
        for piece in pieces {
            let piece = piece?;
            let Some((labels, key)) = piece.first else { continue };
            let first = (kept.take)(before.as_ref(), labels)?;
            self.meter.hold((kept.bytes)(&first) + PLACE_BYTES)?;
            for (taken, key) in std::iter::once((first, key)).chain(piece.others) {
                // It was counted when it was read out.
                self.bytes += (kept.bytes)(&taken) + PLACE_BYTES;
                self.places.push([(source, key)]);
                all.push(taken);
            }
            before = piece.last;
        }
        Ok(all)
    }

    /// The series of each list, whole, with their labels, which count as held.
    fn read_out_all(&self, lists: Vec<OpenedList>) -> Result<Vec<(usize, Vec<ListedSeries>)>> {
        let meter = &self.meter;
        let kept = Kept::labels();
        let split = |(at, list): OpenedList| {
            list.split(self.pieces_max()).into_iter().map(move |piece| (at, piece))
        };
        let pieces = lists.into_iter().flat_map(split).collect();
        let read_out = |(at, piece)| (at, read_out(&*self.sources.source(at), piece, meter, &kept));
        let pieces = self.sources.executor().map(pieces, read_out);
        let mut lists: Vec<(usize, Vec<ListedSeries>)> = Vec::new();
        for (at, piece) in pieces {
            let Piece { first, others, .. } = piece?;
            if let Some((labels, _)) = &first {
                meter.hold(listed_bytes(labels) + PLACE_BYTES)?;
            }
            let series = first.into_iter().chain(others);
            let series = series.map(|(labels, key)| ListedSeries { labels, key });
            match lists.last_mut() {
                Some((last, list)) if *last == at => list.extend(series),
                _ => lists.push((at, series.collect())),
            }
        }
        Ok(lists)
    }

    /// More pieces than threads: they take unequal time.
    fn pieces_max(&self) -> usize {
        self.sources.executor().width() * 2
    }
}
