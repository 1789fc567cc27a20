//! Segment files, through everything that reads one. The first byte says whether checksums are put
//! right before, so that mutations get past them; the rest is the file.

#![no_main]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use siltstone::segment::{BlockCache, ChunkReader, ChunkSamples, Discovered, Segment};
use siltstone::sys::checksum::crc32c;
use siltstone::sys::{ReadMode, SimFs, Vfs};
use siltstone::{Matcher, Result};

const SEAL: u8 = 1;
const FILE_NUMBER: u64 = 5;

fuzz_target!(|data: &[u8]| {
    let Some((&flags, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if flags & SEAL != 0 {
        // What cannot be found stays as it is.
        let _ = seal(&mut file);
    }
    let disk = SimFs::new();
    disk.write_file(PathBuf::from("/000005.seg"), &file).expect("the root is there");
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let _ = read(&vfs);
});

fn read(vfs: &Arc<dyn Vfs>) -> Result<()> {
    let dir = Path::new("/");
    let Discovered { uuid, meta, .. } = Segment::discover(&**vfs, dir, FILE_NUMBER)?;
    let cache = Arc::new(BlockCache::new(1 << 20));
    let segment = Segment::open(vfs, dir, &uuid.into(), &meta, ReadMode::Pread, cache)?;
    let mut findings = 0;
    let verified = segment.verify(&mut |_| findings += 1)?;
    assert_eq!(verified.findings, findings);
    let _ = segment.describe();
    let ordinals = segment.select(&[])?;
    assert_eq!(ordinals.len(), meta.series as usize);
    labels(&segment, &ordinals);
    let samples = samples(&segment, &ordinals)?;
    if findings == 0 {
        assert_eq!((samples, samples), (verified.samples, meta.samples));
    }
    Ok(())
}

fn labels(segment: &Segment, ordinals: &[u32]) {
    let _ = segment.labels(ordinals, |_, _| ControlFlow::Continue(()));
    let some: Vec<u32> = ordinals.iter().copied().step_by(3).collect();
    let _ = segment.label_names(Some(&some));
    for name in segment.label_names(None).unwrap_or_default() {
        let _ = segment.label_values(&name, Some(&some), 100);
        for value in segment.label_values(&name, None, 3).unwrap_or_default() {
            let _ = segment.select(&[Matcher::equal(&name, &value)]);
            let _ = segment.select(&[Matcher::not_equal(&name, &value)]);
        }
    }
}

/// Reads every chunk; their samples, if none is damaged.
fn samples(segment: &Arc<Segment>, ordinals: &[u32]) -> Result<u64> {
    let mut reader = ChunkReader::new(Arc::clone(segment));
    let mut columns = ChunkSamples::default();
    let (mut samples, mut outcome) = (0, Ok(()));
    for entry in segment.chunks(ordinals, i64::MIN..=i64::MAX)? {
        match entry.and_then(|entry| reader.read(&entry, &mut columns)) {
            Ok(()) => samples += columns.timestamps.len() as u64,
            Err(error) => outcome = Err(error),
        }
        assert_eq!(columns.timestamps.len(), columns.values.len());
        assert!(columns.timestamps.is_sorted_by(|a, b| a < b));
    }
    outcome.map(|()| samples)
}

/// Gives every part that the footer leads to its checksum, from the leaves up.
fn seal(file: &mut [u8]) -> Option<()> {
    put_crc(file, 0, 60, 60)?;
    let footer_bytes = word(file, file.len().checked_sub(16)?)? as usize;
    let footer = file.len().checked_sub(footer_bytes)?;
    let replaces = word(file, footer + 128)? as usize;
    let sections = footer.checked_add(136 + replaces.checked_mul(8)?)?;
    let count = word(file, footer + 132)? as usize;
    let sections: Vec<usize> = (0..count.min(16)).map(|i| sections + 32 * i).collect();
    for &section in &sections {
        let _ = seal_blocks(file, section, &sections);
    }
    for &section in &sections {
        let (at, len) = place(file, section)?;
        // Flag bit 1: the blocks have the checksums.
        if file.get(section + 6)? & 2 == 0 {
            put_crc(file, at, len, section + 24)?;
        }
    }
    let end = file.len();
    put_crc(file, footer, end - 12 - footer, end - 12)
}

/// Seals the blocks that a section lists.
fn seal_blocks(file: &mut [u8], section: usize, sections: &[usize]) -> Option<()> {
    let (tag, (at, len)) = (word(file, section)?, place(file, section)?);
    match tag {
        // Timestamp tables.
        2 | 7 => (at..at.checked_add(len)?).step_by(32).try_for_each(|entry| {
            let block = word(file, entry + 8)? as usize;
            let block_bytes = word(file, entry + 24)? as usize;
            put_crc(file, block, block_bytes, entry + 28)
        }),
        // Label top.
        5 => {
            let blocks = sections.iter().find(|&&section| word(file, section) == Some(4))?;
            let _ = seal_labels(file, place(file, *blocks)?.0, at);
            put_crc(file, at, len.checked_sub(4)?, at + len - 4)
        }
        // Chunk top.
        6 => (at..at.checked_add(len)?).step_by(48).try_for_each(|entry| {
            let block = word(file, entry)? as usize;
            let stored_bytes = word(file, entry + 8)? as usize;
            let _ = seal_groups(file, block, stored_bytes);
            put_crc(file, block, stored_bytes, entry + 16)
        }),
        _ => Some(()),
    }
}

/// Seals the label blocks, which lie back to back from `block` on, as the top at `top` says.
fn seal_labels(file: &mut [u8], mut block: usize, top: usize) -> Option<()> {
    let mut seal = |file: &mut [u8], len: usize| {
        let end = block.checked_add(len)?.checked_sub(4)?;
        put_crc(file, block, end.checked_sub(block)?, end)?;
        block = end + 4;
        Some(())
    };
    let mut at = top + 8;
    let mut postings = varint(file, &mut at)?;
    while postings > 0 {
        let payload = postings.min(32_768);
        seal(file, payload + 12)?;
        postings -= payload;
    }
    for with_key in [true, false] {
        for _ in 0..varint(file, &mut at)? {
            if with_key {
                let key_bytes = varint(file, &mut at)?;
                at = at.checked_add(key_bytes)?;
            }
            varint(file, &mut at)?;
            let len = varint(file, &mut at)?;
            seal(file, len)?;
        }
    }
    Some(())
}

/// Seals the value blocks of a chunk block that is not compressed.
fn seal_groups(file: &mut [u8], block: usize, block_bytes: usize) -> Option<()> {
    let end = block.checked_add(block_bytes)?;
    let groups = word(file, end.checked_sub(4)?)? as usize;
    let directory = end.checked_sub(4)?.checked_sub(groups.checked_mul(8)?)?;
    for entry in (directory..end - 4).step_by(8) {
        let mut at = block.checked_add(word(file, entry + 4)? as usize)?;
        let values = varint(file, &mut at)?;
        let values_bytes = varint(file, &mut at)?;
        put_crc(file, values, values_bytes, at)?;
    }
    Some(())
}

/// Offset and length of the section whose directory entry is at `section`.
fn place(file: &[u8], section: usize) -> Option<(usize, usize)> {
    Some((word(file, section + 8)? as usize, word(file, section + 16)? as usize))
}

/// The u32 at `at`, or the low half of a u64.
fn word(file: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*file.get(at..)?.first_chunk()?))
}

fn varint(file: &[u8], at: &mut usize) -> Option<usize> {
    let mut rest = file.get(*at..)?;
    let before = rest.len();
    let value = siltstone::codec::varint::get_u64(&mut rest).ok()?;
    *at += before - rest.len();
    usize::try_from(value).ok()
}

/// Writes the checksum of the `len` bytes at `at` to `place`.
fn put_crc(file: &mut [u8], at: usize, len: usize, place: usize) -> Option<()> {
    let crc = crc32c(0, file.get(at..at.checked_add(len)?)?);
    file.get_mut(place..place.checked_add(4)?)?.copy_from_slice(&crc.to_le_bytes());
    Some(())
}
