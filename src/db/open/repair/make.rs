//! Making the plan: what is damaged, and from where what it said can be had.
//!
//! Called for [`Repair::plan`](super::Repair::plan), and again by `apply`. Writes nothing.

use std::path::Path;

use super::evidence::Evidence;
use super::plan::{Fate, RepairPlan, RepairSegment};
use super::rebuild;
use crate::db::env::finding::Finding;
use crate::db::open::lost_edits;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest::{self, Loaded, Manifest, StoreOptions};
use crate::sys::Vfs;
use crate::types::FileName;

/// A plan, and what is needed to carry it out.
pub(super) struct Made {
    pub(super) plan: RepairPlan,
    /// What the manifest says, or is to say.
    pub(super) loaded: Loaded,
    /// Whether a new manifest is to say it.
    pub(super) is_manifest_damaged: bool,
    /// Numbers of the tombstone files that are to be written.
    pub(super) tombstone_files: Vec<u64>,
}

/// The plan for the store in `dir`.
///
/// # Errors
/// Those of [`Repair::plan`](super::Repair::plan).
pub(super) fn make(vfs: &dyn Vfs, dir: &Path, ticks_per_second: Option<u64>) -> Result<Made> {
    let (mut plan, loaded, is_manifest_damaged) = match lost_edits::load(vfs, dir) {
        Ok(loaded) => (exact(vfs, dir, &loaded, Vec::new()), loaded, false),
        Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => {
            let (plan, loaded) = of_manifest(vfs, dir, ticks_per_second, &error)?;
            (plan, loaded, true)
        }
        Err(error) => return Err(error),
    };
    plan.deletes = loaded.version.tombstones().count() as u64;
    let mut tombstone_files = Vec::new();
    for (number, listed) in loaded.version.tombstones_by_file() {
        let found = deletes::read(vfs, dir, (loaded.uuid, number));
        let damaged = match found {
            Ok(found) if listed.iter().all(|tombstone| found.contains(tombstone)) => continue,
            Ok(_) => "deletes of the manifest are not in the file".to_owned(),
            // The owner of a store that is open may be through with it meanwhile.
            Err(_) if !is_manifest_damaged && !lists(vfs, dir, number)? => continue,
            Err(error @ (Error::Corrupt { .. } | Error::Io { .. })) => error.to_string(),
            Err(error) => return Err(error),
        };
        let path = dir.join(FileName::Tombstones(number).to_string());
        plan.damage.push(Finding::new(&path, damaged));
        plan.tombstone_files.push(path);
        tombstone_files.push(number);
    }
    Ok(Made { plan, loaded, is_manifest_damaged, tombstone_files })
}

/// Whether the manifest lists the tombstone file `number` now.
fn lists(vfs: &dyn Vfs, dir: &Path, number: u64) -> Result<bool> {
    let now = manifest::load(vfs, dir)?;
    Ok(now.version.tombstone_files().iter().any(|&(listed, _)| listed == number))
}

/// The plan for a manifest that is refused, and what the new one is to say.
fn of_manifest(
    vfs: &dyn Vfs,
    dir: &Path,
    ticks_per_second: Option<u64>,
    refused: &Error,
) -> Result<(RepairPlan, Loaded)> {
    if !Manifest::exists(vfs, dir)? && !has_files(vfs, dir)? {
        return Err(Error::NotAStore { path: dir.to_path_buf(), found: "no CURRENT".into() });
    }
    let mut salvaged = manifest::salvage(vfs, dir)?;
    let mut damage: Vec<Finding> = salvaged.damage.iter().map(|d| finding(dir, d)).collect();
    if damage.is_empty() {
        // Such as a manifest that is gone, where one that was begun after it is there.
        damage.push(Finding::of(dir, refused));
    }
    if let Some(whole) = salvaged.whole.take() {
        if lost_edits::lost(vfs, dir, &whole)?.is_none() {
            return Ok((exact(vfs, dir, &whole, damage), whole));
        }
        // That is what opening says.
        salvaged.facts.is_incomplete = true;
        damage.push(Finding::of(dir, refused));
    }
    let evidence = Evidence::collect(vfs, dir, salvaged)?;
    let ticks_per_second = evidence.ticks_per_second.or(ticks_per_second).ok_or_else(|| {
        let what = "no manifest says how many ticks a second of this store has; say it";
        Error::InvalidArgument(format!("{what} (1000, unless it was created with another number)"))
    })?;
    let rebuilt = rebuild::rebuild(&evidence)?;
    let mut plan = RepairPlan { damage, ..rebuilt.plan };
    plan.segments.sort_by_key(|segment| segment.file_number);
    let options = StoreOptions { ticks_per_second };
    let loaded = Loaded::rebuilt(
        (evidence.ids.own, options),
        rebuilt.version,
        evidence.facts.removed.clone(),
        evidence.manifest_number,
        evidence.edit_number,
    );
    Ok((plan, loaded))
}

/// The plan where what the manifest says is known.
fn exact(vfs: &dyn Vfs, dir: &Path, loaded: &Loaded, damage: Vec<Finding>) -> RepairPlan {
    let mut plan = RepairPlan { damage, is_exact: true, ..RepairPlan::default() };
    for meta in loaded.version.segments() {
        let path = dir.join(FileName::Segment(meta.file_number).to_string());
        let is_there = vfs.file_len(&path).is_ok_and(|bytes| bytes == meta.file_bytes);
        let fate = if is_there { Fate::Kept } else { Fate::Unreadable };
        plan.lost_samples += if is_there { 0 } else { meta.samples };
        plan.segments.push(RepairSegment::new(dir, meta, fate));
    }
    plan.segments.sort_by_key(|segment| segment.file_number);
    plan
}

fn finding(dir: &Path, damage: &manifest::ManifestDamage) -> Finding {
    let mut finding = Finding::of(dir, &damage.error);
    if damage.is_mended {
        finding.message.push_str("; it is a single wrong bit, which is set right");
    }
    finding
}

/// Whether there is anything that belongs to a store.
fn has_files(vfs: &dyn Vfs, dir: &Path) -> Result<bool> {
    let entries = vfs.list(dir).map_err(|e| Error::io("list", dir, e))?;
    Ok(entries.iter().filter(|entry| !entry.is_dir).any(|entry| {
        let role = entry.name.to_str().and_then(FileName::parse);
        matches!(role, Some(FileName::Manifest(_) | FileName::Wal(_) | FileName::Segment(_)))
    }))
}
