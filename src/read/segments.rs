//! A segment as a source.

use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use crate::cursor::{
    Columns, DecimalTotal, Extent, Footprint, HiddenRanges, Layer, ListedSeries, ReadCost,
    SeriesCursor, SeriesList, SeriesSource, Summary, ValueSummary,
};
use crate::error::{Error, Result};
use crate::segment::{ChunkEntry, ChunkReader, Segment};
use crate::types::{Matcher, TimeRange, Timestamp};

/// Series in a block of the list.
const LIST_BLOCK_SERIES: usize = 1024;
/// Least series of a part of a list, so that handing it to a thread pays.
const PART_SERIES_MIN: usize = 256;
/// Chunk entries read at once where series are read in order: about a group of the chunk index.
const ENTRIES_AHEAD: usize = 64;

/// One layer. A segment holds each timestamp of a series once.
impl SeriesSource for Segment {
    fn layers(&self) -> Vec<Layer> {
        let meta = self.meta();
        vec![Layer { min_seq: meta.min_seq, tombstone_seq: meta.tombstone_seq }]
    }

    fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.meta().min_timestamp, self.meta().max_timestamp))
    }

    fn series(
        self: Arc<Self>,
        matchers: &[Matcher],
        _range: TimeRange,
    ) -> Result<Box<dyn SeriesList>> {
        let (ordinals, count) = match among(&self, matchers)? {
            Some(ordinals) => {
                let count = ordinals.len();
                (Some(ordinals), count)
            }
            None => {
                // Of no series: opens the index, so that a damaged one is said here.
                self.labels(&[], |_, _| ControlFlow::Continue(()))?;
                (None, self.meta().series as usize)
            }
        };
        let ordinals = ordinals.map(Arc::from);
        Ok(Box::new(OrdinalList { segment: self, ordinals, left: 0..count, block: Vec::new() }))
    }

    fn cursor(self: Arc<Self>, _layer: usize, range: TimeRange) -> Box<dyn SeriesCursor> {
        Box::new(SegmentCursor {
            reader: ChunkReader::caching(Arc::clone(&self)),
            segment: self,
            range: range.start..=range.last(),
            entries: Vec::new(),
            covered: 0..0,
            wanted: Vec::new(),
            left: 0..0,
            hidden: HiddenRanges::default(),
            damage: None,
        })
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>> {
        let names = Self::label_names(self, among(self, matchers)?.as_deref())?;
        Ok(names.into_iter().collect())
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>> {
        Self::label_values(self, name, among(self, matchers)?.as_deref(), usize::MAX)
    }

    fn lists_are_exact(&self) -> bool {
        true
    }
}

/// The ordinals that satisfy every matcher; `None` for all.
fn among(segment: &Segment, matchers: &[Matcher]) -> Result<Option<Vec<u32>>> {
    if matchers.is_empty() { Ok(None) } else { segment.select(matchers).map(Some) }
}

struct OrdinalList {
    segment: Arc<Segment>,
    /// Those to be listed; `None` for all.
    ordinals: Option<Arc<[u32]>>,
    /// Which of them are still to be listed.
    left: Range<usize>,
    /// The ordinals of the block being listed, where all are; kept for its memory.
    block: Vec<u32>,
}

impl SeriesList for OrdinalList {
    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        let range = self.left.start..self.left.end.min(self.left.start + LIST_BLOCK_SERIES);
        // Also if it fails: the next call goes on behind what cannot be read.
        self.left.start = range.end;
        if range.is_empty() {
            return Ok(false);
        }
        let ordinals = match &self.ordinals {
            Some(ordinals) => &ordinals[range],
            None => {
                self.block.clear();
                self.block.extend(range.start as u32..range.end as u32);
                &self.block[..]
            }
        };
        self.segment.labels(ordinals, |key, labels| {
            block.push(ListedSeries { labels, key });
            ControlFlow::Continue(())
        })?;
        Ok(true)
    }

    fn held_bytes(&self) -> u64 {
        let held = self.ordinals.as_ref().map_or(0, |all| all.len()) + self.block.capacity();
        (held * size_of::<u32>()) as u64
    }

    fn series_max(&self) -> usize {
        self.left.len()
    }

    fn split(self: Box<Self>, parts: usize) -> Vec<Box<dyn SeriesList>> {
        let Range { start, end } = self.left;
        let length = (end - start).div_ceil(parts.max(1)).max(PART_SERIES_MIN);
        let part = |from: usize| {
            let left = from..end.min(from + length);
            let (segment, ordinals) = (Arc::clone(&self.segment), self.ordinals.clone());
            Box::new(Self { segment, ordinals, left, block: Vec::new() }) as Box<dyn SeriesList>
        };
        (start..end).step_by(length).map(part).collect()
    }
}

/// Reads series chunk by chunk. Where they are opened in order, it finds the chunks of some of the
/// next ones at once.
struct SegmentCursor {
    segment: Arc<Segment>,
    reader: ChunkReader,
    range: RangeInclusive<Timestamp>,
    /// The chunks in the range of the series `covered`, in order of series and time.
    entries: Vec<ChunkEntry>,
    covered: Range<u32>,
    /// The ordinals to find the chunks of; kept for its memory.
    wanted: Vec<u32>,
    /// The entries of the opened series that are still to be read.
    left: Range<usize>,
    /// What need not be read of it.
    hidden: HiddenRanges,
    /// Part of the opened series' index is damaged; not reported yet.
    damage: Option<Error>,
}

impl SegmentCursor {
    /// Finds the chunks of `key`, and those of the next series if they are likely to be wanted.
    fn find(&mut self, key: u32) -> Result<()> {
        let in_order = self.covered.end == key;
        // What is damaged further on is left to the series that it belongs to.
        if in_order && self.find_among(key, ENTRIES_AHEAD as u32).is_ok() {
            return Ok(());
        }
        let found = self.find_among(key, 1);
        if found.is_err() {
            // Found, and reported, again whenever it is opened.
            self.covered = key..key;
        }
        found
    }

    /// Finds the chunks of `key` and, while there are few of them, of the series behind it, `series`
    /// in all. After an error the chunks of `key` that can be found are there.
    fn find_among(&mut self, key: u32, series: u32) -> Result<()> {
        let end = key.saturating_add(series).min(self.segment.meta().series);
        self.covered = key..end;
        self.entries.clear();
        self.wanted.clear();
        self.wanted.extend(key..end);
        let mut damage = Ok(());
        for entry in self.segment.chunks(&self.wanted, self.range.clone())? {
            match entry {
                Ok(entry) => {
                    let is_new = self.entries.last().is_some_and(|e| e.ordinal() < entry.ordinal());
                    if is_new && self.entries.len() >= ENTRIES_AHEAD {
                        self.covered.end = entry.ordinal();
                        break;
                    }
                    self.entries.push(entry);
                }
                Err(e) => damage = damage.and(Err(e)),
            }
        }
        damage
    }
}

impl SeriesCursor for SegmentCursor {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.left = 0..0;
        self.hidden.clear();
        self.damage = None;
        if !self.covered.contains(&key) {
            self.damage = self.find(key).err();
        }
        let first = self.entries.partition_point(|entry| entry.ordinal() < key);
        let count = self.entries[first..].partition_point(|entry| entry.ordinal() == key);
        self.left = first..first + count;
        let chunks = &self.entries[self.left.clone()];
        let (Some(first), Some(last)) = (chunks.first(), chunks.last()) else {
            return self.damage.take().map_or(Ok(None), Err);
        };
        Ok(Some(Extent {
            first: first.first_timestamp(),
            last: last.last_timestamp(),
            rows: chunks.iter().map(|chunk| u64::from(chunk.rows())).sum(),
        }))
    }

    fn skip_hidden(&mut self, hidden: &HiddenRanges) {
        self.hidden.clone_from(hidden);
    }

    fn footprint(&mut self, hidden: &HiddenRanges) -> Result<Footprint> {
        let mut found = Footprint::default();
        if let Some(e) = self.damage.take() {
            return Err(e);
        }
        let mut times = Vec::new();
        for at in std::mem::take(&mut self.left) {
            let chunk = &self.entries[at];
            let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
            let (all, value_bytes) = (u64::from(chunk.rows()), u64::from(chunk.value_bytes()));
            let inside = self.range.contains(&first) && self.range.contains(&last);
            let rows = if inside && !hidden.touches(first, last) {
                all
            } else {
                times.clear();
                self.reader.timestamps(chunk, &mut times)?;
                let counts = |t: &&Timestamp| self.range.contains(t) && !hidden.hides(**t);
                times.iter().filter(counts).count() as u64
            };
            found.rows += rows;
            found.bytes += (value_bytes * rows).div_ceil(all.max(1));
        }
        Ok(found)
    }

    fn append(&mut self, columns: &mut Columns) -> Result<usize> {
        if let Some(e) = self.damage.take() {
            return Err(e);
        }
        let is_hidden = |chunk: &ChunkEntry| {
            self.hidden.hides_all(chunk.first_timestamp(), chunk.last_timestamp())
        };
        let Some(at) = self.left.find(|&at| !is_hidden(&self.entries[at])) else { return Ok(0) };
        let chunk = &self.entries[at];
        let Columns { timestamps, values } = columns;
        self.reader.append(chunk, timestamps, values.f64_mut())?;
        Ok(chunk.rows() as usize)
    }

    fn cost(&self, passed: &dyn Fn(&Summary) -> bool) -> Option<ReadCost> {
        let mut cost = ReadCost::default();
        for chunk in &self.entries[self.left.clone()] {
            let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
            let is_passed = !self.hidden.touches(first, last) && passed(&summary_of(chunk));
            if !is_passed && !self.hidden.hides_all(first, last) {
                cost.samples += u64::from(chunk.rows());
                cost.chunks += 1;
                cost.bytes += u64::from(chunk.value_bytes());
            }
        }
        Some(cost)
    }

    fn summary(&self) -> Option<Summary> {
        if self.damage.is_some() || self.left.is_empty() {
            return None;
        }
        Some(summary_of(&self.entries[self.left.start]))
    }

    fn skip(&mut self) {
        self.left.next();
    }
}

fn summary_of(chunk: &ChunkEntry) -> Summary {
    let aggregates = chunk.aggregates();
    let sum = aggregates.sums.and_then(|sums| {
        let sum = sums.sum?;
        Some(DecimalTotal { exponent: sums.exponent, sum })
    });
    Summary {
        first: chunk.first_timestamp(),
        last: chunk.last_timestamp(),
        rows: chunk.rows(),
        stale_markers: aggregates.stale_markers,
        values: aggregates.extent.map(|extent| ValueSummary {
            first: extent.first,
            last: extent.last,
            min: extent.min,
            max: extent.max,
            sum,
        }),
    }
}
