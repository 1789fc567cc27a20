//! From a sealed memtable to one level-0 segment.
//!
//! Called by `db` with nothing locked but the flush itself. Series are written in label order, each
//! cut into chunks by the rule of `segment::cut`. Memory beside the memtable is one series at a time
//! and the writer's own bounds.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::memtable::Memtable;
use crate::segment::{SegmentInfo, SegmentWriter, cut};
use crate::series::Registry;
use crate::sys::Vfs;
use crate::types::{FileName, SegmentMeta};

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
            for chunk in cut::flush_slices(&timestamps, self.window_ticks) {
                writer.chunk(&timestamps[chunk.clone()], &values[chunk])?;
            }
        }
        // The memtable is let go on the strength of this segment: nothing may be missing.
        if kept + superseded != u64::from(rows) {
            return Err(Error::SelfCheck(format!(
                "a flush of {rows} rows kept {kept} and superseded {superseded}"
            )));
        }
        let meta = writer.finish()?;
        assert_eq!(meta.samples, kept, "the segment holds what was handed to it");
        Ok(Flushed { meta, superseded })
    }
}
