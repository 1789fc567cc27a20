//! Writes a segment in one pass: series in label order, chunks in time order.
//!
//! Called by flush and by merges. Memory: one value block, one timestamp block, one chunk block, the
//! timestamp columns seen last, the tops, and what the index builder holds, which is bounded too;
//! the rest goes to the file as it fills up. Every chunk is decoded and compared before its block is written.

mod complete;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ROWS_MAX;
use super::aggregate::Aggregates;
use super::chunk_index::{ChunkBlock, ChunkBlockBuilder};
use super::dense::DenseEncoder;
use super::group::GroupBuilder;
use super::header::Header;
use super::info::{Encoding, SegmentInfo};
use super::lost::{LossOrigin, LostTimes};
use super::span::{RowSelection, Span};
use super::spill::SpillFile;
use super::time_table::TimeBlock;
use super::times::TimesWriter;
use crate::codec::{self, ValueEncoder};
use crate::error::{Error, Result};
use crate::index::IndexBuilder;
use crate::sys::{SyncPoint, Vfs, WriteFile};
use crate::types::{DecodeError, FileName, Labels, SegmentMeta, Timestamp};

/// Memory of the label index in bytes, unless it is said otherwise.
const INDEX_BYTES_DEFAULT: usize = 8 << 20;

/// A segment being written, as `NNNNNN.seg.tmp`. A writer that is dropped leaves that file behind,
/// for the next open to remove; [`abort`](Self::abort) removes it at once.
pub struct SegmentWriter {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    path: PathBuf,
    file_number: u64,
    info: SegmentInfo,
    file: Box<dyn WriteFile>,
    /// Until the file is completed.
    index: Option<IndexBuilder<SpillFile>>,
    encoder: ValueEncoder,
    dense: Option<DenseEncoder>,
    group: GroupBuilder,
    chunk_block: ChunkBlockBuilder,
    chunk_top: Vec<ChunkBlock>,
    times: TimesWriter,
    time_table: Vec<TimeBlock>,
    series: u32,
    /// The last timestamp of the open series, once it has a chunk.
    last_timestamp: Option<Timestamp>,
    /// Of chunks that are not lost.
    samples: u64,
    chunks: u64,
    has_lost: bool,
    time_range: (Timestamp, Timestamp),
    decoded: Vec<f64>,
}

impl SegmentWriter {
    /// Starts segment `file_number` in `dir`.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`].
    ///
    /// # Panics
    /// If the seq range of `info` is reversed or its window is empty.
    pub fn create(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        file_number: u64,
        info: SegmentInfo,
    ) -> Result<Self> {
        assert!(info.min_seq <= info.max_seq, "a segment's seq range is not empty");
        assert!(info.window.is_none_or(|window| window.ticks > 0), "a window is not empty");
        let path = dir.join(FileName::Segment(file_number).temporary());
        let mut file = vfs.create_new(&path).map_err(|e| Error::io("create", &path, e))?;
        let dense = match info.encoding {
            Encoding::Fast => None,
            Encoding::Dense => {
                Some(DenseEncoder::new().map_err(|e| Error::io("compress for", &path, e))?)
            }
        };
        let header = Header { uuid: info.uuid, file_number }.encode();
        if let Err(e) = file.append(&header) {
            // What cannot be removed now is removed by the next open.
            let _ = vfs.remove(&path);
            return Err(Error::io("append to", &path, e));
        }
        let scratch = SpillFile::new(vfs, dir, file_number);
        let index = IndexBuilder::new(INDEX_BYTES_DEFAULT, scratch);
        Ok(Self {
            vfs: Arc::clone(vfs),
            dir: dir.to_path_buf(),
            path,
            file_number,
            dense,
            info,
            file,
            index: Some(index),
            encoder: ValueEncoder::new(),
            group: GroupBuilder::default(),
            chunk_block: ChunkBlockBuilder::default(),
            chunk_top: Vec::new(),
            times: TimesWriter::default(),
            time_table: Vec::new(),
            series: 0,
            last_timestamp: None,
            samples: 0,
            chunks: 0,
            has_lost: false,
            time_range: (Timestamp::MAX, Timestamp::MIN),
            decoded: Vec::new(),
        })
    }

    /// Bounds the memory of the label index to about `bytes`, instead of 8 MiB: what exceeds it is
    /// spilled to a temporary file. With less than 256 KiB the buffers of the merge take more.
    #[must_use]
    pub fn with_index_bytes_max(mut self, bytes: usize) -> Self {
        self.index_mut().set_budget(bytes);
        self
    }

    fn index_mut(&mut self) -> &mut IndexBuilder<SpillFile> {
        self.index.as_mut().expect("the file is not completed")
    }

    /// Starts the next series.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`]: the label index outgrew its memory and could not be
    /// spilled. The segment cannot be finished: [`abort`](Self::abort) it.
    ///
    /// # Panics
    /// If `labels` is not greater than the labels before, or the series before has no chunk; after
    /// an error.
    pub fn begin_series(&mut self, labels: &Labels) -> Result<()> {
        assert!(self.series == 0 || self.last_timestamp.is_some(), "every series has a chunk");
        let ordinal = self.index_mut().push(labels)?;
        assert_eq!(ordinal, self.series, "ordinals count the series");
        self.series += 1;
        self.last_timestamp = None;
        Ok(())
    }

    /// Adds a chunk to the series begun last.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`]; [`Error::SelfCheck`] if what was encoded does not decode
    /// to the same bits. The segment cannot be finished: [`abort`](Self::abort) it.
    ///
    /// # Panics
    /// If no series was begun, the columns differ in length, have no or more than 8,192 rows, or
    /// the timestamps do not rise strictly, from the series' chunk before on.
    pub fn chunk(&mut self, timestamps: &[Timestamp], values: &[f64]) -> Result<()> {
        assert!(self.series > 0, "a chunk belongs to a series");
        assert_eq!(timestamps.len(), values.len(), "columns are of one length");
        assert!((1..=ROWS_MAX).contains(&values.len()), "a chunk has 1 to {ROWS_MAX} rows");
        let first = timestamps[0];
        assert!(self.last_timestamp.is_none_or(|last| last < first), "chunks are in time order");
        assert!(timestamps.is_sorted_by(|a, b| a < b), "timestamps rise strictly");

        if self.group.is_full() || self.group.is_lost() {
            self.flush_group()?;
        }
        let start = self.group.values.len();
        self.encoder.encode_f64(values, &mut self.group.values);
        self.check_encoded(start, values)?;
        self.encode_planes(values)?;
        let span = self.times.span(timestamps).map_err(|e| self.misencoded(e))?;
        let last = span.last;
        let len = self.group.values.len() - start;
        self.group.push(self.series - 1, span, len, Aggregates::of(values));
        self.samples += values.len() as u64;
        self.count_chunk(first, last)
    }

    /// Adds a lost chunk to the series begun last.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    ///
    /// # Panics
    /// As [`chunk`](Self::chunk).
    pub fn lost_chunk(&mut self, times: LostTimes<'_>, origin: LossOrigin) -> Result<()> {
        assert!(self.series > 0, "a chunk belongs to a series");
        if self.group.is_full() || !self.group.is_lost() {
            self.flush_group()?;
        }
        let span = match times {
            LostTimes::Known(timestamps) => {
                assert!(
                    (1..=ROWS_MAX).contains(&timestamps.len()),
                    "a chunk has 1 to {ROWS_MAX} rows"
                );
                assert!(timestamps.is_sorted_by(|a, b| a < b), "timestamps rise strictly");
                self.times.span(timestamps).map_err(|e| self.misencoded(e))?
            }
            LostTimes::Within { first, last, rows } => {
                let ticks = i128::from(last) - i128::from(first) + 1;
                assert!(ticks > 0 && rows > 0, "a chunk is not empty");
                let rows = i128::from(rows).min(ticks).min(ROWS_MAX as i128) as u16;
                Span { column: 0, rows, first, last, selection: RowSelection::Unknown }
            }
        };
        let (first, last) = (span.first, span.last);
        assert!(self.last_timestamp.is_none_or(|last| last < first), "chunks are in time order");
        self.group.push_lost(self.series - 1, span, origin);
        self.has_lost = true;
        self.count_chunk(first, last)
    }

    /// Counts a chunk that the group has taken.
    fn count_chunk(&mut self, first: Timestamp, last: Timestamp) -> Result<()> {
        if let Some((block, bytes)) = self.times.take_block(false) {
            self.write_time_block(block, &bytes)?;
        }
        self.last_timestamp = Some(last);
        self.chunks += 1;
        self.time_range = (self.time_range.0.min(first), self.time_range.1.max(last));
        Ok(())
    }

    /// The number in the file's name.
    #[must_use]
    pub fn file_number(&self) -> u64 {
        self.file_number
    }

    /// The samples so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The bytes written so far; the open blocks, indexes and footers come on top.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.file.len()
    }

    /// Completes the file, makes it durable, gives it its name and makes that durable. From then on
    /// the manifest may list it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`]: the file is removed, or left for the next open.
    ///
    /// # Panics
    /// If there is no series, or the last one has no chunk.
    pub fn finish(mut self) -> Result<SegmentMeta> {
        assert!(self.last_timestamp.is_some(), "a segment has series, and each has a chunk");
        let meta = match self.complete() {
            Ok(meta) => meta,
            Err(e) => {
                drop(self.abort());
                return Err(e);
            }
        };
        let published = self.dir.join(FileName::Segment(self.file_number).to_string());
        self.vfs
            .rename(&self.path, &published)
            .map_err(|e| Error::io("rename to", &published, e))?;
        self.vfs
            .sync_dir(&self.dir, SyncPoint::SegmentDirectory)
            .map_err(|e| Error::io("sync directory", &self.dir, e))?;
        Ok(meta)
    }

    /// Gives up and removes the file.
    ///
    /// # Errors
    /// [`Error::Io`]: the next open removes it.
    pub fn abort(self) -> Result<()> {
        drop(self.file);
        self.vfs.remove(&self.path).map_err(|e| Error::io("remove", &self.path, e))
    }

    /// Checks that the stream of `values` decodes to the same bits. Catches faults of the encoder
    /// and of the machine while the samples are still in the log.
    fn check_encoded(&mut self, start: usize, values: &[f64]) -> Result<()> {
        check_stream(&self.group.values[start..], values, &mut self.decoded)
            .map_err(|e| self.misencoded(e))
    }

    /// Dense segments: encodes the same chunk in the other form, and checks it too.
    fn encode_planes(&mut self, values: &[f64]) -> Result<()> {
        let Some(dense) = &mut self.dense else { return Ok(()) };
        check_stream(dense.push(values), values, &mut self.decoded).map_err(|e| self.misencoded(e))
    }

    /// A fault of the encoder or of the machine: nothing on disk is damaged yet.
    fn misencoded(&self, e: DecodeError) -> Error {
        Error::SelfCheck(format!(
            "a chunk of {} did not survive encoding: {e}",
            self.path.display()
        ))
    }

    /// Appends a block and zeros up to a multiple of 8; returns where it starts.
    fn append(&mut self, bytes: &[u8]) -> Result<u64> {
        let offset = self.file.len();
        debug_assert_eq!(offset % 8, 0, "blocks are aligned");
        let padding = &[0u8; 8][..bytes.len().next_multiple_of(8) - bytes.len()];
        self.file
            .append_vectored(&[bytes, padding])
            .map_err(|e| Error::io("append to", &self.path, e))?;
        Ok(offset)
    }

    fn flush_group(&mut self) -> Result<()> {
        if self.group.is_empty() {
            return Ok(());
        }
        if let Some(dense) = &mut self.dense
            && !self.group.is_lost()
        {
            dense.pack(&mut self.group).map_err(|e| Error::io("compress for", &self.path, e))?;
        }
        let mut group = std::mem::take(&mut self.group);
        let offset = self.append(group.block())?;
        let sealed = self.chunk_block.push(&mut group, offset, self.dense.is_some());
        self.group = group;
        if let Some((block, bytes)) = sealed {
            self.write_chunk_block(block, &bytes)?;
        }
        Ok(())
    }

    fn write_chunk_block(&mut self, block: ChunkBlock, bytes: &[u8]) -> Result<()> {
        let offset = self.append(bytes)?;
        self.chunk_top.push(ChunkBlock { offset, ..block });
        Ok(())
    }

    fn write_time_block(&mut self, block: TimeBlock, bytes: &[u8]) -> Result<()> {
        let offset = self.append(bytes)?;
        self.time_table.push(TimeBlock { offset, ..block });
        Ok(())
    }
}

/// Checks that `stream` decodes to the bits of `values`.
fn check_stream(
    stream: &[u8],
    values: &[f64],
    decoded: &mut Vec<f64>,
) -> std::result::Result<(), DecodeError> {
    decoded.resize(values.len(), 0.0);
    codec::decode_f64(stream, decoded)?;
    if decoded.iter().zip(values).any(|(a, b)| a.to_bits() != b.to_bits()) {
        return Err(DecodeError::Invalid("value column, just encoded,"));
    }
    Ok(())
}
