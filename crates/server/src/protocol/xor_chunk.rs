//! Prometheus's XOR chunk: the samples of one series in a few bits each, as remote read streams them.
//!
//! Source of the format: Prometheus, `tsdb/docs/format/chunks.md`. Bits are filled from the highest of
//! each byte; a chunk is
//!
//! 1. the number of samples, 16 bits, big-endian;
//! 2. the first sample: its timestamp as a zigzag varint, the 64 bits of its value;
//! 3. the second: its timestamp less the first as a varint, its value;
//! 4. every other one: the *delta of delta*, by how much its distance to the sample before differs from
//!    that one's (see `CLASSES`), its value.
//!
//! A value behind the first is written by what its bits differ in (XOR) from the one before: `0` for
//! nothing; `10` and the bits of the *window* of the value before if nothing outside of it differs; else
//! `11`, a new window (5 bits: zeros before it, at most 31; 6 bits: its length, where 0 stands for 64)
//! and its bits. Every bit pattern survives, NaN payloads and -0.0 too, and every timestamp: differences
//! wrap around.
//!
//! The writer takes samples in any order of time, the reader any bytes.

use std::fmt;

use siltstone::Sample;
use siltstone::types::varint::{unzigzag, zigzag};

use super::protobuf::write_varint;

/// Most samples of a chunk: their number is 16 bits.
pub const SAMPLES_MAX: usize = u16::MAX as usize;

/// Bytes of the number of samples.
const COUNT_BYTES: usize = 2;

/// The ways to write a delta of delta that is not zero: its prefix, the bits of the prefix, and how many
/// bits follow. `n` bits hold -(2^(n-1) - 1) up to and with 2^(n-1); the last way holds everything.
const CLASSES: [(u64, u32, u32); 4] =
    [(0b10, 2, 14), (0b110, 3, 17), (0b1110, 4, 20), (0b1111, 4, 64)];

/// The part of a value's bits in which it differs from the one before.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// Bits before it.
    leading: u32,
    /// Bits behind it.
    trailing: u32,
}

impl Window {
    fn len(self) -> u32 {
        64 - self.leading - self.trailing
    }
}

/// Writes one chunk after the other, in the same memory.
#[derive(Debug, Clone, Default)]
pub struct XorWriter {
    bytes: Vec<u8>,
    /// Bits of the last byte that are not taken.
    free: u32,
    count: usize,
    last: Last,
}

/// What the next sample is told apart from.
#[derive(Debug, Clone, Copy, Default)]
struct Last {
    timestamp: i64,
    delta: u64,
    value: u64,
    window: Option<Window>,
}

impl XorWriter {
    /// The number of samples in the chunk.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.count
    }

    /// The chunk; empty, and so no chunk, without a sample.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Begins the next chunk.
    pub fn clear(&mut self) {
        self.bytes.clear();
        (self.free, self.count, self.last) = (0, 0, Last::default());
    }

    /// Appends a sample.
    ///
    /// # Panics
    /// If the chunk has [`SAMPLES_MAX`] samples already.
    pub fn push(&mut self, sample: Sample) {
        assert!(self.count < SAMPLES_MAX, "a chunk of {} samples is full", self.count);
        let value = sample.value.to_bits();
        let delta = sample.timestamp.wrapping_sub(self.last.timestamp).cast_unsigned();
        match self.count {
            0 => {
                self.bytes.extend_from_slice(&[0; COUNT_BYTES]);
                write_varint(zigzag(sample.timestamp), &mut self.bytes);
                self.bytes.extend_from_slice(&value.to_be_bytes());
            }
            1 => {
                write_varint(delta, &mut self.bytes);
                self.push_value(value);
            }
            _ => {
                self.push_delta_of_delta(delta.wrapping_sub(self.last.delta).cast_signed());
                self.push_value(value);
            }
        }
        self.count += 1;
        self.bytes[..COUNT_BYTES].copy_from_slice(&(self.count as u16).to_be_bytes());
        // The first sample has no distance to one before.
        let delta = if self.count == 1 { 0 } else { delta };
        self.last = Last { timestamp: sample.timestamp, delta, value, ..self.last };
    }

    fn push_delta_of_delta(&mut self, dod: i64) {
        if dod == 0 {
            return self.push_bits(0, 1);
        }
        let fits = |bits: u32| bits == 64 || (-(1 << (bits - 1)) < dod && dod <= 1 << (bits - 1));
        for (prefix, prefix_bits, bits) in CLASSES {
            if fits(bits) {
                self.push_bits(prefix, prefix_bits);
                return self.push_bits(dod.cast_unsigned(), bits);
            }
        }
    }

    fn push_value(&mut self, value: u64) {
        let xor = value ^ self.last.value;
        if xor == 0 {
            return self.push_bits(0, 1);
        }
        let needed =
            Window { leading: xor.leading_zeros().min(31), trailing: xor.trailing_zeros() };
        match self.last.window {
            Some(window)
                if needed.leading >= window.leading && needed.trailing >= window.trailing =>
            {
                self.push_bits(0b10, 2);
                self.push_bits(xor >> window.trailing, window.len());
            }
            _ => {
                self.push_bits(0b11, 2);
                self.push_bits(u64::from(needed.leading), 5);
                // A length of 64 becomes 0 in six bits.
                self.push_bits(u64::from(needed.len()), 6);
                self.push_bits(xor >> needed.trailing, needed.len());
                self.last.window = Some(needed);
            }
        }
    }

    /// Appends the lowest `count` bits of `bits`, the highest of them first.
    fn push_bits(&mut self, bits: u64, count: u32) {
        let mut left = count;
        while left > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let taken = left.min(self.free);
            let piece = (bits >> (left - taken)) & ((1 << taken) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (piece << (self.free - taken)) as u8;
            }
            self.free -= taken;
            left -= taken;
        }
    }
}

/// Why a chunk cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum XorError {
    /// The chunk ends before its samples do.
    Truncated,
    /// A timestamp has more than 64 bits.
    Timestamp,
    /// A window is larger than a value.
    Window,
    /// A value is written in the window of the one before, and there was none.
    NoWindow,
}

impl fmt::Display for XorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the XOR chunk ends before its samples do",
            Self::Timestamp => "a timestamp of the XOR chunk has more than 64 bits",
            Self::Window => "the XOR chunk has bits beyond the end of a value",
            Self::NoWindow => "a value of the XOR chunk has no window",
        })
    }
}

impl std::error::Error for XorError {}

/// Reads the samples of a chunk. After an error it ends; bytes behind the last sample are passed over.
#[derive(Debug, Clone)]
pub struct XorReader<'a> {
    bytes: &'a [u8],
    /// The next bit, counted from the start of `bytes`.
    at: usize,
    left: usize,
    read: usize,
    last: Last,
}

impl<'a> XorReader<'a> {
    /// A reader of the chunk that `bytes` is.
    ///
    /// # Errors
    /// [`XorError::Truncated`] if there is no number of samples.
    pub fn new(bytes: &'a [u8]) -> Result<Self, XorError> {
        let (count, bytes) = bytes.split_first_chunk().ok_or(XorError::Truncated)?;
        let left = usize::from(u16::from_be_bytes(*count));
        Ok(Self { bytes, at: 0, left, read: 0, last: Last::default() })
    }

    fn next_sample(&mut self) -> Result<Sample, XorError> {
        let mut last = self.last;
        match self.read {
            0 => {
                last.timestamp = unzigzag(self.varint()?);
                last.value = self.bits(64)?;
            }
            1 => {
                last.delta = self.varint()?;
                last.timestamp = last.timestamp.wrapping_add(last.delta.cast_signed());
                self.value(&mut last)?;
            }
            _ => {
                let dod = self.delta_of_delta()?;
                last.delta = last.delta.wrapping_add(dod.cast_unsigned());
                last.timestamp = last.timestamp.wrapping_add(last.delta.cast_signed());
                self.value(&mut last)?;
            }
        }
        self.last = last;
        self.read += 1;
        Ok(Sample { timestamp: last.timestamp, value: f64::from_bits(last.value) })
    }

    fn delta_of_delta(&mut self) -> Result<i64, XorError> {
        let mut ones = 0;
        while ones < CLASSES.len() && self.bits(1)? == 1 {
            ones += 1;
        }
        let Some((_, _, bits)) = ones.checked_sub(1).map(|class| CLASSES[class]) else {
            return Ok(0);
        };
        let dod = self.bits(bits)?.cast_signed();
        let is_negative = bits < 64 && dod > 1 << (bits - 1);
        Ok(if is_negative { dod - (1 << bits) } else { dod })
    }

    fn value(&mut self, last: &mut Last) -> Result<(), XorError> {
        if self.bits(1)? == 0 {
            return Ok(());
        }
        if self.bits(1)? == 1 {
            let leading = self.bits(5)? as u32;
            let len = match self.bits(6)? as u32 {
                0 => 64,
                len => len,
            };
            let trailing = 64u32.checked_sub(leading + len).ok_or(XorError::Window)?;
            last.window = Some(Window { leading, trailing });
        }
        let window = last.window.ok_or(XorError::NoWindow)?;
        last.value ^= self.bits(window.len())? << window.trailing;
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, XorError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8)?;
            let low = byte & 0x7f;
            if shift == 63 && low > 1 {
                break;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(XorError::Timestamp)
    }

    /// The next `count` bits, at most 64, as the lowest of the result.
    fn bits(&mut self, count: u32) -> Result<u64, XorError> {
        let mut value = 0;
        let mut left = count;
        while left > 0 {
            let byte = self.bytes.get(self.at / 8).ok_or(XorError::Truncated)?;
            let free = 8 - (self.at % 8) as u32;
            let taken = left.min(free);
            let piece = (u64::from(*byte) >> (free - taken)) & ((1 << taken) - 1);
            value = value << taken | piece;
            self.at += taken as usize;
            left -= taken;
        }
        Ok(value)
    }
}

impl Iterator for XorReader<'_> {
    type Item = Result<Sample, XorError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let next = self.next_sample();
        if next.is_err() {
            self.left = 0;
        }
        Some(next)
    }
}

#[cfg(test)]
mod tests;
