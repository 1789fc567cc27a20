//! Where everything behind the data of a segment lies: computed once the data is written, before anything
//! of it is, since the footer's twin stands in front of what it names. Pure; called by the writer. The
//! order and the reasons for it are in FORMAT.md.

use super::footer::{Footer, Section, SectionTag};
use super::header::HEADER_BYTES;
use super::time_table::{self, TimeBlock};

/// Sections that a footer names.
const SECTIONS: usize = 7;

/// What is to be laid out.
pub(super) struct Layout<'a> {
    /// Where the data ends and the first timestamp table starts.
    pub(super) data_end: u64,
    /// The number of segments that the footer says are replaced.
    pub(super) replaces: usize,
    /// Bytes of the blocks of the label index.
    pub(super) label_blocks: u64,
    /// The top of the label index.
    pub(super) label_top: &'a [u8],
    /// The top of the chunk index.
    pub(super) chunk_top: &'a [u8],
}

impl Layout<'_> {
    /// The sections and the timestamp table; gives the blocks of the table the places of their twins.
    pub(super) fn place(&self, blocks: &mut [TimeBlock]) -> (Vec<Section>, Vec<u8>) {
        let data_end = self.data_end;
        let table_bytes = time_table::encode_table(blocks).len() as u64;
        let footer_bytes = Footer::encoded_bytes(self.replaces, SECTIONS) as u64;
        let twins_offset = aligned(data_end + table_bytes) + footer_bytes;
        let mut twins_end = twins_offset;
        for block in &mut *blocks {
            block.twin_offset = twins_end;
            twins_end = aligned(twins_end + u64::from(block.len));
        }
        let time_table = time_table::encode_table(blocks);
        let label_top_offset = aligned(twins_end + self.label_blocks);
        let chunk_top_offset = aligned(label_top_offset + self.label_top.len() as u64);
        let table_twin_offset = aligned(chunk_top_offset + self.chunk_top.len() as u64);
        let header_bytes = HEADER_BYTES as u64;
        let blocks = Section::of_blocks;
        let whole = Section::of_bytes;
        let sections: [Section; SECTIONS] = [
            blocks(SectionTag::Data, header_bytes, data_end - header_bytes),
            whole(SectionTag::TimeTable, data_end, &time_table),
            blocks(SectionTag::TimeTwins, twins_offset, twins_end - twins_offset),
            blocks(SectionTag::LabelBlocks, twins_end, self.label_blocks),
            whole(SectionTag::LabelTop, label_top_offset, self.label_top),
            whole(SectionTag::ChunkTop, chunk_top_offset, self.chunk_top),
            whole(SectionTag::TimeTableTwin, table_twin_offset, &time_table),
        ];
        (sections.into(), time_table)
    }
}

/// The next multiple of 8: where a block or a section may start.
pub(super) fn aligned(offset: u64) -> u64 {
    offset.next_multiple_of(8)
}
