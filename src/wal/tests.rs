//! The writer and the reader together: what was written is read, and damage is told from torn writes.

use std::path::{Path, PathBuf};

use super::frame::MANIFEST_FRAME_BYTES;
use super::*;
use crate::sys::{DiskFs, Vfs};

const UUID: [u8; 16] = *b"0123456789abcdef";

fn header(file_number: u64, predecessor: Predecessor) -> WalHeader {
    WalHeader { uuid: UUID, file_number, salt: 99, last_seq: 0, predecessor }
}

fn create(dir: &Path, file_number: u64) -> WalWriter {
    let path = dir.join(format!("{file_number}.wal"));
    let header = header(file_number, Predecessor::default());
    WalWriter::create(&DiskFs, dir, path, header).unwrap()
}

/// A payload that says which seq it belongs to.
fn payload(seq: u64) -> Vec<u8> {
    let columns = BatchColumns {
        run_rows: &[1, 2],
        timestamps: &[seq as i64, 5, 6],
        values: &[seq, seq * 31, !seq],
    };
    let mut batch = EncodedBatch::new(&columns, Vec::new());
    batch.complete([0, 1].into_iter(), 0, &Definitions::default()).unwrap();
    batch.payload().to_vec()
}

fn append(wal: &mut WalWriter, seqs: std::ops::RangeInclusive<u64>) {
    let payloads: Vec<(u64, Vec<u8>)> = seqs.map(|seq| (seq, payload(seq))).collect();
    let batches: Vec<(u64, &[u8])> = payloads.iter().map(|(seq, p)| (*seq, &p[..])).collect();
    wal.append(RecordKind::Batch, &batches).unwrap();
}

/// The seqs read, each payload checked, and the report.
fn read(path: &Path, successor: Option<Predecessor>) -> crate::Result<(Vec<u64>, FileReport)> {
    let fs = DiskFs;
    let number = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    let Some(mut reader) = WalReader::open(&fs, path, (UUID, number), successor)? else {
        panic!("the file has a header");
    };
    let mut seqs = Vec::new();
    while let Some(batch) = reader.next_record()? {
        assert_eq!(batch.kind, RecordKind::Batch);
        assert_eq!(
            &batch.payload[..],
            payload(batch.seq),
            "batch {} is what was written",
            batch.seq
        );
        seqs.push(batch.seq);
    }
    Ok((seqs, reader.report()))
}

fn file(dir: &tempfile::TempDir, number: u64) -> PathBuf {
    dir.path().join(format!("{number}.wal"))
}

#[expect(clippy::disallowed_methods, reason = "tests damage files behind the engine's back")]
fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).unwrap();
    change(&mut bytes);
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn batches_read_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=3);
    assert_eq!((wal.last_seq(), wal.durable_seq()), (3, 0));
    assert_eq!(wal.sync().unwrap(), 3);
    append(&mut wal, 4..=4);
    wal.end().unwrap();
    let (seqs, report) = read(&file(&dir, 1), None).unwrap();
    assert_eq!(seqs, [1, 2, 3, 4]);
    assert!(report.ended && report.torn.is_empty() && report.corruption.is_empty());
    assert_eq!((report.batches, report.last_seq, report.valid_bytes), (4, 4, wal.bytes()));
    assert!(!wal.is_open(), "END closes the file");
    assert!(wal.append(RecordKind::Batch, &[(5, &payload(5))]).is_err());
}

#[test]
fn every_cut_is_a_torn_tail_and_keeps_the_prefix() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=4);
    let whole = wal.bytes() as usize;
    let frame = (whole - HEADERS_BYTES as usize) / 4;
    for cut in (HEADERS_BYTES as usize + 1..whole).rev() {
        edit(&file(&dir, 1), |bytes| bytes.truncate(cut));
        let (seqs, report) = read(&file(&dir, 1), None).unwrap();
        let kept = (cut - HEADERS_BYTES as usize) / frame;
        assert_eq!(seqs, (1..=kept as u64).collect::<Vec<_>>(), "cut at {cut}");
        assert!(report.corruption.is_empty());
        let torn: u64 = report.torn.iter().map(|d| d.bytes).sum();
        assert_eq!(torn, (cut - HEADERS_BYTES as usize - kept * frame) as u64);
    }
}

#[test]
fn every_flipped_byte_costs_one_batch_and_is_reported_as_corruption() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=3);
    wal.sync().unwrap();
    wal.write_sync_frame().unwrap();
    let frames_end = wal.bytes() as usize - FRAME_HEADER_BYTES;
    let frame = (frames_end - HEADERS_BYTES as usize) / 3;
    for at in HEADERS_BYTES as usize..frames_end {
        edit(&file(&dir, 1), |bytes| bytes[at] ^= 1 << (at % 8));
        let (seqs, report) = read(&file(&dir, 1), None).unwrap();
        let hit = ((at - HEADERS_BYTES as usize) / frame) as u64 + 1;
        let expected: Vec<u64> = (1..=3).filter(|&seq| seq != hit).collect();
        assert_eq!(seqs, expected, "byte {at}");
        assert_eq!(report.corruption.len(), 1, "byte {at}: {report:?}");
        assert_eq!(report.corruption[0].first_seq, hit);
        edit(&file(&dir, 1), |bytes| bytes[at] ^= 1 << (at % 8));
    }
}

#[test]
fn damage_that_nothing_proves_durable_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=2);
    let middle = HEADERS_BYTES as usize + 50;
    edit(&file(&dir, 1), |bytes| bytes[middle] ^= 1);
    let (seqs, report) = read(&file(&dir, 1), None).unwrap();
    assert_eq!(seqs, [] as [u64; 0], "the batch behind it is no prefix without it");
    assert_eq!((report.torn.len(), report.corruption.len(), report.torn_records), (1, 0, 1));
    assert_eq!((report.valid_bytes, report.last_seq), (HEADERS_BYTES, 2));
    assert_eq!(report.torn[0].bytes, wal.bytes() - HEADERS_BYTES);
    // A successor that knows what was durable tells them apart.
    let bytes = wal.bytes();
    let successor =
        |durable_bytes| Predecessor { file_number: 1, valid_bytes: bytes, durable_bytes };
    let (_, report) = read(&file(&dir, 1), Some(successor(HEADERS_BYTES))).unwrap();
    assert_eq!((report.torn.len(), report.corruption.len()), (1, 0));
    let (seqs, report) = read(&file(&dir, 1), Some(successor(bytes))).unwrap();
    assert_eq!((report.torn.len(), report.corruption.len()), (0, 1));
    assert_eq!((seqs, report.torn_records), (vec![2], 0));
}

/// Four batches, of which the second and the fourth are damaged; `synced` of them, and a SYNC frame.
fn two_holes(dir: &tempfile::TempDir, synced: u64) -> crate::Result<(Vec<u64>, FileReport)> {
    let mut wal = create(dir.path(), 1);
    let mut ends = vec![];
    for seq in 1..=4 {
        append(&mut wal, seq..=seq);
        ends.push(wal.bytes() as usize);
        if seq == synced {
            wal.sync().unwrap();
        }
    }
    wal.write_sync_frame().unwrap();
    edit(&file(dir, 1), |bytes| {
        bytes[ends[0]..ends[0] + 8].fill(0);
        bytes[ends[2] + 50] ^= 1;
    });
    read(&file(dir, 1), None)
}

#[test]
fn corruption_in_front_of_a_torn_write_is_told_from_it() {
    // The proof of the first hole lies behind the second one.
    for synced in 2..=3 {
        let dir = tempfile::tempdir().unwrap();
        let (seqs, report) = two_holes(&dir, synced).unwrap();
        assert_eq!(seqs, [1, 3]);
        let missing = |found: &[Damage]| -> Vec<_> {
            found.iter().map(|damage| (damage.first_seq, damage.last_seq)).collect()
        };
        assert_eq!(missing(&report.corruption), [(2, 2)]);
        assert_eq!((missing(&report.torn), report.torn_records), (vec![(4, 4)], 0));
    }
    let dir = tempfile::tempdir().unwrap();
    let (seqs, report) = two_holes(&dir, 1).unwrap();
    assert_eq!((seqs, report.torn_records), (vec![1], 1), "the third is behind the tear");
    assert!(report.corruption.is_empty());
    let dir = tempfile::tempdir().unwrap();
    let (seqs, report) = two_holes(&dir, 4).unwrap();
    assert_eq!((seqs, report.corruption.len(), report.torn.len()), (vec![1, 3], 2, 0));
}

#[test]
fn a_damaged_sync_frame_costs_no_batch() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=1);
    let sync_frame = wal.bytes() as usize;
    wal.write_sync_frame().unwrap();
    append(&mut wal, 2..=2);
    edit(&file(&dir, 1), |bytes| bytes[sync_frame] ^= 1);
    let (seqs, report) = read(&file(&dir, 1), None).unwrap();
    assert_eq!(seqs, [1, 2], "the seqs show that nothing is missing");
    assert_eq!((report.torn.len(), report.corruption.len()), (0, 1));
    assert!(report.corruption[0].misses_nothing());
}

/// A MANIFEST frame is written with the frame behind it and not synced before: a power cut may take it alone.
#[test]
fn a_manifest_frame_that_a_crash_took_alone_is_no_damage() {
    for synced in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let mut wal = create(dir.path(), 1);
        append(&mut wal, 1..=1);
        wal.sync().unwrap();
        let note = wal.bytes() as usize;
        wal.note_edit(7);
        append(&mut wal, 2..=3);
        if synced {
            wal.sync().unwrap();
            wal.write_sync_frame().unwrap();
        }
        edit(&file(&dir, 1), |bytes| bytes[note..note + MANIFEST_FRAME_BYTES as usize].fill(0));
        let (seqs, report) = read(&file(&dir, 1), None).unwrap();
        assert_eq!((seqs, report.torn.len(), report.torn_records), (vec![1, 2, 3], 0, 0));
        assert_eq!(report.corruption.len(), usize::from(synced), "what is behind it is durable");
    }
}

#[test]
fn the_seq_of_a_damaged_last_batch_is_not_given_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=2);
    let start = wal.bytes() as usize;
    append(&mut wal, 3..=4);
    wal.end().unwrap();
    let end = wal.bytes() as usize - FRAME_HEADER_BYTES;
    edit(&file(&dir, 1), |bytes| bytes[start..end].fill(0));
    let (seqs, report) = read(&file(&dir, 1), None).unwrap();
    assert_eq!((seqs, report.last_seq), (vec![1, 2], 4));
    let damage = &report.corruption[0];
    assert_eq!((damage.first_seq, damage.last_seq), (3, 4), "END has the last seq");
}

#[test]
fn the_successor_decides_how_much_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=1);
    wal.sync().unwrap();
    let one = wal.as_predecessor();
    append(&mut wal, 2..=2);
    let (seqs, report) = read(&file(&dir, 1), Some(one)).unwrap();
    assert_eq!(seqs, [1], "what a rolled-back append left behind does not count");
    assert!(report.corruption.is_empty() && report.torn.is_empty());
    let longer =
        Predecessor { valid_bytes: wal.bytes() + 8, durable_bytes: wal.bytes() + 8, ..one };
    let (_, report) = read(&file(&dir, 1), Some(longer)).unwrap();
    assert_eq!(report.corruption.len(), 1, "a file that lost its end is damaged");
}

#[test]
fn frames_of_other_files_and_places_do_not_validate() {
    let dir = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (create(dir.path(), 1), create(dir.path(), 2));
    append(&mut one, 1..=2);
    append(&mut two, 1..=2);
    let mut frames = Vec::new();
    edit(&file(&dir, 1), |bytes| frames = bytes[HEADERS_BYTES as usize..].to_vec());
    edit(&file(&dir, 2), |bytes| bytes.truncate(HEADERS_BYTES as usize));
    edit(&file(&dir, 2), |bytes| bytes.extend_from_slice(&frames));
    assert_eq!(read(&file(&dir, 2), None).unwrap().0, [] as [u64; 0], "another file's frames");
    edit(&file(&dir, 1), |bytes| {
        drop(bytes.drain(HEADERS_BYTES as usize..HEADERS_BYTES as usize + 8))
    });
    assert_eq!(read(&file(&dir, 1), None).unwrap().0, [] as [u64; 0], "moved by 8 bytes");
    edit(&file(&dir, 1), |bytes| bytes[HEADERS_BYTES as usize..].fill(0));
    assert_eq!(read(&file(&dir, 1), None).unwrap().0, [] as [u64; 0], "zeros");
}

/// The bytes of a file with two frames: its header, and the frames.
fn two_frames(dir: &tempfile::TempDir) -> (Vec<u8>, Vec<u8>) {
    append(&mut create(dir.path(), 1), 1..=2);
    let mut frames = Vec::new();
    edit(&file(dir, 1), |bytes| frames = bytes.split_off(HEADERS_BYTES as usize));
    let mut head = Vec::new();
    edit(&file(dir, 1), |bytes| head = bytes.clone());
    (head, frames)
}

#[test]
fn a_frame_that_moved_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let (head, frames) = two_frames(&dir);
    edit(&file(&dir, 1), |bytes| *bytes = [&head[..], &[0; 8], &frames].concat());
    assert_eq!(read(&file(&dir, 1), None).unwrap().0, [] as [u64; 0]);
}

#[test]
fn a_frame_that_is_there_again_counts_once() {
    let dir = tempfile::tempdir().unwrap();
    let (head, frames) = two_frames(&dir);
    let first = &frames[..frames.len() / 2];
    edit(&file(&dir, 1), |bytes| *bytes = [&head[..], first, first].concat());
    assert_eq!(read(&file(&dir, 1), None).unwrap().0, [1]);
}

#[test]
fn wrong_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path(), 1));
    let fs = DiskFs;
    let open = |uuid, number| WalReader::open(&fs, &file(&dir, 1), (uuid, number), None);
    assert!(open(UUID, 1).unwrap().is_some());
    assert!(open([0; 16], 1).is_err(), "another store");
    assert!(open(UUID, 2).is_err(), "another number");
    edit(&file(&dir, 1), |bytes| bytes.truncate(100));
    assert!(open(UUID, 1).unwrap().is_none(), "an interrupted creation");
    let successor = Predecessor { file_number: 1, valid_bytes: 256, durable_bytes: 256 };
    assert!(WalReader::open(&fs, &file(&dir, 1), (UUID, 1), Some(successor)).is_err());
}

#[test]
fn a_newer_version_is_not_damage() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path(), 1));
    edit(&file(&dir, 1), |bytes| {
        bytes[8] = 2;
        let crc = crate::sys::checksum::crc32c(0, &bytes[..124]).to_le_bytes();
        bytes[124..128].copy_from_slice(&crc);
        bytes.copy_within(0..128, 128);
    });
    let result = WalReader::open(&DiskFs, &file(&dir, 1), (UUID, 1), None);
    assert!(matches!(result, Err(crate::Error::UnsupportedVersion { found: 2, .. })), "{result:?}");
}

#[test]
fn the_files_are_not_reused() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path(), 1));
    let again = WalWriter::create(
        &DiskFs as &dyn Vfs,
        dir.path(),
        file(&dir, 1),
        header(1, Predecessor::default()),
    );
    assert!(again.is_err(), "a file is created once");
}

#[test]
fn a_creation_cut_short_behind_its_first_header_has_no_more_bytes_than_the_file() {
    let dir = tempfile::tempdir().unwrap();
    drop(create(dir.path(), 1));
    let path = file(&dir, 1);
    edit(&path, |bytes| bytes.truncate(200));
    let (_, report) = read(&path, None).unwrap();
    assert_eq!(report.valid_bytes, 200);
    // What the next file then says of this one is no loss.
    let said = Predecessor { file_number: 1, valid_bytes: 200, durable_bytes: 200 };
    let (_, report) = read(&path, Some(said)).unwrap();
    assert!(report.corruption.is_empty() && report.torn.is_empty());
}

#[test]
fn damage_behind_the_last_seq_of_all_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    let last = WalHeader { last_seq: u64::MAX, ..header(1, Predecessor::default()) };
    let path = file(&dir, 1);
    drop(WalWriter::create(&DiskFs, dir.path(), path.clone(), last).unwrap());
    edit(&path, |bytes| bytes.extend([1; 64]));
    let (_, report) = read(&path, None).unwrap();
    assert_eq!((report.torn.len(), report.torn[0].first_seq), (1, u64::MAX));
}

fn proven(path: &Path) -> u64 {
    durable_edit(&DiskFs, path, UUID).unwrap()
}

#[test]
fn a_file_says_once_which_edit_is_durable_and_readers_pass_over_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    append(&mut wal, 1..=1);
    assert_eq!(proven(&file(&dir, 1)), 0);
    wal.note_edit(7);
    wal.note_edit(6);
    assert!(wal.owes_edit());
    let before = wal.bytes();
    append(&mut wal, 2..=3);
    assert!(!wal.owes_edit());
    let with_edit = wal.bytes() - before;
    append(&mut wal, 4..=5);
    assert_eq!(with_edit, wal.bytes() - before - with_edit + 48, "a frame of 48 bytes, once");
    assert_eq!(proven(&file(&dir, 1)), 7);
    wal.note_edit(9);
    wal.end().unwrap();
    assert_eq!(proven(&file(&dir, 1)), 9);
    let (seqs, report) = read(&file(&dir, 1), None).unwrap();
    assert_eq!(seqs, [1, 2, 3, 4, 5]);
    assert!(report.ended && report.corruption.is_empty() && report.torn.is_empty());
    assert_eq!(durable_edit(&DiskFs, &file(&dir, 1), [1; 16]).unwrap(), 0, "of another store");
}

#[test]
fn no_flipped_byte_of_a_file_makes_it_name_another_edit() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    for (edit, seq) in [(7, 1), (9, 2)] {
        wal.note_edit(edit);
        append(&mut wal, seq..=seq);
    }
    wal.write_sync_frame().unwrap();
    let path = file(&dir, 1);
    for at in 0..wal.bytes() as usize {
        edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
        assert!([7, 9].contains(&proven(&path)), "byte {at}: {}", proven(&path));
        edit(&path, |bytes| bytes[at] ^= 1 << (at % 8));
    }
    for cut in 0..wal.bytes() as usize {
        edit(&path, |bytes| bytes.truncate(wal.bytes() as usize - cut));
        assert!([0, 7, 9].contains(&proven(&path)), "cut by {cut}");
    }
}

#[test]
fn a_payload_longer_than_a_window_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    let mut wal = create(dir.path(), 1);
    wal.append(RecordKind::Batch, &[(1, &vec![0x55; 300_000])]).unwrap();
    wal.note_edit(3);
    wal.append(RecordKind::Batch, &[(2, &[0; 8])]).unwrap();
    assert_eq!(proven(&file(&dir, 1)), 3);
}
