//! The way of rows to the outputs of a merge: cuts each series by window and each window's rows into
//! chunks, puts losses in their place among them, and hands both to the writer of that window.

use std::sync::Arc;

use super::extents::{Extent, Extents};
use super::proof::{Digest, SeriesHash};
use super::windows::{Cuts, Grid};
use super::writers::{Place, Writers};
use crate::error::Result;
use crate::segment::cut::{ChunkCutter, DENSE_ROWS};
use crate::segment::{LossOrigin, LostTimes};
use crate::types::{Labels, LostChunk, LostPlace, SegmentMeta, Timestamp};

/// Takes the rows and losses of series after series.
pub(super) struct Outputs {
    writers: Writers,
    cutter: ChunkCutter,
    cutter_ticks: i64,
    series: SeriesHash,
    written: Digest,
    /// Lost rows whose times are known.
    lost: Digest,
    /// Of the present series: losses whose times are not known, and that lie ahead.
    extents: Extents,
}

impl Outputs {
    pub(super) fn new(place: Place, grid: Grid, cuts: Cuts) -> Self {
        let ticks = grid.window_ticks();
        Self {
            writers: Writers::new(place, grid, cuts),
            cutter: ChunkCutter::new(ticks, DENSE_ROWS),
            cutter_ticks: ticks,
            series: SeriesHash::default(),
            written: Digest::default(),
            lost: Digest::default(),
            extents: Extents::default(),
        }
    }

    /// Starts a series, the next in label order.
    pub(super) fn start(&mut self, labels: Labels, series: SeriesHash) {
        debug_assert!(self.extents.is_empty(), "the series before was ended");
        self.series = series;
        self.writers.start(labels);
        self.fit_cutter();
    }

    /// Takes the next rows of the series.
    pub(super) fn push(&mut self, timestamps: &[Timestamp], values: &[f64]) -> Result<()> {
        let mut at = 0;
        while let Some(first) = self.extents.next_first() {
            let end = at + timestamps[at..].partition_point(|&t| t < first);
            self.push_rows(&timestamps[at..end], &values[at..end])?;
            let Some(&time) = timestamps.get(end) else { return Ok(()) };
            self.pass_extents(time)?;
            self.push_rows(&[time], &values[end..=end])?;
            at = end + 1;
        }
        self.push_rows(&timestamps[at..], &values[at..])
    }

    /// Takes what is lost of the series, in its place among the rows: those pushed before are earlier.
    pub(super) fn lose(&mut self, lost: &LostChunk) -> Result<()> {
        let LostChunk { first, last, rows, is_accepted, ref place, .. } = *lost;
        if lost.times.is_empty() {
            let place = Arc::clone(place);
            self.extents.insert(Extent { first, last, rows, is_accepted, place });
            return Ok(());
        }
        self.lost.add_lost(self.series, &lost.times);
        let mut times = &lost.times[..];
        while let Some(&time) = times.first() {
            let first = self.extents.next_first();
            let mut end = first.map_or(times.len(), |first| times.partition_point(|&t| t < first));
            if end == 0 {
                self.pass_extents(time)?;
                end = 1;
            }
            self.write_times(&times[..end], is_accepted, place)?;
            times = &times[end..];
        }
        Ok(())
    }

    /// Ends the present series.
    pub(super) fn end_series(&mut self) -> Result<()> {
        while let Some(extent) = self.extents.take_first() {
            self.write_extent(extent)?;
        }
        self.end_chunk()
    }

    /// Completes the next writer: its segment is durable, with its name. False when all are.
    pub(super) fn finish_next(&mut self) -> Result<bool> {
        self.writers.finish_next()
    }

    /// What was handed to the writers.
    pub(super) fn written(&self) -> Digest {
        self.written
    }

    /// Lost rows whose times are known that were handed to the writers.
    pub(super) fn lost(&self) -> Digest {
        self.lost
    }

    /// Bytes written so far.
    pub(super) fn bytes_written(&self) -> u64 {
        self.writers.bytes_written()
    }

    /// The finished segments, which are the caller's from here on.
    pub(super) fn into_metas(self) -> Vec<SegmentMeta> {
        self.writers.into_metas()
    }

    /// Takes rows none of which lies behind the start of an extent ahead.
    fn push_rows(&mut self, timestamps: &[Timestamp], values: &[f64]) -> Result<()> {
        let mut at = 0;
        while at < timestamps.len() {
            self.go_on_to(timestamps[at])?;
            let last = self.writers.cuts.last_tick(self.writers.current);
            let end = at + timestamps[at..].partition_point(|&t| t <= last);
            self.cut(Some((&timestamps[at..end], &values[at..end])))?;
            at = end;
        }
        Ok(())
    }

    /// Writes the pieces of losses before `time`, at which there is a row.
    fn pass_extents(&mut self, time: Timestamp) -> Result<()> {
        while let Some(piece) = self.extents.take_before(time) {
            self.write_extent(piece)?;
        }
        self.extents.pass(time);
        Ok(())
    }

    /// Writes a piece of a loss whose times are not known, window by window.
    fn write_extent(&mut self, piece: Extent) -> Result<()> {
        let Extent { mut first, last, rows, is_accepted, place } = piece;
        loop {
            self.go_on_to(first)?;
            let end = last.min(self.writers.cuts.last_tick(self.writers.current));
            self.write_lost(LostTimes::Within { first, last: end, rows }, is_accepted, &place)?;
            if end == last {
                return Ok(());
            }
            first = end + 1;
        }
    }

    /// Writes lost rows whose times are known, window by window.
    fn write_times(
        &mut self,
        mut times: &[Timestamp],
        is_accepted: bool,
        place: &LostPlace,
    ) -> Result<()> {
        while let Some(&time) = times.first() {
            self.go_on_to(time)?;
            let last = self.writers.cuts.last_tick(self.writers.current);
            let end = times.partition_point(|&t| t <= last);
            self.write_lost(LostTimes::Known(&times[..end]), is_accepted, place)?;
            times = &times[end..];
        }
        Ok(())
    }

    fn write_lost(
        &mut self,
        times: LostTimes<'_>,
        is_accepted: bool,
        place: &LostPlace,
    ) -> Result<()> {
        // The rows before it are a chunk of their own.
        self.end_chunk()?;
        let (file_number, offset) = (place.file_number, place.offset);
        self.writers.lost_chunk(times, LossOrigin { file_number, offset, is_accepted })
    }

    /// Goes to the window that `time` belongs to.
    fn go_on_to(&mut self, time: Timestamp) -> Result<()> {
        let output = self.writers.cuts.output_of(time);
        if output != self.writers.current {
            self.end_chunk()?;
            self.writers.current = output;
            self.fit_cutter();
        }
        Ok(())
    }

    /// Cuts as the current window asks for.
    fn fit_cutter(&mut self) {
        let ticks = self.writers.chunk_ticks();
        if ticks != self.cutter_ticks {
            self.cutter = ChunkCutter::new(ticks, DENSE_ROWS);
            self.cutter_ticks = ticks;
        }
    }

    /// Writes the rows that are not in a chunk yet.
    fn end_chunk(&mut self) -> Result<()> {
        self.cut(None)
    }

    /// Gives the cutter the next rows of the current window, or their end, and writes the chunks that
    /// it hands on.
    fn cut(&mut self, rows: Option<(&[Timestamp], &[f64])>) -> Result<()> {
        let Self { writers, cutter, series, written, .. } = self;
        let mut emit = |timestamps: &[Timestamp], values: &[f64]| {
            writers.chunk(timestamps, values)?;
            written.add(*series, timestamps, values);
            Ok(())
        };
        match rows {
            Some((timestamps, values)) => cutter.push(timestamps, values, &mut emit),
            None => cutter.finish(&mut emit),
        }
    }
}
