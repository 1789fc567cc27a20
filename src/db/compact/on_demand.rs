//! Compacting on demand: [`Db::compact`](crate::Db::compact) and what it answers.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use super::Compactor;
use super::runner::{Advance, CompactionRequest, Outcome};
use crate::compaction::{CompactionPlan, DamagedRange, Reason, plan};
use crate::db::env::finding::Finding;
use crate::error::{Error, Result};
use crate::types::{FileName, TimeRange};

/// Merges that a plan lists at most.
pub(in crate::db) const PLANNED_MAX: usize = 1000;
/// Damaged ranges that a report lists at most.
const DAMAGE_MAX: usize = 10_000;

/// How far [`Db::compact`](crate::Db::compact) is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CompactProgress {
    /// Merges done so far.
    pub merges: u64,
    /// Why the present one is made.
    pub reason: Reason,
    /// Samples that the present merge has read.
    pub samples_read: u64,
    /// Samples of its inputs.
    pub samples_total: u64,
    /// Bytes that it has written.
    pub bytes_written: u64,
    /// Bytes of its inputs.
    pub bytes_total: u64,
    /// Time since the call.
    pub elapsed: Duration,
}

/// What [`Db::compact`](crate::Db::compact) did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CompactReport {
    /// Merges.
    pub merges: u64,
    /// Segments that were replaced; one that was merged twice counts twice.
    pub segments_in: u64,
    /// Segments that were written.
    pub segments_out: u64,
    /// Bytes of the segments replaced.
    pub bytes_in: u64,
    /// Bytes of the segments written.
    pub bytes_out: u64,
    /// Samples read.
    pub samples: u64,
    /// Samples left out because a later write replaced them.
    pub superseded: u64,
    /// Samples left out because a delete hides them.
    pub deleted: u64,
    /// Samples left out because they are older than the retention.
    pub expired: u64,
    /// What was damaged and is lost from here on, the first 10,000 ranges; the files are in `quarantine/`.
    pub damage: Vec<DamagedRange>,
    /// How many samples.
    pub damaged_rows: u64,
    /// Lost samples whose times are known that the merges carried on, this damage among them.
    pub lost: u64,
    /// Lost samples that are so no longer, since they were written again, deleted or have expired.
    pub lost_ended: u64,
    /// Segments that could not be merged. They are as they were.
    pub findings: Vec<Finding>,
    /// Whether the caller stopped it.
    pub cancelled: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl CompactReport {
    fn add(&mut self, outcome: Outcome) {
        let merged = outcome.merged;
        self.merges += 1;
        self.segments_in += outcome.inputs;
        self.segments_out += merged.outputs.len() as u64;
        self.bytes_in += outcome.bytes_in;
        self.bytes_out += merged.outputs.iter().map(|meta| meta.file_bytes).sum::<u64>();
        self.samples += merged.account.read.rows;
        self.superseded += merged.account.superseded.rows;
        self.deleted += merged.account.deleted.rows;
        self.expired += merged.account.expired.rows;
        self.damaged_rows += merged.damaged_rows;
        let lost = merged.lost;
        self.lost += lost.written.rows;
        self.lost_ended += lost.superseded.rows + lost.deleted.rows + lost.expired.rows;
        let room = DAMAGE_MAX - self.damage.len();
        self.damage.extend(merged.damage.into_iter().take(room));
    }
}

impl Compactor {
    /// Flushes, then merges what overlaps `range` and is in segments by then until nothing is gained by
    /// another merge.
    pub(in crate::db) fn compact(
        &self,
        range: TimeRange,
        progress: &mut dyn FnMut(&CompactProgress) -> ControlFlow<()>,
    ) -> Result<CompactReport> {
        self.env.health.check_open()?;
        let start = self.env.clock().monotonic();
        self.writer.flush_all()?;
        self.keep_retention()?;
        self.versions.retention.want_trimming();
        let _explicit = self.env.back_pressure.explicit();
        let through = self.view.current().version.last_seq();
        let mut wanted = CompactionRequest { range, through, skipped: HashSet::new() };
        let mut report = CompactReport::default();
        loop {
            // Taken for one step at a time: closing the store does not wait for the rest.
            let advanced = self.advance(&mut self.lock_runner(), Some(&wanted));
            report.elapsed = self.env.clock().monotonic().saturating_sub(start);
            match advanced? {
                Advance::Idle => return Ok(report),
                Advance::Working(None) => {}
                Advance::Working(Some((reason, merge))) => {
                    let now = CompactProgress {
                        merges: report.merges,
                        reason,
                        samples_read: merge.samples_read,
                        samples_total: merge.samples_total,
                        bytes_written: merge.bytes_written,
                        bytes_total: merge.bytes_total,
                        elapsed: report.elapsed,
                    };
                    if progress(&now).is_break() {
                        self.abandon_merge(&mut self.lock_runner());
                        report.cancelled = true;
                        return Ok(report);
                    }
                }
                Advance::Merged(outcome) => report.add(outcome),
                Advance::Excluded(error) => {
                    let path = match &error {
                        Error::Corrupt { path, .. } | Error::Io { path, .. } => path.clone(),
                        _ => self.env.dir.clone(),
                    };
                    wanted.skipped.extend(segment_at(&path));
                    report.findings.push(Finding::of(path, &error));
                }
            }
        }
    }

    /// The merges that would come next.
    pub(in crate::db) fn compaction_plan(&self) -> CompactionPlan {
        self.view_now(|view| plan(view, PLANNED_MAX))
    }
}

/// The number of the segment with this path.
fn segment_at(path: &Path) -> Option<u64> {
    match FileName::parse(path.file_name()?.to_str()?)? {
        FileName::Segment(number) => Some(number),
        _ => None,
    }
}
