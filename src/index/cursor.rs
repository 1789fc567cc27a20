//! Walks all keys of an index in order, across key blocks.

use super::BlockSource;
use super::keys::KeyBlockCursor;
use super::postings::PostingsRef;
use super::top::Top;
use crate::types::DecodeError;

/// A cursor over the keys; it holds one block at a time.
pub(super) struct KeyCursor<'i, S> {
    top: &'i Top,
    source: &'i S,
    /// The block under the cursor and its number.
    block: Option<(usize, KeyBlockCursor)>,
}

impl<'i, S: BlockSource> KeyCursor<'i, S> {
    pub(super) fn new(top: &'i Top, source: &'i S) -> Self {
        Self { top, source, block: None }
    }

    /// Goes to the first key that is not below `key`; false if there is none.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<bool, S::Error> {
        let after = self.top.keys.partition_point(|block| &*block.first_key <= key);
        let number = after.saturating_sub(1);
        if number >= self.top.keys.len() {
            return Ok(false);
        }
        if self.block(number)?.seek(key)? { Ok(true) } else { self.first_of(number + 1) }
    }

    /// Goes to the next key; false at the end.
    pub(super) fn next(&mut self) -> Result<bool, S::Error> {
        let Some((number, block)) = &mut self.block else { return Ok(false) };
        if block.next()? {
            return Ok(true);
        }
        let number = *number;
        self.first_of(number + 1)
    }

    /// Goes to the key with this ordinal.
    pub(super) fn seek_ordinal(&mut self, ordinal: u32) -> Result<(), S::Error> {
        if ordinal >= self.top.key_count {
            return Err(DecodeError::Invalid("key ordinal").into());
        }
        let number = self.top.keys.partition_point(|block| block.first_ordinal <= ordinal) - 1;
        let position = (ordinal - self.top.keys[number].first_ordinal) as usize;
        Ok(self.block(number)?.seek_position(position)?)
    }

    /// The key under the cursor; empty before the first seek.
    pub(super) fn key(&self) -> &[u8] {
        self.block.as_ref().map_or(&[], |(_, block)| block.key())
    }

    /// The place of its postings.
    pub(super) fn postings(&self) -> Option<PostingsRef> {
        self.block.as_ref().map(|(_, block)| block.postings())
    }

    /// Its ordinal; the number of keys where a seek or step found none.
    pub(super) fn ordinal(&self) -> u32 {
        let position = |(number, block): &(usize, KeyBlockCursor)| {
            Some(self.top.keys[*number].first_ordinal + block.position()? as u32)
        };
        self.block.as_ref().and_then(position).unwrap_or(self.top.key_count)
    }

    /// Goes to the first key of a block; false if there is no such block.
    fn first_of(&mut self, number: usize) -> Result<bool, S::Error> {
        if number >= self.top.keys.len() {
            self.block = None;
            return Ok(false);
        }
        self.block(number)?.seek_position(0)?;
        Ok(true)
    }

    fn block(&mut self, number: usize) -> Result<&mut KeyBlockCursor, S::Error> {
        let current = self.block.take().filter(|(held, _)| *held == number);
        let block = match current {
            Some((_, block)) => block,
            None => {
                let entry = &self.top.keys[number];
                KeyBlockCursor::new(self.source.block(entry.place)?, entry.count)?
            }
        };
        Ok(&mut self.block.insert((number, block)).1)
    }
}
