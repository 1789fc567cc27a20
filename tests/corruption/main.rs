//! Damage of every byte of a small store, and of whole files: noticed or harmless, never a panic, a
//! wrong value, or a loss in silence.
//!
//! `wider` does the same, more coarsely, to stores that hold more than writes and flushes.
//!
//! Each case damages a copy of one disk and reads it with a reader, with the owner, and with `verify`.
//! `SILTSTONE_DAMAGE_SEED` picks other bits; `SILTSTONE_DAMAGE_STRIDE=1` takes every length of a
//! truncation (default 7: every seventh, and those near the ends).

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![allow(clippy::print_stdout, reason = "the tests say how much they damaged")]

mod judge;
mod store;
mod wider;

use judge::{Case, Verdict};
use store::Store;

fn from_env(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// One bit of each byte, by seed.
fn mask(offset: u64) -> u8 {
    let seed = from_env("SILTSTONE_DAMAGE_SEED", 1);
    let mixed = (offset ^ seed.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    1 << (mixed >> 61)
}

/// Damages a copy of the store with `damage` and judges what comes out.
fn case(store: &Store, file: &str, what: String, damage: impl FnOnce(&mut Vec<u8>)) -> Verdict {
    let fs = store.fs.fork();
    let path = store.path(file);
    let mut bytes = fs.read_file(&path).unwrap();
    damage(&mut bytes);
    fs.write_file(&path, &bytes).unwrap();
    Case { store, fs, file: file.into(), what }.judge()
}

#[test]
fn every_flipped_byte_is_noticed_or_harmless() {
    let store = Store::new();
    for file in store.files() {
        let len = store.bytes(&file).len() as u64;
        for offset in 0..len {
            let what = format!("byte {offset} flipped");
            let verdict = case(&store, &file, what, |bytes| bytes[offset as usize] ^= mask(offset));
            verdict.nothing_silent();
            // Damage of the log's last frame looks like a write that a crash cut short, and its
            // header is there twice. All else is proven.
            let twice = store.kind(&file) == "wal" && offset < 256;
            let provable = !(store.is_last_frame(&file, offset) || twice);
            assert!(verdict.named || !provable, "{file}: nobody named it for byte {offset}");
        }
    }
}

#[test]
fn every_truncation_is_noticed_or_a_torn_write() {
    let store = Store::new();
    let stride = from_env("SILTSTONE_DAMAGE_STRIDE", 7) as usize;
    for file in store.files() {
        let len = store.bytes(&file).len();
        for cut in (0..len).filter(|cut| cut % stride == 0 || cut % 64 < 2 || len - cut < 40) {
            let verdict = case(&store, &file, format!("cut to {cut}"), |b| b.truncate(cut));
            if !store.is_torn_write(&file, cut) {
                verdict.nothing_silent();
            }
        }
    }
}

#[test]
fn zeroed_sectors_are_noticed_or_harmless() {
    let store = Store::new();
    for file in store.files() {
        let len = store.bytes(&file).len();
        for start in (0..len).step_by(512) {
            let end = (start + 512).min(len);
            let verdict =
                case(&store, &file, format!("{start}..{end} zeroed"), |b| b[start..end].fill(0));
            if !store.is_torn_write(&file, start) {
                verdict.nothing_silent();
            }
        }
    }
}

#[test]
fn a_missing_file_is_noticed() {
    let store = Store::new();
    for file in store.files() {
        let fs = store.fs.fork();
        siltstone::sys::Vfs::remove(&fs, &store.path(&file)).unwrap();
        let verdict = Case { store: &store, fs, file: file.clone(), what: "gone".into() }.judge();
        verdict.nothing_silent();
    }
}

#[test]
fn files_that_changed_places_are_noticed() {
    let (store, other) = (Store::new(), Store::new());
    let files = store.files();
    for file in &files {
        let foreign = other.bytes(&other.same_kind(file));
        let verdict =
            case(&store, file, "of another store".into(), |bytes| *bytes = foreign.clone());
        verdict.nothing_silent();
        assert!(verdict.noticed || foreign == store.bytes(file), "{file} of another store");
        for twin in files.iter().filter(|twin| store.kind(twin) == store.kind(file)) {
            let bytes = store.bytes(twin);
            let verdict = case(&store, file, format!("is {twin}"), |b| *b = bytes.clone());
            verdict.nothing_silent();
            assert!(verdict.noticed || twin == file, "{file} is a copy of {twin}");
        }
    }
}

#[test]
fn damage_of_a_timestamp_block_loses_nothing() {
    let store = Store::new();
    let mut damaged = 0;
    for (file, blocks) in store.timestamp_blocks() {
        for offset in blocks {
            let verdict =
                case(&store, &file, format!("byte {offset}"), |b| b[offset] ^= mask(offset as u64));
            assert!(verdict.complete, "{file}: byte {offset} of a timestamp block cost samples");
            assert!(verdict.noticed, "{file}: byte {offset}: verify did not say so");
            damaged += 1;
        }
    }
    assert!(damaged > 100, "there are timestamp blocks");
}

/// Merges neither bring back what a damaged block had replaced nor forget that it is damaged.
#[test]
fn what_is_lost_is_the_same_after_merges_and_reopening() {
    let store = Store::new();
    let stride = from_env("SILTSTONE_DAMAGE_STRIDE", 7) as usize;
    let mut lost = 0;
    for file in store.files().into_iter().filter(|file| store.kind(file) == "seg") {
        for offset in (0..store.bytes(&file).len()).step_by(stride) {
            let fs = store.fs.fork();
            fs.flip(store.path(&file), offset as u64, mask(offset as u64)).unwrap();
            let what = format!("byte {offset} flipped");
            let case = Case { store: &store, fs, file: file.clone(), what };
            lost += u64::from(case.merge_and_reopen());
        }
    }
    assert!(lost > 20, "{lost}");
}

#[test]
fn newer_versions_are_told_from_damage() {
    let store = Store::new();
    for file in store.files() {
        let newer = store.newer(&file);
        if newer.is_empty() {
            continue;
        }
        let verdict = case(&store, &file, "version 2".into(), |bytes| *bytes = newer);
        assert!(verdict.newer, "{file}: version 2 is not UnsupportedVersion");
    }
    // Of a segment that this build cannot read the manifest knows.
    let manifest = store.same_kind("MANIFEST-");
    let newer = store.with_segment_feature();
    let verdict = case(&store, &manifest, "a feature".into(), |bytes| *bytes = newer);
    assert!(verdict.newer, "a segment with an unknown feature is not UnsupportedVersion");
}
