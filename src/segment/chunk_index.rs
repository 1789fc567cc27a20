//! Chunk blocks, which hold groups, and the chunk top, which says where the blocks are.

use super::group::{self, ChunkEntry, GroupBuilder};
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields, Timestamp};

/// The longest chunk block when unpacked, in bytes.
pub(super) const CHUNK_BLOCK_BYTES_MAX: usize = 64 << 10;
const TOP_ENTRY_BYTES: usize = 48;
const DIRECTORY_ENTRY_BYTES: usize = 8;
const ZSTD_LEVEL: i32 = 3;

/// Where a chunk block is and what it covers: one entry of the chunk top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ChunkBlock {
    pub(super) offset: u64,
    pub(super) stored_bytes: u32,
    pub(super) raw_bytes: u32,
    pub(super) crc: u32,
    pub(super) first_ordinal: u32,
    pub(super) last_ordinal: u32,
    pub(super) chunks: u32,
    pub(super) min_timestamp: Timestamp,
    pub(super) max_timestamp: Timestamp,
}

impl ChunkBlock {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.offset.to_le_bytes());
        for word in [
            self.stored_bytes,
            self.raw_bytes,
            self.crc,
            self.first_ordinal,
            self.last_ordinal,
            self.chunks,
        ] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&self.min_timestamp.to_le_bytes());
        out.extend_from_slice(&self.max_timestamp.to_le_bytes());
    }

    /// Checks the stored bytes and unpacks them.
    pub(super) fn open(&self, stored: &[u8]) -> Result<Vec<u8>, DecodeError> {
        if stored.len() != self.stored_bytes as usize || crc32c(0, stored) != self.crc {
            return Err(DecodeError::Checksum("chunk block"));
        }
        if self.stored_bytes == self.raw_bytes {
            return Ok(stored.to_vec());
        }
        let damaged = DecodeError::Invalid("zstd frame of a chunk block");
        let raw = zstd::bulk::decompress(stored, self.raw_bytes as usize).map_err(|_| damaged)?;
        if raw.len() == self.raw_bytes as usize { Ok(raw) } else { Err(damaged) }
    }
}

/// Encodes the chunk top.
pub(super) fn encode_top(blocks: &[ChunkBlock]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() * TOP_ENTRY_BYTES);
    blocks.iter().for_each(|block| block.encode(&mut out));
    out
}

/// Decodes the chunk top of a segment with `series` series.
pub(super) fn decode_top(bytes: &[u8], series: u32) -> Result<Vec<ChunkBlock>, DecodeError> {
    let mut fields = Fields::new(bytes);
    let mut blocks: Vec<ChunkBlock> = Vec::with_capacity(bytes.len() / TOP_ENTRY_BYTES);
    while !fields.rest().is_empty() {
        let block = ChunkBlock {
            offset: fields.u64("chunk top")?,
            stored_bytes: fields.u32("chunk top")?,
            raw_bytes: fields.u32("chunk top")?,
            crc: fields.u32("chunk top")?,
            first_ordinal: fields.u32("chunk top")?,
            last_ordinal: fields.u32("chunk top")?,
            chunks: fields.u32("chunk top")?,
            min_timestamp: fields.i64("chunk top")?,
            max_timestamp: fields.i64("chunk top")?,
        };
        let expected = blocks.last().map_or(0, |previous| previous.last_ordinal);
        let adjoins = block.first_ordinal == expected
            || (!blocks.is_empty() && Some(block.first_ordinal) == expected.checked_add(1));
        if !adjoins || block.last_ordinal < block.first_ordinal || block.last_ordinal >= series {
            return Err(DecodeError::Invalid("series of a chunk block"));
        }
        if block.raw_bytes as usize > CHUNK_BLOCK_BYTES_MAX || block.stored_bytes > block.raw_bytes
        {
            return Err(DecodeError::Invalid("length of a chunk block"));
        }
        blocks.push(block);
    }
    if blocks.last().is_none_or(|last| last.last_ordinal + 1 != series) {
        return Err(DecodeError::Invalid("series of the chunk top"));
    }
    Ok(blocks)
}

/// A chunk block under construction.
#[derive(Debug)]
pub(super) struct ChunkBlockBuilder {
    groups: Vec<u8>,
    directory: Vec<(u32, u32)>,
    last_ordinal: u32,
    chunks: u32,
    time: (Timestamp, Timestamp),
    scratch: Vec<u8>,
}

impl Default for ChunkBlockBuilder {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            directory: Vec::new(),
            last_ordinal: 0,
            chunks: 0,
            time: (Timestamp::MAX, Timestamp::MIN),
            scratch: Vec::new(),
        }
    }
}

impl ChunkBlockBuilder {
    /// Encodes `group`, whose value block goes to `offset`, and adds it. If it does not fit any
    /// more, the block built so far is returned, sealed, with its bytes.
    pub(super) fn push(
        &mut self,
        group: &mut GroupBuilder,
        offset: u64,
        is_dense: bool,
    ) -> Option<(ChunkBlock, Vec<u8>)> {
        let (first, last) = (group.first_ordinal(), group.last_ordinal());
        let chunks = group.chunks() as u32;
        let time = group.time_range();
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        group.finish(offset, is_dense, &mut scratch);
        let directory_bytes = (self.directory.len() + 1) * DIRECTORY_ENTRY_BYTES + 4;
        assert!(
            scratch.len() + DIRECTORY_ENTRY_BYTES + 4 <= CHUNK_BLOCK_BYTES_MAX,
            "see FORMAT.md"
        );
        let full = self.groups.len() + scratch.len() + directory_bytes > CHUNK_BLOCK_BYTES_MAX;
        let sealed = full.then(|| self.seal());
        self.directory.push((first, self.groups.len() as u32));
        self.groups.extend_from_slice(&scratch);
        self.last_ordinal = last;
        self.chunks += chunks;
        self.time = (self.time.0.min(time.0), self.time.1.max(time.1));
        self.scratch = scratch;
        sealed
    }

    /// Ends the block: its top entry, still without a place, and its stored bytes.
    pub(super) fn seal(&mut self) -> (ChunkBlock, Vec<u8>) {
        let built = std::mem::take(self);
        let first_ordinal = built.directory[0].0;
        let mut raw = built.groups;
        for (ordinal, start) in &built.directory {
            raw.extend_from_slice(&ordinal.to_le_bytes());
            raw.extend_from_slice(&start.to_le_bytes());
        }
        raw.extend_from_slice(&(built.directory.len() as u32).to_le_bytes());
        let raw_bytes = raw.len() as u32;
        let stored = match zstd::bulk::compress(&raw, ZSTD_LEVEL) {
            Ok(packed) if packed.len() < raw.len() => packed,
            _ => raw,
        };
        let block = ChunkBlock {
            offset: 0,
            stored_bytes: stored.len() as u32,
            raw_bytes,
            crc: crc32c(0, &stored),
            first_ordinal,
            last_ordinal: built.last_ordinal,
            chunks: built.chunks,
            min_timestamp: built.time.0,
            max_timestamp: built.time.1,
        };
        (block, stored)
    }
}

/// The groups of an unpacked chunk block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Groups<'a> {
    groups: &'a [u8],
    directory: &'a [u8],
    is_dense: bool,
}

impl<'a> Groups<'a> {
    /// The groups in a block of a segment that is dense or not.
    pub(super) fn open(raw: &'a [u8], is_dense: bool) -> Result<Self, DecodeError> {
        let damaged = DecodeError::Invalid("directory of a chunk block");
        let (rest, count) = raw.split_last_chunk().ok_or(damaged)?;
        let directory_bytes = (u32::from_le_bytes(*count) as usize)
            .checked_mul(DIRECTORY_ENTRY_BYTES)
            .filter(|&bytes| bytes > 0 && bytes <= rest.len())
            .ok_or(damaged)?;
        let (groups, directory) = rest.split_at(rest.len() - directory_bytes);
        Ok(Self { groups, directory, is_dense })
    }

    pub(super) fn len(&self) -> usize {
        self.directory.len() / DIRECTORY_ENTRY_BYTES
    }

    /// The first ordinal of group `i` and where it starts.
    fn entry(&self, i: usize) -> (u32, usize) {
        let at = i * DIRECTORY_ENTRY_BYTES;
        let word = |at: usize| {
            let bytes = self.directory.get(at..at + 4).and_then(|bytes| bytes.first_chunk());
            u32::from_le_bytes(*bytes.expect("callers stay below len()"))
        };
        (word(at), word(at + 4) as usize)
    }

    /// The first group that may have chunks of series `ordinal`.
    pub(super) fn find(&self, ordinal: u32) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.entry(middle).0 < ordinal { low = middle + 1 } else { high = middle }
        }
        low.saturating_sub(1)
    }

    /// Appends the chunks of group `i` to `out`.
    pub(super) fn decode(&self, i: usize, out: &mut Vec<ChunkEntry>) -> Result<(), DecodeError> {
        let (first_ordinal, start) = self.entry(i);
        let end = if i + 1 < self.len() { self.entry(i + 1).1 } else { self.groups.len() };
        let bytes = self.groups.get(start..end).ok_or(DecodeError::Invalid("place of a group"))?;
        group::decode(first_ordinal, self.is_dense, bytes, out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::aggregate::Aggregates;
    use crate::segment::span::{RowSelection, Span};

    /// Blocks over `series` series of two chunks each, in groups of 10 chunks.
    fn blocks(series: u32) -> Vec<(ChunkBlock, Vec<u8>)> {
        let mut builder = ChunkBlockBuilder::default();
        let mut group = GroupBuilder::default();
        let mut blocks = Vec::new();
        for i in 0..series * 2 {
            let first = i64::from(i % 2) * 100;
            let selection = RowSelection::Whole;
            let span = Span { column: i % 2, rows: 9, first, last: first + 90, selection };
            group.values.push(i as u8);
            // Random-looking values, so that the block does not compress to nothing.
            let value = f64::from_bits(u64::from(i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 2);
            group.push(i / 2, span, 1, Aggregates::of(&[value; 9]));
            if group.chunks() == 10 || i + 1 == series * 2 {
                blocks.extend(builder.push(&mut group, u64::from(i) * 64, false));
            }
        }
        blocks.push(builder.seal());
        assert!(builder.directory.is_empty());
        blocks
    }

    #[test]
    fn every_chunk_is_found_in_its_block() {
        let series = 2_500;
        let blocks = blocks(series);
        assert!(blocks.len() > 2);
        let mut seen = 0;
        for (block, stored) in &blocks {
            let raw = block.open(stored).unwrap();
            let groups = Groups::open(&raw, false).unwrap();
            let mut entries = Vec::new();
            (0..groups.len()).for_each(|i| groups.decode(i, &mut entries).unwrap());
            assert_eq!(entries.len(), block.chunks as usize);
            assert_eq!(entries[0].ordinal, block.first_ordinal);
            assert_eq!(entries.last().unwrap().ordinal, block.last_ordinal);
            assert_eq!((block.min_timestamp, block.max_timestamp), (0, 190));
            for ordinal in block.first_ordinal..=block.last_ordinal {
                let mut near = Vec::new();
                let start = groups.find(ordinal);
                (start..groups.len().min(start + 2)).for_each(|i| {
                    groups.decode(i, &mut near).unwrap();
                });
                let found = near.iter().filter(|entry| entry.ordinal == ordinal).count();
                let expected = entries.iter().filter(|entry| entry.ordinal == ordinal).count();
                assert_eq!(found, expected, "series {ordinal}");
                seen += found;
            }
        }
        assert_eq!(seen, series as usize * 2);
    }

    #[test]
    fn the_top_round_trips_and_must_cover_all_series() {
        let blocks: Vec<ChunkBlock> = blocks(2_500).into_iter().map(|(block, _)| block).collect();
        let top = encode_top(&blocks);
        assert_eq!(decode_top(&top, 2_500), Ok(blocks.clone()));
        assert!(decode_top(&top, 2_499).is_err());
        assert!(decode_top(&top, 2_501).is_err());
        for cut in 0..top.len() {
            assert!(decode_top(&top[..cut], 2_500).is_err(), "cut at {cut}");
        }
        let mut long = blocks.clone();
        long[0].raw_bytes = CHUNK_BLOCK_BYTES_MAX as u32 + 1;
        assert!(decode_top(&encode_top(&long), 2_500).is_err());
        let gap = [blocks[0], blocks[2]];
        assert!(decode_top(&encode_top(&gap), blocks[2].last_ordinal + 1).is_err());
    }

    #[test]
    fn damage_of_a_stored_block_is_noticed() {
        let (block, stored) = blocks(20).remove(0);
        assert!(block.stored_bytes < block.raw_bytes, "compressed");
        for bit in 0..stored.len() * 8 {
            let mut bad = stored.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(block.open(&bad), Err(DecodeError::Checksum("chunk block")));
        }
        let lying = ChunkBlock { raw_bytes: block.raw_bytes + 1, ..block };
        assert!(lying.open(&stored).is_err());
        let lying = ChunkBlock { raw_bytes: block.raw_bytes - 1, ..block };
        assert!(lying.open(&stored).is_err());
    }
}
