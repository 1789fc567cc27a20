//! Fixed-width bit-packing: `width` bits a value, low bits first, no gaps between values.
//!
//! The decoder works on runs of 64 values, which are exactly `8 * width` bytes, with one kernel per
//! width in which every offset and shift is a constant. Kernels see whole runs only: the last one
//! is padded on the stack by [`Unpacker::run`].

use crate::types::DecodeError;

/// Values that a kernel unpacks at a time.
pub(super) const RUN: usize = 64;

/// The widest value, in bits.
pub(super) const WIDTH_MAX: usize = 64;

/// The bytes that `count` values of `width` bits take.
pub(super) fn packed_len(count: usize, width: usize) -> usize {
    (count * width).div_ceil(8)
}

/// Appends `values`, each below `2^width`.
pub(super) fn pack(values: impl Iterator<Item = u64>, width: usize, out: &mut Vec<u8>) {
    assert!(width <= WIDTH_MAX, "a value has at most 64 bits");
    if width == 0 {
        return;
    }
    let (mut pending, mut bits) = (0u64, 0usize);
    for value in values {
        debug_assert!(width == WIDTH_MAX || value >> width == 0, "{value:#x} in {width} bits");
        pending |= value << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&pending.to_le_bytes());
            bits -= 64;
            // What did not fit: the top `bits` bits of the value.
            pending = if bits == 0 { 0 } else { value >> (width - bits) };
        }
    }
    out.extend_from_slice(&pending.to_le_bytes()[..bits.div_ceil(8)]);
}

/// Unpacks one run of one width.
type Kernel = fn(&[u8], &mut [i64; RUN]);

/// Unpacks the values of one payload, a run at a time.
pub(super) struct Unpacker<'a> {
    bytes: &'a [u8],
    width: usize,
    kernel: Kernel,
}

impl<'a> Unpacker<'a> {
    /// Over the `packed_len(count, width)` bytes of `count` values.
    pub(super) fn new(bytes: &'a [u8], count: usize, width: usize) -> Result<Self, DecodeError> {
        assert_eq!(bytes.len(), packed_len(count, width), "the caller cuts the payload");
        let used = count * width % 8;
        if used != 0 && bytes.last().is_some_and(|last| last >> used != 0) {
            return Err(DecodeError::Invalid("padding of packed values"));
        }
        let kernel = *KERNELS.get(width).ok_or(DecodeError::Invalid("width"))?;
        Ok(Self { bytes, width, kernel })
    }

    /// Unpacks the next run; values past the last are zero.
    #[inline]
    pub(super) fn run(&mut self, out: &mut [i64; RUN]) {
        let len = 8 * self.width;
        if let Some((run, rest)) = self.bytes.split_at_checked(len) {
            self.bytes = rest;
            (self.kernel)(run, out);
        } else {
            let mut padded = [0u8; 8 * WIDTH_MAX];
            padded[..self.bytes.len()].copy_from_slice(self.bytes);
            self.bytes = &[];
            (self.kernel)(&padded[..len], out);
        }
    }
}

/// Sixty-four values of `W` bits from exactly `8 * W` bytes.
///
/// Eight values are `W` bytes. Each value is cut out of one little-endian word that starts at its
/// first byte, or earlier where the word would reach past the end.
fn unpack<const W: usize>(bytes: &[u8], out: &mut [i64; RUN]) {
    let (groups, _) = out.as_chunks_mut::<8>();
    if W == 0 {
        groups.fill([0; 8]);
    } else if W < 8 {
        for (g, group) in groups.iter_mut().enumerate() {
            let start = (g * W).min(8 * W - 8);
            let word = word_at(bytes, start) >> (8 * (g * W - start));
            for (j, value) in group.iter_mut().enumerate() {
                *value = (word >> (j * W) & mask::<W>()) as i64;
            }
        }
    } else {
        for (bytes, group) in bytes.chunks_exact(W).zip(groups) {
            for (j, value) in group.iter_mut().enumerate() {
                let start = (j * W / 8).min(W - 8);
                let shift = j * W - 8 * start;
                let mut word = word_at(bytes, start) >> shift;
                if shift + W > 64 {
                    word |= u64::from(bytes.get(start + 8).copied().unwrap_or(0)) << (64 - shift);
                }
                *value = (word & mask::<W>()) as i64;
            }
        }
    }
}

const fn mask<const W: usize>() -> u64 {
    if W == 0 { 0 } else { u64::MAX >> (64 - W) }
}

#[inline(always)]
fn word_at(bytes: &[u8], start: usize) -> u64 {
    match bytes.get(start..).and_then(|b| b.first_chunk()) {
        Some(word) => u64::from_le_bytes(*word),
        None => 0,
    }
}

macro_rules! kernels {
    ($($w:literal)*) => { [$(unpack::<$w>),*] };
}

#[rustfmt::skip]
static KERNELS: [Kernel; WIDTH_MAX + 1] = kernels!(
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32
    33 34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63 64
);

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers of `width` bits without a pattern, the extremes among them.
    fn sample(count: usize, width: usize) -> Vec<u64> {
        let mask = if width == 0 { 0 } else { u64::MAX >> (64 - width) };
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        (0..count)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i as u64);
                if i % 7 == 3 { mask } else { (state ^ state >> 29) & mask }
            })
            .collect()
    }

    #[test]
    fn every_width_and_tail_round_trips() {
        for width in 0..=WIDTH_MAX {
            for count in [0, 1, 2, 7, 8, 9, 63, 64, 65, 127, 128, 200] {
                let values = sample(count, width);
                let mut bytes = vec![0xee];
                pack(values.iter().copied(), width, &mut bytes);
                assert_eq!(bytes[0], 0xee, "appends");
                let payload = &bytes[1..];
                assert_eq!(payload.len(), packed_len(count, width));
                let mut unpacker = Unpacker::new(payload, count, width).unwrap();
                let mut out = [-1i64; RUN];
                for run in values.chunks(RUN) {
                    unpacker.run(&mut out);
                    let read: Vec<u64> = out[..run.len()].iter().map(|&v| v as u64).collect();
                    assert_eq!(read, run, "width {width}, {count} values");
                    assert!(out[run.len()..].iter().all(|&v| v == 0));
                }
            }
        }
    }

    #[test]
    fn bits_after_the_last_value_must_be_zero() {
        assert!(Unpacker::new(&[0b0001_1111], 1, 5).is_ok());
        assert_eq!(
            Unpacker::new(&[0b0010_0000], 1, 5).err(),
            Some(DecodeError::Invalid("padding of packed values"))
        );
    }

    #[test]
    fn the_first_value_takes_the_low_bits() {
        let mut bytes = Vec::new();
        pack([1, 2, 3].into_iter(), 3, &mut bytes);
        assert_eq!(bytes, [0b1101_0001, 0b0]);
    }
}
