//! Reads the samples of chunks: checks and decodes, without allocating once its buffers are warm.
//!
//! One per thread of a query. It keeps the value block read last, checked once when it was loaded,
//! and the timestamp columns that it has decoded, since neighbouring chunks share both.

use std::collections::HashMap;
use std::sync::Arc;

use super::dense::FrameUnpacker;
use super::group::{ChunkEntry, ValueBlock};
use super::open::Segment;
use crate::codec;
use crate::error::Result;
use crate::sys::Bytes;
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Timestamp};

/// Timestamps that a query keeps in decoded columns: 4 MiB.
const COLUMN_ROWS_KEPT: usize = 512 << 10;

/// The samples of a chunk. Use one for many chunks: its buffers are kept.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Strictly increasing.
    pub timestamps: Vec<Timestamp>,
    /// As many as timestamps.
    pub values: Vec<f64>,
}

/// Reads chunks of one segment.
#[derive(Debug)]
pub struct ChunkReader {
    segment: Arc<Segment>,
    block: Option<(ValueBlock, Bytes)>,
    /// The streams of `block`, if that is a zstd frame.
    frame: FrameUnpacker,
    columns: HashMap<u32, Arc<[Timestamp]>>,
    column_rows: usize,
    column_rows_kept: usize,
}

impl ChunkReader {
    /// A reader of `segment`.
    #[must_use]
    pub fn new(segment: Arc<Segment>) -> Self {
        Self::keeping(segment, COLUMN_ROWS_KEPT)
    }

    /// A reader of `segment` that keeps at most about `column_rows_kept` decoded timestamps.
    #[must_use]
    pub fn keeping(segment: Arc<Segment>, column_rows_kept: usize) -> Self {
        let frame = FrameUnpacker::default();
        let columns = HashMap::new();
        Self { segment, block: None, frame, columns, column_rows: 0, column_rows_kept }
    }

    /// Replaces `out` by the samples of `chunk`, which comes from [`Segment::chunks`] of the same
    /// segment.
    ///
    /// # Errors
    /// As [`ChunkReader::append`]; `out` is then empty.
    pub fn read(&mut self, chunk: &ChunkEntry, out: &mut Columns) -> Result<()> {
        out.timestamps.clear();
        out.values.clear();
        self.append(chunk, &mut out.timestamps, &mut out.values)
    }

    /// Appends the samples of `chunk`, which comes from [`Segment::chunks`] of the same segment, to
    /// columns of equal lengths.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) or [`Error::Corrupt`](crate::Error::Corrupt), which names the
    /// value block or the timestamp block; nothing is appended then.
    pub fn append(
        &mut self,
        chunk: &ChunkEntry,
        timestamps: &mut Vec<Timestamp>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        let base = timestamps.len();
        assert_eq!(values.len(), base, "columns have equal lengths");
        let appended = self.try_append(chunk, timestamps, values);
        if appended.is_err() {
            timestamps.truncate(base);
            values.truncate(base);
        }
        appended
    }

    fn try_append(
        &mut self,
        chunk: &ChunkEntry,
        timestamps: &mut Vec<Timestamp>,
        values: &mut Vec<f64>,
    ) -> Result<()> {
        let column = self.column(chunk.span.column)?;
        chunk
            .span
            .append_rows(&column, timestamps)
            .map_err(|e| self.segment.damaged("span of a chunk", chunk.block.offset, e))?;
        let base = values.len();
        values.resize(base + chunk.rows() as usize, 0.0);
        let bytes = self.block(&chunk.block)?;
        let start = chunk.start as usize;
        let decoded = bytes
            .get(start..start + chunk.len as usize)
            .ok_or(DecodeError::Invalid("place of a chunk"))
            .and_then(|stream| codec::decode_f64(stream, &mut values[base..]));
        decoded.map_err(|e| self.segment.damaged("value block", chunk.block.offset, e))
    }

    /// Appends the timestamps of `chunk` alone; reads no value.
    ///
    /// # Errors
    /// As [`ChunkReader::append`], of the timestamp block; nothing is appended then.
    pub fn timestamps(
        &mut self,
        chunk: &ChunkEntry,
        timestamps: &mut Vec<Timestamp>,
    ) -> Result<()> {
        let base = timestamps.len();
        let column = self.column(chunk.span.column)?;
        chunk.span.append_rows(&column, timestamps).map_err(|e| {
            timestamps.truncate(base);
            self.segment.damaged("span of a chunk", chunk.block.offset, e)
        })
    }

    /// The checked and unpacked bytes of a value block.
    fn block(&mut self, place: &ValueBlock) -> Result<&[u8]> {
        if self.block.as_ref().is_none_or(|(kept, _)| kept != place) {
            self.block = None;
            let loaded = self.segment.loaded()?;
            let bytes = self.segment.read(
                &loaded.file,
                place.offset,
                u64::from(place.len),
                "value block",
            )?;
            if crc32c(0, &bytes) != place.crc {
                let source = DecodeError::Checksum("value block");
                return Err(self.segment.damaged("value block", place.offset, source));
            }
            if place.unpacked > 0 {
                self.frame
                    .unpack(&bytes, place.unpacked as usize)
                    .map_err(|e| self.segment.damaged("value block", place.offset, e))?;
            }
            self.block = Some((*place, bytes));
        }
        if place.unpacked > 0 {
            return Ok(self.frame.unpacked());
        }
        Ok(self.block.as_ref().map_or(&[], |(_, bytes)| bytes))
    }

    /// Timestamp column `number`.
    fn column(&mut self, number: u32) -> Result<Arc<[Timestamp]>> {
        if let Some(column) = self.columns.get(&number) {
            return Ok(Arc::clone(column));
        }
        let column = self.segment.column(&*self.segment.loaded()?, number)?;
        if self.column_rows + column.len() > self.column_rows_kept {
            self.columns.clear();
            self.column_rows = 0;
        }
        self.column_rows += column.len();
        self.columns.insert(number, Arc::clone(&column));
        Ok(column)
    }
}
