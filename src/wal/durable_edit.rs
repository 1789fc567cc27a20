//! Which edit of the manifest a log file proves durable: the MANIFEST frames, and nothing else.
//!
//! Called by whoever opens a store, before the log is replayed: what the manifest lacks must be known
//! before anything is changed on the strength of it. So the payloads of batches are passed over; replay
//! checks them. A frame whose header validates was written at that place of that file by this store, and
//! what it says of the manifest was true then, whatever is in front of it or behind it.

use std::path::Path;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, MANIFEST_PAYLOAD_BYTES};
use super::header::{HEADERS_BYTES, WalHeader};
use crate::error::{Error, Result};
use crate::sys::checksum::crc32c;
use crate::sys::{Bytes, ReadFile, ReadMode, Vfs};

/// Bytes read at a time: a longer payload is not read at all.
const WINDOW_BYTES: u64 = 64 << 10;

/// The highest edit number in the MANIFEST frames of the log file at `path`; 0 if it has none, or if
/// it is no log file of the store `uuid`.
///
/// # Errors
/// I/O errors.
pub fn durable_edit(vfs: &dyn Vfs, path: &Path, uuid: [u8; 16]) -> Result<u64> {
    let io = |e| Error::io("read", path, e);
    let file = vfs.open_read(path).map_err(io)?;
    let (mut window, header) = Window::of(&*file).map_err(io)?;
    let Some(header) = header.filter(|header| header.uuid == uuid) else { return Ok(0) };
    let end = window.end;
    let (mut found, mut at) = (0, HEADERS_BYTES);
    while at < end {
        let frame = window.at(at, FRAME_HEADER_BYTES).map_err(io)?;
        let frame = frame.and_then(|bytes| FrameHeader::decode(bytes, &header, at).ok());
        // Where there is no frame, the next one is looked for, as replay does.
        let Some(frame) = frame else {
            at += 8;
            continue;
        };
        if frame.kind == FrameKind::Manifest
            && frame.payload_bytes as usize == MANIFEST_PAYLOAD_BYTES
        {
            let payload =
                window.at(at + FRAME_HEADER_BYTES as u64, MANIFEST_PAYLOAD_BYTES).map_err(io)?;
            let payload = payload.filter(|payload| crc32c(0, payload) == frame.payload_crc);
            if let Some(payload) = payload.and_then(|payload| payload.try_into().ok()) {
                found = found.max(u64::from_le_bytes(payload));
            }
        }
        at += frame.frame_bytes();
    }
    Ok(found)
}

/// The store that the log file at `path` belongs to; `None` if its header cannot be read.
///
/// # Errors
/// I/O errors.
pub fn owner(vfs: &dyn Vfs, path: &Path) -> Result<Option<[u8; 16]>> {
    let io = |e| Error::io("read", path, e);
    let file = vfs.open_read(path).map_err(io)?;
    let (_, header) = Window::of(&*file).map_err(io)?;
    Ok(header.map(|header| header.uuid))
}

/// A part of a file in memory.
struct Window<'a> {
    file: &'a dyn ReadFile,
    end: u64,
    start: u64,
    bytes: Bytes,
}

impl<'a> Window<'a> {
    /// The beginning of a file, and its header, if that can be read.
    fn of(file: &'a dyn ReadFile) -> std::io::Result<(Self, Option<WalHeader>)> {
        let end = file.len()?;
        let bytes = file.read(0, end.min(HEADERS_BYTES) as usize, ReadMode::Pread)?;
        let header = WalHeader::decode(&bytes).ok();
        Ok((Self { file, end, start: 0, bytes }, header))
    }

    /// `len` bytes from `at` on; `None` beyond the end of the file.
    fn at(&mut self, at: u64, len: usize) -> std::io::Result<Option<&[u8]>> {
        if at + len as u64 > self.end {
            return Ok(None);
        }
        let held = self.start..self.start + self.bytes.len() as u64;
        if !held.contains(&at) || at + len as u64 > held.end {
            let bytes = WINDOW_BYTES.min(self.end - at) as usize;
            self.bytes = self.file.read(at, bytes, ReadMode::Pread)?;
            self.start = at;
        }
        let from = (at - self.start) as usize;
        Ok(Some(&self.bytes[from..from + len]))
    }
}
