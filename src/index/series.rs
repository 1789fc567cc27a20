//! Series blocks: neighbouring series, each as the ordinals of its keys.
//!
//! The series of a block are grouped by *shape*, their sequence of label names. Within a shape each
//! label is a column of key ordinals, packed in as many bits as its range in this block needs: label
//! order makes most columns narrow and many constant, and one series is read without the others.

use std::collections::HashMap;
use std::sync::Arc;

use super::block::{self, BlockKind};
use crate::types::DecodeError;
use crate::types::varint::{get_u32, put_u64};

/// Most series in a block.
pub(super) const BLOCK_SERIES_MAX: usize = 1024;
/// A block ends with the series that brings it to this many labels.
const BLOCK_LABELS: usize = 8192;

/// What the top level says about one series block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeriesBlockEntry {
    /// Number of series, at least one.
    pub(super) count: u32,
    /// Length of the block in bytes.
    pub(super) len: u32,
}

/// Writes series into blocks, which it hands to the `put` of each call.
#[derive(Debug, Default)]
pub(super) struct SeriesWriter {
    /// The block being sealed; kept for its memory.
    sealed: Vec<u8>,
    entries: Vec<SeriesBlockEntry>,
    /// Key ordinals of the pending series, flat.
    keys: Vec<u32>,
    /// For each of `keys` a number that is the same for keys of equal names.
    names: Vec<u32>,
    /// Where in `keys` each pending series ends.
    ends: Vec<usize>,
}

impl SeriesWriter {
    /// Appends a series: its key ordinals, each with a number that is the same for keys of equal
    /// names.
    pub(super) fn push<E>(
        &mut self,
        labels: impl Iterator<Item = (u32, u32)>,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        for (key, name) in labels {
            self.keys.push(key);
            self.names.push(name);
        }
        self.ends.push(self.keys.len());
        if self.ends.len() == BLOCK_SERIES_MAX || self.keys.len() >= BLOCK_LABELS {
            self.end_block(put)?;
        }
        Ok(())
    }

    /// Hands on the last block and returns what the top level says about each.
    pub(super) fn finish<E>(
        mut self,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Vec<SeriesBlockEntry>, E> {
        if !self.ends.is_empty() {
            self.end_block(put)?;
        }
        Ok(self.entries)
    }

    fn end_block<E>(&mut self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let payload = encode(&self.keys, &self.names, &self.ends);
        let count = self.ends.len();
        self.sealed.clear();
        let len = block::seal(BlockKind::Series, count, &payload, &mut self.sealed);
        self.entries.push(SeriesBlockEntry { count: count as u32, len });
        self.keys.clear();
        self.names.clear();
        self.ends.clear();
        put(&self.sealed)
    }
}

fn encode(keys: &[u32], names: &[u32], ends: &[usize]) -> Vec<u8> {
    let mut shapes: Vec<Vec<&[u32]>> = Vec::new();
    let mut shape_by_names: HashMap<&[u32], u32> = HashMap::new();
    let mut shape_of: Vec<u32> = Vec::with_capacity(ends.len());
    let mut last: Option<(&[u32], u32)> = None;
    let mut start = 0;
    for &end in ends {
        let (series, names) = (&keys[start..end], &names[start..end]);
        start = end;
        // Most series have the shape of the one before.
        let shape = match last {
            Some((of_last, shape)) if of_last == names => shape,
            _ => *shape_by_names.entry(names).or_insert_with(|| {
                shapes.push(Vec::new());
                shapes.len() as u32 - 1
            }),
        };
        last = Some((names, shape));
        shapes[shape as usize].push(series);
        shape_of.push(shape);
    }
    let mut payload = Vec::new();
    let mut columns = Vec::new();
    put_u64(&mut payload, shapes.len() as u64);
    for members in &shapes {
        put_u64(&mut payload, members[0].len() as u64);
        for label in 0..members[0].len() {
            let column = || members.iter().map(|series| series[label]);
            let min = column().min().expect("a shape has a member");
            let width = bit_width(column().max().expect("a shape has a member") - min);
            put_u64(&mut payload, u64::from(min));
            payload.push(width as u8);
            pack(column().map(|key| key - min), width, &mut columns);
        }
    }
    pack(shape_of.into_iter(), bit_width(shapes.len() as u32 - 1), &mut payload);
    payload.extend_from_slice(&columns);
    payload
}

fn bit_width(max: u32) -> u32 {
    32 - max.leading_zeros()
}

/// Appends `values` of `width` bits each, low bits first, up to a whole byte.
fn pack(values: impl Iterator<Item = u32>, width: u32, out: &mut Vec<u8>) {
    let (mut word, mut bits) = (0u64, 0);
    for value in values {
        word |= u64::from(value) << bits;
        bits += width;
        while bits >= 8 {
            out.push(word as u8);
            word >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push(word as u8);
    }
}

/// The value at `position` of a packed column that starts at `start` of `bytes`.
fn unpack(bytes: &[u8], start: usize, width: u32, position: usize) -> u32 {
    let bit = position * width as usize;
    let rest = bytes.get(start + bit / 8..).unwrap_or_default();
    let word = match rest.first_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => {
            let mut chunk = [0; 8];
            chunk[..rest.len()].copy_from_slice(rest);
            u64::from_le_bytes(chunk)
        }
    };
    ((word >> (bit % 8)) & ((1 << width) - 1)) as u32
}

/// Where a packed column ends that starts at `start` of `bytes`; its padding must be zero.
fn packed_end(bytes: &[u8], start: usize, width: u32, values: usize) -> Result<usize, DecodeError> {
    let bits = width as usize * values;
    let column = bytes.get(start..start + bits.div_ceil(8));
    let column = column.ok_or(DecodeError::Truncated("series block"))?;
    if !bits.is_multiple_of(8) && column.last().is_some_and(|last| last >> (bits % 8) > 0) {
        return Err(DecodeError::Invalid("padding in series block"));
    }
    Ok(start + column.len())
}

/// A packed column of key ordinals.
#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    min: u32,
    width: u32,
    /// Where in the payload it starts.
    start: usize,
}

impl Column {
    /// A key ordinal not above any in the column.
    pub(super) fn min(self) -> u32 {
        self.min
    }
}

/// One opened block.
#[derive(Debug)]
pub(super) struct SeriesBlock {
    bytes: Arc<[u8]>,
    columns: Vec<Column>,
    /// Where in `columns` each shape ends.
    shape_ends: Vec<usize>,
    /// Shape of each series, and its position among the series of that shape.
    members: Vec<(u32, u32)>,
}

impl SeriesBlock {
    /// Opens a verified block of `count` series.
    pub(super) fn new(bytes: Arc<[u8]>, count: u32) -> Result<Self, DecodeError> {
        let (found, payload) = block::open(&bytes, BlockKind::Series)?;
        if found == 0 || found > BLOCK_SERIES_MAX || found != count as usize {
            return Err(DecodeError::Invalid("count of series block"));
        }
        let mut rest = payload;
        let (mut columns, shape_ends) = read_shapes(&mut rest, found)?;
        let shapes_at = payload.len() - rest.len();
        let width = bit_width(shape_ends.len() as u32 - 1);
        let mut at = packed_end(payload, shapes_at, width, found)?;
        let mut sizes = vec![0u32; shape_ends.len()];
        let mut members = Vec::with_capacity(found);
        for series in 0..found {
            let shape = unpack(payload, shapes_at, width, series);
            let bad = DecodeError::Invalid("shape of series");
            let size = sizes.get_mut(shape as usize).ok_or(bad)?;
            members.push((shape, *size));
            *size += 1;
        }
        let mut first = 0;
        for (&end, &size) in shape_ends.iter().zip(&sizes) {
            for column in &mut columns[first..end] {
                column.start = at;
                at = packed_end(payload, at, column.width, size as usize)?;
            }
            first = end;
        }
        if at != payload.len() {
            return Err(DecodeError::Invalid("length of series block"));
        }
        Ok(Self { columns, shape_ends, members, bytes })
    }

    /// The number of shapes.
    pub(super) fn shape_count(&self) -> usize {
        self.shape_ends.len()
    }

    /// The number of the shape of the series at `position`.
    pub(super) fn shape(&self, position: usize) -> usize {
        self.members[position].0 as usize
    }

    /// The columns of a shape, in label order.
    pub(super) fn columns(&self, shape: usize) -> &[Column] {
        let first = shape.checked_sub(1).map_or(0, |before| self.shape_ends[before]);
        &self.columns[first..self.shape_ends[shape]]
    }

    /// The key ordinal of the series at `position` in a column of its shape.
    pub(super) fn key(&self, position: usize, column: Column) -> Result<u32, DecodeError> {
        let payload = &self.bytes[block::HEADER_BYTES..self.bytes.len() - block::CRC_BYTES];
        let above = unpack(payload, column.start, column.width, self.members[position].1 as usize);
        column.min.checked_add(above).ok_or(DecodeError::Invalid("key ordinal"))
    }
}

type Shapes = (Vec<Column>, Vec<usize>);

fn read_shapes(rest: &mut &[u8], series: usize) -> Result<Shapes, DecodeError> {
    let shapes = get_u32(rest)? as usize;
    if shapes == 0 || shapes > series {
        return Err(DecodeError::Invalid("number of shapes"));
    }
    let (mut columns, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..shapes {
        let labels = get_u32(rest)?;
        if labels == 0 {
            return Err(DecodeError::Invalid("number of labels"));
        }
        for _ in 0..labels {
            let min = get_u32(rest)?;
            let (&width, after) =
                rest.split_first().ok_or(DecodeError::Truncated("series block"))?;
            *rest = after;
            if width > 32 {
                return Err(DecodeError::Invalid("width of column"));
            }
            columns.push(Column { min, width: u32::from(width), start: 0 });
        }
        ends.push(columns.len());
    }
    Ok((columns, ends))
}
