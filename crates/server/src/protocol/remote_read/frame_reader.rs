//! Reads the streamed answer: frames, checked, with their chunks as they lie in the bytes.

use std::fmt;

use super::XOR;
use crate::protocol::WireError;
use crate::protocol::protobuf::{Reader, WireType};
use crate::protocol::remote_write::{LabelIter, RawLabel};
use crate::protocol::xor_chunk::{XorError, XorReader};

/// Bytes of the checksum of a frame.
const CRC_BYTES: usize = 4;

/// The frames of an answer, in order. After an error it ends.
#[derive(Debug, Clone)]
pub struct Frames<'a> {
    reader: Reader<'a>,
    failed: bool,
}

/// One frame: chunks of one series.
#[derive(Debug, Clone)]
pub struct Frame<'a> {
    /// Which query of the request it answers, from 0.
    pub query: u64,
    /// The labels of the series, in the order sent.
    pub labels: Vec<RawLabel<'a>>,
    /// The chunks, in the order sent.
    pub chunks: Vec<Chunk<'a>>,
}

/// A chunk of a series.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chunk<'a> {
    /// Time of the first sample, in milliseconds since the epoch.
    pub min_ms: i64,
    /// Time of the last sample, in milliseconds since the epoch.
    pub max_ms: i64,
    /// The encoding of `data`; 1 is XOR.
    pub encoding: u64,
    /// The samples, encoded.
    pub data: &'a [u8],
}

/// Why an answer cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// Not well-formed on the wire.
    Wire(WireError),
    /// The answer ends inside a frame.
    Truncated,
    /// The checksum of a frame is wrong.
    Checksum {
        /// Where the message starts in the answer, in bytes.
        offset: usize,
    },
    /// A frame holds another number of series than one.
    Series {
        /// The number found.
        found: usize,
    },
    /// A chunk is no XOR chunk.
    Encoding(u64),
    /// A chunk cannot be read.
    Chunk(XorError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(source) => source.fmt(f),
            Self::Truncated => f.write_str("the answer ends inside a frame"),
            Self::Checksum { offset } => {
                write!(f, "the checksum of the frame at byte {offset} is wrong")
            }
            Self::Series { found } => write!(f, "a frame with {found} series, not one"),
            Self::Encoding(found) => write!(f, "a chunk with the encoding {found}, not 1 (XOR)"),
            Self::Chunk(source) => source.fmt(f),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<WireError> for FrameError {
    fn from(source: WireError) -> Self {
        Self::Wire(source)
    }
}

impl<'a> Frames<'a> {
    /// Reads `answer`, the whole body.
    #[must_use]
    pub fn new(answer: &'a [u8]) -> Self {
        Self { reader: Reader::new(answer), failed: false }
    }

    fn next_frame(&mut self) -> Result<Option<Frame<'a>>, FrameError> {
        if self.reader.rest().is_empty() {
            return Ok(None);
        }
        let len = usize::try_from(self.reader.varint()?).unwrap_or(usize::MAX);
        let crc = self.reader.take(CRC_BYTES).ok_or(FrameError::Truncated)?;
        let offset = self.reader.offset();
        let message = self.reader.take(len).ok_or(FrameError::Truncated)?;
        if crc32c::crc32c(message).to_be_bytes() != crc {
            return Err(FrameError::Checksum { offset });
        }
        Frame::read(Reader::new(message)).map(Some)
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Result<Frame<'a>, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.next_frame().transpose();
        self.failed = matches!(next, Some(Err(_)));
        next
    }
}

impl<'a> Frame<'a> {
    fn read(mut message: Reader<'a>) -> Result<Self, FrameError> {
        let mut frame = Self { query: 0, labels: Vec::new(), chunks: Vec::new() };
        let mut found = 0;
        while let Some(tag) = message.tag()? {
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "ChunkedReadResponse.chunked_series")?;
                    found += 1;
                    frame.read_series(message.message()?)?;
                }
                2 => {
                    tag.expect(WireType::Varint, "ChunkedReadResponse.query_index")?;
                    frame.query = message.varint()?;
                }
                _ => message.skip(tag)?,
            }
        }
        if found == 1 { Ok(frame) } else { Err(FrameError::Series { found }) }
    }

    fn read_series(&mut self, mut series: Reader<'a>) -> Result<(), FrameError> {
        loop {
            let label = series.clone();
            let Some(tag) = series.tag()? else { return Ok(()) };
            match tag.number {
                1 => {
                    tag.expect(WireType::Bytes, "ChunkedSeries.labels")?;
                    series.bytes()?;
                    let raw = &label.rest()[..label.rest().len() - series.rest().len()];
                    self.labels.extend(LabelIter::of_raw(raw).collect::<Result<Vec<_>, _>>()?);
                }
                2 => {
                    tag.expect(WireType::Bytes, "ChunkedSeries.chunks")?;
                    self.chunks.push(Chunk::read(series.message()?)?);
                }
                _ => series.skip(tag)?,
            }
        }
    }
}

impl<'a> Chunk<'a> {
    fn read(mut message: Reader<'a>) -> Result<Self, WireError> {
        let mut chunk = Self::default();
        while let Some(tag) = message.tag()? {
            if tag.number == 4 {
                tag.expect(WireType::Bytes, "Chunk.data")?;
                chunk.data = message.bytes()?;
                continue;
            }
            if !(1..=3).contains(&tag.number) {
                message.skip(tag)?;
                continue;
            }
            tag.expect(WireType::Varint, "Chunk.min_time_ms, max_time_ms or type")?;
            let number = message.varint()?;
            match tag.number {
                1 => chunk.min_ms = number.cast_signed(),
                2 => chunk.max_ms = number.cast_signed(),
                _ => chunk.encoding = number,
            }
        }
        Ok(chunk)
    }

    /// The samples of the chunk.
    ///
    /// # Errors
    /// [`FrameError::Encoding`] if it is no XOR chunk, [`FrameError::Chunk`] if it is damaged.
    pub fn samples(&self) -> Result<Vec<siltstone::Sample>, FrameError> {
        if self.encoding != XOR {
            return Err(FrameError::Encoding(self.encoding));
        }
        let samples = XorReader::new(self.data).and_then(Iterator::collect);
        samples.map_err(FrameError::Chunk)
    }
}
