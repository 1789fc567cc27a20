//! Completing a segment: everything behind its data, in the order of FORMAT.md, then the sync.

use super::SegmentWriter;
use crate::error::{Error, Result};
use crate::index::BuiltIndex;
use crate::segment::chunk_index;
use crate::segment::footer::{self, Footer, Section};
use crate::segment::layout::{self, Layout};
use crate::segment::spill::SpillFile;
use crate::sys::{ReadMode, SyncPoint};
use crate::types::{FEATURE_LOST, SegmentMeta};

impl SegmentWriter {
    /// Writes what is open and everything after the data, and syncs.
    pub(super) fn complete(&mut self) -> Result<SegmentMeta> {
        self.flush_group()?;
        let (block, bytes) = self.chunk_block.seal();
        self.write_chunk_block(block, &bytes)?;
        if let Some((block, bytes)) = self.times.take_block(true) {
            self.write_time_block(block, &bytes)?;
        }
        let index = self.index.take().expect("a file is completed once").finish()?;
        let chunk_top = chunk_index::encode_top(&self.chunk_top);
        let layout = Layout {
            data_end: self.file.len(),
            replaces: self.info.replaces.len(),
            label_blocks: index.blocks_len(),
            label_top: index.top(),
            chunk_top: &chunk_top,
        };
        let (sections, time_table) = layout.place(&mut self.time_table);
        let footer = self.footer(sections).encode();

        self.append(&time_table)?;
        let footer_twin_offset = self.append(&footer)?;
        self.write_twins()?;
        self.write_label_blocks(&index)?;
        self.append(index.top())?;
        drop(index);
        self.append(&chunk_top)?;
        self.append(&time_table)?;
        self.append(&footer)?;
        self.file
            .sync_data(SyncPoint::SegmentData)
            .map_err(|e| Error::io("sync", &self.path, e))?;
        Ok(self.meta(&footer, footer_twin_offset))
    }

    /// Copies the blocks of the label index, and zeros up to a multiple of 8.
    fn write_label_blocks(&mut self, index: &BuiltIndex<SpillFile>) -> Result<()> {
        let (file, path) = (&mut self.file, &self.path);
        index.write_blocks(|bytes| {
            file.append(bytes).map_err(|e| Error::io("append to", path, e))
        })?;
        let len = self.file.len();
        let padding = &[0u8; 8][..(layout::aligned(len) - len) as usize];
        self.file.append(padding).map_err(|e| Error::io("append to", &self.path, e))
    }

    fn footer(&self, sections: Vec<Section>) -> Footer {
        // A row outside, where a chunk of an input crossed windows, makes it no confinement.
        let (first, last) = self.time_range;
        let window = self.info.window.filter(|window| window.holds(first) && window.holds(last));
        Footer {
            features: self.features(),
            uuid: self.info.uuid,
            file_number: self.file_number,
            min_timestamp: self.time_range.0,
            max_timestamp: self.time_range.1,
            min_seq: self.info.min_seq,
            max_seq: self.info.max_seq,
            tombstone_seq: self.info.tombstone_seq,
            window_start: window.map_or(0, |window| window.start),
            window_ticks: window.map_or(0, |window| window.ticks),
            samples: self.samples,
            chunks: self.chunks,
            series: self.series,
            columns: self.times.columns(),
            level: self.info.level,
            replaces: self.info.replaces.clone(),
            sections,
        }
    }

    /// Copies every timestamp block from where it was written, checking it on the way.
    fn write_twins(&mut self) -> Result<()> {
        let read = |e| Error::io("read back", &self.path, e);
        let file = self.vfs.open_read(&self.path).map_err(read)?;
        for i in 0..self.time_table.len() {
            let block = self.time_table[i];
            let bytes = file
                .read(block.offset, block.len as usize, ReadMode::Pread)
                .map_err(|e| Error::io("read back", &self.path, e))?;
            block
                .verify(&bytes)
                .map_err(|e| Error::decode(&self.path, "timestamp block", block.offset, e))?;
            let offset = self.append(&bytes)?;
            assert_eq!(offset, block.twin_offset, "the layout is as computed");
        }
        Ok(())
    }

    /// What a reader must understand beyond the version.
    fn features(&self) -> u32 {
        self.info.encoding.features() | if self.has_lost { FEATURE_LOST } else { 0 }
    }

    fn meta(&self, footer: &[u8], footer_twin_offset: u64) -> SegmentMeta {
        let (_, footer_crc) = footer::decode_tail(footer).expect("a footer that was just encoded");
        SegmentMeta {
            file_number: self.file_number,
            file_bytes: self.file.len(),
            footer_crc,
            footer_bytes: footer.len() as u32,
            footer_twin_offset,
            min_timestamp: self.time_range.0,
            max_timestamp: self.time_range.1,
            min_seq: self.info.min_seq,
            max_seq: self.info.max_seq,
            samples: self.samples,
            series: self.series,
            features: self.features(),
            level: self.info.level,
            tombstone_seq: self.info.tombstone_seq,
        }
    }
}
