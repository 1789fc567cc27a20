//! Prometheus's remote read: all raw samples of a range, stale markers included.
//!
//! Asks for the plain response type (one protobuf message in a snappy block) in windows, so that no
//! response is large. Histograms are not read: nothing here scrapes native ones.

use siltstone_rig::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::wire::{Fields, WireError, put_bytes, put_integer};
use snap::raw::{Decoder, Encoder, decompress_len};

use crate::compare::{Sample, SeriesLabels, SeriesSet};

/// Length of a window in milliseconds.
const WINDOW_MS: i64 = 60_000;
/// Largest decompressed response, in bytes.
const RESPONSE_BYTES_MAX: usize = 1 << 30;

const HEADERS: &[(&str, &str)] = &[
    ("Content-Encoding", "snappy"),
    ("Accept-Encoding", "snappy"),
    ("Content-Type", "application/x-protobuf"),
    ("X-Prometheus-Remote-Read-Version", "0.1.0"),
];

/// Matcher type `=~`.
const REGEX: u64 = 2;

/// Reads every float sample of the range (milliseconds, both ends included).
///
/// # Errors
/// If Prometheus does not answer, or not as specified.
pub(crate) fn read_all(
    client: &mut HttpClient,
    range: std::ops::RangeInclusive<i64>,
) -> Result<SeriesSet, RigError> {
    let mut set = SeriesSet::default();
    let mut start = *range.start();
    while start <= *range.end() {
        let end = (start + WINDOW_MS - 1).min(*range.end());
        let message = request(start, end);
        let body = Encoder::new()
            .compress_vec(&message)
            .map_err(|e| RigError::failed(format!("snappy: {e}")))?;
        let response =
            client.post("/api/v1/read", HEADERS, &body).map_err(RigError::io("remote read"))?;
        if !response.is_success() {
            return Err(RigError::failed(format!("remote read was answered with {response}")));
        }
        let broken = |what: String| RigError::failed(format!("the remote read's answer: {what}"));
        let length = decompress_len(&response.body).map_err(|e| broken(e.to_string()))?;
        if length > RESPONSE_BYTES_MAX {
            return Err(broken(format!("{length} bytes are too many")));
        }
        let message =
            Decoder::new().decompress_vec(&response.body).map_err(|e| broken(e.to_string()))?;
        read_response(&message, &mut set).map_err(|e| broken(e.to_string()))?;
        start = end + 1;
    }
    Ok(set)
}

/// A `ReadRequest` for every series in the range.
fn request(start_ms: i64, end_ms: i64) -> Vec<u8> {
    let mut matcher = Vec::new();
    put_integer(&mut matcher, 1, REGEX);
    put_bytes(&mut matcher, 2, b"__name__");
    put_bytes(&mut matcher, 3, b".+");
    let mut query = Vec::new();
    put_integer(&mut query, 1, start_ms.cast_unsigned());
    put_integer(&mut query, 2, end_ms.cast_unsigned());
    put_bytes(&mut query, 3, &matcher);
    let mut request = Vec::new();
    put_bytes(&mut request, 1, &query);
    request
}

/// Adds the series of a `ReadResponse`.
fn read_response(message: &[u8], set: &mut SeriesSet) -> Result<(), WireError> {
    let mut response = Fields::new(message);
    while let Some((number, result)) = response.next_field()? {
        if number != 1 {
            continue;
        }
        let mut result = Fields::new(result.bytes()?);
        while let Some((number, series)) = result.next_field()? {
            if number == 1 {
                let (labels, samples) = read_series(series.bytes()?)?;
                set.add(labels, samples);
            }
        }
    }
    Ok(())
}

/// Reads a `TimeSeries`.
fn read_series(message: &[u8]) -> Result<(SeriesLabels, Vec<Sample>), WireError> {
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    let mut series = Fields::new(message);
    while let Some((number, field)) = series.next_field()? {
        match number {
            1 => labels.push(read_label(field.bytes()?)?),
            2 => samples.push(read_sample(field.bytes()?)?),
            _ => {}
        }
    }
    Ok((SeriesLabels::new(labels), samples))
}

fn read_label(message: &[u8]) -> Result<(String, String), WireError> {
    let mut label = (String::new(), String::new());
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => label.0 = field.text()?.to_owned(),
            2 => label.1 = field.text()?.to_owned(),
            _ => {}
        }
    }
    Ok(label)
}

/// A zero value or timestamp is left out by the encoder.
fn read_sample(message: &[u8]) -> Result<Sample, WireError> {
    let (mut timestamp, mut bits) = (0i64, 0u64);
    let mut fields = Fields::new(message);
    while let Some((number, field)) = fields.next_field()? {
        match number {
            1 => bits = field.fixed64()?,
            2 => timestamp = field.integer()?.cast_signed(),
            _ => {}
        }
    }
    Ok((timestamp, bits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::STALE_MARKER;
    use siltstone_rig::wire::put_fixed64;

    fn sample(timestamp: i64, bits: u64) -> Vec<u8> {
        let mut sample = Vec::new();
        if bits != 0 {
            put_fixed64(&mut sample, 1, bits);
        }
        if timestamp != 0 {
            put_integer(&mut sample, 2, timestamp.cast_unsigned());
        }
        sample
    }

    fn response(samples: &[Sample]) -> Vec<u8> {
        let mut series = Vec::new();
        for (name, value) in [("__name__", "up"), ("job", "задание")] {
            let mut label = Vec::new();
            put_bytes(&mut label, 1, name.as_bytes());
            put_bytes(&mut label, 2, value.as_bytes());
            put_bytes(&mut series, 1, &label);
        }
        for &(timestamp, bits) in samples {
            put_bytes(&mut series, 2, &sample(timestamp, bits));
        }
        // A field of a later version.
        put_integer(&mut series, 15, 1);
        let mut result = Vec::new();
        put_bytes(&mut result, 1, &series);
        let mut response = Vec::new();
        put_bytes(&mut response, 1, &result);
        response
    }

    #[test]
    fn a_response_is_read_with_its_stale_markers_and_zeros() {
        let samples = [(1, STALE_MARKER), (0, 0), (-5, 0x8000_0000_0000_0000), (7, 0)];
        let mut set = SeriesSet::default();
        read_response(&response(&samples), &mut set).unwrap();
        let mut expected = SeriesSet::default();
        let labels = [("__name__", "up"), ("job", "задание")];
        let labels = labels.map(|(n, v)| (n.to_owned(), v.to_owned()));
        expected.add(SeriesLabels::new(labels), samples);
        assert_eq!(set, expected);
    }

    #[test]
    fn a_truncated_response_is_an_error() {
        let whole = response(&[(1, 2), (3, 4)]);
        for length in 1..whole.len() {
            let read = read_response(&whole[..length], &mut SeriesSet::default());
            assert!(read.is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_request_asks_for_everything_of_the_range() {
        // query { start: 1, end: -1, matcher { type: RE, name: "__name__", value: ".+" } }
        let mut expected = vec![0x0a, 31, 0x08, 1, 0x10];
        expected.extend([0xff; 9]);
        expected.extend([0x01, 0x1a, 16, 0x08, 2, 0x12, 8]);
        expected.extend(b"__name__");
        expected.extend([0x1a, 2]);
        expected.extend(b".+");
        assert_eq!(request(1, -1), expected);
    }
}
