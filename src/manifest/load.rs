//! Reading a store's manifest: `CURRENT`, then the frames of the file that it names. Writes
//! nothing, so that a second process may do it while the owner works.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::StoreOptions;
use super::current::{self, CURRENT_BYTES_MAX};
use super::edit::VersionEdit;
use super::frame;
use super::header::{HEADER_BYTES, Header};
use super::version::{COUNTER_MAX, Version};
use crate::error::{Error, Result};
use crate::sys::{Bytes, ReadMode, Vfs};
use crate::types::{DecodeError, FileName, StoreIds};

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The identity of the store.
    pub uuid: [u8; 16],
    /// Ticks in a second of the store's timestamps.
    pub ticks_per_second: u64,
    /// The version after the last complete edit.
    pub version: Version,
    /// What was left out on the way there.
    pub report: LoadReport,
    pub(super) number: u64,
    pub(super) edit_number: u64,
}

/// What reading a manifest left out. Nothing of it is an error, all of it is worth a log line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadReport {
    /// The number of the manifest that was read.
    pub manifest_number: u64,
    /// Edits applied, the snapshot included.
    pub edits: u64,
    /// Where the torn tail starts in the file, in bytes.
    pub torn_at: u64,
    /// The length of the torn tail, in bytes; 0 if the file ended as it should.
    pub torn_bytes: u64,
    /// File numbers of segments that an edit removed, in this manifest or in one before it: where such
    /// a file is left, nobody needs it.
    pub removed: HashSet<u64>,
    /// Entries of kinds that this build does not know and need not understand.
    pub skipped_entries: usize,
}

/// Reads what the manifest of the store in `dir` says.
///
/// # Errors
/// [`Error::Corrupt`] names file and offset of damage that is not a torn tail;
/// [`Error::UnsupportedVersion`] if a newer build wrote it. [`Error::Io`] with `NotFound` if there
/// is no store, or if its owner replaced the manifest in between: then read again.
pub fn load(vfs: &dyn Vfs, dir: &Path) -> Result<Loaded> {
    let path = dir.join(FileName::Current.to_string());
    let line = read_file(vfs, &path, CURRENT_BYTES_MAX)?;
    let number = current::decode(&line).map_err(|e| Error::decode(path, "CURRENT", 0, e))?;
    let path = dir.join(FileName::Manifest(number).to_string());
    let bytes = read_file(vfs, &path, u64::MAX)?;
    decode(number, &bytes).map_err(|(section, at, e)| Error::decode(path, section, at as u64, e))
}

/// Reads a whole file of at most `bytes_max` bytes; of a longer one, that much and a byte.
pub(super) fn read_file(vfs: &dyn Vfs, path: &PathBuf, bytes_max: u64) -> Result<Bytes> {
    let file = vfs.open_read(path).map_err(|e| Error::io("open", path, e))?;
    let len = file.len().map_err(|e| Error::io("read", path, e))?;
    let len = len.min(bytes_max.saturating_add(1));
    file.read(0, len as usize, ReadMode::Pread).map_err(|e| Error::io("read", path, e))
}

/// The damaged part, its offset, what is wrong.
type Damage = (&'static str, usize, DecodeError);

/// Decodes the bytes of manifest `number`.
pub(super) fn decode(number: u64, bytes: &[u8]) -> Result<Loaded, Damage> {
    let header = Header::decode(bytes).map_err(|e| ("manifest header", 0, e))?;
    if header.number != number {
        return Err(("manifest header", 0, DecodeError::Invalid("manifest number")));
    }
    let seed = header.seed();
    let mut loaded = Loaded::of_header(&header);
    let mut at = HEADER_BYTES;
    while at < bytes.len() || loaded.report.edits == 0 {
        let frame = match frame::decode(seed, &bytes[at..]) {
            Ok(frame) => frame,
            Err(e) if loaded.report.edits == 0 || frame::next(seed, &bytes[at..]).is_some() => {
                return Err(("manifest frame", at, e));
            }
            Err(_) => break,
        };
        loaded.take(&frame).map_err(|e| ("manifest frame", at, e))?;
        at += frame.bytes;
    }
    loaded.report.torn_at = at as u64;
    loaded.report.torn_bytes = (bytes.len() - at) as u64;
    Ok(loaded)
}

impl Loaded {
    /// What a manifest says that has no frames yet.
    pub(super) fn of_header(header: &Header) -> Self {
        Self {
            uuid: header.uuid,
            ticks_per_second: header.ticks_per_second,
            version: Version::default(),
            report: LoadReport { manifest_number: header.number, ..LoadReport::default() },
            number: header.number,
            edit_number: 0,
        }
    }

    /// What a manifest would say that was rebuilt from other files: see [`salvage`](super::salvage()).
    /// `number` is the highest of a manifest of the store, `edit_number` that of an edit, `removed` what is
    /// known to have been removed by edits.
    #[must_use]
    pub fn rebuilt(
        (uuid, options): ([u8; 16], StoreOptions),
        version: Version,
        removed: HashSet<u64>,
        number: u64,
        edit_number: u64,
    ) -> Self {
        let report = LoadReport { manifest_number: number, removed, ..LoadReport::default() };
        let ticks_per_second = options.ticks_per_second;
        Self { uuid, ticks_per_second, version, report, number, edit_number }
    }

    /// The uuid of the store, and of those that it was copied from.
    #[must_use]
    pub fn ids(&self) -> StoreIds {
        StoreIds::new(self.uuid, Arc::clone(self.version.origins()))
    }

    /// The number of the last complete edit.
    #[must_use]
    pub fn edit_number(&self) -> u64 {
        self.edit_number
    }

    /// Applies the next frame.
    pub(super) fn take(&mut self, frame: &frame::Frame<'_>) -> Result<(), DecodeError> {
        let follows = self.report.edits == 0 || frame.edit_number == self.edit_number + 1;
        if !follows || frame.edit_number > COUNTER_MAX {
            return Err(DecodeError::Invalid("edit number"));
        }
        let (edit, skipped) = VersionEdit::decode(frame.payload)?;
        check_origins(self.uuid, &edit)?;
        self.version = self.version.apply(&edit)?;
        self.edit_number = frame.edit_number;
        self.report.removed.extend(edit.removed.iter().chain(&edit.obsolete));
        self.report.edits += 1;
        self.report.skipped_entries += skipped;
        Ok(())
    }
}

/// Refuses the store's own uuid among those of stores that it was copied from.
pub(super) fn check_origins(uuid: [u8; 16], edit: &VersionEdit) -> Result<(), DecodeError> {
    match edit.origins_added.contains(&uuid) {
        true => Err(DecodeError::Invalid("origin of the store, which is the store itself,")),
        false => Ok(()),
    }
}
