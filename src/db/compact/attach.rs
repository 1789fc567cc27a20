//! Attaching: the segments of another store join this one as a single late write.
//!
//! Called by [`Db::attach`](crate::Db::attach), on its caller's thread.
//!
//! 1. Given the segments of another store, open (`db::attach`), the turn to attach is taken.
//! 2. Under the commit lock the attach takes one seq and seals what is older, which is flushed before
//!    anything is rewritten, so that the seq is durable with the outputs.
//! 3. The foreign segments are merged, by their own recency and without what their own deletes hide, into
//!    segments of this store that all carry that seq. This takes steps under the runner lock like a
//!    merge, so that closing the store ends it: its files are gone before another process may open the
//!    directory.
//! 4. One edit lists the outputs. Until then nothing of it is seen, by readers or by the next process.
//!
//! Invariants, from step 2 until the outputs are listed: deletes that are newer stay in the manifest, also
//! while they apply to nothing (`tombstones`); no merge is begun across the seq where the outputs will lie:
//! the picker sees a placeholder there that it must not take.
//!
//! # Why each of this is needed
//!
//! - *Newer tombstones stay.* One that applies to nothing listed would not enter the manifest with
//!   its flush, or would be retired and leave it, and the attached samples would come back behind
//!   it. So `tombstones` keeps each tombstone above the attach's seq until that is over. Taking the
//!   seq at publishing instead would hold the commit lock while files are synced.
//! - *No merge reaches across the seq*: the picker sees a placeholder with the hull of what is
//!   coming, excluded like a damaged segment. A merge begun before has only older inputs.
//! - *Older rows are in segments* before the first foreign row is read, so that the seq is durable
//!   when the edit is. The log goes on behind a gap of one seq; readers of it only require that
//!   seqs rise.
//!
//! Damage ends an attach: left out, it would be laundered. A store of which more than 256 segments
//! overlap is to be compacted first: what is merged at a time stays within a merge's memory. A log
//! that holds samples, other ticks and newer formats are refused before the seq is taken. An attach
//! that fails removes its files; a crash leaves unlisted segments, which opening moves to
//! `quarantine/`, since nothing in them tells whether the other store still exists. One attach runs
//! at a time, its steps behind the lock of the runner, so that closing the store ends it.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use super::Compactor;
use super::attaching::{AttachReport, Attaching};
use super::runner::Runner;
use crate::compaction::{ClosedSet, MergeInputs, MergeJob, Purpose, Step};
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::view::changes::Change;
use crate::db::write::seal::SealFor;
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::types::{LossCounts, SegmentMeta, Tombstone};

/// Segments of another store, open and checked.
pub(in crate::db) struct Foreign {
    pub(in crate::db) segments: Vec<Arc<Segment>>,
    /// The deletes of their store that it has not carried out everywhere, by its own seqs.
    pub(in crate::db) tombstones: Vec<Arc<Tombstone>>,
}

impl Compactor {
    /// Adds what another store holds to this one, as one write that happens now.
    ///
    /// # Errors
    /// Those of [`Db::attach`](crate::Db::attach), but for what opening the other store finds.
    pub(in crate::db) fn attach(&self, foreign: Foreign) -> Result<AttachReport> {
        let _turn = self.attach_turn.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign.segments.is_empty() {
            return Ok(AttachReport::default());
        }
        let begun = {
            let runner = &mut *self.lock_runner();
            self.begin_attach(runner, foreign).inspect_err(|_| self.end_attach(runner))
        };
        begun?;
        loop {
            let runner = &mut *self.lock_runner();
            let step = self.attach_step(runner).inspect_err(|_| self.end_attach(runner));
            if let Some(report) = step? {
                return Ok(report);
            }
        }
    }

    /// Takes the seq: what was written before is older, what is written from here on newer.
    fn begin_attach(&self, runner: &mut Runner, foreign: Foreign) -> Result<()> {
        self.env.health.check_writable()?;
        self.env.check_disk()?;
        // What attempts before it left behind, while no manifest could be written, must not add up.
        self.versions.heal()?;
        let metas = || foreign.segments.iter().map(|segment| segment.meta());
        let bytes_in = metas().map(|meta| meta.file_bytes).sum();
        self.check_headroom(bytes_in)?;
        let mut commit = self.writer.lock_commit();
        if self.view.current().has_unflushed() {
            self.writer.rotate(&mut commit, SealFor::Writes)?;
        }
        let seq = commit.last_seq + 1;
        commit.last_seq = seq;
        // Before a delete can be newer.
        self.versions.begin_attach(seq);
        let next = self.view.current().active.number();
        drop(commit);
        let first = *foreign.segments[0].meta();
        let around = SegmentMeta {
            file_number: self.env.new_file_number(),
            min_seq: seq,
            max_seq: seq,
            level: 0,
            tombstone_seq: 0,
            ..first
        };
        let placeholder = metas().fold(around, |hull, meta| SegmentMeta {
            min_timestamp: hull.min_timestamp.min(meta.min_timestamp),
            max_timestamp: hull.max_timestamp.max(meta.max_timestamp),
            ..hull
        });
        let segments_in = foreign.segments.len() as u64;
        runner.attaching = Some(Attaching {
            placeholder: Arc::new(placeholder),
            groups: groups(foreign.segments),
            tombstones: foreign.tombstones,
            job: None,
            outputs: Vec::new(),
            pending: PendingOutputs::new(&self.env),
            report: AttachReport { seq, segments_in, bytes_in, ..AttachReport::default() },
        });
        let is_older = || {
            let view = self.view.current();
            view.sealed.first().is_some_and(|sealed| sealed.number() < next)
        };
        while is_older() && self.writer.flush_oldest()? {}
        Ok(())
    }

    /// Goes on for some thousand rows; the report when the outputs are listed.
    fn attach_step(&self, runner: &mut Runner) -> Result<Option<AttachReport>> {
        self.env.health.check_writable()?;
        let attaching = runner.attaching.as_mut().ok_or(Error::Closed)?;
        let job = match &mut attaching.job {
            Some(job) => job,
            none => match attaching.groups.pop() {
                Some(group) => {
                    let seq = attaching.report.seq;
                    none.insert(self.adopt(seq, group, attaching.tombstones.clone())?)
                }
                None => return self.publish_attached(runner).map(Some),
            },
        };
        if let Step::Done(merged) = job.step()? {
            attaching.job = None;
            attaching.take(*merged);
        }
        Ok(None)
    }

    /// The merge that rewrites a group of foreign segments.
    fn adopt(
        &self,
        seq: u64,
        group: Vec<Arc<Segment>>,
        tombstones: Vec<Arc<Tombstone>>,
    ) -> Result<MergeJob> {
        let metas: Vec<_> = group.iter().map(|segment| Arc::new(*segment.meta())).collect();
        let all: Vec<u64> = metas.iter().map(|meta| meta.file_number).collect();
        let set = ClosedSet::new(&metas, &HashSet::new(), &all);
        let set = set.expect("all that overlap are in one group, each once");
        let mut segments = group;
        let place = |segment: &Arc<Segment>| {
            set.segments().iter().position(|meta| meta.file_number == segment.meta().file_number)
        };
        segments.sort_by_cached_key(place);
        let options = &self.picker;
        MergeJob::new(MergeInputs {
            purpose: Purpose::Adopt { seq },
            vfs: Arc::clone(self.env.vfs()),
            dir: self.env.dir.clone(),
            uuid: self.env.ids.own,
            set,
            segments,
            grid: options.grid(),
            join_bytes: options.join_bytes,
            outputs_max: options.windows_max,
            new_file_number: self.env.file_numbers(),
            tombstones,
            // They may replace values of older segments: retention takes both, in its order.
            expired_before: i64::MIN,
            older: Vec::new(),
        })
    }

    /// Lists the outputs and shows them to readers.
    fn publish_attached(&self, runner: &mut Runner) -> Result<AttachReport> {
        let attaching = runner.attaching.as_mut().ok_or(Error::Closed)?;
        let report = attaching.report;
        if attaching.outputs.is_empty() {
            self.end_attach(runner);
            return Ok(AttachReport { seq: 0, ..report });
        }
        // From here on a manifest may list them.
        let outputs = std::mem::take(&mut attaching.outputs);
        let pending = std::mem::replace(&mut attaching.pending, PendingOutputs::new(&self.env));
        let extents = outputs.iter().map(|meta| (meta.min_timestamp, meta.max_timestamp));
        let content = Change::hull(extents);
        let losses = LossCounts::default();
        self.list_segments(&outputs, pending, losses, |edit| Transition::new(edit, content))?;
        self.end_attach(runner);
        // All that is older is in segments since it began.
        self.writer.note_durable(report.seq);
        self.env.back_pressure.request();
        Ok(report)
    }

    /// Ends an attach, if one is under way: what it has written and not listed is removed.
    pub(super) fn end_attach(&self, runner: &mut Runner) {
        runner.attaching = None;
        self.versions.end_attach();
        // Deletes that were held back meanwhile are looked at again.
        self.tombstones.look_again();
    }
}

/// The segments in groups that do not overlap in time, the latest first: each can be merged by
/// itself, so that the inputs of one merge are no more than it takes.
pub(in crate::db) fn groups(mut segments: Vec<Arc<Segment>>) -> Vec<Vec<Arc<Segment>>> {
    segments.sort_by_key(|segment| segment.meta().min_timestamp);
    let mut groups: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut last = i64::MIN;
    for segment in segments {
        let (first, end) = (segment.meta().min_timestamp, segment.meta().max_timestamp);
        match groups.last_mut() {
            Some(group) if first <= last => group.push(segment),
            _ => groups.push(vec![segment]),
        }
        last = last.max(end);
    }
    groups.reverse();
    groups
}

#[cfg(test)]
mod tests;
