//! The files of a manifest beside others in the directory: which there are, and removing what is old.

use std::collections::HashSet;
use std::path::Path;

use crate::error::{Error, Result};
use crate::sys::Vfs;
use crate::types::FileName;

pub(super) fn file_names(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<FileName>> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    Ok(entries.iter().filter_map(|entry| FileName::parse(entry.name.to_str()?)).collect())
}

pub(super) fn manifest_number(name: &FileName) -> Option<u64> {
    if let FileName::Manifest(number) = name { Some(*number) } else { None }
}

pub(super) fn manifest_numbers(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u64>> {
    Ok(file_names(vfs, dir)?.iter().filter_map(manifest_number).collect())
}

/// Those of `removed` whose files are among `found`, sorted.
pub(super) fn still_there(found: &[FileName], removed: &HashSet<u64>) -> Vec<u64> {
    let mut numbers: Vec<u64> = found
        .iter()
        .filter_map(|name| match name {
            FileName::Segment(number) => Some(*number).filter(|number| removed.contains(number)),
            _ => None,
        })
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Removes the manifests that `CURRENT` durably names no more: all of them have lower numbers. A
/// failure is harmless: the next roll tries again.
pub(super) fn remove_others(vfs: &dyn Vfs, dir: &Path, live: u64) {
    let numbers = manifest_numbers(vfs, dir).unwrap_or_default();
    for number in numbers.into_iter().filter(|&number| number < live) {
        let path = dir.join(FileName::Manifest(number).to_string());
        if let Err(e) = vfs.remove(&path) {
            tracing::warn!(path = %path.display(), error = %e, "an old manifest stays");
        }
    }
}

/// Refuses to make a store of a directory that holds more than an interrupted creation leaves.
pub(super) fn refuse_foreign_files(vfs: &dyn Vfs, dir: &Path) -> Result<()> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    let foreign = entries.iter().find(|entry| match entry.name.to_str() {
        Some(name) if name == FileName::Current.temporary() => false,
        Some(name) => {
            !matches!(FileName::parse(name), Some(FileName::Lock | FileName::Manifest(_)))
        }
        None => true,
    });
    match foreign {
        None => Ok(()),
        Some(entry) => Err(Error::NotAStore {
            path: dir.to_path_buf(),
            found: entry.name.to_string_lossy().into_owned(),
        }),
    }
}
