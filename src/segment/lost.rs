//! Lost chunks: samples that a merge could not read from a segment, recorded where they were. FORMAT.md,
//! "Lost chunks", says what they mean and their bytes. Pure; called by the group's encoder and decoder.

use crate::types::varint::{get_u64, put_u64};
use crate::types::{DecodeError, Timestamp};

/// Where a lost chunk was, in place of a chunk's aggregates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossOrigin {
    /// The number of the segment whose block was damaged.
    pub file_number: u64,
    /// Where the damaged block starts there, in bytes.
    pub offset: u64,
    /// Whether somebody has accepted the loss: the samples then count as never written, and still hide older
    /// ones.
    pub is_accepted: bool,
}

/// The timestamps of a lost chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LostTimes<'a> {
    /// These, strictly rising, at least one.
    Known(&'a [Timestamp]),
    /// At most `rows` ticks from `first` to `last`, both included.
    Within {
        /// The earliest possible.
        first: Timestamp,
        /// The latest possible.
        last: Timestamp,
        /// The most that there were, 1 to 8,192.
        rows: u32,
    },
}

/// The class of aggregates that stands for none, since the chunk is lost.
const CLASS_LOST: u8 = 3;
const CLASS_MASK: u8 = 3;
const ACCEPTED: u8 = 4;

impl LossOrigin {
    /// Appends it.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.push(CLASS_LOST | if self.is_accepted { ACCEPTED } else { 0 });
        put_u64(out, self.file_number);
        put_u64(out, self.offset);
    }

    /// Takes it from the front of `input`; `None` if what is there belongs to a chunk that is not lost.
    pub(super) fn decode(input: &mut &[u8]) -> Result<Option<Self>, DecodeError> {
        let Some((&flags, rest)) = input.split_first() else {
            return Err(DecodeError::Truncated("aggregates"));
        };
        if flags & CLASS_MASK != CLASS_LOST {
            return Ok(None);
        }
        if flags & !(CLASS_MASK | ACCEPTED) != 0 {
            return Err(DecodeError::Invalid("flags of a lost chunk"));
        }
        *input = rest;
        let (file_number, offset) = (get_u64(input)?, get_u64(input)?);
        Ok(Some(Self { file_number, offset, is_accepted: flags & ACCEPTED != 0 }))
    }
}
