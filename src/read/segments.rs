//! A segment as a source.

use std::ops::{ControlFlow, Range, RangeInclusive};
use std::sync::Arc;

use crate::cursor::{
    Columns, Extent, ListedSeries, SeriesCursor, SeriesList, SeriesSource, Summary, ValueSummary,
};
use crate::error::{Error, Result};
use crate::segment::{ChunkEntry, ChunkReader, Segment};
use crate::types::{Matcher, TimeRange, Timestamp};

/// Series in a block of the list.
const LIST_BLOCK_SERIES: usize = 1024;
/// Chunk entries read at once where series are read in order: about a group of the chunk index.
const ENTRIES_AHEAD: usize = 64;

/// One stratum. A segment holds each timestamp of a series once.
impl SeriesSource for Segment {
    fn strata(&self) -> Vec<u64> {
        vec![self.meta().min_seq]
    }

    fn extent(&self) -> Option<(Timestamp, Timestamp)> {
        Some((self.meta().min_timestamp, self.meta().max_timestamp))
    }

    fn series(
        self: Arc<Self>,
        matchers: &[Matcher],
        _range: TimeRange,
    ) -> Result<Box<dyn SeriesList>> {
        let ordinals = self.select(matchers)?;
        Ok(Box::new(OrdinalList { segment: self, ordinals, at: 0 }))
    }

    fn cursor(self: Arc<Self>, _stratum: usize, range: TimeRange) -> Box<dyn SeriesCursor> {
        Box::new(SegmentCursor {
            reader: ChunkReader::new(Arc::clone(&self)),
            segment: self,
            range: range.start..=range.last(),
            entries: Vec::new(),
            covered: 0..0,
            wanted: Vec::new(),
            left: 0..0,
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
    ordinals: Vec<u32>,
    /// The first one that was not listed.
    at: usize,
}

impl SeriesList for OrdinalList {
    fn next_block(&mut self, block: &mut Vec<ListedSeries>) -> Result<bool> {
        let until = (self.at + LIST_BLOCK_SERIES).min(self.ordinals.len());
        let ordinals = &self.ordinals[self.at..until];
        // Also if it fails: the next call goes on behind what cannot be read.
        self.at = until;
        if ordinals.is_empty() {
            return Ok(false);
        }
        self.segment.labels(ordinals, |key, labels| {
            block.push(ListedSeries { labels, key });
            ControlFlow::Continue(())
        })?;
        Ok(true)
    }

    fn held_bytes(&self) -> u64 {
        (self.ordinals.capacity() * size_of::<u32>()) as u64
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

    fn append(&mut self, columns: &mut Columns) -> Result<usize> {
        if let Some(e) = self.damage.take() {
            return Err(e);
        }
        let Some(at) = self.left.next() else { return Ok(0) };
        let chunk = &self.entries[at];
        let Columns { timestamps, values } = columns;
        self.reader.append(chunk, timestamps, values.f64_mut())?;
        Ok(chunk.rows() as usize)
    }

    fn summary(&self) -> Option<Summary> {
        if self.damage.is_some() || self.left.is_empty() {
            return None;
        }
        let chunk = &self.entries[self.left.start];
        let aggregates = chunk.aggregates();
        let sums = aggregates.sums.and_then(|sums| Some((sums.exponent, sums.sum?)));
        Some(Summary {
            first: chunk.first_timestamp(),
            last: chunk.last_timestamp(),
            rows: chunk.rows(),
            stale_markers: aggregates.stale_markers,
            values: aggregates.extent.zip(sums).map(|(extent, (exponent, sum))| ValueSummary {
                first: extent.first,
                last: extent.last,
                min: extent.min,
                max: extent.max,
                exponent,
                sum,
            }),
        })
    }

    fn skip(&mut self) {
        self.left.next();
    }
}
