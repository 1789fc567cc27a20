//! The manifest, and what edits that failed were to list: how an edit becomes durable.
//!
//! Owned by the version set under its lock; before there is one, by opening.
//!
//! 1. Given an edit and the files that it lists, [`EditLog::append`] heals a manifest that an earlier
//!    failure has poisoned: it writes a new one without the edits that failed, and removes their files.
//! 2. The edit is appended and synced. From here on the files are the store's.
//! 3. If that fails, nobody knows whether the edit is on the disk: the manifest is poisoned, and the files
//!    stay until step 1 succeeds, which is tried before each later edit, or when somebody asks for it.
//!
//! Invariant: `maybe_listed` is empty unless the manifest is poisoned.

use std::sync::Arc;

use super::pending_outputs::PendingOutputs;
use crate::db::env::Env;
use crate::error::Result;
use crate::manifest::{Manifest, Version, VersionEdit};
use crate::types::FileName;

/// The manifest of a store that is open for writing.
#[derive(Debug)]
pub(in crate::db) struct EditLog {
    env: Arc<Env>,
    manifest: Manifest,
    /// What a poisoned manifest may or may not list.
    maybe_listed: Vec<FileName>,
}

impl EditLog {
    pub(in crate::db) fn new(env: &Arc<Env>, manifest: Manifest) -> Self {
        Self { env: Arc::clone(env), manifest, maybe_listed: Vec::new() }
    }

    /// The version that the manifest describes.
    pub(in crate::db) fn version(&self) -> &Arc<Version> {
        self.manifest.version()
    }

    /// The number of the last durable edit; 0 if there is none but the snapshot.
    pub(in crate::db) fn last_edit(&self) -> u64 {
        self.manifest.last_edit()
    }

    /// Writes a manifest without the edits that failed, if there were any, and removes what they were to
    /// list.
    ///
    /// # Errors
    /// Those of [`Manifest::roll`]: everything stays as it was.
    pub(in crate::db) fn heal(&mut self) -> Result<()> {
        if self.manifest.is_poisoned() {
            self.manifest.roll()?;
        }
        for name in std::mem::take(&mut self.maybe_listed) {
            // Where that fails, the next opening does it.
            let _ = self.env.vfs().remove(&self.env.path(name));
        }
        Ok(())
    }

    /// Makes `edit`, which lists `outputs`, durable; the version after it.
    ///
    /// # Errors
    /// Those of [`Manifest::roll`] and [`Manifest::append`]: the version is as before, and the outputs are
    /// removed as soon as no manifest can list them.
    pub(in crate::db) fn append(
        &mut self,
        edit: VersionEdit,
        outputs: PendingOutputs,
    ) -> Result<Arc<Version>> {
        self.heal()?;
        let next_file_number = Some(self.env.next_file_number());
        match self.manifest.append(&VersionEdit { next_file_number, ..edit }) {
            Ok(version) => {
                outputs.take();
                Ok(version)
            }
            Err(error) => {
                if self.manifest.is_poisoned() {
                    self.maybe_listed.extend(outputs.take());
                }
                Err(error)
            }
        }
    }
}
