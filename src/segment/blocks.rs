//! Sections and blocks of an open segment: read, checked, read again where they do not verify, and from
//! their twins where there are any. Every byte that the other files of this folder use comes from here, and is
//! the reader's own by then, whatever the mode of reading: what was checked cannot change before it is decoded
//! (`sys/mapping.rs`).

use std::io;
use std::sync::Arc;

use super::chunk_index::ChunkBlock;
use super::footer::{Footer, Section, SectionTag};
use super::loaded::Loaded;
use super::open::Segment;
use super::time_table::{self, TimeBlock};
use crate::error::{Error, Result};
use crate::sys::checksum::crc32c;
use crate::sys::sync::atomic::Ordering;
use crate::sys::{Bytes, ReadFile};
use crate::types::{DecodeError, Timestamp};

impl Segment {
    /// Reads a section that has one checksum.
    pub(super) fn section(
        &self,
        file: &Arc<dyn ReadFile>,
        footer: &Footer,
        tag: SectionTag,
    ) -> Result<Bytes> {
        self.section_at(file, footer.section(tag), tag.name())
    }

    pub(super) fn section_at(
        &self,
        file: &Arc<dyn ReadFile>,
        section: &Section,
        name: &'static str,
    ) -> Result<Bytes> {
        self.read_decoded(file, (section.offset, section.len), name, |bytes| {
            match crc32c(0, bytes) == section.crc {
                true => Ok(bytes.clone()),
                false => Err(DecodeError::Checksum("section")),
            }
        })
    }

    /// Reads the bytes of a part, its offset and length, and checks and decodes them. Only what is wrong
    /// when it is read again, from the disk as far as the system allows that, is damaged.
    pub(super) fn read_decoded<T>(
        &self,
        file: &Arc<dyn ReadFile>,
        (offset, len): (u64, u64),
        section: &'static str,
        decode: impl Fn(&Bytes) -> std::result::Result<T, DecodeError>,
    ) -> Result<T> {
        let error = match decode(&self.read(file, offset, len, section)?) {
            Ok(found) => return Ok(found),
            Err(error) => self.damaged(section, offset, error),
        };
        match file.reread(offset, len as usize).map(|bytes| decode(&bytes)) {
            Ok(Ok(found)) => {
                tracing::warn!(%error, "what did not verify did when it was read again");
                self.second_reads.fetch_add(1, Ordering::Relaxed);
                Ok(found)
            }
            Ok(Err(_)) => Err(error),
            // Whether it is damaged is not known: a merge must not carry it on as lost.
            Err(e) => Err(self.unread(file, e)),
        }
    }

    /// Reads bytes whose place was read from the file itself, or from the manifest.
    pub(super) fn read(
        &self,
        file: &Arc<dyn ReadFile>,
        offset: u64,
        len: u64,
        section: &'static str,
    ) -> Result<Bytes> {
        if offset.checked_add(len).is_none_or(|end| end > self.meta().file_bytes) {
            return Err(self.damaged(section, offset, DecodeError::Invalid("place in the file")));
        }
        file.read(offset, len as usize, self.mode).map_err(|e| self.unread(file, e))
    }

    /// Why a part of the file could not be read. A file that is not as long as it was written is damaged as
    /// a whole, as [`Segment::open`] finds it: another try cannot help. Of anything else it might.
    fn unread(&self, file: &Arc<dyn ReadFile>, e: io::Error) -> Error {
        match file.len() {
            Ok(now) if now != self.meta().file_bytes => self.wrong_size(now),
            _ => Error::io("read", self.path(), e),
        }
    }

    /// After the failure `first`, takes the twin; if that fails too, the first failure is the one
    /// to tell. A newer version is no damage, and its twin would be as new.
    pub(super) fn or_twin<T>(
        &self,
        first: Error,
        what: &'static str,
        twin: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        if matches!(first, Error::UnsupportedVersion { .. }) {
            return Err(first);
        }
        let Ok(found) = twin() else { return Err(first) };
        tracing::warn!(error = %first, "a damaged {what} was read from its twin");
        self.twin_reads.fetch_add(1, Ordering::Relaxed);
        Ok(found)
    }

    /// The verified and unpacked bytes of a chunk block.
    pub(super) fn chunk_block(&self, loaded: &Loaded, block: &ChunkBlock) -> Result<Arc<[u8]>> {
        self.cache.get_or_load(self.meta().file_number, block.offset, || {
            let stored_bytes = u64::from(block.stored_bytes);
            let place = (block.offset, stored_bytes);
            self.read_decoded(&loaded.file, place, "chunk block", |stored| {
                Ok(block.open(stored)?.into())
            })
        })
    }

    /// The earliest and the latest timestamp of the chunk block at `offset`; `None` if there is none, or
    /// that cannot be read.
    pub(crate) fn extent_of_chunk_block(&self, offset: u64) -> Option<(Timestamp, Timestamp)> {
        let loaded = self.loaded().ok()?;
        let block = loaded.chunk_top.iter().find(|block| block.offset == offset)?;
        Some((block.min_timestamp, block.max_timestamp))
    }

    /// Where both copies of each timestamp block start: for tests that damage them.
    #[cfg(test)]
    pub(crate) fn time_block_offsets(&self) -> Vec<u64> {
        let loaded = self.loaded().unwrap();
        loaded.time_table.iter().flat_map(|block| [block.offset, block.twin_offset]).collect()
    }

    /// Decodes timestamp column `number`; from its block's twin if the block is damaged.
    pub(super) fn column(&self, loaded: &Loaded, number: u32) -> Result<Arc<[Timestamp]>> {
        let missing = || {
            let section = loaded.footer.section(SectionTag::TimeTable);
            let source = DecodeError::Invalid("number of a timestamp column");
            self.damaged("timestamp table", section.offset, source)
        };
        let place = time_table::find(&loaded.time_table, number).ok_or_else(missing)?;
        let block = &loaded.time_table[place];
        let bytes = self.cache.get_or_load(self.meta().file_number, block.offset, || {
            self.time_block_at(loaded, block, block.offset).or_else(|e| {
                let twin = || self.time_block_at(loaded, block, block.twin_offset);
                self.or_twin(e, "timestamp block", twin)
            })
        })?;
        let column = block.column(&bytes, number);
        Ok(column.map_err(|e| self.damaged("timestamp block", block.offset, e))?.into())
    }

    /// Reads and checks a copy of a timestamp block.
    pub(super) fn time_block_at(
        &self,
        loaded: &Loaded,
        block: &TimeBlock,
        offset: u64,
    ) -> Result<Arc<[u8]>> {
        let place = (offset, u64::from(block.len));
        self.read_decoded(&loaded.file, place, "timestamp block", |bytes| {
            block.verify(bytes)?;
            Ok(bytes.to_vec().into())
        })
    }
}
