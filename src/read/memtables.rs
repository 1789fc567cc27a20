//! The memtables of a snapshot as a source.
//!
//! They share one registry, so they share one list of series: the slots are selected and sorted by
//! labels once. Each memtable is a layer.
//!
//! Sorting takes the labels of all series that are listed. They are collected with the first block, so that who
//! reads the list has counted them before ([`SeriesList::held_bytes`]), and is refused before they are there.

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
/// Bytes of a series in the list beside the encoding of its labels: counts of references, and its entry.
const LISTED_BYTES: usize = 16 + size_of::<(Labels, u32)>();

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

    /// The series that satisfy every matcher and have samples in a memtable that overlaps `range`.
    fn list(self: Arc<Self>, matchers: &[Matcher], range: TimeRange) -> SlotList {
        let overlaps = |view: &&MemtableView| range.overlaps(view.extent.0, view.extent.1);
        let views: Vec<&MemtableView> = self.views.iter().filter(overlaps).collect();
        let mut slots = self.registry.select(matchers);
        slots.retain(|&slot| views.iter().any(|view| view.memtable.has(slot)));
        let each = size_of::<u32>() + LISTED_BYTES;
        let held = self.registry.encoded_bytes(&slots) + slots.len() * each;
        SlotList { held_bytes: held as u64, source: self, slots, series: Vec::new().into_iter() }
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
        Ok(Box::new(self.list(matchers, range)))
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
    source: Arc<Memtables>,
    /// The series that are not collected yet: all, or none.
    slots: Vec<u32>,
    series: std::vec::IntoIter<(Labels, u32)>,
    held_bytes: u64,
}

impl SlotList {
    /// The labels of the series, in order.
    fn collect(&mut self) {
        let registry = &self.source.registry;
        let slots = std::mem::take(&mut self.slots).into_iter();
        let mut series: Vec<(Labels, u32)> =
            slots.filter_map(|slot| Some((registry.labels(slot)?, slot))).collect();
        series.sort_unstable();
        self.series = series.into_iter();
    }
}

impl SeriesList for SlotList {
    /// The labels are collected and sorted together.
    fn split(self: Box<Self>, _parts: usize) -> Vec<Box<dyn SeriesList>> {
        vec![self]
    }

    fn held_bytes(&self) -> u64 {
        self.held_bytes
    }

    fn series_max(&self) -> usize {
        self.slots.len() + self.series.len()
    }

    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        if !self.slots.is_empty() {
            self.collect();
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::LabelsLimits;

    #[test]
    fn labels_are_counted_before_they_are_collected() {
        let registry = Arc::new(Registry::new([7; 32], LabelsLimits::default(), 1000));
        let all: Vec<Labels> = (0..3)
            .map(|n| Labels::from_pairs([("n", format!("{n:0>100}").as_str())]).unwrap())
            .collect();
        let slots = all.iter().rev().map(|labels| registry.resolve(labels).unwrap().slot());
        let slots: Vec<u32> = slots.collect();
        let memtable = Arc::new(Memtable::new(1));
        memtable.append(slots.iter().map(|&slot| (slot, 5, 1)), 1);
        memtable.publish();
        let views = MemtableView::now(memtable).into_iter().collect();
        let source = Arc::new(Memtables::new(Arc::clone(&registry), views));
        let mut list = source.list(&[], TimeRange::ALL);
        let encoded: usize = all.iter().map(|labels| labels.encoded().len()).sum();
        assert_eq!(registry.encoded_bytes(&slots), encoded);
        assert!(list.held_bytes() >= encoded as u64);
        assert_eq!((list.series_max(), list.series.len()), (3, 0), "nothing is collected yet");
        let mut block = Vec::new();
        assert!(list.next_block(&mut block).unwrap());
        assert_eq!(block.into_iter().map(|one| one.labels).collect::<Vec<_>>(), all);
        assert_eq!(list.series_max(), 0);
    }
}
