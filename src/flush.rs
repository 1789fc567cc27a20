//! From a sealed memtable to one level-0 segment.
//!
//! Called by `db` with nothing locked but the flush itself. Series are written in label order, their
//! samples cut into chunks at absolute times, so that series of one scrape interval share their cuts
//! and with them their timestamp columns. Memory beside the memtable is one series at a time and the
//! writer's own bounds.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::memtable::Memtable;
use crate::segment::{SegmentInfo, SegmentWriter};
use crate::series::Registry;
use crate::sys::Vfs;
use crate::types::{FileName, SegmentMeta};

/// Rows that a chunk should have at most.
const CHUNK_ROWS: usize = 1024;
/// Cuts of a window into halves, at most.
const HALVINGS_MAX: u32 = 40;

/// A memtable to be flushed.
pub(crate) struct FlushJob<'a> {
    pub(crate) vfs: &'a Arc<dyn Vfs>,
    pub(crate) dir: &'a Path,
    pub(crate) uuid: [u8; 16],
    pub(crate) file_number: u64,
    pub(crate) window_ticks: i64,
    pub(crate) memtable: &'a Memtable,
    pub(crate) registry: &'a Registry,
}

/// What a flush made.
#[derive(Debug)]
pub(crate) struct Flushed {
    pub(crate) meta: SegmentMeta,
    /// Rows that a later write replaced.
    pub(crate) superseded: u64,
}

impl FlushJob<'_> {
    /// Writes the segment: durable, with its name, when this returns.
    ///
    /// # Errors
    /// I/O errors. What was written is removed: on a full disk, attempts must not add up.
    pub(crate) fn run(&self) -> Result<Flushed> {
        self.write().inspect_err(|_| {
            let name = FileName::Segment(self.file_number);
            for name in [name.temporary(), name.to_string()] {
                // No manifest lists the file. Where it cannot be removed, the next opening does it.
                let _ = self.vfs.remove(&self.dir.join(name));
            }
        })
    }

    fn write(&self) -> Result<Flushed> {
        let rows = self.memtable.published();
        let slots = self.memtable.slots(rows);
        let order = self.registry.in_label_order(&slots);
        assert_eq!(order.len(), slots.len(), "slots with samples have labels");
        let info = SegmentInfo {
            uuid: self.uuid,
            level: 0,
            min_seq: self.memtable.first_seq().expect("a sealed memtable has rows"),
            max_seq: self.memtable.last_seq().expect("a sealed memtable has rows"),
            ..SegmentInfo::default()
        };
        let mut writer = SegmentWriter::create(self.vfs, self.dir, self.file_number, info)?;
        let (mut timestamps, mut values) = (Vec::new(), Vec::new());
        let (mut kept, mut superseded) = (0, 0);
        for slot in order {
            timestamps.clear();
            values.clear();
            let all = (i64::MIN, i64::MAX);
            superseded += self.memtable.collect(slot, rows, all, &mut timestamps, &mut values);
            kept += timestamps.len() as u64;
            let labels = self.registry.labels(slot).expect("slots with samples have labels");
            writer.begin_series(&labels)?;
            for chunk in chunks(&timestamps, self.window_ticks) {
                writer.chunk(&timestamps[chunk.clone()], &values[chunk])?;
            }
        }
        // The memtable is let go on the strength of this segment: nothing may be missing.
        if kept + superseded != u64::from(rows) {
            return Err(Error::Failed(format!(
                "a flush of {rows} rows kept {kept} and superseded {superseded}"
            )));
        }
        let meta = writer.finish()?;
        assert_eq!(meta.samples, kept, "the segment holds what was handed to it");
        Ok(Flushed { meta, superseded })
    }
}

/// Cuts a series at absolute times: its windows, each divided by the power of two that leaves at most
/// [`CHUNK_ROWS`] rows of a regular series, and never more than the codec's limit.
fn chunks(timestamps: &[i64], window: i64) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    while start < timestamps.len() {
        let span = span_of(&timestamps[start..], window);
        let cut = timestamps[start].div_euclid(span);
        let same = timestamps[start..].partition_point(|t| t.div_euclid(span) == cut);
        let end = start + same.min(crate::codec::ROWS_MAX);
        found.push(start..end);
        start = end;
    }
    found
}

/// The span of chunks for a series that goes on like its next rows: the window divided by a power of
/// two.
fn span_of(timestamps: &[i64], window: i64) -> i64 {
    let Some(&sample) = timestamps.get(CHUNK_ROWS.min(timestamps.len() - 1)) else { return window };
    let rows = CHUNK_ROWS.min(timestamps.len() - 1) as i128;
    let took = i128::from(sample) - i128::from(timestamps[0]);
    if rows == 0 || took == 0 {
        return window;
    }
    let mut span = window;
    for _ in 0..HALVINGS_MAX {
        // Rows expected in a span: span * rows / took.
        if i128::from(span) * rows <= took * CHUNK_ROWS as i128 || span % 2 != 0 {
            break;
        }
        span /= 2;
    }
    span
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;

    fn cut(timestamps: &[i64]) -> Vec<usize> {
        let cut = chunks(timestamps, DAY);
        assert_eq!(cut.first().map_or(0, |c| c.start), 0);
        assert!(cut.windows(2).all(|pair| pair[0].end == pair[1].start), "nothing is left out");
        assert_eq!(cut.last().map_or(0, |c| c.end), timestamps.len());
        cut.iter().map(|range| range.len()).collect()
    }

    #[test]
    fn regular_series_share_their_cuts() {
        let series = |offset: i64| (0..5760).map(|i| i * 15_000 + offset).collect::<Vec<_>>();
        assert_eq!(cut(&series(0)), vec![720; 8]);
        assert_eq!(cut(&series(7)), vec![720; 8]);
    }

    #[test]
    fn chunks_do_not_cross_windows() {
        assert_eq!(cut(&[DAY - 1, DAY, DAY + 1]), [1, 2]);
        assert_eq!(cut(&[-DAY - 1, -1, 0]), [1, 1, 1]);
        assert_eq!(cut(&[i64::MIN, 0, i64::MAX]), [1, 1, 1]);
        assert_eq!(cut(&[]), [0; 0]);
    }

    #[test]
    fn dense_series_stay_below_the_limit() {
        let dense: Vec<i64> = (0..100_000).collect();
        assert!(cut(&dense).iter().all(|&rows| rows <= crate::codec::ROWS_MAX));
        // A pause, then a burst: the burst is cut by its own density.
        let mut burst: Vec<i64> = (0..10).map(|i| i * 3_600_000).collect();
        burst.extend((0..20_000).map(|i| 40_000_000 + i));
        assert!(cut(&burst).iter().all(|&rows| rows <= crate::codec::ROWS_MAX));
    }

    #[test]
    fn a_million_days_are_a_million_chunks() {
        let days: Vec<i64> = (0..1000).map(|i| i * DAY).collect();
        assert_eq!(cut(&days), vec![1; 1000]);
    }
}
