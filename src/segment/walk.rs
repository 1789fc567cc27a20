//! Walks every chunk of a segment once, in order of series and time: how merges read.
//!
//! Holds one chunk block and the chunks of one group, however many a series has. Unlike
//! [`Chunks`](super::Chunks), which goes on behind a damaged chunk block, a walk ends there: what a
//! merge does not know of, it cannot account for.

use std::sync::Arc;

use super::chunk_index::Groups;
use super::group::ChunkEntry;
use super::open::Segment;
use crate::error::Result;
use crate::types::DecodeError;

/// Goes over the chunks of one segment.
#[derive(Debug)]
pub struct ChunkWalk {
    segment: Arc<Segment>,
    /// The current chunk block, unpacked; the one before `next_block`.
    block: Option<Arc<[u8]>>,
    next_block: usize,
    next_group: usize,
    /// The chunks of the current group.
    entries: Vec<ChunkEntry>,
    at: usize,
}

impl ChunkWalk {
    /// A walk from the first chunk of `segment`.
    #[must_use]
    pub fn new(segment: Arc<Segment>) -> Self {
        Self { segment, block: None, next_block: 0, next_group: 0, entries: Vec::new(), at: 0 }
    }

    /// The next chunk, without going past it; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io), or [`Error::Corrupt`](crate::Error::Corrupt) naming the
    /// damaged part of the index.
    pub fn peek(&mut self) -> Result<Option<&ChunkEntry>> {
        while self.at == self.entries.len() {
            if !self.next_entries()? {
                return Ok(None);
            }
        }
        Ok(Some(&self.entries[self.at]))
    }

    /// The chunks of the current group that are still to come, the next one first; empty before the
    /// first [`peek`](Self::peek).
    #[must_use]
    pub fn ahead(&self) -> &[ChunkEntry] {
        &self.entries[self.at..]
    }

    /// Goes past the chunk that was peeked at.
    ///
    /// # Panics
    /// If there is none.
    pub fn advance(&mut self) {
        assert!(self.at < self.entries.len(), "a walk advances past what it has seen");
        self.at += 1;
    }

    /// Decodes the next group; false at the end of the segment.
    fn next_entries(&mut self) -> Result<bool> {
        self.entries.clear();
        self.at = 0;
        let loaded = self.segment.loaded()?;
        if let Some(raw) = &self.block {
            let decoded = Groups::open(raw, loaded.footer.is_dense()).and_then(|groups| {
                let more = self.next_group < groups.len();
                if more {
                    groups.decode(self.next_group, &mut self.entries)?;
                }
                Ok(more)
            });
            match decoded {
                Ok(true) => {
                    self.next_group += 1;
                    return Ok(true);
                }
                Ok(false) => self.block = None,
                Err(e) => {
                    self.entries.clear();
                    return Err(self.damaged(e));
                }
            }
        }
        let Some(place) = loaded.chunk_top.get(self.next_block) else { return Ok(false) };
        self.block = Some(self.segment.chunk_block(&loaded, place)?);
        self.next_block += 1;
        self.next_group = 0;
        // The caller asks again.
        Ok(true)
    }

    fn damaged(&self, e: DecodeError) -> crate::Error {
        let place = self.next_block - 1;
        let offset = self.segment.loaded().map_or(0, |loaded| loaded.chunk_top[place].offset);
        self.segment.damaged("chunk block", offset, e)
    }
}
