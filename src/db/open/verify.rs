//! Every byte of a store, for the `verify` command: manifest, segments, tombstones, log.
//!
//! Writes nothing and takes no lock. It goes on behind damage; what it cannot look at at all is an
//! error.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::lost_edits;
use super::orphans;
use super::replay::{Ended, Replay, has_log};
use super::report::OpenReport;
use super::strays::{self, Next};
use super::verify_answers;
use crate::db::env::finding::Finding;
use crate::db::env::options::Options;
use crate::db::env::segment_files::SegmentFiles;
use crate::db::write::log_files;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest;
use crate::segment::{self, BlockCache};
use crate::types::{FileName, LossCounts, SegmentMeta, StoreIds};

/// Blocks of a segment's index that are kept while it is verified, in bytes.
const CACHE_BYTES: usize = 8 << 20;
/// Lost series that one finding names.
const NAMED_MAX: usize = 5;

/// What [`Verify`] looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Bytes checked.
    pub bytes: u64,
    /// Segments checked.
    pub segments: u64,
    /// Samples decoded in them.
    pub samples: u64,
    /// Samples that are lost, at most: the findings say which.
    pub lost_samples: u64,
    /// Samples whose loss was accepted and that still hide older ones, at most. They are no findings.
    pub accepted_samples: u64,
    /// What the store has lost over its life, also what was written again, deleted or accepted since.
    pub lifetime: LossCounts,
    /// Tombstone files checked.
    pub tombstone_files: u64,
    /// Batches of the log.
    pub batches: u64,
    /// Deletes of the log.
    pub deletes: u64,
    /// Damaged places reported.
    pub findings: u64,
    /// Files reported that are named like the store's and are not: see
    /// [`OpenReport::warnings`](crate::OpenReport::warnings).
    pub warnings: u64,
}

/// Checks every byte of a store against its checksums and every number against what it counts. Writes
/// nothing, takes no lock, and works on a store that another process has open.
///
/// ```
/// # use siltstone::{Db, Options, Verify};
/// # let dir = tempfile::tempdir()?;
/// # Db::open(dir.path(), Options::default())?.close()?;
/// let report = Verify::new(dir.path())
///     .on_progress(|done, all| println!("{done} of {all} bytes"))
///     .on_finding(|finding| println!("{finding}"))
///     .run()?;
/// assert_eq!(report.findings, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Verify<'a> {
    dir: &'a Path,
    options: Options,
    on_progress: Box<dyn FnMut(u64, u64) + 'a>,
    on_finding: Box<dyn FnMut(&Finding) + 'a>,
    on_warning: Box<dyn FnMut(&Finding) + 'a>,
    is_deep: bool,
}

impl<'a> Verify<'a> {
    /// Of the store in `dir`.
    #[must_use]
    pub fn new(dir: &'a Path) -> Self {
        Self {
            dir,
            options: Options::default(),
            on_progress: Box::new(|_, _| ()),
            on_finding: Box::new(|_| ()),
            on_warning: Box::new(|_| ()),
            is_deep: false,
        }
    }

    /// Of these options the file system, the read mode and the limits of memtables count.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        Self { options, ..self }
    }

    /// Whether everything is read several times more, as queries do: each series decoded and from the
    /// summaries of its chunks, in buckets that chunks lie in and in buckets that cut them, ahead and one by one;
    /// where two answers differ, that is a finding. It takes about four times as long, and is not done in a
    /// store in which something is damaged. Default: false.
    #[must_use]
    pub fn deep(self, is_deep: bool) -> Self {
        Self { is_deep, ..self }
    }

    /// Calls `on_progress` often, with the bytes done and those there are.
    #[must_use]
    pub fn on_progress(self, on_progress: impl FnMut(u64, u64) + 'a) -> Self {
        Self { on_progress: Box::new(on_progress), ..self }
    }

    /// Calls `on_finding` with each damaged place, as it is found.
    #[must_use]
    pub fn on_finding(self, on_finding: impl FnMut(&Finding) + 'a) -> Self {
        Self { on_finding: Box::new(on_finding), ..self }
    }

    /// Calls `on_warning` with each file that is named like the store's and is not.
    #[must_use]
    pub fn on_warning(self, on_warning: impl FnMut(&Finding) + 'a) -> Self {
        Self { on_warning: Box::new(on_warning), ..self }
    }

    /// Looks at everything; goes on behind damage.
    ///
    /// # Errors
    /// What keeps it from looking: [`Error::NotAStore`], [`Error::UnsupportedVersion`], I/O errors. A
    /// damaged manifest is a finding, and then the segments are not known.
    pub fn run(mut self) -> Result<VerifyReport> {
        let (dir, options) = (self.dir, &self.options);
        let loaded = match lost_edits::load(&*options.vfs, dir) {
            Ok(loaded) => loaded,
            Err(error @ Error::Corrupt { .. }) => {
                (self.on_finding)(&Finding::of(dir, &error));
                return Ok(VerifyReport { findings: 1, ..VerifyReport::default() });
            }
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotAStore { path: dir.into(), found: "no CURRENT".into() });
            }
            Err(error) => return Err(error),
        };
        let mut warnings = strays::find(&*options.vfs, dir, Next::of(&loaded));
        let mut orphans = OpenReport::default();
        let next = loaded.version.next_file_number();
        orphans::note(&*options.vfs, dir, next, &mut orphans);
        warnings.append(&mut orphans.warnings);
        warnings.iter().for_each(|warning| (self.on_warning)(warning));
        let mut report =
            verify(dir, options, &loaded, &mut *self.on_progress, &mut *self.on_finding)?;
        orphans.findings.iter().for_each(|orphan| (self.on_finding)(orphan));
        report.findings += orphans.findings.len() as u64;
        if self.is_deep && report.findings == 0 {
            report.findings += verify_answers::compare(dir, options, &mut *self.on_finding)?;
        }
        Ok(VerifyReport { warnings: warnings.len() as u64, ..report })
    }
}

impl fmt::Debug for Verify<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verify").field("dir", &self.dir).finish_non_exhaustive()
    }
}

fn verify(
    dir: &Path,
    options: &Options,
    loaded: &manifest::Loaded,
    progress: &mut dyn FnMut(u64, u64),
    finding: &mut dyn FnMut(&Finding),
) -> Result<VerifyReport> {
    let lifetime = loaded.version.losses();
    let report = VerifyReport { lifetime, ..VerifyReport::default() };
    let mut run = Run { dir, options, report, finding };
    let wal = wal_bytes(dir, options, loaded.version.next_file_number())?;
    let total = loaded.version.segments().iter().map(|meta| meta.file_bytes).sum::<u64>() + wal;
    let ids = loaded.ids();
    for meta in loaded.version.segments() {
        progress(run.report.bytes, total);
        run.segment(&ids, meta)?;
    }
    progress(run.report.bytes, total);
    run.tombstones(loaded)?;
    run.log(loaded)?;
    run.report.bytes += wal;
    progress(total, total);
    Ok(run.report)
}

fn wal_bytes(dir: &Path, options: &Options, next: u64) -> Result<u64> {
    let logs = log_files::list(&*options.vfs, dir, next)?;
    Ok(logs.into_iter().map(|(_, bytes)| bytes).sum())
}

struct Run<'a> {
    dir: &'a Path,
    options: &'a Options,
    report: VerifyReport,
    finding: &'a mut dyn FnMut(&Finding),
}

impl Run<'_> {
    fn found(&mut self, found: &Finding) {
        self.report.findings += 1;
        self.report.lost_samples += found.lost.iter().map(|lost| lost.samples).sum::<u64>();
        (self.finding)(found);
    }

    fn segment(&mut self, ids: &StoreIds, meta: &SegmentMeta) -> Result<()> {
        let path = self.dir.join(FileName::Segment(meta.file_number).to_string());
        let cache = Arc::new(BlockCache::new(CACHE_BYTES));
        let (vfs, read_mode) = (&self.options.vfs, self.options.read_mode);
        let opened = SegmentFiles { vfs, dir: self.dir, ids, read_mode, cache: &cache }.open(meta);
        let mut damaged = Vec::new();
        let verified = opened.and_then(|segment| segment.verify(&mut |found| damaged.push(found)));
        for found in damaged {
            let mut finding = Finding::of(&path, &found.error);
            finding.message = describe(&found);
            let lost = found.lost.iter();
            finding.lost.extend(lost.filter_map(|l| l.samples(meta.file_number, &found.error)));
            self.found(&finding);
        }
        match verified {
            Ok(verified) => {
                self.report.samples += verified.samples;
                self.report.accepted_samples += verified.accepted_samples;
            }
            Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
            Err(error) => self.found(&Finding::of(&path, &error)),
        }
        self.report.segments += 1;
        self.report.bytes += meta.file_bytes;
        Ok(())
    }

    /// Checks that each tombstone file holds what the manifest lists of it. It may hold more: those
    /// are carried out.
    fn tombstones(&mut self, loaded: &manifest::Loaded) -> Result<()> {
        for (number, listed) in loaded.version.tombstones_by_file() {
            let path = self.dir.join(FileName::Tombstones(number).to_string());
            self.report.bytes += self.options.vfs.file_len(&path).unwrap_or(0);
            match deletes::read(&*self.options.vfs, self.dir, (loaded.uuid, number)) {
                Ok(found) => {
                    let lacking = listed.iter().find(|tombstone| !found.contains(tombstone));
                    if let Some(lacking) = lacking {
                        let seq = lacking.seq;
                        let message =
                            format!("the delete {seq} of the manifest is not in the file");
                        self.found(&Finding::new(&path, message));
                    }
                }
                Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
                // The owner may be through with it meanwhile.
                Err(error) if !self.lists_tombstones(number)? => drop(error),
                Err(error) => self.found(&Finding::of(&path, &error)),
            }
            self.report.tombstone_files += 1;
        }
        Ok(())
    }

    /// Whether the manifest lists the tombstone file `number` now.
    fn lists_tombstones(&self, number: u64) -> Result<bool> {
        let now = manifest::load(&*self.options.vfs, self.dir)?;
        Ok(now.version.tombstone_files().iter().any(|&(listed, _)| listed == number))
    }

    fn log(&mut self, loaded: &manifest::Loaded) -> Result<()> {
        let mut report = OpenReport::default();
        let replay = Replay {
            vfs: &*self.options.vfs,
            dir: self.dir,
            uuid: loaded.uuid,
            next_file_number: loaded.version.next_file_number(),
            covered: loaded.version.wal_covered(),
            has_log: has_log(&loaded.version),
            memtable_bytes_max: self.options.memtable_bytes_max(),
            registry_bytes_max: u64::MAX,
        };
        match replay.run(&mut report, &mut |_, _| Ok(Ended::Flushed)) {
            Ok(_) => {}
            // The owner flushed meanwhile: what the file held is in a segment.
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        self.report.batches = report.recovered_batches;
        self.report.deletes = report.recovered_deletes;
        for found in &report.findings {
            self.found(found);
        }
        Ok(())
    }
}

/// The finding in words: what is damaged and which samples that costs.
fn describe(found: &segment::Finding) -> String {
    let mut text = found.error.to_string();
    if found.has_twin {
        text.push_str("; a second copy serves, nothing is lost");
    }
    for lost in found.lost.iter().take(NAMED_MAX) {
        let series = match &lost.labels {
            Some(labels) => labels.to_string(),
            None => format!("series {} of the segment", lost.ordinal),
        };
        text.push_str(&format!("; lost: {series} from {} to {}", lost.first, lost.last));
    }
    if found.lost.len() > NAMED_MAX {
        text.push_str(&format!("; and {} more series", found.lost.len() - NAMED_MAX));
    }
    text
}
