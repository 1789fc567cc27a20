//! Reads the samples of chunks: checks and decodes, without allocating once its buffers are warm.
//!
//! One per thread of a query. It keeps the value block read last, checked once when it was loaded,
//! and the timestamp columns that it has decoded, since neighbouring chunks share both.
//!
//! The first packed blocks that a query reads come unpacked from the cache of blocks, and go there: a
//! panel that shows a few series asks for the same ones again and again. Whoever reads many blocks
//! scans, and would only drive out what others use.

use std::collections::HashMap;
use std::sync::Arc;

use super::dense::FrameUnpacker;
use super::group::{ChunkEntry, ValueBlock};
use super::open::Segment;
use crate::codec;
use crate::error::{Error, Result};
use crate::sys::Bytes;
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, FileName, LostChunk, LostPlace, Timestamp};

/// Packed blocks that a reader takes through the cache.
const CACHED_BLOCKS: u32 = 16;
/// Timestamps that a query keeps in decoded columns: 4 MiB.
const COLUMN_ROWS_KEPT: usize = 512 << 10;

/// The samples of a chunk. Use one for many chunks: its buffers are kept.
#[derive(Debug, Clone, Default)]
pub struct ChunkSamples {
    /// Strictly increasing.
    pub timestamps: Vec<Timestamp>,
    /// As many as timestamps.
    pub values: Vec<f64>,
}

/// Reads chunks of one segment.
#[derive(Debug)]
pub struct ChunkReader {
    segment: Arc<Segment>,
    block: Option<(ValueBlock, Streams)>,
    /// Unpacks zstd frames.
    frame: FrameUnpacker,
    /// Packed blocks that may still go through the cache.
    cached_left: u32,
    columns: HashMap<u32, Arc<[Timestamp]>>,
    column_rows: usize,
    column_rows_kept: usize,
}

/// The value streams of a block.
#[derive(Debug)]
enum Streams {
    /// The block as it is stored.
    Stored(Bytes),
    /// Unpacked, in the cache.
    Cached(Arc<[u8]>),
    /// What the reader unpacked last.
    Unpacked,
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
        let cached_left = 0;
        Self { segment, block: None, frame, cached_left, columns, column_rows: 0, column_rows_kept }
    }

    /// A reader of `segment` for a query: the first packed blocks go through the cache.
    #[must_use]
    pub fn caching(segment: Arc<Segment>) -> Self {
        Self { cached_left: CACHED_BLOCKS, ..Self::new(segment) }
    }

    /// Replaces `out` by the samples of `chunk`, which comes from [`Segment::chunks`] of the same
    /// segment.
    ///
    /// # Errors
    /// As [`ChunkReader::append`]; `out` is then empty.
    pub fn read(&mut self, chunk: &ChunkEntry, out: &mut ChunkSamples) -> Result<()> {
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

    /// As [`append`](Self::append), but a chunk that is lost, or turns out to be damaged, is no error.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn append_or_lose(
        &mut self,
        chunk: &ChunkEntry,
        timestamps: &mut Vec<Timestamp>,
        values: &mut Vec<f64>,
    ) -> Result<Option<Box<LostChunk>>> {
        if chunk.loss.is_none() {
            match self.append(chunk, timestamps, values) {
                Ok(()) => return Ok(None),
                Err(Error::Corrupt { path, section, offset, source }) => {
                    let file_number = self.segment.meta().file_number;
                    let place =
                        LostPlace { path, file_number, section, offset, source: Some(source) };
                    return self.lose(chunk, place, false).map(Some);
                }
                Err(e) => return Err(e),
            }
        }
        let Some(origin) = chunk.loss else { return Ok(None) };
        let path =
            self.segment.path().with_file_name(FileName::Segment(origin.file_number).to_string());
        let place = LostPlace {
            path,
            file_number: origin.file_number,
            section: "block",
            offset: origin.offset,
            source: None,
        };
        self.lose(chunk, place, origin.is_accepted).map(Some)
    }

    /// What is lost with a chunk: the samples at its timestamps, if these can be read.
    fn lose(
        &mut self,
        chunk: &ChunkEntry,
        place: LostPlace,
        is_accepted: bool,
    ) -> Result<Box<LostChunk>> {
        let mut times = Vec::new();
        if chunk.times_are_known() {
            match self.timestamps(chunk, &mut times) {
                Ok(()) | Err(Error::Corrupt { .. }) => {}
                Err(e) => return Err(e),
            }
        }
        let (first, last) = (chunk.first_timestamp(), chunk.last_timestamp());
        let place = Arc::new(place);
        Ok(Box::new(LostChunk { first, last, rows: chunk.rows(), times, is_accepted, place }))
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
            let streams = if place.unpacked == 0 {
                Streams::Stored(stored(&self.segment, place)?)
            } else if self.cached_left > 0 {
                self.cached_left -= 1;
                Streams::Cached(self.cached(place)?)
            } else {
                unpack(&self.segment, place, &mut self.frame)?;
                Streams::Unpacked
            };
            self.block = Some((*place, streams));
        }
        Ok(match &self.block {
            Some((_, Streams::Stored(bytes))) => bytes,
            Some((_, Streams::Cached(bytes))) => bytes,
            Some((_, Streams::Unpacked)) => self.frame.unpacked(),
            None => &[],
        })
    }

    /// The unpacked bytes of a value block, by way of the cache.
    fn cached(&mut self, place: &ValueBlock) -> Result<Arc<[u8]>> {
        let (segment, frame) = (&self.segment, &mut self.frame);
        segment.cache.get_or_load(segment.meta().file_number, place.offset, || {
            unpack(segment, place, frame)?;
            Ok(frame.unpacked().into())
        })
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

/// The checked bytes of a value block.
fn stored(segment: &Segment, place: &ValueBlock) -> Result<Bytes> {
    let loaded = segment.loaded()?;
    let range = (place.offset, u64::from(place.len));
    segment.read_decoded(&loaded.file, range, "value block", |bytes| {
        match crc32c(0, bytes) == place.crc {
            true => Ok(bytes.clone()),
            false => Err(DecodeError::Checksum("value block")),
        }
    })
}

/// Unpacks a value block that is a zstd frame into the memory of `frame`.
fn unpack(segment: &Segment, place: &ValueBlock, frame: &mut FrameUnpacker) -> Result<()> {
    let unpacked = frame.unpack(&stored(segment, place)?, place.unpacked as usize);
    unpacked.map_err(|e| segment.damaged("value block", place.offset, e))?;
    Ok(())
}
