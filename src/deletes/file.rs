//! The `.tomb` file: see FORMAT.md. Written once, by a flush, before the manifest lists what is in
//! it; read by `verify` and by whoever rebuilds a manifest.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sys::checksum::crc32c;
use crate::sys::{ReadMode, SyncPoint, Vfs};
use crate::types::{DecodeError, Fields, FileName, Tombstone};

const MAGIC: [u8; 8] = *b"SILTTOMB";
/// The format version that this build writes and the newest that it reads.
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;
const CRC_AT: usize = HEADER_BYTES - 4;

/// Writes `tombstones`, at least one, with rising seqs, to the `.tomb` file `file_number`: durable,
/// with its name, when this returns.
///
/// # Errors
/// I/O errors. What was written is removed.
pub fn write(
    vfs: &dyn Vfs,
    dir: &Path,
    (uuid, file_number): ([u8; 16], u64),
    tombstones: &[Arc<Tombstone>],
) -> Result<()> {
    let bytes = encode(uuid, file_number, tombstones);
    // Read again before anything is let go on the strength of it.
    let again = decode(&bytes, (uuid, file_number)).map_err(|(_, e)| e);
    assert!(
        again.is_ok_and(|again| again.iter().eq(tombstones.iter().map(|t| &**t))),
        "tombstones are read as they were written"
    );
    let name = FileName::Tombstones(file_number);
    let temporary = dir.join(name.temporary());
    let path = dir.join(name.to_string());
    write_file(vfs, dir, (&temporary, &path), &bytes).inspect_err(|_| {
        for path in [&temporary, &path] {
            // No manifest lists the file. Where it cannot be removed, the next opening does it.
            let _ = vfs.remove(path);
        }
    })
}

fn write_file(
    vfs: &dyn Vfs,
    dir: &Path,
    (temporary, path): (&Path, &Path),
    bytes: &[u8],
) -> Result<()> {
    let mut file = vfs.create_new(temporary).map_err(|e| Error::io("create", temporary, e))?;
    file.append(bytes)
        .and_then(|()| file.sync_data(SyncPoint::TombstonesData))
        .map_err(|e| Error::io("write", temporary, e))?;
    vfs.rename(temporary, path).map_err(|e| Error::io("rename to", path, e))?;
    vfs.sync_dir(dir, SyncPoint::TombstonesDirectory)
        .map_err(|e| Error::io("sync directory", dir, e))
}

/// Reads the `.tomb` file `file_number` of the store `uuid`.
///
/// # Errors
/// I/O errors; [`Error::Corrupt`], also for a file of another store or number;
/// [`Error::UnsupportedVersion`].
pub fn read(
    vfs: &dyn Vfs,
    dir: &Path,
    (uuid, file_number): ([u8; 16], u64),
) -> Result<Vec<Tombstone>> {
    let path = dir.join(FileName::Tombstones(file_number).to_string());
    let file = vfs.open_read(&path).map_err(|e| Error::io("open", &path, e))?;
    let len = file.len().map_err(|e| Error::io("read", &path, e))?;
    let bytes =
        file.read(0, len as usize, ReadMode::Pread).map_err(|e| Error::io("read", &path, e))?;
    decode(&bytes, (uuid, file_number))
        .map_err(|(at, e)| Error::decode(&path, "tombstones", at as u64, e))
}

/// The store that the `.tomb` file `file_number` belongs to; `None` if its header cannot be read.
///
/// # Errors
/// I/O errors.
pub fn owner(vfs: &dyn Vfs, dir: &Path, file_number: u64) -> Result<Option<[u8; 16]>> {
    let path = dir.join(FileName::Tombstones(file_number).to_string());
    let io = |e| Error::io("read", &path, e);
    let file = vfs.open_read(&path).map_err(io)?;
    let end = file.len().map_err(io)?;
    let head = file.read(0, end.min(HEADER_BYTES as u64) as usize, ReadMode::Pread).map_err(io)?;
    let head: &[u8] = &head;
    let uuid = head.get(16..32).and_then(|uuid| <[u8; 16]>::try_from(uuid).ok());
    Ok(uuid.filter(|uuid| decode_header(head, *uuid, file_number).is_ok()))
}

fn encode(uuid: [u8; 16], file_number: u64, tombstones: &[Arc<Tombstone>]) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    out[..8].copy_from_slice(&MAGIC);
    out[8..12].copy_from_slice(&VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&(tombstones.len() as u32).to_le_bytes());
    out[16..32].copy_from_slice(&uuid);
    out[32..40].copy_from_slice(&file_number.to_le_bytes());
    let seed = crc32c(0, &out[..CRC_AT]);
    out[CRC_AT..].copy_from_slice(&seed.to_le_bytes());
    for tombstone in tombstones {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        tombstone.encode(&mut out);
        let bytes = (out.len() - start - 8) as u32;
        out[start..start + 4].copy_from_slice(&bytes.to_le_bytes());
        let crc = entry_crc(seed, bytes, &out[start + 8..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out
}

fn entry_crc(seed: u32, bytes: u32, tombstone: &[u8]) -> u32 {
    crc32c(crc32c(seed, &bytes.to_le_bytes()), tombstone)
}

/// Decodes the bytes of the `.tomb` file `file_number` of the store `uuid`.
///
/// # Errors
/// What is wrong, and the offset of the part where it is.
pub fn decode(
    bytes: &[u8],
    (uuid, file_number): ([u8; 16], u64),
) -> Result<Vec<Tombstone>, (usize, DecodeError)> {
    let (count, seed) = decode_header(bytes, uuid, file_number).map_err(|e| (0, e))?;
    let mut tombstones: Vec<Tombstone> = Vec::new();
    let mut at = HEADER_BYTES;
    for _ in 0..count {
        let (tombstone, entry_bytes) = decode_entry(seed, &bytes[at..]).map_err(|e| (at, e))?;
        if tombstones.last().is_some_and(|last| last.seq >= tombstone.seq) {
            return Err((at, DecodeError::Invalid("seq of a tombstone")));
        }
        tombstones.push(tombstone);
        at += entry_bytes;
    }
    match at == bytes.len() {
        true => Ok(tombstones),
        false => Err((at, DecodeError::Invalid("length of the file"))),
    }
}

/// The number of entries, and what their checksums start from.
fn decode_header(
    bytes: &[u8],
    uuid: [u8; 16],
    file_number: u64,
) -> Result<(u32, u32), DecodeError> {
    let header = bytes.get(..HEADER_BYTES).ok_or(DecodeError::Truncated("header"))?;
    let mut fields = Fields::new(header);
    if fields.array("magic")? != MAGIC {
        return Err(DecodeError::Invalid("magic of the file"));
    }
    let seed = Fields::new(&header[CRC_AT..]).u32("header")?;
    if seed != crc32c(0, &header[..CRC_AT]) {
        return Err(DecodeError::Checksum("header"));
    }
    let found = fields.u32("version")?;
    if found > VERSION {
        return Err(DecodeError::Newer { found, supported: VERSION });
    }
    let count = fields.u32("number of tombstones")?;
    if found == 0 || count == 0 {
        return Err(DecodeError::Invalid("version or number of tombstones"));
    }
    if fields.array("uuid of the store")? != uuid {
        return Err(DecodeError::Invalid("uuid of the store"));
    }
    if fields.u64("file number")? != file_number {
        return Err(DecodeError::Invalid("file number"));
    }
    fields.zeros(4, "reserved bytes of the header")?;
    Ok((count, seed))
}

/// The tombstone that `bytes` start with, and the length of its entry.
fn decode_entry(seed: u32, bytes: &[u8]) -> Result<(Tombstone, usize), DecodeError> {
    let mut fields = Fields::new(bytes);
    let tombstone_bytes = fields.u32("entry")?;
    let crc = fields.u32("entry")?;
    let tombstone = fields.bytes(tombstone_bytes as usize, "entry")?;
    if crc != entry_crc(seed, tombstone_bytes, tombstone) {
        return Err(DecodeError::Checksum("entry"));
    }
    let padding = tombstone.len().next_multiple_of(8) - tombstone.len();
    fields.zeros(padding, "padding of an entry")?;
    Ok((Tombstone::decode(tombstone)?, 8 + tombstone.len() + padding))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sys::SimFs;
    use crate::types::{Matcher, TimeRange};

    const UUID: [u8; 16] = *b"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f";

    fn tombstones() -> Vec<Arc<Tombstone>> {
        let first = Tombstone {
            seq: 5,
            range: TimeRange::new(1_000, 2_000),
            matchers: vec![Matcher::equal("job", "node")],
            created_ms: 1_700_000_000_000,
        };
        let second = Tombstone {
            seq: 6,
            range: TimeRange::ALL,
            matchers: vec![Matcher::not_regex("a", "b|c").unwrap()],
            created_ms: -1,
        };
        vec![Arc::new(first), Arc::new(second)]
    }

    fn good() -> Vec<u8> {
        encode(UUID, 9, &tombstones())
    }

    #[test]
    fn a_file_says_whose_it_is_as_long_as_its_header_can_be_read() {
        let (fs, dir) = (SimFs::new(), Path::new("/"));
        let file = dir.join(FileName::Tombstones(9).to_string());
        let said = |bytes: &[u8]| {
            fs.write_file(&file, bytes).unwrap();
            owner(&fs, dir, 9).unwrap()
        };
        let good = good();
        assert_eq!(said(&good), Some(UUID));
        assert_eq!(said(&good[..HEADER_BYTES]), Some(UUID), "the entries do not matter");
        for byte in 0..HEADER_BYTES {
            let mut bad = good.clone();
            bad[byte] ^= 1;
            assert_eq!(said(&bad), None, "byte {byte}");
            assert_eq!(said(&good[..byte]), None, "cut at {byte}");
        }
    }

    fn is_read(bytes: &[u8]) -> bool {
        decode(bytes, (UUID, 9)).is_ok()
    }

    #[test]
    fn files_are_read_as_they_were_written() {
        let sim = SimFs::new();
        let dir = Path::new("/");
        write(&sim, dir, (UUID, 9), &tombstones()).unwrap();
        let found = read(&sim, dir, (UUID, 9)).unwrap();
        assert!(found.iter().eq(tombstones().iter().map(|t| &**t)));
        assert!(matches!(read(&sim, dir, ([0; 16], 9)), Err(Error::Corrupt { .. })));
        assert!(matches!(read(&sim, dir, (UUID, 8)), Err(Error::Io { .. })));
        assert!(matches!(write(&sim, dir, (UUID, 8), &tombstones()), Ok(())));
        let names: Vec<_> = sim.list(dir).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["000008.tomb", "000009.tomb"]);
    }

    #[test]
    fn every_bit_and_every_cut_is_noticed() {
        let good = good();
        assert!(is_read(&good));
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!is_read(&bad), "bit {bit}");
        }
        for cut in 0..good.len() {
            assert!(!is_read(&good[..cut]), "cut at {cut}");
        }
        assert!(!is_read(&[&good[..], &[0; 8]].concat()), "zeros behind it");
        assert!(decode(&good, ([1; 16], 9)).is_err(), "another store");
        assert!(decode(&good, (UUID, 10)).is_err(), "another file");
    }

    #[test]
    fn what_no_writer_produces_is_refused_though_the_checksums_fit() {
        let sealed = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = good();
            change(&mut bytes);
            let seed = crc32c(0, &bytes[..CRC_AT]);
            bytes[CRC_AT..HEADER_BYTES].copy_from_slice(&seed.to_le_bytes());
            let len = u32::from_le_bytes(bytes[48..52].try_into().unwrap());
            let crc = entry_crc(seed, len, &bytes[56..56 + len as usize]);
            bytes[52..56].copy_from_slice(&crc.to_le_bytes());
            bytes
        };
        let newer = decode(&sealed(&|bytes| bytes[8] = 2), (UUID, 9));
        assert_eq!(newer, Err((0, DecodeError::Newer { found: 2, supported: 1 })));
        let reserved = decode(&sealed(&|bytes| bytes[40] = 1), (UUID, 9));
        assert_eq!(reserved, Err((0, DecodeError::Invalid("reserved bytes of the header"))));
        let none = sealed(&|bytes| bytes[12] = 0);
        assert!(matches!(decode(&none, (UUID, 9)), Err((0, _))));
        let one = decode(&sealed(&|bytes| bytes[12] = 1), (UUID, 9));
        assert!(matches!(one, Err((at, DecodeError::Invalid("length of the file"))) if at > 48));
        let order = encode(UUID, 9, &tombstones().into_iter().rev().collect::<Vec<_>>());
        assert!(matches!(decode(&order, (UUID, 9)), Err((_, DecodeError::Invalid(_)))));
        let many = sealed(&|bytes| bytes[12..16].fill(0xFF));
        assert!(matches!(decode(&many, (UUID, 9)), Err((_, DecodeError::Checksum(_)))));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200), keep in 0usize..60) {
            let mut damaged = good();
            damaged.truncate(keep);
            damaged.extend(bytes);
            prop_assert!(!is_read(&damaged));
        }
    }

    #[test]
    fn the_example_of_the_format_is_what_is_written_and_read() {
        let text = include_str!("FORMAT.md");
        let hex = text.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
        let example: Vec<u8> =
            hex.split_ascii_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
        let bytes = encode(UUID, 9, &tombstones()[..1]);
        let row = |row: &[u8]| row.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
        let shown: Vec<String> = bytes.chunks(16).map(row).collect();
        assert_eq!(example, bytes, "FORMAT.md should show:\n{}", shown.join("\n"));
        assert_eq!(decode(&example, (UUID, 9)).unwrap(), [(*tombstones()[0]).clone()]);
    }
}
