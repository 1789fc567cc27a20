//! A read-only memory map of a whole file, out of which bytes are copied.
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
//! - **Nothing but a copy touches mapped bytes, and no reference to them is made.** Someone outside may
//!   change the file at any moment, also after a checksum was compared: a file that is cut in the middle
//!   of a page reads as zeros from there to the end of the page, without any fault. So a reader copies
//!   the bytes first, then checks and decodes the copy, which is his alone: what was checked is what is decoded.
//!   That costs no time that can be measured (the checksum then reads what the copy has brought
//!   into the processor's cache), and still saves pread's call.
//! - **A copy counts only if the map had no fault until it was done.** A file that shrinks while it is mapped,
//!   or whose device fails, is a SIGBUS at the touch. With the handler of `map_faults.rs` the map is zeros
//!   then, for all who read it, and [`Mapping::copy`] says so; without it the process ends.
#![allow(unsafe_code, reason = "mapping a file is unsafe by nature; the contract is above")]

use std::fs::File;
use std::io;
use std::ops::Range;
use std::ptr;

#[cfg(unix)]
use memmap2::UncheckedAdvice;
use memmap2::{MmapOptions, MmapRaw};

use super::file_bounds::length_changed;
use super::map_registry::{Entry, Registry};

/// A map of a whole file, unmapped on drop.
#[derive(Debug)]
pub(super) struct Mapping {
    /// Before the map: fields are dropped in order, and a map leaves the registry before its addresses are
    /// free for others.
    entry: Entry,
    map: MmapRaw,
}

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
        let map = MmapOptions::new().len(len).map_raw_read_only(file)?;
        let entry = Registry::of_process().enter(map.as_ptr().addr(), len);
        Ok(Self { entry, map })
    }

    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// Whether the map had no fault. One that had is not to be read any more.
    pub(super) fn is_sound(&self) -> bool {
        self.entry.is_sound()
    }

    /// Replaces `out` by the bytes of the file in `range`. False, and `out` is empty, if the map has had
    /// a fault, before or in between.
    ///
    /// # Panics
    /// If the range reaches beyond the map.
    #[must_use]
    pub(super) fn copy(&self, range: Range<usize>, out: &mut Vec<u8>) -> bool {
        assert!(range.start <= range.end && range.end <= self.len(), "within the map");
        out.clear();
        if !self.is_sound() {
            return false;
        }
        let len = range.len();
        out.reserve(len);
        // SAFETY: the range lies within the map, which lives as long as `self`, and `out` has room for as many
        // bytes as are copied. They cannot overlap: `out` has memory of its own. Bytes of any value are
        // bytes. That someone outside may change them meanwhile is why they are copied and not referred to: the
        // copy has some value for each of them, and who takes it checks it.
        unsafe {
            ptr::copy_nonoverlapping(self.map.as_ptr().add(range.start), out.as_mut_ptr(), len);
            out.set_len(len);
        }
        let is_sound = self.is_sound();
        if !is_sound {
            out.clear();
        }
        is_sound
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
        // file does not: dropping one loses nothing, and the next touch reads the file again. After a fault it
        // is of zeros, which it stays.
        let advised = unsafe {
            self.map.unchecked_advise_range(UncheckedAdvice::DontNeed, start, range.end - start)
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

#[cfg(test)]
mod tests {
    use std::io::{ErrorKind, Write};

    use super::Mapping;

    fn all_of(mapping: &Mapping) -> Vec<u8> {
        let mut bytes = vec![9];
        assert!(mapping.copy(0..mapping.len(), &mut bytes));
        bytes
    }

    #[test]
    fn maps_exactly_the_file() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[7; 5000]).unwrap();
        let mapping = Mapping::new(&file, 5000).unwrap();
        assert_eq!(mapping.len(), 5000);
        assert_eq!(all_of(&mapping), [7; 5000]);
    }

    #[test]
    fn pages_that_were_given_back_are_read_from_the_file_again() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..200_000u32).map(|i| (i % 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        let mapping = Mapping::new(&file, bytes.len() as u64).unwrap();
        assert_eq!(all_of(&mapping), bytes);
        for range in [0..0, 0..1, 70_000..70_001, 130_000..200_000, 0..200_000, 200_000..200_000] {
            mapping.give_back(range);
            assert_eq!(all_of(&mapping), bytes);
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
