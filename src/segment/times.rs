//! The timestamp columns of a segment that is being written: finds for each chunk the rows of a
//! column that it can share, or starts a column of its own.
//!
//! Memory: the last 64 columns whole, and a 128-bit content hash for each of the last quarter
//! million. What is forgotten is written again.

use std::collections::HashMap;
use std::collections::VecDeque;

use super::span::{RowSelection, Span};
use super::time_table::{TimeBlock, TimeBlockBuilder};
use crate::codec::{self, TimestampEncoder};
use crate::types::{DecodeError, Timestamp};

/// Columns kept whole, for rows and gaps of them.
const RECENT_COLUMNS_MAX: usize = 64;
/// Hashes kept in each of two generations.
const GENERATION_COLUMNS_MAX: usize = 1 << 17;

/// Hands out spans, collects the columns in blocks.
#[derive(Default)]
pub(super) struct TimesWriter {
    encoder: TimestampEncoder,
    /// Most recently used last.
    recent: VecDeque<(u32, Vec<Timestamp>)>,
    known: HashMap<[u8; 16], u32>,
    known_before: HashMap<[u8; 16], u32>,
    block: TimeBlockBuilder,
    block_first_column: u32,
    columns: u32,
    scratch: Vec<Timestamp>,
}

impl TimesWriter {
    /// The number of columns so far.
    pub(super) fn columns(&self) -> u32 {
        self.columns
    }

    /// The span of a chunk with these timestamps, which are strictly increasing. Fails if a new
    /// column does not decode to what was encoded.
    pub(super) fn span(&mut self, timestamps: &[Timestamp]) -> Result<Span, DecodeError> {
        let (column, selection) = match self.find(timestamps) {
            Some(found) => found,
            None => (self.add(timestamps)?, RowSelection::Whole),
        };
        let (first, last) = (timestamps[0], timestamps[timestamps.len() - 1]);
        Ok(Span { column, rows: timestamps.len() as u16, first, last, selection })
    }

    /// The open block, if it is full or `at_end` and not empty.
    pub(super) fn take_block(&mut self, at_end: bool) -> Option<(TimeBlock, Vec<u8>)> {
        if self.block.is_empty() || !(at_end || self.block.is_full()) {
            return None;
        }
        let sealed = self.block.seal(self.block_first_column);
        self.block_first_column = self.columns;
        Some(sealed)
    }

    fn find(&mut self, timestamps: &[Timestamp]) -> Option<(u32, RowSelection)> {
        let equal = |(_, column): &(u32, Vec<Timestamp>)| column == timestamps;
        if let Some(place) = self.recent.iter().position(equal) {
            return Some((self.touch(place), RowSelection::Whole));
        }
        let hash = content_hash(timestamps);
        let known = self.known.get(&hash).or_else(|| self.known_before.get(&hash)).copied();
        if let Some(number) = known {
            self.remember(hash, number, timestamps);
            return Some((number, RowSelection::Whole));
        }
        let found = self.recent.iter().enumerate().rev().find_map(|(place, (_, column))| {
            RowSelection::find(timestamps, column).map(|selection| (place, selection))
        });
        found.map(|(place, selection)| (self.touch(place), selection))
    }

    /// Makes a recent column the most recent; returns its number.
    fn touch(&mut self, place: usize) -> u32 {
        let column = self.recent.remove(place).expect("the place was just found");
        let number = column.0;
        self.recent.push_back(column);
        number
    }

    fn remember(&mut self, hash: [u8; 16], number: u32, timestamps: &[Timestamp]) {
        if self.known.len() == GENERATION_COLUMNS_MAX {
            self.known_before = std::mem::take(&mut self.known);
        }
        self.known.insert(hash, number);
        let mut column = match self.recent.len() {
            RECENT_COLUMNS_MAX => self.recent.pop_front().map_or_else(Vec::new, |(_, c)| c),
            _ => Vec::new(),
        };
        column.clear();
        column.extend_from_slice(timestamps);
        self.recent.push_back((number, column));
    }

    /// Encodes a new column and checks that it decodes to the same.
    fn add(&mut self, timestamps: &[Timestamp]) -> Result<u32, DecodeError> {
        let number = self.columns;
        self.columns = number.checked_add(1).expect("a segment has fewer than 2^32 columns");
        let start = self.block.columns.len();
        self.encoder.encode(timestamps, &mut self.block.columns);
        self.scratch.clear();
        self.scratch.resize(timestamps.len(), 0);
        codec::decode_timestamps(&self.block.columns[start..], &mut self.scratch)?;
        if self.scratch != timestamps {
            return Err(DecodeError::Invalid("timestamp column, just encoded,"));
        }
        self.block.push(timestamps.len());
        self.remember(content_hash(timestamps), number, timestamps);
        Ok(number)
    }
}

/// A hash that nobody can make collide, since equal hashes mean one column for both.
fn content_hash(timestamps: &[Timestamp]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    let mut bytes = [0; 4096];
    for part in timestamps.chunks(bytes.len() / 8) {
        for (place, timestamp) in bytes.chunks_exact_mut(8).zip(part) {
            place.copy_from_slice(&timestamp.to_le_bytes());
        }
        hasher.update(&bytes[..part.len() * 8]);
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(times: &mut TimesWriter, timestamps: &[Timestamp]) -> Span {
        times.span(timestamps).unwrap()
    }

    fn column(start: i64, rows: i64) -> Vec<Timestamp> {
        (0..rows).map(|i| start + i * 1000).collect()
    }

    #[test]
    fn equal_columns_and_parts_of_them_are_shared() {
        let mut times = TimesWriter::default();
        let whole = column(0, 100);
        assert_eq!(span(&mut times, &whole).column, 0);
        assert_eq!(span(&mut times, &column(7, 100)).column, 1);
        let again = span(&mut times, &whole);
        assert_eq!((again.column, again.selection), (0, RowSelection::Whole));
        let part = span(&mut times, &whole[10..20]);
        assert_eq!((part.column, part.selection), (0, RowSelection::Range { start: 10 }));
        let mut gappy = whole.clone();
        gappy.remove(50);
        let gappy = span(&mut times, &gappy);
        assert!(gappy.column == 0 && matches!(gappy.selection, RowSelection::Gaps { .. }));
        assert_eq!(times.columns(), 2);
        // Every other row costs more gaps than a column of its own.
        let sparse: Vec<_> = whole.iter().copied().step_by(2).collect();
        assert_eq!(span(&mut times, &sparse).column, 2);
    }

    #[test]
    fn a_column_is_known_by_its_hash_when_its_rows_are_forgotten() {
        let mut times = TimesWriter::default();
        let count = RECENT_COLUMNS_MAX as i64 * 3;
        for round in 0..2 {
            for i in 0..count {
                assert_eq!(i64::from(span(&mut times, &column(i, 5)).column), i, "round {round}");
            }
        }
        assert_eq!(i64::from(times.columns()), count);
    }

    #[test]
    fn blocks_number_their_columns_without_a_gap() {
        let mut times = TimesWriter::default();
        let mut next = 0;
        for i in 0..200 {
            span(&mut times, &column(i, 3));
            if let Some((block, bytes)) = times.take_block(i == 199) {
                assert_eq!(block.first_column, next);
                next += block.columns;
                for number in block.first_column..next {
                    let expected = column(i64::from(number), 3);
                    assert_eq!(block.column(&bytes, number), Ok(expected));
                }
            }
        }
        assert_eq!((next, times.columns()), (200, 200));
        assert!(times.take_block(true).is_none());
    }
}
