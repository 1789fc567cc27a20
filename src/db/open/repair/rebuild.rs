//! The version of a store, put together from what can be read. Pure.
//!
//! Called by `make`, with a manifest of which edits are missing. A *missing edit* is one that nobody can read.
//!
//! 1. *What was ever live.* A segment was if a readable edit adds or removes it, or if another says that it was
//!    merged from it: a merge takes live segments only.
//! 2. *What is live no more*: what a readable edit removes; what a segment that was ever live was merged from.
//! 3. *Merges whose edit is missing.* Their outputs were published if one of the inputs is gone, since inputs are
//!    removed only behind the edit; or if a readable edit retires a delete that would still hide something in
//!    an input. Otherwise outputs and inputs hold the same, but that of a merge that was cut short there are
//!    only some outputs, and that deletes are carried out in outputs alone. Outputs are written by rising window:
//!    if one reaches to where the inputs end, all are there, and they are taken. If not, the inputs are.
//! 4. *Flushes whose edit is missing*, the newest first: if the log has every batch of the segment, and no log file
//!    is missing behind them, it is left to the log. Flushes follow the order of writes, so
//!    that all older ones were published once one is listed. A log file that is missing between others was
//!    removed, as all before it were, whose names a power cut may have brought back.
//! 5. *Attaches whose edit is missing* are taken: nothing else holds what is in them.
//! 6. *Two that overlap in time and in seq* cannot both be live. The later file was made from the other, by steps
//!    whose files are gone.
//! 7. *Deletes*: those of readable edits but for the ones that such an edit retires, and all that tombstone
//!    files hold, unless the log will be replayed from before them. A delete that was retired hides nothing that
//!    is not deleted.
//! 8. *The log* is covered as far as the newest listed segment reaches: a segment is listed only when all
//!    older batches are in segments (`db/write/flush.rs`; an attach flushes first, `db/compact/attach.rs`).

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::evidence::Evidence;
use super::plan::{Fate, RepairPlan, RepairSegment};
use crate::db::env::finding::Finding;
use crate::error::{Error, Result};
use crate::manifest::{Version, VersionEdit, WalCovered};
use crate::types::{SegmentMeta, Tombstone};

/// What a new manifest is to say, and why.
pub(super) struct Rebuilt {
    pub(super) version: Version,
    pub(super) plan: RepairPlan,
}

/// Puts the version together.
///
/// # Errors
/// [`Error::InvalidArgument`] if what the files say contradicts itself.
pub(super) fn rebuild(evidence: &Evidence) -> Result<Rebuilt> {
    let mut run = Run { evidence, live: BTreeMap::new(), fates: BTreeMap::new() };
    run.candidates();
    run.merges();
    run.flushes();
    run.conflicts();
    let covered = run.covered();
    let (covered, gap) = run.first_log(covered);
    let tombstones = run.tombstones(covered);
    let facts = &evidence.facts;
    let seqs = run.live.values().map(|meta| meta.max_seq.max(meta.tombstone_seq));
    let seqs = seqs.chain(tombstones.iter().map(|(_, tombstone)| tombstone.seq));
    let last_seq = seqs.fold(covered.seq.max(facts.last_seq), u64::max);
    let mut plan = RepairPlan::default();
    let edit = VersionEdit {
        added: run.live.values().copied().collect(),
        tombstones_added: tombstones,
        wal_covered: Some(covered),
        next_file_number: Some(evidence.next_file_number),
        last_seq: Some(last_seq),
        clock: facts.clock,
        losses: Some(facts.losses),
        origins_added: evidence.ids.origins().to_vec(),
        ..VersionEdit::default()
    };
    let version = Version::default().apply(&edit).map_err(|e| {
        let dir = evidence.dir.display();
        Error::InvalidArgument(format!("what the files in {dir} say contradicts itself: {e}"))
    })?;
    run.report(&mut plan);
    plan.warnings
        .extend(evidence.warnings.iter().map(|w| Finding::new(&w.path, w.message.clone())));
    if let Some((first, last)) = gap {
        let message = format!(
            "the batches and deletes {first} to {last} are neither in a segment nor in the log: deletes that were carried out, or lost"
        );
        plan.warnings.push(Finding::new(&evidence.dir, message));
    }
    Ok(Rebuilt { version, plan })
}

struct Run<'a> {
    evidence: &'a Evidence,
    /// What is listed, by number.
    live: BTreeMap<u64, SegmentMeta>,
    /// What becomes of the others whose files are there.
    fates: BTreeMap<u64, Fate>,
}

impl Run<'_> {
    /// Steps 1, 2 and 5: whatever is not known to be live no more.
    fn candidates(&mut self) {
        let (facts, found) = (&self.evidence.facts, &self.evidence.segments);
        let listed = facts.added.values().copied();
        let metas = found.values().map(|(found, _)| found.meta).chain(listed);
        // What an edit says of a segment may be newer than its footer.
        self.live = metas.map(|meta| (meta.file_number, meta)).collect();
        for number in &facts.removed {
            self.leave(*number, Fate::Removed);
        }
        let inputs = found.values().flat_map(|(found, _)| found.replaces.iter().copied());
        let was_live: HashSet<u64> =
            facts.added.keys().chain(&facts.removed).copied().chain(inputs).collect();
        for (number, (found, _)) in found {
            if was_live.contains(number) {
                found.replaces.iter().for_each(|&input| self.leave(input, Fate::Replaced));
            }
        }
    }

    fn leave(&mut self, number: u64, fate: Fate) {
        self.live.remove(&number);
        if self.evidence.segments.contains_key(&number) {
            self.fates.entry(number).or_insert(fate);
        }
    }

    /// Step 3, the newest merge first: what is left of an older one may have gone into it.
    fn merges(&mut self) {
        let listed = |number: &u64| self.evidence.facts.added.contains_key(number);
        let mut merges: BTreeMap<BTreeSet<u64>, Vec<u64>> = BTreeMap::new();
        for number in self.live.keys().filter(|number| !listed(number)) {
            let Some((found, _)) = self.evidence.segments.get(number) else { continue };
            if !found.replaces.is_empty() {
                let inputs = found.replaces.iter().copied().collect();
                merges.entry(inputs).or_default().push(*number);
            }
        }
        let mut merges: Vec<_> = merges.into_iter().collect();
        merges.sort_by_key(|(_, outputs)| std::cmp::Reverse(outputs.iter().max().copied()));
        for (inputs, outputs) in merges {
            match self.is_published(&inputs, &outputs) {
                true => inputs.iter().for_each(|&input| self.leave(input, Fate::Replaced)),
                false => outputs.iter().for_each(|&output| self.leave(output, Fate::Unpublished)),
            }
        }
    }

    fn is_published(&self, inputs: &BTreeSet<u64>, outputs: &[u64]) -> bool {
        let (facts, found) = (&self.evidence.facts, &self.evidence.segments);
        let metas: Option<Vec<SegmentMeta>> =
            inputs.iter().map(|input| self.live.get(input).copied()).collect();
        let Some(metas) = metas else { return true };
        if inputs.iter().any(|input| !found.contains_key(input)) {
            return true;
        }
        let retired = facts.tombstones_removed.iter().filter_map(|seq| facts.tombstones.get(seq));
        let hides = |(_, tombstone): &(u64, Arc<Tombstone>)| {
            metas.iter().any(|meta| tombstone.applies_to(meta))
        };
        if retired.into_iter().any(hides) {
            return true;
        }
        let end = metas.iter().map(|meta| meta.max_timestamp).max().unwrap_or(i64::MIN);
        outputs.iter().filter_map(|output| found.get(output)).any(|(output, _)| {
            let (start, ticks) = output.window;
            match ticks {
                0 => output.meta.max_timestamp == end,
                _ => start <= end && end.abs_diff(start) < ticks,
            }
        })
    }

    /// Step 4.
    fn flushes(&mut self) {
        let mut covered = self.known_seq();
        let is_flush = |meta: &&SegmentMeta| self.is_unlisted_flush(meta);
        let mut flushes: Vec<SegmentMeta> = self.live.values().filter(is_flush).copied().collect();
        flushes.sort_by_key(|meta| std::cmp::Reverse(meta.max_seq));
        let log = self.evidence.log.pieces.last();
        let in_log = |m: &SegmentMeta| log.is_some_and(|log| log.has_all(m.min_seq, m.max_seq));
        for meta in flushes {
            if meta.max_seq > covered && in_log(&meta) {
                self.leave(meta.file_number, Fate::InLog);
            } else {
                covered = covered.max(meta.max_seq);
            }
        }
    }

    /// Whether the segment is one of a flush that no readable edit lists.
    fn is_unlisted_flush(&self, meta: &SegmentMeta) -> bool {
        let found = self.evidence.segments.get(&meta.file_number);
        meta.level == 0
            && !self.evidence.facts.added.contains_key(&meta.file_number)
            && found.is_some_and(|(found, _)| found.replaces.is_empty())
    }

    /// How far batches are in segments for sure, whatever becomes of flushes that nobody lists.
    fn known_seq(&self) -> u64 {
        let others = self.live.values().filter(|meta| !self.is_unlisted_flush(meta));
        let seqs = others.map(|meta| meta.max_seq);
        seqs.fold(self.evidence.facts.wal_covered.seq, u64::max)
    }

    /// Step 6.
    fn conflicts(&mut self) {
        let metas: Vec<SegmentMeta> = self.live.values().copied().collect();
        for (at, older) in metas.iter().enumerate() {
            let is_made_from = |newer: &SegmentMeta| {
                newer.overlaps_in_time(older)
                    && newer.min_seq <= older.max_seq
                    && older.min_seq <= newer.max_seq
            };
            // By rising number.
            if metas[at + 1..].iter().any(is_made_from) {
                self.leave(older.file_number, Fate::Replaced);
            }
        }
    }

    /// Step 8.
    fn covered(&self) -> u64 {
        let seqs = self.live.values().map(|meta| meta.max_seq);
        seqs.fold(self.evidence.facts.wal_covered.seq, u64::max)
    }

    /// From which file on the log is needed, and the seqs that nothing has between the segments and it.
    fn first_log(&self, seq: u64) -> (WalCovered, Option<(u64, u64)>) {
        let known = self.evidence.facts.wal_covered.file_number;
        let Some(piece) = self.evidence.log.first_behind(seq) else {
            return (WalCovered { file_number: known, seq }, None);
        };
        let gap = (piece.before > seq).then_some((seq + 1, piece.before));
        let file_number = known.max(piece.file_number);
        (WalCovered { file_number, seq: seq.max(piece.before) }, gap)
    }

    /// Step 7. `covered`: from where on the log is replayed.
    fn tombstones(&self, covered: WalCovered) -> Vec<(u64, Arc<Tombstone>)> {
        let Evidence { facts, tombstones, log, .. } = self.evidence;
        let mut all = tombstones.clone();
        all.retain(|seq, _| *seq <= covered.seq || !log.has(*seq, covered.file_number));
        all.extend(facts.tombstones.iter().map(|(seq, t)| (*seq, t.clone())));
        all.retain(|seq, _| !facts.tombstones_removed.contains(seq));
        let listed = |seq: &u64| facts.tombstones.contains_key(seq);
        all.retain(|seq, (_, tombstone)| listed(seq) || !self.is_within(tombstone));
        all.into_values().collect()
    }

    /// Whether the delete lies within the seqs of a listed segment: then it was carried out there, since a
    /// merge never joins what is older than a delete with what is newer.
    fn is_within(&self, tombstone: &Tombstone) -> bool {
        self.live.values().any(|meta| {
            meta.min_seq <= tombstone.seq
                && tombstone.seq <= meta.max_seq
                && meta.tombstone_seq < tombstone.seq
                && tombstone.range.overlaps(meta.min_timestamp, meta.max_timestamp)
        })
    }

    /// What becomes of each segment.
    fn report(&self, plan: &mut RepairPlan) {
        let dir = &self.evidence.dir;
        for meta in self.live.values() {
            let found = self.evidence.segments.get(&meta.file_number);
            let is_whole = found.is_some_and(|(found, bytes)| {
                *bytes == meta.file_bytes && found.meta.footer_crc == meta.footer_crc
            });
            let fate = if is_whole { Fate::Kept } else { Fate::Unreadable };
            plan.lost_samples += if is_whole { 0 } else { meta.samples };
            plan.segments.push(RepairSegment::new(dir, meta, fate));
        }
        for (number, fate) in &self.fates {
            let (found, _) = &self.evidence.segments[number];
            plan.segments.push(RepairSegment::new(dir, &found.meta, *fate));
        }
    }
}
