//! Giving up a segment of which it is not known what is lost: a file that is gone or cannot be opened, or whose
//! index is damaged.
//!
//! Called by `accept`, where somebody asks for it, the oldest of several first.
//!
//! 1. Given a listed segment, no merge and no attach is under way: which segments are older stays as it is.
//! 2. Which series it had is not known, so that whatever is older in its range of time may have been replaced by it,
//!    and is not to be shown. A new segment says so: it has the seqs of the one given up and an accepted loss for
//!    each series that an older segment has in the range (`compaction::masks`). Where none has, there is no such
//!    segment. An older one that cannot be read itself has to go first, since its series are not known either.
//! 3. One edit puts the new segment in the place of the one given up.
//! 4. The file goes to `quarantine/`, with a report.
//!
//! From then on the losses are like any others that are accepted: newer samples count, deletes and retention take
//! them away, merges carry them on, and they go with the last of what is older. A crash leaves the segment given up
//! or not; one that it leaves unlisted has no samples, and opening removes it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use super::Compactor;
use crate::compaction::{DamagedRange, MaskInputs, write_masks};
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::versions::quarantine::report_damage;
use crate::db::view::read_view::ReadView;
use crate::error::{Error, Result};
use crate::manifest::VersionEdit;
use crate::segment::{LossOrigin, Segment};
use crate::types::{FileName, LossCounts, LostPlace, LostSamples, SegmentMeta};

/// What became of a segment that was to be given up.
pub(super) enum GivenUp {
    /// It is; this is lost, at most.
    Lost(Box<LostSamples>),
    /// It is not listed any more.
    NotListed,
    /// It is listed as before: this older segment in its range of time cannot be read either.
    Behind(PathBuf),
}

impl Compactor {
    /// Gives up the segment `file_number`, which `error` keeps from being read.
    ///
    /// # Errors
    /// I/O errors, a full disk: the segment is listed as before.
    pub(super) fn give_up_segment(&self, file_number: u64, error: &Error) -> Result<GivenUp> {
        // What is being attached is older than what is flushed meanwhile, and is not listed yet.
        let _turn = self.attach_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut runner = self.lock_runner();
        self.abandon_merge(&mut runner);
        self.env.health.check_open()?;
        let view = self.view.current();
        let mut listed = view.version.segments().iter();
        let Some(meta) = listed.find(|meta| meta.file_number == file_number) else {
            return Ok(GivenUp::NotListed);
        };
        if let Some(broken) = view.broken.iter().find(|broken| is_beneath(&broken.meta, meta)) {
            return Ok(GivenUp::Behind(self.env.path(FileName::Segment(broken.meta.file_number))));
        }
        let place = self.place(meta, error);
        let is_there = self.env.vfs().file_len(&place.path).is_ok();
        let damaged: &[u64] = if is_there { &[file_number] } else { &[] };
        let masks = match self.masks(&view, meta, &place, damaged) {
            Err(Error::Corrupt { path, .. } | Error::UnsupportedVersion { path, .. })
                if view.segments.iter().any(|segment| segment.path() == path) =>
            {
                return Ok(GivenUp::Behind(path));
            }
            masks => masks?,
        };
        let masks = masks.as_slice();
        let outputs = PendingOutputs::of_segments(&self.env, masks);
        if is_there {
            let range = range(meta, &place, error);
            report_damage(&**self.env.vfs(), &self.env.dir, file_number, &[range])?;
        }
        let losses = LossCounts { lost: meta.samples, accepted: meta.samples };
        let content = view.extent_of(&[file_number]);
        self.list_segments(masks, outputs, losses, |edit| {
            let edit = VersionEdit { removed: vec![file_number], ..edit };
            Transition::new(edit, content).damaged(damaged)
        })?;
        let extent = (meta.min_timestamp, meta.max_timestamp);
        let lost = place.samples(None, extent, meta.samples, false);
        drop(view);
        self.versions.remove_obsolete();
        Ok(GivenUp::Lost(Box::new(lost)))
    }

    /// Writes the masks that take the place of a segment; none if nothing is older in its range.
    fn masks(
        &self,
        view: &ReadView,
        meta: &SegmentMeta,
        place: &LostPlace,
        replaces: &[u64],
    ) -> Result<Option<SegmentMeta>> {
        let older = view.segments.iter().filter(|segment| is_beneath(segment.meta(), meta));
        let older: Vec<Arc<Segment>> = older.cloned().collect();
        let inputs = MaskInputs {
            vfs: self.env.vfs(),
            dir: &self.env.dir,
            uuid: self.env.ids.own,
            file_number: self.env.new_file_number(),
            given_up: meta,
            origin: LossOrigin {
                file_number: place.file_number,
                offset: place.offset,
                is_accepted: true,
            },
            // A file that is gone, and that an unlisted segment says it replaces, tells opening of an edit that was
            // durable (`lost_edits`). Of one that was gone before it would tell that without being so.
            replaces: replaces.to_vec(),
            older: &older,
        };
        write_masks(&inputs, &mut || self.env.health.check_open())
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
