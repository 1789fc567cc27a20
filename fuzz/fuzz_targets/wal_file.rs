//! WAL files. The first byte says what is put right before reading, so that mutations get past the
//! checksums; the next eight are what a successor says of the file; the rest is the file.

#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use siltstone::sys::SimFs;
use siltstone::sys::checksum::crc32c;
use siltstone::wal::{
    BatchView, FRAME_HEADER_BYTES, Predecessor, RecordKind, WalHeader, WalReader,
};
use siltstone::{Labels, Tombstone};

const SEAL_HEADER: u8 = 1;
const SEAL_FRAMES: u8 = 2;
const HAS_SUCCESSOR: u8 = 4;
const HEADER_BYTES: usize = 128;

fuzz_target!(|data: &[u8]| {
    payload(data);
    let _ = Labels::from_encoded(data);
    let Some((&[flags, v0, v1, v2, v3, d0, d1, d2, d3], file)) = data.split_first_chunk() else {
        return;
    };
    let mut file = file.to_vec();
    if flags & SEAL_HEADER != 0 {
        seal_header(&mut file);
    }
    if flags & SEAL_FRAMES != 0 {
        seal_frames(&mut file);
    }
    let valid_bytes = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
    let durable_bytes = u64::from(u32::from_le_bytes([d0, d1, d2, d3])).min(valid_bytes);
    let successor = Predecessor { file_number: 1, valid_bytes, durable_bytes };
    read(&file, (flags & HAS_SUCCESSOR != 0).then_some(successor));
});

/// Gives header and twin the checksum of their bytes.
fn seal_header(file: &mut [u8]) {
    for header in file.chunks_exact_mut(HEADER_BYTES).take(2) {
        let crc = crc32c(0, &header[..HEADER_BYTES - 4]);
        header[HEADER_BYTES - 4..].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Gives every frame the checksums of its payload and of its header.
fn seal_frames(file: &mut [u8]) {
    let mut at = 2 * HEADER_BYTES;
    while at + FRAME_HEADER_BYTES <= file.len() {
        let (before, frame) = file.split_at_mut(at);
        let seed = crc32c(crc32c(0, &before[16..48]), &(at as u64).to_le_bytes());
        let (header, rest) = frame.split_at_mut(FRAME_HEADER_BYTES);
        at += 8;
        if &header[..4] != b"SWFr" {
            continue;
        }
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        if let Some(payload) = rest.get(..len) {
            header[12..16].copy_from_slice(&crc32c(0, payload).to_le_bytes());
            at += (FRAME_HEADER_BYTES + len).next_multiple_of(8) - 8;
        }
        let crc = crc32c(seed, &header[..36]);
        header[36..].copy_from_slice(&crc.to_le_bytes());
    }
}

fn read(file: &[u8], successor: Option<Predecessor>) {
    let identity = WalHeader::decode(file).map_or(([0; 16], 0), |h| (h.uuid, h.file_number));
    let (disk, path) = (SimFs::new(), Path::new("/000001.wal"));
    disk.write_file(path, file).expect("the root is there");
    let Ok(Some(mut reader)) = WalReader::open(&disk, path, identity, successor) else { return };
    let (mut seq, mut batches, mut deletes) = (reader.header().last_seq, 0, 0);
    let mut end = 256.min(file.len() as u64);
    loop {
        let record = match reader.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => break,
            // A frame of a newer format.
            Err(_) => return,
        };
        assert!(record.seq > seq && record.offset >= end);
        seq = record.seq;
        end = record.offset + (FRAME_HEADER_BYTES + record.payload.len()) as u64;
        assert!(end <= file.len() as u64);
        match record.kind {
            RecordKind::Batch => {
                batches += 1;
                payload(&record.payload);
            }
            RecordKind::Delete => {
                deletes += 1;
                tombstone(&record.payload);
            }
        }
    }
    let report = reader.report();
    assert_eq!((report.batches, report.deletes), (batches, deletes));
    assert!(report.last_seq >= seq && report.durable_bytes <= report.valid_bytes);
    assert!(report.torn.len() <= 1 && (report.torn_records == 0 || report.torn.len() == 1));
    // Nothing behind a torn write is read.
    assert!(report.torn.iter().all(|torn| torn.offset >= end && !torn.misses_nothing()));
    assert!(report.valid_bytes >= end && report.valid_bytes <= file.len() as u64);
    for damage in report.corruption.iter().chain(&report.torn) {
        assert!(damage.bytes > 0 && damage.first_seq <= damage.last_seq.saturating_add(1));
    }
}

fn tombstone(bytes: &[u8]) {
    let Ok(tombstone) = Tombstone::decode(bytes) else { return };
    let mut again = Vec::new();
    tombstone.encode(&mut again);
    assert_eq!(again, bytes);
}

fn payload(bytes: &[u8]) {
    let Ok(view) = BatchView::decode(bytes) else { return };
    assert_eq!(view.samples().count(), view.rows());
    assert_eq!(view.runs().map(|(_, rows)| rows as usize).sum::<usize>(), view.rows());
    if let Ok(definitions) = view.definitions() {
        let refs = definitions.iter().map(|definition| definition.series_ref);
        assert!(refs.eq((view.first_ref()..).take(definitions.len())));
    }
}
