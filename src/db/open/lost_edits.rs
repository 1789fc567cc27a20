//! Whether the manifest has lost edits at its end.
//!
//! An edit is durable before anything relies on it, so an end that is not there, or not valid, is a torn
//! write if nothing ever relied on it, and damage if something did. The manifest cannot tell; this is what
//! else can:
//!
//! 1. *The log.* Its MANIFEST frames say which edit was durable when they were written
//!    (`wal/FORMAT.md`). A manifest that ends before that edit is damaged.
//! 2. *What was removed.* Log files are removed once an edit covers them, and segments that a merge has
//!    replaced once an edit says so. Where the end of the manifest is missing and a log file that it does
//!    not cover is gone, or a segment is gone that an unlisted one says it replaces, the missing edit was
//!    durable. This speaks at once, before the log does.
//!
//! Called by whoever opens a store, before the first change; what it answers is refused as a whole, so that
//! nothing is set aside or removed on the strength of an older state.
//!
//! Limit: an edit that nothing has followed and that removed nothing, for as long as the log has not said
//! that it was durable. That is until the next commit, and a second at most (`db/write/log.rs`; under the
//! policy `never`, until the next commit); an attach says so before it returns, and closing does.

use std::collections::HashSet;
use std::io::ErrorKind;
use std::path::Path;

use crate::db::write::log_files;
use crate::error::{Error, Result};
use crate::manifest::{self, Loaded};
use crate::segment::Segment;
use crate::sys::Vfs;
use crate::types::{DecodeError, FileName};
use crate::wal::{self, WalReader};

/// Readings that the owner's edits may spoil before giving up.
const TRIES_MAX: usize = 10;

/// Reads the manifest, and refuses one that has lost edits at its end. Writes nothing.
///
/// # Errors
/// Those of [`manifest::load`]; [`Error::Corrupt`] where edits are lost; [`Error::SnapshotGone`] when the
/// owner changes the store faster than it can be read.
pub(super) fn load(vfs: &dyn Vfs, dir: &Path) -> Result<Loaded> {
    for _ in 0..TRIES_MAX {
        let loaded = manifest::load(vfs, dir)?;
        let Some(lost) = lost(vfs, dir, &loaded)? else { return Ok(loaded) };
        // In a store that is open elsewhere the edit may have been made meanwhile.
        if manifest::load(vfs, dir)? == loaded {
            let name = FileName::Manifest(loaded.report.manifest_number).to_string();
            let source = DecodeError::Truncated(lost);
            let at = loaded.report.torn_at;
            return Err(Error::decode(dir.join(name), "manifest frame", at, source));
        }
    }
    Err(Error::SnapshotGone { path: dir.to_path_buf() })
}

/// What the manifest that says `loaded` has lost at its end, in words; `None` if nothing tells of a loss.
///
/// # Errors
/// I/O errors of the log.
pub(super) fn lost(vfs: &dyn Vfs, dir: &Path, loaded: &Loaded) -> Result<Option<&'static str>> {
    Traces { vfs, dir, loaded }.lost()
}

/// The last edit that the log files `logs` prove durable; 0 if they prove none. A later file knows of all that
/// an earlier one does.
///
/// # Errors
/// I/O errors.
pub(super) fn proven_edit(vfs: &dyn Vfs, dir: &Path, uuid: [u8; 16], logs: &[u64]) -> Result<u64> {
    for &number in logs.iter().rev() {
        match wal::durable_edit(vfs, &dir.join(FileName::Wal(number).to_string()), uuid) {
            Ok(0) => {}
            Ok(edit) => return Ok(edit),
            // The owner has removed it.
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(0)
}

/// What else than the manifest knows of its edits.
struct Traces<'a> {
    vfs: &'a dyn Vfs,
    dir: &'a Path,
    loaded: &'a Loaded,
}

impl Traces<'_> {
    /// What the manifest has lost, in words; `None` if nothing tells of a loss.
    fn lost(&self) -> Result<Option<&'static str>> {
        let next = self.loaded.version.next_file_number();
        let logs = log_files::numbers(self.vfs, self.dir, next)?;
        let proven = proven_edit(self.vfs, self.dir, self.loaded.uuid, &logs)?;
        if proven > self.loaded.edit_number() {
            return Ok(Some("the edits that the log proves to have been durable"));
        }
        let is_torn = self.loaded.report.torn_bytes > 0;
        if !is_torn && !self.is_log_missing(&logs)? {
            return Ok(None);
        }
        let unlisted = self.unlisted()?;
        if self.is_log_missing(&logs)? && (is_torn || self.has_newer_rows(&unlisted)) {
            return Ok(Some("the edits for which log files were removed"));
        }
        let is_merged = is_torn && self.replaces_missing(&unlisted);
        Ok(is_merged.then_some("the edits for which merged segments were removed"))
    }

    /// Whether a log file that no readable edit covers, and that its successor names, is gone.
    fn is_log_missing(&self, logs: &[u64]) -> Result<bool> {
        let covered = self.loaded.version.wal_covered().file_number;
        for &number in logs.iter().filter(|&&number| number >= covered) {
            let identity = (self.loaded.uuid, number);
            let before = match WalReader::open(self.vfs, &self.log(number), identity, None) {
                Ok(Some(reader)) => reader.header().predecessor.file_number,
                Err(error) if error.is_missing() => continue,
                // Replay says what is wrong with it.
                Ok(None) | Err(Error::Corrupt { .. } | Error::UnsupportedVersion { .. }) => {
                    continue;
                }
                Err(error) => return Err(error),
            };
            if before != 0 && before >= covered && !logs.contains(&before) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The numbers of segment files that no readable edit lists.
    fn unlisted(&self) -> Result<Vec<u64>> {
        let version = &self.loaded.version;
        let listed: HashSet<u64> = version.segments().iter().map(|meta| meta.file_number).collect();
        let next = version.next_file_number();
        let entries = self.vfs.list(self.dir).map_err(|e| Error::io("list", self.dir, e))?;
        let numbers = entries.iter().filter(|entry| !entry.is_dir).filter_map(|entry| {
            match FileName::parse_below(entry.name.to_str()?, next) {
                Some(FileName::Segment(number)) => Some(number),
                _ => None,
            }
        });
        Ok(numbers.filter(|number| !listed.contains(number)).collect())
    }

    /// Whether one of `unlisted` is a complete segment with rows that no edit covers. In a copy, one of the store
    /// that it was made of says nothing: those that the copy began with are in its first snapshot.
    fn has_newer_rows(&self, unlisted: &[u64]) -> bool {
        let covered = self.loaded.version.wal_covered().seq;
        unlisted.iter().any(|&number| {
            let found = Segment::discover(self.vfs, self.dir, number);
            found.is_ok_and(|found| found.uuid == self.loaded.uuid && found.meta.min_seq > covered)
        })
    }

    /// Whether one of `unlisted` says that it replaces a listed segment, and that is gone.
    fn replaces_missing(&self, unlisted: &[u64]) -> bool {
        let is_gone = |&number: &u64| {
            let mut listed = self.loaded.version.segments().iter();
            let path = self.dir.join(FileName::Segment(number).to_string());
            let found = self.vfs.file_len(&path);
            listed.any(|meta| meta.file_number == number)
                && found.is_err_and(|error| error.kind() == ErrorKind::NotFound)
        };
        unlisted.iter().any(|&number| {
            let found = Segment::discover(self.vfs, self.dir, number);
            found.is_ok_and(|found| {
                found.uuid == self.loaded.uuid && found.replaces.iter().any(is_gone)
            })
        })
    }

    fn log(&self, number: u64) -> std::path::PathBuf {
        self.dir.join(FileName::Wal(number).to_string())
    }
}
