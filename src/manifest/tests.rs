//! The manifest as its callers see it, without crashes.

use std::path::Path;
use std::sync::Arc;

use super::files::manifest_numbers;
use super::*;
use crate::sys::DiskFs;
use crate::types::SegmentMeta;

const UUID: [u8; 16] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";
const OPTIONS: StoreOptions = StoreOptions { ticks_per_second: 1_000 };

/// An edit that adds segment `number`, one tick and one seq long.
pub(super) fn add(number: u64) -> VersionEdit {
    let meta = SegmentMeta {
        file_number: number,
        file_bytes: 4096,
        footer_crc: 7,
        footer_bytes: 256,
        footer_twin_offset: 64,
        min_timestamp: number as i64,
        max_timestamp: number as i64,
        min_seq: number,
        max_seq: number,
        samples: 1,
        series: 1,
        features: 0,
        level: 0,
        tombstone_seq: 0,
    };
    VersionEdit {
        added: vec![meta],
        next_file_number: Some(number + 1),
        last_seq: Some(number),
        ..VersionEdit::default()
    }
}

fn disk() -> (Arc<dyn Vfs>, tempfile::TempDir) {
    (Arc::new(DiskFs), tempfile::tempdir().unwrap())
}

fn path_of(dir: &Path, name: FileName) -> PathBuf {
    dir.join(name.to_string())
}

fn replace(vfs: &dyn Vfs, path: &Path, bytes: &[u8]) {
    vfs.remove(path).unwrap();
    vfs.create_new(path).unwrap().append(bytes).unwrap();
}

fn bytes_of(vfs: &dyn Vfs, path: &Path) -> Vec<u8> {
    let len = vfs.file_len(path).unwrap() as usize;
    vfs.open_read(path).unwrap().read(0, len, crate::sys::ReadMode::Pread).unwrap().to_vec()
}

#[test]
fn edits_are_found_again_and_each_open_starts_a_new_file() {
    let (vfs, dir) = disk();
    let dir = dir.path();
    assert!(!Manifest::exists(vfs.as_ref(), dir).unwrap());
    let mut manifest = Manifest::create(&vfs, dir, UUID, OPTIONS).unwrap();
    for number in 1..=3 {
        manifest.append(&add(number)).unwrap();
    }
    let version = Arc::clone(manifest.version());
    drop(manifest);
    for opened in 2..=4 {
        let (manifest, report) = Manifest::open(&vfs, dir).unwrap();
        assert_eq!(manifest.version(), &version);
        assert_eq!((manifest.uuid(), manifest.ticks_per_second()), (UUID, 1_000));
        assert_eq!(report.edits, if opened == 2 { 4 } else { 1 });
        assert_eq!(report.torn_bytes, 0);
        assert_eq!(manifest_numbers(vfs.as_ref(), dir).unwrap(), [opened], "the old one is gone");
    }
    assert!(Manifest::exists(vfs.as_ref(), dir).unwrap());
}

#[test]
fn loading_writes_nothing() {
    let (vfs, dir) = disk();
    let mut manifest = Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    let version = manifest.append(&add(1)).unwrap();
    let before = vfs.list(dir.path()).unwrap();
    let loaded = load(vfs.as_ref(), dir.path()).unwrap();
    assert_eq!((&loaded.version, loaded.uuid), (&*version, UUID));
    assert_eq!(vfs.list(dir.path()).unwrap(), before);
    manifest.append(&add(2)).unwrap();
}

#[test]
fn a_refused_edit_changes_nothing() {
    let (vfs, dir) = disk();
    let mut manifest = Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    manifest.append(&add(1)).unwrap();
    assert!(matches!(manifest.append(&add(1)), Err(Error::InvalidArgument(_))));
    assert!(!manifest.is_poisoned());
    manifest.append(&add(2)).unwrap();
    assert_eq!(&load(vfs.as_ref(), dir.path()).unwrap().version, &**manifest.version());
}

#[test]
fn a_long_manifest_is_rolled() {
    let (vfs, dir) = disk();
    let mut manifest = Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    let first = manifest.header.number;
    // Each pair of edits adds 20,000 segments (96 bytes each) and takes them away again.
    let base = add(1).added[0];
    let mut edits = 0;
    for turn in 0..2 {
        let numbers = turn * 20_000 + 1..=turn * 20_000 + 20_000;
        let meta = |number: u64| SegmentMeta {
            file_number: number,
            min_timestamp: number as i64,
            max_timestamp: number as i64,
            ..base
        };
        let added: Vec<_> = numbers.clone().map(meta).collect();
        let next_file_number = Some(numbers.end() + 1);
        let edit = VersionEdit { added, next_file_number, last_seq: Some(1), ..add(1) };
        manifest.append(&edit).unwrap();
        let edit = VersionEdit { removed: numbers.collect(), ..VersionEdit::default() };
        manifest.append(&edit).unwrap();
        edits += 2;
    }
    assert_eq!(manifest.header.number, first, "below the threshold after {edits} edits");
    manifest.append(&add(50_000)).unwrap();
    assert_eq!(manifest.header.number, first + 1);
    let loaded = load(vfs.as_ref(), dir.path()).unwrap();
    assert_eq!((&loaded.version, loaded.report.edits), (&**manifest.version(), 2));
}

#[test]
fn a_directory_with_other_files_is_not_made_a_store() {
    for found in ["notes.txt", "000001.seg", "000001.wal", "CURRENT", "quarantine"] {
        let (vfs, dir) = disk();
        vfs.create_new(&dir.path().join(found)).unwrap();
        match Manifest::create(&vfs, dir.path(), UUID, OPTIONS) {
            Err(Error::NotAStore { found: said, .. }) => assert_eq!(said, found),
            other => panic!("{other:?}"),
        }
    }
    let (vfs, dir) = disk();
    for leftover in ["LOCK", "MANIFEST-000001", "CURRENT.tmp"] {
        vfs.create_new(&dir.path().join(leftover)).unwrap();
    }
    Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    assert_eq!(manifest_numbers(vfs.as_ref(), dir.path()).unwrap(), [2]);
}

#[test]
fn every_flipped_bit_and_every_cut_gives_a_shorter_history_or_an_error() {
    let (vfs, dir) = disk();
    let mut manifest = Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    let mut versions = vec![Arc::clone(manifest.version())];
    let mut ends = vec![manifest.file.len() as usize];
    for number in 1..=3 {
        versions.push(manifest.append(&add(number)).unwrap());
        ends.push(manifest.file.len() as usize);
    }
    let bytes = bytes_of(vfs.as_ref(), &manifest.path());
    let number = manifest.header.number;
    for bit in 0..bytes.len() * 8 {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        match load::decode(number, &bad) {
            // Only the last frame may be taken for a torn write, and it is reported.
            Ok(loaded) => {
                assert!(bit / 8 >= ends[2], "bit {bit}");
                assert_eq!(loaded.version, *versions[2]);
                assert_eq!(loaded.report.torn_at, ends[2] as u64);
                assert_eq!(loaded.report.torn_bytes, (ends[3] - ends[2]) as u64);
            }
            Err((_, at, _)) => {
                let start = ends.iter().rev().find(|&&end| end <= bit / 8);
                let expected = start.map_or(if bit / 8 < 56 { 0 } else { 56 }, |&end| end);
                assert_eq!(at, expected, "bit {bit} is blamed on its own frame");
                assert!(bit / 8 < ends[2]);
            }
        }
    }
    for cut in 0..bytes.len() {
        let whole = ends.iter().filter(|&&end| end <= cut).count();
        match load::decode(number, &bytes[..cut]) {
            Ok(loaded) => {
                assert_eq!(loaded.version, *versions[whole - 1], "cut at {cut}");
                assert_eq!(loaded.report.torn_bytes, (cut - ends[whole - 1]) as u64);
            }
            Err(_) => assert_eq!(whole, 0, "cut at {cut}"),
        }
    }
    let zeros = [bytes.clone(), vec![0; 4096]].concat();
    assert_eq!(load::decode(number, &zeros).unwrap().report.torn_bytes, 4096);
}

#[test]
fn damage_names_file_and_offset_and_newer_files_are_not_damaged() {
    let (vfs, dir) = disk();
    let mut manifest = Manifest::create(&vfs, dir.path(), UUID, OPTIONS).unwrap();
    let middle = manifest.file.len();
    manifest.append(&add(1)).unwrap();
    manifest.append(&add(2)).unwrap();
    let path = manifest.path();
    drop(manifest);
    let good = bytes_of(vfs.as_ref(), &path);
    let mut bad = good.clone();
    bad[middle as usize + 30] ^= 4;
    replace(vfs.as_ref(), &path, &bad);
    match Manifest::open(&vfs, dir.path()) {
        Err(Error::Corrupt { path: named, offset, section: "manifest frame", .. }) => {
            assert_eq!((named, offset), (path.clone(), middle));
        }
        other => panic!("{other:?}"),
    }
    // The manifest of another store, under the right name.
    let other = Header { uuid: [9; 16], number: 1, ticks_per_second: 1_000 }.encode();
    replace(vfs.as_ref(), &path, &[&other[..], &good[56..]].concat());
    assert!(matches!(Manifest::open(&vfs, dir.path()), Err(Error::Corrupt { .. })));
    // A manifest under a number that is not its own.
    let renamed = path_of(dir.path(), FileName::Manifest(2));
    replace(vfs.as_ref(), &path, &good);
    vfs.rename(&path, &renamed).unwrap();
    let current_path = path_of(dir.path(), FileName::Current);
    replace(vfs.as_ref(), &current_path, current::encode(2).as_bytes());
    assert!(matches!(Manifest::open(&vfs, dir.path()), Err(Error::Corrupt { .. })));
    // CURRENT: empty, damaged, newer, naming nothing.
    for line in ["", "siltstone 1 MANIFEST-000001 00000000\n"] {
        replace(vfs.as_ref(), &current_path, line.as_bytes());
        assert!(matches!(
            Manifest::open(&vfs, dir.path()),
            Err(Error::Corrupt { section: "CURRENT", .. })
        ));
    }
    replace(vfs.as_ref(), &current_path, current::encode(77).as_bytes());
    assert!(matches!(Manifest::open(&vfs, dir.path()), Err(Error::Io { .. })));
}

/// The origins of a copy are known again, also after a roll and from what is left of a manifest; a store that says
/// it is a copy of itself is refused.
#[test]
fn a_copy_knows_its_origins() {
    let (vfs, dir) = disk();
    let dir = dir.path();
    let from = |uuids: &[u8]| VersionEdit {
        origins_added: uuids.iter().map(|&uuid| [uuid; 16]).collect(),
        ..VersionEdit::default()
    };
    let of_two = Version::default().apply(&from(&[20, 10])).unwrap();
    let own = [20; 16];
    let refused = Manifest::create_copy(&vfs, dir, own, OPTIONS, of_two.clone());
    assert!(matches!(refused, Err(Error::InvalidArgument(_))), "{refused:?}");
    assert!(vfs.list(dir).unwrap().is_empty());
    let mut manifest = Manifest::create_copy(&vfs, dir, UUID, OPTIONS, of_two).unwrap();
    let ids = StoreIds::new(UUID, [[10; 16], [20; 16]].into());
    assert_eq!(manifest.ids(), ids);
    let itself = VersionEdit { origins_added: vec![UUID], ..VersionEdit::default() };
    assert!(matches!(manifest.append(&itself), Err(Error::InvalidArgument(_))));
    manifest.append(&add(1)).unwrap();
    manifest.roll().unwrap();
    manifest.append(&add(2)).unwrap();
    assert_eq!((manifest.ids(), load(vfs.as_ref(), dir).unwrap().ids()), (ids.clone(), ids));
    // Behind the snapshot something is damaged, then the snapshot itself.
    let path = manifest.path();
    let good = bytes_of(vfs.as_ref(), &path);
    let snapshot = manifest.snapshot_bytes as usize;
    for (at, origins) in [(snapshot, Some([[10; 16], [20; 16]].into())), (56, None)] {
        let mut bad = good.clone();
        bad[at..at + 24].fill(0x55);
        replace(vfs.as_ref(), &path, &bad);
        assert_eq!(salvage(vfs.as_ref(), dir).unwrap().facts.origins, origins, "{at}");
    }
    // What no build writes.
    let header = Header { uuid: UUID, number: 1, ticks_per_second: 1_000 };
    let mut bytes = header.encode().to_vec();
    encode_frame(&header, 1, &itself, &mut bytes).unwrap();
    let (_, at, error) = load::decode(1, &bytes).unwrap_err();
    let expected = DecodeError::Invalid("origin of the store, which is the store itself,");
    assert_eq!((at, error), (56, expected));
}

/// The hexadecimal example of FORMAT.md.
fn example() -> Vec<u8> {
    let text = include_str!("FORMAT.md");
    let hex = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    hex.split_ascii_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_example_of_the_format_is_what_is_written_and_read() {
    let header = Header { uuid: UUID, number: 2, ticks_per_second: 1_000 };
    let edit = VersionEdit {
        wal_covered: Some(WalCovered { file_number: 3, seq: 40 }),
        next_file_number: Some(4),
        last_seq: Some(41),
        ..VersionEdit::default()
    };
    let version = Version::default().apply(&edit).unwrap();
    let mut bytes = header.encode().to_vec();
    encode_frame(&header, 7, &version.snapshot(), &mut bytes).unwrap();
    let shown: Vec<String> = bytes
        .chunks(16)
        .map(|row| row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(example(), bytes, "FORMAT.md should show:\n{}", shown.join("\n"));
    let loaded = load::decode(2, &example()).unwrap();
    assert_eq!((loaded.version, loaded.edit_number), (version, 7));
    let line = include_str!("FORMAT.md").split("```text\n").nth(1).unwrap();
    let line = line.split("```").next().unwrap();
    assert_eq!(line, current::encode(3), "the line of CURRENT in FORMAT.md");
}

/// Counters at the end of their range were believed, and counting on overflowed.
#[test]
fn counters_leave_room_to_count_on() {
    let base = Version::default();
    let at = |n: u64| VersionEdit { next_file_number: Some(n), ..VersionEdit::default() };
    assert!(base.apply(&at(1 << 62)).is_ok());
    assert!(base.apply(&at((1 << 62) + 1)).is_err());
    let seq = VersionEdit { last_seq: Some(u64::MAX), ..VersionEdit::default() };
    assert!(base.apply(&seq).is_err());
}
