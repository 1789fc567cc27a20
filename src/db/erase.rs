//! Carrying deletes out: which segments hold what a delete hides, and which deletes are done.
//!
//! A segment in which nothing matches is not rewritten: an edit raises its tombstone seq. One in which
//! something matches is due for a merge when the delete is old enough. A delete that applies to no
//! segment any more leaves the manifest, then its file goes. The caller holds the runner.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::compaction::Runner;
use super::core::{Core, Live};
use crate::deletes;
use crate::error::Result;
use crate::manifest::{Version, VersionEdit};
use crate::segment::Segment;
use crate::types::{FileName, SegmentMeta, Tombstone};

/// What is known of deletes and segments.
#[derive(Debug, Default)]
pub(super) struct Erasing {
    /// The version that was looked at.
    seen: Option<Arc<Version>>,
    /// By file number, the oldest delete that hides something there.
    matched: HashMap<u64, Arc<Tombstone>>,
}

impl Erasing {
    /// Whether deletes are a reason to rewrite the segment; with `wait`, only if they are older than
    /// that at this time of the wall clock: until then others may come, or it may be merged anyway.
    pub(super) fn is_due(&self, meta: &SegmentMeta, wait: Option<(i64, Duration)>) -> bool {
        self.matched.get(&meta.file_number).is_some_and(|tombstone| {
            let is_old = |(now_ms, age)| deletes::is_due(tombstone, now_ms, age);
            tombstone.applies_to(meta) && wait.is_none_or(is_old)
        })
    }
}

impl Core {
    /// Finds out which segments deletes hide something of, and lets go of deletes that are done.
    pub(super) fn settle_deletes(&self, runner: &mut Runner) -> Result<()> {
        let live = self.live();
        let version = &live.version;
        if runner.erasing.seen.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, version)) {
            return Ok(());
        }
        let tombstones: Vec<Arc<Tombstone>> = version.tombstones().cloned().collect();
        let listed: HashSet<u64> = version.segments().iter().map(|m| m.file_number).collect();
        runner.erasing.matched.retain(|number, _| listed.contains(number));
        let erased = self.unmatched(&mut runner.erasing, &live, &tombstones);
        let raise = VersionEdit { erased: erased.clone(), ..VersionEdit::default() };
        let raised = version.apply(&raise);
        let done = raised.as_ref().map_or_else(|_| Vec::new(), deletes::settled);
        runner.erasing.seen = Some(Arc::clone(version));
        if erased.is_empty() && done.is_empty() {
            return Ok(());
        }
        drop(live);
        self.let_go_of_deletes(erased, done)
    }

    /// The segments that deletes apply to and hide nothing of, each with the seq to raise it to.
    fn unmatched(
        &self,
        erasing: &mut Erasing,
        live: &Live,
        tombstones: &[Arc<Tombstone>],
    ) -> Vec<(u64, u64)> {
        let mut erased = Vec::new();
        let Some(newest) = tombstones.last() else { return erased };
        let applying = |meta: &SegmentMeta, tombstones: &[Arc<Tombstone>]| {
            tombstones.iter().rfind(|tombstone| tombstone.applies_to(meta)).map(|t| t.seq)
        };
        let open: HashMap<u64, &Arc<Segment>> =
            live.segments.iter().map(|s| (s.meta().file_number, s)).collect();
        let touched = live.version.segments().iter();
        for meta in touched.filter(|meta| applying(meta, tombstones).is_some()) {
            let number = meta.file_number;
            if erasing.matched.get(&number).is_some_and(|known| known.applies_to(meta)) {
                continue;
            }
            let Some(segment) = open.get(&number) else { continue };
            match deletes::first_match(segment, meta, tombstones) {
                Ok(Some(at)) => {
                    erasing.matched.insert(number, Arc::clone(&tombstones[at]));
                    // Those before it match nothing.
                    erased.extend(applying(meta, &tombstones[..at]).map(|seq| (number, seq)));
                }
                Ok(None) => erased.push((number, newest.seq)),
                Err(error) => tracing::warn!(%error, "what deletes hide here is not known"),
            }
        }
        erased
    }

    fn let_go_of_deletes(&self, erased: Vec<(u64, u64)>, done: Vec<u64>) -> Result<()> {
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        let before = Arc::clone(state.manifest.version());
        // A flush may have added segments or deletes meanwhile; what is done stays done.
        let edit = VersionEdit { erased, tombstones_removed: done, ..VersionEdit::default() };
        let version = state.manifest.append(&edit)?;
        self.publish(|live| live.version = Arc::clone(&version));
        drop(state);
        let files = |version: &Version| -> HashSet<u64> {
            version.tombstone_files().iter().map(|&(number, _)| number).collect()
        };
        for number in files(&before).difference(&files(&version)) {
            // The next opening does it where this fails.
            let _ = self.vfs().remove(&self.dir.join(FileName::Tombstones(*number).to_string()));
        }
        Ok(())
    }
}
