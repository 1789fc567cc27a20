//! A version: the immutable list of live segments, and the counters that go with it.
//!
//! Pure. [`Version::apply`] is the only way to a new version, live and at replay, so that what was
//! published is exactly what a reopen yields. Its checks are the invariants of FORMAT.md.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashSet};
use std::sync::Arc;

use super::edit::{VersionEdit, WalCovered};
use crate::types::{DecodeError, SegmentMeta};

/// The live segments at one moment. Readers hold an `Arc` of it; nothing in it ever changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    segments: Vec<Arc<SegmentMeta>>,
    wal_covered: WalCovered,
    next_file_number: u64,
    last_seq: u64,
}

impl Default for Version {
    /// The version of a new store: nothing. File numbers and seqs start at 1.
    fn default() -> Self {
        Self {
            segments: Vec::new(),
            wal_covered: WalCovered { file_number: 0, seq: 0 },
            next_file_number: 1,
            last_seq: 0,
        }
    }
}

impl Version {
    /// The live segments by their earliest sample, then by file number.
    #[must_use]
    pub fn segments(&self) -> &[Arc<SegmentMeta>] {
        &self.segments
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

    /// The edit that makes this version from nothing.
    #[must_use]
    pub fn snapshot(&self) -> VersionEdit {
        VersionEdit {
            added: self.segments.iter().map(|meta| **meta).collect(),
            removed: Vec::new(),
            wal_covered: Some(self.wal_covered),
            next_file_number: Some(self.next_file_number),
            last_seq: Some(self.last_seq),
        }
    }

    /// The version after `edit`.
    ///
    /// # Errors
    /// [`DecodeError::Invalid`] names the invariant that the edit would break.
    pub fn apply(&self, edit: &VersionEdit) -> Result<Self, DecodeError> {
        let mut segments = self.without(&edit.removed)?;
        segments.extend(edit.added.iter().map(|meta| Arc::new(*meta)));
        segments.sort_unstable_by_key(|meta| (meta.min_timestamp, meta.file_number));
        let next = Self {
            segments,
            wal_covered: edit.wal_covered.unwrap_or(self.wal_covered),
            next_file_number: edit.next_file_number.unwrap_or(self.next_file_number),
            last_seq: edit.last_seq.unwrap_or(self.last_seq),
        };
        if next.wal_covered.file_number < self.wal_covered.file_number
            || next.wal_covered.seq < self.wal_covered.seq
        {
            return Err(DecodeError::Invalid("WAL position of an edit, which falls"));
        }
        if next.next_file_number < self.next_file_number {
            return Err(DecodeError::Invalid("next file number of an edit, which falls"));
        }
        if next.last_seq < self.last_seq || next.last_seq < next.wal_covered.seq {
            return Err(DecodeError::Invalid("last seq of an edit"));
        }
        next.check_each(&edit.added)?;
        if !edit.added.is_empty() {
            check_recency(&next.segments)?;
        }
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

    /// Checks what an added segment says of itself, and that no two share a file.
    fn check_each(&self, added: &[SegmentMeta]) -> Result<(), DecodeError> {
        for meta in added {
            if meta.file_number >= self.next_file_number {
                return Err(DecodeError::Invalid("file number of an added segment"));
            }
            if meta.min_timestamp > meta.max_timestamp || meta.samples == 0 || meta.series == 0 {
                return Err(DecodeError::Invalid("extent of an added segment"));
            }
            if meta.min_seq > meta.max_seq || meta.max_seq > self.last_seq {
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
