//! Appends frames to one WAL file. Owned by `db` behind its commit lock; one writer, one file.
//!
//! Invariants: nothing is appended behind a frame that failed to be written whole (the file is
//! *sealed* and its successor's header says how much of it counts); after a failed sync the file is
//! *poisoned*: it is never synced or appended to again, because the kernel may have dropped the
//! pages while a second sync would answer "ok".
//!
//! The file also says which edit of the manifest is durable: whoever makes edits notes that here
//! ([`WalWriter::note_edit`]), and the next write begins with a MANIFEST frame.

use std::path::{Path, PathBuf};

use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, FrameKind, PAYLOAD_BYTES_MAX, RecordKind, frame_bytes,
};
use super::header::{HEADERS_BYTES, Predecessor, WalHeader};
use crate::error::{Error, Result};
use crate::sys::checksum::crc32c;
use crate::sys::{SyncPoint, Vfs, WriteFile};

/// Bytes by which the file is preallocated ahead of its end.
const PREALLOCATE_BYTES: u64 = 4 << 20;
const PADDING: [u8; 8] = [0; 8];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// An append failed: no frame may follow.
    Sealed,
    /// A sync failed: what is durable is unknown.
    Poisoned,
}

/// The file that batches are appended to.
#[derive(Debug)]
pub struct WalWriter {
    file: Box<dyn WriteFile>,
    path: PathBuf,
    header: WalHeader,
    state: State,
    /// End of the last whole frame.
    valid_bytes: u64,
    durable_bytes: u64,
    preallocated_bytes: u64,
    last_seq: u64,
    durable_seq: u64,
    /// The last edit of the manifest that is known to be durable, 0 for none.
    edit: u64,
    /// The one that the last MANIFEST frame of this file names.
    edit_written: u64,
}

impl WalWriter {
    /// Creates the file at `path` in `dir`: durable, with its directory entry, when this returns.
    ///
    /// # Errors
    /// An I/O error. The file is removed; if that fails or a crash undoes it, it is an interrupted
    /// creation, which reading tolerates.
    pub fn create(vfs: &dyn Vfs, dir: &Path, path: PathBuf, header: WalHeader) -> Result<Self> {
        let file = vfs.create_new(&path).map_err(|e| Error::io("create", &path, e))?;
        Self::start(vfs, dir, file, &path, header).inspect_err(|_| drop(vfs.remove(&path)))
    }

    fn start(
        vfs: &dyn Vfs,
        dir: &Path,
        mut file: Box<dyn WriteFile>,
        path: &Path,
        header: WalHeader,
    ) -> Result<Self> {
        file.append(&header.encode()).map_err(|e| Error::io("write", path, e))?;
        file.sync_data(SyncPoint::WalHeader).map_err(|e| Error::io("sync", path, e))?;
        vfs.sync_dir(dir, SyncPoint::WalDirectory).map_err(|e| Error::io("sync", dir, e))?;
        Ok(Self {
            file,
            path: path.to_path_buf(),
            state: State::Open,
            valid_bytes: HEADERS_BYTES,
            durable_bytes: HEADERS_BYTES,
            preallocated_bytes: HEADERS_BYTES,
            last_seq: header.last_seq,
            durable_seq: header.last_seq,
            edit: 0,
            edit_written: 0,
            header,
        })
    }

    /// Writes frames of one kind with one call to the system; `records` are (seq, payload) with rising
    /// seqs. When this returns the frames survive the death of the process, and a sync of their
    /// durability is the caller's next step.
    ///
    /// # Errors
    /// None of the frames counts, and the file is sealed.
    ///
    /// # Panics
    /// When seqs do not rise or a payload is too long (programmer's errors).
    pub fn append(&mut self, kind: RecordKind, records: &[(u64, &[u8])]) -> Result<()> {
        let kind = match kind {
            RecordKind::Batch => FrameKind::Batch,
            RecordKind::Delete => FrameKind::Delete,
        };
        let proof = self.manifest_frame();
        let mut headers = Vec::with_capacity(records.len());
        let mut offset = self.valid_bytes + proof.len() as u64;
        let mut last_seq = self.last_seq;
        for &(seq, payload) in records {
            assert!(seq > last_seq, "seqs rise");
            assert!(payload.len() <= PAYLOAD_BYTES_MAX, "callers bound the payload");
            last_seq = seq;
            headers.push(self.frame_header(kind, seq, payload).encode(&self.header, offset));
            offset += frame_bytes(payload.len());
        }
        let mut parts: Vec<&[u8]> = Vec::with_capacity(1 + 3 * records.len());
        parts.push(&proof);
        for (header, (_, payload)) in headers.iter().zip(records) {
            let padding = frame_bytes(payload.len()) as usize - FRAME_HEADER_BYTES - payload.len();
            parts.extend([&header[..], payload, &PADDING[..padding]]);
        }
        self.write(&parts, offset)?;
        self.edit_written = self.edit;
        self.last_seq = last_seq;
        Ok(())
    }

    /// Makes everything appended durable; returns the highest durable seq.
    ///
    /// # Errors
    /// The file is poisoned: which frames above [`Self::durable_seq`] survive a power cut is
    /// unknown for ever.
    pub fn sync(&mut self) -> Result<u64> {
        self.sync_as(SyncPoint::WalFrames)
    }

    /// Notes that edit `number` of the manifest is durable: the next write to the file says so in a
    /// MANIFEST frame before anything else. It costs no sync of its own.
    pub fn note_edit(&mut self, number: u64) {
        self.edit = self.edit.max(number);
    }

    /// Whether the file does not say yet which edit is durable.
    #[must_use]
    pub fn owes_edit(&self) -> bool {
        self.edit > self.edit_written
    }

    /// The frame that the file owes; empty if it owes none.
    fn manifest_frame(&self) -> Vec<u8> {
        if !self.owes_edit() {
            return Vec::new();
        }
        let payload = self.edit.to_le_bytes();
        let header = self.frame_header(FrameKind::Manifest, self.last_seq, &payload);
        [&header.encode(&self.header, self.valid_bytes)[..], &payload].concat()
    }

    /// Writes and syncs a SYNC frame, so that damage of the frames before it can be told from a
    /// torn write. Call when the log has been idle for a second.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::sync`].
    pub fn write_sync_frame(&mut self) -> Result<()> {
        self.write_empty(FrameKind::Sync)?;
        self.sync().map(|_| ())
    }

    /// Ends the file: END frame and sync. No frame may follow. What no sync has covered is synced
    /// before, so that END proves all of it durable.
    ///
    /// # Errors
    /// When the frames before END could not be made durable. A failure to write END itself is no
    /// error: the header of the next file says as well how much of this one counts.
    pub fn end(&mut self) -> Result<()> {
        if self.durable_seq < self.last_seq {
            self.sync()?;
        }
        let ended = self.write_empty(FrameKind::End);
        self.sync_as(SyncPoint::WalEnd)?;
        if ended.is_ok() {
            self.state = State::Sealed;
        }
        Ok(())
    }

    fn write_empty(&mut self, kind: FrameKind) -> Result<()> {
        let proof = self.manifest_frame();
        let offset = self.valid_bytes + proof.len() as u64;
        let frame = self.frame_header(kind, self.last_seq, &[]).encode(&self.header, offset);
        self.write(&[&proof, &frame], offset + frame_bytes(0))?;
        self.edit_written = self.edit;
        Ok(())
    }

    fn write(&mut self, parts: &[&[u8]], end: u64) -> Result<()> {
        if self.state != State::Open {
            let fault = "it was ended, or a write or sync of it failed".into();
            return Err(Error::FileClosed { path: self.path.clone(), fault });
        }
        let result = self.preallocate(end).and_then(|()| self.file.append_vectored(parts));
        if let Err(e) = result {
            // Truncation is for tidiness: the successor's header decides what counts.
            let _ = self.file.truncate(self.valid_bytes);
            self.state = State::Sealed;
            return Err(Error::io("append to", &self.path, e));
        }
        self.valid_bytes = end;
        Ok(())
    }

    /// Reserves room in steps, so that a full disk is noticed before a frame is half written.
    fn preallocate(&mut self, end: u64) -> std::io::Result<()> {
        if end <= self.preallocated_bytes {
            return Ok(());
        }
        let ahead = (end - self.valid_bytes).max(PREALLOCATE_BYTES);
        // Where a whole step does not fit any more, the frame itself may.
        if self.file.preallocate(ahead).is_ok() {
            self.preallocated_bytes = self.valid_bytes + ahead;
        }
        Ok(())
    }

    fn sync_as(&mut self, point: SyncPoint) -> Result<u64> {
        if self.state == State::Poisoned {
            return Err(Error::DurabilityUnknown { durable_seq: self.durable_seq });
        }
        if let Err(e) = self.file.sync_data(point) {
            self.state = State::Poisoned;
            return Err(Error::io("sync", &self.path, e));
        }
        self.durable_bytes = self.valid_bytes;
        self.durable_seq = self.last_seq;
        Ok(self.durable_seq)
    }

    fn frame_header(&self, kind: FrameKind, seq: u64, payload: &[u8]) -> FrameHeader {
        FrameHeader {
            kind,
            seq,
            synced_seq: self.durable_seq,
            payload_bytes: payload.len() as u32,
            payload_crc: crc32c(0, payload),
        }
    }

    /// What the next file's header says about this one.
    #[must_use]
    pub fn as_predecessor(&self) -> Predecessor {
        Predecessor {
            file_number: self.header.file_number,
            valid_bytes: self.valid_bytes,
            durable_bytes: self.durable_bytes,
        }
    }

    /// Whether frames may be appended.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether a sync has failed.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.state == State::Poisoned
    }

    /// The number in the file's name.
    #[must_use]
    pub fn file_number(&self) -> u64 {
        self.header.file_number
    }

    /// Bytes of the file that count.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.valid_bytes
    }

    /// The seq of the last batch written to this file or an earlier one.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// The highest seq that a sync has covered.
    #[must_use]
    pub fn durable_seq(&self) -> u64 {
        self.durable_seq
    }
}
