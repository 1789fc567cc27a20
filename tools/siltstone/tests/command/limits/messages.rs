//! Messages of remote write, right and wrong ones.

use siltstone_rig::store::WRITE_PATH;
use siltstone_rig::wire::{put_bytes, put_fixed64, put_integer};
use snap::raw::Encoder;

use super::requests::post;

/// The headers of remote write 1.0.
pub(super) const HEADERS: &[(&str, &str)] = siltstone_rig::remote_write::HEADERS;

/// Labels and samples: times in milliseconds, and values.
pub(super) type Series<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// A message `WriteRequest`.
pub(super) fn write_request(all: &[Series<'_>]) -> Vec<u8> {
    let mut message = Vec::new();
    for (labels, samples) in all {
        let mut series = Vec::new();
        for (name, value) in *labels {
            put_label(&mut series, name.as_bytes(), value.as_bytes());
        }
        for (time, value) in *samples {
            put_sample(&mut series, *time, *value);
        }
        put_bytes(&mut message, 1, &series);
    }
    message
}

/// A field `labels` of a `TimeSeries`.
pub(super) fn put_label(series: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let mut label = Vec::new();
    put_bytes(&mut label, 1, name);
    put_bytes(&mut label, 2, value);
    put_bytes(series, 1, &label);
}

/// A field `samples` of a `TimeSeries`.
pub(super) fn put_sample(series: &mut Vec<u8>, time_ms: i64, value: f64) {
    let mut sample = Vec::new();
    put_fixed64(&mut sample, 1, value.to_bits());
    put_integer(&mut sample, 2, time_ms.cast_unsigned());
    put_bytes(series, 2, &sample);
}

pub(super) fn snappy(bytes: &[u8]) -> Vec<u8> {
    Encoder::new().compress_vec(bytes).unwrap()
}

/// A whole request with this message.
pub(super) fn remote_write(message: &[u8]) -> Vec<u8> {
    post(WRITE_PATH, HEADERS, &snappy(message))
}
