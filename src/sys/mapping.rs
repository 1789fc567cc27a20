//! The one module with `unsafe`: a read-only memory map of a whole file.
//!
//! Called by `disk.rs` alone, for [`ReadMode::Map`](super::ReadMode::Map).
//!
//! # Contract
//!
//! - **Only published files are mapped.** The engine never writes to, truncates or re-uses a
//!   published file (it replaces and removes names, which leaves the inode of an open file alone), so
//!   nothing in this process changes the mapped bytes. A file that may still grow is read by pread.
//! - **The length is verified before mapping**: `fstat` must give the length that the file had when
//!   it was opened, which the caller has compared with the manifest's. Mapping beyond the end of a
//!   file would make every touch there a SIGBUS. An empty file is never mapped.
//! - **Bytes may change after their CRC was checked**, if someone outside damages the file or the
//!   disk fails. Rust calls a change under a shared slice undefined behaviour; no system offers a map
//!   that excludes it. The exposure is bounded by rule: decoders are safe code that checks every
//!   index against the slice that it reads, holds no reference into a map across a validation, and is
//!   therefore right or refused for any bytes, read twice or not.
//! - A file that shrinks while mapped, or whose device fails, is a SIGBUS at the touch. A process
//!   that cannot accept that installs a handler or uses [`ReadMode::Pread`](super::ReadMode::Pread).
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; the contract is above")]

use std::fs::File;
use std::io;
use std::ops::{Deref, Range};

#[cfg(unix)]
use memmap2::UncheckedAdvice;
use memmap2::{Mmap, MmapOptions};

use super::file_bounds::length_changed;

/// A map of a whole file, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping(Mmap);

impl Mapping {
    /// Maps `file`, whose length must be `len` bytes and not 0.
    pub(super) fn new(file: &File, len: u64) -> io::Result<Self> {
        let now = file.metadata()?.len();
        if now != len {
            return Err(length_changed(len, now));
        }
        let len = usize::try_from(len).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "the file cannot be mapped")
        })?;
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "an empty file has no map"));
        }
        // SAFETY: the map is read-only and its length is the file's, checked above. That the file
        // is not changed while it is mapped is the first rule of the contract; the third bounds
        // what happens if someone outside breaks it.
        let map = unsafe { MmapOptions::new().len(len).map(file) }?;
        Ok(Self(map))
    }

    /// Gives back the pages of memory that hold these bytes: the next touch fetches them from the file. Advice,
    /// whose failure changes nothing.
    ///
    /// # Panics
    /// If the range reaches beyond the map.
    #[cfg(unix)]
    pub(super) fn give_back(&self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.len(), "within the map");
        let start = range.start / PAGE_BYTES_MAX * PAGE_BYTES_MAX;
        // SAFETY: the map is shared, read-only and of a file, so that no page of it holds anything that the
        // file does not: dropping one loses nothing, and the next touch reads the file again.
        let advised = unsafe {
            self.0.unchecked_advise_range(UncheckedAdvice::DontNeed, start, range.end - start)
        };
        if let Err(error) = advised {
            tracing::debug!(%error, "pages of a map were not given back");
        }
    }

    #[cfg(not(unix))]
    pub(super) fn give_back(&self, _range: Range<usize>) {}
}

/// No system has larger pages that files are mapped by; the start of advice is a multiple of it.
const PAGE_BYTES_MAX: usize = 64 << 10;

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};

    use super::Mapping;

    #[test]
    fn maps_exactly_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mapping = Mapping::new(&file, 5000).unwrap();
        assert_eq!(mapping.len(), 5000);
        assert!(mapping.iter().all(|&b| b == 7));
    }

    #[test]
    fn pages_that_were_given_back_are_read_from_the_file_again() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mapping = Mapping::new(&file, bytes.len() as u64).unwrap();
        assert_eq!(&mapping[..], bytes);
        for range in [0..0, 0..1, 70_000..70_001, 130_000..200_000, 0..200_000, 200_000..200_000] {
            mapping.give_back(range);
            assert_eq!(&mapping[..], bytes);
        }
    }

    #[test]
    fn refuses_a_file_of_another_length_and_an_empty_one() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(Mapping::new(&file, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
        file.write_all(&[7; 5000]).unwrap();
        for expected in [4999, 5001, 0, u64::MAX] {
            let refused = Mapping::new(&file, expected).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidData, "{expected}");
        }
    }
}
