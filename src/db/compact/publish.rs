//! How what was merged becomes what readers see: the outputs in the place of the inputs, with one edit.
//!
//! Called by the holder of the runner lock.

use super::Compactor;
use crate::compaction::{Merged, Purpose};
use crate::db::env::observer::Event;
use crate::db::versions::Transition;
use crate::db::versions::pending_outputs::PendingOutputs;
use crate::db::versions::quarantine::report_damage;
use crate::db::view::changes::Change;
use crate::error::Result;
use crate::manifest::VersionEdit;
use crate::types::{LossCounts, SegmentMeta};

impl Compactor {
    /// Puts the outputs of a merge in the place of its inputs; `accepted` lost samples are accepted with it.
    ///
    /// # Errors
    /// The inputs stay; the outputs are removed, as soon as no manifest can list them.
    pub(super) fn publish_merge(
        &self,
        inputs: &[u64],
        merged: &Merged,
        (purpose, accepted): (Purpose, u64),
    ) -> Result<()> {
        let outputs = PendingOutputs::of_segments(&self.env, &merged.outputs);
        for &number in &merged.damaged_files {
            report_damage(&**self.env.vfs(), &self.env.dir, number, &merged.damage)?;
        }
        // What has expired is hidden by the horizon, what was deleted by its tombstone: without damage
        // the outputs say what the inputs said.
        let is_known = merged.damaged_files.is_empty() && merged.damaged_chunks == 0;
        let is_whole = is_known && purpose == Purpose::Replace;
        let content =
            if is_whole { Change::Nothing } else { self.view.current().extent_of(inputs) };
        let losses = LossCounts { lost: merged.damaged_rows, accepted };
        self.list_segments(&merged.outputs, outputs, losses, |edit| {
            let edit = VersionEdit { removed: inputs.to_vec(), ..edit };
            Transition::new(edit, content).damaged(&merged.damaged_files)
        })?;
        if merged.damaged_chunks > 0 {
            self.env.counters.blocks_quarantined.add(merged.damaged_chunks);
            self.env.counters.corruption.add(merged.damaged_chunks);
            let event = Event::Damaged { ranges: &merged.damage, rows: merged.damaged_rows };
            self.env.notify(event);
        }
        self.versions.remove_obsolete();
        Ok(())
    }

    /// Makes an edit that adds `segments`, which are `outputs`, and counts `losses`; `complete` says what else it
    /// does.
    ///
    /// # Errors
    /// Those of opening them and of the edit: nothing has changed, and the outputs are removed as soon as
    /// no manifest can list them.
    pub(super) fn list_segments(
        &self,
        segments: &[SegmentMeta],
        outputs: PendingOutputs,
        losses: LossCounts,
        complete: impl FnOnce(VersionEdit) -> Transition,
    ) -> Result<()> {
        let opened = segments.iter().map(|meta| self.env.open_segment(meta));
        let opened = opened.collect::<Result<Vec<_>>>()?;
        let applied = self.versions.apply(outputs, |version, _| {
            // What is attached brings a seq that no flush has covered.
            let newest = segments.iter().map(|meta| meta.max_seq).max();
            let edit = VersionEdit {
                last_seq: newest.filter(|&seq| seq > version.last_seq()),
                added: segments.to_vec(),
                losses: (losses != LossCounts::default()).then(|| version.losses().plus(losses)),
                ..VersionEdit::default()
            };
            Ok(Some(complete(edit).opened(opened)))
        });
        if applied.is_err() {
            // A merge is large and tried again late: what it wrote goes at once if that is possible.
            let _ = self.versions.heal();
        }
        applied.map(|_| ())
    }
}
