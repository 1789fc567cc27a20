//! Reads one WAL file: its batches and deletes in order, and what became of the bytes that are none.
//!
//! At bytes that are no frame the reader looks ahead, once, to the end of the file: behind what is
//! corruption it reads on with the next frame that validates; a torn write, behind which nothing was known
//! to be durable, ends the file with all that follows it (see FORMAT.md, "Reading").

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::frame::{FRAME_HEADER_BYTES, FrameHeader, FrameKind, MANIFEST_FRAME_BYTES, RecordKind};
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
    /// The last seq that is missing, where a later frame tells; else the first. One less than the first if no
    /// batch and no delete is missing: the frame behind has the seq that was due.
    pub last_seq: u64,
    /// What was found at its start.
    pub cause: DecodeError,
}

impl Damage {
    /// Whether no batch and no delete can have been in it.
    #[must_use]
    pub fn misses_nothing(&self) -> bool {
        self.last_seq < self.first_seq
    }
}

/// What a file held besides its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileReport {
    /// Batches read.
    pub batches: u64,
    /// Deletes read.
    pub deletes: u64,
    /// The highest seq seen, also behind a torn write, or that of the header.
    pub last_seq: u64,
    /// Whether the file ends with END.
    pub ended: bool,
    /// Where the last valid frame in front of a torn write ends, in bytes.
    pub valid_bytes: u64,
    /// Where the last record ends that a later frame proves durable, in bytes.
    pub durable_bytes: u64,
    /// Acknowledged data that is damaged.
    pub corruption: Vec<Damage>,
    /// The write that a crash cut short, if there is one, with all that follows it; nothing acknowledged as
    /// durable was in there.
    pub torn: Vec<Damage>,
    /// Batches and deletes that follow it, whole, and were not read.
    pub torn_records: u64,
}

/// Reads a file from its start to its end.
#[derive(Debug, Clone)]
pub struct WalReader {
    file: Arc<dyn ReadFile>,
    path: PathBuf,
    header: WalHeader,
    /// Bytes of the file that count.
    limit: u64,
    file_bytes: u64,
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
    /// Stretches without frames, as a look ahead meets them.
    gaps: Vec<Gap>,
    mode: Mode,
}

/// How far damage has been looked at.
#[derive(Debug, Clone)]
enum Mode {
    /// Nothing but frames so far.
    Sound,
    /// This is the look ahead: it reads on behind everything.
    LookingAhead,
    /// What the look ahead found.
    Judged(Judgement),
}

/// A stretch without frames.
#[derive(Debug, Clone)]
struct Gap {
    damage: Damage,
    /// The highest `synced_seq` of the frames behind it.
    proven_seq: u64,
    /// Batches and deletes in front of it.
    records_before: u64,
}

/// What a file holds that is not read.
#[derive(Debug, Clone)]
struct Judgement {
    corruption: Vec<Damage>,
    torn: Option<Damage>,
    torn_records: u64,
    last_seq: u64,
    durable_bytes: u64,
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
        Ok(Some(Self {
            window: file.read(0, 0, ReadMode::Pread).map_err(io)?,
            file,
            path: path.to_path_buf(),
            limit,
            file_bytes: length,
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
            gaps: Vec::new(),
            mode: Mode::Sound,
        }))
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
                Err(_) if matches!(self.mode, Mode::Sound) => self.look_ahead()?,
                Err(cause) => self.skip_damage(cause)?,
            }
        }
        Ok(None)
    }

    /// Reads to the end of the file to tell what is corruption, and moves the end to where a write is torn.
    fn look_ahead(&mut self) -> Result<()> {
        let mut ahead = self.clone();
        ahead.mode = Mode::LookingAhead;
        while ahead.next_record()?.is_some() {}
        let judgement = ahead.judge();
        if let Some(torn) = &judgement.torn {
            self.limit = torn.offset;
        }
        self.mode = Mode::Judged(judgement);
        Ok(())
    }

    /// Books a valid frame; what it records, if it does.
    fn note_frame(&mut self, frame: &FrameHeader) -> Option<RecordKind> {
        for gap in &mut self.gaps {
            gap.proven_seq = gap.proven_seq.max(frame.synced_seq);
        }
        while let Some(&(_, end)) = self.unproven.front().filter(|(s, _)| *s <= frame.synced_seq) {
            self.durable_bytes = end;
            self.unproven.pop_front();
        }
        self.ended |= frame.kind == FrameKind::End;
        if matches!(frame.kind, FrameKind::Sync | FrameKind::End | FrameKind::Manifest) {
            // More than was read if the last record is damaged: its seq is not to be given again.
            self.last_seq = self.last_seq.max(frame.seq);
        }
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
        let mut next = None;
        while at < self.limit {
            if let Ok((frame, _)) = self.frame_at(at)? {
                next = Some(frame);
                break;
            }
            at += 8;
        }
        let end = at.min(self.limit);
        let last_seq = next.map_or(first_seq, |frame| match frame.kind {
            // Its seq is the next one, or the last one.
            FrameKind::Batch | FrameKind::Delete => frame.seq.saturating_sub(1),
            FrameKind::Sync | FrameKind::End | FrameKind::Manifest => frame.seq.max(self.last_seq),
            FrameKind::Skipped => first_seq,
        });
        self.note_gap(Damage { offset: start, bytes: end - start, first_seq, last_seq, cause });
        self.offset = end;
        Ok(())
    }

    fn note_gap(&mut self, damage: Damage) {
        let records_before = self.batches + self.deletes;
        self.gaps.push(Gap { damage, proven_seq: 0, records_before });
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

    /// Tells corruption from a torn write, at the end of the file.
    fn judge(mut self) -> Judgement {
        if let Some(said) = self.successor.filter(|s| s.valid_bytes > self.file_bytes) {
            // A file shorter than its successor says has lost its end.
            let missing = self.last_seq.saturating_add(1);
            self.note_gap(Damage {
                offset: self.file_bytes,
                bytes: said.valid_bytes - self.file_bytes,
                first_seq: missing,
                last_seq: missing,
                cause: DecodeError::Truncated("WAL file"),
            });
        }
        let was_durable = |gap: &Gap| match self.successor {
            Some(successor) => gap.damage.offset < successor.durable_bytes,
            None => gap.proven_seq >= gap.damage.first_seq,
        };
        // A MANIFEST frame is written with the record behind it: a crash may take it alone.
        self.gaps.retain(|gap| {
            let is_note = gap.damage.misses_nothing() && gap.damage.bytes == MANIFEST_FRAME_BYTES;
            !is_note || was_durable(gap)
        });
        let is_corrupt = |gap: &Gap| was_durable(gap) || gap.damage.misses_nothing();
        let torn_at = self.gaps.iter().position(|gap| !is_corrupt(gap));
        let mut behind = self.gaps.split_off(torn_at.unwrap_or(self.gaps.len()));
        let first = (!behind.is_empty()).then(|| behind.swap_remove(0));
        let end = self.successor.map_or(self.limit, |s| s.valid_bytes.max(self.limit));
        let records = self.batches + self.deletes;
        Judgement {
            corruption: self.gaps.into_iter().map(|gap| gap.damage).collect(),
            torn_records: first.as_ref().map_or(0, |gap| records - gap.records_before),
            torn: first.map(|gap| Damage { bytes: end - gap.damage.offset, ..gap.damage }),
            last_seq: self.last_seq,
            durable_bytes: self.durable_bytes,
        }
    }

    /// What the file held besides its records; call when [`Self::next_record`] has answered `None`.
    #[must_use]
    pub fn report(self) -> FileReport {
        let (batches, deletes) = (self.batches, self.deletes);
        let (ended, valid_bytes) = (self.ended, self.valid_bytes);
        let found = match self.mode {
            Mode::Judged(judgement) => judgement,
            Mode::Sound | Mode::LookingAhead => self.judge(),
        };
        FileReport {
            batches,
            deletes,
            last_seq: found.last_seq,
            ended,
            valid_bytes,
            durable_bytes: found.durable_bytes.min(valid_bytes),
            corruption: found.corruption,
            torn: found.torn.into_iter().collect(),
            torn_records: found.torn_records,
        }
    }
}
