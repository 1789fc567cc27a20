//! Doing what a plan says.
//!
//! Called by [`Repair::apply`](super::Repair::apply). The order, in which a crash may come at any point:
//!
//! 1. The store is locked, and the plan is made again: what was seen before may have changed.
//! 2. `CURRENT` and the manifests are copied to `quarantine/`, durably. They stay where they are.
//! 3. Tombstone files are written, each as a flush does it: the manifest still has what was in them.
//! 4. Segments that will not be listed are set aside. Whoever makes the plan again decides the same without
//!    them: nothing was taken from one that is left out.
//! 5. A new manifest is written, and `CURRENT` names it: the one step after which the store opens. The old
//!    manifests, of which there are copies now, are removed behind it.

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use super::make::{self, Made};
use super::plan::{Fate, RepairPlan};
use crate::db::open::claim;
use crate::db::open::orphans::{self, Mark};
use crate::db::versions::quarantine;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{Loaded, Manifest};
use crate::sys::{ClaimedFs, ReadMode, SyncPoint, Vfs};
use crate::types::{FileName, TEMPORARY_SUFFIX};

/// Makes the plan under the lock of the store and carries it out.
///
/// # Errors
/// Those of [`Repair::apply`](super::Repair::apply).
pub(super) fn apply(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    ticks_per_second: Option<u64>,
) -> Result<RepairPlan> {
    // What is no store is not to get a lock file.
    let looked = make::make(&**vfs, dir, ticks_per_second)?.plan;
    if !looked.is_needed() {
        return Ok(looked);
    }
    let claim = Arc::new(claim(vfs, dir)?);
    let vfs: Arc<dyn Vfs> = Arc::new(ClaimedFs::new(claim));
    let Made { plan, loaded, is_manifest_damaged, tombstone_files } =
        make::make(&*vfs, dir, ticks_per_second)?;
    if is_manifest_damaged {
        keep_copies(&*vfs, dir, loaded.report.manifest_number.saturating_add(1))?;
    }
    write_tombstones(&*vfs, dir, &loaded, &tombstone_files)?;
    for segment in &plan.segments {
        if matches!(segment.fate, Fate::Replaced | Fate::Unpublished | Fate::InLog) {
            orphans::mark(&*vfs, dir, segment.file_number, Mark::Elsewhere)?;
            quarantine::set_aside(&*vfs, dir, &segment.path)?;
        }
    }
    if is_manifest_damaged {
        Manifest::go_on(&vfs, dir, loaded)?;
    }
    Ok(plan)
}

/// Writes the tombstone files `numbers` from what the manifest lists. What is there is set aside.
fn write_tombstones(vfs: &dyn Vfs, dir: &Path, loaded: &Loaded, numbers: &[u64]) -> Result<()> {
    for (number, tombstones) in loaded.version.tombstones_by_file() {
        if !numbers.contains(&number) {
            continue;
        }
        let path = dir.join(FileName::Tombstones(number).to_string());
        if vfs.file_len(&path).is_ok() {
            quarantine::set_aside(vfs, dir, &path)?;
        }
        deletes::write(vfs, dir, (loaded.uuid, number), &tombstones)?;
    }
    Ok(())
}

/// Copies `CURRENT` and the manifests to `quarantine/`. A copy, not a link: whatever damages the one file
/// afterwards leaves the other.
fn keep_copies(vfs: &dyn Vfs, dir: &Path, next: u64) -> Result<()> {
    let quarantine = quarantine::create(vfs, dir)?;
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    for entry in entries.iter().filter(|entry| !entry.is_dir) {
        let to = match entry.name.to_str().and_then(FileName::parse) {
            // Each repair has one of its own.
            Some(FileName::Current) => {
                format!("{}.before-{}", FileName::Current, FileName::Manifest(next))
            }
            Some(name @ FileName::Manifest(_)) => name.to_string(),
            _ => continue,
        };
        copy(vfs, &dir.join(&entry.name), &quarantine.join(to))?;
    }
    for (dir, point) in [(&*quarantine, SyncPoint::SetAside), (dir, SyncPoint::QuarantineName)] {
        vfs.sync_dir(dir, point).map_err(|e| Error::io("sync directory", dir, e))?;
    }
    Ok(())
}

fn copy(vfs: &dyn Vfs, from: &Path, to: &Path) -> Result<()> {
    let read =
        vfs.open_read(from).and_then(|file| file.read(0, file.len()? as usize, ReadMode::Pread));
    let bytes = read.map_err(|e| Error::io("read", from, e))?;
    let temporary = to.with_file_name(format!(
        "{}{TEMPORARY_SUFFIX}",
        to.file_name().unwrap_or_default().to_string_lossy()
    ));
    // What an attempt before this one has left.
    match vfs.remove(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io("remove", temporary, e)),
        _ => {}
    }
    let mut file = vfs.create_new(&temporary).map_err(|e| Error::io("create", &temporary, e))?;
    file.append(&bytes)
        .and_then(|()| file.sync_data(SyncPoint::DamageReport))
        .map_err(|e| Error::io("write", &temporary, e))?;
    vfs.rename(&temporary, to).map_err(|e| Error::io("rename to", to, e))
}
