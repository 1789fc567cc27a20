//! Deletes that have nothing left to do leave the manifest, segment by segment.
//!
//! Called in the background when the version has changed. A segment in which nothing matches the
//! tombstones that apply to it is said to be through with them: an edit raises its tombstone seq, no
//! byte is rewritten. What does match is remembered for the picker, which has it erased. When a
//! tombstone applies to no segment any more, it is taken out of the manifest, and then its file goes.
//!
//! While another store's segments are being attached, deletes newer than their seq stay, since what
//! they apply to is not listed yet.
//!
//! Indexes are asked without any lock; the edit looks again at what is live by then.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::changes::Change;
use super::core::{Core, Live};
use crate::deletes::{self, first_match, is_due, settled};
use crate::error::{Error, Result};
use crate::manifest::{Version, VersionEdit};
use crate::segment::Segment;
use crate::types::{FileName, SegmentMeta, Tombstone};

/// Segments whose indexes one step asks, so that a flush does not wait for long.
const STEP_SEGMENTS: usize = 64;

/// What is known of the segments that tombstones apply to.
#[derive(Debug, Default)]
pub(super) struct Settling {
    state: Mutex<State>,
    /// The seq of the attach under way, 0 without one.
    attaching: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// By file number: the seq of the first tombstone that matches something there.
    matching: HashMap<u64, u64>,
    /// The version in which nothing is left to be found out.
    done: Weak<Version>,
}

impl Settling {
    /// From here on deletes newer than `seq` stay, also while they apply to nothing: what is being
    /// attached with that seq is not listed yet.
    pub(super) fn begin_attach(&self, seq: u64) {
        self.attaching.store(seq, Ordering::Release);
    }

    /// What was attached is listed, or never will be.
    pub(super) fn end_attach(&self) {
        self.attaching.store(0, Ordering::Release);
        // What was held back is looked at again.
        self.lock().done = Weak::new();
    }

    /// Whether an attach under way may bring samples that the delete with this seq hides.
    fn is_held(&self, seq: u64) -> bool {
        let attaching = self.attaching.load(Ordering::Acquire);
        attaching != 0 && seq > attaching
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which deletes are a reason to rewrite a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletes {
    /// Those older than [`Options::erase_after`](super::Options::erase_after).
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

impl Core {
    /// Finds out for some segments whether the tombstones that apply to them match anything, and takes
    /// settled tombstones out of the manifest; whether there is more to do.
    ///
    /// # Errors
    /// Those of the manifest; the next call tries again. A segment whose index cannot be read keeps
    /// its tombstones.
    pub(super) fn settle_deletes(&self) -> Result<bool> {
        let live = self.live();
        let version = &live.version;
        if version.tombstones().next().is_none()
            || std::ptr::eq(self.settling.lock().done.as_ptr(), Arc::as_ptr(version))
        {
            return Ok(false);
        }
        let tombstones: Vec<Arc<Tombstone>> = version.tombstones().cloned().collect();
        let mut erased = Vec::new();
        let candidates = self.unknown_segments(&live, &tombstones);
        let (more, mut learned) = (candidates.len() > STEP_SEGMENTS, false);
        for (meta, segment) in candidates.into_iter().take(STEP_SEGMENTS) {
            for found in look(segment, &meta, &tombstones)? {
                learned = true;
                match found {
                    Found::Through(seq) => erased.push((meta.file_number, seq)),
                    Found::Matches(seq) => {
                        self.settling.lock().matching.insert(meta.file_number, seq);
                    }
                }
            }
        }
        // Where nothing can be read, asking again finds out no more.
        let more = more && learned;
        let changed = self.publish_settled(&erased)?;
        if !more && !changed {
            self.settling.lock().done = Arc::downgrade(version);
        }
        Ok(more || changed)
    }

    /// The open segments to which a tombstone applies of which it is not known whether it matches.
    fn unknown_segments<'a>(
        &self,
        live: &'a Live,
        tombstones: &[Arc<Tombstone>],
    ) -> Vec<(SegmentMeta, &'a Segment)> {
        let mut state = self.settling.lock();
        let open: HashMap<u64, &Segment> =
            live.segments.iter().map(|segment| (segment.meta().file_number, &**segment)).collect();
        state.matching.retain(|number, _| open.contains_key(number));
        let is_unknown = |meta: &&Arc<SegmentMeta>| {
            let known = state.matching.get(&meta.file_number);
            known.is_none_or(|&seq| seq <= meta.tombstone_seq)
                && tombstones.iter().any(|tombstone| tombstone.applies_to(meta))
        };
        let unknown = live.version.segments().iter().filter(is_unknown);
        unknown.filter_map(|meta| Some((**meta, *open.get(&meta.file_number)?))).collect()
    }

    /// Those of `own` that may hide something in `version`, or in what an attach under way brings. The
    /// caller holds the flush lock, under which that becomes part of the version.
    pub(super) fn unsettled(
        &self,
        version: &Version,
        own: &[Arc<Tombstone>],
    ) -> Vec<Arc<Tombstone>> {
        let is_held = |tombstone: &Arc<Tombstone>| self.settling.is_held(tombstone.seq);
        let (held, others): (Vec<_>, Vec<_>) = own.iter().cloned().partition(is_held);
        let mut unsettled = deletes::unsettled(version, &others);
        unsettled.extend(held);
        unsettled
    }

    /// Raises the tombstone seqs of segments that are still live, and takes out every tombstone that
    /// applies to nothing then; whether that was anything.
    fn publish_settled(&self, erased: &[(u64, u64)]) -> Result<bool> {
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        let before = Arc::clone(state.manifest.version());
        let rises = |&&(number, seq): &&(u64, u64)| {
            let mut segments = before.segments().iter();
            segments.any(|meta| meta.file_number == number && meta.tombstone_seq < seq)
        };
        let erased = erased.iter().filter(rises).copied().collect();
        let mut edit = VersionEdit { erased, ..VersionEdit::default() };
        let raised = before.apply(&edit).map_err(|e| Error::Failed(format!("{e}")))?;
        edit.tombstones_removed = settled(&raised);
        edit.tombstones_removed.retain(|&seq| !self.settling.is_held(seq));
        if edit == VersionEdit::default() {
            return Ok(false);
        }
        let version = state.manifest.append(&edit)?;
        // What is said to be carried out hides nothing.
        self.publish(Change::Nothing, |live| live.version = Arc::clone(&version));
        drop(state);
        self.remove_tombstone_files(&before, &version);
        Ok(true)
    }

    /// Removes the files of which `after` lists nothing any more. A failure is harmless: the next
    /// opening removes them.
    fn remove_tombstone_files(&self, before: &Version, after: &Version) {
        let numbers = |version: &Version| -> BTreeSet<u64> {
            version.tombstone_files().iter().map(|&(number, _)| number).collect()
        };
        for number in numbers(before).difference(&numbers(after)) {
            let path = self.dir.join(FileName::Tombstones(*number).to_string());
            if let Err(error) = self.vfs().remove(&path) {
                tracing::warn!(path = %path.display(), %error, "a tombstone file stays");
            }
        }
    }

    /// Whether one of the `deletes` is known to match something in the segment: it is worth rewriting
    /// for that alone.
    pub(super) fn is_erasure_due(&self, live: &Live, meta: &SegmentMeta, deletes: Deletes) -> bool {
        let Some(seq) = self.settling.lock().matching.get(&meta.file_number).copied() else {
            return false;
        };
        let found = live.version.tombstones().find(|tombstone| tombstone.seq == seq);
        found.is_some_and(|tombstone| {
            let is_due = match deletes {
                Deletes::Through(last) => tombstone.seq <= last,
                Deletes::Old => is_due(tombstone, self.clock().wall_ms(), self.options.erase_after),
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
