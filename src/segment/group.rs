//! A group: the chunks of one value block, as a chunk block describes them.

use super::ROWS_MAX;
use super::aggregate::Aggregates;
use super::lost::LossOrigin;
use super::span::{Span, SpanContext};
use crate::sys::checksum::crc32c;
use crate::types::varint::{get_u64, put_u64};
use crate::types::{DecodeError, Timestamp};

/// The most chunks of a value block.
pub(super) const GROUP_CHUNKS_MAX: usize = 64;
/// No encoder makes a stream of more than twice the values' own bytes, for a row more than there are.
const STREAM_BYTES_PER_ROW_MAX: u32 = 16;
/// A value block is closed when it has this many bytes.
pub(super) const VALUE_BLOCK_BYTES_TARGET: usize = 64 << 10;

/// Where a value block is, and what proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueBlock {
    pub(super) offset: u64,
    /// Its length in the file.
    pub(super) len: u32,
    pub(super) crc: u32,
    /// The length of the streams in it, if it is a zstd frame; 0 if it is the streams.
    pub(super) unpacked: u32,
}

/// One chunk as the chunk index knows it: whose samples, from when to when, and what they add up
/// to. Reading them is up to [`ChunkReader`](super::ChunkReader).
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkEntry {
    pub(super) ordinal: u32,
    pub(super) span: Span,
    pub(super) block: ValueBlock,
    /// Where the chunk's stream is in its value block, once that is unpacked.
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) aggregates: Aggregates,
    /// If its samples are lost.
    pub(super) loss: Option<LossOrigin>,
}

impl ChunkEntry {
    /// The series, by its place in the segment's label order.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// The number of samples, 1 to 8,192.
    #[must_use]
    pub fn rows(&self) -> u32 {
        u32::from(self.span.rows)
    }

    /// The time of the first sample.
    #[must_use]
    pub fn first_timestamp(&self) -> Timestamp {
        self.span.first
    }

    /// The time of the last sample, inclusive.
    #[must_use]
    pub fn last_timestamp(&self) -> Timestamp {
        self.span.last
    }

    /// What is known of the values without reading them.
    #[must_use]
    pub fn aggregates(&self) -> &Aggregates {
        &self.aggregates
    }

    /// Where the chunk was, if its samples are lost: it cannot be read then.
    #[must_use]
    pub fn loss(&self) -> Option<&LossOrigin> {
        self.loss.as_ref()
    }

    /// Whether its timestamps can be read. If not, any tick from the first to the last may be one.
    #[must_use]
    pub fn times_are_known(&self) -> bool {
        self.span.times_are_known()
    }

    /// Where the value block that holds the chunk starts in the file: for tests that damage it.
    #[cfg(test)]
    pub(crate) fn block_offset(&self) -> u64 {
        self.block.offset
    }

    /// The chunk's share of its value block in the file, in bytes, without its timestamps.
    #[must_use]
    pub fn value_bytes(&self) -> u32 {
        match self.block.unpacked {
            0 => self.len,
            // At most the block's length, since the chunk is a part of what it holds.
            unpacked => {
                let stored = u64::from(self.len) * u64::from(self.block.len);
                stored.div_ceil(u64::from(unpacked)) as u32
            }
        }
    }
}

/// A group and its value block under construction.
#[derive(Debug, Default)]
pub(super) struct GroupBuilder {
    /// The value streams so far.
    pub(super) values: Vec<u8>,
    /// The streams as one zstd frame; empty if they are stored as they are.
    frame: Vec<u8>,
    spans: Vec<Span>,
    chunks: Vec<GroupChunk>,
}

#[derive(Debug)]
struct GroupChunk {
    ordinal: u32,
    span: u8,
    len: u32,
    aggregates: Aggregates,
    loss: Option<LossOrigin>,
}

impl GroupBuilder {
    /// Whether its chunks are lost ones: they share no group with others.
    pub(super) fn is_lost(&self) -> bool {
        self.chunks.first().is_some_and(|chunk| chunk.loss.is_some())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() == GROUP_CHUNKS_MAX || self.values.len() >= VALUE_BLOCK_BYTES_TARGET
    }

    /// Adds the chunk whose stream is the last `len` bytes of `values`.
    pub(super) fn push(&mut self, ordinal: u32, span: Span, len: usize, aggregates: Aggregates) {
        assert!(!self.is_full() || len > 0, "callers close a full group before the next chunk");
        assert!(!self.is_lost(), "callers close a group of lost chunks");
        let span = self.place(span);
        self.chunks.push(GroupChunk { ordinal, span, len: len as u32, aggregates, loss: None });
    }

    /// Adds a lost chunk.
    pub(super) fn push_lost(&mut self, ordinal: u32, span: Span, origin: LossOrigin) {
        assert!(self.is_empty() || self.is_lost(), "callers close a group of other chunks");
        let (span, loss) = (self.place(span), Some(origin));
        let aggregates = Aggregates::none();
        self.chunks.push(GroupChunk { ordinal, span, len: 0, aggregates, loss });
    }

    /// The number of the span in the group.
    fn place(&mut self, span: Span) -> u8 {
        assert!(self.chunks.len() < GROUP_CHUNKS_MAX, "callers close a full group");
        let place = self.spans.iter().position(|known| *known == span).unwrap_or_else(|| {
            self.spans.push(span);
            self.spans.len() - 1
        });
        place as u8
    }

    /// The stream of each chunk.
    pub(super) fn streams(&self) -> Vec<&[u8]> {
        let mut rest = &self.values[..];
        let stream = |chunk: &GroupChunk| {
            let (stream, after) = rest.split_at(chunk.len as usize);
            rest = after;
            stream
        };
        self.chunks.iter().map(stream).collect()
    }

    /// Puts other streams of the same chunks, of the lengths `lens`, and their frame in place of
    /// those so far.
    pub(super) fn replace(&mut self, streams: Vec<u8>, lens: &[u32], frame: Vec<u8>) {
        assert_eq!(lens.len(), self.chunks.len(), "every chunk has a stream");
        self.chunks.iter_mut().zip(lens).for_each(|(chunk, &len)| chunk.len = len);
        self.values = streams;
        self.frame = frame;
    }

    /// The value block as it goes to the file.
    pub(super) fn block(&self) -> &[u8] {
        if self.frame.is_empty() { &self.values } else { &self.frame }
    }

    pub(super) fn first_ordinal(&self) -> u32 {
        self.chunks[0].ordinal
    }

    pub(super) fn last_ordinal(&self) -> u32 {
        self.chunks[self.chunks.len() - 1].ordinal
    }

    pub(super) fn chunks(&self) -> usize {
        self.chunks.len()
    }

    /// The earliest and the latest timestamp.
    pub(super) fn time_range(&self) -> (Timestamp, Timestamp) {
        self.spans.iter().fold((Timestamp::MAX, Timestamp::MIN), |(first, last), span| {
            (first.min(span.first), last.max(span.last))
        })
    }

    /// Appends the group, whose value block goes to `offset`; empties the builder. In a dense
    /// segment the unpacked length is told.
    pub(super) fn finish(&mut self, offset: u64, is_dense: bool, out: &mut Vec<u8>) {
        assert!(is_dense || self.frame.is_empty(), "only dense segments have frames");
        put_u64(out, offset);
        put_u64(out, self.block().len() as u64);
        out.extend_from_slice(&crc32c(0, self.block()).to_le_bytes());
        if is_dense {
            put_u64(out, if self.frame.is_empty() { 0 } else { self.values.len() as u64 });
        }
        out.extend_from_slice(&[self.chunks.len() as u8, self.spans.len() as u8]);
        let mut context = SpanContext::default();
        for span in &self.spans {
            span.encode(&mut context, out);
        }
        let mut steps = [0u8; GROUP_CHUNKS_MAX / 8];
        for (i, pair) in self.chunks.windows(2).enumerate() {
            let step = pair[1].ordinal - pair[0].ordinal;
            assert!(step <= 1, "every series has a chunk");
            steps[(i + 1) / 8] |= (step as u8) << ((i + 1) % 8);
        }
        out.extend_from_slice(&steps[..self.chunks.len().div_ceil(8)]);
        out.extend(self.chunks.iter().map(|chunk| chunk.span));
        for chunk in &self.chunks {
            put_u64(out, u64::from(chunk.len));
        }
        for chunk in &self.chunks {
            match &chunk.loss {
                Some(origin) => origin.encode(out),
                None => {
                    let rows = u32::from(self.spans[usize::from(chunk.span)].rows);
                    chunk.aggregates.encode(rows, out);
                }
            }
        }
        self.values.clear();
        self.frame.clear();
        self.spans.clear();
        self.chunks.clear();
    }
}

/// Decodes a group, all of `bytes`, and appends its chunks to `out`.
pub(super) fn decode(
    first_ordinal: u32,
    is_dense: bool,
    bytes: &[u8],
    out: &mut Vec<ChunkEntry>,
) -> Result<(), DecodeError> {
    let input = &mut &bytes[..];
    let block = decode_block(is_dense, input)?;
    let streams_len = if block.unpacked > 0 { block.unpacked } else { block.len };
    let [chunks, spans] = take(input, 2)?[..] else { return Err(truncated()) };
    let (chunks, spans) = (usize::from(chunks), usize::from(spans));
    if chunks == 0 || chunks > GROUP_CHUNKS_MAX || spans == 0 || spans > chunks {
        return Err(DecodeError::Invalid("number of chunks of a group"));
    }
    let mut context = SpanContext::default();
    let spans: Vec<Span> =
        (0..spans).map(|_| Span::decode(&mut context, input)).collect::<Result<_, _>>()?;
    let steps = take(input, chunks.div_ceil(8))?;
    let step = |i: usize| steps[i / 8] >> (i % 8) & 1;
    if step(0) != 0 || (chunks..steps.len() * 8).any(|i| step(i) != 0) {
        return Err(DecodeError::Invalid("series of a group"));
    }
    let places = take(input, chunks)?;
    let (mut ordinal, mut start) = (first_ordinal, 0u32);
    let at = out.len();
    for (i, &place) in places.iter().enumerate() {
        let span =
            spans.get(usize::from(place)).ok_or(DecodeError::Invalid("span of a chunk"))?.clone();
        ordinal = ordinal
            .checked_add(u32::from(step(i)))
            .ok_or(DecodeError::Invalid("series of a group"))?;
        let len = u32::try_from(get_u64(input)?)
            .ok()
            .filter(|&len| start.checked_add(len).is_some_and(|end| end <= streams_len))
            .filter(|&len| len <= STREAM_BYTES_PER_ROW_MAX * (u32::from(span.rows) + 1))
            .ok_or(DecodeError::Invalid("length of a chunk"))?;
        let aggregates = Aggregates::none();
        out.push(ChunkEntry { ordinal, span, block, start, len, aggregates, loss: None });
        start += len;
    }
    if start != streams_len {
        return Err(DecodeError::Invalid("length of a value block"));
    }
    for chunk in &mut out[at..] {
        chunk.loss = LossOrigin::decode(input)?;
        match &chunk.loss {
            Some(_) if block.len > 0 => return Err(DecodeError::Invalid("group of a lost chunk")),
            Some(_) => {}
            None if !chunk.times_are_known() => {
                return Err(DecodeError::Invalid("span of a chunk"));
            }
            None => chunk.aggregates = Aggregates::decode(chunk.rows(), input)?,
        }
    }
    if input.is_empty() { Ok(()) } else { Err(DecodeError::Invalid("length of a group")) }
}

fn decode_block(is_dense: bool, input: &mut &[u8]) -> Result<ValueBlock, DecodeError> {
    let offset = get_u64(input)?;
    let len_max = GROUP_CHUNKS_MAX as u64 * u64::from(STREAM_BYTES_PER_ROW_MAX) * ROWS_MAX as u64;
    let len = get_u64(input)?;
    let crc = take(input, 4)?.first_chunk().map(|crc| u32::from_le_bytes(*crc));
    let unpacked = if is_dense { get_u64(input)? } else { 0 };
    if len.max(unpacked) > len_max || (unpacked != 0 && unpacked <= len) {
        return Err(DecodeError::Invalid("length of a value block"));
    }
    let (len, unpacked) = (len as u32, unpacked as u32);
    Ok(ValueBlock { offset, len, crc: crc.ok_or(truncated())?, unpacked })
}

fn take<'a>(input: &mut &'a [u8], n: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, rest) = input.split_at_checked(n).ok_or(truncated())?;
    *input = rest;
    Ok(taken)
}

fn truncated() -> DecodeError {
    DecodeError::Truncated("group")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::span::RowSelection;

    fn span(column: u32) -> Span {
        let first = i64::from(column) * 1000;
        Span { column, rows: 3, first, last: first + 20, selection: RowSelection::Whole }
    }

    /// A group of `chunks` chunks, three a series.
    fn group(chunks: u32) -> (Vec<u8>, Vec<ChunkEntry>) {
        group_of(chunks, false)
    }

    /// The same in a dense segment.
    fn dense_group(chunks: u32) -> (Vec<u8>, Vec<ChunkEntry>) {
        group_of(chunks, true)
    }

    fn group_of(chunks: u32, is_dense: bool) -> (Vec<u8>, Vec<ChunkEntry>) {
        let mut builder = GroupBuilder::default();
        let mut expected = Vec::new();
        for i in 0..chunks {
            let len = 1 + i % 5;
            let start = builder.values.len() as u32;
            builder.values.resize(builder.values.len() + len as usize, i as u8);
            let aggregates = Aggregates::of(&[1.0, f64::from(i), 0.5]);
            let span = span(i % 3);
            builder.push(7 + i / 3, span.clone(), len as usize, aggregates);
            let block = ValueBlock { offset: 0, len: 0, crc: 0, unpacked: 0 };
            let ordinal = 7 + i / 3;
            expected.push(ChunkEntry { ordinal, span, block, start, len, aggregates, loss: None });
        }
        let mut unpacked = 0;
        if is_dense && chunks > 1 {
            // What a frame is made of is not the group's business.
            unpacked = builder.values.len() as u32;
            let lens: Vec<u32> = expected.iter().map(|entry| entry.len).collect();
            builder.replace(builder.values.clone(), &lens, vec![9]);
        }
        let (len, crc) = (builder.block().len() as u32, crc32c(0, builder.block()));
        let block = ValueBlock { offset: 1 << 40, len, crc, unpacked };
        expected.iter_mut().for_each(|entry| entry.block = block);
        assert_eq!((builder.first_ordinal(), builder.chunks()), (7, chunks as usize));
        assert_eq!(builder.last_ordinal(), 7 + (chunks - 1) / 3);
        assert_eq!(builder.time_range().0, 0);
        let mut bytes = Vec::new();
        builder.finish(1 << 40, is_dense, &mut bytes);
        assert!(builder.is_empty());
        (bytes, expected)
    }

    #[test]
    fn round_trip_and_every_cut() {
        for chunks in [1, 2, 8, 9, 63, 64] {
            let (bytes, expected) = group(chunks);
            let mut found = Vec::new();
            assert_eq!(decode(7, false, &bytes, &mut found), Ok(()));
            assert_eq!(found, expected);
            for cut in 0..bytes.len() {
                assert!(decode(7, false, &bytes[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(decode(7, false, &longer, &mut Vec::new()).is_err());
            assert!(chunks < 4 || decode(u32::MAX, false, &bytes, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn dense_groups_tell_the_unpacked_length() {
        for chunks in [1, 2, 9, 64] {
            let (bytes, expected) = dense_group(chunks);
            let mut found = Vec::new();
            assert_eq!(decode(7, true, &bytes, &mut found), Ok(()));
            assert_eq!(found, expected);
            assert!(decode(7, false, &bytes, &mut Vec::new()).is_err());
            assert!(decode(7, true, &group(chunks).0, &mut Vec::new()).is_err());
            for cut in 0..bytes.len() {
                assert!(decode(7, true, &bytes[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_stream_longer_than_its_rows_can_be_is_refused() {
        let chunk = |len: usize| {
            let mut builder = GroupBuilder::default();
            builder.values.resize(len, 0);
            builder.push(0, span(0), len, Aggregates::of(&[1.0; 3]));
            let mut bytes = Vec::new();
            builder.finish(0, false, &mut bytes);
            decode(0, false, &bytes, &mut Vec::new())
        };
        assert_eq!(chunk(64), Ok(()));
        assert_eq!(chunk(65), Err(DecodeError::Invalid("length of a chunk")));
    }

    #[test]
    fn spans_are_shared_and_a_steady_chunk_takes_few_bytes() {
        let (bytes, _) = group(64);
        assert!(bytes.len() < 64 * 13, "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_safe(at in 0usize..400, byte: u8) {
            for (is_dense, (mut bytes, _)) in [(false, group(20)), (true, dense_group(20))] {
                let at = at % bytes.len();
                bytes[at] = byte;
                let mut found = Vec::new();
                if decode(7, is_dense, &bytes, &mut found).is_ok() {
                    for entry in found {
                        let block = entry.block;
                        let streams = if block.unpacked > 0 { block.unpacked } else { block.len };
                        prop_assert!(entry.start + entry.len <= streams);
                        prop_assert!(entry.value_bytes() <= block.len);
                    }
                }
            }
        }
    }
}
