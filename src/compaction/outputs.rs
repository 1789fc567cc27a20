//! The outputs of a merge: cuts each series by window and each window's rows into chunks, and hands
//! them to the writer of that window.
//!
//! Until [`Outputs::into_metas`], the outputs belong to the merge: dropping it removes their files.

use std::path::PathBuf;
use std::sync::Arc;

use super::proof::{Digest, SeriesHash};
use super::windows::{Cuts, Grid};
use crate::error::Result;
use crate::segment::cut::{ChunkCutter, DENSE_ROWS};
use crate::segment::{SegmentInfo, SegmentWriter};
use crate::sys::Vfs;
use crate::types::{FileName, Labels, SegmentMeta, Timestamp};

/// What the label index of an output holds before it spills, in bytes: 16 outputs take 16 MiB.
const INDEX_BYTES: usize = 1 << 20;

/// Where the outputs go and what they say of themselves.
pub(super) struct Place {
    pub(super) vfs: Arc<dyn Vfs>,
    pub(super) dir: PathBuf,
    pub(super) info: SegmentInfo,
    pub(super) new_file_number: Box<dyn FnMut() -> u64 + Send>,
}

/// The writers, one for each window that has rows.
pub(super) struct Outputs {
    place: Place,
    grid: Grid,
    cuts: Cuts,
    writers: Vec<Slot>,
    /// The output of the rows that come next; rises within a series.
    current: usize,
    cutter: ChunkCutter,
    cutter_ticks: i64,
    labels: Option<Labels>,
    series: SeriesHash,
    written: Digest,
    finished: Vec<SegmentMeta>,
    /// Of the writers that are done, in bytes.
    bytes_finished: u64,
}

#[derive(Default)]
struct Slot {
    writer: Option<SegmentWriter>,
    /// Whether the writer has the present series.
    has_series: bool,
}

impl Outputs {
    pub(super) fn new(place: Place, grid: Grid, cuts: Cuts) -> Self {
        let mut writers = Vec::new();
        writers.resize_with(cuts.windows().len(), Slot::default);
        let ticks = grid.window_ticks();
        Self {
            place,
            grid,
            cuts,
            writers,
            current: 0,
            cutter: ChunkCutter::new(ticks, DENSE_ROWS),
            cutter_ticks: ticks,
            labels: None,
            series: SeriesHash::default(),
            written: Digest::default(),
            finished: Vec::new(),
            bytes_finished: 0,
        }
    }

    /// Starts a series, the next in label order.
    pub(super) fn start(&mut self, labels: Labels, series: SeriesHash) {
        self.labels = Some(labels);
        self.series = series;
        self.writers.iter_mut().for_each(|slot| slot.has_series = false);
        self.go_to(0);
    }

    /// Takes the next rows of the series.
    pub(super) fn push(&mut self, timestamps: &[Timestamp], values: &[f64]) -> Result<()> {
        let mut at = 0;
        while at < timestamps.len() {
            let output = self.cuts.output_of(timestamps[at]);
            if output != self.current {
                self.end_window()?;
                self.go_to(output);
            }
            let last = self.cuts.last_tick(output);
            let end = at + timestamps[at..].partition_point(|&t| t <= last);
            self.cut(Some((&timestamps[at..end], &values[at..end])))?;
            at = end;
        }
        Ok(())
    }

    /// Ends the present series, or its part in the current window.
    pub(super) fn end_window(&mut self) -> Result<()> {
        self.cut(None)
    }

    /// Completes the next writer: its segment is durable, with its name. False when all are.
    pub(super) fn finish_next(&mut self) -> Result<bool> {
        let Some(writer) = self.writers.iter_mut().find_map(|slot| slot.writer.take()) else {
            return Ok(false);
        };
        let number = writer.file_number();
        let finished = writer.finish().inspect_err(|_| self.remove(number));
        let meta = finished?;
        self.bytes_finished += meta.file_bytes;
        self.finished.push(meta);
        Ok(true)
    }

    /// What was handed to the writers.
    pub(super) fn written(&self) -> Digest {
        self.written
    }

    /// Bytes written so far.
    pub(super) fn bytes_written(&self) -> u64 {
        let open = self.writers.iter().filter_map(|slot| slot.writer.as_ref());
        open.map(SegmentWriter::bytes_written).sum::<u64>() + self.bytes_finished
    }

    /// The finished segments, which are the caller's from here on.
    pub(super) fn into_metas(mut self) -> Vec<SegmentMeta> {
        std::mem::take(&mut self.finished)
    }

    fn go_to(&mut self, output: usize) {
        self.current = output;
        let (window, _) = self.cuts.windows()[output];
        let ticks = self.grid.chunk_ticks(window);
        if ticks != self.cutter_ticks {
            self.cutter = ChunkCutter::new(ticks, DENSE_ROWS);
            self.cutter_ticks = ticks;
        }
    }

    /// Gives the cutter the next rows of the current window, or their end, and writes the chunks that
    /// it hands on.
    fn cut(&mut self, rows: Option<(&[Timestamp], &[f64])>) -> Result<()> {
        let Self { place, grid, cuts, writers, current, cutter, labels, series, written, .. } =
            self;
        let (window, _) = cuts.windows()[*current];
        let slot = &mut writers[*current];
        let mut emit = |timestamps: &[Timestamp], values: &[f64]| {
            let writer = match &mut slot.writer {
                Some(writer) => writer,
                none => {
                    let info = SegmentInfo { window: grid.in_footer(window), ..place.info.clone() };
                    let number = (place.new_file_number)();
                    let writer = SegmentWriter::create(&place.vfs, &place.dir, number, info)?;
                    none.insert(writer.with_index_bytes_max(INDEX_BYTES))
                }
            };
            if !std::mem::replace(&mut slot.has_series, true) {
                writer.begin_series(labels.as_ref().expect("rows belong to a series"))?;
            }
            writer.chunk(timestamps, values)?;
            written.add(*series, timestamps, values);
            Ok(())
        };
        match rows {
            Some((timestamps, values)) => cutter.push(timestamps, values, &mut emit),
            None => cutter.finish(&mut emit),
        }
    }

    /// Removes what there is of a segment. No manifest lists it: where that fails, the next opening
    /// does it.
    fn remove(&self, file_number: u64) {
        let name = FileName::Segment(file_number);
        for name in [name.temporary(), name.to_string()] {
            let _ = self.place.vfs.remove(&self.place.dir.join(name));
        }
    }
}

impl Drop for Outputs {
    fn drop(&mut self) {
        for slot in &mut self.writers {
            if let Some(writer) = slot.writer.take() {
                drop(writer.abort());
            }
        }
        for meta in std::mem::take(&mut self.finished) {
            self.remove(meta.file_number);
        }
    }
}
