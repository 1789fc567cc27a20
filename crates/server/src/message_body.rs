//! Bodies that are one compressed protobuf message, as of remote write and remote read.
//!
//! The headers say which message it is and how it is compressed, and are judged before the body is
//! looked at: a sender that offers what is not spoken here gets 415 even if its body is damaged. What a
//! body declares of its decoded length is checked against the caller's limit before it is believed, and
//! no more than that is decoded: memory is set apart by it.
//!
//! A body that begins with the four bytes of a zstd frame is zstd, also if it is called snappy: some senders do.
//! The block format of snappy cannot begin so: after the length, 40, would come a copy of what was decoded before.
//!
//! A zstd body is one frame. Several, one after the other, would each declare a length, and only that of
//! the first one is known before decoding. Every sender compresses a message at once, into one frame.

use std::io::Read;

use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::protocol::snappy;
use crate::refusal::Refusal;

/// zstd windows beyond this are refused: the window is memory that the sender chooses.
const ZSTD_WINDOW_LOG_MAX: u32 = 25;
/// What every zstd frame begins with.
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    /// The block format of snappy, as the protocols prescribe.
    Snappy,
    /// As vmagent sends it.
    Zstd,
}

impl Coding {
    /// Judges the headers of a request whose body should be `message`, such as
    /// `prometheus.WriteRequest`.
    pub(crate) fn of(headers: &HeaderMap, message: &str) -> Result<Self, Refusal> {
        let refuse = |text: String| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        if !is_message(headers, message) {
            return refuse(format!("the body must be application/x-protobuf, proto={message}"));
        }
        match headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes) {
            None => Ok(Self::Snappy),
            Some(name) if name.eq_ignore_ascii_case(b"snappy") => Ok(Self::Snappy),
            Some(name) if name.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            Some(_) => {
                refuse("the body must be compressed with snappy (block format) or zstd".to_owned())
            }
        }
    }

    /// How `body` is compressed, whatever its headers say.
    fn seen_in(self, body: &[u8]) -> Self {
        if body.starts_with(ZSTD_MAGIC) { Self::Zstd } else { self }
    }

    /// The bytes that `body` decodes to, from what it declares of itself; `limit` if it does not say.
    pub(crate) fn decoded_len(self, body: &[u8], limit: usize) -> Result<usize, Refusal> {
        let declared = match self.seen_in(body) {
            Self::Snappy => snap::raw::decompress_len(body).ok(),
            Self::Zstd => zstd::zstd_safe::get_frame_content_size(body)
                .ok()
                .flatten()
                .map(|len| usize::try_from(len).unwrap_or(usize::MAX)),
        };
        match declared {
            Some(len) if len > limit => Err(decoded_too_large(limit)),
            Some(len) => Ok(len),
            // Damaged, or not said: the limit holds.
            None => Ok(limit),
        }
    }

    /// Decodes `body`, to at most `limit` bytes, into `out`, whose memory is reused.
    pub(crate) fn decode(
        self,
        body: &[u8],
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let declared = self.decoded_len(body, limit)?;
        // What is in it will be replaced, and is not cleared first: snappy would have it zeroed anew.
        // One byte more than declared tells a body that is longer, and keeps the buffer from growing for it.
        let missing = (declared + 1).saturating_sub(out.len());
        out.try_reserve_exact(missing).map_err(|_| Refusal::no_memory())?;
        match self.seen_in(body) {
            Self::Snappy => snappy::decompress(body, limit, out).map_err(|error| match error {
                snappy::SnappyError::TooLarge { .. } => decoded_too_large(limit),
                error => Refusal::bad_request(error.to_string()),
            }),
            Self::Zstd => {
                out.clear();
                let rest = decode_frame(body, declared, out)
                    .map_err(|e| Refusal::bad_request(format!("the body is not zstd: {e}")))?;
                match (out.len() > declared, rest) {
                    (true, _) if declared == limit => Err(decoded_too_large(limit)),
                    (true, _) => Err(Refusal::bad_request("the body is longer than it declares")),
                    (false, 0) => Ok(()),
                    (false, rest) => Err(Refusal::bad_request(format!(
                        "the body must be one zstd frame; {rest} bytes follow it"
                    ))),
                }
            }
        }
    }
}

/// Decodes the first frame of `body`, up to one byte more than `most`; the bytes behind it.
fn decode_frame(body: &[u8], most: usize, out: &mut Vec<u8>) -> std::io::Result<usize> {
    let mut reader = zstd::stream::read::Decoder::with_buffer(body)?.single_frame();
    reader.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    let mut limited = reader.take((most as u64).saturating_add(1));
    limited.read_to_end(out)?;
    Ok(limited.into_inner().finish().len())
}

/// Whether the media type, if there is one, is that of `message`.
fn is_message(headers: &HeaderMap, message: &str) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    let is_protobuf =
        parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf"));
    is_protobuf
        && parts.filter(|part| !part.is_empty()).all(|part| match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("proto") => {
                value.trim().trim_matches('"') == message
            }
            Some(_) => true,
            None => false,
        })
}

fn decoded_too_large(limit: usize) -> Refusal {
    Refusal::too_large(format!("the decoded body is larger than the limit of {limit} bytes"))
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;

    fn coding_of(headers: &[(&str, &str)]) -> Result<Coding, u16> {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let coding = Coding::of(request.body(()).unwrap().headers(), "prometheus.WriteRequest");
        coding.map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_body_that_is_too_long_takes_no_more_than_its_limit() {
        let limit = 1 << 20;
        let mut coder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        // A stream does not declare its length.
        std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 8 << 20), &mut coder).unwrap();
        let mut out = Vec::new();
        let refusal = Coding::Zstd.decode(&coder.finish().unwrap(), limit, &mut out).unwrap_err();
        assert_eq!(refusal.status.as_u16(), 413);
        assert!(out.capacity() <= limit + 1, "{}", out.capacity());
    }

    #[test]
    fn no_snappy_block_begins_as_zstd_does() {
        assert_eq!(ZSTD_MAGIC[0], 40, "the decoded length, in one byte");
        assert_eq!(ZSTD_MAGIC[1] & 3, 1, "a copy, and nothing to copy from");
        for len in 0..100 {
            let block = [ZSTD_MAGIC, &vec![b'x'; len]].concat();
            assert!(snap::raw::Decoder::new().decompress_vec(&block).is_err());
        }
    }

    #[test]
    fn the_headers_decide() {
        let kind = |value| coding_of(&[("Content-Type", value)]);
        for good in [
            "application/x-protobuf",
            "Application/X-Protobuf ; proto=prometheus.WriteRequest",
            "application/x-protobuf;proto=\"prometheus.WriteRequest\";charset=utf-8",
        ] {
            assert_eq!(kind(good), Ok(Coding::Snappy), "{good}");
        }
        for bad in [
            "application/json",
            "image/png",
            "",
            "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "application/x-protobuf;proto=prometheus.ReadRequest",
            "application/x-protobuf;proto",
            "application/x-protobuf;proto=",
        ] {
            assert_eq!(kind(bad), Err(415), "{bad}");
        }
        let encoding = |value| coding_of(&[("Content-Encoding", value)]);
        assert_eq!(coding_of(&[]), Ok(Coding::Snappy));
        assert_eq!(encoding("ZSTD"), Ok(Coding::Zstd));
        assert_eq!(encoding("gzip"), Err(415));
        assert_eq!(encoding("deflate"), Err(415));
    }
}
