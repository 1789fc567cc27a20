//! Why there is a segment that no manifest lists, as far as the manifest and the log tell.
//!
//! Called by `leftovers`, before the log is replayed, of a manifest that has all edits that the log speaks of
//! (`lost_edits`). What a segment is:
//!
//! - *Needless*: nobody can need it. It has no sample that can be read, as one that was to take the place of a
//!   segment given up; or a listed segment says that it replaces it; or it is the output of a merge,
//!   and each of its inputs is listed and there, or was removed by an edit, or a listed segment replaces all
//!   of them.
//! - *Elsewhere*: the output of a flush whose batches the manifest says are in segments, since it covers their
//!   seqs; or whose first and last batch the log, undamaged, still has, so that recovery flushes them again.
//! - *Unacknowledged*: the output of a flush or of an attach whose samples are nowhere else, and which nobody
//!   was promised. The log is undamaged and no file of it is missing: had an edit listed the output of a
//!   flush, a log file would be gone, and an attach is acknowledged only when the log says that its edit is
//!   durable. Such is what recovery made of a log that was never synced, where the power went before the edit.
//! - *Unexplained*: all else. It may be the last copy of something.
//!
//! In a copy, an unlisted segment of the store that it was made of is always unexplained. The copy was begun with
//! the segments that its first snapshot lists and no others; an edit that removes one is known, also to later
//! manifests for as long as the file is there. What else carries the uuid of an origin somebody has put there:
//! its seqs and its number are that store's, which have gone on apart from the copy's since, so that neither
//! the log nor what other segments replace says anything of it.

use std::collections::HashSet;

use super::replay::{Replay, has_log};
use super::report::OpenReport;
use crate::db::env::Env;
use crate::error::Result;
use crate::manifest::Version;
use crate::segment::{Discovered, Segment};
use crate::types::{FileName, SegmentMeta};

/// What an unlisted segment is: see the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unlisted {
    Needless,
    Elsewhere,
    Unacknowledged,
    Unexplained,
}

/// What the manifest and the log know of unlisted segments.
pub(super) struct Explanations<'a> {
    pub(super) env: &'a Env,
    pub(super) version: &'a Version,
    /// File numbers of segments that edits removed.
    pub(super) removed: &'a HashSet<u64>,
}

impl Explanations<'_> {
    /// What each of the segment files `numbers` is, none of which an edit listed or removed.
    ///
    /// # Errors
    /// I/O errors of the log.
    pub(super) fn of(&self, numbers: &[u64]) -> Result<Vec<(u64, Unlisted)>> {
        let mut found = Vec::with_capacity(numbers.len());
        let mut by_log = Vec::new();
        let covered = self.version.wal_covered().seq;
        for &number in numbers {
            let what = match self.discover_own(number) {
                None => Unlisted::Unexplained,
                Some((meta, _)) if meta.samples == 0 => Unlisted::Needless,
                Some(_) if self.is_replaced(&[number]) => Unlisted::Needless,
                Some((_, inputs)) if !inputs.is_empty() => match self.is_elsewhere(&inputs) {
                    true => Unlisted::Needless,
                    false => Unlisted::Unexplained,
                },
                Some((meta, _)) if is_flushed(&meta) && meta.max_seq <= covered => {
                    Unlisted::Elsewhere
                }
                Some((meta, _)) => {
                    by_log.push(meta);
                    continue;
                }
            };
            found.push((number, what));
        }
        found.extend(self.by_log(&by_log)?);
        Ok(found)
    }

    /// What a complete segment says of itself and of what it replaces, if this store wrote it.
    fn discover_own(&self, number: u64) -> Option<(SegmentMeta, Vec<u64>)> {
        let found = self.discover(number)?;
        (found.uuid == self.env.ids.own).then_some((found.meta, found.replaces))
    }

    /// What a complete segment of this store or of one that it was copied from says of itself.
    fn discover(&self, number: u64) -> Option<Discovered> {
        let found = Segment::discover(&**self.env.vfs(), &self.env.dir, number).ok()?;
        self.env.ids.has(&found.uuid).then_some(found)
    }

    /// Whether what the segments `inputs` hold is in others, or was let go of by an edit.
    fn is_elsewhere(&self, inputs: &[u64]) -> bool {
        let is_safe = |number: &u64| {
            let mut listed = self.version.segments().iter();
            let meta = listed.find(|meta| meta.file_number == *number);
            meta.map_or(self.removed.contains(number), |meta| self.is_whole(meta))
        };
        inputs.iter().all(is_safe) || self.is_replaced(inputs)
    }

    /// Whether a listed segment says that it replaces all of `numbers`.
    fn is_replaced(&self, numbers: &[u64]) -> bool {
        let replaces_all = |meta: &SegmentMeta| {
            let found = self.discover(meta.file_number);
            found.is_some_and(|found| numbers.iter().all(|n| found.replaces.contains(n)))
        };
        self.version.segments().iter().any(|meta| self.is_whole(meta) && replaces_all(meta))
    }

    fn is_whole(&self, meta: &SegmentMeta) -> bool {
        let path = self.env.path(FileName::Segment(meta.file_number));
        self.env.vfs().file_len(&path).is_ok_and(|bytes| bytes == meta.file_bytes)
    }

    /// What those are that a flush or an attach wrote.
    fn by_log(&self, metas: &[SegmentMeta]) -> Result<Vec<(u64, Unlisted)>> {
        if metas.is_empty() {
            return Ok(Vec::new());
        }
        let flushed = metas.iter().filter(|meta| is_flushed(meta));
        let wanted: HashSet<u64> = flushed.flat_map(|meta| [meta.min_seq, meta.max_seq]).collect();
        let logged = self.logged(&wanted)?;
        let covered = self.version.wal_covered().seq;
        let what = |meta: &SegmentMeta| match &logged {
            Some(logged) if is_flushed(meta) => {
                let is_logged = logged.contains(&meta.min_seq) && logged.contains(&meta.max_seq);
                match (is_logged, meta.min_seq > covered) {
                    (true, _) => Unlisted::Elsewhere,
                    (false, true) => Unlisted::Unacknowledged,
                    (false, false) => Unlisted::Unexplained,
                }
            }
            Some(_) => Unlisted::Unacknowledged,
            None => Unlisted::Unexplained,
        };
        Ok(metas.iter().map(|meta| (meta.file_number, what(meta))).collect())
    }

    /// Those of the seqs `wanted` that recovery will replay; `None` if the log is damaged or missing.
    fn logged(&self, wanted: &HashSet<u64>) -> Result<Option<HashSet<u64>>> {
        let covered = self.version.wal_covered();
        let replay = Replay {
            vfs: &**self.env.vfs(),
            dir: &self.env.dir,
            uuid: self.env.ids.own,
            next_file_number: self.env.next_file_number(),
            covered,
            has_log: has_log(self.version),
            memtable_bytes_max: u64::MAX,
            registry_bytes_max: u64::MAX,
        };
        let (mut report, mut damaged) = (OpenReport::default(), Vec::new());
        let mut found = HashSet::new();
        for (_, _, mut reader) in replay.readers(&mut report, &mut damaged)? {
            while let Some(record) = reader.next_record()? {
                if record.seq > covered.seq && wanted.contains(&record.seq) {
                    found.insert(record.seq);
                }
            }
            if !reader.report().corruption.is_empty() {
                return Ok(None);
            }
        }
        Ok(report.findings.is_empty().then_some(found))
    }
}

/// Whether a segment without inputs was written by a flush; an attach merges, and its level says so.
fn is_flushed(meta: &SegmentMeta) -> bool {
    meta.level == 0
}
