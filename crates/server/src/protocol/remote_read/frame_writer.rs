//! The streamed answer: one frame for each series, its samples in XOR chunks.
//!
//! A frame is the length of a `prometheus.ChunkedReadResponse` as a varint, the CRC-32C of the message,
//! big-endian, and the message. The stream ends with its last frame.
//!
//! *A series is cut into several frames only where it would be larger than [`FRAME_BYTES_MAX`].* The
//! protocol allows to cut anywhere, and Prometheus as a server cuts at 1 MiB. Prometheus as a client takes
//! each frame for a series of its own, however, so that a query over a series in two frames fails or
//! counts it twice.

use siltstone::Sample;

use super::XOR;
use crate::protocol::protobuf::{self, WireType};
use crate::protocol::remote_write::write_label;
use crate::protocol::xor_chunk::XorWriter;

/// Bytes of chunks from which a frame is sent although its series goes on: years of most series at one
/// sample in 10 s, and a sixth of the largest frame that Prometheus takes (`chunked_read_limit`).
pub const FRAME_BYTES_MAX: usize = 8 << 20;

/// Most samples of a chunk, as Prometheus has them.
pub const SAMPLES_PER_CHUNK: usize = 120;

/// Gathers the frames of one series after the other.
#[derive(Debug, Default)]
pub struct FrameWriter {
    /// The labels of the series, as fields of `ChunkedSeries`.
    labels: Vec<u8>,
    /// The chunks that are complete and not sent, as fields of `ChunkedSeries`.
    chunks: Vec<u8>,
    /// The chunk that is being written, and the time of its first and last sample.
    chunk: XorWriter,
    times: (i64, i64),
}

/// A frame, in two parts of which the second may be long.
#[derive(Debug)]
pub struct FrameParts<'a> {
    /// Length, checksum, and the message up to its chunks.
    pub head: Vec<u8>,
    /// The chunks.
    pub chunks: &'a [u8],
    /// What is behind the chunks.
    pub tail: Vec<u8>,
}

impl FrameWriter {
    /// Begins a series, with its labels in order. What was gathered and not taken is dropped.
    pub fn begin<'a>(&mut self, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        self.labels.clear();
        self.chunks.clear();
        self.chunk.clear();
        labels.into_iter().for_each(|label| write_label(label, &mut self.labels));
    }

    /// Appends a sample of the series, later than the one before.
    pub fn push(&mut self, sample: Sample) {
        if self.chunk.samples() == 0 {
            self.times.0 = sample.timestamp;
        }
        self.times.1 = sample.timestamp;
        self.chunk.push(sample);
        if self.chunk.samples() == SAMPLES_PER_CHUNK {
            self.end_chunk();
        }
    }

    /// Whether the frame must be taken before the next sample is appended.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.chunks.len() >= FRAME_BYTES_MAX
    }

    /// Whether nothing was appended since the last frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.chunk.samples() == 0
    }

    /// Hands the frame of all that was gathered to `send`, as one that answers the query with the number
    /// `query` (from 0), and empties it. The series goes on.
    pub fn take_frame<T>(&mut self, query: usize, send: impl FnOnce(FrameParts<'_>) -> T) -> T {
        self.end_chunk();
        let sent = send(self.frame(query));
        self.chunks.clear();
        sent
    }

    fn frame(&self, query: usize) -> FrameParts<'_> {
        let mut message_head = Vec::with_capacity(self.labels.len() + 16);
        protobuf::write_tag(1, WireType::Bytes, &mut message_head);
        let series_len = self.labels.len() + self.chunks.len();
        protobuf::write_varint(series_len as u64, &mut message_head);
        message_head.extend_from_slice(&self.labels);
        let mut tail = Vec::new();
        protobuf::write_integer(2, query as u64, &mut tail);

        let parts = [&message_head, &self.chunks, &tail];
        let crc = parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part));
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let mut head = Vec::with_capacity(message_head.len() + 16);
        protobuf::write_varint(len as u64, &mut head);
        head.extend_from_slice(&crc.to_be_bytes());
        head.extend_from_slice(&message_head);
        FrameParts { head, chunks: &self.chunks, tail }
    }

    /// Moves the chunk that is being written to those that are complete.
    fn end_chunk(&mut self) {
        if self.chunk.samples() == 0 {
            return;
        }
        let mut chunk = Vec::with_capacity(self.chunk.bytes().len() + 32);
        protobuf::write_integer(1, self.times.0.cast_unsigned(), &mut chunk);
        protobuf::write_integer(2, self.times.1.cast_unsigned(), &mut chunk);
        protobuf::write_integer(3, XOR, &mut chunk);
        protobuf::write_bytes(4, self.chunk.bytes(), &mut chunk);
        protobuf::write_bytes(2, &chunk, &mut self.chunks);
        self.chunk.clear();
    }
}
