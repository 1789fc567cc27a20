//! The store as a second process sees it: nothing is written, nothing is locked.
//!
//! The order is manifest, log files, manifest again: if the second reading differs, the owner flushed
//! in between and a log file may be gone whose samples are in a new segment, so it starts over.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::core::Broken;
use super::options::Options;
use super::replay::{Replay, has_log};
use super::report::{Finding, OpenReport};
use super::snapshot::{Pinned, Snapshot};
use super::stats::{BytesByKind, Stats};
use crate::error::{Error, Result};
use crate::manifest::{self, Loaded};
use crate::memtable::Memtable;
use crate::read::MemtableView;
use crate::segment::{BlockCache, Segment, SegmentDescription};
use crate::series::Registry;
use crate::sys::Executor;
use crate::types::{FileName, SegmentMeta, Timestamp};

/// Openings that the owner's flushes may spoil before giving up.
const TRIES_MAX: usize = 10;

/// A view of a store that may be open elsewhere: everything that was written before it was opened.
/// It makes no change to the directory, and works on a read-only disk.
pub struct ReadOnlyDb {
    dir: PathBuf,
    options: Options,
    loaded: Loaded,
    segments: Vec<Arc<Segment>>,
    broken: Vec<Arc<Broken>>,
    registry: Arc<Registry>,
    memtables: Vec<Arc<Memtable>>,
    last_seq: u64,
    executor: Executor,
    report: OpenReport,
}

impl ReadOnlyDb {
    /// Opens the store in `dir` as it is now. Of the options, the file system, the clock, the read
    /// mode, the query threads and the cache's share of the memory count.
    ///
    /// # Errors
    /// [`Error::NotAStore`]; [`Error::UnsupportedVersion`]; [`Error::Corrupt`] when the manifest is
    /// damaged; I/O errors, also when the owner flushes faster than the log can be read.
    pub fn open(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let dir = dir.as_ref();
        let start = options.clock.monotonic();
        let mut last_error = None;
        for _ in 0..TRIES_MAX {
            match Self::try_open(dir, &options) {
                Ok(Some(mut db)) => {
                    db.report.elapsed = options.clock.monotonic().saturating_sub(start);
                    return Ok(db);
                }
                Ok(None) => {}
                Err(Error::Io { source, path, operation })
                    if source.kind() == std::io::ErrorKind::NotFound =>
                {
                    if path.ends_with(FileName::Current.to_string()) {
                        return Err(Error::NotAStore {
                            path: dir.into(),
                            found: "no CURRENT".into(),
                        });
                    }
                    last_error = Some(Error::Io { operation, path, source });
                }
                Err(error) => return Err(error),
            }
        }
        Err(last_error.unwrap_or_else(|| {
            Error::LimitExceeded(format!(
                "the owner of {} flushes too fast to read it",
                dir.display()
            ))
        }))
    }

    /// One attempt; `None` when the owner flushed meanwhile.
    fn try_open(dir: &Path, options: &Options) -> Result<Option<Self>> {
        let vfs = &options.vfs;
        let loaded = manifest::load(&**vfs, dir)?;
        let mut report = OpenReport::default();
        let mut memtables = Vec::new();
        let replay = Replay {
            vfs: &**vfs,
            dir,
            uuid: loaded.uuid,
            covered: loaded.version.wal_covered(),
            has_log: has_log(&loaded.version),
            memtable_bytes_max: u64::MAX,
            registry_bytes_max: u64::MAX,
        };
        let recovered = replay.run(&mut report, |_| Ok(()))?;
        memtables.push(recovered.memtable);
        let again = manifest::load(&**vfs, dir)?;
        if again.version != loaded.version {
            return Ok(None);
        }
        let cache_bytes = usize::try_from(options.cache_bytes_max()).unwrap_or(usize::MAX);
        let cache = Arc::new(BlockCache::new(cache_bytes));
        let (mut segments, mut broken) = (Vec::new(), Vec::new());
        for meta in loaded.version.segments() {
            let cache = Arc::clone(&cache);
            match Segment::open(vfs, dir, loaded.uuid, meta, options.read_mode, cache) {
                Ok(segment) => segments.push(segment),
                Err(error @ Error::UnsupportedVersion { .. }) => return Err(error),
                Err(error) => {
                    let path = dir.join(FileName::Segment(meta.file_number).to_string());
                    report.findings.push(Finding::of(path, &error));
                    broken.push(Arc::new(Broken { meta: **meta, error }));
                }
            }
        }
        Ok(Some(Self {
            dir: dir.to_path_buf(),
            options: options.clone(),
            loaded,
            segments,
            broken,
            registry: recovered.registry,
            memtables,
            last_seq: recovered.last_seq,
            executor: Executor::with_threads(options.query_threads)
                .map_err(|e| Error::io("start threads for", dir, e))?,
            report,
        }))
    }

    /// What opening found. A torn write at the end of the log may be one that the owner is writing.
    #[must_use]
    pub fn open_report(&self) -> &OpenReport {
        &self.report
    }

    /// Ticks of a timestamp per second.
    #[must_use]
    pub fn ticks_per_second(&self) -> u64 {
        self.loaded.ticks_per_second
    }

    /// What was stored when this was opened.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let views =
            self.memtables.iter().filter_map(|m| MemtableView::now(Arc::clone(m))).collect();
        Snapshot::of(Pinned {
            segments: &self.segments,
            broken: &self.broken,
            memtables: vec![(Arc::clone(&self.registry), views)],
            executor: self.executor.clone(),
            clock: Arc::clone(&self.options.clock),
        })
    }

    /// The segments that the manifest lists, by their earliest sample.
    #[must_use]
    pub fn segments(&self) -> &[Arc<SegmentMeta>] {
        self.loaded.version.segments()
    }

    /// What is in the segment with this file number.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when there is none; its own error when it is damaged.
    pub fn segment(&self, file_number: u64) -> Result<SegmentDescription> {
        self.opened(file_number)?.describe()
    }

    /// First tick and length in ticks of the window that the segment with this file number is
    /// confined to; `None` if it is not. Reads its footer only.
    ///
    /// # Errors
    /// As [`ReadOnlyDb::segment`].
    pub fn segment_window(&self, file_number: u64) -> Result<Option<(Timestamp, u64)>> {
        self.opened(file_number)?.window()
    }

    fn opened(&self, file_number: u64) -> Result<&Arc<Segment>> {
        let broken = self.broken.iter().find(|b| b.meta.file_number == file_number);
        if let Some(broken) = broken {
            return Err(broken.error.duplicate());
        }
        let found = self.segments.iter().find(|s| s.meta().file_number == file_number);
        found.ok_or_else(|| {
            Error::InvalidArgument(format!("the store has no segment {file_number}"))
        })
    }

    /// What can be counted without the owner.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let rows: u64 = self.memtables.iter().map(|m| u64::from(m.published())).sum();
        Stats {
            active_series: self.registry.len() as u64,
            samples: rows + self.segments().iter().map(|meta| meta.samples).sum::<u64>(),
            segments: self.segments().len() as u64,
            bytes_by_kind: BytesByKind::of(&*self.options.vfs, &self.dir, &self.segments),
            memtable_bytes: self.memtables.iter().map(|m| m.bytes() as u64).sum(),
            registry_bytes: self.registry.memory_bytes() as u64,
            memory_budget_bytes: self.options.memory_budget_bytes,
            last_seq: self.last_seq,
            corruption: self.report.findings.len() as u64,
            ..Stats::default()
        }
    }

    /// How long opening took.
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
