//! The series lists of all sources, merged in label order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::meter::Meter;
use crate::cursor::{ListedSeries, SeriesList, SeriesSource};
use crate::error::Result;
use crate::types::Labels;

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
    held_bytes: u64,
}

impl MergedList {
    pub(super) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, lists: Vec::new(), heads: BinaryHeap::new() }
    }

    /// Adds the list of `origin`, the source with the number `source`, before the first series is taken.
    pub(super) fn add(
        &mut self,
        (source, origin): (usize, Arc<dyn SeriesSource>),
        series: Box<dyn SeriesList>,
    ) -> Result<()> {
        let held_bytes = series.held_bytes();
        self.lists.push(OpenList { source, origin, series, block: Vec::new(), held_bytes });
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
                Ok(true) => list.block.reverse(),
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
        self.meter.release(self.lists.iter().map(|list| list.held_bytes).sum());
    }
}
