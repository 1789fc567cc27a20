//! Reads the samples of one series after the other, from all layers.

use std::sync::Arc;

use super::Sources;
use super::lists::FoundSeries;
use super::meter::Meter;
use crate::cursor::{Columns, HiddenRanges, Merge, ReadCost, Summary, Unread};
use crate::deletes::Filter;
use crate::error::{Error, Result};
use crate::types::{Labels, LostChunk, TimeRange};

impl Sources {
    /// A reader of the series of this snapshot.
    pub(super) fn reader(self: &Arc<Self>, range: TimeRange, meter: &Arc<Meter>) -> SeriesReader {
        SeriesReader::new(Arc::clone(self), range, Arc::clone(meter))
    }
}

/// A merge with the sources that it reads from: what one thread needs to decode.
pub(super) struct SeriesReader {
    sources: Arc<Sources>,
    range: TimeRange,
    meter: Arc<Meter>,
    merge: Merge,
    /// What deletes hide; `None` if they hide nothing in the range.
    filter: Option<Box<Filter>>,
    /// What is hidden of one layer; kept for its memory.
    hidden: HiddenRanges,
    /// Where the opened series is: (number of the source, key within it).
    parts: Vec<(usize, u32)>,
}

impl SeriesReader {
    pub(super) fn new(sources: Arc<Sources>, range: TimeRange, meter: Arc<Meter>) -> Self {
        let merge = Merge::new(range, sources.ranks());
        let filter = sources.filter(range).map(Box::new);
        let (hidden, parts) = (HiddenRanges::default(), Vec::new());
        Self { sources, range, meter, merge, filter, hidden, parts }
    }

    /// The same, but its batches end where a summary may be next.
    pub(super) fn with_summaries(mut self) -> Self {
        self.merge.stop_at_summaries(true);
        self
    }

    /// Sets whether batches end where a summary may be next.
    pub(super) fn stop_at_summaries(&mut self, stop: bool) {
        self.merge.stop_at_summaries(stop);
    }

    /// Goes to the start of a series.
    pub(super) fn open(&mut self, series: &FoundSeries) -> Result<()> {
        self.open_parts(Some(&series.labels), series.parts.iter().copied())
    }

    /// Goes to the start of the series with these labels, whose samples are in `parts`: (number of
    /// the source, key within it). Only where something may be hidden the labels are needed.
    pub(super) fn open_parts(
        &mut self,
        labels: Option<&Labels>,
        parts: impl Iterator<Item = (usize, u32)>,
    ) -> Result<()> {
        self.meter.check()?;
        self.merge.start();
        self.hidden.clear();
        self.parts.clear();
        let unreadable = self.meter.unreadable();
        debug_assert!(labels.is_some() || self.filter.is_none(), "deletes are found by labels");
        let filter = self.filter.as_mut().zip(labels);
        let filter = filter.and_then(|(f, labels)| f.start(labels).then_some(&*f));
        for (source, key) in parts {
            self.parts.push((source, key));
            for (number, (layer, rank)) in self.sources.ranks_of(source).enumerate() {
                match filter {
                    Some(filter) => filter.hidden(layer, &mut self.hidden),
                    None if unreadable.is_empty() => {}
                    None => self.hidden.clear(),
                }
                for newer in unreadable.iter().filter(|newer| layer.min_seq < newer.min_seq) {
                    self.hidden.insert(newer.range);
                }
                let cursor = || self.sources.cursor(source, number, self.range);
                if let Err(e) = self.merge.add_hidden(rank, key, &self.hidden, cursor) {
                    self.meter.skip(e)?;
                }
            }
        }
        Ok(())
    }

    /// The most samples that the opened series can have.
    pub(super) fn rows_max(&self) -> u64 {
        self.merge.rows_max()
    }

    /// What reading the opened series takes; see [`Merge::cost`].
    pub(super) fn cost(&self, passed: &dyn Fn(&Summary) -> bool) -> ReadCost {
        self.merge.cost(passed)
    }

    /// Appends the next batch of the opened series; returns how many rows, 0 at the end.
    pub(super) fn append(&mut self, out: &mut Columns) -> Result<usize> {
        let base = out.len();
        loop {
            self.meter.check()?;
            match self.merge.append(out) {
                Ok(_) => return Ok(out.len() - base),
                Err(unread) => self.leave_out(unread)?,
            }
        }
    }

    /// Goes on behind what could not be read, if the query may.
    fn leave_out(&self, unread: Unread) -> Result<()> {
        match unread {
            Unread::Failed(error) => self.meter.skip(error),
            Unread::Lost(lost) if lost.is_accepted => Ok(()),
            Unread::Lost(lost) => self.meter.skip(self.error(&lost)),
        }
    }

    /// The error that says what is lost of the opened series.
    fn error(&self, lost: &LostChunk) -> Error {
        let mut parts = self.parts.iter();
        let labels = parts.find_map(|&(source, key)| self.sources.source(source).labels_of(key));
        Error::Lost(Box::new(lost.samples(labels)))
    }

    /// Passes over the next samples of the opened series if `wanted` takes their summary; see
    /// [`Merge::pass_over`].
    pub(super) fn pass_over(
        &mut self,
        wanted: impl Fn(&Summary) -> bool,
    ) -> Result<Option<Summary>> {
        loop {
            self.meter.check()?;
            match self.merge.pass_over(&wanted) {
                Ok(passed) => return Ok(passed),
                Err(unread) => self.leave_out(unread)?,
            }
        }
    }

    /// Whether the opened series has a sample in the range; decodes only if its extents do not tell.
    /// Nothing can be appended after.
    pub(super) fn has_samples(&mut self, scratch: &mut Columns) -> Result<bool> {
        if self.merge.surely_has_samples() {
            return Ok(true);
        }
        loop {
            self.meter.check()?;
            scratch.clear();
            match self.merge.append(scratch) {
                Ok(rows) => return Ok(rows > 0 || !scratch.is_empty()),
                // A lost sample is one.
                Err(Unread::Lost(lost)) if !lost.is_accepted => return Ok(true),
                Err(_) if !scratch.is_empty() => return Ok(true),
                Err(unread) => self.leave_out(unread)?,
            }
        }
    }
}
