//! The store as a second process sees it: nothing is written, nothing is locked.
//!
//! Reading it is the work of [`view`]. Afterwards the owner may replace segments: a query opens those that it touches
//! before its first row, and if one is gone it answers so instead of with a part.

mod view;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::view::{TRIES_MAX, View};
use super::report::OpenReport;
use crate::compaction::{self, CompactionPlan, PickerOptions};
use crate::db::compact::on_demand::PLANNED_MAX;
use crate::db::env::options::Options;
use crate::db::losses::Losses;
use crate::db::snapshot::Snapshot;
use crate::db::stats::{BytesByKind, Stats};
use crate::db::view::sources::Pinned;
use crate::db::write::log_files;
use crate::deletes;
use crate::error::{Error, Result};
use crate::manifest;
use crate::read::MemtableView;
use crate::segment::{BlockCache, Segment, SegmentDescription};
use crate::series::Cardinality;
use crate::sys::Executor;
use crate::types::{SegmentMeta, StoreIds, TimeRange, Timestamp, Tombstone};

/// A view of a store that may be open elsewhere: everything that was written before it was opened, or
/// [refreshed](Self::refresh). It makes no change to the directory, and works on a read-only disk.
pub struct ReadOnlyDb {
    dir: PathBuf,
    options: Options,
    cache: Arc<BlockCache>,
    executor: Executor,
    view: View,
    report: OpenReport,
}

impl ReadOnlyDb {
    /// Opens the store in `dir` as it is now. Of the options, the file system, the clock, the read
    /// mode, the query threads, the open files and the cache's share of the memory count.
    ///
    /// # Errors
    /// [`Error::NotAStore`]; [`Error::UnsupportedVersion`]; [`Error::Corrupt`] when the manifest is
    /// damaged; [`Error::SnapshotGone`] when the owner changes the store faster than it can be read;
    /// I/O errors.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let dir = dir.as_ref();
        let cache = Arc::new(options.new_cache().of_foreign_files());
        let (view, report) = View::read(dir, &options, &cache, &[])?;
        Ok(Self {
            executor: Executor::with_threads(options.query_threads)
                .map_err(|e| Error::io("start threads for", dir, e))?,
            dir: dir.to_path_buf(),
            options,
            cache,
            view,
            report,
        })
    }

    /// Takes in what was written since; whether anything was. Segments that are still listed stay
    /// open; the log is read anew, whole. A store at rest costs two reads and a listing, unless one of its
    /// segments could not be opened: that is tried again. Snapshots that were taken before see what they
    /// saw.
    ///
    /// # Errors
    /// As [`ReadOnlyDb::open`]; [`Error::InvalidArgument`] when another store, or a copy of this one, is in
    /// its place now, whose blocks may lie where those of this one did. The view is then as before.
    pub fn refresh(&mut self) -> Result<bool> {
        if self.is_current()? {
            return Ok(false);
        }
        let known = &self.view.segments;
        let (view, report) = View::read(&self.dir, &self.options, &self.cache, known)?;
        // The cache knows blocks by the numbers of their files, which both stores have.
        if view.loaded.uuid != self.view.loaded.uuid {
            let dir = self.dir.display();
            let message =
                format!("{dir} holds another store than when it was opened: open it again");
            return Err(Error::InvalidArgument(message));
        }
        (self.view, self.report) = (view, report);
        Ok(true)
    }

    /// Whether manifest and log files are as they were when they were read, and no segment may have come
    /// back since.
    fn is_current(&self) -> Result<bool> {
        let vfs = &*self.options.vfs;
        let loaded = match manifest::load(vfs, &self.dir) {
            Ok(loaded) => loaded,
            // Replaced in between: something changed.
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(error),
        };
        Ok(self.view.broken.is_empty()
            && loaded.uuid == self.view.loaded.uuid
            && loaded.version == self.view.loaded.version
            && log_files::list(vfs, &self.dir, loaded.version.next_file_number())?
                == self.view.logs)
    }

    /// Calls `read` with a snapshot, and while it answers with [`Error::SnapshotGone`], because the
    /// owner has replaced files that it needs, refreshes and calls it again, ten times in all.
    ///
    /// # Errors
    /// Those of `read` and of [`ReadOnlyDb::refresh`].
    pub fn read<T>(&mut self, mut read: impl FnMut(&Snapshot) -> Result<T>) -> Result<T> {
        for _ in 1..TRIES_MAX {
            match read(&self.snapshot()) {
                Err(Error::SnapshotGone { .. }) => self.refresh()?,
                answer => return answer,
            };
        }
        read(&self.snapshot())
    }

    /// The directory of the store.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The options that the store was opened with.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the last opening or refresh found. A torn write at the end of the log may be one that the
    /// owner is writing.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.report
    }

    /// Ticks of a timestamp per second.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.view.loaded.ticks_per_second
    }

    /// What was stored when this was opened or refreshed last.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let views =
            self.view.memtables.iter().filter_map(|m| MemtableView::now(Arc::clone(m))).collect();
        Snapshot::of_foreign(Pinned {
            segments: &self.view.segments,
            broken: &self.view.broken,
            memtables: vec![(Arc::clone(&self.view.registry), views)],
            tombstones: self.view.tombstones.clone(),
            executor: self.executor.clone(),
            clock: Arc::clone(&self.options.clock),
            ticks_per_second: self.ticks_per_second(),
            query_bytes_max: self.options.query_bytes_max(),
        })
    }

    /// The segments that the manifest lists, by their earliest sample.
    #[must_use]
    pub fn segments(&self) -> &[Arc<SegmentMeta>] {
        self.view.loaded.version.segments()
    }

    /// What is in the segment with this file number.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is none; its own error when it is damaged.
    pub fn segment(&self, file_number: u64) -> Result<SegmentDescription> {
        self.opened(file_number)?.describe()
    }

    /// What is known to be lost; see [`Db::losses`](crate::Db::losses).
    ///
    /// # Errors
    /// I/O errors; [`Error::SnapshotGone`].
    pub fn losses(&self) -> Result<Losses> {
        Losses::of(&self.view.loaded.version, &self.view.segments, &self.view.broken)
    }

    /// First tick and length in ticks of the window that the segment with this file number is
    /// confined to; `None` if it is not. Reads its footer only.
    ///
    /// # Errors
    /// As [`ReadOnlyDb::segment`].
    pub fn segment_window(&self, file_number: u64) -> Result<Option<(Timestamp, u64)>> {
        self.opened(file_number)?.window()
    }

    /// The deletes that compaction has not carried out everywhere yet, by seq.
    pub fn tombstones(&self) -> impl Iterator<Item = &Arc<Tombstone>> {
        self.view.tombstones.iter()
    }

    /// The merges that [`Db::compact`](crate::Db::compact) of `range` would make with the
    /// [`window`](Options::window) of these options. Samples that are in the log alone, which it
    /// flushes first, are not in the plan.
    #[must_use]
    pub fn compaction_plan(&self, range: TimeRange) -> CompactionPlan {
        let ticks_per_second = self.ticks_per_second();
        let wall_ms = i128::from(self.options.clock.wall_ms());
        let now = (wall_ms * i128::from(ticks_per_second)).div_euclid(1000);
        let excluded = self.view.broken.iter().map(|broken| broken.meta.file_number).collect();
        let deleted_from = self.deleted_from();
        let view = compaction::View {
            segments: self.segments(),
            excluded: &excluded,
            erase_due: &|meta| deleted_from.contains(&meta.file_number),
            now: Timestamp::try_from(now).unwrap_or(Timestamp::MAX),
            quiet: true,
            input_bytes_max: u64::MAX,
            options: &PickerOptions::new(self.options.window_ticks(ticks_per_second)),
        };
        compaction::plan_range(&view, range, PLANNED_MAX)
    }

    /// File numbers of the segments that hold deleted samples, as far as their indexes can be read.
    fn deleted_from(&self) -> HashSet<u64> {
        let tombstones: Vec<Arc<Tombstone>> = self.tombstones().cloned().collect();
        let metas = self.segments().iter().map(|meta| (meta.file_number, meta));
        let metas: HashMap<u64, &Arc<SegmentMeta>> = metas.collect();
        let is_hit = |segment: &&Arc<Segment>| {
            let meta = metas.get(&segment.meta().file_number);
            meta.is_some_and(|meta| {
                matches!(deletes::first_match(segment, meta, &tombstones), Ok(Some(_)))
            })
        };
        let segments = self.view.segments.iter().filter(is_hit);
        segments.map(|segment| segment.meta().file_number).collect()
    }

    /// The segments, open: all that the manifest lists.
    ///
    /// # Errors
    /// That of the first one that cannot be opened.
    pub(in crate::db) fn opened_segments(&self) -> Result<&[Arc<Segment>]> {
        match self.view.broken.first() {
            Some(broken) => Err(broken.error.duplicate()),
            None => Ok(&self.view.segments),
        }
    }

    /// The identity of the store.
    pub(in crate::db) fn ids(&self) -> StoreIds {
        self.view.loaded.ids()
    }

    /// Samples that are in the log alone.
    pub(in crate::db) fn unflushed(&self) -> u64 {
        self.view.memtables.iter().map(|memtable| u64::from(memtable.published())).sum()
    }

    fn opened(&self, file_number: u64) -> Result<&Arc<Segment>> {
        let broken = self.view.broken.iter().find(|b| b.meta.file_number == file_number);
        if let Some(broken) = broken {
            return Err(broken.error.duplicate());
        }
        let found = self.view.segments.iter().find(|s| s.meta().file_number == file_number);
        found.ok_or_else(|| {
            Error::InvalidArgument(format!("the store has no segment {file_number}"))
        })
    }

    /// As [`Db::cardinality`](crate::Db::cardinality), of the series that have samples in the log: which
    /// others the owner has in memory is not known here.
    #[must_use]
    pub fn cardinality(&self, top: usize) -> Cardinality {
        self.view.registry.cardinality(top)
    }

    /// What can be counted without the owner: what is stored, and what this opener holds. Everything else
    /// is 0.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let cache = self.cache.stats();
        let rows: u64 = self.view.memtables.iter().map(|m| u64::from(m.published())).sum();
        Stats {
            active_series: self.view.registry.len() as u64,
            samples: rows + self.segments().iter().map(|meta| meta.samples).sum::<u64>(),
            segments: self.segments().len() as u64,
            bytes_by_kind: BytesByKind::of(&*self.options.vfs, &self.dir, &self.view.segments),
            memtable_bytes: self.view.memtables.iter().map(|m| m.bytes() as u64).sum(),
            registry_bytes: self.view.registry.memory_bytes() as u64,
            cache_bytes: cache.bytes,
            open_files: cache.open_files,
            open_files_max: self.cache.open_files_max() as u64,
            tombstones: self.view.tombstones.iter().count() as u64,
            memory_budget_bytes: self.options.memory_budget_bytes,
            last_seq: self.view.last_seq,
            corruption: self.report.findings.len() as u64,
            ..Stats::default()
        }
    }

    /// How long the last opening or refresh took.
    #[must_use]
    pub fn opened_in(&self) -> Duration {
        self.report.elapsed
    }
}

impl fmt::Debug for ReadOnlyDb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadOnlyDb").field("dir", &self.dir).finish_non_exhaustive()
    }
}
