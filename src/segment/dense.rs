//! The dense encoding of a value block: one zstd frame over the streams of a group, and the way back.
//!
//! Called by the writer of segments that merges make, and by everything that reads value blocks.
//! The encoder keeps each chunk's values in both forms of the codec, bit-packed and in byte-aligned
//! planes: which of them zstd packs better depends on the chunk, and on its neighbours. It tries,
//! deterministically, and keeps the shortest; a frame that saves too little to be worth unpacking is
//! not kept. FORMAT.md, "Values".

use std::fmt;
use std::io;

use zstd::bulk::{Compressor, Decompressor};

use super::group::GroupBuilder;
use crate::codec::{Form, ValueEncoder};
use crate::types::DecodeError;

/// The levels that are tried for a frame. The first is best where residuals are noise, the second
/// where chunks repeat what others say; more costs time and gains little (benches/README.md).
const LEVELS: [i32; 2] = [1, 6];
/// A frame is kept if it saves one byte in so many.
const BYTES_PER_SAVED: usize = 16;

/// Packs the groups of one segment; owns the scratch.
pub(super) struct DenseEncoder {
    encoder: ValueEncoder,
    /// The open group's chunks in planes, one after the other.
    planes: Vec<u8>,
    /// Where they end.
    ends: Vec<usize>,
    compressors: [Compressor<'static>; LEVELS.len()],
}

/// The streams of a group in one choice of forms, and their frame.
struct Candidate {
    streams: Vec<u8>,
    lens: Vec<u32>,
    frame: Vec<u8>,
}

impl DenseEncoder {
    /// # Errors
    /// If zstd gets no memory.
    pub(super) fn new() -> io::Result<Self> {
        let [fast, thorough] = LEVELS;
        Ok(Self {
            encoder: ValueEncoder::with_form(Form::Planes),
            planes: Vec::new(),
            ends: Vec::new(),
            compressors: [Compressor::new(fast)?, Compressor::new(thorough)?],
        })
    }

    /// Takes the next chunk of the open group; returns its stream in planes.
    pub(super) fn push(&mut self, values: &[f64]) -> &[u8] {
        let start = self.planes.len();
        self.encoder.encode_f64(values, &mut self.planes);
        self.ends.push(self.planes.len());
        &self.planes[start..]
    }

    /// Ends the group: replaces its packed streams by those of the shortest frame, or leaves them as
    /// they are.
    ///
    /// # Errors
    /// If zstd fails, or does not give back what it was given.
    pub(super) fn pack(&mut self, group: &mut GroupBuilder) -> io::Result<()> {
        let packed = group.streams();
        assert_eq!(packed.len(), self.ends.len(), "every chunk of the group was pushed");
        let planes = std::mem::take(&mut self.planes);
        let starts = std::iter::once(&0).chain(&self.ends);
        let in_planes = starts.zip(&self.ends).map(|(&start, &end)| &planes[start..end]);
        let forms: Vec<[&[u8]; 2]> =
            packed.into_iter().zip(in_planes).map(|(packed, planes)| [packed, planes]).collect();
        let best = self.shortest(&forms)?;
        self.planes = planes;
        self.planes.clear();
        self.ends.clear();

        let plain_bytes = group.values.len();
        let saves = best.frame.len() + plain_bytes.div_ceil(BYTES_PER_SAVED) <= plain_bytes;
        if !saves || best.frame.len() >= best.streams.len() {
            return Ok(());
        }
        match FrameUnpacker::default().unpack(&best.frame, best.streams.len()) {
            Ok(unpacked) if unpacked == best.streams => {}
            _ => return Err(io::Error::other("a zstd frame does not give back what was packed")),
        }
        group.replace(best.streams, &best.lens, best.frame);
        Ok(())
    }

    /// The shortest frame over the chunks, of each of which there is a packed stream and one in
    /// planes. Two choices are tried: what is best for each chunk alone, and planes for all, since
    /// chunks of one sort share their statistics.
    fn shortest(&mut self, forms: &[[&[u8]; 2]]) -> io::Result<Candidate> {
        let mut own = Vec::with_capacity(forms.len());
        for &[packed, planes] in forms {
            let is_packed = packed == planes || self.is_shorter(packed, planes)?;
            own.push(if is_packed { packed } else { planes });
        }
        let mut best = self.candidate(&own)?;
        let planes: Vec<&[u8]> = forms.iter().map(|&[_, planes]| planes).collect();
        if planes != own {
            let other = self.candidate(&planes)?;
            if other.frame.len() < best.frame.len() {
                best = other;
            }
        }
        Ok(best)
    }

    /// Whether `a` compressed is shorter than `b` compressed.
    fn is_shorter(&mut self, a: &[u8], b: &[u8]) -> io::Result<bool> {
        let [fast, _] = &mut self.compressors;
        Ok(fast.compress(a)?.len() < fast.compress(b)?.len())
    }

    /// The shortest frame over `streams` at any of the levels.
    fn candidate(&mut self, streams: &[&[u8]]) -> io::Result<Candidate> {
        let lens = streams.iter().map(|stream| stream.len() as u32).collect();
        let streams = streams.concat();
        let [fast, thorough] = &mut self.compressors;
        let (first, second) = (fast.compress(&streams)?, thorough.compress(&streams)?);
        let frame = if second.len() < first.len() { second } else { first };
        Ok(Candidate { streams, lens, frame })
    }
}

/// Unpacks value blocks into a buffer of its own.
#[derive(Default)]
pub(super) struct FrameUnpacker {
    context: Option<Decompressor<'static>>,
    unpacked: Vec<u8>,
}

impl fmt::Debug for FrameUnpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameUnpacker").field("bytes", &self.unpacked.len()).finish_non_exhaustive()
    }
}

impl FrameUnpacker {
    /// The `unpacked_bytes` bytes that `frame` holds. No memory is taken before the frame says the
    /// same length.
    pub(super) fn unpack(
        &mut self,
        frame: &[u8],
        unpacked_bytes: usize,
    ) -> Result<&[u8], DecodeError> {
        let damaged = DecodeError::Invalid("zstd frame of a value block");
        self.unpacked.clear();
        let stated = zstd::zstd_safe::get_frame_content_size(frame).map_err(|_| damaged)?;
        if stated != Some(unpacked_bytes as u64)
            || zstd::zstd_safe::find_frame_compressed_size(frame) != Ok(frame.len())
        {
            return Err(damaged);
        }
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(Decompressor::new().map_err(|_| damaged)?),
        };
        self.unpacked.reserve(unpacked_bytes);
        let len = context.decompress_to_buffer(frame, &mut self.unpacked).map_err(|_| damaged)?;
        if len == unpacked_bytes { Ok(&self.unpacked) } else { Err(damaged) }
    }

    /// What was unpacked last.
    pub(super) fn unpacked(&self) -> &[u8] {
        &self.unpacked
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::error::Error;
    use crate::segment::{
        BlockCache, ChunkReader, ChunkSamples, Encoding, Segment, SegmentInfo, SegmentWriter,
        VerifyReport,
    };
    use crate::sys::{ReadMode, SimFs, Vfs};
    use crate::types::{FileName, Labels, STALE_MARKER_BITS, SegmentMeta};

    const ROWS: usize = 300;

    /// Chunk `chunk` of a series: walking gauges, counters in step, a constant, noise, stale markers.
    fn values(series: usize, chunk: usize) -> Vec<f64> {
        let mut state = (series * 1000 + chunk) as u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            state >> 33
        };
        let mut level = 50i64;
        let mut value = |row: usize| match series % 5 {
            0 | 1 => {
                level = (level + i64::from(random().count_ones()) - 15) / 2;
                level as f64
            }
            2 => (row * row / 7) as f64,
            3 if series % 50 != 13 => 2.5,
            3 => f64::from_bits(random() << 33 ^ random()),
            _ if row % 90 == 17 => f64::from_bits(STALE_MARKER_BITS),
            _ => (random() % 20) as f64 / 100.0,
        };
        (0..ROWS).map(&mut value).collect()
    }

    fn disk() -> (Arc<dyn Vfs>, PathBuf) {
        let vfs: Arc<dyn Vfs> = Arc::new(SimFs::new());
        let dir = PathBuf::from("/store");
        vfs.create_dir_all(&dir).unwrap();
        (vfs, dir)
    }

    /// `series` series of two chunks each.
    fn write(vfs: &Arc<dyn Vfs>, dir: &Path, series: usize, encoding: Encoding) -> SegmentMeta {
        let info = SegmentInfo { min_seq: 1, max_seq: 1, encoding, ..SegmentInfo::default() };
        let number = if encoding == Encoding::Dense { 2 } else { 1 };
        let mut writer = SegmentWriter::create(vfs, dir, number, info).unwrap();
        for series in 0..series {
            let name = format!("{series:05}");
            writer.begin_series(&Labels::from_pairs([("series", name.as_str())]).unwrap()).unwrap();
            for chunk in 0..2 {
                let at = |row: usize| ((chunk * ROWS + row) * 1000) as i64;
                let timestamps: Vec<i64> = (0..ROWS).map(at).collect();
                writer.chunk(&timestamps, &values(series, chunk)).unwrap();
            }
        }
        writer.finish().unwrap()
    }

    fn open(vfs: &Arc<dyn Vfs>, dir: &Path, meta: &SegmentMeta) -> Arc<Segment> {
        let cache = Arc::new(BlockCache::new(1 << 20));
        Segment::open(vfs, dir, &[0; 16].into(), meta, ReadMode::Pread, cache).unwrap()
    }

    fn assert_reads_back(segment: &Arc<Segment>, series: usize, backwards: bool) {
        let ordinals: Vec<u32> = (0..series as u32).collect();
        let mut chunks: Vec<_> =
            segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap().map(Result::unwrap).collect();
        assert_eq!(chunks.len(), 2 * series);
        if backwards {
            chunks.reverse();
        }
        let mut reader = ChunkReader::new(Arc::clone(segment));
        let mut columns = ChunkSamples::default();
        for chunk in &chunks {
            reader.read(chunk, &mut columns).unwrap();
            let place = (chunk.first_timestamp() > 0).into();
            let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
            let expected = values(chunk.ordinal() as usize, place);
            assert_eq!(bits(&columns.values), bits(&expected), "series {}", chunk.ordinal());
        }
    }

    fn verify(segment: &Segment) -> (VerifyReport, Vec<Error>) {
        let mut errors = Vec::new();
        let report = segment.verify(&mut |finding| errors.push(finding.error)).unwrap();
        (report, errors)
    }

    #[test]
    fn dense_segments_are_smaller_and_read_back_in_any_order() {
        let (vfs, dir) = disk();
        let fast = write(&vfs, &dir, 200, Encoding::Fast);
        let dense = write(&vfs, &dir, 200, Encoding::Dense);
        assert_eq!((fast.features, dense.features), (0, 1));
        assert!(dense.file_bytes < fast.file_bytes * 19 / 20, "{dense:?} {fast:?}");
        assert_eq!(Segment::discover(vfs.as_ref(), &dir, 2).unwrap().meta, dense);
        let segment = open(&vfs, &dir, &dense);
        assert_reads_back(&segment, 200, false);
        assert_reads_back(&segment, 200, true);
        let (report, errors) = verify(&segment);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!((report.chunks, report.samples), (400, 400 * ROWS as u64));
        assert_eq!(report.bytes, dense.file_bytes);

        let described = segment.describe().unwrap();
        let blocks = described.value_blocks;
        assert!(blocks.compressed > 0 && blocks.compressed <= blocks.blocks, "{blocks:?}");
        assert!(blocks.compressed_bytes < blocks.unpacked_bytes);
        assert!(blocks.bytes <= described.bytes.values);
        let kinds: Vec<_> = described.encodings.keys().copied().collect();
        assert_eq!(kinds, ["constant", "packed", "planes", "raw"]);
        assert_eq!(described.encodings.values().map(|share| share.chunks).sum::<u64>(), 400);
        let streams: u64 = described.encodings.values().map(|share| share.bytes).sum();
        assert_eq!(streams, blocks.bytes - blocks.compressed_bytes + blocks.unpacked_bytes);
        let fast = open(&vfs, &dir, &fast).describe().unwrap();
        assert_eq!(fast.value_blocks.compressed, 0);
        assert!(!fast.encodings.contains_key("planes"));
    }

    #[test]
    fn the_same_samples_give_the_same_bytes() {
        let file = |_| {
            let (vfs, dir) = disk();
            let meta = write(&vfs, &dir, 70, Encoding::Dense);
            let path = dir.join(FileName::Segment(meta.file_number).to_string());
            let file = vfs.open_read(&path).unwrap();
            file.read(0, meta.file_bytes as usize, ReadMode::Pread).unwrap().to_vec()
        };
        assert!(file(0) == file(1));
    }

    #[test]
    fn noise_is_stored_as_it_is() {
        let (vfs, dir) = disk();
        let info = SegmentInfo { encoding: Encoding::Dense, ..SegmentInfo::default() };
        let mut writer = SegmentWriter::create(&vfs, &dir, 2, info).unwrap();
        writer.begin_series(&Labels::from_pairs([("series", "noise")]).unwrap()).unwrap();
        let timestamps: Vec<i64> = (0..ROWS as i64).collect();
        writer.chunk(&timestamps, &values(13, 0)).unwrap();
        let meta = writer.finish().unwrap();
        let segment = open(&vfs, &dir, &meta);
        assert_eq!(segment.describe().unwrap().value_blocks.compressed, 0);
        let chunk = segment.chunks(&[0], i64::MIN..=i64::MAX).unwrap().next().unwrap().unwrap();
        let mut columns = ChunkSamples::default();
        ChunkReader::new(Arc::clone(&segment)).read(&chunk, &mut columns).unwrap();
        assert_eq!(columns.values.len(), ROWS);
        assert!(verify(&segment).1.is_empty());
    }

    #[test]
    fn damage_of_a_frame_costs_its_own_chunks() {
        let (vfs, dir) = disk();
        let meta = write(&vfs, &dir, 100, Encoding::Dense);
        let path = dir.join(FileName::Segment(meta.file_number).to_string());
        let file = vfs.open_read(&path).unwrap();
        let good = file.read(0, meta.file_bytes as usize, ReadMode::Pread).unwrap().to_vec();
        vfs.remove(&path).unwrap();
        let mut bad = good;
        bad[100] ^= 0x10;
        vfs.create_new(&path).unwrap().append(&bad).unwrap();
        let segment = open(&vfs, &dir, &meta);
        let (report, errors) = verify(&segment);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains("value block"), "{}", errors[0]);
        assert!(report.chunks < 200 && report.chunks >= 200 - 64, "{report:?}");
    }

    fn frame() -> (Vec<u8>, Vec<u8>) {
        let streams: Vec<u8> = (0..5000u32).map(|i| (i * i % 7) as u8).collect();
        (zstd::bulk::compress(&streams, 1).unwrap(), streams)
    }

    #[test]
    fn lengths_must_be_those_of_the_frame() {
        let (frame, streams) = frame();
        let mut unpacker = FrameUnpacker::default();
        assert_eq!(unpacker.unpack(&frame, 5000), Ok(&streams[..]));
        let damaged = Err(DecodeError::Invalid("zstd frame of a value block"));
        for wrong in [0, 4999, 5001, usize::MAX] {
            assert_eq!(unpacker.unpack(&frame, wrong), damaged);
        }
        let twice = [&frame[..], &frame].concat();
        assert_eq!(unpacker.unpack(&twice, 5000), damaged);
        assert_eq!(unpacker.unpack(&twice, 10_000), damaged);
        for cut in 0..frame.len() {
            assert_eq!(unpacker.unpack(&frame[..cut], 5000), damaged, "cut at {cut}");
        }
        assert_eq!(unpacker.unpack(&frame, 5000), Ok(&streams[..]), "and it goes on");
    }

    proptest! {
        #[test]
        fn damaged_frames_are_safe(at: prop::sample::Index, byte: u8, stated in 0usize..10_000) {
            let (mut frame, _) = frame();
            let at = at.index(frame.len());
            frame[at] = byte;
            let mut unpacker = FrameUnpacker::default();
            for stated in [stated, 5000] {
                if let Ok(unpacked) = unpacker.unpack(&frame, stated) {
                    prop_assert_eq!(unpacked.len(), stated);
                }
            }
        }
    }
}
