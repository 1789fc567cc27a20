//! How what was merged or attached becomes what readers see: one manifest edit, one pointer swap.
//!
//! Called by the holder of the runner lock; takes the flush lock for the edit.
//!
//! Invariants: an input is removed only after the edit that replaces it is durable; an output is
//! removed only if no manifest can list it.

use std::sync::Arc;

use super::changes::Change;
use super::compaction::Runner;
use super::core::Core;
use super::graveyard::weak;
use super::observer::Event;
use crate::compaction::Merged;
use crate::error::Result;
use crate::manifest::VersionEdit;
use crate::segment::Segment;
use crate::types::FileName;

impl Core {
    /// Puts the outputs of a merge in the place of its inputs.
    ///
    /// # Errors
    /// The inputs stay; the outputs are removed, as soon as no manifest can list them.
    pub(super) fn publish_merge(
        &self,
        runner: &mut Runner,
        inputs: &[u64],
        merged: &Merged,
    ) -> Result<()> {
        let outputs: Vec<u64> = merged.outputs.iter().map(|meta| meta.file_number).collect();
        let prepare = || {
            for &number in &merged.damaged_files {
                self.report_damage(number, &merged.damage)?;
            }
            merged.outputs.iter().map(|meta| self.open_segment(meta)).collect::<Result<Vec<_>>>()
        };
        let opened = prepare().inspect_err(|_| self.remove_outputs(&outputs))?;
        // What has expired is hidden by the horizon, what was deleted by its tombstone: without damage
        // the outputs say what the inputs said.
        let is_whole = merged.damaged_files.is_empty() && merged.damaged_chunks == 0;
        let change = if is_whole { Change::Nothing } else { self.extent_of(inputs) };
        let replaced = self.replace_segments(opened, inputs, &merged.damaged_files, change);
        if let Err(error) = replaced {
            runner.in_doubt.extend(outputs);
            // At once if that is possible; on a full disk, attempts must not add up.
            let _ = self.settle_doubts(runner);
            return Err(error);
        }
        if merged.damaged_chunks > 0 {
            self.counters.blocks_quarantined.add(merged.damaged_chunks);
            self.counters.corruption.add(merged.damaged_chunks);
            self.tell(Event::Damaged { ranges: &merged.damage, rows: merged.damaged_rows });
        }
        self.sweep();
        Ok(())
    }

    /// A change of anything that these segments may hold.
    pub(super) fn extent_of(&self, file_numbers: &[u64]) -> Change {
        let live = self.live();
        let segments = live.version.segments().iter();
        let own = segments.filter(|meta| file_numbers.contains(&meta.file_number));
        Change::hull(own.map(|meta| (meta.min_timestamp, meta.max_timestamp)))
    }

    /// One manifest edit and one pointer swap: `added` in the place of `removed`, whose files go when
    /// nobody reads them; which is a `change` for readers.
    pub(super) fn replace_segments(
        &self,
        added: Vec<Arc<Segment>>,
        removed: &[u64],
        damaged: &[u64],
        change: Change,
    ) -> Result<()> {
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        // What is attached brings a seq that no flush has covered.
        let newest = added.iter().map(|segment| segment.meta().max_seq).max();
        let last_seq = state.manifest.version().last_seq();
        let edit = VersionEdit {
            last_seq: newest.filter(|&seq| seq > last_seq),
            added: added.iter().map(|segment| *segment.meta()).collect(),
            removed: removed.to_vec(),
            next_file_number: Some(self.next_file_number()),
            // By which what has expired was left out: the next opening hides at least that.
            clock: self.compactor.retention.clock_for_edit(self.clock()),
            ..VersionEdit::default()
        };
        let before = Arc::clone(state.manifest.version());
        let version = state.manifest.append(&edit)?;
        let live = self.live();
        let is_removed = |number: u64| removed.contains(&number);
        for meta in before.segments().iter().filter(|meta| is_removed(meta.file_number)) {
            let number = meta.file_number;
            let pin = weak(&live.segments, number);
            self.compactor.graveyard.bury(pin, meta, damaged.contains(&number));
        }
        drop(live);
        self.publish(change, |live| {
            live.segments.retain(|segment| !is_removed(segment.meta().file_number));
            live.segments.extend(added);
            live.segments.sort_by_key(|s| (s.meta().max_seq, s.meta().file_number));
            live.broken.retain(|broken| !is_removed(broken.meta.file_number));
            live.version = version;
        });
        Ok(())
    }

    /// Removes the outputs of edits that failed, once a manifest without them is the live one.
    pub(super) fn settle_doubts(&self, runner: &mut Runner) -> Result<()> {
        if runner.in_doubt.is_empty() {
            return Ok(());
        }
        let mut state = self.lock_flush();
        self.check_owned()?;
        if state.manifest.is_poisoned() {
            state.manifest.roll()?;
        }
        drop(state);
        self.remove_outputs(&std::mem::take(&mut runner.in_doubt));
        Ok(())
    }

    pub(super) fn remove_outputs(&self, file_numbers: &[u64]) {
        for &number in file_numbers {
            // The next opening does it where this fails.
            let _ = self.vfs().remove(&self.dir.join(FileName::Segment(number).to_string()));
        }
    }
}
