//! The coding of an import's body, undone as it arrives.
//!
//! Who reads the body asks for the next piece ([`Expand::next`]) and stops when it has had enough: pieces are of
//! bounded size ([`PIECE_BYTES_MAX`]), so that neither memory nor the work between two looks depends on how well a
//! body was compressed.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use hyper::StatusCode;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use zstd::zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, get_error_name};

use crate::refusal::Refusal;

/// zstd windows beyond this are refused: the window is memory that the sender chooses. RFC 8878 asks decoders for
/// 8 MiB, and `zstd -19` uses as much.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Bytes that zstd hands over at a time. The decoder of gzip has a buffer of its own, of 32 KiB.
const OUT_BYTES: usize = 64 << 10;
/// The largest piece that comes out of a compressed body.
#[cfg(test)]
const PIECE_BYTES_MAX: usize = 2 * OUT_BYTES;
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
    /// Whether the decoder may have more to hand over of what it has taken.
    has_more: bool,
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

    /// The next bytes of the body, perhaps none, and takes from `input` what they are made of; `None` when all of
    /// it is used and more has to arrive.
    ///
    /// # Errors
    /// When the body is damaged.
    pub(super) fn next<'s, 'b: 's>(
        &'s mut self,
        input: &mut &'b [u8],
    ) -> io::Result<Option<&'s [u8]>> {
        match self {
            Self::Identity if input.is_empty() => Ok(None),
            Self::Identity => Ok(Some(std::mem::take(input))),
            Self::Gzip(_) if input.is_empty() => Ok(None),
            Self::Gzip(decoder) => {
                decoder.get_mut().clear();
                let taken = decoder.write(input)?;
                if taken == 0 {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                *input = &input[taken..];
                Ok(Some(decoder.get_ref()))
            }
            Self::Zstd(decoder) => decoder.next(input),
        }
    }

    /// The body has ended: what is left of it.
    ///
    /// # Errors
    /// When it may not end here.
    pub(super) fn end(&mut self) -> io::Result<&[u8]> {
        match self {
            Self::Identity => Ok(&[]),
            Self::Gzip(decoder) => {
                decoder.get_mut().clear();
                decoder.try_finish()?;
                Ok(decoder.get_ref())
            }
            Self::Zstd(decoder) if decoder.in_frame => {
                Err(io::Error::new(io::ErrorKind::UnexpectedEof, "incomplete zstd frame"))
            }
            Self::Zstd(_) => Ok(&[]),
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

impl Zstd {
    fn new() -> Result<Self, Refusal> {
        let mut context = DCtx::try_create().ok_or_else(Refusal::no_memory)?;
        let limited = context.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX));
        limited.map_err(|code| Refusal::unavailable(get_error_name(code)))?;
        let out = Vec::with_capacity(OUT_BYTES);
        Ok(Self { context, out, in_frame: false, has_more: false })
    }

    fn next(&mut self, bytes: &mut &[u8]) -> io::Result<Option<&[u8]>> {
        if bytes.is_empty() && !self.has_more {
            return Ok(None);
        }
        self.out.clear();
        let mut input = InBuffer::around(bytes);
        let mut output = OutBuffer::around(&mut self.out);
        let hint = self.context.decompress_stream(&mut output, &mut input);
        let hint = hint.map_err(|code| io::Error::other(get_error_name(code)))?;
        *bytes = &bytes[input.pos()..];
        self.in_frame = hint != 0;
        // Behind the end of a frame the decoder would ask for the next one.
        self.has_more = self.in_frame && self.out.len() == self.out.capacity();
        Ok(Some(&self.out))
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
        for mut piece in body.chunks(piece) {
            while let Some(bytes) = expand.next(&mut piece)? {
                most = most.max(bytes.len());
                all.extend_from_slice(bytes);
            }
        }
        all.extend_from_slice(expand.end()?);
        assert!(coding == "identity" || most <= PIECE_BYTES_MAX, "{most} at a time");
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
