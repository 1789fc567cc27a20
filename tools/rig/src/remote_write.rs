//! Remote-write 1.0 requests whose samples are patched in place.
//!
//! A load generator must not cost more than the server that it measures: the labels of a request are
//! encoded once, and each new request overwrites the value's eight bytes and the timestamp's varint,
//! which has the same length for all times that it accepts.

use snap::raw::{Encoder, max_compress_len};

use crate::error::RigError;
use crate::http::HttpClient;
use crate::store::WRITE_PATH;
use crate::wire::{put_bytes, put_fixed64, put_integer};

/// Headers of a remote-write 1.0 request.
pub const HEADERS: &[(&str, &str)] = &[
    ("Content-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];

/// Milliseconds since the epoch whose varint has [`TIMESTAMP_BYTES`] bytes: from February 1971 to May
/// 2109.
const TIMESTAMP_RANGE: std::ops::Range<u64> = 1 << 35..1 << 42;
const TIMESTAMP_BYTES: usize = 6;

/// A label's name and value.
pub type Label<'a> = (&'a str, &'a str);

/// An uncompressed `WriteRequest` with one sample a series.
#[derive(Debug, Clone)]
pub struct RequestTemplate {
    message: Vec<u8>,
    /// Where the eight bytes of each series' value are; a key byte and the timestamp follow.
    value_at: Vec<usize>,
}

impl RequestTemplate {
    /// A request without series.
    #[must_use]
    pub fn new() -> Self {
        Self { message: Vec::new(), value_at: Vec::new() }
    }

    /// Adds a series; its labels must be sorted by name.
    pub fn push_series(&mut self, labels: &[Label<'_>]) {
        let mut series = Vec::with_capacity(512);
        let mut label = Vec::with_capacity(128);
        for (name, value) in labels {
            label.clear();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut series, 1, &label);
        }
        let mut sample = Vec::with_capacity(16);
        put_fixed64(&mut sample, 1, 0);
        put_integer(&mut sample, 2, TIMESTAMP_RANGE.start);
        put_bytes(&mut series, 2, &sample);
        put_bytes(&mut self.message, 1, &series);
        self.value_at.push(self.message.len() - TIMESTAMP_BYTES - 1 - 8);
    }

    /// Series in the request.
    #[must_use]
    pub fn series(&self) -> usize {
        self.value_at.len()
    }

    /// Sets the sample of the series at `index`, in milliseconds since the epoch and as the bits of
    /// an `f64`.
    ///
    /// # Panics
    /// If the series is not there or the time is before February 1971 or after May 2109.
    pub fn set_sample(&mut self, index: usize, timestamp_ms: i64, bits: u64) {
        let timestamp = timestamp_ms.cast_unsigned();
        assert!(TIMESTAMP_RANGE.contains(&timestamp), "{timestamp_ms} ms needs another length");
        let at = self.value_at[index];
        let sample = &mut self.message[at..at + 8 + 1 + TIMESTAMP_BYTES];
        sample[..8].copy_from_slice(&bits.to_le_bytes());
        for (i, byte) in sample[9..].iter_mut().enumerate() {
            let more = if i + 1 < TIMESTAMP_BYTES { 0x80 } else { 0 };
            *byte = (timestamp >> (7 * i)) as u8 & 0x7f | more;
        }
    }

    /// The protobuf message.
    #[must_use]
    pub fn message(&self) -> &[u8] {
        &self.message
    }

    /// Replaces `body` by the request's body: the message in snappy's block format.
    pub fn compress(&self, encoder: &mut Encoder, body: &mut Vec<u8>) {
        body.resize(max_compress_len(self.message.len()), 0);
        let length = encoder
            .compress(&self.message, body)
            .expect("the buffer has the size that snap asks for and the message is below 4 GiB");
        body.truncate(length);
    }
}

impl Default for RequestTemplate {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a series with its samples, as (milliseconds, bits of the value), to a `WriteRequest`; the
/// labels must be sorted by name.
pub fn put_time_series(message: &mut Vec<u8>, labels: &[(String, String)], samples: &[(i64, u64)]) {
    let mut series = Vec::new();
    let mut part = Vec::new();
    for (name, value) in labels {
        part.clear();
        put_bytes(&mut part, 1, name.as_bytes());
        put_bytes(&mut part, 2, value.as_bytes());
        put_bytes(&mut series, 1, &part);
    }
    for &(timestamp, bits) in samples {
        part.clear();
        put_fixed64(&mut part, 1, bits);
        put_integer(&mut part, 2, timestamp.cast_unsigned());
        put_bytes(&mut series, 2, &part);
    }
    put_bytes(message, 1, &series);
}

/// A request's body: the message in snappy's block format.
///
/// # Errors
/// If the message is too large for it.
pub fn compress(encoder: &mut Encoder, message: &[u8]) -> Result<Vec<u8>, RigError> {
    encoder
        .compress_vec(message)
        .map_err(|error| RigError::failed(format!("compressing a request: {error}")))
}

/// Sends a request's body.
///
/// # Errors
/// If it is not answered with a success.
pub fn post(client: &mut HttpClient, body: &[u8]) -> Result<(), RigError> {
    let response =
        client.post(WRITE_PATH, HEADERS, body).map_err(RigError::io("a remote write"))?;
    if response.is_success() {
        return Ok(());
    }
    Err(RigError::failed(format!("a remote write was answered with {response}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Fields, put_varint};

    type Decoded = (Vec<(String, String)>, u64, i64);

    /// (labels, value bits, timestamp) of each series, read by the general decoder.
    fn decode(message: &[u8]) -> Vec<Decoded> {
        let mut found = Vec::new();
        let mut request = Fields::new(message);
        while let Some((number, series)) = request.next_field().unwrap() {
            assert_eq!(number, 1);
            let mut fields = Fields::new(series.bytes().unwrap());
            let (mut labels, mut bits, mut timestamp) = (Vec::new(), 0, 0);
            while let Some((number, field)) = fields.next_field().unwrap() {
                let mut inner = Fields::new(field.bytes().unwrap());
                let (_, one) = inner.next_field().unwrap().unwrap();
                let (_, two) = inner.next_field().unwrap().unwrap();
                if number == 1 {
                    labels.push((one.text().unwrap().into(), two.text().unwrap().into()));
                } else {
                    bits = one.fixed64().unwrap();
                    timestamp = two.integer().unwrap().cast_signed();
                }
            }
            found.push((labels, bits, timestamp));
        }
        found
    }

    #[test]
    fn patched_samples_are_where_a_decoder_looks() {
        let mut template = RequestTemplate::new();
        let long = "v".repeat(300);
        template.push_series(&[("__name__", "cpu"), ("host", "a")]);
        template.push_series(&[("__name__", "cpu"), ("host", &long)]);
        template.set_sample(0, 1_795_000_000_123, 1.5f64.to_bits());
        template.set_sample(1, 1 << 35, 0x7ff0_0000_0000_0002);
        template.set_sample(1, (1 << 42) - 1, 0x7ff0_0000_0000_0002);
        let found = decode(template.message());
        assert_eq!(found.len(), template.series());
        assert_eq!(found[0].0[1], ("host".into(), "a".into()));
        assert_eq!((found[0].1, found[0].2), (1.5f64.to_bits(), 1_795_000_000_123));
        assert_eq!(found[1].0[1].1, long);
        assert_eq!((found[1].1, found[1].2), (0x7ff0_0000_0000_0002, (1 << 42) - 1));
    }

    #[test]
    fn the_compressed_body_is_the_message() {
        let mut template = RequestTemplate::new();
        for host in ["a", "b", "c"] {
            template.push_series(&[("__name__", "cpu"), ("host", host)]);
        }
        let mut body = vec![9; 10_000];
        template.compress(&mut Encoder::new(), &mut body);
        let message = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        assert_eq!(message, template.message());
    }

    fn timestamp_varint(timestamp: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, timestamp);
        out
    }

    #[test]
    fn the_times_are_those_of_one_length() {
        for timestamp in [TIMESTAMP_RANGE.start, TIMESTAMP_RANGE.end - 1] {
            assert_eq!(timestamp_varint(timestamp).len(), TIMESTAMP_BYTES);
        }
        assert_ne!(timestamp_varint(TIMESTAMP_RANGE.start - 1).len(), TIMESTAMP_BYTES);
        assert_ne!(timestamp_varint(TIMESTAMP_RANGE.end).len(), TIMESTAMP_BYTES);
    }
}
