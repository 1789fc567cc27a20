//! A segment as a source.

use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use crate::cursor::{
    Columns, DecimalTotal, Extent, Footprint, HiddenRanges, Layer, ListedSeries, ReadCost,
    SeriesCursor, SeriesList, SeriesSource, Summary, Unread, ValueSummary,
};
use crate::error::{Error, Result};
use crate::segment::{ChunkEntry, ChunkReader, Segment};
use crate::types::{Labels, LostChunk, LostPlace, Matcher, TimeRange, Timestamp};

/// Series in a block of the list.
const LIST_BLOCK_SERIES: usize = 1024;
/// Bytes of labels after which a block ends, however few its series.
const LIST_BLOCK_BYTES: usize = 256 << 10;
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
            lost: Vec::new(),
        })
    }

    fn label_names(&self, matchers: &[Matcher]) -> Result<Vec<String>> {
        let names = Self::label_names(self, among(self, matchers)?.as_deref())?;
        Ok(names.into_iter().collect())
    }

    fn label_values(&self, name: &str, matchers: &[Matcher]) -> Result<Vec<String>> {
        Self::label_values(self, name, among(self, matchers)?.as_deref(), usize::MAX)
    }

    fn labels_of(&self, key: u32) -> Option<Labels> {
        let mut found = None;
        let read = self.labels(&[key], |_, labels| {
            found = Some(labels);
            ControlFlow::Break(())
        });
        read.ok().and(found)
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
        let start = std::mem::replace(&mut self.left.start, range.end);
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
        let (mut bytes, mut last) = (0, None);
        self.segment.labels(ordinals, |key, labels| {
            bytes += labels.encoded().len();
            block.push(ListedSeries { labels, key });
            if bytes < LIST_BLOCK_BYTES {
                return ControlFlow::Continue(());
            }
            last = Some(key);
            ControlFlow::Break(())
        })?;
        if let Some(last) = last {
            self.left.start = start + ordinals.partition_point(|&ordinal| ordinal <= last);
        }
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
    /// Parts of the opened series' index that are damaged, not handed out yet: which chunks they held, and
    /// their times, is not known.
    lost: Vec<LostChunk>,
}

impl SegmentCursor {
    /// Finds the chunks of `key`, and those of the next series if they are likely to be wanted.
    fn find(&mut self, key: u32) -> Result<()> {
        let in_order = self.covered.end == key;
        // What is damaged further on is left to the series that it belongs to.
        if in_order && matches!(self.find_among(key, ENTRIES_AHEAD as u32), Ok(true)) {
            return Ok(());
        }
        self.lost.clear();
        let found = self.find_among(key, 1);
        if !matches!(found, Ok(true)) {
            // Found, and reported, again whenever it is opened.
            self.covered = key..key;
        }
        match found {
            // Of an index of which nothing can be read, all may be lost.
            Err(error @ Error::Corrupt { .. }) => {
                self.lose_index(error);
                Ok(())
            }
            found => found.map(drop),
        }
    }

    /// Finds the chunks of `key` and, while there are few of them, of the series behind it, `series`
    /// in all. False if a part of the index is damaged: the chunks that can be found are there, and the
    /// others in `lost`.
    fn find_among(&mut self, key: u32, series: u32) -> Result<bool> {
        let end = key.saturating_add(series).min(self.segment.meta().series);
        self.covered = key..end;
        self.entries.clear();
        self.wanted.clear();
        self.wanted.extend(key..end);
        let mut damage = Vec::new();
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
                Err(error @ Error::Corrupt { .. }) => damage.push(error),
                Err(error) => return Err(error),
            }
        }
        let is_whole = damage.is_empty();
        damage.into_iter().for_each(|error| self.lose_index(error));
        Ok(is_whole)
    }

    /// Notes that a part of the index cannot be read, and what may have been in it.
    fn lose_index(&mut self, error: Error) {
        let Error::Corrupt { path, section, offset, source } = error else { return };
        let meta = self.segment.meta();
        let block = self.segment.extent_of_chunk_block(offset);
        let (first, last) = block.unwrap_or((meta.min_timestamp, meta.max_timestamp));
        let (first, last) = (first.max(*self.range.start()), last.min(*self.range.end()));
        if first > last {
            return;
        }
        let ticks = (i128::from(last) - i128::from(first)).unsigned_abs() + 1;
        let rows = ticks.min(u128::from(meta.samples)).min(u128::from(u32::MAX)) as u32;
        let (file_number, source) = (meta.file_number, Some(source));
        let place = Arc::new(LostPlace { path, file_number, section, offset, source });
        let (times, is_accepted) = (Vec::new(), false);
        self.lost.push(LostChunk { first, last, rows, times, is_accepted, place });
    }
}

impl SeriesCursor for SegmentCursor {
    fn open(&mut self, key: u32) -> Result<Option<Extent>> {
        self.left = 0..0;
        self.hidden.clear();
        self.lost.clear();
        if !self.covered.contains(&key) {
            self.find(key)?;
        }
        let first = self.entries.partition_point(|entry| entry.ordinal() < key);
        let count = self.entries[first..].partition_point(|entry| entry.ordinal() == key);
        self.left = first..first + count;
        let chunks = &self.entries[self.left.clone()];
        let ends = |chunk: &ChunkEntry| (chunk.first_timestamp(), chunk.last_timestamp());
        let found = [chunks.first(), chunks.last()].into_iter().flatten().map(ends);
        let lost = self.lost.iter().map(|lost| (lost.first, lost.last));
        let hull = found.chain(lost).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)));
        let has_lost = !self.lost.is_empty() || chunks.iter().any(|chunk| chunk.loss().is_some());
        let rows = chunks.iter().map(|chunk| u64::from(chunk.rows())).sum();
        Ok(hull.map(|(first, last)| Extent { first, last, rows, has_lost }))
    }

    fn skip_hidden(&mut self, hidden: &HiddenRanges) {
        self.hidden.clone_from(hidden);
    }

    fn footprint(&mut self, hidden: &HiddenRanges) -> Result<Footprint> {
        let mut found = Footprint::default();
        let mut times = Vec::new();
        for at in std::mem::take(&mut self.left) {
            let chunk = &self.entries[at];
            if chunk.loss().is_some() {
                continue;
            }
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

    fn append(&mut self, columns: &mut Columns) -> Result<usize, Unread> {
        if let Some(lost) = self.lost.pop() {
            return Err(Unread::Lost(Box::new(lost)));
        }
        let is_hidden = |chunk: &ChunkEntry| {
            self.hidden.hides_all(chunk.first_timestamp(), chunk.last_timestamp())
        };
        let Some(at) = self.left.find(|&at| !is_hidden(&self.entries[at])) else { return Ok(0) };
        let chunk = &self.entries[at];
        let Columns { timestamps, values } = columns;
        match self.reader.append_or_lose(chunk, timestamps, values.f64_mut())? {
            None => Ok(chunk.rows() as usize),
            Some(lost) => Err(Unread::Lost(lost)),
        }
    }

    fn cost(&self, passed: &dyn Fn(&Summary) -> bool) -> Option<ReadCost> {
        let mut cost = ReadCost::default();
        for chunk in &self.entries[self.left.clone()] {
            let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
            let is_passed = !self.hidden.touches(first, last) && passed(&summary_of(chunk));
            let is_lost = chunk.loss().is_some();
            if !is_lost && !is_passed && !self.hidden.hides_all(first, last) {
                cost.samples += u64::from(chunk.rows());
                cost.chunks += 1;
                cost.bytes += u64::from(chunk.value_bytes());
            }
        }
        Some(cost)
    }

    fn summary(&self) -> Option<Summary> {
        if !self.lost.is_empty() || self.left.is_empty() {
            return None;
        }
        let chunk = &self.entries[self.left.start];
        chunk.loss().is_none().then(|| summary_of(chunk))
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
