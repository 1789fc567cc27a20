//! Giving up a segment of which it is not known what is lost: a file that is gone or cannot be opened, or whose
//! index is damaged.
//!
//! Called by `accept`, where somebody asks for it.
//!
//! 1. Given a listed segment, no merge is under way.
//! 2. One edit takes it out of the version, and puts in its place a delete of everything in its range of time that
//!    is older than it: which series it had is not known, so that whatever is older there may have been
//!    replaced by it, and is not shown. Where nothing older is listed there, no delete is needed.
//! 3. The file goes to `quarantine/`, with a report.
//!
//! Where later deletes were carried out in what is older, such a delete would count as carried out too, and would hide
//! nothing: then the segment is not given up, and queries of its time go on to fail.
//!
//! The delete is one like any other: newer samples count, it is carried out by merges, and then it goes. Its seq
//! is one that the segment had, so that it is behind everything older, and in front of everything newer.

use std::collections::HashSet;
use std::sync::Arc;

use super::Compactor;
use crate::compaction::DamagedRange;
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::versions::quarantine::report_damage;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{Version, VersionEdit};
use crate::types::{
    FileName, LossCounts, LostPlace, LostSamples, Matcher, SegmentMeta, TimeRange, Tombstone,
};

/// What became of a segment that was to be given up.
pub(super) enum GivenUp {
    /// It is; this is lost, at most.
    Lost(Box<LostSamples>),
    /// It is not listed any more.
    NotListed,
    /// It is listed as before: no delete with one of its seqs would hide what is older, since later deletes were
    /// carried out there (a segment is asked for no delete up to the last of these), or another delete has the seq.
    NotPossible,
}

impl Compactor {
    /// Gives up the segment `meta`, which `error` keeps from being read.
    ///
    /// # Errors
    /// I/O errors, a full disk: the segment is listed as before.
    pub(super) fn give_up_segment(&self, meta: &SegmentMeta, error: &Error) -> Result<GivenUp> {
        let mut runner = self.lock_runner();
        self.abandon_merge(&mut runner);
        self.env.health.check_open()?;
        let number = meta.file_number;
        let place = self.place(meta, error);
        let path = place.path.clone();
        let is_there = self.env.vfs().file_len(&path).is_ok();
        if is_there {
            report_damage(&**self.env.vfs(), &self.env.dir, number, &[range(meta, &place, error)])?;
        }
        let content = self.view.current().extent_of(&[number]);
        let outputs = PendingOutputs::new(&self.env);
        let mut outcome = GivenUp::NotListed;
        self.versions.apply(outputs, |version, outputs| {
            if !version.segments().iter().any(|listed| listed.file_number == number) {
                return Ok(None);
            }
            let listed = version.segments().iter().map(|listed| &**listed);
            let older: Vec<&SegmentMeta> = listed.filter(|m| is_beneath(m, meta)).collect();
            let mask = match (older.is_empty(), free_seq(version, meta, &older)) {
                (true, _) => None,
                (false, Some(seq)) => Some(self.mask(meta, seq)?),
                (false, None) => {
                    outcome = GivenUp::NotPossible;
                    return Ok(None);
                }
            };
            let more = LossCounts { lost: meta.samples, accepted: meta.samples };
            let losses = Some(version.losses().plus(more));
            let mut edit = VersionEdit { removed: vec![number], losses, ..VersionEdit::default() };
            if let Some(mask) = mask {
                let file_number = self.env.new_file_number();
                let (vfs, mask) = (&**self.env.vfs(), Arc::new(mask));
                deletes::write(
                    vfs,
                    &self.env.dir,
                    (self.env.ids.own, file_number),
                    std::slice::from_ref(&mask),
                )?;
                outputs.add(FileName::Tombstones(file_number));
                edit.tombstones_added = vec![(file_number, mask)];
            }
            let damaged: &[u64] = if is_there { &[number] } else { &[] };
            let extent = (meta.min_timestamp, meta.max_timestamp);
            outcome = GivenUp::Lost(Box::new(place.samples(None, extent, meta.samples, false)));
            Ok(Some(Transition::new(edit, content).damaged(damaged)))
        })?;
        self.versions.remove_obsolete();
        self.tombstones.look_again();
        Ok(outcome)
    }

    /// The delete `seq` of what may have been replaced by the segment.
    fn mask(&self, meta: &SegmentMeta, seq: u64) -> Result<Tombstone> {
        let everything = Matcher::regex("__name__", ".*").map_err(Error::Matcher)?;
        Ok(Tombstone {
            seq,
            range: TimeRange::new(meta.min_timestamp, meta.max_timestamp.saturating_add(1)),
            matchers: vec![everything],
            created_ms: self.env.clock().wall_ms(),
        })
    }

    fn place(&self, meta: &SegmentMeta, error: &Error) -> LostPlace {
        let path = self.env.path(FileName::Segment(meta.file_number));
        let (_, section, offset) = error.damaged_place().unwrap_or((&path, "file", 0));
        let source = match error {
            Error::Corrupt { source, .. } => Some(*source),
            _ => None,
        };
        LostPlace { file_number: meta.file_number, section, offset, source, path: path.clone() }
    }
}

/// Whether the segment may hold what the other has replaced.
fn is_beneath(older: &SegmentMeta, meta: &SegmentMeta) -> bool {
    older.max_seq < meta.min_seq && older.overlaps_in_time(meta)
}

/// A seq of the segment that no delete has, and up to which deletes are not carried out in any of `older`.
fn free_seq(version: &Version, meta: &SegmentMeta, older: &[&SegmentMeta]) -> Option<u64> {
    let taken: HashSet<u64> = version.tombstones().map(|tombstone| tombstone.seq).collect();
    let carried_out = older.iter().map(|older| older.tombstone_seq).max().unwrap_or(0);
    let seqs = meta.min_seq.max(carried_out.saturating_add(1))..=meta.max_seq;
    seqs.rev().find(|seq| !taken.contains(seq))
}

fn range(meta: &SegmentMeta, place: &LostPlace, error: &Error) -> DamagedRange {
    DamagedRange {
        path: place.path.clone(),
        file_number: meta.file_number,
        offset: place.offset,
        message: format!("given up as a whole: {error}"),
        labels: None,
        first: meta.min_timestamp,
        last: meta.max_timestamp,
        rows: u32::try_from(meta.samples).unwrap_or(u32::MAX),
    }
}
