//! A version: the immutable list of live segments, and the counters that go with it.
//!
//! Pure. [`Version::apply`] is the only way to a new version, live and at replay, so that what was
//! published is exactly what a reopen yields. Its checks are the invariants of FORMAT.md.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::edit::{VersionEdit, WalCovered};
use crate::types::{ClockRecord, DecodeError, LossCounts, NUMBER_MAX, SegmentMeta, Tombstone};

/// Edit numbers, file numbers and seqs stay below this, so that counting on cannot overflow.
pub(super) const COUNTER_MAX: u64 = NUMBER_MAX;

/// A store may have been copied this often, one copy from the other.
const ORIGINS_MAX: usize = 1024;

/// The live segments at one moment. Readers hold an `Arc` of it; nothing in it ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    segments: Vec<Arc<SegmentMeta>>,
    /// By seq, with their `.tomb` files' numbers.
    tombstones: Vec<(u64, Arc<Tombstone>)>,
    wal_covered: WalCovered,
    next_file_number: u64,
    last_seq: u64,
    clock: ClockRecord,
    losses: LossCounts,
    /// Rising.
    origins: Arc<[[u8; 16]]>,
}

impl Default for Version {
    /// The version of a new store: nothing. File numbers and seqs start at 1.
    fn default() -> Self {
        Self {
            segments: Vec::new(),
            tombstones: Vec::new(),
            wal_covered: WalCovered { file_number: 0, seq: 0 },
            next_file_number: 1,
            last_seq: 0,
            clock: ClockRecord::default(),
            losses: LossCounts::default(),
            origins: Arc::default(),
        }
    }
}

impl Version {
    /// The live segments by their earliest sample, then by file number.
    #[must_use]
    pub fn segments(&self) -> &[Arc<SegmentMeta>] {
        &self.segments
    }

    /// The deletes that may still hide something in the segments, by seq.
    pub fn tombstones(&self) -> impl DoubleEndedIterator<Item = &Arc<Tombstone>> {
        self.tombstones.iter().map(|(_, tombstone)| tombstone)
    }

    /// The same, each with the number of the `.tomb` file that holds it.
    #[must_use]
    pub fn tombstone_files(&self) -> &[(u64, Arc<Tombstone>)] {
        &self.tombstones
    }

    /// The tombstones of each `.tomb` file, by its number.
    #[must_use]
    pub fn tombstones_by_file(&self) -> BTreeMap<u64, Vec<Arc<Tombstone>>> {
        let mut files: BTreeMap<u64, Vec<_>> = BTreeMap::new();
        for (number, tombstone) in &self.tombstones {
            files.entry(*number).or_default().push(Arc::clone(tombstone));
        }
        files
    }

    /// The seq of the newest tombstone, 0 without one: what a segment may claim as its
    /// `tombstone_seq` that is written without the samples which these tombstones hide.
    #[must_use]
    pub fn tombstone_seq(&self) -> u64 {
        self.tombstones.last().map_or(0, |(_, tombstone)| tombstone.seq)
    }

    /// How far the WAL is in segments.
    #[must_use]
    pub fn wal_covered(&self) -> WalCovered {
        self.wal_covered
    }

    /// The lowest number that no file of the store had used when the version was made. Files that
    /// a crash left behind may have higher ones: see the directory as well.
    #[must_use]
    pub fn next_file_number(&self) -> u64 {
        self.next_file_number
    }

    /// The highest seq known to have been given out when the version was made.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// What the edits have recorded of the wall clock.
    #[must_use]
    pub fn clock(&self) -> ClockRecord {
        self.clock
    }

    /// What the store has lost over its life.
    #[must_use]
    pub fn losses(&self) -> LossCounts {
        self.losses
    }

    /// The uuids of the stores that this one was copied from, one from the other: rising, each once. The
    /// segments may carry them.
    #[must_use]
    pub fn origins(&self) -> &Arc<[[u8; 16]]> {
        &self.origins
    }

    /// The edit that makes this version from nothing.
    #[must_use]
    pub fn snapshot(&self) -> VersionEdit {
        VersionEdit {
            added: self.segments.iter().map(|meta| **meta).collect(),
            tombstones_added: self.tombstones.clone(),
            erased: Vec::new(),
            removed: Vec::new(),
            tombstones_removed: Vec::new(),
            wal_covered: Some(self.wal_covered),
            next_file_number: Some(self.next_file_number),
            last_seq: Some(self.last_seq),
            clock: self.clock,
            obsolete: Vec::new(),
            losses: Some(self.losses).filter(|losses| *losses != LossCounts::default()),
            origins_added: self.origins.to_vec(),
        }
    }

    /// The version after `edit`.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] names the invariant that the edit would break.
    pub fn apply(&self, edit: &VersionEdit) -> Result<Self, DecodeError> {
        let mut segments = self.without(&edit.removed)?;
        raise_erased(&mut segments, &edit.erased)?;
        segments.extend(edit.added.iter().map(|meta| Arc::new(*meta)));
        segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
        let next = Self {
            segments,
            tombstones: self.next_tombstones(edit)?,
            wal_covered: edit.wal_covered.unwrap_or(self.wal_covered),
            next_file_number: edit.next_file_number.unwrap_or(self.next_file_number),
            last_seq: edit.last_seq.unwrap_or(self.last_seq),
            clock: self.clock.then(edit.clock),
            losses: edit.losses.unwrap_or(self.losses),
            origins: self.next_origins(&edit.origins_added)?,
        };
        if next.wal_covered.file_number < self.wal_covered.file_number
            || next.wal_covered.seq < self.wal_covered.seq
        {
            return Err(DecodeError::Invalid("WAL position of an edit, which falls"));
        }
        if next.next_file_number.max(next.last_seq) > COUNTER_MAX {
            return Err(DecodeError::Invalid("counter of an edit, too large to count on"));
        }
        if next.losses.lost < self.losses.lost || next.losses.accepted < self.losses.accepted {
            return Err(DecodeError::Invalid("counts of what is lost, which fall"));
        }
        if next.next_file_number < self.next_file_number {
            return Err(DecodeError::Invalid("next file number of an edit, which falls"));
        }
        if next.last_seq < self.last_seq || next.last_seq < next.wal_covered.seq {
            return Err(DecodeError::Invalid("last seq of an edit"));
        }
        if edit.erased.iter().any(|&(_, seq)| seq > next.last_seq) {
            return Err(DecodeError::Invalid("tombstone seq of a segment, which no delete has"));
        }
        next.check_each(&edit.added)?;
        if !edit.added.is_empty() {
            check_recency(&next.segments)?;
        }
        if !edit.added.is_empty() || !edit.tombstones_added.is_empty() {
            next.check_tombstones()?;
        }
        self.check_removed(&next, &edit.tombstones_removed)?;
        Ok(next)
    }

    /// The segments that `removed` leaves.
    fn without(&self, removed: &[u64]) -> Result<Vec<Arc<SegmentMeta>>, DecodeError> {
        let removed_set: HashSet<u64> = removed.iter().copied().collect();
        let mut kept = self.segments.clone();
        kept.retain(|meta| !removed_set.contains(&meta.file_number));
        if kept.len() + removed.len() != self.segments.len() {
            return Err(DecodeError::Invalid("removed segment, which is not live"));
        }
        Ok(kept)
    }

    /// The tombstones after `edit`.
    fn next_tombstones(
        &self,
        edit: &VersionEdit,
    ) -> Result<Vec<(u64, Arc<Tombstone>)>, DecodeError> {
        if edit.tombstones_added.is_empty() && edit.tombstones_removed.is_empty() {
            return Ok(self.tombstones.clone());
        }
        let gone: HashSet<u64> = edit.tombstones_removed.iter().copied().collect();
        let mut next = self.tombstones.clone();
        next.retain(|(_, tombstone)| !gone.contains(&tombstone.seq));
        if next.len() + edit.tombstones_removed.len() != self.tombstones.len() {
            return Err(DecodeError::Invalid("removed tombstone, which is not live"));
        }
        next.extend(edit.tombstones_added.iter().cloned());
        next.sort_by_key(|(_, tombstone)| tombstone.seq);
        if next.windows(2).any(|pair| pair[0].1.seq == pair[1].1.seq) {
            return Err(DecodeError::Invalid("added tombstone, which is already live"));
        }
        Ok(next)
    }

    /// The origins with those that are `added`.
    fn next_origins(&self, added: &[[u8; 16]]) -> Result<Arc<[[u8; 16]]>, DecodeError> {
        if added.is_empty() {
            return Ok(Arc::clone(&self.origins));
        }
        let mut next = [&self.origins[..], added].concat();
        next.sort_unstable();
        if next.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DecodeError::Invalid("added origin of the store, which it has already,"));
        }
        if next.len() > ORIGINS_MAX {
            return Err(DecodeError::Invalid("number of stores that one was copied from"));
        }
        Ok(next.into())
    }

    /// Checks that each tombstone is within the store's counters, and that it is wholly before or
    /// wholly behind each segment that it overlaps in time, unless it is carried out there.
    fn check_tombstones(&self) -> Result<(), DecodeError> {
        for (file_number, tombstone) in &self.tombstones {
            if *file_number >= self.next_file_number || tombstone.seq > self.last_seq {
                return Err(DecodeError::Invalid("file number or seq of a tombstone"));
            }
        }
        for meta in &self.segments {
            let from = meta.min_seq.max(meta.tombstone_seq.saturating_add(1));
            let first = self.tombstones.partition_point(|(_, tombstone)| tombstone.seq < from);
            let within = self.tombstones[first..].iter().take_while(|t| t.1.seq <= meta.max_seq);
            let overlaps = |t: &Tombstone| t.range.overlaps(meta.min_timestamp, meta.max_timestamp);
            if within.into_iter().any(|(_, tombstone)| overlaps(tombstone)) {
                return Err(DecodeError::Invalid("tombstone within the seqs of a segment"));
            }
        }
        Ok(())
    }

    /// Checks that the tombstones of this version that `next` lacks hide nothing there: what was
    /// deleted must not come back.
    fn check_removed(&self, next: &Self, removed: &[u64]) -> Result<(), DecodeError> {
        for seq in removed {
            let found = self.tombstones.binary_search_by_key(seq, |(_, t)| t.seq);
            let tombstone = found.map(|at| &self.tombstones[at].1);
            let applies = |t: &Arc<Tombstone>| next.segments.iter().any(|meta| t.applies_to(meta));
            if tombstone.is_ok_and(applies) {
                return Err(DecodeError::Invalid("removed tombstone, which may hide samples"));
            }
        }
        Ok(())
    }

    /// Checks what an added segment says of itself, and that no two share a file.
    fn check_each(&self, added: &[SegmentMeta]) -> Result<(), DecodeError> {
        for meta in added {
            if meta.file_number >= self.next_file_number {
                return Err(DecodeError::Invalid("file number of an added segment"));
            }
            let is_empty = meta.samples == 0 && !meta.has_lost();
            if meta.min_timestamp > meta.max_timestamp || is_empty || meta.series == 0 {
                return Err(DecodeError::Invalid("extent of an added segment"));
            }
            if meta.min_seq > meta.max_seq || meta.max_seq.max(meta.tombstone_seq) > self.last_seq {
                return Err(DecodeError::Invalid("seq range of an added segment"));
            }
        }
        let numbers: HashSet<u64> = self.segments.iter().map(|meta| meta.file_number).collect();
        if numbers.len() != self.segments.len() {
            return Err(DecodeError::Invalid("added segment, which is already live"));
        }
        Ok(())
    }
}

/// Raises the tombstone seqs of live segments.
fn raise_erased(
    segments: &mut [Arc<SegmentMeta>],
    erased: &[(u64, u64)],
) -> Result<(), DecodeError> {
    if erased.is_empty() {
        return Ok(());
    }
    let seqs: HashMap<u64, u64> = erased.iter().copied().collect();
    let mut found = 0;
    for meta in segments {
        let Some(&seq) = seqs.get(&meta.file_number) else { continue };
        if seq <= meta.tombstone_seq {
            return Err(DecodeError::Invalid("tombstone seq of a segment, which does not rise"));
        }
        *meta = Arc::new(SegmentMeta { tombstone_seq: seq, ..**meta });
        found += 1;
    }
    match found == erased.len() {
        true => Ok(()),
        false => Err(DecodeError::Invalid("erased segment, which is not live")),
    }
}

/// Checks that no two segments overlap both in time and in seq. `segments` are sorted by their
/// earliest sample.
///
/// Sweeps over time with the segments that are open there, keyed by seq range: those are disjoint,
/// so that a new one needs comparing with its neighbours only.
fn check_recency(segments: &[Arc<SegmentMeta>]) -> Result<(), DecodeError> {
    let mut open: BTreeMap<u64, &SegmentMeta> = BTreeMap::new();
    let mut ends: BinaryHeap<Reverse<(i64, u64)>> = BinaryHeap::new();
    for meta in segments {
        while let Some(&Reverse((end, min_seq))) = ends.peek() {
            if end >= meta.min_timestamp {
                break;
            }
            open.remove(&min_seq);
            ends.pop();
        }
        let below = open.range(..=meta.max_seq).next_back();
        if below.is_some_and(|(_, other)| other.max_seq >= meta.min_seq) {
            return Err(DecodeError::Invalid("segments that overlap in time and in seq"));
        }
        open.insert(meta.min_seq, meta);
        ends.push(Reverse((meta.max_timestamp, meta.min_seq)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Matcher, TimeRange};

    fn meta(file_number: u64, time: (i64, i64), seq: (u64, u64)) -> SegmentMeta {
        SegmentMeta {
            file_number,
            file_bytes: 1,
            footer_crc: 0,
            footer_bytes: 0,
            footer_twin_offset: 0,
            min_timestamp: time.0,
            max_timestamp: time.1,
            min_seq: seq.0,
            max_seq: seq.1,
            samples: 1,
            series: 1,
            features: 0,
            level: 0,
            tombstone_seq: 0,
        }
    }

    fn adding(added: Vec<SegmentMeta>) -> VersionEdit {
        VersionEdit {
            added,
            next_file_number: Some(100),
            last_seq: Some(100),
            ..VersionEdit::default()
        }
    }

    fn refusal(version: &Version, edit: &VersionEdit) -> &'static str {
        match version.apply(edit) {
            Err(DecodeError::Invalid(what)) => what,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_snapshot_rebuilds_the_version() {
        let mut edit = adding(vec![meta(2, (5, 9), (1, 3)), meta(1, (0, 4), (1, 3))]);
        edit.wal_covered = Some(WalCovered { file_number: 3, seq: 3 });
        let version = Version::default().apply(&edit).unwrap();
        assert_eq!(version.segments()[0].file_number, 1, "sorted by time");
        assert_eq!(Version::default().apply(&version.snapshot()), Ok(version.clone()));
        let removed = VersionEdit { removed: vec![2], ..VersionEdit::default() };
        let version = version.apply(&removed).unwrap();
        assert_eq!(version.segments().len(), 1);
        assert_eq!((version.last_seq(), version.next_file_number()), (100, 100));
        assert_eq!(version.wal_covered().seq, 3);
    }

    #[test]
    fn origins_are_kept_in_order_and_in_snapshots_each_once() {
        let from = |uuids: &[u8]| VersionEdit {
            origins_added: uuids.iter().map(|&uuid| [uuid; 16]).collect(),
            ..VersionEdit::default()
        };
        let none = Version::default().apply(&adding(vec![])).unwrap();
        assert!(none.origins().is_empty() && none.snapshot().origins_added.is_empty());
        let version = none.apply(&from(&[9, 3])).unwrap().apply(&from(&[5])).unwrap();
        assert_eq!(version.origins()[..], [[3; 16], [5; 16], [9; 16]]);
        assert_eq!(version.apply(&adding(vec![])).unwrap().origins(), version.origins());
        assert_eq!(Version::default().apply(&version.snapshot()), Ok(version.clone()));
        for twice in [&[5][..], &[1, 1], &[9, 3]] {
            let refused = refusal(&version, &from(twice));
            assert_eq!(refused, "added origin of the store, which it has already,");
        }
        let many = |n: u16| VersionEdit {
            origins_added: (0..n).map(|i| u128::from(i).to_le_bytes()).collect(),
            ..VersionEdit::default()
        };
        let most = none.apply(&many(1024)).unwrap();
        assert_eq!(most.origins().len(), 1024);
        for (version, edit) in [(&most, from(&[1])), (&none, many(1025))] {
            assert_eq!(refusal(version, &edit), "number of stores that one was copied from");
        }
    }

    #[test]
    fn edits_that_break_an_invariant_are_refused() {
        let base = Version::default().apply(&adding(vec![meta(1, (0, 9), (1, 3))])).unwrap();
        let one = |m: SegmentMeta| adding(vec![m]);
        let remove = |removed: &[u64]| VersionEdit { removed: removed.to_vec(), ..adding(vec![]) };
        for (edit, expected) in [
            (one(meta(1, (50, 51), (1, 1))), "added segment, which is already live"),
            (one(meta(100, (0, 0), (9, 9))), "file number of an added segment"),
            (one(meta(2, (1, 0), (9, 9))), "extent of an added segment"),
            (one(meta(2, (0, 0), (9, 8))), "seq range of an added segment"),
            (one(meta(2, (0, 0), (9, 101))), "seq range of an added segment"),
            (one(meta(2, (9, 12), (3, 9))), "segments that overlap in time and in seq"),
            (remove(&[2]), "removed segment, which is not live"),
            (remove(&[1, 1]), "removed segment, which is not live"),
        ] {
            assert_eq!(refusal(&base, &edit), expected);
        }
        let falls = VersionEdit { next_file_number: Some(99), ..VersionEdit::default() };
        assert_eq!(refusal(&base, &falls), "next file number of an edit, which falls");
        let falls = VersionEdit { last_seq: Some(99), ..VersionEdit::default() };
        assert_eq!(refusal(&base, &falls), "last seq of an edit");
        let covered = |file_number, seq| VersionEdit {
            wal_covered: Some(WalCovered { file_number, seq }),
            ..VersionEdit::default()
        };
        assert_eq!(refusal(&base, &covered(1, 101)), "last seq of an edit");
        let later = base.apply(&covered(5, 7)).unwrap();
        for falls in [covered(4, 8), covered(6, 6)] {
            assert_eq!(refusal(&later, &falls), "WAL position of an edit, which falls");
        }
    }

    #[test]
    fn overlap_is_of_inclusive_ranges_and_a_merge_may_replace_its_inputs() {
        let base = Version::default().apply(&adding(vec![meta(1, (0, 9), (1, 3))])).unwrap();
        assert!(base.apply(&adding(vec![meta(2, (10, 12), (3, 9))])).is_ok(), "apart in time");
        assert!(base.apply(&adding(vec![meta(2, (9, 12), (4, 9))])).is_ok(), "apart in seq");
        let merge = VersionEdit { removed: vec![1], ..adding(vec![meta(2, (0, 9), (1, 3))]) };
        assert!(base.apply(&merge).is_ok());
    }

    fn tombstone(seq: u64, range: (i64, i64)) -> Arc<Tombstone> {
        let range = TimeRange::new(range.0, range.1);
        let matchers = vec![Matcher::equal("a", "b")];
        Arc::new(Tombstone { seq, range, matchers, created_ms: 5 })
    }

    fn deleting(added: Vec<(u64, Arc<Tombstone>)>) -> VersionEdit {
        VersionEdit { tombstones_added: added, ..adding(vec![]) }
    }

    #[test]
    fn tombstones_are_kept_by_seq_and_in_snapshots() {
        let edit = deleting(vec![(9, tombstone(7, (0, 5))), (9, tombstone(4, (0, 5)))]);
        let version = Version::default().apply(&edit).unwrap();
        let seqs = |version: &Version| version.tombstones().map(|t| t.seq).collect::<Vec<_>>();
        assert_eq!((seqs(&version), version.tombstone_seq()), (vec![4, 7], 7));
        assert_eq!(Version::default().apply(&version.snapshot()), Ok(version.clone()));
        let removed = VersionEdit { tombstones_removed: vec![4], ..VersionEdit::default() };
        let version = version.apply(&removed).unwrap();
        assert_eq!(seqs(&version), [7]);
        assert_eq!(refusal(&version, &removed), "removed tombstone, which is not live");
        let again = deleting(vec![(9, tombstone(7, (0, 5)))]);
        assert_eq!(refusal(&version, &again), "added tombstone, which is already live");
        for bad in [(100, tombstone(8, (0, 5))), (9, tombstone(101, (0, 5)))] {
            let refused = refusal(&version, &deleting(vec![bad]));
            assert_eq!(refused, "file number or seq of a tombstone");
        }
    }

    #[test]
    fn a_tombstone_goes_only_when_it_hides_nothing() {
        let mut edit = adding(vec![meta(1, (0, 9), (1, 3)), meta(2, (0, 9), (6, 8))]);
        edit.tombstones_added = vec![(9, tombstone(5, (9, 20)))];
        let version = Version::default().apply(&edit).unwrap();
        let remove = VersionEdit { tombstones_removed: vec![5], ..VersionEdit::default() };
        assert_eq!(refusal(&version, &remove), "removed tombstone, which may hide samples");
        let raise = VersionEdit { erased: vec![(1, 5)], ..VersionEdit::default() };
        let raised = version.apply(&raise).unwrap();
        assert_eq!(raised.segments()[0].tombstone_seq, 5);
        assert!(raised.apply(&remove).is_ok(), "segment 2 is newer");
        assert_eq!(refusal(&raised, &raise), "tombstone seq of a segment, which does not rise");
        let both = VersionEdit { erased: vec![(1, 5)], ..remove.clone() };
        assert!(version.apply(&both).is_ok(), "in one edit");
        let dropped = VersionEdit { removed: vec![1], ..remove };
        assert!(version.apply(&dropped).is_ok(), "with its last segment");
        for (erased, expected) in [
            ((7, 5), "erased segment, which is not live"),
            ((1, 101), "tombstone seq of a segment, which no delete has"),
        ] {
            let edit = VersionEdit { erased: vec![erased], ..VersionEdit::default() };
            assert_eq!(refusal(&version, &edit), expected);
        }
    }

    #[test]
    fn a_tombstone_within_a_segment_must_be_carried_out_there() {
        let within = |range: (i64, i64), tombstone_seq: u64| {
            let segment = SegmentMeta { tombstone_seq, ..meta(1, (0, 9), (1, 8)) };
            let mut edit = adding(vec![segment]);
            edit.tombstones_added = vec![(9, tombstone(5, range))];
            Version::default().apply(&edit)
        };
        let expected = Err(DecodeError::Invalid("tombstone within the seqs of a segment"));
        assert_eq!(within((9, 20), 0), expected);
        assert_eq!(within((9, 20), 4), expected);
        assert!(within((9, 20), 5).is_ok() && within((10, 20), 0).is_ok());
        // Also when it comes later.
        let version = Version::default().apply(&adding(vec![meta(1, (0, 9), (1, 8))])).unwrap();
        let late = refusal(&version, &deleting(vec![(9, tombstone(1, (0, 1)))]));
        assert_eq!(late, "tombstone within the seqs of a segment");
        assert!(version.apply(&deleting(vec![(9, tombstone(9, (0, 1)))])).is_ok());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn the_sweep_finds_what_comparing_all_pairs_finds(
            raw in prop::collection::vec((0i64..12, 0i64..6, 1u64..12, 0u64..6), 0..6)
        ) {
            let metas: Vec<_> = raw.iter().enumerate().map(|(i, &(t, dt, s, ds))| {
                meta(i as u64 + 1, (t, t + dt), (s, s + ds))
            }).collect();
            let clash = metas.iter().enumerate().any(|(i, a)| metas[..i].iter().any(|b| {
                a.overlaps_in_time(b) && a.min_seq <= b.max_seq && b.min_seq <= a.max_seq
            }));
            prop_assert_eq!(Version::default().apply(&adding(metas)).is_err(), clash);
        }
    }
}
