//! The frame header: self-synchronising, bound to its place.

use super::header::WalHeader;
use crate::sys::checksum::crc32c;
use crate::types::DecodeError;

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 40;
/// The payload of a MANIFEST frame in bytes: one number.
pub(super) const MANIFEST_PAYLOAD_BYTES: usize = 8;
/// Bytes of a MANIFEST frame.
pub(super) const MANIFEST_FRAME_BYTES: u64 = (FRAME_HEADER_BYTES + MANIFEST_PAYLOAD_BYTES) as u64;
/// The largest payload of a frame in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 32 << 20;
const MAGIC: &[u8; 4] = b"SWFr";
const MUST_UNDERSTAND: u8 = 1;

/// What a record of the log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// One batch; see [`BatchView`](super::BatchView).
    Batch,
    /// One delete; see [`Tombstone`](crate::types::Tombstone).
    Delete,
}

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    /// One batch.
    Batch,
    /// Nothing but its `synced_seq`.
    Sync,
    /// The file is complete.
    End,
    /// One delete.
    Delete,
    /// Which edit of the manifest was durable.
    Manifest,
    /// A kind of a later version that may be skipped.
    Skipped,
}

/// A frame header, validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) kind: FrameKind,
    pub(super) seq: u64,
    pub(super) synced_seq: u64,
    pub(super) payload_bytes: u32,
    pub(super) payload_crc: u32,
}

impl FrameKind {
    /// What the frame records; `None` for one that only says something of the file.
    pub(super) fn record(self) -> Option<RecordKind> {
        match self {
            Self::Batch => Some(RecordKind::Batch),
            Self::Delete => Some(RecordKind::Delete),
            Self::Sync | Self::End | Self::Manifest | Self::Skipped => None,
        }
    }
}

impl FrameHeader {
    /// Bytes of the whole frame: header, payload, padding.
    pub(super) fn frame_bytes(&self) -> u64 {
        frame_bytes(self.payload_bytes as usize)
    }

    pub(super) fn encode(&self, file: &WalHeader, offset: u64) -> [u8; FRAME_HEADER_BYTES] {
        let mut out = [0; FRAME_HEADER_BYTES];
        out[..4].copy_from_slice(MAGIC);
        out[4..8].copy_from_slice(&self.payload_bytes.to_le_bytes());
        out[8] = match self.kind {
            FrameKind::Batch => 1,
            FrameKind::Sync => 2,
            FrameKind::End => 3,
            FrameKind::Delete => 4,
            FrameKind::Manifest => 5,
            FrameKind::Skipped => unreachable!("no writer makes frames of unknown kinds"),
        };
        out[9] = if self.kind == FrameKind::Manifest { 0 } else { MUST_UNDERSTAND };
        out[12..16].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[16..24].copy_from_slice(&self.seq.to_le_bytes());
        out[24..32].copy_from_slice(&self.synced_seq.to_le_bytes());
        let crc = crc32c(file.frame_seed(offset), &out[..36]);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(super) fn decode(bytes: &[u8], file: &WalHeader, offset: u64) -> Result<Self, DecodeError> {
        let bytes: &[u8; FRAME_HEADER_BYTES] = bytes
            .get(..FRAME_HEADER_BYTES)
            .and_then(|b| b.try_into().ok())
            .ok_or(DecodeError::Truncated("frame header"))?;
        if &bytes[..4] != MAGIC {
            return Err(DecodeError::Invalid("magic of the frame"));
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        if crc32c(file.frame_seed(offset), &bytes[..36]) != word(36) {
            return Err(DecodeError::Checksum("frame header"));
        }
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let must_understand = bytes[9] & MUST_UNDERSTAND != 0;
        let kind = match bytes[8] {
            1 => FrameKind::Batch,
            2 => FrameKind::Sync,
            3 => FrameKind::End,
            4 => FrameKind::Delete,
            5 => FrameKind::Manifest,
            kind if must_understand => {
                return Err(DecodeError::Newer { found: u32::from(kind), supported: 5 });
            }
            _ => FrameKind::Skipped,
        };
        if bytes[9] & !MUST_UNDERSTAND != 0 || bytes[10] | bytes[11] != 0 || word(32) != 0 {
            return Err(DecodeError::Invalid("reserved bytes of the frame header"));
        }
        let payload_bytes = word(4);
        if payload_bytes as usize > PAYLOAD_BYTES_MAX {
            return Err(DecodeError::Invalid("payload length of the frame"));
        }
        let header = Self {
            kind,
            seq: long(16),
            synced_seq: long(24),
            payload_bytes,
            payload_crc: word(12),
        };
        Ok(header)
    }
}

/// Bytes of a frame whose payload has `payload_bytes`: header, payload and padding to 8.
pub(super) fn frame_bytes(payload_bytes: usize) -> u64 {
    (FRAME_HEADER_BYTES + payload_bytes).next_multiple_of(8) as u64
}
