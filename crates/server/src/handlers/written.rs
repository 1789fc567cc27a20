//! The headers by which every path that takes samples says how many it has stored: those of remote write 2.0.
//!
//! Every answer has them, also one that stored nothing: a sender that is refused learns from them whether a part
//! of what it sent is stored.

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

const SAMPLES: HeaderName = HeaderName::from_static("x-prometheus-remote-write-samples-written");
const HISTOGRAMS: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-histograms-written");
const EXEMPLARS: HeaderName =
    HeaderName::from_static("x-prometheus-remote-write-exemplars-written");

/// Says that so many samples were stored.
pub(crate) fn tell(headers: &mut HeaderMap, samples: u64) {
    headers.insert(SAMPLES, HeaderValue::from(samples));
    headers.insert(HISTOGRAMS, HeaderValue::from(0));
    headers.insert(EXEMPLARS, HeaderValue::from(0));
}

/// Says that nothing was stored, unless the answer says something else.
pub(crate) fn complete(headers: &mut HeaderMap) {
    if !headers.contains_key(SAMPLES) {
        tell(headers, 0);
    }
}
