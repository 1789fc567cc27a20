//! Remote write of whole series.

use siltstone_rig::RigError;
use siltstone_rig::http::HttpClient;
use siltstone_rig::remote_write::HEADERS;
use siltstone_rig::wire::{put_bytes, put_fixed64, put_integer};

use siltstone_promql::LabelSet;

use crate::dataset::Dataset;
use crate::stored::Stored;

/// Uncompressed bytes of a request, about.
const REQUEST_BYTES: usize = 1 << 20;

/// Writes all series in their order, so that the server numbers them in it.
///
/// The server stores the floats of a request before its histograms, and what is older than a stored
/// sample of its series not at all: of a series with both kinds, each request has one run.
pub(super) fn all(client: &mut HttpClient, data: &Dataset) -> Result<(), RigError> {
    let is_float = |sample: &(i64, Stored)| matches!(sample.1, Stored::Float(_));
    let mut runs: Vec<_> = data
        .series
        .iter()
        .map(|series| (&series.labels, series.samples.chunk_by(|a, b| is_float(a) == is_float(b))))
        .collect();
    loop {
        let mut message = Vec::new();
        let mut written = false;
        for (labels, runs) in &mut runs {
            let Some(run) = runs.next() else { continue };
            put_bytes(&mut message, 1, &one(labels, run));
            written = true;
            if message.len() > REQUEST_BYTES {
                post(client, &message)?;
                message.clear();
            }
        }
        if !written {
            return Ok(());
        }
        post(client, &message)?;
    }
}

fn post(client: &mut HttpClient, message: &[u8]) -> Result<(), RigError> {
    let body = snap::raw::Encoder::new()
        .compress_vec(message)
        .map_err(|error| RigError::failed(format!("compressing a request: {error}")))?;
    let response = client
        .post("/api/v1/write", HEADERS, &body)
        .map_err(RigError::io("writing to prometheus"))?;
    if response.is_success() {
        return Ok(());
    }
    Err(RigError::failed(format!("prometheus did not take the series: {response}")))
}

/// The message `prometheus.TimeSeries`.
fn one(labels: &LabelSet, samples: &[(i64, Stored)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in labels.iter() {
        let mut label = Vec::new();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(&mut out, 1, &label);
    }
    for (time, value) in samples {
        match value {
            Stored::Float(value) => {
                let mut sample = Vec::new();
                put_fixed64(&mut sample, 1, value.to_bits());
                put_integer(&mut sample, 2, time.cast_unsigned());
                put_bytes(&mut out, 2, &sample);
            }
            Stored::Native(native) => put_bytes(&mut out, 4, &native.message(*time)),
        }
    }
    out
}
