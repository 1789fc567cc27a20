//! Compressed answers: gzip or zstd, whichever the client prefers in `Accept-Encoding`.
//!
//! The router applies it to the answers of the reading routes, so that no handler knows of it. How a
//! body is compressed: see `coder`.

use std::sync::Arc;

use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};

use tokio::sync::Semaphore;

use crate::accept::accepted;
use crate::coder::{Coder, Coding};
use crate::reply::Reply;

/// Shorter answers are sent as they are: a packet is a packet.
const CODED_BYTES_MIN: usize = 1 << 10;
/// What the client prefers; zstd among equals, `None` for an answer as it is.
pub(crate) fn preferred(headers: &HeaderMap) -> Option<Coding> {
    let of = |name: &str| match name {
        "zstd" => Some(Coding::Zstd),
        "gzip" | "x-gzip" => Some(Coding::Gzip),
        _ => None,
    };
    let (mut gzip, mut zstd, mut others) = (None, None, None);
    for element in accepted(headers, ACCEPT_ENCODING) {
        let name = element.name.to_ascii_lowercase();
        match of(&name) {
            Some(Coding::Gzip) => gzip = Some(element.quality),
            Some(Coding::Zstd) => zstd = Some(element.quality),
            None if name == "*" => others = Some(element.quality),
            None => {}
        }
    }
    let quality = |named: Option<f32>| named.or(others).unwrap_or(0.0);
    let (gzip, zstd) = (quality(gzip), quality(zstd));
    if zstd > 0.0 && zstd >= gzip {
        Some(Coding::Zstd)
    } else if gzip > 0.0 {
        Some(Coding::Gzip)
    } else {
        None
    }
}

/// Compresses the body of `reply`, if it is worth it, and says that it depends on the request. A long body holds
/// one of `encoders` until it has been sent; without one it goes as it is.
pub(crate) fn apply(coding: Option<Coding>, encoders: &Arc<Semaphore>, reply: &mut Reply) {
    reply.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(coding) = coding else { return };
    let is_short = reply.body().whole_len().is_some_and(|len| len < CODED_BYTES_MIN);
    if is_short || reply.headers().contains_key(CONTENT_ENCODING) {
        return;
    }
    let Ok(permit) = Arc::clone(encoders).try_acquire_owned() else { return };
    match Coder::new(coding, Some(permit)) {
        Ok(coder) => {
            if let Err(error) = reply.body_mut().compress(coder) {
                tracing::error!(%error, "cannot compress an answer");
                return;
            }
            let name = HeaderValue::from_static(coding.name());
            reply.headers_mut().insert(CONTENT_ENCODING, name);
        }
        // Out of memory: the answer goes as it is.
        Err(error) => tracing::warn!(%error, "answer sent without compression"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(value: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        super::preferred(&headers)
    }

    #[test]
    fn the_client_decides() {
        assert_eq!(super::preferred(&HeaderMap::new()), None);
        for (value, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("GZIP", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1, zstd;q=0.9", Some(Coding::Gzip)),
            ("gzip;q=0", None),
            ("gzip;q=0, *", Some(Coding::Zstd)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0", None),
            ("zstd;q=0, *;q=0.5", Some(Coding::Gzip)),
            ("deflate, br", None),
            ("identity", None),
            ("", None),
        ] {
            assert_eq!(preferred(value), coding, "{value}");
        }
    }
}
