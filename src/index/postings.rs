//! Postings: the sorted ordinals of the series that carry a key.
//!
//! A list is written in the smallest of three encodings: deltas, runs (label order makes many lists
//! a few runs) or a bitmap. Lists lie back to back in one stream, which is cut into blocks of
//! [`STREAM_BLOCK_BYTES`]; a long list spans several. A list is read as runs, whatever its encoding.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::block::{self, BlockKind};
use super::list::{Encoding, ListWriter, Measure};
use super::{BlockRef, BlockSource};
use crate::types::DecodeError;
use crate::types::varint::get_u32;

/// Bytes of the stream in each block but the last.
pub(super) const STREAM_BLOCK_BYTES: usize = 32 * 1024;
/// Bytes that such a block occupies.
const BLOCK_BYTES: usize = block::HEADER_BYTES + STREAM_BLOCK_BYTES + block::CRC_BYTES;

/// Where a list lies in the stream and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PostingsRef {
    /// First byte in the stream.
    pub(super) start: u64,
    /// Length in bytes.
    pub(super) len: u32,
    /// Number of ordinals, at least one.
    pub(super) count: u32,
    pub(super) encoding: Encoding,
}

/// Appends the sorted, not empty list `ordinals` in its smallest encoding.
pub(super) fn encode(ordinals: &[u32], out: &mut Vec<u8>) -> Encoding {
    let mut measure = Measure::default();
    runs_of(ordinals).for_each(|(start, len)| measure.run(start, len));
    let encoding = measure.smallest();
    let mut writer = ListWriter::new(encoding);
    runs_of(ordinals).for_each(|(start, len)| writer.run(start, len, out));
    writer.finish(out);
    encoding
}

fn runs_of(ordinals: &[u32]) -> impl Iterator<Item = (u32, u32)> + '_ {
    ordinals.chunk_by(|a, b| *b == *a + 1).map(|run| (run[0], run.len() as u32))
}

/// Hands the list to `visit` as increasing, disjoint runs (first ordinal, length), until it breaks.
///
/// # Errors
/// The bytes are not what [`encode`] writes for `count` ordinals below `series_count`.
pub(super) fn for_each_run(
    bytes: &[u8],
    list: PostingsRef,
    series_count: u32,
    visit: impl FnMut(u32, u32) -> ControlFlow<()>,
) -> Result<(), DecodeError> {
    let mut checked = CheckedRuns { next: 0, left: list.count, series_count, visit };
    let done = match list.encoding {
        Encoding::Deltas => deltas(bytes, &mut checked)?,
        Encoding::Runs => runs(bytes, &mut checked)?,
        Encoding::Bitmap => bitmap(bytes, &mut checked)?,
    };
    if done.is_continue() && checked.left > 0 {
        return Err(DecodeError::Invalid("count of postings"));
    }
    Ok(())
}

/// Checks each run before it is handed on.
struct CheckedRuns<F> {
    /// The lowest ordinal that may come next.
    next: u32,
    /// Ordinals still to come.
    left: u32,
    series_count: u32,
    visit: F,
}

impl<F: FnMut(u32, u32) -> ControlFlow<()>> CheckedRuns<F> {
    /// A run that starts `skipped` ordinals after the end of the one before.
    fn run(&mut self, skipped: u32, len: u32) -> Result<ControlFlow<()>, DecodeError> {
        let bad = DecodeError::Invalid("ordinal in postings");
        let start = self.next.checked_add(skipped).ok_or(bad)?;
        let end = start.checked_add(len).ok_or(bad)?;
        if end > self.series_count {
            return Err(bad);
        }
        self.left = self.left.checked_sub(len).ok_or(DecodeError::Invalid("count of postings"))?;
        self.next = end;
        Ok((self.visit)(start, len))
    }
}

fn deltas<F: FnMut(u32, u32) -> ControlFlow<()>>(
    mut bytes: &[u8],
    out: &mut CheckedRuns<F>,
) -> Result<ControlFlow<()>, DecodeError> {
    while !bytes.is_empty() {
        if out.run(get_u32(&mut bytes)?, 1)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn runs<F: FnMut(u32, u32) -> ControlFlow<()>>(
    mut bytes: &[u8],
    out: &mut CheckedRuns<F>,
) -> Result<ControlFlow<()>, DecodeError> {
    let mut first = true;
    while !bytes.is_empty() {
        let bad = DecodeError::Invalid("run of postings");
        let skipped = get_u32(&mut bytes)?;
        let skipped = if first { skipped } else { skipped.checked_add(1).ok_or(bad)? };
        first = false;
        let len = get_u32(&mut bytes)?.checked_add(1).ok_or(bad)?;
        if out.run(skipped, len)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn bitmap<F: FnMut(u32, u32) -> ControlFlow<()>>(
    mut bytes: &[u8],
    out: &mut CheckedRuns<F>,
) -> Result<ControlFlow<()>, DecodeError> {
    let first = get_u32(&mut bytes)?;
    let (Some(low), Some(high)) = (bytes.first(), bytes.last()) else {
        return Err(DecodeError::Truncated("bitmap of postings"));
    };
    if low & 1 == 0 || *high == 0 {
        return Err(DecodeError::Invalid("ends of bitmap of postings"));
    }
    let bad = DecodeError::Invalid("ordinal in postings");
    for (i, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let mut word = u64::from_le_bytes(word);
        let base = u32::try_from(i * 64).ok().and_then(|b| b.checked_add(first)).ok_or(bad)?;
        while word != 0 {
            let ordinal = base.checked_add(word.trailing_zeros()).ok_or(bad)?;
            let skipped = ordinal.checked_sub(out.next).ok_or(bad)?;
            if out.run(skipped, 1)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            word &= word - 1;
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// Cuts a stream of lists into blocks, which it hands to the `put` of each call.
#[derive(Debug, Default)]
pub(super) struct StreamWriter {
    pending: Vec<u8>,
    /// The block being sealed; kept for its memory.
    sealed: Vec<u8>,
    /// Bytes of the stream so far.
    bytes: u64,
    /// The list begun last.
    open: Option<(ListWriter, PostingsRef)>,
}

impl StreamWriter {
    /// Appends the sorted, not empty list `ordinals`.
    pub(super) fn push<E>(
        &mut self,
        ordinals: &[u32],
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<PostingsRef, E> {
        let before = self.pending.len();
        let encoding = encode(ordinals, &mut self.pending);
        let len = list_len((self.pending.len() - before) as u64);
        let place = PostingsRef { start: self.bytes, len, count: ordinals.len() as u32, encoding };
        self.bytes += u64::from(len);
        self.cut(put)?;
        Ok(place)
    }

    /// Begins a list that was measured; its runs follow, then its [`end`](Self::end).
    pub(super) fn begin(&mut self, measure: &Measure) {
        let encoding = measure.smallest();
        let place = PostingsRef { start: self.bytes, len: 0, count: measure.count(), encoding };
        self.open = Some((ListWriter::new(encoding), place));
    }

    /// Appends `len` ordinals from `start` on to the list begun.
    pub(super) fn run<E>(
        &mut self,
        start: u32,
        len: u32,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let (mut list, place) = self.open.take().expect("a list was begun");
        loop {
            let before = self.pending.len();
            let gap = list.gap_bytes(start).min(STREAM_BLOCK_BYTES);
            if gap > 0 {
                list.skip(gap, &mut self.pending);
            } else {
                list.run(start, len, &mut self.pending);
            }
            self.bytes += (self.pending.len() - before) as u64;
            self.cut(put)?;
            if gap == 0 {
                break;
            }
        }
        self.open = Some((list, place));
        Ok(())
    }

    /// Ends the list begun.
    pub(super) fn end<E>(
        &mut self,
        put: &mut impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<PostingsRef, E> {
        let (list, place) = self.open.take().expect("a list was begun");
        let before = self.pending.len();
        list.finish(&mut self.pending);
        self.bytes += (self.pending.len() - before) as u64;
        self.cut(put)?;
        Ok(PostingsRef { len: list_len(self.bytes - place.start), ..place })
    }

    /// Hands on what fills blocks.
    fn cut<E>(&mut self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        let whole = self.pending.len() / STREAM_BLOCK_BYTES * STREAM_BLOCK_BYTES;
        for payload in self.pending[..whole].chunks(STREAM_BLOCK_BYTES) {
            self.sealed.clear();
            block::seal(BlockKind::Postings, payload.len(), payload, &mut self.sealed);
            put(&self.sealed)?;
        }
        self.pending.drain(..whole);
        Ok(())
    }

    /// Hands on the last block and returns the length of the stream in bytes.
    pub(super) fn finish<E>(self, put: &mut impl FnMut(&[u8]) -> Result<(), E>) -> Result<u64, E> {
        if !self.pending.is_empty() {
            let mut sealed = Vec::new();
            block::seal(BlockKind::Postings, self.pending.len(), &self.pending, &mut sealed);
            put(&sealed)?;
        }
        Ok(self.bytes)
    }
}

fn list_len(bytes: u64) -> u32 {
    u32::try_from(bytes).expect("a bitmap of all ordinals has 2^29 bytes")
}

/// Length in bytes of all blocks of a stream of `stream_bytes`.
pub(super) fn blocks_bytes(stream_bytes: u64) -> Option<u64> {
    let overhead = (block::HEADER_BYTES + block::CRC_BYTES) as u64;
    let blocks = stream_bytes.div_ceil(STREAM_BLOCK_BYTES as u64);
    stream_bytes.checked_add(blocks.checked_mul(overhead)?)
}

/// Reads lists of a stream that starts at offset 0 of the blocks part.
pub(super) struct StreamReader<'s, S> {
    source: &'s S,
    stream_bytes: u64,
    series_count: u32,
    /// The block read last: neighbouring lists are read one after the other.
    last: Option<(u64, Arc<[u8]>)>,
    /// A list that spans blocks, in one piece.
    spanning: Vec<u8>,
}

impl<'s, S: BlockSource> StreamReader<'s, S> {
    pub(super) fn new(source: &'s S, stream_bytes: u64, series_count: u32) -> Self {
        Self { source, stream_bytes, series_count, last: None, spanning: Vec::new() }
    }

    /// As [`for_each_run`].
    pub(super) fn for_each_run(
        &mut self,
        list: PostingsRef,
        visit: impl FnMut(u32, u32) -> ControlFlow<()>,
    ) -> Result<(), S::Error> {
        let bad = DecodeError::Invalid("place of postings");
        let end = list.start.checked_add(u64::from(list.len)).ok_or(bad)?;
        if list.len == 0 || end > self.stream_bytes {
            return Err(bad.into());
        }
        let series_count = self.series_count;
        self.spanning.clear();
        let (block, from) = place(list.start);
        let payload = self.block(block)?;
        if let Some(bytes) = payload.get(from..from + list.len as usize) {
            return Ok(for_each_run(bytes, list, series_count, visit)?);
        }
        let mut at = list.start;
        while at < end {
            let (block, from) = place(at);
            let mut spanning = std::mem::take(&mut self.spanning);
            let payload = self.block(block)?;
            let until = payload.len().min(from + (end - at) as usize);
            spanning.extend_from_slice(payload.get(from..until).ok_or(bad)?);
            at += (until - from) as u64;
            self.spanning = spanning;
        }
        Ok(for_each_run(&self.spanning, list, series_count, visit)?)
    }

    /// The payload of a block; its length is what the length of the stream says.
    fn block(&mut self, number: u64) -> Result<&[u8], S::Error> {
        let expected = (self.stream_bytes - number * STREAM_BLOCK_BYTES as u64)
            .min(STREAM_BLOCK_BYTES as u64) as usize;
        if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
            let len = (block::HEADER_BYTES + expected + block::CRC_BYTES) as u32;
            let offset = number * BLOCK_BYTES as u64;
            self.last = Some((number, self.source.block(BlockRef { offset, len })?));
        }
        let bytes = self.last.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let (count, payload) = block::open(bytes, BlockKind::Postings)?;
        if count != payload.len() || count != expected {
            return Err(DecodeError::Invalid("length of postings block").into());
        }
        Ok(payload)
    }
}

fn place(at: u64) -> (u64, usize) {
    (at / STREAM_BLOCK_BYTES as u64, (at % STREAM_BLOCK_BYTES as u64) as usize)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    struct Memory(Vec<u8>);

    impl BlockSource for Memory {
        type Error = DecodeError;
        fn block(&self, place: BlockRef) -> Result<Arc<[u8]>, DecodeError> {
            let start = place.offset as usize;
            let bytes = self.0.get(start..start + place.len as usize);
            let bytes = bytes.ok_or(DecodeError::Truncated("blocks"))?;
            block::verify_block(bytes)?;
            Ok(bytes.into())
        }
    }

    /// Writes the lists, reads each back and compares.
    fn round_trip(lists: &[Vec<u32>]) -> Vec<Encoding> {
        let mut writer = StreamWriter::default();
        let mut blocks = Vec::new();
        let mut put = |block: &[u8]| {
            blocks.extend_from_slice(block);
            Ok::<(), Infallible>(())
        };
        let refs: Vec<PostingsRef> =
            lists.iter().map(|list| writer.push(list, &mut put).unwrap()).collect();
        let bytes = writer.finish(&mut put).unwrap();
        assert_eq!(blocks_bytes(bytes), Some(blocks.len() as u64));
        let source = Memory(blocks);
        let mut reader = StreamReader::new(&source, bytes, u32::MAX);
        for (list, place) in lists.iter().zip(&refs) {
            let mut found = Vec::new();
            let visit = |start: u32, len: u32| {
                found.extend(start..start + len);
                ControlFlow::Continue(())
            };
            reader.for_each_run(*place, visit).unwrap();
            assert_eq!(&found, list);
        }
        refs.iter().map(|list| list.encoding).collect()
    }

    #[test]
    fn each_encoding_wins_where_it_is_smallest() {
        let every = |step: usize, n: u32| (0..n).step_by(step).collect::<Vec<u32>>();
        let lists =
            [every(1, 1000), every(2, 1000), every(100, 100_000), vec![5], vec![u32::MAX - 1]];
        let expected = [Encoding::Runs, Encoding::Bitmap, Encoding::Deltas];
        assert_eq!(round_trip(&lists)[..3], expected);
    }

    #[test]
    fn lists_span_blocks() {
        let deltas: Vec<u32> = (0..60_000).map(|i| i * 200 + i % 3).collect();
        let bitmap: Vec<u32> = (0..600_000).filter(|i| i % 5 < 2 && i % 7 != 0).collect();
        let runs: Vec<u32> = (0..900_000).filter(|i| i % 40 < 30).collect();
        let short: Vec<Vec<u32>> = (0..20_000).map(|i| vec![i, i + 1000]).collect();
        let mut lists = vec![vec![1], deltas, vec![2, 9], bitmap, vec![3], runs];
        lists.extend(short);
        assert_eq!(round_trip(&lists)[1], Encoding::Deltas);
    }

    #[test]
    fn what_no_writer_makes_is_refused() {
        use Encoding::{Bitmap, Deltas, Runs};
        let read = |bytes: &[u8], encoding, count| {
            let list = PostingsRef { start: 0, len: bytes.len() as u32, count, encoding };
            for_each_run(bytes, list, 100, |_, _| ControlFlow::Continue(()))
        };
        assert_eq!(read(&[1, 2], Deltas, 2), Ok(()));
        for (bytes, encoding, count) in [
            (&[1, 2][..], Deltas, 1),
            (&[1, 2], Deltas, 3),
            (&[100], Deltas, 1),
            (&[99, 0], Deltas, 2),
            (&[1, 0x80], Deltas, 2),
            (&[0, 100], Runs, 101),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], Runs, 1),
            (&[0, 0xff, 0xff, 0xff, 0xff, 0x0f], Runs, u32::MAX),
            (&[0], Runs, 1),
            (&[1], Bitmap, 1),
            (&[1, 2], Bitmap, 1),
            (&[1, 1, 0], Bitmap, 1),
            (&[99, 3], Bitmap, 2),
        ] {
            assert!(read(bytes, encoding, count).is_err(), "{bytes:?} {encoding:?}");
        }
    }

    proptest! {
        #[test]
        fn any_lists_round_trip(
            lists in proptest::collection::vec(
                proptest::collection::btree_set(
                    prop_oneof![0..300u32, 0..100_000u32, 0..u32::MAX], 1..200), 1..5),
        ) {
            let lists: Vec<Vec<u32>> = lists.into_iter().map(|s| s.into_iter().collect()).collect();
            round_trip(&lists);
        }
    }
}
