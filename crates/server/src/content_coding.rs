//! Compressed answers: gzip or zstd, whichever the client prefers in `Accept-Encoding`.
//!
//! The router applies it to the answers of the reading routes, so that no handler knows of it. A body
//! is compressed piece by piece as the socket takes it: at most [`SLICE_BYTES`] of input are worked on
//! at a time, and zstd's window is 128 KiB, so that an answer of any length costs less than a
//! megabyte. Whatever waits in the encoder is sent before the body waits for more, so that a slow
//! answer arrives as it is made. Both encoders run at their fastest level: the network is local, and
//! the time is the server's.

use std::fmt;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderMap, HeaderValue, VARY};
use zstd::stream::write::Encoder as ZstdEncoder;

use crate::accept::accepted;
use crate::reply::Reply;

/// Shorter answers are sent as they are: a packet is a packet.
const CODED_BYTES_MIN: usize = 1 << 10;
/// Most input that is compressed without a break.
pub(crate) const SLICE_BYTES: usize = 64 << 10;
/// Output is collected up to this before it is sent, unless the answer pauses.
const FRAME_BYTES: usize = 16 << 10;
const ZSTD_LEVEL: i32 = 1;
const ZSTD_WINDOW_LOG: u32 = 17;

/// How an answer may be compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Zstd,
}

impl Coding {
    /// What the client prefers; zstd among equals, `None` for an answer as it is.
    pub(crate) fn preferred(headers: &HeaderMap) -> Option<Self> {
        let of = |name: &str| match name {
            "zstd" => Some(Self::Zstd),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            _ => None,
        };
        let (mut gzip, mut zstd, mut others) = (None, None, None);
        for element in accepted(headers, ACCEPT_ENCODING) {
            let name = element.name.to_ascii_lowercase();
            match of(&name) {
                Some(Self::Gzip) => gzip = Some(element.quality),
                Some(Self::Zstd) => zstd = Some(element.quality),
                None if name == "*" => others = Some(element.quality),
                None => {}
            }
        }
        let quality = |named: Option<f32>| named.or(others).unwrap_or(0.0);
        let (gzip, zstd) = (quality(gzip), quality(zstd));
        if zstd > 0.0 && zstd >= gzip {
            Some(Self::Zstd)
        } else if gzip > 0.0 {
            Some(Self::Gzip)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Compresses the body of `reply`, if it is worth it, and says that it depends on the request.
pub(crate) fn apply(coding: Option<Coding>, reply: &mut Reply) {
    reply.headers_mut().append(VARY, HeaderValue::from_static("Accept-Encoding"));
    let Some(coding) = coding else { return };
    let is_short = reply.body().whole_len().is_some_and(|len| len < CODED_BYTES_MIN);
    if is_short || reply.headers().contains_key(CONTENT_ENCODING) {
        return;
    }
    match Coder::new(coding) {
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

/// An encoder with the input that it has not taken and the output that nobody has taken.
pub(crate) struct Coder {
    encoder: Encoder,
    input: Bytes,
    /// Input that was taken and may still be in the encoder.
    unflushed: bool,
    finished: bool,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Coder {
    pub(crate) fn new(coding: Coding) -> io::Result<Self> {
        let encoder = match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Self { encoder, input: Bytes::new(), unflushed: false, finished: false })
    }

    /// A whole body, compressed.
    pub(crate) fn whole(mut self, body: &[u8]) -> io::Result<Bytes> {
        self.write(body)?;
        self.finish()?;
        Ok(self.take_output().unwrap_or_default())
    }

    /// Hands over the next piece of the body; the one before has been taken.
    pub(crate) fn feed(&mut self, input: Bytes) {
        debug_assert!(self.input.is_empty(), "pieces are taken one after the other");
        self.input = input;
    }

    /// Takes a part of the piece; false if there is nothing of it left.
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        let slice = self.input.split_to(self.input.len().min(SLICE_BYTES));
        if slice.is_empty() {
            return Ok(false);
        }
        self.unflushed = true;
        self.write(&slice)?;
        Ok(true)
    }

    /// The output so far, if it is worth sending.
    pub(crate) fn take_frame(&mut self) -> Option<Bytes> {
        if self.output().len() < FRAME_BYTES { None } else { self.take_output() }
    }

    /// Everything that is known of the body so far, for a body that pauses.
    pub(crate) fn flush(&mut self) -> io::Result<Option<Bytes>> {
        if self.unflushed {
            self.unflushed = false;
            match &mut self.encoder {
                Encoder::Gzip(encoder) => encoder.flush()?,
                Encoder::Zstd(encoder) => encoder.flush()?,
            }
        }
        Ok(self.take_output())
    }

    /// The rest of the output; `None` if it was taken.
    pub(crate) fn end(&mut self) -> io::Result<Option<Bytes>> {
        if !self.finished {
            self.finish()?;
        }
        Ok(self.take_output())
    }

    /// Whether [`Coder::end`] has given everything.
    pub(crate) fn is_done(&self) -> bool {
        self.finished && self.output().is_empty()
    }

    fn finish(&mut self) -> io::Result<()> {
        self.finished = true;
        match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.try_finish(),
            Encoder::Zstd(encoder) => encoder.do_finish(),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    fn output(&self) -> &Vec<u8> {
        match &self.encoder {
            Encoder::Gzip(encoder) => encoder.get_ref(),
            Encoder::Zstd(encoder) => encoder.get_ref(),
        }
    }

    fn take_output(&mut self) -> Option<Bytes> {
        let output = match &mut self.encoder {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        };
        (!output.is_empty()).then(|| std::mem::take(output).into())
    }
}

impl fmt::Debug for Coder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coder").field("finished", &self.finished).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preferred(value: &'static str) -> Option<Coding> {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
        Coding::preferred(&headers)
    }

    #[test]
    fn the_client_decides() {
        assert_eq!(Coding::preferred(&HeaderMap::new()), None);
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

    #[test]
    fn a_flush_sends_all_that_is_known() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut coder = Coder::new(coding).unwrap();
            coder.feed(Bytes::from_static(b"first"));
            assert!(coder.step().unwrap() && !coder.step().unwrap());
            let first = coder.flush().unwrap().unwrap();
            let mut read = Vec::new();
            let result = match coding {
                Coding::Gzip => {
                    let mut reader = flate2::read::GzDecoder::new(&first[..]);
                    io::Read::read_to_end(&mut reader, &mut read)
                }
                Coding::Zstd => {
                    let mut reader = zstd::stream::read::Decoder::new(&first[..]).unwrap();
                    io::Read::read_to_end(&mut reader, &mut read)
                }
            };
            assert!(result.is_err(), "the end is missing");
            assert_eq!(read, b"first");
            assert_eq!(coder.flush().unwrap(), None, "nothing is left");
            assert!(!coder.is_done());
            assert!(coder.end().unwrap().is_some() && coder.is_done());
        }
    }
}
