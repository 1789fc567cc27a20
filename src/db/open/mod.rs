//! Opening a store, and looking at one from outside.
//!
//! 1. Given a directory, it and its lock file are locked (`sys/claim.rs`), and the manifest is read. One that
//!    is damaged, or that has lost edits at its end (`lost_edits`), is refused before anything is changed.
//! 2. The reserve that an earlier process held is given back, and a new manifest is begun, or one created with
//!    a new identity.
//! 3. Files that nothing lists are removed or set aside (`leftovers`).
//! 4. The log is replayed, and what it held goes to segments (`recover`), so that nothing depends any more
//!    on pages that an earlier process may have failed to sync.
//! 5. The listed segments are opened, the first log file is made, and the old ones are removed.
//! 6. The owners are made: view, versions, writer, compactor.
//! 7. Orphans whose samples are elsewhere and beyond their share of the disk are removed from `quarantine/` if
//!    nothing was found damaged; the others stay and are reported.
//!
//! A crash at any point only means that it runs again.
//!
//! | file | what it does |
//! |---|---|
//! | `lost_edits` | whether the manifest has lost its end |
//! | `leftovers`, `unlisted`, `orphans` | files that nothing lists |
//! | `strays` | what is named like a file of the store and is none |
//! | `recover`, `replay` | from log files to segments |
//! | `report` | what opening found |
//! | `read_only` | a second process's view |
//! | `repair` | a manifest that is damaged, put together again |
//! | `verify`, `verify_answers` | every byte of a store; whether queries answer alike on all ways |
//! | `checkpoint` | the store once more, by hard links |

pub(super) mod checkpoint;
mod leftovers;
mod lost_edits;
mod orphans;
pub(super) mod read_only;
mod recover;
mod refs;
pub(super) mod repair;
mod replay;
pub(super) mod report;
mod strays;
mod unlisted;
pub(super) mod verify;
mod verify_answers;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use self::orphans::Orphans;
use self::recover::Recovery;
use self::replay::Recovered;
use self::report::OpenReport;
use self::strays::Next;
use super::compact::Compactor;
use super::env::options::Options;
use super::env::reserve;
use super::env::{Env, Identity};
use super::versions::VersionSet;
use super::versions::edit_log::EditLog;
use super::view::View;
use super::view::generation::Generation;
use super::view::read_view::{PendingDelete, ReadView};
use super::write::Writer;
use super::write::commit_state::CommitState;
use super::write::log_files::NewLogFile;
use crate::error::{Error, Result};
use crate::manifest::{Loaded, Manifest, StoreOptions};
use crate::series::Registry;
use crate::sys::{Claim, ClaimedFs, SyncPoint, Vfs, random_bytes};
use crate::types::{FileName, TEMPORARY_SUFFIX};
use crate::wal::WalWriter;

/// Ticks per second of a store that is created without saying.
const TICKS_PER_SECOND: u64 = 1000;

/// Opens the store in `dir`, or creates it.
///
/// # Errors
/// Those of [`Db::open`](crate::Db::open).
pub(super) fn open(dir: &Path, mut options: Options) -> Result<(Compactor, OpenReport)> {
    options.check()?;
    let clock = Arc::clone(&options.clock);
    let start = clock.monotonic();
    if !Manifest::exists(&*options.vfs, dir).unwrap_or(false) {
        prepare_directory(&*options.vfs, dir, &options)?;
    }
    let claim = Arc::new(claim(&options.vfs, dir)?);
    // From here on, nothing in the directory is changed but by whoever holds it.
    let vfs: Arc<dyn Vfs> = Arc::new(ClaimedFs::new(Arc::clone(&claim)));
    options.vfs = Arc::clone(&vfs);
    // Before anything is changed: a manifest that has lost its end is refused.
    let loaded = match Manifest::exists(&*vfs, dir)? {
        true => Some(lost_edits::load(&*vfs, dir)?),
        false => None,
    };
    reserve::give_back_leftover(&*vfs, dir)?;
    let (manifest, obsolete, known) = start_manifest(&vfs, dir, &options, loaded)?;
    let next_file_number = first_free_number(&*vfs, dir, manifest.version().next_file_number())?;
    let identity = Identity { ids: manifest.ids(), ticks_per_second: manifest.ticks_per_second() };
    let env = Arc::new(Env::new(dir, options, identity, next_file_number, claim)?);
    let orphans = Orphans::find(&*vfs, dir, next_file_number);
    let warnings = strays::find(&*vfs, dir, known);
    warnings.iter().for_each(|warning| tracing::warn!(%warning, "left alone"));
    leftovers::remove(&env, manifest.version(), &obsolete)?;
    let mut recovery = Recovery::new(&env, EditLog::new(&env, manifest));
    let recovered = recovery.run()?;
    let (compactor, mut report) = make_owners(&env, recovery, recovered)?;
    report.warnings = warnings;
    if report.findings.is_empty() {
        orphans.trim(&*vfs);
    }
    orphans::note(&*vfs, dir, next_file_number, &mut report);
    report.elapsed = clock.monotonic().saturating_sub(start);
    env.start_reserve()?;
    Ok((compactor, report))
}

/// Makes the directory, durable with its name and the names of its parents, some of which may be as
/// new as itself.
fn prepare_directory(vfs: &dyn Vfs, dir: &Path, options: &Options) -> Result<()> {
    if !options.create {
        return Err(Error::NotAStore { path: dir.to_path_buf(), found: "no CURRENT".into() });
    }
    vfs.create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
    Manifest::refuse_other_directories(vfs, dir)?;
    for parent in dir.ancestors().skip(1) {
        match vfs.sync_dir(parent, SyncPoint::StoreDirectory) {
            // Who may not open a directory has not made one in it.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => break,
            synced => synced.map_err(|e| Error::io("sync directory", parent, e))?,
        }
    }
    Ok(())
}

fn claim(vfs: &Arc<dyn Vfs>, dir: &Path) -> Result<Claim> {
    let path = dir.join(FileName::Lock.to_string());
    Claim::take(Arc::clone(vfs), dir, &path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: dir.to_path_buf() },
        _ => Error::io("lock", path, e),
    })
}

/// The manifest that goes on from `loaded`, or that of a new store; the file numbers of segments that
/// edits removed, and the next numbers as the manifest said them.
fn start_manifest(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    options: &Options,
    loaded: Option<Loaded>,
) -> Result<(Manifest, HashSet<u64>, Next)> {
    let wanted = options.ticks_per_second;
    let Some(loaded) = loaded else {
        let uuid = random_bytes::<16>().map_err(|e| Error::io("draw random bytes for", dir, e))?;
        let ticks_per_second = if wanted == 0 { TICKS_PER_SECOND } else { wanted };
        let manifest = Manifest::create(vfs, dir, uuid, StoreOptions { ticks_per_second })?;
        return Ok((manifest, HashSet::new(), Next { file: 1, manifest: 1 }));
    };
    let report = loaded.report.clone();
    let manifest = Manifest::go_on(vfs, dir, loaded)?;
    if report.torn_bytes > 0 {
        tracing::info!(bytes = report.torn_bytes, "the manifest ended with a torn write");
    }
    if wanted != 0 && wanted != manifest.ticks_per_second() {
        return Err(Error::InvalidArgument(format!(
            "the store was created with {} ticks per second and cannot be opened with {wanted}",
            manifest.ticks_per_second()
        )));
    }
    let file = manifest.version().next_file_number();
    Ok((manifest, report.removed, Next { file, manifest: report.manifest_number + 1 }))
}

/// A number above that of every file, whatever the manifest knows of it. Those that the store cannot
/// have given out do not count: it would have no number left.
fn first_free_number(vfs: &dyn Vfs, dir: &Path, from_manifest: u64) -> Result<u64> {
    let mut next = from_manifest.max(1);
    for dir in [dir.to_path_buf(), dir.join(FileName::Quarantine.to_string())] {
        for entry in vfs.list(&dir).unwrap_or_default() {
            let name = entry.name.to_string_lossy();
            let name = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&name);
            if let Some(FileName::Wal(n) | FileName::Segment(n) | FileName::Tombstones(n)) =
                FileName::parse_below(name, from_manifest)
            {
                next = next.max(n.saturating_add(1));
            }
        }
    }
    Ok(next)
}

/// Opens the segments, starts the log, and hands everything over to the owners.
fn make_owners(
    env: &Arc<Env>,
    recovery: Recovery,
    recovered: Recovered,
) -> Result<(Compactor, OpenReport)> {
    let (edits, mut report, logs_covered) = recovery.into_parts();
    let version = Arc::clone(edits.version());
    let mut listed = env.segment_files().open_listed(&version, &[])?;
    report.findings.append(&mut listed.findings);
    let registry = new_registry(env)?;
    let last_seq = recovered.last_seq.max(version.last_seq());
    let newest = recovered.parts.iter().map(|part| part.memtable.generation()).max();
    let number = newest.unwrap_or(0) + 1;
    registry.set_generation(number);
    let file_number = env.new_file_number();
    let log = first_log(env, file_number, last_seq, &recovered)?;
    if log.is_some() && logs_covered {
        leftovers::remove_logs(env, &recovered, file_number)?;
    }
    let created = env.clock().monotonic();
    let active = Arc::new(Generation::new(number, Arc::clone(&registry), created));
    let (mut sealed, mut deletes) = (Vec::new(), Vec::new());
    for part in recovered.parts.iter().filter(|part| !part.is_empty()) {
        let (memtable, registry) = (Arc::clone(&part.memtable), Arc::clone(&recovered.registry));
        let old = Generation::of(memtable, registry, created);
        // The last one reaches to the end of the log.
        old.end_log_before(part.file_number);
        old.set_durability_unknown();
        let generation = old.number();
        let pending = |t| PendingDelete { generation, tombstone: Arc::clone(t) };
        deletes.extend(part.tombstones.iter().map(pending));
        sealed.push(Arc::new(old));
    }
    let durable_seq = if sealed.is_empty() { last_seq } else { version.wal_covered().seq };
    let (segments, broken) = (listed.segments, listed.broken);
    let mut first = ReadView { active, sealed, deletes, version, segments, broken };
    first.sort_segments();
    let view = Arc::new(View::new(Arc::clone(env), first));
    let versions = Arc::new(VersionSet::new(Arc::clone(env), Arc::clone(&view), edits));
    let commit = CommitState::new(log, recovered.predecessor, last_seq);
    let writer = Writer::new(versions, view, registry, commit, durable_seq);
    Ok((Compactor::new(Arc::new(writer)), report))
}

/// The registry of a store that is opened, without a series.
fn new_registry(env: &Env) -> Result<Arc<Registry>> {
    let key = random_bytes::<32>().map_err(|e| Error::io("draw random bytes for", &env.dir, e))?;
    let options = &env.options;
    let registry = Registry::new(key, options.labels, options.series_max())
        .within(options.registry_bytes_max(), options.series_idle);
    Ok(Arc::new(registry))
}

/// The log file for the first batches; `None` on a full disk, where the first write tries again.
fn first_log(
    env: &Env,
    file_number: u64,
    last_seq: u64,
    recovered: &Recovered,
) -> Result<Option<WalWriter>> {
    let new = NewLogFile {
        dir: &env.dir,
        vfs: &**env.vfs(),
        uuid: env.ids.own,
        file_number,
        last_seq,
        predecessor: recovered.predecessor,
    };
    match new.create() {
        Ok(log) => Ok(Some(log)),
        Err(error @ Error::DiskFull { .. }) => {
            tracing::warn!(%error, "no log file yet");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
