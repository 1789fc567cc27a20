//! The flags by which every command finds its store, and those by which `serve` opens it. Which of these say
//! something of a store that is served read-only is decided here, for each of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use siltstone::sys::{DiskFs, Vfs};
use siltstone::{Durability, LabelsLimits, Options, ReadMode};

use crate::times::parse_duration;
use crate::units::{parse_bytes, parse_durability};

/// Where the store is.
#[derive(Debug, Args)]
pub(crate) struct DataFlag {
    /// Directory of the store
    #[arg(long, value_name = "DIR", default_value = "siltstone-data")]
    pub(crate) data: PathBuf,
}

/// How a command that only reads opens a store.
pub(crate) fn read_only() -> Options {
    Options { create: false, ..Options::default() }
}

/// Flags of [`StoreFlags`] that say how a store is written and kept: refused where it is only read, since who
/// gives one of them expects something of it.
pub(crate) const OF_WRITING: [&str; 23] = [
    "durability",
    "ticks_per_second",
    "series_max",
    "series_idle",
    "admission_wait",
    "queue_max",
    "wal_max",
    "flush_interval",
    "erase_after",
    "window",
    "retention",
    "retention_bytes",
    "compaction_threads",
    "level0_merge",
    "level0_slowdown",
    "level0_stall",
    "labels_max",
    "label_name_max",
    "label_value_max",
    "label_set_max",
    "age_max",
    "ahead_max",
    "reserve",
];

/// Every choice of an embedder that makes sense for a server.
#[derive(Debug, Args)]
#[command(next_help_heading = "Store")]
pub(crate) struct StoreFlags {
    /// When a write is acknowledged: always (synced), an interval of a sync timer such as 1s, or never
    #[arg(long, value_name = "POLICY", default_value = "always", value_parser = parse_durability)]
    durability: Durability,
    /// Ticks of a timestamp per second, fixed when the store is created; 0 for what it has, or 1000
    #[arg(long, value_name = "N", default_value_t = 0)]
    ticks_per_second: u64,
    /// Memory that the store may use, at least 16MiB
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse_bytes)]
    memory_budget: u64,
    /// Most active series; without it only the memory is a limit
    #[arg(long, value_name = "N")]
    series_max: Option<u32>,
    /// A series without samples for this long makes room for new ones where there is none
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration)]
    series_idle: Duration,
    /// How long a new series waits for a flush that makes room before it is refused
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    admission_wait: Duration,
    /// Bytes of batches that may wait for their commit [default: a sixteenth of the memory budget]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    queue_max: Option<u64>,
    /// Most bytes of write-ahead log before a flush, at least 1MiB
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse_bytes)]
    wal_max: u64,
    /// Samples in memory are flushed at this age at the latest
    #[arg(long, value_name = "TIME", default_value = "2h", value_parser = parse_duration)]
    flush_interval: Duration,
    /// What was deleted is erased from segments when the delete is this old
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration)]
    erase_after: Duration,
    /// Chunks of samples never cross a multiple of this
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_duration)]
    window: Duration,
    /// Samples older than this expire, such as 90d; without it none do
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    retention: Option<Duration>,
    /// Most bytes of segments and log; beyond, the oldest segments are dropped. Without it, no limit
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    retention_bytes: Option<u64>,
    /// Threads that merge segments, 0 or 1; without one, only POST .../admin/tsdb/compact merges
    #[arg(long, value_name = "N", default_value_t = 1)]
    compaction_threads: usize,
    /// So many new segments are merged, 2 to 64
    #[arg(long, value_name = "N", default_value_t = 32)]
    level0_merge: usize,
    /// From so many segments not merged yet on, writes are slowed down
    #[arg(long, value_name = "N", default_value_t = 64)]
    level0_slowdown: usize,
    /// At so many segments not merged yet, writes wait for the merge under way
    #[arg(long, value_name = "N", default_value_t = 256)]
    level0_stall: usize,
    /// Most labels of a series
    #[arg(long, value_name = "N", default_value_t = LabelsLimits::default().labels_max)]
    labels_max: usize,
    /// Longest label name in bytes
    #[arg(long, value_name = "N", default_value_t = LabelsLimits::default().name_bytes_max)]
    label_name_max: usize,
    /// Longest label value in bytes
    #[arg(long, value_name = "N", default_value_t = LabelsLimits::default().value_bytes_max)]
    label_value_max: usize,
    /// Longest label set in bytes
    #[arg(long, value_name = "N", default_value_t = LabelsLimits::default().set_bytes_max)]
    label_set_max: usize,
    /// Samples older than this are refused, such as 30d; without it none are
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    age_max: Option<Duration>,
    /// Samples further in the future than this are refused; none for no limit
    #[arg(long, value_name = "TIME", default_value = "1d", value_parser = parse_ahead)]
    ahead_max: Ahead,
    /// Disk space kept back for deletes and flushes when the disk is full, 0 for none [default: 64MiB, at most 1 % of the disk]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    reserve: Option<u64>,
    /// Most segments that are open at a time, at least 16
    #[arg(long, value_name = "N", default_value_t = Options::default().open_files_max)]
    open_files_max: usize,
    /// How segments are read
    #[arg(long, value_enum, default_value_t = ReadModeFlag::Map)]
    read_mode: ReadModeFlag,
    /// Threads that decode for queries, 0 for none but the query's own [default: processors, at most 8]
    #[arg(long, value_name = "N")]
    query_threads: Option<usize>,
}

/// The reserve of a store in `dir`, which may not exist yet: enough for deletes, little of the disk.
fn default_reserve(dir: &Path) -> Option<u64> {
    let space = dir.ancestors().find_map(|dir| DiskFs.free_space(dir).ok())?;
    Some((space.total / 100).min(64 << 20))
}

/// A limit that can be switched off.
#[derive(Debug, Clone, Copy)]
struct Ahead(Option<Duration>);

fn parse_ahead(text: &str) -> Result<Ahead, String> {
    if text == "none" { Ok(Ahead(None)) } else { parse_duration(text).map(|d| Ahead(Some(d))) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ReadModeFlag {
    /// Memory maps, and reads where a file or its disk fails under one
    Map,
    /// Reads into memory, a system call each
    Pread,
}

impl ReadModeFlag {
    fn mode(self) -> ReadMode {
        match self {
            Self::Map => ReadMode::Map,
            Self::Pread => ReadMode::Pread,
        }
    }
}

impl StoreFlags {
    /// How a store is opened that is only read: by the flags that are not [`OF_WRITING`].
    pub(crate) fn read_only_options(&self) -> Options {
        let defaults = read_only();
        Options {
            memory_budget_bytes: self.memory_budget,
            open_files_max: self.open_files_max,
            read_mode: self.read_mode.mode(),
            query_threads: self.query_threads.unwrap_or(defaults.query_threads),
            ..defaults
        }
    }

    /// How the store in `dir` is opened.
    pub(crate) fn options(&self, dir: &Path) -> Options {
        let defaults = Options::default();
        Options {
            durability: self.durability,
            ticks_per_second: self.ticks_per_second,
            memory_budget_bytes: self.memory_budget,
            series_max: self.series_max,
            series_idle: self.series_idle,
            admission_wait: self.admission_wait,
            queue_bytes_max: self.queue_max,
            wal_bytes_max: self.wal_max,
            flush_interval: self.flush_interval,
            erase_after: self.erase_after,
            window: self.window,
            retention: self.retention,
            retention_bytes: self.retention_bytes,
            compaction_threads: self.compaction_threads,
            level0_merge: self.level0_merge,
            level0_slowdown: self.level0_slowdown,
            level0_stall: self.level0_stall,
            labels: LabelsLimits {
                labels_max: self.labels_max,
                name_bytes_max: self.label_name_max,
                value_bytes_max: self.label_value_max,
                set_bytes_max: self.label_set_max,
            },
            age_max: self.age_max,
            ahead_max: self.ahead_max.0,
            reserve_bytes: self.reserve.or_else(|| default_reserve(dir)),
            open_files_max: self.open_files_max,
            read_mode: self.read_mode.mode(),
            query_threads: self.query_threads.unwrap_or(defaults.query_threads),
            ..defaults
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Alone {
        #[command(flatten)]
        flags: StoreFlags,
    }

    #[test]
    fn each_flag_is_of_writing_or_counts_for_a_reader() {
        use clap::CommandFactory;
        let command = Alone::command();
        let ids = command.get_arguments().map(|argument| argument.get_id().as_str());
        let of_reading: Vec<&str> = ids.filter(|id| !OF_WRITING.contains(id)).collect();
        assert_eq!(of_reading, ["memory_budget", "open_files_max", "read_mode", "query_threads"]);
        let given = ["--memory-budget", "32MiB", "--open-files-max", "17", "--read-mode", "pread"];
        let given = ["serve"].iter().chain(&given).chain(&["--query-threads", "3"]);
        let options = Alone::parse_from(given).flags.read_only_options();
        assert_eq!((options.memory_budget_bytes, options.open_files_max), (32 << 20, 17));
        assert!(matches!((options.read_mode, options.query_threads), (ReadMode::Pread, 3)));
        assert!(!options.create);
    }

    #[test]
    fn the_defaults_are_those_of_the_library() {
        let served = Alone::parse_from(["serve"]).flags.options(Path::new("."));
        let defaults = Options::default();
        // A clock that is wrong by more than a day is likelier than a sample from the future.
        assert_eq!(served.ahead_max, Some(Duration::from_secs(24 * 3600)));
        // A server keeps some room on its disk, and how much depends on that.
        assert!(served.reserve_bytes.is_some_and(|bytes| bytes > 0));
        let served = Options {
            ahead_max: None,
            reserve_bytes: None,
            clock: defaults.clock.clone(),
            ..served
        };
        assert_eq!(format!("{served:?}"), format!("{defaults:?}"));
    }
}
