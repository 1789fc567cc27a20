//! Timestamp blocks and the table that says where they are.

use super::ROWS_MAX;
use crate::codec;
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Fields, Timestamp};

/// The most columns of a timestamp block.
pub(super) const BLOCK_COLUMNS_MAX: usize = 64;
/// A timestamp block is closed when its columns have this many bytes.
const BLOCK_BYTES_TARGET: usize = 64 << 10;
const SLOT_BYTES: usize = 8;
const ENTRY_BYTES: usize = 32;

/// Where a timestamp block and its twin are: one entry of the timestamp table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeBlock {
    pub(super) first_column: u32,
    pub(super) columns: u32,
    pub(super) offset: u64,
    pub(super) twin_offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

impl TimeBlock {
    /// Checks the bytes of the block or of its twin.
    pub(super) fn verify(&self, bytes: &[u8]) -> Result<(), DecodeError> {
        if bytes.len() != self.len as usize || crc32c(0, bytes) != self.crc {
            return Err(DecodeError::Checksum("timestamp block"));
        }
        Ok(())
    }

    /// Decodes column `number` from the verified bytes of this block.
    pub(super) fn column(&self, bytes: &[u8], number: u32) -> Result<Vec<Timestamp>, DecodeError> {
        let place = number.wrapping_sub(self.first_column) as usize;
        let slots_bytes = self.columns as usize * SLOT_BYTES;
        if place >= self.columns as usize || slots_bytes > bytes.len() {
            return Err(DecodeError::Invalid("columns of a timestamp block"));
        }
        let (columns, slots) = bytes.split_at(bytes.len() - slots_bytes);
        let start = match place {
            0 => 0,
            _ => decode_slot(&slots[(place - 1) * SLOT_BYTES..])?.0,
        };
        let (end, rows) = decode_slot(&slots[place * SLOT_BYTES..])?;
        let encoded = columns.get(start..end).ok_or(DecodeError::Invalid("place of a column"))?;
        let mut timestamps = vec![0; rows];
        codec::decode_timestamps(encoded, &mut timestamps)?;
        if timestamps.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(DecodeError::Invalid("order of timestamps"));
        }
        Ok(timestamps)
    }
}

/// Where a column ends in its block, and its rows.
fn decode_slot(slot: &[u8]) -> Result<(usize, usize), DecodeError> {
    let mut fields = Fields::new(slot);
    let end = fields.u32("place of a column")? as usize;
    let rows = usize::from(fields.u16("rows of a column")?);
    fields.zeros(2, "reserved bytes of a column")?;
    if (1..=ROWS_MAX).contains(&rows) {
        Ok((end, rows))
    } else {
        Err(DecodeError::Invalid("rows of a column"))
    }
}

/// A timestamp block under construction.
#[derive(Debug, Default)]
pub(super) struct TimeBlockBuilder {
    /// The encoded columns so far.
    pub(super) columns: Vec<u8>,
    slots: Vec<u8>,
}

impl TimeBlockBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.slots.len() == BLOCK_COLUMNS_MAX * SLOT_BYTES
            || self.columns.len() >= BLOCK_BYTES_TARGET
    }

    /// Adds the column of `rows` rows that the bytes since the last call encode.
    pub(super) fn push(&mut self, rows: usize) {
        assert!((1..=ROWS_MAX).contains(&rows), "callers check the rows of a chunk");
        self.slots.extend_from_slice(&(self.columns.len() as u32).to_le_bytes());
        self.slots.extend_from_slice(&(rows as u16).to_le_bytes());
        self.slots.extend_from_slice(&[0; 2]);
    }

    /// Ends the block: its table entry, still without places, and its bytes.
    pub(super) fn seal(&mut self, first_column: u32) -> (TimeBlock, Vec<u8>) {
        let Self { columns: mut bytes, slots } = std::mem::take(self);
        bytes.extend_from_slice(&slots);
        let block = TimeBlock {
            first_column,
            columns: (slots.len() / SLOT_BYTES) as u32,
            offset: 0,
            twin_offset: 0,
            len: bytes.len() as u32,
            crc: crc32c(0, &bytes),
        };
        (block, bytes)
    }
}

/// Encodes the timestamp table.
pub(super) fn encode_table(blocks: &[TimeBlock]) -> Vec<u8> {
    let mut out = Vec::with_capacity(blocks.len() * ENTRY_BYTES);
    for block in blocks {
        out.extend_from_slice(&block.first_column.to_le_bytes());
        out.extend_from_slice(&block.columns.to_le_bytes());
        out.extend_from_slice(&block.offset.to_le_bytes());
        out.extend_from_slice(&block.twin_offset.to_le_bytes());
        out.extend_from_slice(&block.len.to_le_bytes());
        out.extend_from_slice(&block.crc.to_le_bytes());
    }
    out
}

/// Decodes the timestamp table of a segment with `columns` timestamp columns.
pub(super) fn decode_table(bytes: &[u8], columns: u32) -> Result<Vec<TimeBlock>, DecodeError> {
    let mut fields = Fields::new(bytes);
    let mut blocks = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    let mut next = 0u32;
    while !fields.rest().is_empty() {
        let block = TimeBlock {
            first_column: fields.u32("timestamp table")?,
            columns: fields.u32("timestamp table")?,
            offset: fields.u64("timestamp table")?,
            twin_offset: fields.u64("timestamp table")?,
            len: fields.u32("timestamp table")?,
            crc: fields.u32("timestamp table")?,
        };
        if block.first_column != next || !(1..=BLOCK_COLUMNS_MAX as u32).contains(&block.columns) {
            return Err(DecodeError::Invalid("columns of a timestamp block"));
        }
        next = next.checked_add(block.columns).ok_or(DecodeError::Invalid("timestamp table"))?;
        blocks.push(block);
    }
    if next == columns { Ok(blocks) } else { Err(DecodeError::Invalid("timestamp table")) }
}

/// The place in the table of the block that holds column `number`.
pub(super) fn find(blocks: &[TimeBlock], number: u32) -> Option<usize> {
    let place = blocks.partition_point(|block| block.first_column <= number).checked_sub(1)?;
    (number - blocks[place].first_column < blocks[place].columns).then_some(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built() -> (TimeBlock, Vec<u8>, Vec<Vec<Timestamp>>) {
        let columns: Vec<Vec<Timestamp>> = vec![
            (0..1000).map(|i| i * 15_000 + i % 2).collect(),
            vec![i64::MIN, 0, i64::MAX],
            vec![5],
        ];
        let mut builder = TimeBlockBuilder::default();
        for column in &columns {
            codec::TimestampEncoder::new().encode(column, &mut builder.columns);
            builder.push(column.len());
        }
        let (block, bytes) = builder.seal(10);
        assert!(builder.is_empty());
        (block, bytes, columns)
    }

    #[test]
    fn columns_come_back_and_damage_is_noticed() {
        let (block, bytes, columns) = built();
        assert_eq!(block.verify(&bytes), Ok(()));
        for (i, column) in columns.iter().enumerate() {
            assert_eq!(block.column(&bytes, 10 + i as u32).as_ref(), Ok(column));
        }
        assert!(block.column(&bytes, 9).is_err());
        assert!(block.column(&bytes, 13).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(block.verify(&bad).is_err());
            (10..13).for_each(|number| drop(block.column(&bad, number)));
        }
        for cut in 0..bytes.len() {
            assert!(block.verify(&bytes[..cut]).is_err());
            (10..13).for_each(|number| drop(block.column(&bytes[..cut], number)));
        }
    }

    #[test]
    fn the_table_round_trips_and_must_count_every_column() {
        let (block, ..) = built();
        let blocks = [
            TimeBlock { first_column: 0, columns: 64, ..block },
            TimeBlock { first_column: 64, columns: 3, offset: 8, twin_offset: 99, ..block },
        ];
        let table = encode_table(&blocks);
        assert_eq!(decode_table(&table, 67), Ok(blocks.to_vec()));
        assert!(decode_table(&table, 66).is_err());
        for cut in 1..table.len() {
            assert!(decode_table(&table[..cut], 67).is_err(), "cut at {cut}");
        }
        let swapped = encode_table(&[blocks[1], blocks[0]]);
        assert!(decode_table(&swapped, 67).is_err());
        assert_eq!(
            [0, 63, 64, 66, 67].map(|n| find(&blocks, n)),
            [Some(0), Some(0), Some(1), Some(1), None]
        );
    }
}
