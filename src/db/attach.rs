//! Attaching: the segments of another store join this one as a single late write.
//!
//! Called by [`Db::attach`](super::Db::attach), on its caller's thread. The attach takes one seq under
//! the commit lock, which also seals what is older; then it merges the foreign segments, by their own
//! recency and without what their own deletes hide, into segments of this store that all carry that
//! seq; then one manifest edit lists them. Until that edit nothing of it is seen, by readers or by
//! the next process.
//!
//! Invariants, all from the moment the seq is taken until the outputs are listed:
//! - what is older is in segments before anything is rewritten, so that the seq is durable with them;
//! - deletes that are newer stay in the manifest, also while they apply to nothing (`settle`);
//! - no merge is begun across the seq where the outputs will lie: the picker sees a placeholder
//!   there that it must not take.
//!
//! It works behind the runner lock, taken for one step at a time like a merge, so that closing the
//! store ends it: its files are gone before another process may open the directory.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Db;
use super::changes::Change;
use super::compaction::Runner;
use super::core::Core;
use super::generation::SealFor;
use super::options::Options;
use super::read_only::ReadOnlyDb;
use crate::compaction::{ClosedSet, MergeInputs, MergeJob, Merged, Purpose, Step};
use crate::error::{Error, Result};
use crate::manifest::Manifest;
use crate::segment::Segment;
use crate::types::{FileName, SegmentMeta, Tombstone};

/// Most segments that are merged at a time: as the other store's merges have not brought them down,
/// this many is what fits the memory of one.
const INPUTS_MAX: usize = 256;

/// What [`Db::attach`] did.
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

/// Segments of another store, open.
struct Foreign {
    segments: Vec<Arc<Segment>>,
    /// The deletes of their store that it has not carried out everywhere, by its own seqs.
    tombstones: Vec<Arc<Tombstone>>,
}

/// An attach under way, between taking its seq and listing its outputs.
#[derive(Debug)]
pub(super) struct Attaching {
    /// Lies where the outputs will, in time and seq.
    placeholder: Arc<SegmentMeta>,
    /// What is not merged yet, by time in reverse; no two groups overlap.
    groups: Vec<Vec<Arc<Segment>>>,
    tombstones: Vec<Arc<Tombstone>>,
    job: Option<MergeJob>,
    /// Of the groups that are done: durable, and not listed.
    outputs: Vec<SegmentMeta>,
    report: AttachReport,
}

impl Db {
    /// Adds what another store holds to this one, as one write that happens now: at equal timestamps
    /// its samples replace what was written to this store before and are replaced by what is written
    /// later, and deletes made before do not touch it. Writers and readers go on meanwhile. When this
    /// returns, all of it is visible and survives a power cut; before, none of it is, and after a crash
    /// it is all there or not at all. The other store is only read.
    ///
    /// `path` is the directory of a store, of which every segment is attached, or one `.seg` file.
    /// Whatever its store has replaced or deleted stays so. For a file without its store's manifest
    /// beside it the caller vouches that its timestamps have this store's ticks, and for deletes
    /// that were not carried out in it: the file alone knows neither.
    ///
    /// ```
    /// # use siltstone::{Db, Labels, Options, WriteBatch};
    /// # let root = tempfile::tempdir()?;
    /// # let old = Db::open(root.path().join("old"), Options::default())?;
    /// # let series = old.series(&Labels::from_pairs([("__name__", "up")])?)?;
    /// # let mut batch = WriteBatch::new();
    /// # batch.push(series, 1_000, 1.0)?;
    /// # old.write(&batch)?;
    /// # old.close()?;
    /// let db = Db::open(root.path().join("data"), Options::default())?;
    /// let report = db.attach(root.path().join("old"))?;
    /// assert_eq!((report.segments_in, report.samples), (1, 1));
    /// # db.close()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for this store's own files, a store with other ticks, one whose log
    /// holds samples (flush it first) or is damaged, one of which more than 256 segments overlap
    /// (compact it first), a segment that its store does not list, and samples outside the age limits of this one; [`Error::NotAStore`];
    /// [`Error::UnsupportedVersion`]; [`Error::Corrupt`] naming the damaged place of the other store;
    /// [`Error::SnapshotGone`] if it is changed meanwhile; [`Error::DiskFull`] and I/O errors;
    /// [`Error::Failed`] and [`Error::Closed`]. Nothing is attached then.
    pub fn attach(&self, path: impl AsRef<Path>) -> Result<AttachReport> {
        self.core().attach(path.as_ref())
    }
}

impl Attaching {
    /// What the picker must not pass over.
    pub(super) fn placeholder(&self) -> &Arc<SegmentMeta> {
        &self.placeholder
    }

    fn take(&mut self, merged: Merged) {
        let (account, report) = (&merged.account, &mut self.report);
        report.samples += account.written.rows;
        report.superseded += account.superseded.rows;
        report.deleted += account.deleted.rows;
        report.segments_out += merged.outputs.len() as u64;
        report.bytes_out += merged.outputs.iter().map(|meta| meta.file_bytes).sum::<u64>();
        self.outputs.extend(merged.outputs);
    }
}

impl Core {
    fn attach(&self, path: &Path) -> Result<AttachReport> {
        self.check_writable()?;
        let start = self.clock().monotonic();
        let foreign = self.open_foreign(path)?;
        let turn = &self.compactor.attach_turn;
        let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if foreign.segments.is_empty() {
            return Ok(AttachReport::default());
        }
        let begun = {
            let runner = &mut *self.compactor.lock_runner();
            self.begin_attach(runner, foreign).inspect_err(|_| self.end_attach(runner))
        };
        begun?;
        loop {
            let runner = &mut *self.compactor.lock_runner();
            let step = self.attach_step(runner).inspect_err(|_| self.end_attach(runner));
            if let Some(report) = step? {
                let elapsed = self.clock().monotonic().saturating_sub(start);
                return Ok(AttachReport { elapsed, ..report });
            }
        }
    }

    /// Opens what is at `path` and checks all that can be told before it is read.
    fn open_foreign(&self, path: &Path) -> Result<Foreign> {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let (dir, only) = match FileName::parse(name) {
            Some(FileName::Segment(number)) => (path.parent().unwrap_or(path), Some(number)),
            _ => (path, None),
        };
        if dir == self.dir {
            let own = path.display();
            return Err(Error::InvalidArgument(format!("{own} belongs to this store already")));
        }
        let foreign = match only {
            Some(number) if !Manifest::exists(&**self.vfs(), dir)? => {
                self.lone_segment(dir, number)?
            }
            _ => self.foreign_store(dir, only)?,
        };
        for segment in &foreign.segments {
            // Its footer says now if it is damaged or newer than this build.
            segment.pin()?;
            let meta = segment.meta();
            self.check_times(&[meta.min_timestamp, meta.max_timestamp])?;
        }
        Ok(foreign)
    }

    /// A segment file that no manifest speaks for.
    fn lone_segment(&self, dir: &Path, file_number: u64) -> Result<Foreign> {
        let (uuid, meta) = Segment::discover(&**self.vfs(), dir, file_number)?;
        let (mode, cache) = (self.options.read_mode, Arc::new(self.options.new_cache()));
        let segment = Segment::open(self.vfs(), dir, uuid, &meta, mode, cache)?;
        Ok(Foreign { segments: vec![segment], tombstones: Vec::new() })
    }

    /// The segments that the store in `dir` lists, or `only` one of them.
    fn foreign_store(&self, dir: &Path, only: Option<u64>) -> Result<Foreign> {
        let refuse = |why: String| Error::InvalidArgument(format!("{} {why}", dir.display()));
        let options = Options { query_threads: 0, ..self.options.clone() };
        let store = ReadOnlyDb::open(dir, options)?;
        let (theirs, ours) = (store.ticks_per_second(), self.ticks_per_second);
        if theirs != ours {
            return Err(refuse(format!("has {theirs} ticks per second, this store {ours}")));
        }
        let mut segments = store.opened_segments()?.to_vec();
        if let Some(finding) = store.open_report().findings.first() {
            return Err(Error::InvalidArgument(finding.to_string()));
        }
        let unflushed = store.unflushed();
        if unflushed > 0 {
            return Err(refuse(format!(
                "has {unflushed} samples in its log alone: flush it first"
            )));
        }
        if let Some(number) = only {
            segments.retain(|segment| segment.meta().file_number == number);
            if segments.is_empty() {
                return Err(refuse(format!("does not list its segment {number} any more")));
            }
        }
        let most = groups(segments.clone()).iter().map(Vec::len).max().unwrap_or(0);
        if most > INPUTS_MAX {
            return Err(refuse(format!(
                "has {most} segments that overlap in time, more than {INPUTS_MAX}: compact it first"
            )));
        }
        let tombstones = store.tombstones().cloned().collect();
        Ok(Foreign { segments, tombstones })
    }

    /// Takes the seq: what was written before is older, what is written from here on newer.
    fn begin_attach(&self, runner: &mut Runner, foreign: Foreign) -> Result<()> {
        self.check_writable()?;
        self.check_disk()?;
        // What attempts before it left behind, while no manifest could be written, must not add up.
        self.settle_doubts(runner)?;
        let metas = || foreign.segments.iter().map(|segment| segment.meta());
        let bytes_in = metas().map(|meta| meta.file_bytes).sum();
        self.check_merge_room(bytes_in)?;
        let mut commit = self.lock_commit();
        if self.live().has_unflushed() {
            self.rotate(&mut commit, SealFor::Writes)?;
        }
        let seq = commit.last_seq + 1;
        commit.last_seq = seq;
        // Before a delete can be newer.
        self.settling.begin_attach(seq);
        let next = self.live().active.memtable.generation();
        drop(commit);
        let first = *foreign.segments[0].meta();
        let around = SegmentMeta {
            file_number: self.new_file_number(),
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
            report: AttachReport { seq, segments_in, bytes_in, ..AttachReport::default() },
        });
        let is_older = || {
            let live = self.live();
            live.sealed.first().is_some_and(|sealed| sealed.memtable.generation() < next)
        };
        while is_older() && self.flush_oldest()? {}
        Ok(())
    }

    /// Goes on for some thousand rows; the report when the outputs are listed.
    fn attach_step(&self, runner: &mut Runner) -> Result<Option<AttachReport>> {
        self.check_writable()?;
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
            attaching.take(merged);
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
        let numbers = Arc::clone(&self.next_file_number);
        let options = &self.compactor.options;
        MergeJob::new(MergeInputs {
            purpose: Purpose::Adopt { seq },
            vfs: Arc::clone(self.vfs()),
            dir: self.dir.clone(),
            uuid: self.uuid,
            set,
            segments,
            grid: options.grid(),
            join_bytes: options.join_bytes,
            outputs_max: options.windows_max,
            new_file_number: Box::new(move || numbers.fetch_add(1, Ordering::Relaxed)),
            tombstones,
            // They may replace values of older segments: retention takes both, in its order.
            expired_before: i64::MIN,
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
        let opened = attaching.outputs.iter().map(|meta| self.open_segment(meta));
        let opened = opened.collect::<Result<Vec<_>>>()?;
        for meta in &attaching.outputs {
            self.compactor.retention.note(meta.max_timestamp);
        }
        // From here on a manifest may list them.
        let outputs = std::mem::take(&mut attaching.outputs);
        let extents = outputs.iter().map(|meta| (meta.min_timestamp, meta.max_timestamp));
        if let Err(error) = self.replace_segments(opened, &[], &[], Change::hull(extents)) {
            runner.in_doubt.extend(outputs.iter().map(|meta| meta.file_number));
            // At once if that is possible; on a full disk, attempts must not add up.
            let _ = self.settle_doubts(runner);
            return Err(error);
        }
        self.end_attach(runner);
        // All that is older is in segments since it began.
        self.durable.rise_to(report.seq);
        self.compactor.control.request();
        Ok(report)
    }

    /// Ends an attach, if one is under way: what it has written and not listed is removed.
    pub(super) fn end_attach(&self, runner: &mut Runner) {
        if let Some(attaching) = runner.attaching.take() {
            let outputs: Vec<u64> = attaching.outputs.iter().map(|meta| meta.file_number).collect();
            self.remove_outputs(&outputs);
        }
        self.settling.end_attach();
    }
}

/// The segments in groups that do not overlap in time, the latest first: each can be merged by
/// itself, so that the inputs of one merge are no more than it takes.
fn groups(mut segments: Vec<Arc<Segment>>) -> Vec<Vec<Arc<Segment>>> {
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
