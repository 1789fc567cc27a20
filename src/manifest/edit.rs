//! Version edits: what one frame changes, and its bytes.

use std::sync::Arc;

use crate::types::{
    ClockRecord, DecodeError, Fields, LossCounts, SegmentMeta, SuspectClock, Tombstone,
};

const ADD_SEGMENT: u8 = 1;
const REMOVE_SEGMENT: u8 = 2;
const WAL_COVERED: u8 = 3;
const NEXT_FILE_NUMBER: u8 = 4;
const LAST_SEQ: u8 = 5;
const ERASED: u8 = 6;
const ADD_TOMBSTONE: u8 = 7;
const REMOVE_TOMBSTONE: u8 = 8;
const CLOCK: u8 = 9;
const SUSPECT_CLOCK: u8 = 10;
const OBSOLETE: u8 = 11;
const LOSSES: u8 = 12;
const ORIGIN: u8 = 13;

const MUST_UNDERSTAND: u8 = 1;
const SEGMENT_BYTES: usize = 88;

/// How far the write-ahead log is in segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WalCovered {
    /// No WAL file with a lower number is needed any more.
    pub file_number: u64,
    /// Every batch with this seq or a lower one is in segments; replay skips them.
    pub seq: u64,
}

/// One atomic change of the version. What is `None` or empty stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionEdit {
    /// (file number, seq): in live segments, deletes up to this seq match nothing any more. The
    /// `tombstone_seq` of a segment never falls.
    pub erased: Vec<(u64, u64)>,
    /// Segments that become live.
    pub added: Vec<SegmentMeta>,
    /// File numbers of segments that are live no more.
    pub removed: Vec<u64>,
    /// Tombstones, each with the number of the `.tomb` file that holds it too.
    pub tombstones_added: Vec<(u64, Arc<Tombstone>)>,
    /// Seqs of tombstones that hide nothing any more.
    pub tombstones_removed: Vec<u64>,
    /// How far the WAL is in segments; never falls.
    pub wal_covered: Option<WalCovered>,
    /// The lowest number that no file has used; never falls.
    pub next_file_number: Option<u64>,
    /// The highest seq given out; never falls.
    pub last_seq: Option<u64>,
    /// The wall clock, if it is to be recorded.
    pub clock: ClockRecord,
    /// In a snapshot: file numbers of segments that an earlier edit removed and whose files were there.
    pub obsolete: Vec<u64>,
    /// What the store has lost over its life, if that has changed; never falls.
    pub losses: Option<LossCounts>,
    /// The uuids of stores that this one was copied from, and whose segments it may have.
    pub origins_added: Vec<[u8; 16]>,
}

impl VersionEdit {
    /// Appends the payload of a frame to `out`.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for &(number, seq) in &self.erased {
            entry(ERASED, &pair(number, seq), out);
        }
        for meta in &self.added {
            entry(ADD_SEGMENT, &encode_segment(meta), out);
            if meta.tombstone_seq > 0 {
                entry(ERASED, &pair(meta.file_number, meta.tombstone_seq), out);
            }
        }
        for number in &self.removed {
            entry(REMOVE_SEGMENT, &number.to_le_bytes(), out);
        }
        for (file_number, tombstone) in &self.tombstones_added {
            let mut body = file_number.to_le_bytes().to_vec();
            tombstone.encode(&mut body);
            entry(ADD_TOMBSTONE, &body, out);
        }
        for seq in &self.tombstones_removed {
            entry(REMOVE_TOMBSTONE, &seq.to_le_bytes(), out);
        }
        if let Some(covered) = self.wal_covered {
            entry(WAL_COVERED, &pair(covered.file_number, covered.seq), out);
        }
        if let Some(number) = self.next_file_number {
            entry(NEXT_FILE_NUMBER, &number.to_le_bytes(), out);
        }
        if let Some(seq) = self.last_seq {
            entry(LAST_SEQ, &seq.to_le_bytes(), out);
        }
        if let Some(trusted_ms) = self.clock.trusted_ms {
            entry(CLOCK, &trusted_ms.to_le_bytes(), out);
        }
        if let Some(suspect) = self.clock.suspect {
            entry(SUSPECT_CLOCK, &pair(suspect.wall_ms as u64, suspect.run_ms), out);
        }
        for number in &self.obsolete {
            entry(OBSOLETE, &number.to_le_bytes(), out);
        }
        if let Some(losses) = self.losses {
            entry(LOSSES, &pair(losses.lost, losses.accepted), out);
        }
        for uuid in &self.origins_added {
            entry(ORIGIN, uuid, out);
        }
    }

    /// Decodes a frame's payload. Also returns how many entries of unknown kinds were skipped.
    pub(super) fn decode(payload: &[u8]) -> Result<(Self, usize), DecodeError> {
        let mut edit = Self::default();
        let mut skipped = 0;
        let mut fields = Fields::new(payload);
        while !fields.rest().is_empty() {
            let kind = fields.u8("kind of an edit")?;
            let flags = fields.u8("flags of an edit")?;
            fields.zeros(2, "reserved bytes of an edit")?;
            if flags & !MUST_UNDERSTAND != 0 {
                return Err(DecodeError::Invalid("flags of an edit"));
            }
            let body_bytes = fields.u32("length of an edit")? as usize;
            let body = fields.bytes(body_bytes, "body of an edit")?;
            if !edit.take(kind, body)? {
                if flags & MUST_UNDERSTAND != 0 {
                    return Err(DecodeError::Newer {
                        found: super::header::VERSION + 1,
                        supported: super::header::VERSION,
                    });
                }
                skipped += 1;
            }
        }
        Ok((edit, skipped))
    }

    /// Takes in one entry; `false` if its kind is unknown.
    fn take(&mut self, kind: u8, body: &[u8]) -> Result<bool, DecodeError> {
        let mut fields = Fields::new(body);
        match kind {
            ADD_SEGMENT => self.added.push(decode_segment(&mut fields)?),
            REMOVE_SEGMENT => self.removed.push(fields.u64("removed segment")?),
            ERASED => {
                let file_number = fields.u64("erased segment")?;
                self.take_erased(file_number, fields.u64("tombstone seq of a segment")?)?;
            }
            ADD_TOMBSTONE => {
                let file_number = fields.u64("file number of a tombstone")?;
                let tombstone = Tombstone::decode(fields.rest())?;
                self.tombstones_added.push((file_number, Arc::new(tombstone)));
                return Ok(true);
            }
            REMOVE_TOMBSTONE => self.tombstones_removed.push(fields.u64("removed tombstone")?),
            WAL_COVERED => {
                let file_number = fields.u64("WAL file covered")?;
                let seq = fields.u64("seq covered")?;
                once(&mut self.wal_covered, WalCovered { file_number, seq })?;
            }
            NEXT_FILE_NUMBER => once(&mut self.next_file_number, fields.u64("next file number")?)?,
            LAST_SEQ => once(&mut self.last_seq, fields.u64("last seq")?)?,
            CLOCK => once(&mut self.clock.trusted_ms, fields.i64("clock")?)?,
            SUSPECT_CLOCK => {
                let wall_ms = fields.i64("suspect clock")?;
                let run_ms = fields.u64("run of a suspect clock")?;
                once(&mut self.clock.suspect, SuspectClock { wall_ms, run_ms })?;
            }
            OBSOLETE => self.obsolete.push(fields.u64("obsolete segment")?),
            LOSSES => {
                let lost = fields.u64("lost samples")?;
                let accepted = fields.u64("accepted samples")?;
                once(&mut self.losses, LossCounts { lost, accepted })?;
            }
            ORIGIN => self.origins_added.push(fields.array("origin of the store")?),
            _ => return Ok(false),
        }
        fields.finish("length of an edit's body")?;
        Ok(true)
    }

    /// Behind the entry that adds its segment, a tombstone seq belongs to what is added; elsewhere
    /// it raises that of a live segment.
    fn take_erased(&mut self, file_number: u64, seq: u64) -> Result<(), DecodeError> {
        if seq == 0 {
            return Err(DecodeError::Invalid("tombstone seq of a segment"));
        }
        let added = self.added.last_mut();
        match added.filter(|meta| (meta.file_number, meta.tombstone_seq) == (file_number, 0)) {
            Some(added) => added.tombstone_seq = seq,
            None => self.erased.push((file_number, seq)),
        }
        Ok(())
    }
}

/// Two numbers, encoded.
fn pair(first: u64, second: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&first.to_le_bytes());
    out[8..].copy_from_slice(&second.to_le_bytes());
    out
}

fn once<T>(field: &mut Option<T>, value: T) -> Result<(), DecodeError> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(DecodeError::Invalid("entry that occurs twice in an edit")),
    }
}

fn entry(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    // A build that does not know what is obsolete sets it aside instead of removing it; one that does not
    // know what was lost counts anew.
    let flags = if matches!(kind, OBSOLETE | LOSSES) { 0 } else { MUST_UNDERSTAND };
    out.extend_from_slice(&[kind, flags, 0, 0]);
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(body);
}

fn encode_segment(meta: &SegmentMeta) -> [u8; SEGMENT_BYTES] {
    let mut out = [0; SEGMENT_BYTES];
    let longs = [
        meta.file_number,
        meta.file_bytes,
        meta.footer_twin_offset,
        meta.min_timestamp as u64,
        meta.max_timestamp as u64,
        meta.min_seq,
        meta.max_seq,
        meta.samples,
    ];
    for (place, value) in out.chunks_exact_mut(8).zip(longs) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    let words = [meta.series, meta.footer_bytes, meta.footer_crc, meta.features];
    for (place, value) in out[64..80].chunks_exact_mut(4).zip(words) {
        place.copy_from_slice(&value.to_le_bytes());
    }
    out[80] = meta.level;
    out
}

fn decode_segment(fields: &mut Fields<'_>) -> Result<SegmentMeta, DecodeError> {
    let file_number = fields.u64("file number of a segment")?;
    let file_bytes = fields.u64("size of a segment")?;
    let footer_twin_offset = fields.u64("footer offset of a segment")?;
    let min_timestamp = fields.i64("time range of a segment")?;
    let max_timestamp = fields.i64("time range of a segment")?;
    let min_seq = fields.u64("seq range of a segment")?;
    let max_seq = fields.u64("seq range of a segment")?;
    let samples = fields.u64("samples of a segment")?;
    let series = fields.u32("series of a segment")?;
    let footer_bytes = fields.u32("footer length of a segment")?;
    let footer_crc = fields.u32("footer CRC of a segment")?;
    let features = fields.u32("features of a segment")?;
    let level = fields.u8("level of a segment")?;
    fields.zeros(7, "reserved bytes of a segment")?;
    Ok(SegmentMeta {
        file_number,
        file_bytes,
        footer_crc,
        footer_bytes,
        footer_twin_offset,
        min_timestamp,
        max_timestamp,
        min_seq,
        max_seq,
        samples,
        series,
        features,
        level,
        tombstone_seq: 0,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Matcher, TimeRange};

    prop_compose! {
        fn any_segment()(
            a in any::<[u64; 6]>(), b in any::<[u32; 4]>(), t in any::<[i64; 2]>(), level: u8
        ) -> SegmentMeta {
            SegmentMeta {
                file_number: a[0], file_bytes: a[1], footer_twin_offset: a[2],
                min_timestamp: t[0], max_timestamp: t[1],
                min_seq: a[3], max_seq: a[4], samples: a[5],
                series: b[0], footer_bytes: b[1], footer_crc: b[2], features: b[3], level,
                tombstone_seq: u64::from(level % 3),
            }
        }
    }

    prop_compose! {
        fn any_tombstone()(
            seq in 1u64.., start in -9i64..9, created_ms: i64, value in "[a-zش]{0,5}"
        ) -> Arc<Tombstone> {
            let matchers = vec![Matcher::equal("a", value.clone()), Matcher::regex("b", value).unwrap()];
            Arc::new(Tombstone { seq, range: TimeRange::new(start, 9), matchers, created_ms })
        }
    }

    prop_compose! {
        fn any_edit()(
            added in prop::collection::vec(any_segment(), 0..4),
            removed in prop::collection::vec(any::<u64>(), 0..4),
            erased in prop::collection::vec((any::<u64>(), 1u64..), 0..3),
            tombstones_added in prop::collection::vec((any::<u64>(), any_tombstone()), 0..3),
            tombstones_removed in prop::collection::vec(any::<u64>(), 0..3),
            wal in any::<Option<(u64, u64)>>(),
            next_file_number: Option<u64>,
            last_seq: Option<u64>,
            trusted_ms: Option<i64>,
            suspect in any::<Option<(i64, u64)>>(),
            obsolete in prop::collection::vec(any::<u64>(), 0..4),
            losses in any::<Option<(u64, u64)>>(),
            origins_added in prop::collection::vec(any::<[u8; 16]>(), 0..3),
        ) -> VersionEdit {
            let counts = |(lost, accepted)| LossCounts { lost, accepted };
            let suspect = suspect.map(|(wall_ms, run_ms)| SuspectClock { wall_ms, run_ms });
            let wal_covered = wal.map(|(file_number, seq)| WalCovered { file_number, seq });
            VersionEdit {
                erased, added, removed, tombstones_added, tombstones_removed,
                wal_covered, next_file_number, last_seq, clock: ClockRecord { trusted_ms, suspect }, obsolete,
                losses: losses.map(counts), origins_added,
            }
        }
    }

    fn encoded(edit: &VersionEdit) -> Vec<u8> {
        let mut out = Vec::new();
        edit.encode(&mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn round_trip(edit in any_edit()) {
            prop_assert_eq!(VersionEdit::decode(&encoded(&edit)), Ok((edit, 0)));
        }

        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok((edit, 0)) = VersionEdit::decode(&bytes) {
                prop_assert_eq!(VersionEdit::decode(&encoded(&edit)), Ok((edit, 0)));
            }
        }
    }

    #[test]
    fn unknown_kinds_are_skipped_unless_they_must_be_understood() {
        let edit = VersionEdit { last_seq: Some(3), ..VersionEdit::default() };
        let mut bytes = vec![99, 0, 0, 0, 2, 0, 0, 0, 1, 2];
        edit.encode(&mut bytes);
        assert_eq!(VersionEdit::decode(&bytes), Ok((edit, 1)));
        bytes[1] = MUST_UNDERSTAND;
        assert_eq!(VersionEdit::decode(&bytes), Err(DecodeError::Newer { found: 2, supported: 1 }));
        bytes[1] = 2;
        assert_eq!(VersionEdit::decode(&bytes), Err(DecodeError::Invalid("flags of an edit")));
    }

    #[test]
    fn a_tombstone_seq_belongs_to_the_segment_added_before_it() {
        let mut edit = super::super::tests::add(3);
        edit.added[0].tombstone_seq = 9;
        let with = encoded(&edit);
        assert_eq!(VersionEdit::decode(&with), Ok((edit.clone(), 0)));
        edit.added[0].tombstone_seq = 0;
        edit.erased.push((3, 9));
        let before = encoded(&edit);
        assert_eq!(before.len(), with.len());
        assert_eq!(VersionEdit::decode(&before), Ok((edit, 0)), "before it, a live one is meant");
        let zero = VersionEdit { erased: vec![(3, 0)], ..VersionEdit::default() };
        assert!(VersionEdit::decode(&encoded(&zero)).is_err());
    }

    /// A build that skipped it would take the segments of a copy for damaged.
    #[test]
    fn an_origin_must_be_understood_and_has_the_bytes_of_its_format() {
        let edit = VersionEdit { origins_added: vec![[7; 16], [8; 16]], ..VersionEdit::default() };
        let head = [13, 1, 0, 0, 16, 0, 0, 0];
        assert_eq!(encoded(&edit), [&head[..], &[7; 16], &head, &[8; 16]].concat());
    }

    #[test]
    fn an_entry_given_twice_or_too_long_is_refused() {
        let edit = VersionEdit { last_seq: Some(3), ..VersionEdit::default() };
        let twice = [encoded(&edit), encoded(&edit)].concat();
        assert!(VersionEdit::decode(&twice).is_err());
        let mut long = encoded(&edit);
        long[4] = 9;
        long.push(0);
        assert_eq!(
            VersionEdit::decode(&long),
            Err(DecodeError::Invalid("length of an edit's body"))
        );
    }
}
