//! A group: the chunks of one value block, as a chunk block describes them.

use super::ROWS_MAX;
use super::aggregate::Aggregates;
use super::span::{Span, SpanContext};
use crate::codec::varint::{get_u64, put_u64};
use crate::sys::checksum::crc32c;
use crate::types::{DecodeError, Timestamp};

/// The most chunks of a value block.
pub(super) const GROUP_CHUNKS_MAX: usize = 64;
/// A value block is closed when it has this many bytes.
pub(super) const VALUE_BLOCK_BYTES_TARGET: usize = 64 << 10;

/// Where a value block is, and what proves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ValueBlock {
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) crc: u32,
}

/// One chunk as the chunk index knows it: whose samples, from when to when, and what they add up
/// to. Reading them is up to [`ChunkReader`](super::ChunkReader).
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkEntry {
    pub(super) ordinal: u32,
    pub(super) span: Span,
    pub(super) block: ValueBlock,
    /// Where the chunk's stream is in its value block.
    pub(super) start: u32,
    pub(super) len: u32,
    pub(super) aggregates: Aggregates,
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

    /// Where the chunk's value block starts in the file.
    #[must_use]
    pub fn value_offset(&self) -> u64 {
        self.block.offset
    }

    /// What reading the chunk takes from the file, in bytes, without its timestamps.
    #[must_use]
    pub fn value_bytes(&self) -> u32 {
        self.len
    }
}

/// A group and its value block under construction.
#[derive(Debug, Default)]
pub(super) struct GroupBuilder {
    /// The value streams so far.
    pub(super) values: Vec<u8>,
    spans: Vec<Span>,
    chunks: Vec<GroupChunk>,
}

#[derive(Debug)]
struct GroupChunk {
    ordinal: u32,
    span: u8,
    len: u32,
    aggregates: Aggregates,
}

impl GroupBuilder {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.chunks.len() == GROUP_CHUNKS_MAX || self.values.len() >= VALUE_BLOCK_BYTES_TARGET
    }

    /// Adds the chunk whose stream is the last `len` bytes of `values`.
    pub(super) fn push(&mut self, ordinal: u32, span: Span, len: usize, aggregates: Aggregates) {
        assert!(!self.is_full() || len > 0, "callers close a full group before the next chunk");
        assert!(self.chunks.len() < GROUP_CHUNKS_MAX, "callers close a full group");
        let place = self.spans.iter().position(|known| *known == span).unwrap_or_else(|| {
            self.spans.push(span);
            self.spans.len() - 1
        });
        let len = len as u32;
        self.chunks.push(GroupChunk { ordinal, span: place as u8, len, aggregates });
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

    /// Appends the group, whose value block goes to `offset`; empties the builder.
    pub(super) fn finish(&mut self, offset: u64, out: &mut Vec<u8>) {
        put_u64(out, offset);
        put_u64(out, self.values.len() as u64);
        out.extend_from_slice(&crc32c(0, &self.values).to_le_bytes());
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
            chunk.aggregates.encode(u32::from(self.spans[usize::from(chunk.span)].rows), out);
        }
        self.values.clear();
        self.spans.clear();
        self.chunks.clear();
    }
}

/// Decodes a group, all of `bytes`, and appends its chunks to `out`.
pub(super) fn decode(
    first_ordinal: u32,
    bytes: &[u8],
    out: &mut Vec<ChunkEntry>,
) -> Result<(), DecodeError> {
    let input = &mut &bytes[..];
    let block = decode_block(input)?;
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
            .filter(|&len| start.checked_add(len).is_some_and(|end| end <= block.len))
            .ok_or(DecodeError::Invalid("length of a chunk"))?;
        let aggregates = Aggregates { stale_markers: 0, extent: None, sums: None };
        out.push(ChunkEntry { ordinal, span, block, start, len, aggregates });
        start += len;
    }
    if start != block.len {
        return Err(DecodeError::Invalid("length of a value block"));
    }
    for chunk in &mut out[at..] {
        chunk.aggregates = Aggregates::decode(chunk.rows(), input)?;
    }
    if input.is_empty() { Ok(()) } else { Err(DecodeError::Invalid("length of a group")) }
}

fn decode_block(input: &mut &[u8]) -> Result<ValueBlock, DecodeError> {
    let offset = get_u64(input)?;
    // No encoder makes a stream of more than twice the values' own bytes.
    let len_max = (GROUP_CHUNKS_MAX * ROWS_MAX * 16) as u64;
    let len = get_u64(input)?;
    if len > len_max {
        return Err(DecodeError::Invalid("length of a value block"));
    }
    let crc = take(input, 4)?.first_chunk().map(|crc| u32::from_le_bytes(*crc));
    Ok(ValueBlock { offset, len: len as u32, crc: crc.ok_or(truncated())? })
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
    use crate::segment::span::Selection;

    fn span(column: u32) -> Span {
        let first = i64::from(column) * 1000;
        Span { column, rows: 3, first, last: first + 20, selection: Selection::Whole }
    }

    /// A group of `chunks` chunks, three a series.
    fn group(chunks: u32) -> (Vec<u8>, Vec<ChunkEntry>) {
        let mut builder = GroupBuilder::default();
        let mut expected = Vec::new();
        for i in 0..chunks {
            let len = 1 + i % 5;
            let start = builder.values.len() as u32;
            builder.values.resize(builder.values.len() + len as usize, i as u8);
            let aggregates = Aggregates::of(&[1.0, f64::from(i), 0.5]);
            let span = span(i % 3);
            builder.push(7 + i / 3, span.clone(), len as usize, aggregates);
            let block = ValueBlock { offset: 0, len: 0, crc: 0 };
            expected.push(ChunkEntry { ordinal: 7 + i / 3, span, block, start, len, aggregates });
        }
        let len = builder.values.len() as u32;
        let block = ValueBlock { offset: 1 << 40, len, crc: crc32c(0, &builder.values) };
        expected.iter_mut().for_each(|entry| entry.block = block);
        assert_eq!((builder.first_ordinal(), builder.chunks()), (7, chunks as usize));
        assert_eq!(builder.last_ordinal(), 7 + (chunks - 1) / 3);
        assert_eq!(builder.time_range().0, 0);
        let mut bytes = Vec::new();
        builder.finish(1 << 40, &mut bytes);
        assert!(builder.is_empty());
        (bytes, expected)
    }

    #[test]
    fn round_trip_and_every_cut() {
        for chunks in [1, 2, 8, 9, 63, 64] {
            let (bytes, expected) = group(chunks);
            let mut found = Vec::new();
            assert_eq!(decode(7, &bytes, &mut found), Ok(()));
            assert_eq!(found, expected);
            for cut in 0..bytes.len() {
                assert!(decode(7, &bytes[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(decode(7, &longer, &mut Vec::new()).is_err());
            assert!(chunks < 4 || decode(u32::MAX, &bytes, &mut Vec::new()).is_err());
        }
    }

    #[test]
    fn spans_are_shared_and_a_steady_chunk_takes_few_bytes() {
        let (bytes, _) = group(64);
        assert!(bytes.len() < 64 * 13, "{} bytes", bytes.len());
    }

    proptest! {
        #[test]
        fn damaged_bytes_are_safe(at in 0usize..400, byte: u8) {
            let (mut bytes, _) = group(20);
            let at = at % bytes.len();
            bytes[at] = byte;
            let mut found = Vec::new();
            if decode(7, &bytes, &mut found).is_ok() {
                for entry in found {
                    prop_assert!(entry.start + entry.len <= entry.block.len);
                }
            }
        }
    }
}
