//! Walks the chunk index: the chunks of chosen series in a time range, in order of series and time.

use std::ops::RangeInclusive;
use std::sync::Arc;

use super::chunk_index::Groups;
use super::group::ChunkEntry;
use super::loaded::Loaded;
use super::open::Segment;
use crate::error::{Error, Result};
use crate::types::{DecodeError, Timestamp};

impl Segment {
    /// The chunks of the series `ordinals`, which rise strictly, that have a time in common with
    /// `range`; by series, then by time. Reads the chunk index only, as it goes.
    ///
    /// # Errors
    /// As [`select`](Self::select). A damaged chunk block is one error of the iterator, which then
    /// goes on behind it.
    pub fn chunks<'a>(
        &'a self,
        ordinals: &'a [u32],
        range: RangeInclusive<Timestamp>,
    ) -> Result<Chunks<'a>> {
        debug_assert!(ordinals.is_sorted_by(|a, b| a < b), "ordinals rise strictly");
        let loaded = self.loaded()?;
        Ok(Chunks {
            segment: self,
            loaded,
            wanted: ordinals,
            range,
            block: None,
            next_block: 0,
            next_group: 0,
            entries: Vec::new(),
            next_entry: 0,
        })
    }
}

/// Iterates over chunks; made by [`Segment::chunks`].
#[derive(Debug)]
pub struct Chunks<'a> {
    segment: &'a Segment,
    loaded: Arc<Loaded>,
    /// The series still to come, the current one first.
    wanted: &'a [u32],
    range: RangeInclusive<Timestamp>,
    /// The current chunk block, unpacked; the one before `next_block`.
    block: Option<Arc<[u8]>>,
    next_block: usize,
    next_group: usize,
    /// The chunks of the current group.
    entries: Vec<ChunkEntry>,
    next_entry: usize,
}

impl Iterator for Chunks<'_> {
    type Item = Result<ChunkEntry>;

    fn next(&mut self) -> Option<Result<ChunkEntry>> {
        loop {
            let ordinal = *self.wanted.first()?;
            let Some(entry) = self.entries.get(self.next_entry) else {
                match self.next_entries(ordinal) {
                    Ok(true) => continue,
                    Ok(false) => return None,
                    Err(e) => return Some(Err(e)),
                }
            };
            if entry.ordinal > ordinal {
                self.wanted = &self.wanted[1..];
                continue;
            }
            self.next_entry += 1;
            let in_range =
                entry.span.first <= *self.range.end() && *self.range.start() <= entry.span.last;
            if entry.ordinal == ordinal && in_range {
                return Some(Ok(entry.clone()));
            }
        }
    }
}

impl Chunks<'_> {
    /// Decodes the next group that may hold chunks of `ordinal` or later series; `false` at the end
    /// of the segment.
    fn next_entries(&mut self, ordinal: u32) -> Result<bool> {
        self.entries.clear();
        self.next_entry = 0;
        loop {
            if let Some(raw) = self.block.take() {
                match self.decode_group(&raw, ordinal) {
                    Ok(true) => {
                        self.block = Some(raw);
                        return Ok(true);
                    }
                    Ok(false) => {}
                    Err(e) => return Err(self.damaged(e)),
                }
            }
            let top = &self.loaded.chunk_top;
            let ends_before = top.partition_point(|block| block.last_ordinal < ordinal);
            let Some(place) = (self.next_block.max(ends_before)..top.len()).find(|&place| {
                let block = &top[place];
                block.min_timestamp <= *self.range.end()
                    && *self.range.start() <= block.max_timestamp
            }) else {
                return Ok(false);
            };
            self.next_block = place + 1;
            self.next_group = 0;
            self.block = Some(self.segment.chunk_block(&self.loaded, &top[place])?);
        }
    }

    /// Decodes the next group of the current block from `ordinal` on; `false` behind the last one.
    fn decode_group(&mut self, raw: &[u8], ordinal: u32) -> Result<bool, DecodeError> {
        let groups = Groups::open(raw, self.loaded.footer.is_dense())?;
        let group = self.next_group.max(groups.find(ordinal));
        if group >= groups.len() {
            return Ok(false);
        }
        self.next_group = group + 1;
        if let Err(e) = groups.decode(group, &mut self.entries) {
            self.entries.clear();
            return Err(e);
        }
        Ok(true)
    }

    fn damaged(&self, e: DecodeError) -> Error {
        let offset = self.loaded.chunk_top[self.next_block - 1].offset;
        self.segment.damaged("chunk block", offset, e)
    }
}
