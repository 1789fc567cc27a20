//! What an index build writes: postings, keys and series, each to a stream of its own, since the
//! places of all are known only in the end.
//!
//! Called by `builder` and `merge`.

use super::keys::{KeyWriter, SEPARATOR};
use super::list::Measure;
use super::postings::{PostingsRef, StreamWriter};
use super::series::SeriesWriter;
use super::spill::{BLOCKS_AT_ONCE, Log, Spill, Stream, StreamOut};
use super::top;

/// The parts of an index, being written.
#[derive(Debug)]
pub(super) struct Output {
    postings: StreamWriter,
    postings_out: StreamOut,
    keys: KeyWriter,
    keys_out: StreamOut,
    series: SeriesWriter,
    series_out: StreamOut,
    /// The last key's name and separator, and the number of names so far.
    name: Vec<u8>,
    names: u32,
    /// The number of keys so far.
    key_count: u32,
}

/// An index that was built, to be copied to where it belongs.
#[derive(Debug)]
pub struct BuiltIndex<S> {
    pub(super) log: Log<S>,
    pub(super) sections: [Stream; 3],
    pub(super) top: Vec<u8>,
}

impl<S: Spill> BuiltIndex<S> {
    /// The top level, which [`Index::from_top`](super::Index::from_top) reads.
    #[must_use]
    pub fn top(&self) -> &[u8] {
        &self.top
    }

    /// Length of the blocks part in bytes.
    #[must_use]
    pub fn blocks_len(&self) -> u64 {
        self.sections.iter().map(Stream::len).sum()
    }

    /// Hands the blocks part to `put`, in order, in pieces of any length.
    ///
    /// # Errors
    /// Those of `put`; or what was spilled cannot be read back.
    pub fn write_blocks(
        &self,
        mut put: impl FnMut(&[u8]) -> Result<(), S::Error>,
    ) -> Result<(), S::Error> {
        self.sections.iter().try_for_each(|section| section.copy_to(&self.log, &mut put))
    }
}

impl Output {
    /// Parts that stay in memory, or are spilled as they grow.
    pub(super) fn new(in_memory: bool) -> Self {
        let out = || match in_memory {
            true => StreamOut::in_memory(),
            false => StreamOut::new(BLOCKS_AT_ONCE),
        };
        Self {
            postings: StreamWriter::default(),
            postings_out: out(),
            keys: KeyWriter::default(),
            keys_out: out(),
            series: SeriesWriter::default(),
            series_out: out(),
            name: Vec::new(),
            names: 0,
            key_count: 0,
        }
    }

    /// Appends a whole list.
    pub(super) fn list<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        ordinals: &[u32],
    ) -> Result<PostingsRef, S::Error> {
        self.postings.push(ordinals, &mut |block| self.postings_out.write(log, block))
    }

    /// Begins a list that was measured.
    pub(super) fn begin_list(&mut self, measure: &Measure) {
        self.postings.begin(measure);
    }

    /// Appends `len` ordinals from `start` on to the list begun.
    pub(super) fn run<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        start: u32,
        len: u32,
    ) -> Result<(), S::Error> {
        self.postings.run(start, len, &mut |block| self.postings_out.write(log, block))
    }

    /// Ends the list begun.
    pub(super) fn end_list<S: Spill>(&mut self, log: &mut Log<S>) -> Result<PostingsRef, S::Error> {
        self.postings.end(&mut |block| self.postings_out.write(log, block))
    }

    /// Appends a key, greater than all before, and returns its ordinal and the number of its name.
    pub(super) fn key<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        key: &[u8],
        place: PostingsRef,
    ) -> Result<(u32, u32), S::Error> {
        self.keys.push(key, place, &mut |block| self.keys_out.write(log, block))?;
        if self.name.is_empty() || !key.starts_with(&self.name) {
            let name =
                key.iter().position(|&byte| byte == SEPARATOR).map_or(key.len(), |at| at + 1);
            self.name.clear();
            self.name.extend_from_slice(&key[..name]);
            self.names += 1;
        }
        let ordinal = self.key_count;
        self.key_count = ordinal.checked_add(1).expect("an index holds fewer than 2^32 keys");
        Ok((ordinal, self.names))
    }

    /// Appends a series: for each label the ordinal of its key and the number of its name.
    pub(super) fn series<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        labels: impl Iterator<Item = (u32, u32)>,
    ) -> Result<(), S::Error> {
        self.series.push(labels, &mut |block| self.series_out.write(log, block))
    }

    /// Completes the parts.
    pub(super) fn finish<S: Spill>(mut self, mut log: Log<S>) -> Result<BuiltIndex<S>, S::Error> {
        let out = &mut self.postings_out;
        let stream_bytes = self.postings.finish(&mut |block| out.write(&mut log, block))?;
        let out = &mut self.keys_out;
        let keys = self.keys.finish(&mut |block| out.write(&mut log, block))?;
        let out = &mut self.series_out;
        let series = self.series.finish(&mut |block| out.write(&mut log, block))?;
        let top = top::encode(stream_bytes, &keys, &series);
        let sections = [self.postings_out, self.keys_out, self.series_out].map(StreamOut::hold);
        Ok(BuiltIndex { log, sections, top })
    }
}
