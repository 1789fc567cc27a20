//! Manifest files. The first byte says whether checksums are put right before, so that mutations get
//! past them; the rest is the file. What loads must survive being opened: a snapshot of it loads to the
//! same version.

#![no_main]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use siltstone::manifest::{Manifest, load};
use siltstone::sys::checksum::crc32c;
use siltstone::sys::{SimFs, Vfs};

const SEAL: u8 = 1;
const HEADER_BYTES: usize = 56;
const FRAME_HEADER_BYTES: usize = 24;
const NUMBER: u64 = 3;

fuzz_target!(|data: &[u8]| {
    let Some((&flags, file)) = data.split_first() else { return };
    let mut file = file.to_vec();
    if flags & SEAL != 0 {
        seal(&mut file);
    }
    let disk = SimFs::new();
    let line = format!("siltstone 1 MANIFEST-{NUMBER:06}");
    let current = format!("{line} {:08x}\n", crc32c(0, line.as_bytes()));
    disk.write_file(PathBuf::from("/CURRENT"), current.as_bytes()).expect("the root is there");
    let path = PathBuf::from(format!("/MANIFEST-{NUMBER:06}"));
    disk.write_file(path, &file).expect("the root is there");
    let vfs: Arc<dyn Vfs> = Arc::new(disk);
    let Ok(loaded) = load(&*vfs, Path::new("/")) else { return };
    let (manifest, report) = Manifest::open(&vfs, Path::new("/")).expect("what loads opens");
    assert_eq!(report, loaded.report);
    assert_eq!(**manifest.version(), loaded.version);
    let again = load(&*vfs, Path::new("/")).expect("a snapshot that was just written");
    assert_eq!(again.version, loaded.version);
    assert_eq!((again.uuid, again.ticks_per_second), (loaded.uuid, loaded.ticks_per_second));
});

/// Gives the header and every frame their checksums.
fn seal(file: &mut [u8]) {
    if file.len() < HEADER_BYTES {
        return;
    }
    file[32..40].copy_from_slice(&NUMBER.to_le_bytes());
    let crc = crc32c(0, &file[..HEADER_BYTES - 4]);
    file[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
    let seed = crc32c(0, &file[16..40]);
    let mut at = HEADER_BYTES;
    while let Some(frame) = file.get_mut(at..).filter(|f| f.len() >= FRAME_HEADER_BYTES) {
        let (header, rest) = frame.split_at_mut(FRAME_HEADER_BYTES);
        let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let Some(payload) = rest.get(..len) else { return };
        header[16..20].copy_from_slice(&crc32c(seed, payload).to_le_bytes());
        let crc = crc32c(seed, &header[..FRAME_HEADER_BYTES - 4]);
        header[20..24].copy_from_slice(&crc.to_le_bytes());
        at += (FRAME_HEADER_BYTES + len).next_multiple_of(8);
    }
}
