//! The series lists of all sources, merged in label order.
//!
//! What is read ahead of each list, a block of some hundred KiB, is counted as held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::meter::Meter;
use crate::cursor::{ListedSeries, SeriesList, SeriesSource};
use crate::error::Result;
use crate::types::Labels;

/// Bytes of labels in a list beside their encoding: counts of references, and a pointer to it.
const LABELS_BYTES: u64 = 48;

/// What the labels of a series take in a list.
pub(super) fn listed_bytes(labels: &Labels) -> u64 {
    labels.encoded().len() as u64 + LABELS_BYTES
}

/// A series and where its samples may be.
#[derive(Debug)]
pub(super) struct FoundSeries {
    pub(super) labels: Labels,
    /// (number of the source, key within it), at least one.
    pub(super) parts: Vec<(usize, u32)>,
}

/// Yields each series of the lists once, in label order.
pub(super) struct MergedList {
    meter: Arc<Meter>,
    lists: Vec<OpenList>,
    /// The next series of each list that has one: (labels, position in `lists`, key).
    heads: BinaryHeap<Reverse<(Labels, usize, u32)>>,
}

struct OpenList {
    source: usize,
    origin: Arc<dyn SeriesSource>,
    series: Box<dyn SeriesList>,
    /// The series read ahead, in reverse.
    block: Vec<ListedSeries>,
    /// Bytes of the block when it was read, unless its series are counted elsewhere.
    block_bytes: u64,
    /// Whether they are.
    is_counted: bool,
    held_bytes: u64,
}

impl MergedList {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, lists: Vec::new(), heads: BinaryHeap::new() }
    }

    /// Adds the list of `origin`, the source with the number `source`, before the first series is taken.
    pub(super) fn add(
        &mut self,
        from: (usize, Arc<dyn SeriesSource>),
        series: Box<dyn SeriesList>,
    ) -> Result<()> {
        self.open(from, series, false)
    }

    /// The same with a list whose series the caller has counted.
    pub(super) fn add_counted(
        &mut self,
        from: (usize, Arc<dyn SeriesSource>),
        series: Box<dyn SeriesList>,
    ) -> Result<()> {
        self.open(from, series, true)
    }

    fn open(
        &mut self,
        (source, origin): (usize, Arc<dyn SeriesSource>),
        series: Box<dyn SeriesList>,
        is_counted: bool,
    ) -> Result<()> {
        let held_bytes = series.held_bytes();
        let (block, block_bytes) = (Vec::new(), 0);
        let list = OpenList { source, origin, series, block, block_bytes, is_counted, held_bytes };
        self.lists.push(list);
        self.meter.hold(held_bytes)?;
        self.advance(self.lists.len() - 1)
    }

    /// The next series; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<FoundSeries>> {
        let Some(Reverse((labels, at, key))) = self.heads.pop() else { return Ok(None) };
        let mut found = FoundSeries { labels, parts: vec![(self.lists[at].source, key)] };
        self.advance(at)?;
        while let Some(Reverse((labels, ..))) = self.heads.peek() {
            if *labels != found.labels {
                debug_assert!(*labels > found.labels, "lists are in label order");
                break;
            }
            let Some(Reverse((_, at, key))) = self.heads.pop() else { break };
            found.parts.push((self.lists[at].source, key));
            self.advance(at)?;
        }
        Ok(Some(found))
    }

    /// Puts the next series of a list among the heads.
    fn advance(&mut self, at: usize) -> Result<()> {
        let list = &mut self.lists[at];
        while list.block.is_empty() {
            self.meter.check()?;
            match list.series.next_block(&mut list.block) {
                Ok(true) => {
                    list.block.reverse();
                    let bytes = list.block.iter().map(|one| listed_bytes(&one.labels)).sum();
                    let bytes = if list.is_counted { 0 } else { bytes };
                    self.meter.release(std::mem::replace(&mut list.block_bytes, bytes));
                    self.meter.hold(bytes)?;
                }
                Ok(false) => return Ok(()),
                Err(e) => self.meter.skip_series(e, &*list.origin)?,
            }
        }
        if let Some(series) = list.block.pop() {
            self.heads.push(Reverse((series.labels, at, series.key)));
        }
        Ok(())
    }
}

impl Drop for MergedList {
    fn drop(&mut self) {
        self.meter.release(self.lists.iter().map(|list| list.held_bytes + list.block_bytes).sum());
    }
}
