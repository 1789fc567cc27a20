//! Reads the samples of one series after the other, from all layers.

use std::sync::Arc;

use super::Sources;
use super::lists::FoundSeries;
use super::meter::Meter;
use crate::cursor::{Columns, HiddenRanges, Merge, ReadCost, Summary};
use crate::deletes::Filter;
use crate::error::Result;
use crate::types::{Labels, TimeRange};

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
}

impl SeriesReader {
    pub(super) fn new(sources: Arc<Sources>, range: TimeRange, meter: Arc<Meter>) -> Self {
        let merge = Merge::new(range, sources.ranks());
        let filter = sources.filter(range).map(Box::new);
        Self { sources, range, meter, merge, filter, hidden: HiddenRanges::default() }
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
        debug_assert!(labels.is_some() || self.filter.is_none(), "deletes are found by labels");
        let filter = self.filter.as_mut().zip(labels);
        let filter = filter.and_then(|(f, labels)| f.start(labels).then_some(&*f));
        for (source, key) in parts {
            for (number, (layer, rank)) in self.sources.ranks_of(source).enumerate() {
                if let Some(filter) = filter {
                    filter.hidden(layer, &mut self.hidden);
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
                Err(e) => self.meter.skip(e)?,
            }
        }
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
                Err(e) => self.meter.skip(e)?,
            }
        }
    }

    /// Whether the opened series has a sample in the range; decodes only if its extents do not tell.
    /// Nothing can be appended after.
    pub(super) fn has_samples(&mut self, scratch: &mut Columns) -> Result<bool> {
        if self.merge.surely_has_samples() {
            return Ok(true);
        }
        scratch.clear();
        Ok(self.append(scratch)? > 0)
    }
}
