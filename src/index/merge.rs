//! Merges spilled runs of keys: the external sort of an index build.
//!
//! Called by `builder`. A run of keys is a stream of, for each key in order: varint bytes shared with
//! the key before; varint length of the rest, and the rest; varint number of pieces. A *piece* of a
//! key's postings comes from one run of series: varint ordinal that it counts from; varint number of
//! ordinals, times four, plus the encoding; varint length in bytes; the list. Runs are merged in the
//! order of their series, so the pieces of a key follow each other and are never decoded but once the
//! list is written.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::ControlFlow;

use super::list::Encoding;
use super::list::Measure;
use super::output::Output;
use super::postings::{self, PostingsRef};
use super::rank_map::{MapWriter, RankMap, RankMaps};
use super::spill::{BLOCKS_AT_ONCE, Log, Spill, Stream, StreamIn, StreamOut};
use crate::types::DecodeError;
use crate::types::varint::put_u64;

/// A run of keys that was written.
#[derive(Debug)]
pub(super) struct KeyRun {
    stream: Stream,
    /// The number of keys.
    keys: u32,
}

/// Writes a run of keys.
#[derive(Debug)]
pub(super) struct KeyRunWriter {
    out: StreamOut,
    keys: u32,
    last: Vec<u8>,
    /// Bytes on their way; kept for its memory.
    bytes: Vec<u8>,
    list: Vec<u8>,
}

impl KeyRunWriter {
    pub(super) fn new() -> Self {
        Self {
            out: StreamOut::new(BLOCKS_AT_ONCE),
            keys: 0,
            last: Vec::new(),
            bytes: Vec::new(),
            list: Vec::new(),
        }
    }

    /// Appends a key, greater than all before, of which `pieces` pieces follow.
    fn key<S: Spill>(&mut self, log: &mut Log<S>, key: &[u8], pieces: u64) -> Result<(), S::Error> {
        let shared = self.last.iter().zip(key).take_while(|(a, b)| a == b).count();
        self.bytes.clear();
        put_u64(&mut self.bytes, shared as u64);
        put_u64(&mut self.bytes, (key.len() - shared) as u64);
        self.bytes.extend_from_slice(&key[shared..]);
        put_u64(&mut self.bytes, pieces);
        self.last.truncate(shared);
        self.last.extend_from_slice(&key[shared..]);
        self.keys += 1;
        self.out.write(log, &self.bytes)
    }

    fn piece<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        base: u32,
        list: PostingsRef,
        bytes: &[u8],
    ) -> Result<(), S::Error> {
        self.bytes.clear();
        put_u64(&mut self.bytes, base.into());
        put_u64(&mut self.bytes, u64::from(list.count) << 2 | list.encoding as u64);
        put_u64(&mut self.bytes, list.len.into());
        self.bytes.extend_from_slice(bytes);
        self.out.write(log, &self.bytes)
    }

    /// Appends a key of a run of series, whose ordinals count from `base`, with its sorted ordinals.
    pub(super) fn push<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        key: &[u8],
        base: u32,
        ordinals: &[u32],
    ) -> Result<(), S::Error> {
        self.key(log, key, 1)?;
        let mut bytes = std::mem::take(&mut self.list);
        bytes.clear();
        let encoding = postings::encode(ordinals, &mut bytes);
        let (len, count) = (bytes.len() as u32, ordinals.len() as u32);
        let list = PostingsRef { start: 0, len, count, encoding };
        self.piece(log, base, list, &bytes)?;
        self.list = bytes;
        Ok(())
    }

    pub(super) fn end<S: Spill>(self, log: &mut Log<S>) -> Result<KeyRun, S::Error> {
        Ok(KeyRun { stream: self.out.end(log)?, keys: self.keys })
    }
}

/// Stands on one key of a run.
#[derive(Debug)]
struct Cursor<'a> {
    input: StreamIn<'a>,
    /// Keys still to come.
    left: u32,
    /// Pieces of the key.
    pieces: u64,
    /// Where the first of them starts.
    pieces_at: u64,
}

impl Cursor<'_> {
    /// Goes from `key` to the next; false at the end. All pieces must have been read.
    fn next<S: Spill>(&mut self, log: &Log<S>, key: &mut Vec<u8>) -> Result<bool, S::Error> {
        if self.left == 0 {
            return Ok(false);
        }
        self.left -= 1;
        let shared = self.input.varint(log)?;
        let more = self.input.varint_u32(log)? as usize;
        if shared > key.len() as u64 {
            return Err(log.invalid(DecodeError::Invalid("shared prefix of key")));
        }
        key.truncate(shared as usize);
        self.input.take(log, more, key)?;
        self.pieces = self.input.varint(log)?;
        self.pieces_at = self.input.position();
        Ok(true)
    }

    /// Replaces `bytes` by the list of the next piece and returns the ordinal that it counts from.
    fn piece<S: Spill>(
        &mut self,
        log: &Log<S>,
        bytes: &mut Vec<u8>,
    ) -> Result<(u32, PostingsRef), S::Error> {
        let base = self.input.varint_u32(log)?;
        let meta = self.input.varint(log)?;
        let encoding = Encoding::from_bits(meta & 3).map_err(|e| log.invalid(e))?;
        let count = u32::try_from(meta >> 2)
            .map_err(|_| log.invalid(DecodeError::Invalid("count of postings")))?;
        let len = self.input.varint_u32(log)?;
        bytes.clear();
        self.input.take(log, len as usize, bytes)?;
        Ok((base, PostingsRef { start: 0, len, count, encoding }))
    }

    /// Hands the runs of the key's ordinals to `visit`.
    fn for_each_run<S: Spill>(
        &mut self,
        log: &mut Log<S>,
        bytes: &mut Vec<u8>,
        mut visit: impl FnMut(&mut Log<S>, u32, u32) -> Result<(), S::Error>,
    ) -> Result<(), S::Error> {
        self.input.seek(log, self.pieces_at)?;
        for _ in 0..self.pieces {
            let (base, list) = self.piece(log, bytes)?;
            let mut visited = Ok(());
            postings::for_each_run(bytes, list, u32::MAX - base, |start, len| {
                visited = visit(log, base + start, len);
                if visited.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })
            .map_err(|e| log.invalid(e))?;
            visited?;
        }
        Ok(())
    }
}

/// Goes through the keys of several runs in order.
struct Merge<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The next key of each run that does not stand on the current one.
    heap: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    /// The current key, once for each run that has it, in the order of the runs.
    current: Vec<(Vec<u8>, usize)>,
}

impl<'a> Merge<'a> {
    fn new(runs: &'a [KeyRun], blocks: usize) -> Self {
        let cursor = |run: &'a KeyRun| Cursor {
            input: StreamIn::new(&run.stream, blocks),
            left: run.keys,
            pieces: 0,
            pieces_at: 0,
        };
        Self {
            cursors: runs.iter().map(cursor).collect(),
            heap: BinaryHeap::new(),
            current: (0..runs.len()).map(|i| (Vec::new(), i)).collect(),
        }
    }

    /// Goes to the next key; false at the end.
    fn next<S: Spill>(&mut self, log: &Log<S>) -> Result<bool, S::Error> {
        for (mut key, i) in self.current.drain(..) {
            if self.cursors[i].next(log, &mut key)? {
                self.heap.push(Reverse((key, i)));
            }
        }
        let Some(Reverse(first)) = self.heap.pop() else { return Ok(false) };
        self.current.push(first);
        while self.heap.peek().is_some_and(|Reverse((key, _))| *key == self.current[0].0) {
            self.current.extend(self.heap.pop().map(|Reverse(entry)| entry));
        }
        Ok(true)
    }
}

/// How wide merges are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Width {
    /// Most runs that are merged at once, at least 2.
    pub(super) fan_in: usize,
    /// Blocks of each that are read at once.
    pub(super) blocks: usize,
}

/// Merges `runs`, in the order of their series, into the index.
pub(super) fn merge<S: Spill>(
    log: &mut Log<S>,
    mut runs: Vec<KeyRun>,
    width: Width,
    output: &mut Output,
) -> Result<RankMaps, S::Error> {
    let mut levels = Vec::new();
    while runs.len() > width.fan_in {
        let (mut merged, mut maps) = (Vec::new(), Vec::new());
        for group in runs.chunks(width.fan_in) {
            merged.push(merge_to_run(log, group, width.blocks, &mut maps)?);
        }
        levels.push(maps);
        runs = merged;
    }
    levels.push(merge_to_index(log, &runs, width.blocks, output)?);
    RankMaps::new(log, width.fan_in, levels)
}

fn merge_to_run<S: Spill>(
    log: &mut Log<S>,
    runs: &[KeyRun],
    blocks: usize,
    maps: &mut Vec<RankMap>,
) -> Result<KeyRun, S::Error> {
    let mut merge = Merge::new(runs, blocks);
    let mut writers: Vec<MapWriter> = runs.iter().map(|_| MapWriter::new()).collect();
    let mut out = KeyRunWriter::new();
    let mut bytes = Vec::new();
    while merge.next(log)? {
        let Merge { cursors, current, .. } = &mut merge;
        let ordinal = out.keys;
        out.key(log, &current[0].0, current.iter().map(|(_, i)| cursors[*i].pieces).sum())?;
        for &(_, i) in &*current {
            for _ in 0..cursors[i].pieces {
                let (base, list) = cursors[i].piece(log, &mut bytes)?;
                out.piece(log, base, list, &bytes)?;
            }
            writers[i].push(log, ordinal, 0)?;
        }
    }
    for writer in writers {
        maps.push(writer.end(log)?);
    }
    out.end(log)
}

fn merge_to_index<S: Spill>(
    log: &mut Log<S>,
    runs: &[KeyRun],
    blocks: usize,
    output: &mut Output,
) -> Result<Vec<RankMap>, S::Error> {
    let mut merge = Merge::new(runs, blocks);
    let mut writers: Vec<MapWriter> = runs.iter().map(|_| MapWriter::new()).collect();
    let mut bytes = Vec::new();
    while merge.next(log)? {
        let Merge { cursors, current, .. } = &mut merge;
        let mut measure = Measure::default();
        for &(_, i) in &*current {
            cursors[i].for_each_run(log, &mut bytes, |_, start, len| {
                measure.run(start, len);
                Ok(())
            })?;
        }
        output.begin_list(&measure);
        for &(_, i) in &*current {
            cursors[i]
                .for_each_run(log, &mut bytes, |log, start, len| output.run(log, start, len))?;
        }
        let place = output.end_list(log)?;
        let (ordinal, name) = output.key(log, &current[0].0, place)?;
        for &(_, i) in &*current {
            writers[i].push(log, ordinal, name)?;
        }
    }
    writers.into_iter().map(|writer| writer.end(log)).collect()
}
