//! The segments that a merge writes, one for each window that has chunks.
//!
//! Until [`Writers::into_metas`], the files belong to the merge: dropping this removes them.

use std::path::PathBuf;
use std::sync::Arc;

use super::windows::{Cuts, Grid};
use crate::error::Result;
use crate::segment::{LossOrigin, LostTimes, SegmentInfo, SegmentWriter};
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
    /// The times of segments that are older than the outputs: a mask is kept where it may hide something.
    pub(super) older: Vec<(Timestamp, Timestamp)>,
}

/// The writers, and which of them is written to.
pub(super) struct Writers {
    place: Place,
    grid: Grid,
    pub(super) cuts: Cuts,
    slots: Vec<Slot>,
    /// The output of the rows that come next; rises within a series.
    pub(super) current: usize,
    labels: Option<Labels>,
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

impl Writers {
    pub(super) fn new(place: Place, grid: Grid, cuts: Cuts) -> Self {
        let mut slots = Vec::new();
        slots.resize_with(cuts.windows().len(), Slot::default);
        let (labels, finished) = (None, Vec::new());
        Self { place, grid, cuts, slots, current: 0, labels, finished, bytes_finished: 0 }
    }

    /// Starts a series, the next in label order, in the first window.
    pub(super) fn start(&mut self, labels: Labels) {
        self.labels = Some(labels);
        self.slots.iter_mut().for_each(|slot| slot.has_series = false);
        self.current = 0;
    }

    /// How long a chunk of the current window may be at most, in ticks.
    pub(super) fn chunk_ticks(&self) -> i64 {
        let (window, _) = self.cuts.windows()[self.current];
        self.grid.chunk_ticks(window)
    }

    /// Writes a chunk of the present series to the current window.
    pub(super) fn chunk(&mut self, timestamps: &[Timestamp], values: &[f64]) -> Result<()> {
        self.writer()?.chunk(timestamps, values)
    }

    /// Writes a lost chunk, unless it is a mask that hides nothing any more.
    pub(super) fn lost_chunk(&mut self, times: LostTimes<'_>, origin: LossOrigin) -> Result<()> {
        let (first, last) = match times {
            LostTimes::Known(times) => (times[0], times[times.len() - 1]),
            LostTimes::Within { first, last, .. } => (first, last),
        };
        let hides = |&(from, to): &(Timestamp, Timestamp)| from <= last && first <= to;
        if origin.is_accepted && !self.place.older.iter().any(hides) {
            return Ok(());
        }
        self.writer()?.lost_chunk(times, origin)
    }

    /// The writer of the current window, with the present series begun.
    fn writer(&mut self) -> Result<&mut SegmentWriter> {
        let Self { place, grid, cuts, slots, current, labels, .. } = self;
        let (window, _) = cuts.windows()[*current];
        let slot = &mut slots[*current];
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
        Ok(writer)
    }

    /// Completes the next writer: its segment is durable, with its name. False when all are.
    pub(super) fn finish_next(&mut self) -> Result<bool> {
        let Some(writer) = self.slots.iter_mut().find_map(|slot| slot.writer.take()) else {
            return Ok(false);
        };
        let number = writer.file_number();
        let finished = writer.finish().inspect_err(|_| self.remove(number));
        let meta = finished?;
        self.bytes_finished += meta.file_bytes;
        self.finished.push(meta);
        Ok(true)
    }

    /// Bytes written so far.
    pub(super) fn bytes_written(&self) -> u64 {
        let open = self.slots.iter().filter_map(|slot| slot.writer.as_ref());
        open.map(SegmentWriter::bytes_written).sum::<u64>() + self.bytes_finished
    }

    /// The finished segments, which are the caller's from here on.
    pub(super) fn into_metas(mut self) -> Vec<SegmentMeta> {
        std::mem::take(&mut self.finished)
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

impl Drop for Writers {
    fn drop(&mut self) {
        for slot in &mut self.slots {
            if let Some(writer) = slot.writer.take() {
                drop(writer.abort());
            }
        }
        for meta in std::mem::take(&mut self.finished) {
            self.remove(meta.file_number);
        }
    }
}
