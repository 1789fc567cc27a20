//! The memtables of a snapshot as a source.
//!
//! They share one registry, so they share one list of series: the slots are selected and sorted by
//! labels once. Each memtable is a layer.

use std::sync::Arc;

use crate::cursor::{
    BATCH_ROWS_MAX, Columns, Extent, Footprint, HiddenRanges, Layer, ListedSeries, SeriesCursor,
    SeriesList, SeriesSource, Summary, Unread,
};
use crate::error::Result;
use crate::memtable::Memtable;
use crate::series::Registry;
use crate::types::{Labels, Matcher, TimeRange, Timestamp};

/// Series in a block of the list.
const LIST_BLOCK_SERIES: usize = 1024;

/// What a snapshot sees of one memtable.
#[derive(Debug, Clone)]
pub(crate) struct MemtableView {
    memtable: Arc<Memtable>,
    /// The number of rows that are visible.
    rows: u32,
    extent: (Timestamp, Timestamp),
    first_seq: u64,
}

impl MemtableView {
    /// What is published now; `None` for an empty memtable.
    #[must_use]
    pub(crate) fn now(memtable: Arc<Memtable>) -> Option<Self> {
        let rows = memtable.published();
        if rows == 0 {
            return None;
        }
        let extent = memtable.time_range()?;
        let first_seq = memtable.first_seq()?;
        Some(Self { memtable, rows, extent, first_seq })
    }
}

/// Views of memtables with their registry.
#[derive(Debug)]
pub(crate) struct Memtables {
    registry: Arc<Registry>,
    views: Vec<MemtableView>,
}

impl Memtables {
    /// The memtables must stay pinned as long as this lives, so that their slots stay occupied.
    #[must_use]
    pub(crate) fn new(registry: Arc<Registry>, views: Vec<MemtableView>) -> Self {
        Self { registry, views }
    }
}

impl SeriesSource for Memtables {
    fn layers(&self) -> Vec<Layer> {
        let layer = |view: &MemtableView| Layer { min_seq: view.first_seq, tombstone_seq: 0 };
        self.views.iter().map(layer).collect()
    }

    fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.views.iter().map(|view| view.extent.0).min()?;
        let last = self.views.iter().map(|view| view.extent.1).max()?;
        Some((first, last))
    }

    fn series(
        self: Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<Box<dyn SeriesList>> {
        let overlaps = |view: &&MemtableView| range.overlaps(view.extent.0, view.extent.1);
        let views: Vec<&MemtableView> = self.views.iter().filter(overlaps).collect();
        let slots = self.registry.select(matchers).into_iter();
        let mut series: Vec<(Labels, u32)> = slots
            .filter(|&slot| views.iter().any(|view| view.memtable.has(slot)))
            .filter_map(|slot| Some((self.registry.labels(slot)?, slot)))
            .collect();
        series.sort_unstable();
        let held = series.iter().map(|(labels, _)| labels.encoded().len() + 24).sum::<usize>();
        Ok(Box::new(SlotList { held_bytes: held as u64, series: series.into_iter() }))
    }

    fn cursor(self: Arc<Self>, layer: usize, range: TimeRange) -> Box<dyn SeriesCursor> {
        let view = self.views[layer].clone();
        Box::new(MemtableCursor { view, range, columns: Columns::default(), at: 0 })
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>> {
        Ok(self.registry.label_names(matchers))
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>> {
        Ok(self.registry.label_values(name, matchers))
    }

    fn lists_are_exact(&self) -> bool {
        // The registry also knows series without a row here.
        false
    }
}

struct SlotList {
    series: std::vec::IntoIter<(Labels, u32)>,
    held_bytes: u64,
}

impl SeriesList for SlotList {
    /// The labels were collected when the list was made.
    fn split(self: Box<Self>, _parts: usize) -> Vec<Box<dyn SeriesList>> {
        vec![self]
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    fn series_max(&self) -> usize {
        self.series.len()
    }

    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        let before = block.len();
        let next = self.series.by_ref().take(LIST_BLOCK_SERIES);
        block.extend(next.map(|(labels, key)| ListedSeries { labels, key }));
        Ok(block.len() > before)
    }
}

/// Collects a series from its chain when it is opened.
struct MemtableCursor {
    view: MemtableView,
    range: TimeRange,
    columns: Columns,
    /// The first row that was not handed out.
    at: usize,
}

impl SeriesCursor for MemtableCursor {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.columns.clear();
        self.at = 0;
        if !self.range.is_empty() && self.view.memtable.has(key) {
            let Columns { timestamps, values } = &mut self.columns;
            let range = (self.range.start, self.range.end);
            self.view.memtable.collect(key, self.view.rows, range, timestamps, values.f64_mut());
        }
        let times = &self.columns.timestamps;
        Ok(times.first().zip(times.last()).map(|(&first, &last)| Extent {
            first,
            last,
            rows: times.len() as u64,
            has_lost: false,
        }))
    }

    /// The samples were collected when the series was opened: there is nothing to save.
    fn skip_hidden(&mut self, _hidden: &HiddenRanges) {}

    fn footprint(&mut self, hidden: &HiddenRanges) -> Result<Footprint> {
        let times = &self.columns.timestamps[self.at..];
        let rows = times.iter().filter(|&&t| !hidden.hides(t)).count() as u64;
        Ok(Footprint { rows, bytes: 0 })
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        let rows = (self.columns.len() - self.at).min(BATCH_ROWS_MAX);
        columns.append_rows(&self.columns, self.at..self.at + rows);
        self.at += rows;
        Ok(rows)
    }

    /// Nothing is known of samples that were not collected.
    fn summary(&self) -> Option<Summary> {
        None
    }

    fn skip(&mut self) {
        unreachable!("there is no summary")
    }
}
