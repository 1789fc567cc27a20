//! Opening a store: lock, manifest, leftovers, recovery, first log file.

use std::collections::HashSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::commit::Commit;
use super::core::{Broken, Core, Generation, Live, Parts, PendingDelete};
use super::generation::{CreateWal, create_wal};
use super::graveyard::is_damaged;
use super::options::Options;
use super::quarantine::Orphans;
use super::replay::{Ended, Part, Recovered, Replay, has_log, wal_numbers};
use super::report::{Finding, OpenReport};
use super::reserve;
use super::unlisted::Unlisted;
use crate::deletes;
use crate::error::{Error, Result};
use crate::flush::FlushJob;
use crate::manifest::{Manifest, StoreOptions, Version, VersionEdit, WalCovered};
use crate::memtable::Memtable;
use crate::segment::{BlockCache, Segment};
use crate::series::Registry;
use crate::sys::{Executor, LockGuard, SyncPoint, Vfs, random_bytes};
use crate::types::{FileName, TEMPORARY_SUFFIX};

/// Ticks per second of a store that is created without saying.
const TICKS_PER_SECOND: u64 = 1000;

type OpenSegments = (Vec<Arc<Segment>>, Vec<Arc<Broken>>);

/// A store in the course of being opened.
struct Opening<'a> {
    dir: &'a Path,
    options: &'a Options,
    manifest: Manifest,
    unlisted: Unlisted,
    next_file_number: u64,
    report: OpenReport,
    superseded: u64,
    /// Whether nothing depends on the log files found any more.
    logs_covered: bool,
}

/// Opens the store in `dir`, or creates it.
pub(super) fn open(dir: &Path, options: Options) -> Result<Core> {
    options.check()?;
    let clock = Arc::clone(&options.clock);
    let start = clock.monotonic();
    let vfs = Arc::clone(&options.vfs);
    if !Manifest::exists(&*vfs, dir).unwrap_or(false) {
        prepare_directory(&*vfs, dir, &options)?;
    }
    let lock = lock(&*vfs, dir)?;
    reserve::give_back_leftover(&*vfs, dir)?;
    let (manifest, obsolete) = open_manifest(&vfs, dir, &options)?;
    let next_file_number = first_free_number(&*vfs, dir, manifest.version().next_file_number())?;
    let mut opening = Opening {
        dir,
        options: &options,
        manifest,
        unlisted: Unlisted::new(Arc::clone(&vfs), dir.to_path_buf()),
        next_file_number,
        report: OpenReport::default(),
        superseded: 0,
        logs_covered: false,
    };
    let orphans = Orphans::find(&*vfs, dir);
    opening.remove_leftovers(&obsolete)?;
    let recovered = opening.recover()?;
    let mut parts = opening.into_parts(recovered, lock)?;
    if parts.report.findings.is_empty() {
        orphans.trim(&*vfs);
    }
    parts.report.elapsed = clock.monotonic().saturating_sub(start);
    parts.options = options;
    let core = Core::new(parts);
    core.start_reserve()?;
    Ok(core)
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

fn lock(vfs: &dyn Vfs, dir: &Path) -> Result<Box<dyn LockGuard>> {
    let path = dir.join(FileName::Lock.to_string());
    vfs.lock(&path).map_err(|e| match e.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: dir.to_path_buf() },
        _ => Error::io("lock", path, e),
    })
}

/// The manifest, and the file numbers of segments that its edits removed.
fn open_manifest(
    vfs: &Arc<dyn Vfs>,
    dir: &Path,
    options: &Options,
) -> Result<(Manifest, HashSet<u64>)> {
    let wanted = options.ticks_per_second;
    if !Manifest::exists(&**vfs, dir)? {
        let uuid = random_bytes::<16>().map_err(|e| Error::io("draw random bytes for", dir, e))?;
        let ticks_per_second = if wanted == 0 { TICKS_PER_SECOND } else { wanted };
        let manifest = Manifest::create(vfs, dir, uuid, StoreOptions { ticks_per_second })?;
        return Ok((manifest, HashSet::new()));
    }
    let (manifest, report) = Manifest::open(vfs, dir)?;
    if report.torn_bytes > 0 {
        tracing::info!(bytes = report.torn_bytes, "the manifest ended with a torn write");
    }
    if wanted != 0 && wanted != manifest.ticks_per_second() {
        return Err(Error::InvalidArgument(format!(
            "the store was created with {} ticks per second and cannot be opened with {wanted}",
            manifest.ticks_per_second()
        )));
    }
    Ok((manifest, report.removed))
}

/// A number above that of every file, whatever the manifest knows of it.
fn first_free_number(vfs: &dyn Vfs, dir: &Path, from_manifest: u64) -> Result<u64> {
    let mut next = from_manifest.max(1);
    for dir in [dir.to_path_buf(), dir.join(FileName::Quarantine.to_string())] {
        for entry in vfs.list(&dir).unwrap_or_default() {
            let name = entry.name.to_string_lossy();
            let name = name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&name);
            if let Some(FileName::Wal(n) | FileName::Segment(n) | FileName::Tombstones(n)) =
                FileName::parse(name)
            {
                next = next.max(n.saturating_add(1));
            }
        }
    }
    Ok(next)
}

impl Opening<'_> {
    fn vfs(&self) -> &Arc<dyn Vfs> {
        &self.options.vfs
    }

    /// Deletes temporary files; tombstone files of which the manifest lists nothing: the log still has
    /// what is in them, or nothing needs it any more; and segments that no manifest lists and nobody
    /// can need: those that an edit removed, as merges and retention do, and outputs of a merge that was
    /// not published, whose inputs are all there. Sets aside the other unlisted segments, such as those
    /// of an interrupted flush, whose samples the log still has, and those that a merge found damaged.
    fn remove_leftovers(&mut self, obsolete: &HashSet<u64>) -> Result<()> {
        let version = Arc::clone(self.manifest.version());
        let listed: HashSet<u64> = version.segments().iter().map(|m| m.file_number).collect();
        let entries = self.vfs().list(self.dir).map_err(|e| Error::io("list", self.dir, e))?;
        for entry in entries {
            let Some(name) = entry.name.to_str() else { continue };
            let path = self.dir.join(name);
            let is_left = match FileName::parse(name) {
                Some(FileName::Tombstones(number)) => {
                    !version.tombstone_files().iter().any(|&(known, _)| known == number)
                }
                Some(FileName::Segment(number)) => {
                    if !listed.contains(&number) {
                        self.remove_unlisted(number, &path, obsolete.contains(&number))?;
                    }
                    false
                }
                _ => name.ends_with(TEMPORARY_SUFFIX),
            };
            if is_left {
                self.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
        }
        Ok(())
    }

    fn remove_unlisted(&self, number: u64, path: &Path, is_obsolete: bool) -> Result<()> {
        let vfs = &**self.vfs();
        let needless = is_obsolete && !is_damaged(vfs, self.dir, number)
            || !is_obsolete && self.is_unpublished_merge(number);
        if needless {
            tracing::info!(path = %path.display(), "a segment that nothing lists any more");
            return vfs.remove(path).map_err(|e| Error::io("remove", path, e));
        }
        tracing::info!(path = %path.display(), "a segment that nothing lists is set aside");
        set_aside(vfs, self.dir, path)
    }

    /// Whether a segment is the output of a merge of segments that are all listed and there.
    fn is_unpublished_merge(&self, file_number: u64) -> bool {
        let Ok(footer) = Segment::discover_replaced(&**self.vfs(), self.dir, file_number) else {
            return false;
        };
        let is_whole = |&number: &u64| {
            let path = self.dir.join(FileName::Segment(number).to_string());
            let segments = self.manifest.version().segments();
            let listed = segments.iter().find(|meta| meta.file_number == number);
            listed.is_some_and(|meta| {
                self.vfs().file_len(&path).is_ok_and(|bytes| bytes == meta.file_bytes)
            })
        };
        let (uuid, replaced) = footer;
        uuid == self.manifest.uuid() && !replaced.is_empty() && replaced.iter().all(is_whole)
    }

    /// Replays the log and writes what it held to segments, so that nothing depends any more on
    /// pages which an earlier process may have failed to sync.
    fn recover(&mut self) -> Result<Recovered> {
        let covered = self.manifest.version().wal_covered();
        let mut report = std::mem::take(&mut self.report);
        let vfs = Arc::clone(self.vfs());
        let replay = Replay {
            vfs: &*vfs,
            dir: self.dir,
            uuid: self.manifest.uuid(),
            covered,
            has_log: has_log(self.manifest.version()),
            memtable_bytes_max: self.options.memtable_bytes_max(),
            registry_bytes_max: self.options.registry_bytes_max() / 2,
        };
        // Once a part could not be flushed, those behind it stay in memory too.
        let mut fault = None;
        let mut kept_bytes = 0;
        let recovered = replay.run(&mut report, &mut |part, registry| {
            if fault.is_none() {
                fault = self.flush_unless_full(part, registry)?;
            }
            let Some(error) = &fault else { return Ok(Ended::Flushed) };
            kept_bytes += part.memtable.bytes() as u64;
            match kept_bytes > 2 * self.options.memtable_bytes_max() {
                true => Err(error.duplicate()),
                false => Ok(Ended::Kept),
            }
        });
        self.report = report;
        let mut recovered = recovered?;
        let last = recovered.parts.last_mut().expect("there is always a part");
        last.file_number = self.next_file_number;
        let done = match &recovered.parts[..] {
            [part] if part.is_empty() => self.cover_empty_logs(recovered.last_seq)?,
            [part] => self.flush_unless_full(part, &recovered.registry)?.is_none(),
            _ => false,
        };
        if done {
            recovered.parts.clear();
        }
        self.logs_covered = done;
        Ok(recovered)
    }

    /// Flushes a part. The fault that kept it from that, if it is one that may pass: the part is in
    /// memory and in the log, and the flusher will try again.
    fn flush_unless_full(
        &mut self,
        part: &Part,
        registry: &Arc<Registry>,
    ) -> Result<Option<Error>> {
        match self.flush(part, registry) {
            Ok(()) => Ok(None),
            Err(error @ (Error::DiskFull { .. } | Error::Io { .. })) => {
                tracing::warn!(%error, "what was recovered could not be flushed yet");
                Ok(Some(error))
            }
            Err(error) => Err(error),
        }
    }

    /// Covers log files without samples in the manifest, so that their removal, which a crash may
    /// cut short or undo in part, never looks like a loss. Whether they may be removed.
    fn cover_empty_logs(&mut self, last_seq: u64) -> Result<bool> {
        if wal_numbers(&**self.vfs(), self.dir)?.is_empty() {
            return Ok(false);
        }
        let seq = last_seq.max(self.manifest.version().last_seq());
        let edit = VersionEdit {
            wal_covered: Some(WalCovered { file_number: self.next_file_number, seq }),
            next_file_number: Some(self.next_file_number),
            last_seq: Some(seq),
            ..VersionEdit::default()
        };
        match self.manifest.append(&edit) {
            Ok(_) => Ok(true),
            Err(error @ (Error::DiskFull { .. } | Error::Io { .. })) => {
                tracing::warn!(%error, "empty log files stay");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes a recovered part to a segment and a tombstone file, and covers it in the manifest.
    fn flush(&mut self, part: &Part, registry: &Arc<Registry>) -> Result<()> {
        self.unlisted.settle(&mut self.manifest)?;
        let mut files = Vec::new();
        let prepared = self.prepare_flush(part, registry, &mut files);
        let edit = prepared.inspect_err(|_| self.unlisted.remove(&files))?;
        self.unlisted.list(&mut self.manifest, &edit, &files).map(|_| ())
    }

    /// The files of a part, and the edit that is to list them. `files` are those that were written,
    /// also after an error.
    fn prepare_flush(
        &mut self,
        part: &Part,
        registry: &Arc<Registry>,
        files: &mut Vec<FileName>,
    ) -> Result<VersionEdit> {
        let vfs = Arc::clone(self.vfs());
        let mut edit = VersionEdit::default();
        if part.memtable.published() > 0 {
            let file_number = self.new_file_number();
            let job = FlushJob {
                vfs: &vfs,
                dir: self.dir,
                uuid: self.manifest.uuid(),
                file_number,
                window_ticks: self.options.window_ticks(self.manifest.ticks_per_second()),
                memtable: &part.memtable,
                registry,
            };
            let flushed = job.run()?;
            files.push(FileName::Segment(file_number));
            self.superseded += flushed.superseded;
            edit.added.push(flushed.meta);
        }
        let tombstones = deletes::unsettled(self.manifest.version(), &part.tombstones);
        if !tombstones.is_empty() {
            let file_number = self.new_file_number();
            let identity = (self.manifest.uuid(), file_number);
            deletes::write(&*vfs, self.dir, identity, &tombstones)?;
            files.push(FileName::Tombstones(file_number));
            edit.tombstones_added.extend(tombstones.into_iter().map(|t| (file_number, t)));
        }
        let seq = part.last_seq().expect("a part that is flushed is not empty");
        // All log files are older than these files' numbers when the whole log was read.
        edit.wal_covered = Some(WalCovered { file_number: part.file_number, seq });
        edit.next_file_number = Some(self.next_file_number);
        edit.last_seq = Some(seq.max(self.manifest.version().last_seq()));
        Ok(edit)
    }

    /// Removes the log files before `first`, all of them covered; those with damage are set aside.
    /// Called when `first` exists: a store that has samples is never without a log, so that one
    /// without is known to have lost it.
    fn remove_logs(&mut self, recovered: &Recovered, first: u64) -> Result<()> {
        let numbers = wal_numbers(&**self.vfs(), self.dir)?;
        for number in numbers.into_iter().filter(|&number| number < first) {
            let path = self.dir.join(FileName::Wal(number).to_string());
            if recovered.damaged.contains(&number) {
                set_aside(&**self.vfs(), self.dir, &path)?;
            } else {
                self.vfs().remove(&path).map_err(|e| Error::io("remove", &path, e))?;
            }
        }
        Ok(())
    }

    fn new_file_number(&mut self) -> u64 {
        self.next_file_number += 1;
        self.next_file_number - 1
    }

    /// Opens the segments, starts the log, and hands everything over.
    fn into_parts(mut self, recovered: Recovered, lock: Box<dyn LockGuard>) -> Result<Parts> {
        let cache = Arc::new(self.options.new_cache());
        let version = Arc::clone(self.manifest.version());
        let (segments, broken) = self.open_segments(&version, &cache)?;
        let key =
            random_bytes::<32>().map_err(|e| Error::io("draw random bytes for", self.dir, e))?;
        let registry = Registry::new(key, self.options.labels, self.options.series_max())
            .within(self.options.registry_bytes_max(), self.options.series_idle);
        let registry = Arc::new(registry);
        let last_seq = recovered.last_seq.max(version.last_seq());
        let newest = recovered.parts.iter().map(|part| part.memtable.generation()).max();
        let number = newest.unwrap_or(0) + 1;
        registry.set_generation(number);
        let file_number = self.new_file_number();
        let wal = self.first_wal(file_number, last_seq, &recovered)?;
        if wal.is_some() && self.logs_covered {
            self.remove_logs(&recovered, file_number)?;
        }
        let created = self.options.clock.monotonic();
        let generation = |memtable, registry| Generation {
            memtable,
            registry,
            wal_end: OnceLock::new(),
            created,
            in_doubt: AtomicBool::new(false),
        };
        let active = Arc::new(generation(Arc::new(Memtable::new(number)), Arc::clone(&registry)));
        let (mut sealed, mut deletes) = (Vec::new(), Vec::new());
        for part in recovered.parts.iter().filter(|part| !part.is_empty()) {
            let old = generation(Arc::clone(&part.memtable), Arc::clone(&recovered.registry));
            // The last one reaches to the end of the log.
            let _ = old.wal_end.set(part.file_number);
            old.in_doubt.store(true, Ordering::Release);
            let generation = part.memtable.generation();
            let pending = |t| PendingDelete { generation, tombstone: Arc::clone(t) };
            deletes.extend(part.tombstones.iter().map(pending));
            sealed.push(Arc::new(old));
        }
        Ok(Parts {
            dir: self.dir.to_path_buf(),
            options: self.options.clone(),
            manifest: self.manifest,
            unlisted: self.unlisted,
            registry,
            cache,
            executor: Executor::with_threads(self.options.query_threads)
                .map_err(|e| Error::io("start threads for", self.dir, e))?,
            commit: Commit::new(wal, recovered.predecessor, last_seq),
            durable_seq: if sealed.is_empty() { last_seq } else { version.wal_covered().seq },
            live: Live { active, sealed, deletes, version, segments, broken },
            next_file_number: self.next_file_number,
            report: self.report,
            lock,
        })
    }

    /// Opens what the manifest lists. A segment that is missing or has the wrong size is a finding:
    /// the others go on, and queries that would need it answer with its error.
    fn open_segments(
        &mut self,
        version: &Version,
        cache: &Arc<BlockCache>,
    ) -> Result<OpenSegments> {
        let (mut segments, mut broken) = (Vec::new(), Vec::new());
        let uuid = self.manifest.uuid();
        for meta in version.segments() {
            let mode = self.options.read_mode;
            match Segment::open(self.vfs(), self.dir, uuid, meta, mode, Arc::clone(cache)) {
                Ok(segment) => segments.push(segment),
                Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
                Err(error) => {
                    let path = self.dir.join(FileName::Segment(meta.file_number).to_string());
                    self.report.findings.push(Finding::of(path, &error));
                    broken.push(Arc::new(Broken { meta: **meta, error }));
                }
            }
        }
        segments.sort_by_key(|segment| (segment.meta().max_seq, segment.meta().file_number));
        Ok((segments, broken))
    }

    /// The log file for the first batches; `None` on a full disk, where the first write tries again.
    fn first_wal(
        &self,
        file_number: u64,
        last_seq: u64,
        recovered: &Recovered,
    ) -> Result<Option<crate::wal::WalWriter>> {
        let new = CreateWal {
            dir: self.dir,
            vfs: &**self.vfs(),
            uuid: self.manifest.uuid(),
            file_number,
            last_seq,
            predecessor: recovered.predecessor,
        };
        match create_wal(&new) {
            Ok(wal) => Ok(Some(wal)),
            Err(error @ Error::DiskFull { .. }) => {
                tracing::warn!(%error, "no log file yet");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Moves a file to `quarantine/`.
pub(super) fn set_aside(vfs: &dyn Vfs, dir: &Path, path: &Path) -> Result<()> {
    let quarantine = dir.join(FileName::Quarantine.to_string());
    vfs.create_dir_all(&quarantine).map_err(|e| Error::io("create", &quarantine, e))?;
    let name = path.file_name().expect("files of a store have names");
    vfs.rename(path, &quarantine.join(name)).map_err(|e| Error::io("move to quarantine", path, e))
}
