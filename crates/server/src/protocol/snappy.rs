//! The snappy block format: the outer coat of remote write and remote read bodies.
//!
//! A body declares its decoded length in its first bytes. That number is checked against the
//! caller's limit and against what so few bytes can hold at all, before anything is allocated.

use std::fmt;

use snap::raw;

/// No element of the format yields more than 64 bytes from 3 (a copy with a two-byte offset), so a
/// body decodes to less than this many times its length.
const EXPANSION_MAX: usize = 22;

/// Why a body could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnappyError {
    /// The declared length is above the caller's limit; nothing was allocated.
    TooLarge {
        /// Most decoded bytes that the caller takes.
        limit: usize,
    },
    /// The bytes are not a snappy block.
    Corrupt(snap::Error),
    /// The declared length is more than a body of this size can decode to.
    Implausible {
        /// The declared length in bytes.
        declared: usize,
        /// The length of the body in bytes.
        body: usize,
    },
}

impl fmt::Display for SnappyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => {
                write!(f, "the decoded body would be larger than the limit of {limit} bytes")
            }
            Self::Corrupt(source) => write!(f, "the body is not a snappy block: {source}"),
            Self::Implausible { declared, body } => {
                write!(f, "{body} bytes of snappy cannot decode to the declared {declared} bytes")
            }
        }
    }
}

impl std::error::Error for SnappyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Corrupt(source) => Some(source),
            Self::TooLarge { .. } | Self::Implausible { .. } => None,
        }
    }
}

/// Decodes `body` into `out`, whose former content is replaced and whose memory is reused. After
/// an error the content of `out` is unspecified.
///
/// # Errors
/// [`SnappyError::TooLarge`] if the body declares more than `limit` bytes, the others if it is not
/// a whole snappy block.
pub fn decompress(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), SnappyError> {
    let declared = match raw::decompress_len(body) {
        Ok(declared) if declared <= limit => declared,
        Ok(_) | Err(snap::Error::TooBig { .. }) => return Err(SnappyError::TooLarge { limit }),
        Err(source) => return Err(SnappyError::Corrupt(source)),
    };
    if declared > body.len().saturating_mul(EXPANSION_MAX) {
        return Err(SnappyError::Implausible { declared, body: body.len() });
    }
    out.resize(declared, 0);
    let written = raw::Decoder::new().decompress(body, out).map_err(SnappyError::Corrupt)?;
    out.truncate(written);
    Ok(())
}

/// Encodes `bytes`, at most 4 GiB, as one block.
///
/// # Errors
/// [`SnappyError::Corrupt`] carrying `TooBig` if `bytes` is longer than the format allows.
pub fn compress(bytes: &[u8]) -> Result<Vec<u8>, SnappyError> {
    raw::Encoder::new().compress_vec(bytes).map_err(SnappyError::Corrupt)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_memory_is_reused_and_the_length_exact() {
        let mut out = Vec::new();
        for text in [&[7u8; 5000][..], b"short", b"", &[9u8; 300]] {
            decompress(&compress(text).unwrap(), 5000, &mut out).unwrap();
            assert_eq!(out, text);
        }
        assert!(out.capacity() <= 5000);
    }

    #[test]
    fn what_is_declared_above_the_limit_allocates_nothing() {
        let four_gib = [0x80, 0x80, 0x80, 0x80, 0x10];
        let almost = [0xff, 0xff, 0xff, 0xff, 0x0f];
        for body in [&four_gib[..], &almost, &compress(&[1; 1001]).unwrap()] {
            let mut out = Vec::new();
            let error = decompress(body, 1000, &mut out).unwrap_err();
            assert_eq!(error, SnappyError::TooLarge { limit: 1000 });
            assert_eq!(out.capacity(), 0);
        }
    }

    #[test]
    fn what_the_body_cannot_hold_allocates_nothing() {
        let mut out = Vec::new();
        let error = decompress(&[0x80, 0x80, 0x40, 0, b'x'], 1 << 25, &mut out).unwrap_err();
        assert_eq!(error, SnappyError::Implausible { declared: 1 << 20, body: 5 });
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn the_densest_blocks_are_plausible() {
        let mut out = Vec::new();
        for len in [1, 100, 65_536, 1 << 20] {
            decompress(&compress(&vec![b'a'; len]).unwrap(), 1 << 20, &mut out).unwrap();
            assert_eq!(out.len(), len);
        }
    }

    #[test]
    fn truncations_and_flips_are_errors_or_other_bytes() {
        let text: Vec<u8> = (0..400u32).flat_map(|i| (i / 3).to_le_bytes()).collect();
        let body = compress(&text).unwrap();
        let mut out = Vec::new();
        for end in 0..body.len() {
            assert!(decompress(&body[..end], 1 << 20, &mut out).is_err(), "{end}");
        }
        for bit in 0..body.len() * 8 {
            let mut flipped = body.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let _ = decompress(&flipped, 1 << 20, &mut out);
            assert!(out.len() <= body.len() * EXPANSION_MAX);
        }
    }

    proptest! {
        #[test]
        fn what_is_compressed_comes_back(bytes: Vec<u8>) {
            let mut out = vec![1, 2, 3];
            decompress(&compress(&bytes).unwrap(), bytes.len(), &mut out).unwrap();
            prop_assert_eq!(out, bytes);
        }

        #[test]
        fn random_bytes_never_panic(bytes: Vec<u8>) {
            let mut out = Vec::new();
            let _ = decompress(&bytes, 1 << 16, &mut out);
            prop_assert!(out.capacity() <= bytes.len() * EXPANSION_MAX);
        }
    }
}
