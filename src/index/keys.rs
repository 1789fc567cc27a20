//! Key blocks: the sorted keys `name FF value`, front-coded, each with the place of its postings.
//!
//! Every [`RESTART_INTERVAL`]th key is written whole with the absolute place of its postings; the
//! table of these restarts at the end of the block is searched by halving.

use std::sync::Arc;

use super::block::{self, BlockKind};
use super::list::Encoding;
use super::postings::PostingsRef;
use crate::types::DecodeError;
use crate::types::varint::{get_u32, get_u64, put_u64};

/// Ends the name in a key, and names and values in the canonical encoding of labels.
pub(super) const SEPARATOR: u8 = 0xFF;
/// Keys from one restart to the next.
const RESTART_INTERVAL: usize = 16;
/// A block ends before the key that would make its payload longer, unless that is its first.
const PAYLOAD_BYTES_MAX: usize = 32 * 1024;

/// What the top level says about one key block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyBlockEntry {
    pub(super) first_key: Vec<u8>,
    /// Number of keys, at least one.
    pub(super) count: u32,
    /// Length of the block in bytes.
    pub(super) len: u32,
}

/// Writes sorted keys into blocks, which it hands to the `put` of each call.
#[derive(Debug, Default)]
pub(super) struct KeyWriter {
    /// The block being sealed; kept for its memory.
    sealed: Vec<u8>,
    entries: Vec<KeyBlockEntry>,
    payload: Vec<u8>,
    restarts: Vec<u32>,
    first_key: Vec<u8>,
    last_key: Vec<u8>,
    count: usize,
}

impl KeyWriter {
    /// Appends a key, greater than all before, and the place of its postings, which follow those of
    /// the key before.
    pub(super) fn push<E>(
        &mut self,
        key: &[u8],
        postings: PostingsRef,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let worst = key.len() + 32 + 4 * (self.restarts.len() + 1);
        if self.count > 0 && self.payload.len() + worst > PAYLOAD_BYTES_MAX {
            self.end_block(put)?;
        }
        if self.count == 0 {
            self.first_key = key.to_vec();
        }
        let restart = self.count.is_multiple_of(RESTART_INTERVAL);
        let shared = if restart { 0 } else { shared_len(&self.last_key, key) };
        if restart {
            self.restarts.push(u32::try_from(self.payload.len()).expect("a block is small"));
        }
        put_u64(&mut self.payload, shared as u64);
        put_u64(&mut self.payload, (key.len() - shared) as u64);
        self.payload.extend_from_slice(&key[shared..]);
        if restart {
            put_u64(&mut self.payload, postings.start);
        }
        put_u64(&mut self.payload, u64::from(postings.count) << 2 | postings.encoding as u64);
        put_u64(&mut self.payload, u64::from(postings.len));
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(&key[shared..]);
        self.count += 1;
        Ok(())
    }

    /// Hands on the last block and returns what the top level says about each.
    pub(super) fn finish<E>(
        mut self,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<Vec<KeyBlockEntry>, E> {
        if self.count > 0 {
            self.end_block(put)?;
        }
        Ok(self.entries)
    }

    fn end_block<E>(&mut self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for restart in self.restarts.drain(..) {
            self.payload.extend_from_slice(&restart.to_le_bytes());
        }
        self.sealed.clear();
        let len = block::seal(BlockKind::Keys, self.count, &self.payload, &mut self.sealed);
        let first_key = std::mem::take(&mut self.first_key);
        self.entries.push(KeyBlockEntry { first_key, count: self.count as u32, len });
        self.payload.clear();
        self.count = 0;
        put(&self.sealed)
    }
}

fn shared_len(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Walks the keys of one block. Before the first `next` it stands on no key.
#[derive(Debug)]
pub(super) struct KeyBlockCursor {
    bytes: Arc<[u8]>,
    /// Number of keys in the block.
    count: usize,
    /// Where in `bytes` the entries end and the table of restarts starts.
    entries_end: usize,
    /// Keys read so far: the cursor stands on the one before.
    index: usize,
    /// Where in `bytes` the next entry starts.
    at: usize,
    key: Vec<u8>,
    postings: PostingsRef,
}

impl KeyBlockCursor {
    /// Opens a verified block of `count` keys.
    pub(super) fn new(bytes: Arc<[u8]>, count: u32) -> Result<Self, DecodeError> {
        let (found, payload) = block::open(&bytes, BlockKind::Keys)?;
        let restarts_bytes = found.div_ceil(RESTART_INTERVAL) * 4;
        if found == 0 || found != count as usize {
            return Err(DecodeError::Invalid("count of key block"));
        }
        let entries_bytes =
            payload.len().checked_sub(restarts_bytes).ok_or(DecodeError::Truncated("key block"))?;
        Ok(Self {
            count: found,
            entries_end: block::HEADER_BYTES + entries_bytes,
            index: 0,
            at: block::HEADER_BYTES,
            key: Vec::new(),
            postings: PostingsRef { start: 0, len: 0, count: 0, encoding: Encoding::Deltas },
            bytes,
        })
    }

    /// The key that the cursor stands on.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }

    /// The place of its postings.
    pub(super) fn postings(&self) -> PostingsRef {
        self.postings
    }

    /// Its position in the block.
    pub(super) fn position(&self) -> Option<usize> {
        self.index.checked_sub(1)
    }

    /// Goes to the next key; false at the end of the block.
    pub(super) fn next(&mut self) -> Result<bool, DecodeError> {
        if self.index == self.count {
            return Ok(false);
        }
        let entries = &self.bytes[..self.entries_end];
        let mut rest = entries.get(self.at..).ok_or(DecodeError::Invalid("key block restart"))?;
        let restart = self.index.is_multiple_of(RESTART_INTERVAL);
        let shared = get_u32(&mut rest)? as usize;
        let suffix_len = get_u32(&mut rest)? as usize;
        let suffix = take(&mut rest, suffix_len)?;
        if shared > self.key.len() || (restart && shared > 0) {
            return Err(DecodeError::Invalid("shared prefix of key"));
        }
        if suffix <= &self.key[shared..] {
            return Err(DecodeError::Invalid("order of keys"));
        }
        self.key.truncate(shared);
        self.key.extend_from_slice(suffix);
        let after = self.postings.start.wrapping_add(u64::from(self.postings.len));
        let start = if restart { get_u64(&mut rest)? } else { after };
        let meta = get_u64(&mut rest)?;
        let count = u32::try_from(meta >> 2).ok().filter(|&count| count > 0);
        let count = count.ok_or(DecodeError::Invalid("count of postings"))?;
        let encoding = Encoding::from_bits(meta & 3)?;
        self.postings = PostingsRef { start, len: get_u32(&mut rest)?, count, encoding };
        self.at = self.entries_end - rest.len();
        self.index += 1;
        Ok(true)
    }

    /// Goes to the first key that is not below `key`; false if there is none in this block.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<bool, DecodeError> {
        let (mut low, mut high) = (0, self.count.div_ceil(RESTART_INTERVAL));
        while high - low > 1 {
            let middle = low.midpoint(high);
            self.restart(middle)?;
            self.next()?;
            if self.key.as_slice() <= key { low = middle } else { high = middle }
        }
        self.restart(low)?;
        while self.next()? {
            if self.key.as_slice() >= key {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Goes to the key at `position`, which is below the number of keys.
    pub(super) fn seek_position(&mut self, position: usize) -> Result<(), DecodeError> {
        assert!(position < self.count, "the position lies in the block");
        let near = position / RESTART_INTERVAL;
        if self.index > position + 1 || self.index < near * RESTART_INTERVAL {
            self.restart(near)?;
        }
        while self.index <= position {
            self.next()?;
        }
        Ok(())
    }

    /// Stands before the first key of a restart.
    fn restart(&mut self, restart: usize) -> Result<(), DecodeError> {
        let at = self.entries_end + restart * 4;
        let offset = self.bytes.get(at..).and_then(|b| b.first_chunk::<4>());
        let offset = offset.ok_or(DecodeError::Truncated("key block"))?;
        self.at = block::HEADER_BYTES.saturating_add(u32::from_le_bytes(*offset) as usize);
        self.index = restart * RESTART_INTERVAL;
        self.key.clear();
        Ok(())
    }
}

fn take<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, rest) = input.split_at_checked(len).ok_or(DecodeError::Truncated("key"))?;
    *input = rest;
    Ok(taken)
}

/// The name and value of a key.
pub(super) fn split_key(key: &[u8]) -> Result<(&str, &str), DecodeError> {
    let bad = DecodeError::Invalid("key");
    let end = key.iter().position(|&b| b == SEPARATOR).filter(|&end| end > 0).ok_or(bad)?;
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| bad);
    let (name, value) = (text(&key[..end])?, text(&key[end + 1..])?);
    if value.is_empty() { Err(bad) } else { Ok((name, value)) }
}
