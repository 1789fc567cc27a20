//! Retiring tombstones: a delete that hides nothing any more leaves the manifest.
//!
//! Called in the background when the version has changed.
//!
//! 1. Given a version with tombstones, the indexes of some segments to which they apply are asked, without
//!    any lock, whether anything there matches.
//! 2. What matches is remembered for the picker, which has it erased.
//! 3. Where nothing matches, an edit raises the tombstone seq of the segment: up to it, deletes have nothing
//!    left to do there. No byte is rewritten.
//! 4. The same edit removes every tombstone that applies to no segment any more; its file goes with it.
//!
//! While another store's segments are being attached, deletes newer than their seq stay, since what
//! they apply to is not listed yet.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use super::Compactor;
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::view::changes::Change;
use crate::db::view::read_view::ReadView;
use crate::deletes::{first_match, is_due, needless};
use crate::error::{Error, Result};
use crate::manifest::{Version, VersionEdit};
use crate::segment::Segment;
use crate::sys::sync::{Mutex, MutexGuard};
use crate::types::{SegmentMeta, Tombstone};

/// Segments whose indexes one step asks, so that a flush does not wait for long.
const STEP_SEGMENTS: usize = 64;

/// What is known of the segments that tombstones apply to.
#[derive(Debug, Default)]
pub(super) struct Tombstones {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By file number: the seq of the first tombstone that matches something there.
    matching: HashMap<u64, u64>,
    /// The version in which nothing is left to be found out.
    done: Weak<Version>,
}

impl Tombstones {
    /// Has all that is held back looked at again.
    pub(super) fn look_again(&self) {
        self.lock().done = Weak::new();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which deletes are a reason to rewrite a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletes {
    /// Those older than [`Options::erase_after`](crate::Options::erase_after).
    Old,
    /// All up to this seq: what somebody asks for is done at once.
    Through(u64),
}

/// What one look at a segment found.
enum Found {
    /// Deletes up to this seq match nothing.
    Through(u64),
    /// The delete with this seq is the first that matches.
    Matches(u64),
}

impl Compactor {
    /// Finds out for some segments whether the tombstones that apply to them match anything, and takes
    /// needless tombstones out of the manifest; whether there is more to do.
    ///
    /// # Errors
    /// Those of the manifest; the next call tries again. A segment whose index cannot be read keeps
    /// its tombstones.
    pub(in crate::db) fn retire_tombstones(&self) -> Result<bool> {
        let view = self.view.current();
        let version = &view.version;
        if version.tombstones().next().is_none()
            || std::ptr::eq(self.tombstones.lock().done.as_ptr(), Arc::as_ptr(version))
        {
            return Ok(false);
        }
        let tombstones: Vec<Arc<Tombstone>> = version.tombstones().cloned().collect();
        let mut erased = Vec::new();
        let candidates = self.unknown_segments(&view, &tombstones);
        let (more, mut learned) = (candidates.len() > STEP_SEGMENTS, false);
        for (meta, segment) in candidates.into_iter().take(STEP_SEGMENTS) {
            for found in look(segment, &meta, &tombstones)? {
                learned = true;
                match found {
                    Found::Through(seq) => erased.push((meta.file_number, seq)),
                    Found::Matches(seq) => {
                        self.tombstones.lock().matching.insert(meta.file_number, seq);
                    }
                }
            }
        }
        // Where nothing can be read, asking again finds out no more.
        let more = more && learned;
        let changed = self.publish_retired(&erased)?;
        if !more && !changed {
            self.tombstones.lock().done = Arc::downgrade(version);
        }
        Ok(more || changed)
    }

    /// The open segments to which a tombstone applies of which it is not known whether it matches.
    fn unknown_segments<'a>(
        &self,
        view: &'a ReadView,
        tombstones: &[Arc<Tombstone>],
    ) -> Vec<(SegmentMeta, &'a Segment)> {
        let mut state = self.tombstones.lock();
        let open: HashMap<u64, &Segment> =
            view.segments.iter().map(|segment| (segment.meta().file_number, &**segment)).collect();
        state.matching.retain(|number, _| open.contains_key(number));
        let is_unknown = |meta: &&Arc<SegmentMeta>| {
            let known = state.matching.get(&meta.file_number);
            known.is_none_or(|&seq| seq <= meta.tombstone_seq)
                && tombstones.iter().any(|tombstone| tombstone.applies_to(meta))
        };
        let unknown = view.version.segments().iter().filter(is_unknown);
        unknown.filter_map(|meta| Some((**meta, *open.get(&meta.file_number)?))).collect()
    }

    /// Raises the tombstone seqs of segments that are still listed, and takes out every tombstone that
    /// applies to nothing then; whether that was anything.
    fn publish_retired(&self, erased: &[(u64, u64)]) -> Result<bool> {
        self.versions.apply(PendingOutputs::new(&self.env), |version, _| {
            let rises = |&&(number, seq): &&(u64, u64)| {
                let mut segments = version.segments().iter();
                segments.any(|meta| meta.file_number == number && meta.tombstone_seq < seq)
            };
            let erased = erased.iter().filter(rises).copied().collect();
            let mut edit = VersionEdit { erased, ..VersionEdit::default() };
            let raised = version.apply(&edit).map_err(|e| Error::SelfCheck(format!("{e}")))?;
            edit.tombstones_removed = needless(&raised);
            edit.tombstones_removed.retain(|&seq| !self.versions.is_held_by_attach(seq));
            let is_needed = edit != VersionEdit::default();
            // What is said to be carried out hides nothing.
            Ok(is_needed.then(|| Transition::new(edit, Change::Nothing)))
        })
    }

    /// Whether one of the `deletes` is known to match something in the segment: it is worth rewriting
    /// for that alone.
    pub(super) fn is_erasure_due(
        &self,
        view: &ReadView,
        meta: &SegmentMeta,
        deletes: Deletes,
    ) -> bool {
        let Some(seq) = self.tombstones.lock().matching.get(&meta.file_number).copied() else {
            return false;
        };
        let found = view.version.tombstones().find(|tombstone| tombstone.seq == seq);
        found.is_some_and(|tombstone| {
            let is_due = match deletes {
                Deletes::Through(last) => tombstone.seq <= last,
                Deletes::Old => {
                    is_due(tombstone, self.env.clock().wall_ms(), self.env.options.erase_after)
                }
            };
            is_due && tombstone.applies_to(meta)
        })
    }
}

/// Asks the indexes of a segment. Of one that cannot be read nothing is known; when the store has
/// changed it is asked again, unless it is damaged: that would not help before it is repaired.
fn look(
    segment: &Segment,
    meta: &SegmentMeta,
    tombstones: &[Arc<Tombstone>],
) -> Result<Vec<Found>> {
    let first = match first_match(segment, meta, tombstones) {
        Ok(first) => first,
        Err(error @ Error::Corrupt { .. }) => {
            tracing::warn!(%error, "deletes stay for a segment whose index is damaged");
            let applying = tombstones.iter().position(|tombstone| tombstone.applies_to(meta));
            return Ok(applying.map(|at| Found::Matches(tombstones[at].seq)).into_iter().collect());
        }
        Err(error @ Error::Io { .. }) => {
            tracing::warn!(%error, "deletes stay for a segment that cannot be read");
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let Some(at) = first else {
        return Ok(tombstones.last().map(|t| Found::Through(t.seq)).into_iter().collect());
    };
    let mut found = vec![Found::Matches(tombstones[at].seq)];
    // Those before it that apply match nothing.
    if let Some(before) = tombstones[..at].iter().rfind(|tombstone| tombstone.applies_to(meta)) {
        found.push(Found::Through(before.seq));
    }
    Ok(found)
}
