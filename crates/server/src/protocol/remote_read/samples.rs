//! The plain answer, `prometheus.ReadResponse`: every sample of every series, in one message.
//!
//! It goes out as one snappy block, which starts with the length of the whole, so that it is held in
//! memory until it is complete. The caller's limit bounds what is held.

use std::fmt;

use siltstone::Sample;

use crate::protocol::protobuf::{self, WireType};
use crate::protocol::remote_write::encode_series;

/// Most bytes that a sample takes in the message: field, two fields inside, 8 bytes of a value, 10 of a
/// timestamp.
const SAMPLE_BYTES_MAX: usize = 22;

/// The answer would be larger than the caller allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManySamples {
    /// Most bytes of an answer.
    pub bytes_max: usize,
}

impl fmt::Display for TooManySamples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "exceeded sample limit: the answer in one piece would be larger than {} bytes; accept \
             the response type STREAMED_XOR_CHUNKS, which has no limit, or ask for fewer series or \
             a shorter time",
            self.bytes_max
        )
    }
}

impl std::error::Error for TooManySamples {}

/// Writes the results of the queries one after the other.
#[derive(Debug)]
pub struct SamplesWriter {
    message: Vec<u8>,
    /// Where the result of the present query starts.
    result_start: usize,
    bytes_max: usize,
}

impl SamplesWriter {
    /// A writer of a message of at most `bytes_max` bytes, give or take the heads of its parts.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { message: Vec::new(), result_start: 0, bytes_max }
    }

    /// Bytes of the message so far.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.message.len()
    }

    /// Whether there is room for a series with so many samples: to be asked before they are gathered.
    ///
    /// # Errors
    /// [`TooManySamples`] if there is not.
    pub fn check_room(&self, samples: usize) -> Result<(), TooManySamples> {
        let bytes = samples.saturating_mul(SAMPLE_BYTES_MAX).saturating_add(self.message.len());
        if bytes > self.bytes_max {
            return Err(TooManySamples { bytes_max: self.bytes_max });
        }
        Ok(())
    }

    /// Appends a series to the result of the present query.
    ///
    /// # Errors
    /// As [`SamplesWriter::check_room`]; nothing is appended.
    pub fn series<'a, L>(&mut self, labels: L, samples: &[Sample]) -> Result<(), TooManySamples>
    where
        L: IntoIterator<Item = (&'a str, &'a str)>,
        L::IntoIter: Clone,
    {
        self.check_room(samples.len())?;
        // A QueryResult has its series where a WriteRequest has them.
        encode_series(labels, samples, &mut self.message);
        Ok(())
    }

    /// Ends the result of the present query, with or without series.
    pub fn end_query(&mut self) {
        let mut head = Vec::new();
        protobuf::write_tag(1, WireType::Bytes, &mut head);
        protobuf::write_varint((self.message.len() - self.result_start) as u64, &mut head);
        // The length stands before what it is the length of; the result moves up by some bytes.
        self.message.splice(self.result_start..self.result_start, head);
        self.result_start = self.message.len();
    }

    /// The message.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.message
    }
}
