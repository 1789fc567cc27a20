//! Prometheus's remote read: its request, and its two kinds of answers.
//!
//! Source: Prometheus, `prompb/remote.proto`, `prompb/types.proto`, `storage/remote/chunked.go`.
//!
//! * [`ReadRequest`] is the request after snappy, both read and written.
//! * [`SamplesWriter`] writes the plain answer (`SAMPLES`): one message with every sample, sent as one
//!   snappy block, and so held in memory.
//! * [`FrameWriter`] writes the streamed answer (`STREAMED_XOR_CHUNKS`): a frame for each series.
//!   [`Frames`] reads it.
//!
//! Numbers of fields: `ReadRequest{queries=1, accepted_response_types=2}`, `Query{start_timestamp_ms=1,
//! end_timestamp_ms=2, matchers=3, hints=4}`, `LabelMatcher{type=1, name=2, value=3}`;
//! `ReadResponse{results=1}`, `QueryResult{timeseries=1}` with the series of remote write;
//! `ChunkedReadResponse{chunked_series=1, query_index=2}`, `ChunkedSeries{labels=1, chunks=2}`,
//! `Chunk{min_time_ms=1, max_time_ms=2, type=3, data=4}`. Unknown fields are skipped; hints are, too:
//! they only allow an answer with less in it.

mod frame_reader;
mod frame_writer;
mod request;
mod samples;

pub use frame_reader::{Chunk, Frame, FrameError, Frames};
pub use frame_writer::{FRAME_BYTES_MAX, FrameParts, FrameWriter, SAMPLES_PER_CHUNK};
pub use request::{MATCHERS_MAX, QUERIES_MAX, Query, ReadRequest, ReadRequestError, ResponseType};
pub use samples::{SamplesWriter, TooManySamples};

/// `Chunk.type` of an XOR chunk.
const XOR: u64 = 1;

#[cfg(test)]
mod tests;
