//! What an embedder may choose when opening a store.

use std::sync::Arc;
use std::time::Duration;

use super::observer::Observer;
use crate::compaction::RetentionLimits;
use crate::error::{Error, Result};
use crate::segment::BlockCache;
use crate::sys::{Clock, DiskFs, ReadMode, SystemClock, Vfs};
use crate::types::LabelsLimits;

/// When a write is acknowledged, and so what a crash may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// When a sync has covered it: nothing acknowledged is lost by a killed process or a power cut.
    /// Writers that wait together share one sync.
    Always,
    /// When it is written; a timer syncs at this interval (10 ms to 10 s). A killed process loses
    /// nothing, a power cut at most the interval and one sync.
    Interval(Duration),
    /// When it is written; files are synced only when they are complete. A killed process loses
    /// nothing, a power cut everything since the last flush.
    Never,
}

/// Who runs flushes, timers and syncs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    /// The store starts its own threads.
    Threads,
    /// The embedder calls [`Db::tick`](crate::Db::tick); the store starts no thread.
    Manual,
}

/// How a store is opened. All limits are enforced; [`Options::default`] suits a program that
/// embeds the store beside its own work.
///
/// ```
/// # use siltstone::{Durability, Options};
/// # use std::time::Duration;
/// let options = Options { durability: Durability::Interval(Duration::from_secs(1)), ..Options::default() };
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    /// When writes are acknowledged. Default: [`Durability::Always`].
    pub durability: Durability,
    /// Who runs the background work. Default: [`Background::Threads`].
    pub background: Background,
    /// Ticks of a timestamp per second, fixed when the store is created. Default: 1,000. 0 opens a
    /// store with whatever it was created with (and creates one with 1,000).
    pub ticks_per_second: u64,
    /// Bytes of heap that the store may use, at least 16 MiB: the registry takes 40 % of it, memtables 35 %,
    /// the block cache 15 %; the rest is for flushes and merges, and for the queue of batches. A query
    /// may take a quarter of it for as long as it runs, unless
    /// [`QueryOptions::bytes_max`](crate::QueryOptions::bytes_max) says otherwise. Default: 512 MiB.
    pub memory_budget_bytes: u64,
    /// Most active series; new ones beyond it are refused, known ones go on. Default: none but the
    /// memory budget.
    pub series_max: Option<u32>,
    /// A series without a sample for this long counts as idle, and loses its place in memory to a new one
    /// when the registry is nearly full; at least a second. Default: 5 minutes.
    pub series_idle: Duration,
    /// How long a new series waits for a flush that is making room for it before it is refused.
    /// Default: 60 s.
    pub admission_wait: Duration,
    /// Bytes of batches that may wait for their commit; [`Db::write`](crate::Db::write) waits for
    /// room, [`Db::submit`](crate::Db::submit) refuses. Default: a sixteenth of the memory budget.
    pub queue_bytes_max: Option<u64>,
    /// Most bytes of write-ahead log, at least 1 MiB; reaching it flushes. Default: 256 MiB.
    pub wal_bytes_max: u64,
    /// The memtable is flushed at this age at the latest. Default: 2 hours.
    pub flush_interval: Duration,
    /// How old a delete is when segments are rewritten for its sake alone, so that what it hides is erased
    /// from them. A merge for any other reason erases it earlier, and [`Db::compact`](crate::Db::compact)
    /// at once. Default: 1 hour.
    pub erase_after: Duration,
    /// Segments are merged to one for each such window since the epoch, and chunks are cut there but
    /// for those of few rows. Default: 1 day.
    pub window: Duration,
    /// Samples older than this expire: segments without younger ones are dropped, the others are
    /// trimmed when they are merged, and readers see nothing older. *Now* is at most an hour ahead of
    /// the newest sample, and a wall clock that jumps by more than a day is not believed for a day.
    /// Default: none expire.
    pub retention: Option<Duration>,
    /// Most bytes of segments and log; beyond, the segments with the oldest samples are dropped.
    /// Default: no limit.
    pub retention_bytes: Option<u64>,
    /// Threads that merge, 0 or 1. Without one, only [`Db::compact`](crate::Db::compact) merges, or
    /// [`Db::tick`](crate::Db::tick) under [`Background::Manual`]. Default: 1.
    pub compaction_threads: usize,
    /// How many level-0 segments (those that flushes write) there have to be before they are merged, while
    /// their window is still being written: 2 to 64, and below the slowdown. A small number means fewer
    /// files to read and more bytes written. Default: 32.
    pub level0_merge: usize,
    /// The number of level-0 segments from which on writes are slowed down. Default: 64.
    pub level0_slowdown: usize,
    /// The number of level-0 segments from which on writes wait for the merge that is under way; above the
    /// slowdown.
    /// Default: 256.
    pub level0_stall: usize,
    /// Is notified of flushes, merges and drops. Default: nobody.
    pub observer: Option<Arc<dyn Observer>>,
    /// Limits on label sets.
    pub labels: LabelsLimits,
    /// Samples older than this are refused. Default: none.
    pub age_max: Option<Duration>,
    /// Samples further in the future than this are refused. Default: none (the server: 1 day).
    pub ahead_max: Option<Duration>,
    /// Bytes of disk kept back: when the disk is full they are given back, so that flushes, deletes
    /// and what they lead to go through, and writes are refused until there is room for them again.
    /// Default: none (the server: 64 MiB, at most 1 % of the disk).
    pub reserve_bytes: Option<u64>,
    /// Most segments that are open at a time, at least 16; more can be stored and read, they are
    /// opened and closed as they are used. Default: 512, half of what a process may commonly have.
    pub open_files_max: usize,
    /// How segments are read. Default: [`ReadMode::Map`], for which see
    /// [`turn_map_faults_into_errors`](crate::turn_map_faults_into_errors).
    pub read_mode: ReadMode,
    /// Threads that decode in parallel for queries, 0 for the caller's own. Default: the number of
    /// processors, at most 8.
    pub query_threads: usize,
    /// Whether to create a store where there is none. Default: true.
    pub create: bool,
    /// The file system. Default: the real one.
    pub vfs: Arc<dyn Vfs>,
    /// The clock. Default: the system's.
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Always,
            background: Background::Threads,
            ticks_per_second: 0,
            memory_budget_bytes: 512 << 20,
            series_max: None,
            series_idle: Duration::from_secs(5 * 60),
            admission_wait: Duration::from_secs(60),
            queue_bytes_max: None,
            wal_bytes_max: 256 << 20,
            flush_interval: Duration::from_secs(2 * 3600),
            erase_after: Duration::from_secs(3600),
            window: Duration::from_secs(24 * 3600),
            retention: None,
            retention_bytes: None,
            compaction_threads: 1,
            level0_merge: 32,
            level0_slowdown: 64,
            level0_stall: 256,
            observer: None,
            labels: LabelsLimits::default(),
            age_max: None,
            ahead_max: None,
            reserve_bytes: None,
            open_files_max: 512,
            read_mode: ReadMode::Map,
            query_threads: std::thread::available_parallelism().map_or(1, |n| n.get().min(8)),
            create: true,
            vfs: Arc::new(DiskFs),
            clock: Arc::new(SystemClock::default()),
        }
    }
}

impl Options {
    /// Bytes at which a memtable is sealed: half of the memtables' share, since one may be flushing.
    pub(in crate::db) fn memtable_bytes_max(&self) -> u64 {
        self.memory_budget_bytes / 1000 * 175
    }

    /// Bytes for cached blocks.
    fn cache_bytes_max(&self) -> u64 {
        self.memory_budget_bytes / 100 * 15
    }

    /// Bytes of a query that does not say how many it may hold: a quarter, as the server has for all of
    /// its queries together.
    pub(in crate::db) fn query_bytes_max(&self) -> u64 {
        self.memory_budget_bytes / 4
    }

    /// Bytes for the registry.
    pub(in crate::db) fn registry_bytes_max(&self) -> u64 {
        self.memory_budget_bytes / 100 * 40
    }

    /// The cache of a store's segments, which bounds their open files too.
    pub(in crate::db) fn new_cache(&self) -> BlockCache {
        let cache_bytes = usize::try_from(self.cache_bytes_max()).unwrap_or(usize::MAX);
        BlockCache::new(cache_bytes).with_open_files_max(self.open_files_max)
    }

    /// Most active series, whatever they weigh.
    pub(in crate::db) fn series_max(&self) -> usize {
        self.series_max.map_or(usize::MAX, |max| max as usize)
    }

    /// Bytes of batches that may wait for their commit.
    pub(in crate::db) fn queue_bytes_max(&self) -> u64 {
        self.queue_bytes_max.unwrap_or(self.memory_budget_bytes / 16)
    }

    /// Ticks of the window, at least 2.
    pub(in crate::db) fn window_ticks(&self, ticks_per_second: u64) -> i64 {
        let ticks = self.window.as_nanos() * u128::from(ticks_per_second) / 1_000_000_000;
        i64::try_from(ticks).unwrap_or(i64::MAX).max(2)
    }

    /// What may be kept, in ticks and bytes.
    pub(in crate::db) fn retention_limits(&self, ticks_per_second: u64) -> RetentionLimits {
        let ticks = |age: Duration| age.as_nanos() * u128::from(ticks_per_second) / 1_000_000_000;
        let ticks = self.retention.map(|age| i64::try_from(ticks(age)).unwrap_or(i64::MAX));
        RetentionLimits { age_ticks: ticks, bytes: self.retention_bytes }
    }

    /// Checks the limits of merging and retention.
    fn check_merging(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::InvalidArgument(what));
        if self.compaction_threads > 1 {
            return refuse(format!(
                "{} compaction threads are more than 1",
                self.compaction_threads
            ));
        }
        self.check_level0()?;
        if let Some(age) = self.retention.filter(|age| *age < Duration::from_secs(60)) {
            return refuse(format!("a retention of {age:?} is below a minute"));
        }
        if let Some(bytes) = self.retention_bytes.filter(|bytes| *bytes < 1 << 20) {
            return refuse(format!("a retention of {bytes} bytes is below 1 MiB"));
        }
        Ok(())
    }

    /// Checks the numbers of level-0 segments at which something happens.
    fn check_level0(&self) -> Result<()> {
        let (merge, slowdown, stall) = (self.level0_merge, self.level0_slowdown, self.level0_stall);
        if (2..=64).contains(&merge) && merge < slowdown && slowdown < stall {
            return Ok(());
        }
        Err(Error::InvalidArgument(format!(
            "a merge of {merge} level-0 segments, a slowdown at {slowdown} and a stall at {stall}: the \
             first must be 2 to 64, and each below the next"
        )))
    }

    /// Checks every field against its range.
    pub(in crate::db) fn check(&self) -> Result<()> {
        self.check_merging()?;
        let refuse = |what: String| Err(Error::InvalidArgument(what));
        if let Durability::Interval(every) = self.durability {
            let range = Duration::from_millis(10)..=Duration::from_secs(10);
            if !range.contains(&every) {
                return refuse(format!(
                    "a durability interval of {every:?} is not in 10 ms to 10 s"
                ));
            }
        }
        if self.memory_budget_bytes < 16 << 20 {
            return refuse(format!(
                "a memory budget of {} bytes is below 16 MiB",
                self.memory_budget_bytes
            ));
        }
        if self.wal_bytes_max < 1 << 20 {
            return refuse(format!("{} bytes of WAL are below 1 MiB", self.wal_bytes_max));
        }
        if self.series_idle < Duration::from_secs(1) {
            return refuse(format!("{:?} without samples are below a second", self.series_idle));
        }
        if self.window < Duration::from_secs(60) {
            return refuse(format!("a window of {:?} is below a minute", self.window));
        }
        if self.flush_interval < Duration::from_secs(1) {
            return refuse(format!(
                "a flush interval of {:?} is below a second",
                self.flush_interval
            ));
        }
        if self.open_files_max < 16 {
            return refuse(format!("{} segments open at a time are below 16", self.open_files_max));
        }
        if self.ticks_per_second > 1_000_000_000 {
            return refuse(format!(
                "{} ticks per second are more than 10^9",
                self.ticks_per_second
            ));
        }
        Ok(())
    }
}
