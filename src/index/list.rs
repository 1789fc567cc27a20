//! Writes one postings list in the smallest of its encodings, from runs of ordinals as they come.
//!
//! Called by `postings`. A list is gone over twice, to measure and to write, and is never held: one
//! that spans millions of series needs no memory.

use crate::types::DecodeError;
use crate::types::varint::{len_u64, put_u64};

/// How a list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Varints: the first ordinal, then each distance to the one before, less one.
    Deltas = 0,
    /// Pairs of varints: ordinals skipped since the run before, length of the run less one. All but
    /// the first skip are less one too.
    Runs = 1,
    /// The first ordinal as a varint, then bits from the first to the last ordinal, low bit first.
    Bitmap = 2,
}

impl Encoding {
    pub(super) fn from_bits(bits: u64) -> Result<Self, DecodeError> {
        match bits {
            0 => Ok(Self::Deltas),
            1 => Ok(Self::Runs),
            2 => Ok(Self::Bitmap),
            _ => Err(DecodeError::Invalid("encoding of postings")),
        }
    }
}

/// Measures a list in each encoding.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    first: u32,
    /// The ordinal behind the last.
    end: u32,
    count: u32,
    /// Bytes as deltas.
    deltas: u64,
    /// Bytes as runs, but for the length of the open one.
    runs: u64,
    /// Length of the run that may go on.
    open: u32,
}

impl Measure {
    /// Adds `len` ordinals, at least one, from `start` on; `start` is not below the end of those
    /// before, which it may continue.
    #[inline]
    pub(super) fn run(&mut self, start: u32, len: u32) {
        if self.count == 0 {
            self.first = start;
            self.deltas = len_u64(start.into()) as u64;
            self.runs = self.deltas;
            self.open = len;
        } else {
            let gap = u64::from(start - self.end);
            self.deltas += len_u64(gap) as u64;
            if gap == 0 {
                self.open += len;
            } else {
                self.runs += (len_u64(u64::from(self.open) - 1) + len_u64(gap - 1)) as u64;
                self.open = len;
            }
        }
        self.deltas += u64::from(len) - 1;
        self.count += len;
        self.end = start + len;
    }

    /// The number of ordinals.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The smallest encoding of the ordinals so far, at least one.
    pub(super) fn smallest(&self) -> Encoding {
        let bits = u64::from(self.end - self.first);
        let bitmap = len_u64(self.first.into()) as u64 + bits.div_ceil(8);
        let runs = self.runs + len_u64(u64::from(self.open) - 1) as u64;
        let smallest = self.deltas.min(bitmap).min(runs);
        if runs == smallest {
            Encoding::Runs
        } else if self.deltas == smallest {
            Encoding::Deltas
        } else {
            Encoding::Bitmap
        }
    }
}

/// Writes a list.
#[derive(Debug)]
pub(super) struct ListWriter {
    encoding: Encoding,
    started: bool,
    /// The ordinal behind the last.
    end: u32,
    /// Length of the run that may go on.
    open: u32,
    /// Bits of a bitmap that fill no byte yet, and their number.
    bits: u8,
    bit_count: u32,
}

impl ListWriter {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self { encoding, started: false, end: 0, open: 0, bits: 0, bit_count: 0 }
    }

    /// Appends `len` ordinals from `start` on, as they were given to [`Measure::run`].
    #[inline]
    pub(super) fn run(&mut self, start: u32, len: u32, out: &mut Vec<u8>) {
        let gap = start - self.end;
        match self.encoding {
            Encoding::Deltas => {
                put_u64(out, gap.into());
                out.resize(out.len() + len as usize - 1, 0);
            }
            Encoding::Runs if !self.started => {
                put_u64(out, start.into());
                self.open = len;
            }
            Encoding::Runs if gap == 0 => self.open += len,
            Encoding::Runs => {
                put_u64(out, u64::from(self.open) - 1);
                put_u64(out, u64::from(gap) - 1);
                self.open = len;
            }
            Encoding::Bitmap => {
                if self.started {
                    self.bits(false, gap, out);
                } else {
                    put_u64(out, start.into());
                }
                self.bits(true, len, out);
            }
        }
        self.started = true;
        self.end = start + len;
    }

    /// How many bytes [`run`](Self::run) from `start` on would append that mean no ordinal.
    pub(super) fn gap_bytes(&self, start: u32) -> usize {
        let gap = self.encoding == Encoding::Bitmap && self.started;
        if gap { (start - self.end) as usize / 8 } else { 0 }
    }

    /// Appends `bytes` bytes of a gap, no more than [`gap_bytes`](Self::gap_bytes).
    pub(super) fn skip(&mut self, bytes: usize, out: &mut Vec<u8>) {
        self.bits(false, bytes as u32 * 8, out);
        self.end += bytes as u32 * 8;
    }

    /// Appends what is open.
    pub(super) fn finish(self, out: &mut Vec<u8>) {
        match self.encoding {
            Encoding::Deltas => {}
            Encoding::Runs => put_u64(out, u64::from(self.open) - 1),
            Encoding::Bitmap if self.bit_count > 0 => out.push(self.bits),
            Encoding::Bitmap => {}
        }
    }

    fn bits(&mut self, set: bool, mut count: u32, out: &mut Vec<u8>) {
        let fill = if set { 0xFF } else { 0 };
        if self.bit_count > 0 {
            let some = count.min(8 - self.bit_count);
            self.bits |= (fill & ((1u16 << some) - 1) as u8) << self.bit_count;
            self.bit_count += some;
            count -= some;
            if self.bit_count < 8 {
                return;
            }
            out.push(self.bits);
        }
        out.resize(out.len() + count as usize / 8, fill);
        self.bit_count = count % 8;
        self.bits = fill & ((1u16 << self.bit_count) - 1) as u8;
    }
}
