//! Byte-aligned residuals: nibbles, or the bytes of each residual spread over planes.
//!
//! Bit-packing hides the histogram of the residuals from an entropy coder, because symbols straddle
//! bytes. Zigzag residuals two to a byte, or as one plane per byte of significance, keep it: one
//! zstd frame over a group of chunks then shares its Huffman table between them. Larger on their
//! own, smaller under zstd.

use super::bitpack::RUN;
use crate::types::DecodeError;
use crate::types::varint::{unzigzag, zigzag};

/// The widths that planes come in, in bits.
pub(super) const WIDTHS: [usize; 6] = [0, 4, 8, 16, 32, 64];

/// The bytes that `count` residuals of `width` bits take.
pub(super) fn planes_len(count: usize, width: usize) -> usize {
    (count * width).div_ceil(8)
}

/// Appends `values` (signed, below `2^width` in zigzag form).
pub(super) fn pack(values: &[i64], width: usize, out: &mut Vec<u8>) {
    assert!(WIDTHS.contains(&width), "planes have a width of their own");
    if width == 4 {
        out.extend(values.chunks(2).map(|pair| {
            let high = pair.get(1).map_or(0, |&v| zigzag(v));
            debug_assert!(zigzag(pair[0]) < 16 && high < 16);
            (zigzag(pair[0]) | high << 4) as u8
        }));
    } else {
        for plane in 0..width / 8 {
            out.extend(values.iter().map(|&v| (zigzag(v) >> (8 * plane)) as u8));
        }
    }
}

/// Reads the residuals of one payload, a run at a time.
pub(super) struct PlaneReader<'a> {
    bytes: &'a [u8],
    count: usize,
    width: usize,
    next: usize,
}

impl<'a> PlaneReader<'a> {
    /// Over the `planes_len(count, width)` bytes of `count` residuals.
    pub(super) fn new(bytes: &'a [u8], count: usize, width: usize) -> Result<Self, DecodeError> {
        if !WIDTHS.contains(&width) {
            return Err(DecodeError::Invalid("width of planes"));
        }
        assert_eq!(bytes.len(), planes_len(count, width), "the caller cuts the payload");
        if width == 4 && count % 2 == 1 && bytes.last().is_some_and(|last| last >> 4 != 0) {
            return Err(DecodeError::Invalid("padding of nibbles"));
        }
        Ok(Self { bytes, count, width, next: 0 })
    }

    /// Reads the next run; residuals past the last are unspecified.
    pub(super) fn run(&mut self, out: &mut [i64; RUN]) {
        let len = RUN.min(self.count - self.next);
        if self.width == 4 {
            let pairs = &self.bytes[self.next / 2..(self.next + len).div_ceil(2)];
            let (out, _) = out.as_chunks_mut::<2>();
            for ([low, high], byte) in out.iter_mut().zip(pairs) {
                *low = unzigzag(u64::from(byte & 15));
                *high = unzigzag(u64::from(byte >> 4));
            }
        } else {
            let out = &mut out[..len];
            out.fill(0);
            for plane in 0..self.width / 8 {
                let start = plane * self.count + self.next;
                for (value, &byte) in out.iter_mut().zip(&self.bytes[start..start + len]) {
                    *value |= i64::from(byte) << (8 * plane);
                }
            }
            for value in out {
                *value = unzigzag(*value as u64);
            }
        }
        self.next += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_tail_round_trips() {
        for width in WIDTHS {
            for count in [0, 1, 2, 3, 63, 64, 65, 130] {
                let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
                let values: Vec<i64> = (0..count as u64)
                    .map(|i| unzigzag(i.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(9) & mask))
                    .collect();
                let mut bytes = Vec::new();
                pack(&values, width, &mut bytes);
                assert_eq!(bytes.len(), planes_len(count, width));
                let mut reader = PlaneReader::new(&bytes, count, width).unwrap();
                let mut out = [7; RUN];
                for run in values.chunks(RUN) {
                    reader.run(&mut out);
                    assert_eq!(&out[..run.len()], run, "width {width}, {count} residuals");
                }
            }
        }
    }

    #[test]
    fn small_residuals_leave_the_high_planes_zero() {
        let mut bytes = Vec::new();
        pack(&[0, -1, 1, 300], 16, &mut bytes);
        assert_eq!(bytes, [0, 1, 2, 0x58, 0, 0, 0, 2]);
        bytes.clear();
        pack(&[0, -1, 1], 4, &mut bytes);
        assert_eq!(bytes, [0x10, 0x02]);
    }

    #[test]
    fn other_widths_and_a_used_spare_nibble_are_refused() {
        let width = Some(DecodeError::Invalid("width of planes"));
        assert_eq!(PlaneReader::new(&[0; 3], 8, 3).err(), width);
        let padding = Some(DecodeError::Invalid("padding of nibbles"));
        assert_eq!(PlaneReader::new(&[0, 0x10], 3, 4).err(), padding);
        assert!(PlaneReader::new(&[0, 0x10], 4, 4).is_ok());
    }
}
