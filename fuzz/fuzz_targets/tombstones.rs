//! Tombstones as they lie in the log and in the manifest, and `.tomb` files. The first byte says whether
//! the checksums of a file are put right before it is read, so that mutations get past them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use siltstone::deletes::decode;
use siltstone::sys::checksum::crc32c;
use siltstone::{Labels, Tombstone};

const HEADER_BYTES: usize = 48;

fuzz_target!(|data: &[u8]| {
    tombstone(data);
    let Some((&[flags], file)) = data.split_first_chunk() else { return };
    let mut file = file.to_vec();
    if flags & 1 != 0 {
        seal(&mut file);
    }
    let uuid = file.get(16..32).and_then(|b| b.try_into().ok()).unwrap_or_default();
    let number = file.get(32..40).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    let Ok(found) = decode(&file, (uuid, number)) else { return };
    assert!(!found.is_empty() && found.is_sorted_by(|a, b| a.seq < b.seq));
    let bytes: usize = found.iter().map(|t| 8 + t.encoded_bytes().next_multiple_of(8)).sum();
    assert_eq!(file.len(), HEADER_BYTES + bytes);
});

/// What is accepted is encoded as it was, and can be asked.
fn tombstone(bytes: &[u8]) {
    let Ok(tombstone) = Tombstone::decode(bytes) else { return };
    let mut again = Vec::new();
    tombstone.encode(&mut again);
    assert_eq!(again, bytes);
    assert_eq!(tombstone.encoded_bytes(), bytes.len());
    let labels = Labels::from_pairs([("__name__", "up"), ("job", "node")]).expect("valid labels");
    let _ = tombstone.matches(&labels);
}

/// Gives the header and every entry the checksums of their bytes.
fn seal(file: &mut [u8]) {
    let Some((header, mut rest)) = file.split_at_mut_checked(HEADER_BYTES) else { return };
    let seed = crc32c(0, &header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..].copy_from_slice(&seed.to_le_bytes());
    while let Some((head, body)) = rest.split_first_chunk_mut::<8>() {
        let len = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let Some(tombstone) = body.get(..len) else { return };
        let crc = crc32c(crc32c(seed, &head[..4]), tombstone);
        head[4..].copy_from_slice(&crc.to_le_bytes());
        let end = len.next_multiple_of(8).min(body.len());
        rest = &mut body[end..];
    }
}
