//! Scratch of an index build that outgrows its memory: byte streams in blocks of one append-only
//! space.
//!
//! Called by `builder` and `merge`. A block is [`PAYLOAD_BYTES`] of one stream and a CRC32C that is
//! bound to the block's number: what comes back is what was written there, or an error. Streams may
//! be written at once, each with a buffer of its own; where their blocks are stays in memory, 24
//! bytes for each stretch of neighbouring blocks.

use crate::sys::Bytes;
use crate::sys::checksum::Crc;
use crate::types::DecodeError;
use crate::types::varint::get_u64;

/// Bytes of a block.
pub(super) const BLOCK_BYTES: usize = 4096;
/// Bytes of a stream in each of its blocks but the last.
pub(super) const PAYLOAD_BYTES: usize = BLOCK_BYTES - CRC_BYTES;
const CRC_BYTES: usize = 4;
/// Most blocks that are read, or gathered before they are written, at once.
pub(super) const BLOCKS_AT_ONCE: usize = 16;

/// Where an [`IndexBuilder`](super::IndexBuilder) puts what exceeds its memory. Nothing of it needs
/// to be durable, and all of it may go when the builder does.
pub trait Spill {
    /// Why scratch could not be written or read.
    type Error;

    /// Appends `bytes`, a whole number of blocks of 4 KiB. Not called before memory is short.
    ///
    /// # Errors
    /// There is no room, or writing failed. The builder cannot go on.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;

    /// The `len` bytes at `offset` of all that was appended.
    ///
    /// # Errors
    /// They cannot be read.
    fn read(&self, offset: u64, len: usize) -> Result<Bytes, Self::Error>;

    /// The error of bytes, at `offset`, that are not what was appended.
    fn damaged(&self, offset: u64, e: DecodeError) -> Self::Error;
}

/// The scratch space and the number of its blocks.
#[derive(Debug)]
pub(super) struct Log<S> {
    spill: S,
    blocks: u64,
    /// The blocks being framed; kept for its memory.
    framed: Vec<u8>,
}

impl<S: Spill> Log<S> {
    pub(super) fn new(spill: S) -> Self {
        Self { spill, blocks: 0, framed: Vec::new() }
    }

    /// Appends the blocks of `bytes`, the last filled up with zeros, and returns the number of the
    /// first.
    fn append(&mut self, bytes: &[u8]) -> Result<u64, S::Error> {
        let first = self.blocks;
        for some in bytes.chunks(BLOCKS_AT_ONCE * PAYLOAD_BYTES) {
            self.framed.clear();
            for payload in some.chunks(PAYLOAD_BYTES) {
                let start = self.framed.len();
                self.framed.extend_from_slice(payload);
                self.framed.resize(start + PAYLOAD_BYTES, 0);
                let crc = crc_of(self.blocks, &self.framed[start..]);
                self.framed.extend_from_slice(&crc.to_le_bytes());
                self.blocks += 1;
            }
            self.spill.append(&self.framed)?;
        }
        Ok(first)
    }

    /// Replaces `out` by the payloads of `count` blocks from `first` on.
    fn read(&self, first: u64, count: usize, out: &mut Vec<u8>) -> Result<(), S::Error> {
        out.clear();
        let offset = first * BLOCK_BYTES as u64;
        let bytes = self.spill.read(offset, count * BLOCK_BYTES)?;
        for (number, block) in (first..).zip(bytes.chunks(BLOCK_BYTES)) {
            let intact = block
                .split_last_chunk::<CRC_BYTES>()
                .filter(|(payload, crc)| crc_of(number, payload).to_le_bytes() == **crc);
            let Some((payload, _)) = intact else {
                let offset = number * BLOCK_BYTES as u64;
                return Err(self.spill.damaged(offset, DecodeError::Checksum("spilled block")));
            };
            out.extend_from_slice(payload);
        }
        Ok(())
    }

    /// The error of a stream whose blocks are intact and whose content is not.
    pub(super) fn invalid(&self, e: DecodeError) -> S::Error {
        self.spill.damaged(0, e)
    }
}

fn crc_of(number: u64, payload: &[u8]) -> u32 {
    Crc::new().with(&number.to_le_bytes()).with(payload).get()
}

/// Neighbouring blocks of a stream.
#[derive(Debug, Clone, Copy)]
struct Extent {
    /// The number of the first among the blocks of the stream.
    index: u64,
    /// The number of the first among all blocks.
    block: u64,
    count: u64,
}

/// A stream that was written: in blocks, its end perhaps in memory.
#[derive(Debug, Default)]
pub(super) struct Stream {
    extents: Vec<Extent>,
    tail: Vec<u8>,
    /// Length in bytes, the tail included.
    len: u64,
}

impl Stream {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Hands the bytes, in pieces, to `put`.
    pub(super) fn copy_to<S: Spill>(
        &self,
        log: &Log<S>,
        put: &mut impl FnMut(&[u8]) -> Result<(), S::Error>,
    ) -> Result<(), S::Error> {
        let mut input = StreamIn::new(self, BLOCKS_AT_ONCE);
        let in_blocks = self.len - self.tail.len() as u64;
        while input.position() < in_blocks {
            input.load(log, input.position())?;
            put(&input.window)?;
            input.at = input.window.len();
        }
        put(&self.tail)
    }
}

/// Writes a stream.
#[derive(Debug)]
pub(super) struct StreamOut {
    buffer: Vec<u8>,
    /// Bytes that the buffer may hold.
    limit: usize,
    extents: Vec<Extent>,
    blocks: u64,
    len: u64,
}

impl StreamOut {
    /// A stream that gathers `blocks` blocks before it writes them.
    pub(super) fn new(blocks: usize) -> Self {
        Self {
            buffer: Vec::new(),
            limit: blocks * PAYLOAD_BYTES,
            extents: Vec::new(),
            blocks: 0,
            len: 0,
        }
    }

    /// A stream that stays in memory.
    pub(super) fn in_memory() -> Self {
        Self { limit: usize::MAX, ..Self::new(0) }
    }

    pub(super) fn write<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        bytes: &[u8],
    ) -> Result<(), S::Error> {
        self.len += bytes.len() as u64;
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() < self.limit {
            return Ok(());
        }
        let whole = self.buffer.len() / PAYLOAD_BYTES * PAYLOAD_BYTES;
        self.spill(log, whole)
    }

    fn spill<S: Spill>(&mut self, log: &mut Log<S>, bytes: usize) -> Result<(), S::Error> {
        let count = bytes.div_ceil(PAYLOAD_BYTES) as u64;
        let block = log.append(&self.buffer[..bytes])?;
        match self.extents.last_mut() {
            Some(last) if last.block + last.count == block => last.count += count,
            _ => self.extents.push(Extent { index: self.blocks, block, count }),
        }
        self.blocks += count;
        self.buffer.drain(..bytes);
        Ok(())
    }

    /// Ends the stream in a block: nothing of it stays in memory.
    pub(super) fn end<S: Spill>(mut self, log: &mut Log<S>) -> Result<Stream, S::Error> {
        if !self.buffer.is_empty() {
            self.spill(log, self.buffer.len())?;
        }
        Ok(Stream { extents: self.extents, tail: Vec::new(), len: self.len })
    }

    /// Ends the stream where it is: what was not written stays in memory.
    pub(super) fn hold(self) -> Stream {
        Stream { extents: self.extents, tail: self.buffer, len: self.len }
    }
}

/// Reads a stream, in order or from a place.
#[derive(Debug)]
pub(super) struct StreamIn<'a> {
    stream: &'a Stream,
    /// Blocks read at once.
    blocks: usize,
    window: Vec<u8>,
    /// Where in the stream the window starts.
    start: u64,
    /// Where in the window the next byte is.
    at: usize,
}

impl<'a> StreamIn<'a> {
    pub(super) fn new(stream: &'a Stream, blocks: usize) -> Self {
        Self { stream, blocks, window: Vec::new(), start: 0, at: 0 }
    }

    pub(super) fn position(&self) -> u64 {
        self.start + self.at as u64
    }

    /// Goes to a place where it was before.
    pub(super) fn seek<S: Spill>(&mut self, log: &Log<S>, to: u64) -> Result<(), S::Error> {
        match to.checked_sub(self.start).and_then(|at| usize::try_from(at).ok()) {
            Some(at) if at <= self.window.len() => self.at = at,
            _ => self.load(log, to)?,
        }
        Ok(())
    }

    /// Fills the window with the bytes at `to`, below the end of the stream.
    fn load<S: Spill>(&mut self, log: &Log<S>, to: u64) -> Result<(), S::Error> {
        let in_blocks = self.stream.len - self.stream.tail.len() as u64;
        if to >= in_blocks {
            let from = (to - in_blocks) as usize;
            let until = self.stream.tail.len().min(from + self.blocks * PAYLOAD_BYTES);
            self.window.clear();
            self.window.extend_from_slice(&self.stream.tail[from..until]);
            (self.start, self.at) = (to, 0);
            return Ok(());
        }
        let index = to / PAYLOAD_BYTES as u64;
        let extents = &self.stream.extents;
        let extent = extents[extents.partition_point(|extent| extent.index <= index) - 1];
        let skipped = index - extent.index;
        let count = (self.blocks as u64).min(extent.count - skipped);
        log.read(extent.block + skipped, count as usize, &mut self.window)?;
        self.start = index * PAYLOAD_BYTES as u64;
        // The last block is filled up with zeros.
        self.window.truncate((in_blocks - self.start).min(self.window.len() as u64) as usize);
        self.at = (to - self.start) as usize;
        Ok(())
    }

    /// The bytes of the window that were not taken; more are loaded if there are none.
    fn rest<S: Spill>(&mut self, log: &Log<S>) -> Result<&[u8], S::Error> {
        if self.at == self.window.len() {
            let position = self.position();
            if position >= self.stream.len {
                return Err(log.invalid(DecodeError::Truncated("spilled stream")));
            }
            self.load(log, position)?;
        }
        Ok(&self.window[self.at..])
    }

    /// Takes a varint.
    #[inline]
    pub(super) fn varint<S: Spill>(&mut self, log: &Log<S>) -> Result<u64, S::Error> {
        let before = &self.window[self.at..];
        let mut rest = before;
        if let Ok(value) = get_u64(&mut rest) {
            self.at += before.len() - rest.len();
            return Ok(value);
        }
        self.split_varint(log)
    }

    /// [`varint`](Self::varint) where the bytes may go on in the next window.
    #[cold]
    fn split_varint<S: Spill>(&mut self, log: &Log<S>) -> Result<u64, S::Error> {
        let mut bytes = Vec::new();
        loop {
            let byte = self.rest(log)?[0];
            self.at += 1;
            bytes.push(byte);
            if byte < 0x80 || bytes.len() == 10 {
                return get_u64(&mut &bytes[..]).map_err(|e| log.invalid(e));
            }
        }
    }

    /// [`varint`](Self::varint) for a number that fits 32 bits.
    #[inline]
    pub(super) fn varint_u32<S: Spill>(&mut self, log: &Log<S>) -> Result<u32, S::Error> {
        let value = self.varint(log)?;
        u32::try_from(value).map_err(|_| log.invalid(DecodeError::Invalid("varint")))
    }

    /// Takes `len` bytes and appends them to `out`.
    pub(super) fn take<S: Spill>(
        &mut self,
        log: &Log<S>,
        mut len: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), S::Error> {
        while len > 0 {
            let rest = self.rest(log)?;
            let some = len.min(rest.len());
            out.extend_from_slice(&rest[..some]);
            self.at += some;
            len -= some;
        }
        Ok(())
    }
}
