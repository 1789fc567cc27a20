//! Damage, truncation and confusion of files, and what verifying says of them.

use super::*;

/// Every byte with one flipped bit: reading gives the same samples, or an error; never others.
#[test]
fn no_flipped_bit_changes_an_answer() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let path = file(&dir, 3);
    let (mut harmless, mut detected, mut healed) = (0u64, 0u64, 0u64);
    for at in 0..meta.file_bytes {
        let mask = 1 << (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61);
        sim.flip(&path, at, mask).unwrap();
        let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
        match read_all(&segment) {
            Ok(read) => {
                assert_eq!(read, model, "byte {at}");
                harmless += 1;
                healed += u64::from(segment.twin_reads() > 0);
            }
            Err(Error::Corrupt { path: named, .. }) => {
                assert_eq!(named, path);
                detected += 1;
            }
            Err(e) => panic!("byte {at}: {e}"),
        }
        sim.flip(&path, at, mask).unwrap();
    }
    assert!(detected > harmless && healed > 0, "{detected} {harmless} {healed}");
}

/// Damages one byte of the named parts, one after the other, and reads.
#[test]
fn damage_costs_what_is_in_the_damaged_part() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let path = file(&dir, 3);
    let whole = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let loaded = whole.loaded().unwrap();
    let time_blocks: Vec<_> = loaded.time_table.clone();
    let footer_at = meta.file_bytes - u64::from(meta.footer_bytes);
    let section = |tag| loaded.footer.section(tag).offset;
    let mut stored_twice: Vec<u64> = time_blocks.iter().map(|block| block.offset).collect();
    stored_twice.extend(time_blocks.iter().map(|block| block.twin_offset));
    stored_twice.extend([section(SectionTag::TimeTable), section(SectionTag::TimeTableTwin)]);
    stored_twice.extend([footer_at, meta.footer_twin_offset]);
    let mut healed = 0;
    for at in stored_twice {
        sim.flip(&path, at + 3, 0x10).unwrap();
        let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
        assert_eq!(read_all(&segment).unwrap(), model, "byte {at}");
        healed += u64::from(segment.twin_reads() > 0);
        sim.flip(&path, at + 3, 0x10).unwrap();
    }
    assert_eq!(healed, 2 + time_blocks.len() as u64, "each first choice, and no twin");
    // Both copies of the footer: nothing is left to read.
    sim.flip(&path, footer_at, 1).unwrap();
    sim.flip(&path, meta.footer_twin_offset, 1).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    match segment.select(&[]) {
        Err(Error::Corrupt { section: "footer", offset, .. }) => assert_eq!(offset, footer_at),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_damaged_value_block_costs_its_own_chunks() {
    let (sim, vfs, dir) = sim();
    let mut model = Model::new();
    for i in 0..200u64 {
        let chunk = (0..20).map(|k| (k, ((i * k as u64) as f64).to_bits())).collect();
        model.insert(labels(&[("id", &format!("{i:03}"))]), vec![chunk]);
    }
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let ordinals: Vec<u32> = (0..200).collect();
    let entries: Vec<ChunkEntry> =
        segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap().map(|e| e.unwrap()).collect();
    let damaged = entries[100].block;
    sim.flip(file(&dir, 3), damaged.offset + 5, 0x80).unwrap();
    let mut reader = ChunkReader::new(segment);
    let mut columns = ChunkSamples::default();
    let mut lost = 0;
    for entry in &entries {
        match reader.read(entry, &mut columns) {
            Ok(()) => assert_ne!(entry.block, damaged),
            Err(Error::Corrupt { section: "value block", offset, .. }) => {
                assert_eq!((entry.block, offset), (damaged, damaged.offset));
                lost += 1;
            }
            Err(e) => panic!("{e}"),
        }
    }
    assert_eq!(lost, 64);
}

#[test]
fn cut_vanished_foreign_and_swapped_files_are_recognised() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let bytes = sim.read_file(file(&dir, 3)).unwrap();
    for cut in 0..bytes.len() {
        sim.write_file(file(&dir, 4), &bytes[..cut]).unwrap();
        let renumbered = SegmentMeta { file_number: 4, ..meta };
        assert!(matches!(
            open(&vfs, &dir, &renumbered, ReadMode::Pread),
            Err(Error::Corrupt { section: "file", .. })
        ));
        // Even if the manifest were wrong in the same way.
        let short = SegmentMeta { file_bytes: cut as u64, ..renumbered };
        let segment = open(&vfs, &dir, &short, ReadMode::Pread).unwrap();
        assert!(matches!(read_all(&segment), Err(Error::Corrupt { .. })), "cut at {cut}");
        assert!(Segment::discover(vfs.as_ref(), &dir, 4).is_err(), "cut at {cut}");
    }
    let of_store = |ids: &StoreIds, meta: &SegmentMeta| {
        let cache = Arc::new(BlockCache::new(0));
        Segment::open(&vfs, &dir, ids, meta, ReadMode::Map, cache).unwrap()
    };
    let fault = |uuid: [u8; 16], meta: &SegmentMeta| match of_store(&uuid.into(), meta).select(&[])
    {
        Err(Error::Corrupt { section: "footer", source, .. }) => source,
        other => panic!("{other:?}"),
    };
    assert_eq!(fault([8; 16], &meta), DecodeError::Invalid("uuid of the store"));
    // A copy has the segments of the stores that it was copied from.
    let copy = StoreIds::new([8; 16], [UUID, [9; 16]].into());
    assert!(of_store(&copy, &meta).select(&[]).is_ok());
    of_store(&copy, &meta).verify(&mut |found| panic!("{found:?}")).unwrap();
    sim.write_file(file(&dir, 4), &bytes).unwrap();
    let copied = SegmentMeta { file_number: 4, ..meta };
    assert_eq!(fault(UUID, &copied), DecodeError::Invalid("file number"));
    let other = SegmentMeta { footer_crc: meta.footer_crc ^ 1, ..meta };
    assert_eq!(fault(UUID, &other), DecodeError::Checksum("footer in the manifest"));
    let missing = SegmentMeta { file_number: 5, ..meta };
    assert!(matches!(open(&vfs, &dir, &missing, ReadMode::Map), Err(Error::Io { .. })));
    let newer = SegmentMeta { features: 4, ..meta };
    assert!(matches!(
        open(&vfs, &dir, &newer, ReadMode::Map),
        Err(Error::UnsupportedVersion { .. })
    ));
}

#[test]
fn verifying_survives_a_table_that_leads_beyond_every_file() {
    let (sim, vfs, dir) = sim();
    let meta = write(&vfs, &dir, 5, &small()).unwrap();
    let footer = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap().loaded().unwrap().footer.clone();
    let mut bytes = sim.read_file(file(&dir, 5)).unwrap();
    let footer_at = bytes.len() - meta.footer_bytes as usize;
    let table = *footer.section(SectionTag::TimeTable);
    let table_at = table.offset as usize;
    bytes[table_at + 8..table_at + 16].fill(0xff);
    let crc = crate::sys::checksum::crc32c(0, &bytes[table_at..table_at + table.len as usize]);
    let mut footer = footer;
    let stated = footer.sections.iter_mut().find(|s| s.tag == SectionTag::TimeTable as u32);
    stated.unwrap().crc = crc;
    bytes.truncate(footer_at);
    bytes.extend(footer.encode());
    sim.write_file(file(&dir, 5), &bytes).unwrap();

    let meta = Segment::discover(&*vfs, &dir, 5).unwrap().meta;
    let mut findings = Vec::new();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    segment.verify(&mut |finding| findings.push(finding.error.to_string())).unwrap();
    assert!(findings.iter().any(|e| e.contains("timestamp block")), "{findings:?}");
}

#[test]
fn a_newer_footer_is_not_damage() {
    let (sim, vfs, dir) = sim();
    let meta = write(&vfs, &dir, 3, &small()).unwrap();
    let mut bytes = sim.read_file(file(&dir, 3)).unwrap();
    let footer_at = bytes.len() - meta.footer_bytes as usize;
    bytes[footer_at + 8] = 2;
    let end = bytes.len() - 12;
    let crc = crate::sys::checksum::crc32c(0, &bytes[footer_at..end]);
    bytes[end..end + 4].copy_from_slice(&crc.to_le_bytes());
    sim.write_file(file(&dir, 3), &bytes).unwrap();
    let meta = SegmentMeta { footer_crc: crc, ..meta };
    let segment = open(&vfs, &dir, &meta, ReadMode::Map).unwrap();
    match segment.select(&[]) {
        Err(Error::UnsupportedVersion { found: 2, supported: 1, .. }) => {}
        other => panic!("{other:?}"),
    }
}

/// A faulty disk, rather than faulty bytes.
#[test]
fn an_unreadable_timestamp_block_is_read_from_its_twin() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let block = segment.loaded().unwrap().time_table[0];
    let range = block.offset..block.offset + u64::from(block.len);
    sim.make_unreadable(file(&dir, 3), range, std::io::ErrorKind::Other);
    assert_eq!(read_all(&segment).unwrap(), model);
    assert_eq!(segment.twin_reads(), 1);
}

fn findings(segment: &Segment) -> (VerifyReport, Vec<Finding>) {
    let mut found = Vec::new();
    let report = segment.verify(&mut |finding| found.push(finding)).unwrap();
    assert_eq!(report.findings as usize, found.len());
    (report, found)
}

#[test]
fn verifying_covers_every_byte_and_finds_every_flip() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let (report, found) = findings(&segment);
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(report.bytes, meta.file_bytes, "every byte is accounted for");
    assert_eq!((report.samples, report.series), (meta.samples, u64::from(meta.series)));
    let path = file(&dir, 3);
    for at in 0..meta.file_bytes {
        let mask = 1 << (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 61);
        sim.flip(&path, at, mask).unwrap();
        let (_, found) = findings(&segment);
        assert!(!found.is_empty(), "byte {at}");
        // What has a twin loses nothing.
        assert!(found.iter().all(|finding| !finding.has_twin || finding.lost.is_empty()));
        sim.flip(&path, at, mask).unwrap();
    }
}

#[test]
fn verifying_names_what_is_lost() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let ordinals = segment.select(&[Matcher::equal("ends", "of time")]).unwrap();
    let entry = segment.chunks(&ordinals, 0..=0).unwrap().next().unwrap().unwrap();
    sim.flip(file(&dir, 3), entry.block.offset, 1).unwrap();
    let (_, found) = findings(&segment);
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert!(matches!(finding.error, Error::Corrupt { section: "value block", .. }));
    let lost = LostRange {
        ordinal: entry.ordinal(),
        labels: Some(labels(&[("ends", "of time")])),
        first: i64::MIN,
        last: i64::MAX,
        samples: u64::from(entry.rows()),
    };
    assert!(finding.lost.contains(&lost) && !finding.has_twin);
}

/// A file that is cut in the middle of a page reads as zeros to the end of the page, without any fault: a block
/// that was checked before, and of which more is read afterwards, must not lie there.
#[test]
fn a_block_that_was_checked_is_what_is_decoded_whatever_becomes_of_the_file() {
    let root = tempfile::tempdir().unwrap();
    let vfs: Arc<dyn Vfs> = Arc::new(crate::sys::DiskFs);
    let dir = root.path();
    let info = SegmentInfo { uuid: UUID, min_seq: 1, max_seq: 1, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(&vfs, dir, 3, info).unwrap();
    let noise = |row: u64| 1.0 + (row * 0x9E37_79B9 % 1009) as f64 / 1010.7;
    writer.begin_series(&labels(&[("id", "a")])).unwrap();
    for chunk in 0..4u64 {
        let rows = chunk * 100..(chunk + 1) * 100;
        let timestamps: Vec<i64> = rows.clone().map(|row| row as i64).collect();
        writer.chunk(&timestamps, &rows.map(noise).collect::<Vec<_>>()).unwrap();
    }
    let meta = writer.finish().unwrap();
    let segment = open(&vfs, dir, &meta, ReadMode::Map).unwrap();
    let chunks: Vec<_> =
        segment.chunks(&[0], i64::MIN..=i64::MAX).unwrap().map(Result::unwrap).collect();
    assert!(chunks.iter().all(|chunk| chunk.block == chunks[0].block), "they share a block");
    assert!(chunks[0].block.unpacked == 0 && meta.file_bytes < 4096 + u64::from(meta.footer_bytes));
    let mut reader = ChunkReader::new(Arc::clone(&segment));
    let mut columns = ChunkSamples::default();
    reader.read(&chunks[0], &mut columns).unwrap();
    #[expect(clippy::disallowed_methods, reason = "damages a file from outside")]
    let outside = std::fs::File::options().write(true).open(file(dir, 3)).unwrap();
    outside.set_len(100).unwrap();
    for (chunk, first) in chunks.iter().zip([0, 100, 200, 300]) {
        reader.read(chunk, &mut columns).unwrap();
        assert!(columns.values.iter().copied().eq((first..first + 100).map(noise)), "{first}");
    }
    // Who has to load it finds it cut.
    let again = ChunkReader::new(Arc::clone(&segment)).read(&chunks[0], &mut columns).unwrap_err();
    assert!(matches!(again, Error::Corrupt { section: "file", offset: 100, .. }), "{again}");
    assert!(again.to_string().contains("000003.seg is damaged: file at byte 100"), "{again}");
}

/// Bits that are wrong in memory alone, in every part: the second read is right, and is counted.
#[test]
fn what_is_wrong_in_memory_alone_is_read_again() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let (mut right_again, mut not_read) = (0u64, 0u64);
    for mode in [ReadMode::Map, ReadMode::Pread] {
        for at in 0..meta.file_bytes {
            sim.flip_in_memory(file(&dir, 3), at, 0x10).unwrap();
            let segment = open(&vfs, &dir, &meta, mode).unwrap();
            assert_eq!(read_all(&segment).unwrap(), model, "byte {at}");
            assert_eq!(segment.twin_reads(), 0, "byte {at}: no twin is needed");
            match segment.second_reads() {
                0 => not_read += 1,
                _ => right_again += 1,
            }
            // What was not read is right again, too, before the next byte.
            let reader = vfs.open_read(&file(&dir, 3)).unwrap();
            reader.reread(at, 1).unwrap();
        }
    }
    assert!(right_again > not_read, "{right_again} {not_read}");
}

/// A second read that fails says nothing: it may be right the next time, so it is no damage, which a merge would
/// carry on as lost.
#[test]
fn a_second_read_that_fails_is_no_damage() {
    let (sim, vfs, dir) = sim();
    let model = small();
    let meta = write(&vfs, &dir, 3, &model).unwrap();
    let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
    let ordinals = segment.select(&[]).unwrap();
    let before = sim.reads();
    // The first value block.
    sim.flip(file(&dir, 3), 64, 0x10).unwrap();
    let mut reader = ChunkReader::new(Arc::clone(&segment));
    let mut chunks = segment.chunks(&ordinals, i64::MIN..=i64::MAX).unwrap();
    let entry = chunks.next().unwrap().unwrap();
    let up_to_it = sim.reads() - before;
    assert!(reader.read(&entry, &mut ChunkSamples::default()).is_err());
    assert!(sim.reads() - before >= up_to_it + 2, "it was read twice");
    sim.fail_read(sim.reads() + 1, std::io::ErrorKind::Other);
    let second = reader.read(&entry, &mut ChunkSamples::default()).unwrap_err();
    assert!(matches!(second, Error::Io { .. }), "{second}");
    sim.heal();
    sim.flip(file(&dir, 3), 64, 0x10).unwrap();
}

/// What is lost already hides no other damage from verifying: every byte counts, padding too.
#[test]
fn every_byte_of_a_segment_with_losses_is_verified() {
    let (sim, vfs, dir) = sim();
    let info = SegmentInfo { uuid: UUID, min_seq: 1, max_seq: 1, ..SegmentInfo::default() };
    let mut writer = SegmentWriter::create(&vfs, &dir, 3, info).unwrap();
    writer.begin_series(&labels(&[("id", "a")])).unwrap();
    writer.chunk(&[1, 2, 5], &[1.0, 2.5, 9.0]).unwrap();
    let origin = LossOrigin { file_number: 1, offset: 64, is_accepted: false };
    writer.lost_chunk(LostTimes::Known(&[6, 9]), origin).unwrap();
    writer.lost_chunk(LostTimes::Within { first: 10, last: 90, rows: 4 }, origin).unwrap();
    let meta = writer.finish().unwrap();
    let verify = || {
        let segment = open(&vfs, &dir, &meta, ReadMode::Pread).unwrap();
        let (mut lost, mut damaged) = (0, 0);
        let mut count = |finding: Finding| match finding.error {
            Error::Lost(samples) => lost += samples.samples,
            _ => damaged += 1,
        };
        segment.verify(&mut count).unwrap();
        (lost, damaged)
    };
    assert_eq!(verify(), (6, 0));
    for at in 0..meta.file_bytes {
        sim.flip(file(&dir, 3), at, 0x10).unwrap();
        let (_, damaged) = verify();
        assert!(damaged > 0, "byte {at}");
        sim.flip(file(&dir, 3), at, 0x10).unwrap();
    }
}
