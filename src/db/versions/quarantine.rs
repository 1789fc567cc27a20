//! The folder `quarantine/`: files that are set aside instead of removed, and reports of damage in them.
//!
//! Called by whoever removes files: by the version set for damaged segments, by merges before the edit
//! that lets go of a damaged input, and by opening.
//!
//! Invariant: the report of a segment is durable before an edit lets go of it, so that opening, after a
//! crash, sets the file aside too.

use std::path::{Path, PathBuf};

use crate::compaction::DamagedRange;
use crate::error::{Error, Result};
use crate::sys::{SyncPoint, Vfs};
use crate::types::FileName;

/// Moves a file to `quarantine/`.
///
/// # Errors
/// I/O errors.
pub(in crate::db) fn set_aside(vfs: &dyn Vfs, dir: &Path, path: &Path) -> Result<()> {
    let quarantine = create(vfs, dir)?;
    let name = path.file_name().expect("files of a store have names");
    vfs.rename(path, &quarantine.join(name)).map_err(|e| Error::io("move to quarantine", path, e))
}

/// Writes to `quarantine/` what of the segment `file_number` could not be read: durable when this
/// returns. Opening does not remove a file with such a report.
///
/// # Errors
/// I/O errors.
pub(in crate::db) fn report_damage(
    vfs: &dyn Vfs,
    dir: &Path,
    file_number: u64,
    ranges: &[DamagedRange],
) -> Result<()> {
    let quarantine = create(vfs, dir)?;
    let path = quarantine.join(report_name(file_number));
    let own = ranges.iter().filter(|range| range.file_number == file_number);
    let text: String = own.flat_map(|range| [range.to_json(), "\n".into()]).collect();
    // That of an attempt which failed says the same.
    let _ = vfs.remove(&path);
    let mut file = vfs.create_new(&path).map_err(|e| Error::io("create", &path, e))?;
    file.append(text.as_bytes())
        .and_then(|()| file.sync_data(SyncPoint::DamageReport))
        .map_err(|e| Error::io("write", &path, e))?;
    for dir in [&*quarantine, dir] {
        vfs.sync_dir(dir, SyncPoint::DamageDirectory)
            .map_err(|e| Error::io("sync directory", dir, e))?;
    }
    Ok(())
}

/// The name of the file that says what a merge could not read of a segment.
pub(in crate::db) fn report_name(file_number: u64) -> String {
    format!("{}.damage.jsonl", FileName::Segment(file_number))
}

/// Whether a merge found the segment damaged.
pub(in crate::db) fn is_damaged(vfs: &dyn Vfs, dir: &Path, file_number: u64) -> bool {
    let quarantine = dir.join(FileName::Quarantine.to_string());
    vfs.file_len(&quarantine.join(report_name(file_number))).is_ok()
}

fn create(vfs: &dyn Vfs, dir: &Path) -> Result<PathBuf> {
    let quarantine = dir.join(FileName::Quarantine.to_string());
    vfs.create_dir_all(&quarantine).map_err(|e| Error::io("create", &quarantine, e))?;
    Ok(quarantine)
}
