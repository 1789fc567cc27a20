//! An attach under way, as the runner holds it between two steps, and what it came to.

use std::sync::Arc;
use std::time::Duration;

use crate::compaction::{MergeJob, Merged};
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::segment::Segment;
use crate::types::{SegmentMeta, Tombstone};

/// What [`Db::attach`](crate::Db::attach) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AttachReport {
    /// Its place in the order of writes; 0 if there was nothing to attach.
    pub seq: u64,
    /// Foreign segments that were read.
    pub segments_in: u64,
    /// Segments of this store that were written.
    pub segments_out: u64,
    /// Samples attached.
    pub samples: u64,
    /// Samples left out because a later one of the same store replaced them.
    pub superseded: u64,
    /// Samples left out because a delete of their store hides them.
    pub deleted: u64,
    /// Bytes of the segments read.
    pub bytes_in: u64,
    /// Bytes of the segments written.
    pub bytes_out: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// An attach under way, between taking its seq and listing its outputs.
#[derive(Debug)]
pub(super) struct Attaching {
    /// Lies where the outputs will, in time and seq.
    pub(super) placeholder: Arc<SegmentMeta>,
    /// What is not merged yet, by time in reverse; no two groups overlap.
    pub(super) groups: Vec<Vec<Arc<Segment>>>,
    pub(super) tombstones: Vec<Arc<Tombstone>>,
    pub(super) job: Option<MergeJob>,
    /// Of the groups that are done: durable, and not listed.
    pub(super) outputs: Vec<SegmentMeta>,
    pub(super) pending: PendingOutputs,
    pub(super) report: AttachReport,
}

impl Attaching {
    /// What the picker must not pass over.
    pub(super) fn placeholder(&self) -> &Arc<SegmentMeta> {
        &self.placeholder
    }

    /// Takes in a group that is merged.
    pub(super) fn take(&mut self, merged: Merged) {
        let (account, report) = (&merged.account, &mut self.report);
        report.samples += account.written.rows;
        report.superseded += account.superseded.rows;
        report.deleted += account.deleted.rows;
        report.segments_out += merged.outputs.len() as u64;
        report.bytes_out += merged.outputs.iter().map(|meta| meta.file_bytes).sum::<u64>();
        self.pending.add_segments(&merged.outputs);
        self.outputs.extend(merged.outputs);
    }
}
