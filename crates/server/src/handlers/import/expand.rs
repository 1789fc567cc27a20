//! The coding of an import's body, undone as it arrives.
//!
//! Bytes go in piece by piece, and what they expand to comes out in pieces of bounded size, so that memory does
//! not depend on how well a body was compressed.

use std::io::{self, Write};
use std::ops::ControlFlow;

use flate2::write::MultiGzDecoder;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::refusal::Refusal;

/// zstd windows beyond this are refused: the window is memory that the sender chooses. RFC 8878 asks decoders for
/// 8 MiB, and `zstd -19` uses as much.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes that come out at a time.
const OUT_BYTES: usize = 64 << 10;
/// Bytes of gzip that go in at a time: they expand to a thousand times as much at most.
const GZIP_STEP_BYTES: usize = 1 << 10;
/// What a gzip decoder holds, its window and tables.
const GZIP_BYTES: usize = 64 << 10;

/// See the module.
pub(super) enum Expand {
    Identity,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zstd(Box<Zstd>),
}

pub(super) struct Zstd {
    context: DCtx<'static>,
    out: Vec<u8>,
    /// Whether a frame has begun and not ended.
    in_frame: bool,
}

impl Expand {
    /// By the headers of the request.
    ///
    /// # Errors
    /// 415 for a coding that is not spoken.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let name = headers.get(CONTENT_ENCODING).map_or(&b""[..], |value| value.as_bytes());
        match name.to_ascii_lowercase().as_slice() {
            b"" | b"identity" => Ok(Self::Identity),
            b"gzip" | b"x-gzip" => Ok(Self::Gzip(Box::new(MultiGzDecoder::new(Vec::new())))),
            b"zstd" => Ok(Self::Zstd(Box::new(Zstd::new()?))),
            _ => {
                let message = "the body may be plain, or compressed with gzip or zstd";
                Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
            }
        }
    }

    /// Hands what `bytes` expand to to `out`, until that breaks.
    ///
    /// # Errors
    /// When the body is damaged.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        match self {
            Self::Identity => Ok(out(bytes)),
            Self::Gzip(decoder) => {
                for mut step in bytes.chunks(GZIP_STEP_BYTES) {
                    while !step.is_empty() {
                        let taken = decoder.write(step)?;
                        if taken == 0 {
                            return Err(io::ErrorKind::InvalidData.into());
                        }
                        step = &step[taken..];
                    }
                    if hand_over(decoder.get_mut(), out).is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                }
                Ok(ControlFlow::Continue(()))
            }
            Self::Zstd(decoder) => decoder.feed(bytes, out),
        }
    }

    /// The body has ended; hands over what is left.
    ///
    /// # Errors
    /// When it may not end here.
    pub(super) fn end(&mut self, out: &mut impl FnMut(&[u8]) -> ControlFlow<()>) -> io::Result<()> {
        match self {
            Self::Identity => Ok(()),
            Self::Gzip(decoder) => {
                decoder.try_finish()?;
                let _ = hand_over(decoder.get_mut(), out);
                Ok(())
            }
            Self::Zstd(decoder) if decoder.in_frame => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete zstd frame"))
            }
            Self::Zstd(_) => Ok(()),
        }
    }

    /// Bytes of heap held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Identity => 0,
            Self::Gzip(decoder) => GZIP_BYTES + decoder.get_ref().capacity(),
            Self::Zstd(decoder) => decoder.context.sizeof() + decoder.out.capacity(),
        }
    }
}

fn hand_over(
    expanded: &mut Vec<u8>,
    out: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let flow = out(expanded);
    expanded.clear();
    expanded.shrink_to(OUT_BYTES);
    flow
}

impl Zstd {
    fn new() -> Result<Self, Refusal> {
        let mut context = DCtx::try_create().ok_or_else(Refusal::no_memory)?;
        let limited = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
        limited.map_err(|code| Refusal::unavailable(get_error_name(code)))?;
        Ok(Self { context, out: Vec::with_capacity(OUT_BYTES), in_frame: false })
    }

    fn feed(
        &mut self,
        bytes: &[u8],
        out: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> io::Result<ControlFlow<()>> {
        let mut input = InBuffer::around(bytes);
        while !bytes.is_empty() {
            self.out.clear();
            let mut output = OutBuffer::around(&mut self.out);
            let hint = self.context.decompress_stream(&mut output, &mut input);
            let hint = hint.map_err(|code| io::Error::other(get_error_name(code)))?;
            self.in_frame = hint != 0;
            if out(&self.out).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            // Behind the end of a frame the decoder would ask for the next one.
            let is_empty = self.out.len() < self.out.capacity() || !self.in_frame;
            if input.pos() == bytes.len() && is_empty {
                break;
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(coding: &str, body: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, coding.parse().unwrap());
        let mut expand = Expand::of(&headers).unwrap();
        let mut all = Vec::new();
        let mut most = 0;
        let mut out = |bytes: &[u8]| {
            most = most.max(bytes.len());
            all.extend_from_slice(bytes);
            ControlFlow::Continue(())
        };
        for piece in body.chunks(piece) {
            assert!(expand.feed(piece, &mut out)?.is_continue());
        }
        expand.end(&mut out)?;
        assert!(coding == "identity" || most <= 2 << 20, "{most} at a time");
        Ok(all)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        coder.write_all(text).unwrap();
        coder.finish().unwrap()
    }

    #[test]
    fn bodies_in_pieces_of_every_size() {
        let text: Vec<u8> = (0..5000u32).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        let zstd = zstd::encode_all(&text[..], 3).unwrap();
        let both = [text.clone(), text.clone()].concat();
        for piece in [1, 7, 1000, 1 << 20] {
            assert_eq!(expand("identity", &text, piece).unwrap(), text);
            assert_eq!(expand("gzip", &gzip(&text), piece).unwrap(), text);
            assert_eq!(expand("zstd", &zstd, piece).unwrap(), text);
            assert_eq!(expand("gzip", &gzip(&text).repeat(2), piece).unwrap(), both);
            assert_eq!(expand("zstd", &zstd.repeat(2), piece).unwrap(), both);
        }
    }

    #[test]
    fn what_is_cut_or_damaged_is_an_error() {
        let text = vec![b'x'; 100_000];
        for (coding, body) in
            [("gzip", gzip(&text)), ("zstd", zstd::encode_all(&text[..], 3).unwrap())]
        {
            assert!(expand(coding, &body[..body.len() - 1], 1000).is_err(), "{coding}");
            assert!(expand(coding, b"not compressed at all", 1000).is_err(), "{coding}");
        }
    }

    #[test]
    fn what_expands_a_thousand_times_comes_in_pieces() {
        let text = vec![b'\n'; 64 << 20];
        for (coding, body) in
            [("gzip", gzip(&text)), ("zstd", zstd::encode_all(&text[..], 3).unwrap())]
        {
            assert_eq!(expand(coding, &body, 64 << 10).unwrap().len(), text.len(), "{coding}");
        }
    }

    #[test]
    fn a_window_larger_than_its_limit_is_refused() {
        let mut coder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        coder.window_log(27).unwrap();
        coder.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let body = coder.finish().unwrap();
        assert!(expand("zstd", &body, 1 << 20).is_err());
    }
}
