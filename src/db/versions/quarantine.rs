//! The folder `quarantine/`: files that are set aside instead of removed, and reports of damage in them.
//!
//! Called by whoever removes files: by the version set for damaged segments, by merges before the edit
//! that lets go of a damaged input, and by opening.
//!
//! Invariants: the report of a segment is durable before an edit lets go of it, so that opening, after a
//! crash, sets the file aside too; a file that is set aside has a durable name at every moment.
//!
//! # How a file is moved
//!
//! A rename between two directories changes both, and a power cut may keep the change of the one and lose
//! that of the other: the file would have both names, or none. So the file is linked instead, and the
//! order is
//!
//! 1. the link in `quarantine/`,
//! 2. sync of `quarantine/`, the destination, and of the store's directory, where its name may be new,
//! 3. removal of the old name,
//! 4. sync of the store's directory, the source.
//!
//! What fails up to 3 is answered, and the file still has its old name: the next attempt, which may find
//! the link of this one, goes on from there. When 4 fails, the old name may come back after a power cut,
//! beside the new one, and the next opening sets the file aside again; so that is logged and no error.
//! On a file system without hard links the file is renamed, and both directories are synced in that order.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::compaction::DamagedRange;
use crate::error::{Error, Result};
use crate::sys::{SyncPoint, Vfs};
use crate::types::FileName;

/// Moves the file `path` of the store in `dir` to `quarantine/`, durably: see the module.
///
/// # Errors
/// I/O errors; the file is where it was, and perhaps in `quarantine/` too.
pub(in crate::db) fn set_aside(vfs: &dyn Vfs, dir: &Path, path: &Path) -> Result<()> {
    let quarantine = create(vfs, dir)?;
    let to = quarantine.join(path.file_name().expect("files of a store have names"));
    let moved =
        |result: io::Result<()>| result.map_err(|e| Error::io("move to quarantine", path, e));
    let is_linked = match vfs.hard_link(path, &to) {
        Ok(()) => true,
        // An earlier attempt came so far, unless it is an older file, which this one replaces.
        Err(e) if e.kind() == ErrorKind::AlreadyExists => is_same(vfs, path, &to),
        Err(e) if has_no_links(&e) => false,
        Err(e) => return moved(Err(e)),
    };
    if !is_linked {
        moved(vfs.rename(path, &to))?;
    }
    for (dir, point) in [(&*quarantine, SyncPoint::SetAside), (dir, SyncPoint::QuarantineName)] {
        vfs.sync_dir(dir, point).map_err(|e| Error::io("sync directory", dir, e))?;
    }
    if is_linked {
        moved(vfs.remove(path))?;
        if let Err(error) = vfs.sync_dir(dir, SyncPoint::SetAsideSource) {
            tracing::warn!(path = %path.display(), %error, "the old name of a file set aside may return");
        }
    }
    Ok(())
}

fn is_same(vfs: &dyn Vfs, a: &Path, b: &Path) -> bool {
    vfs.file_id(a).is_ok_and(|a| vfs.file_id(b).is_ok_and(|b| a == b))
}

/// Whether a file cannot be linked, rather than not now: the system says `EPERM` where there are no hard
/// links, and a segment may itself be a link to another file system.
fn has_no_links(error: &io::Error) -> bool {
    use ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
    matches!(error.kind(), CrossesDevices | PermissionDenied | TooManyLinks | Unsupported)
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

/// The folder, which is made if it is not there.
///
/// # Errors
/// I/O errors.
pub(in crate::db) fn create(vfs: &dyn Vfs, dir: &Path) -> Result<PathBuf> {
    let quarantine = dir.join(FileName::Quarantine.to_string());
    vfs.create_dir_all(&quarantine).map_err(|e| Error::io("create", &quarantine, e))?;
    Ok(quarantine)
}
