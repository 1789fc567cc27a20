//! What a segment file says of itself, where no manifest tells.
//!
//! Called by whoever opens a store, for files that nothing lists, by attaches of a single file, and by the
//! repair of a manifest. Only footers are read: whether the rest of the file is sound, verifying tells.

use std::path::Path;

use super::footer::{self, Footer, SectionTag};
use super::open::Segment;
use crate::error::{Error, Result};
use crate::sys::{Bytes, ReadFile, ReadMode, Vfs};
use crate::types::{DecodeError, FileName, SegmentMeta, Timestamp};

/// Bytes that a search for the first footer reads at a time.
const WINDOW_BYTES: u64 = 1 << 20;

/// What a footer says, checked against its checksum and the name of its file alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The store that wrote the segment.
    pub uuid: [u8; 16],
    /// What a manifest would list.
    pub meta: SegmentMeta,
    /// File numbers of the segments that it was merged from; none for a flush and an attach.
    pub replaces: Vec<u64>,
    /// The window that it is confined to: its start, and its length in ticks, 0 without one.
    pub window: (Timestamp, u64),
}

impl Segment {
    /// What the last footer of a segment file says.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corrupt`] or [`Error::UnsupportedVersion`].
    pub fn discover(vfs: &dyn Vfs, dir: &Path, file_number: u64) -> Result<Discovered> {
        let path = dir.join(FileName::Segment(file_number).to_string());
        let file = vfs.open_read(&path).map_err(|e| Error::io("open", &path, e))?;
        let file_bytes = file.len().map_err(|e| Error::io("read", &path, e))?;
        let last = |n: u64| -> Result<(u64, Bytes)> {
            let at = file_bytes.checked_sub(n).ok_or(DecodeError::Truncated("footer"));
            let at = at.map_err(|e| Error::decode(&path, "footer", 0, e))?;
            let read = file.read(at, n as usize, ReadMode::Pread);
            Ok((at, read.map_err(|e| Error::io("read", &path, e))?))
        };
        let damaged = |at, e| Error::decode(&path, "footer", at, e);
        let (at, tail) = last(footer::TAIL_BYTES as u64)?;
        let (footer_bytes, _) = footer::decode_tail(&tail).map_err(|e| damaged(at, e))?;
        let (at, bytes) = last(u64::from(footer_bytes))?;
        let (footer, crc) = Footer::decode(&bytes, file_bytes).map_err(|e| damaged(at, e))?;
        if footer.file_number != file_number {
            return Err(damaged(at, DecodeError::Invalid("file number")));
        }
        Ok(discovered(&footer, crc, (footer_bytes, file_bytes)))
    }

    /// As [`discover`](Self::discover); where the last footer is damaged or not there, what the first one says,
    /// which is looked for in the whole file. The size that is answered is what the file should have.
    ///
    /// # Errors
    /// [`Error::Io`]; those of [`discover`](Self::discover) if no footer can be read.
    pub fn discover_by_either(vfs: &dyn Vfs, dir: &Path, file_number: u64) -> Result<Discovered> {
        let damaged = match Self::discover(vfs, dir, file_number) {
            Err(error @ Error::Corrupt { .. }) => error,
            found => return found,
        };
        let path = dir.join(FileName::Segment(file_number).to_string());
        let file = vfs.open_read(&path).map_err(|e| Error::io("open", &path, e))?;
        let first = first_footer(&*file, file_number).map_err(|e| Error::io("read", &path, e))?;
        first.ok_or(damaged)
    }
}

/// The first footer of the file, if one can be read: it starts at a multiple of 8.
fn first_footer(file: &dyn ReadFile, file_number: u64) -> std::io::Result<Option<Discovered>> {
    let file_bytes = file.len()?;
    let read = |at: u64, len: u64| {
        let len = len.min(file_bytes.saturating_sub(at));
        file.read(at, len as usize, ReadMode::Pread)
    };
    for start in (0..file_bytes).step_by(WINDOW_BYTES as usize) {
        let window = read(start, WINDOW_BYTES)?;
        let places = window.chunks(8).zip((start..).step_by(8));
        for at in places.filter(|(word, _)| **word == footer::MAGIC).map(|(_, at)| at) {
            let head = read(at, footer::FIXED_BYTES as u64)?;
            let Some(len) = footer::stated_bytes(&head) else { continue };
            let bytes = read(at, len)?;
            // The end of the file may be missing: what the footer says of it is taken as said.
            let Ok((footer, crc)) = Footer::decode(&bytes, u64::MAX) else { continue };
            if footer.file_number == file_number {
                let end = footer.sections.last().map_or(0, footer::Section::end);
                let should_have = end.next_multiple_of(8) + len;
                return Ok(Some(discovered(&footer, crc, (len as u32, should_have))));
            }
        }
    }
    Ok(None)
}

fn discovered(footer: &Footer, crc: u32, (footer_bytes, file_bytes): (u32, u64)) -> Discovered {
    let meta = SegmentMeta {
        file_number: footer.file_number,
        file_bytes,
        footer_crc: crc,
        footer_bytes,
        // The first footer follows the timestamp table.
        footer_twin_offset: footer.section(SectionTag::TimeTable).end().next_multiple_of(8),
        min_timestamp: footer.min_timestamp,
        max_timestamp: footer.max_timestamp,
        min_seq: footer.min_seq,
        max_seq: footer.max_seq,
        samples: footer.samples,
        series: footer.series,
        features: footer.features,
        level: footer.level,
        tombstone_seq: footer.tombstone_seq,
    };
    Discovered {
        uuid: footer.uuid,
        meta,
        replaces: footer.replaces.clone(),
        window: (footer.window_start, footer.window_ticks),
    }
}
