//! Compresses the body of an answer piece by piece, as the socket takes it.
//!
//! `reply` feeds it. At most [`SLICE_BYTES`] of input are worked on at a time, and zstd's window is
//! 128 KiB, so that an answer of any length costs less than a megabyte. Whatever waits in the encoder
//! is sent before the body waits for more, so that a slow answer arrives as it is made. Both encoders
//! run at their fastest level: the network is local, and the time is the server's. There are as many encoders as
//! the router allows: slow readers of compressed answers would hold one each.

use std::fmt;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use zstd::stream::write::Encoder as ZstdEncoder;

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
    /// As it stands in the headers of HTTP.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// An encoder with the input that it has not taken and the output that nobody has taken.
pub(crate) struct Coder {
    encoder: Encoder,
    input: Bytes,
    /// Input that was taken and may still be in the encoder.
    unflushed: bool,
    finished: bool,
    /// One of the encoders that there may be.
    _permit: Option<OwnedSemaphorePermit>,
}

enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Coder {
    pub(crate) fn new(coding: Coding, permit: Option<OwnedSemaphorePermit>) -> io::Result<Self> {
        let encoder = match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::fast())),
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW_LOG)?;
                Encoder::Zstd(encoder)
            }
        };
        Ok(Self {
            encoder,
            input: Bytes::new(),
            unflushed: false,
            finished: false,
            _permit: permit,
        })
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

    #[test]
    fn a_flush_sends_all_that_is_known() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut coder = Coder::new(coding, None).unwrap();
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
