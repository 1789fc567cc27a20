#![doc = include_str!("FORMAT.md")]
//!
//! # The module
//!
//! Owns `CURRENT` and the `MANIFEST-n` files. Called by `db`, which alone changes the version;
//! [`load()`] alone serves readers in other processes.
//!
//! [`Manifest::append`] returns only when the edit is durable: until then nothing that the edit
//! replaces may be removed, and the new [`Version`] is not published. After an append or a sync has
//! failed, the file on disk may or may not hold the edit: the manifest is *poisoned*, and until
//! [`Manifest::roll`] has succeeded the caller may remove neither what the edit adds nor what it
//! replaces.
//!
//! # How files of it follow each other
//!
//! Append-only file of checksummed version edits, found through `CURRENT`. A `Version` is an
//! immutable list of segments, published by one pointer swap. A process never appends to a manifest
//! that an earlier one wrote: opening reads it and starts a new file with a snapshot. A snapshot
//! also names what earlier edits removed and whose files are still there (*obsolete*): opening
//! removes files on the strength of a durable manifest only, hence after the new one is live, and a
//! crash in between must not make orphans of them. A new file that fails before the rename of
//! `CURRENT` was tried is removed.

mod current;
mod edit;
mod files;
mod frame;
mod header;
mod load;
mod mend;
mod salvage;
mod version;

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use edit::{VersionEdit, WalCovered};
use files::{file_names, manifest_number, refuse_foreign_files, remove_others, still_there};
use header::Header;
use load::check_origins;
pub use load::{LoadReport, Loaded, load};
pub use salvage::{Facts, ManifestDamage, Salvaged, salvage};
pub use version::Version;

use crate::error::{Error, Result};
use crate::sys::{SyncPoint, Vfs, WriteFile};
use crate::types::{DecodeError, FileName, Limit, LimitExceeded, StoreIds, numbers_end};

/// A manifest is rolled when it is longer than this and than four times its snapshot, in bytes.
const ROLL_BYTES_MIN: u64 = 4 << 20;

/// What is fixed for ever when a store is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreOptions {
    /// Ticks in a second of the store's timestamps; at least 1.
    pub ticks_per_second: u64,
}

/// The manifest of an open store: the one place that changes which files are live.
#[derive(Debug)]
pub struct Manifest {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    header: Header,
    file: Box<dyn WriteFile>,
    /// The number of the last edit in the file.
    edit_number: u64,
    /// The length of the file after its snapshot.
    snapshot_bytes: u64,
    version: Arc<Version>,
    /// File numbers of segments that edits removed, of earlier manifests those whose files were there.
    removed: HashSet<u64>,
    /// The fault after which the file takes no more edits.
    poisoned: Option<String>,
}

impl Manifest {
    /// Whether `dir` holds a store: whether there is a `CURRENT`.
    ///
    /// # Errors
    /// [`Error::Io`] if the system cannot tell.
    pub fn exists(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
        let path = dir.join(FileName::Current.to_string());
        match vfs.file_len(&path) {
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(Error::io("look for", path, e)),
        }
    }

    /// Refuses a directory that is no store and holds anything but what an interrupted creation
    /// leaves: called before the first file is made there.
    ///
    /// # Errors
    /// [`Error::NotAStore`]; [`Error::Io`] if the system cannot tell.
    pub fn refuse_other_directories(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
        match refuse_foreign_files(vfs, dir) {
            // Another process may have made a store of it meanwhile.
            Err(Error::NotAStore { .. }) if Self::exists(vfs, dir)? => Ok(()),
            refused_or_not => refused_or_not,
        }
    }

    /// Makes the directory `dir` a store: empty, with the identity `uuid`. What an earlier creation
    /// left behind when it was interrupted is replaced.
    ///
    /// # Errors
    /// [`Error::NotAStore`] if `dir` holds anything else; [`Error::InvalidArgument`] if
    /// `ticks_per_second` is 0; [`Error::Io`] or [`Error::DiskFull`].
    pub fn create(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        uuid: [u8; 16],
        options: StoreOptions,
    ) -> Result<Self> {
        if options.ticks_per_second == 0 {
            return Err(Error::InvalidArgument("ticks_per_second must be at least 1".into()));
        }
        refuse_foreign_files(vfs.as_ref(), dir)?;
        Self::create_copy(vfs, dir, uuid, options, Version::default())
    }

    /// Makes the directory `dir` a store with the identity `uuid` that starts with `version`, whose
    /// files are there and durable but for their names: those are made durable before the store is.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`]; [`Error::LimitExceeded`] if the version does not fit in
    /// an edit; [`Error::InvalidArgument`] if it says that the store is a copy of itself.
    pub fn create_copy(
        vfs: &Arc<dyn Vfs>,
        dir: &Path,
        uuid: [u8; 16],
        options: StoreOptions,
        version: Version,
    ) -> Result<Self> {
        check_origins(uuid, &version.snapshot()).map_err(refused)?;
        let loaded = Loaded {
            uuid,
            ticks_per_second: options.ticks_per_second,
            version,
            report: LoadReport::default(),
            number: 0,
            edit_number: 0,
        };
        Self::start(vfs, dir, loaded)
    }

    /// Opens the store's manifest: reads what it says and starts a new file with a snapshot of it.
    ///
    /// # Errors
    /// As [`load`], and [`Error::Io`] or [`Error::DiskFull`] if the new file cannot be written.
    pub fn open(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<(Self, LoadReport)> {
        let loaded = load(vfs.as_ref(), dir)?;
        let report = loaded.report.clone();
        Ok((Self::go_on(vfs, dir, loaded)?, report))
    }

    /// Goes on from what [`load`] has read: starts a new file with a snapshot of it.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`] if the new file cannot be written.
    pub fn go_on(vfs: &Arc<dyn Vfs>, dir: &Path, loaded: Loaded) -> Result<Self> {
        Self::start(vfs, dir, loaded)
    }

    /// The identity of the store.
    #[must_use]
    pub fn uuid(&self) -> [u8; 16] {
        self.header.uuid
    }

    /// The uuid of the store, and of those that it was copied from.
    #[must_use]
    pub fn ids(&self) -> StoreIds {
        StoreIds::new(self.header.uuid, Arc::clone(self.version.origins()))
    }

    /// Ticks in a second of the store's timestamps.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.header.ticks_per_second
    }

    /// The version after the last durable edit.
    #[must_use]
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The number of the last durable edit of the file; 0 if it has none but the snapshot, whose damage is
    /// never taken for a torn write.
    #[must_use]
    pub fn last_edit(&self) -> u64 {
        if self.file.len() > self.snapshot_bytes { self.edit_number } else { 0 }
    }

    /// Whether a fault stopped the file from taking edits; [`roll`](Self::roll) starts another.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.is_some()
    }

    /// Makes `edit` durable, then returns the version after it. Rolls first if the file is long.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the edit breaks an invariant of [`Version::apply`], and
    /// [`Error::LimitExceeded`] if it has more than 16 MiB: nothing changed. [`Error::Io`] or
    /// [`Error::DiskFull`] if writing failed: whether the edit is on disk is unknown, and the
    /// manifest is poisoned. [`Error::FileClosed`] if it was already.
    pub fn append(&mut self, edit: &VersionEdit) -> Result<Arc<Version>> {
        if let Some(fault) = &self.poisoned {
            let (path, fault) = (self.path(), fault.clone());
            return Err(Error::FileClosed { path, fault });
        }
        check_origins(self.header.uuid, edit).map_err(refused)?;
        let next = self.version.apply(edit).map_err(refused)?;
        if self.file.len() > ROLL_BYTES_MIN.max(4 * self.snapshot_bytes) {
            self.roll()?;
        }
        let number = self.edit_number + 1;
        let mut bytes = Vec::new();
        encode_frame(&self.header, number, edit, &mut bytes)?;
        let written = self
            .file
            .append(&bytes)
            .and_then(|()| self.file.sync_data(SyncPoint::ManifestEdit))
            .map_err(|e| Error::io("append to", self.path(), e));
        if let Err(e) = written {
            self.poisoned = Some(e.to_string());
            return Err(e);
        }
        self.edit_number = number;
        self.removed.extend(&edit.removed);
        self.version = Arc::new(next);
        Ok(Arc::clone(&self.version))
    }

    /// Starts a new manifest file with a snapshot of the version; heals a poisoned manifest. An
    /// edit whose append failed is not in it, and will not come back once this has succeeded.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::DiskFull`]: whether the new file is the live one is unknown, and
    /// the manifest is poisoned.
    pub fn roll(&mut self) -> Result<()> {
        let loaded = Loaded {
            uuid: self.header.uuid,
            ticks_per_second: self.header.ticks_per_second,
            version: (*self.version).clone(),
            report: LoadReport { removed: self.removed.clone(), ..LoadReport::default() },
            number: self.header.number,
            edit_number: self.edit_number,
        };
        match Self::start(&self.vfs, &self.dir, loaded) {
            Ok(rolled) => {
                *self = rolled;
                Ok(())
            }
            Err(e) => {
                self.poisoned = Some(e.to_string());
                Err(e)
            }
        }
    }

    fn path(&self) -> PathBuf {
        self.dir.join(FileName::Manifest(self.header.number).to_string())
    }

    /// Writes a new manifest file with the snapshot of `from`, makes it the live one, removes the
    /// others. Each step is durable before the next relies on it.
    fn start(vfs: &Arc<dyn Vfs>, dir: &Path, from: Loaded) -> Result<Self> {
        let found = file_names(vfs.as_ref(), dir)?;
        // One far above was not made by this store, and is no reason to count on from there.
        let end = numbers_end(from.number);
        let numbers = found.iter().filter_map(manifest_number).filter(|&number| number < end);
        let newest = numbers.max().unwrap_or(0);
        let header = Header {
            uuid: from.uuid,
            number: newest.max(from.number) + 1,
            ticks_per_second: from.ticks_per_second,
        };
        let edit_number = from.edit_number + 1;
        let mut bytes = header.encode().to_vec();
        let mut snapshot = from.version.snapshot();
        snapshot.obsolete = still_there(&found, &from.report.removed);
        encode_frame(&header, edit_number, &snapshot, &mut bytes)?;

        let path = dir.join(FileName::Manifest(header.number).to_string());
        let mut file = vfs.create_new(&path).map_err(|e| Error::io("create", &path, e))?;
        file.append(&bytes)
            .and_then(|()| file.sync_data(SyncPoint::ManifestFile))
            .map_err(|e| Error::io("write", &path, e))
            .and_then(|()| sync_dir(vfs.as_ref(), dir, SyncPoint::ManifestDirectory))
            .and_then(|()| prepare_current(vfs.as_ref(), dir, header.number))
            .inspect_err(|_| discard(vfs.as_ref(), &path))?;
        publish(vfs.as_ref(), dir)?;
        remove_others(vfs.as_ref(), dir, header.number);
        Ok(Self {
            vfs: Arc::clone(vfs),
            dir: dir.to_path_buf(),
            header,
            file,
            edit_number,
            snapshot_bytes: bytes.len() as u64,
            version: Arc::new(from.version),
            removed: snapshot.obsolete.into_iter().collect(),
            poisoned: None,
        })
    }
}

/// The error of an edit that may not be made.
fn refused(e: DecodeError) -> Error {
    Error::InvalidArgument(format!("version edit refused: {e}"))
}

fn encode_frame(
    header: &Header,
    edit_number: u64,
    edit: &VersionEdit,
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut payload = Vec::new();
    edit.encode(&mut payload);
    if payload.len() > frame::PAYLOAD_BYTES_MAX {
        let (bytes, max) = (payload.len() as u64, frame::PAYLOAD_BYTES_MAX as u64);
        return Err(LimitExceeded::new(Limit::ManifestEditBytes, bytes, max).into());
    }
    frame::encode(header.seed(), edit_number, &payload, out);
    Ok(())
}

/// Writes the file that is to become `CURRENT`, which names manifest `number`.
fn prepare_current(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<()> {
    let temporary = dir.join(FileName::Current.temporary());
    match vfs.remove(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", temporary, e));
        }
        _ => {}
    }
    let mut file = vfs.create_new(&temporary).map_err(|e| Error::io("create", &temporary, e))?;
    file.append(current::encode(number).as_bytes())
        .and_then(|()| file.sync_data(SyncPoint::CurrentData))
        .map_err(|e| Error::io("write", &temporary, e))
        .inspect_err(|_| discard(vfs, &temporary))
}

/// Puts what [`prepare_current`] wrote in the place of `CURRENT`. After an error either may be the one
/// that a crash leaves, so that neither of the manifests they name may go.
fn publish(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let path = dir.join(FileName::Current.to_string());
    vfs.rename(&dir.join(FileName::Current.temporary()), &path)
        .map_err(|e| Error::io("rename to", &path, e))?;
    sync_dir(vfs, dir, SyncPoint::CurrentDirectory)
}

/// Removes a file that nothing names yet: on a full disk, attempts must not add up.
fn discard(vfs: &dyn Vfs, path: &Path) {
    if let Err(e) = vfs.remove(path) {
        tracing::warn!(path = %path.display(), error = %e, "a file that was not finished stays");
    }
}

fn sync_dir(vfs: &dyn Vfs, dir: &Path, point: SyncPoint) -> Result<()> {
    vfs.sync_dir(dir, point).map_err(|e| Error::io("sync directory", dir, e))
}
