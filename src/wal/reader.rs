//! Reads one WAL file: its batches and deletes in order, and what became of the bytes that are none.
//!
//! Reading never stops at damage: it scans for the next frame that validates, and at the end says
//! which stretches were corruption and which a torn write (see FORMAT.md, "Reading").

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, RecordKind};
use super::header::{HEADERS_BYTES, Predecessor, WalHeader};
use crate::error::{Error, Result};
use crate::sys::checksum::crc32c;
use crate::sys::{Bytes, ReadFile, ReadMode, Vfs};
use crate::types::DecodeError;

/// Bytes read from the file at a time.
const WINDOW_BYTES: u64 = 4 << 20;

/// One batch or one delete of the log.
#[derive(Debug)]
pub struct Record {
    /// Which of them.
    pub kind: RecordKind,
    /// Its seq.
    pub seq: u64,
    /// Where its frame starts in the file, in bytes.
    pub offset: u64,
    /// The payload of the frame, its CRC checked.
    pub payload: Bytes,
}

/// A stretch of a file without valid frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it starts, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// The first seq that is missing because of it.
    pub first_seq: u64,
    /// The last seq that is missing, where a later batch tells; else the first.
    pub last_seq: u64,
    /// What was found at its start.
    pub cause: DecodeError,
}

/// What a file held besides its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Batches read.
    pub batches: u64,
    /// Deletes read.
    pub deletes: u64,
    /// The highest seq seen, or that of the header.
    pub last_seq: u64,
    /// Whether the file ends with END.
    pub ended: bool,
    /// Where the last valid frame ends, in bytes.
    pub valid_bytes: u64,
    /// Where the last record ends that a later frame proves durable, in bytes.
    pub durable_bytes: u64,
    /// Acknowledged data that is damaged.
    pub corruption: Vec<Damage>,
    /// Writes that a crash cut short; nothing acknowledged as durable was in them.
    pub torn: Vec<Damage>,
}

/// Reads a file from its start to its end.
#[derive(Debug, Clone)]
pub struct WalReader {
    file: Arc<dyn ReadFile>,
    path: PathBuf,
    header: WalHeader,
    /// Bytes of the file that count.
    limit: u64,
    successor: Option<Predecessor>,
    offset: u64,
    window: Bytes,
    window_offset: u64,
    batches: u64,
    deletes: u64,
    last_seq: u64,
    ended: bool,
    valid_bytes: u64,
    durable_bytes: u64,
    /// Seq and end of the records behind `durable_bytes`.
    unproven: VecDeque<(u64, u64)>,
    /// The highest synced_seq seen after each damage, filled in as frames are read.
    damages: Vec<(Damage, u64)>,
}

impl WalReader {
    /// Opens the file; `successor` is what the next file's header says of this one. `None` in place
    /// of a reader is a last file whose creation was interrupted: it holds nothing.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for an invalid header, or one of another store or file; I/O errors.
    pub fn open(
        vfs: &dyn Vfs,
        path: &Path,
        (uuid, file_number): ([u8; 16], u64),
        successor: Option<Predecessor>,
    ) -> Result<Option<Self>> {
        let io = |e| Error::io("read", path, e);
        let file = vfs.open_read(path).map_err(io)?;
        let length = file.len().map_err(io)?;
        let head = file.read(0, length.min(HEADERS_BYTES) as usize, ReadMode::Pread).map_err(io)?;
        let header = match WalHeader::decode(&head) {
            Ok(header) => header,
            Err(DecodeError::Newer { found, supported }) => {
                let source = DecodeError::Newer { found, supported };
                return Err(Error::decode(path, "WAL header", 0, source));
            }
            Err(_) if length <= HEADERS_BYTES && successor.is_none() => return Ok(None),
            Err(source) => return Err(Error::decode(path, "WAL header", 0, source)),
        };
        if header.uuid != uuid || header.file_number != file_number {
            let source = DecodeError::Invalid("store or file number of the WAL header");
            return Err(Error::decode(path, "WAL header", 0, source));
        }
        let limit = successor.map_or(length, |s| s.valid_bytes.min(length));
        let mut reader = Self {
            window: file.read(0, 0, ReadMode::Pread).map_err(io)?,
            file,
            path: path.to_path_buf(),
            limit,
            successor,
            offset: HEADERS_BYTES,
            window_offset: 0,
            batches: 0,
            deletes: 0,
            last_seq: header.last_seq,
            ended: false,
            // A creation cut short between the header and its twin is a shorter file.
            valid_bytes: HEADERS_BYTES.min(length),
            durable_bytes: HEADERS_BYTES.min(length),
            unproven: VecDeque::new(),
            header,
            damages: Vec::new(),
        };
        reader.note_missing_end(length);
        Ok(Some(reader))
    }

    /// A file shorter than its successor says has lost its end.
    fn note_missing_end(&mut self, length: u64) {
        let Some(successor) = self.successor.filter(|s| s.valid_bytes > length) else { return };
        let damage = Damage {
            offset: length,
            bytes: successor.valid_bytes - length,
            first_seq: self.last_seq,
            last_seq: self.last_seq,
            cause: DecodeError::Truncated("WAL file"),
        };
        self.damages.push((damage, 0));
    }

    /// The header of the file.
    #[must_use]
    pub fn header(&self) -> &WalHeader {
        &self.header
    }

    /// The next record, or `None` at the end.
    ///
    /// # Errors
    /// I/O errors, and a frame of a newer format that must be understood.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        while !self.ended && self.offset < self.limit {
            let offset = self.offset;
            match self.frame_at(offset)? {
                Ok((frame, payload)) => {
                    self.offset = offset + frame.frame_bytes();
                    self.valid_bytes = self.offset;
                    if let Some(kind) = self.note_frame(&frame) {
                        return Ok(Some(Record { kind, seq: frame.seq, offset, payload }));
                    }
                }
                Err(cause) => self.skip_damage(cause)?,
            }
        }
        Ok(None)
    }

    /// Books a valid frame; what it records, if it does.
    fn note_frame(&mut self, frame: &FrameHeader) -> Option<RecordKind> {
        for (_, proven) in &mut self.damages {
            *proven = (*proven).max(frame.synced_seq);
        }
        while let Some(&(_, end)) = self.unproven.front().filter(|(s, _)| *s <= frame.synced_seq) {
            self.durable_bytes = end;
            self.unproven.pop_front();
        }
        self.ended |= frame.kind == FrameKind::End;
        let record = frame.kind.record()?;
        match record {
            RecordKind::Batch => self.batches += 1,
            RecordKind::Delete => self.deletes += 1,
        }
        self.unproven.push_back((frame.seq, self.valid_bytes));
        self.last_seq = frame.seq;
        Some(record)
    }

    /// Moves to the next frame that validates, or to the end, and books what lies between.
    fn skip_damage(&mut self, cause: DecodeError) -> Result<()> {
        let start = self.offset;
        let first_seq = self.last_seq.saturating_add(1);
        let mut at = start + 8;
        let mut next_seq = None;
        while at < self.limit {
            if let Ok((frame, _)) = self.frame_at(at)? {
                next_seq = Some(frame.seq);
                break;
            }
            at += 8;
        }
        let end = at.min(self.limit);
        let last_seq = next_seq.map_or(first_seq, |seq| seq.saturating_sub(1).max(first_seq));
        let damage = Damage { offset: start, bytes: end - start, first_seq, last_seq, cause };
        self.damages.push((damage, 0));
        self.offset = end;
        Ok(())
    }

    /// The frame at `offset`, header and payload checked.
    fn frame_at(&mut self, offset: u64) -> Result<Result<(FrameHeader, Bytes), DecodeError>> {
        let left = self.limit - offset;
        let Some(head) = self.bytes(offset, FRAME_HEADER_BYTES as u64)? else {
            return Ok(Err(DecodeError::Truncated("frame header")));
        };
        let frame = match FrameHeader::decode(&head, &self.header, offset) {
            Ok(frame) => frame,
            Err(newer @ DecodeError::Newer { .. }) => {
                return Err(Error::decode(&self.path, "frame header", offset, newer));
            }
            Err(error) => return Ok(Err(error)),
        };
        let payload_offset = offset + FRAME_HEADER_BYTES as u64;
        let body_bytes = frame.frame_bytes() - FRAME_HEADER_BYTES as u64;
        if frame.frame_bytes() > left {
            return Ok(Err(DecodeError::Truncated("frame payload")));
        }
        let Some(body) = self.bytes(payload_offset, body_bytes)? else {
            return Ok(Err(DecodeError::Truncated("frame payload")));
        };
        let (payload, padding) = body.split_at(frame.payload_bytes as usize);
        if crc32c(0, payload) != frame.payload_crc {
            return Ok(Err(DecodeError::Checksum("frame payload")));
        }
        let rises = frame.kind.record().is_none() || frame.seq > self.last_seq;
        if padding.iter().any(|&b| b != 0) || !rises {
            return Ok(Err(DecodeError::Invalid("padding or seq of the frame")));
        }
        let payload = body.slice(0..frame.payload_bytes as usize);
        Ok(Ok((frame, payload)))
    }

    /// `len` bytes at `offset`, through the window; `None` beyond the limit.
    fn bytes(&mut self, offset: u64, len: u64) -> Result<Option<Bytes>> {
        if offset + len > self.limit {
            return Ok(None);
        }
        let window_end = self.window_offset + self.window.len() as u64;
        if offset < self.window_offset || offset + len > window_end {
            let wanted = len.max(WINDOW_BYTES).min(self.limit - offset);
            self.window = self
                .file
                .read(offset, wanted as usize, ReadMode::Pread)
                .map_err(|e| Error::io("read", &self.path, e))?;
            self.window_offset = offset;
        }
        let start = (offset - self.window_offset) as usize;
        Ok(Some(self.window.slice(start..start + len as usize)))
    }

    /// Whether everything damaged so far is a torn write, which the rest of the file decides.
    ///
    /// # Errors
    /// As [`Self::next_record`].
    pub fn damage_is_torn(&self) -> Result<bool> {
        let mut ahead = self.clone();
        while ahead.next_record()?.is_some() {}
        Ok(ahead.report().corruption.is_empty())
    }

    /// Tells corruption from torn writes; call when [`Self::next_record`] has answered `None`.
    #[must_use]
    pub fn report(self) -> FileReport {
        let (mut corruption, mut torn) = (Vec::new(), Vec::new());
        for (damage, proven_seq) in self.damages {
            let durable = match self.successor {
                Some(successor) => damage.offset < successor.durable_bytes,
                None => proven_seq >= damage.first_seq,
            };
            if durable { corruption.push(damage) } else { torn.push(damage) }
        }
        FileReport {
            batches: self.batches,
            deletes: self.deletes,
            last_seq: self.last_seq,
            ended: self.ended,
            valid_bytes: self.valid_bytes,
            durable_bytes: self.durable_bytes,
            corruption,
            torn,
        }
    }
}
