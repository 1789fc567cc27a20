//! Files that a flush has written and its edit has yet to list: whether they may go when it fails.
//!
//! Called by flushes and by opening, with the manifest that is to list the files. On a full disk a
//! flush is tried again and again, and what an attempt leaves must not add up. Invariant: a file is
//! removed only if no manifest can list it, so either before its edit was tried, or once a manifest
//! without it is the live one. Whatever a crash leaves, the next opening sets aside.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::Result;
use crate::manifest::{Manifest, Version, VersionEdit};
use crate::sys::Vfs;
use crate::types::FileName;

/// What failed edits were to list.
#[derive(Debug)]
pub(super) struct Unlisted {
    vfs: Arc<dyn Vfs>,
    dir: PathBuf,
    /// A poisoned manifest may or may not list these.
    in_doubt: Vec<FileName>,
}

impl Unlisted {
    pub(super) fn new(vfs: Arc<dyn Vfs>, dir: PathBuf) -> Self {
        Self { vfs, dir, in_doubt: Vec::new() }
    }

    /// Heals a poisoned manifest, which disowns the edits that failed, and removes what they were to
    /// list.
    ///
    /// # Errors
    /// Those of [`Manifest::roll`]: everything stays.
    pub(super) fn settle(&mut self, manifest: &mut Manifest) -> Result<()> {
        if manifest.is_poisoned() {
            manifest.roll()?;
        }
        let settled = std::mem::take(&mut self.in_doubt);
        self.remove(&settled);
        Ok(())
    }

    /// Appends `edit`, which lists `files`.
    ///
    /// # Errors
    /// Those of [`Manifest::append`]: the files are removed, now or when they are settled.
    pub(super) fn list(
        &mut self,
        manifest: &mut Manifest,
        edit: &VersionEdit,
        files: &[FileName],
    ) -> Result<Arc<Version>> {
        let appended = manifest.append(edit);
        if appended.is_err() {
            match manifest.is_poisoned() {
                true => self.in_doubt.extend(files),
                false => self.remove(files),
            }
        }
        appended
    }

    /// Removes files that no manifest can list.
    pub(super) fn remove(&self, files: &[FileName]) {
        for name in files {
            // Where that fails, the next opening does it.
            let _ = self.vfs.remove(&self.dir.join(name.to_string()));
        }
    }
}
