//! What is named like a file of the store and is none: numbers that it cannot have given out, and
//! directories.
//!
//! Somebody put it there, so it is left where it is, and whoever opens the store is told. Called by
//! opening, by read-only opening and by `verify`.

use std::path::Path;

use crate::db::env::finding::Finding;
use crate::manifest::Loaded;
use crate::sys::{DirEntry, Vfs};
use crate::types::{FileName, MANIFEST_PREFIX, TEMPORARY_SUFFIX, numbers_end};

/// The next numbers, as the manifest knows them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Next {
    pub(super) file: u64,
    pub(super) manifest: u64,
}

impl Next {
    pub(super) fn of(loaded: &Loaded) -> Self {
        let file = loaded.version.next_file_number();
        Self { file, manifest: loaded.report.manifest_number.saturating_add(1) }
    }
}

/// Whether the name has a number that a store which gives out `next` next cannot have given out.
pub(super) fn is_beyond(name: &str, next: u64) -> bool {
    FileName::number_spelled(name).is_some_and(|number| number >= numbers_end(next))
}

/// What is in `dir` and its quarantine, as far as they can be listed.
pub(super) fn find(vfs: &dyn Vfs, dir: &Path, next: Next) -> Vec<Finding> {
    let mut found = Vec::new();
    for folder in [dir.to_path_buf(), dir.join(FileName::Quarantine.to_string())] {
        for entry in vfs.list(&folder).unwrap_or_default() {
            if let Some(message) = entry.name.to_str().and_then(|name| describe(name, &entry, next))
            {
                found.push(Finding::new(folder.join(&entry.name), message));
            }
        }
    }
    found
}

/// What is wrong with an entry; `None` for the store's own and for what is not named like them.
fn describe(name: &str, entry: &DirEntry, next: Next) -> Option<&'static str> {
    let next = if name.starts_with(MANIFEST_PREFIX) { next.manifest } else { next.file };
    let file = FileName::parse(name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(name));
    if is_beyond(name, next) {
        return Some(
            "not a file of the store, which cannot have given out that number; left alone",
        );
    }
    let is_file = file.is_some_and(|file| file != FileName::Quarantine);
    (entry.is_dir && is_file).then_some("a directory, where the store has files; left alone")
}
