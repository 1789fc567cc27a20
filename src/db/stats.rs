//! What the store counts about itself. Counting never decides anything.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::core::{Core, Live};
use crate::segment::Segment;
use crate::sys::Vfs;
use crate::types::{FileName, TEMPORARY_SUFFIX};

/// Longest latency that is told apart: an hour, in microseconds.
const LATENCY_US_MAX: u64 = 3_600_000_000;

/// A reading of everything that [`Db::stats`](super::Db::stats) counts. Counters count since the
/// store was opened.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Series in the registry: those with samples in memory or written lately.
    pub active_series: u64,
    /// Samples in segments and memtables; a sample that is written twice counts twice until a flush.
    pub samples: u64,
    /// Segments.
    pub segments: u64,
    /// Bytes on disk.
    pub bytes_by_kind: BytesByKind,
    /// Bytes of heap held by memtables.
    pub memtable_bytes: u64,
    /// Bytes of heap held by the registry.
    pub registry_bytes: u64,
    /// Those of them in use; the rest was left by series that are gone, for the next ones.
    pub registry_used_bytes: u64,
    /// The registry's share of the budget: what it refuses new series for.
    pub registry_bytes_max: u64,
    /// Bytes of heap held by cached index blocks.
    pub cache_bytes: u64,
    /// Bytes of heap held by batches that wait for their commit or are being committed.
    pub queue_bytes: u64,
    /// The limit on the batches among them.
    pub queue_bytes_max: u64,
    /// Bytes of heap held by memtables that are in segments already, because a snapshot reads them.
    pub snapshot_bytes: u64,
    /// Bytes of disk that are kept back for deletes and flushes on a full disk.
    pub reserve_bytes: u64,
    /// How many should be.
    pub reserve_bytes_max: u64,
    /// Whether the reserve was given back, or could not be taken: writes are refused until there is
    /// room for it again, which ends by itself.
    pub disk_full: bool,
    /// Segments that are open.
    pub open_files: u64,
    /// The limit on them.
    pub open_files_max: u64,
    /// The limit on all of them.
    pub memory_budget_bytes: u64,
    /// Memtables that wait to be flushed, or are being flushed.
    pub memtables_sealed: u64,
    /// Memtables whose log could not be synced: what of them survives a power cut is unknown until
    /// they are flushed.
    pub memtables_in_doubt: u64,
    /// The fault after which the store refuses writes, if there was one.
    pub fault: Option<String>,
    /// The seq of the last batch written.
    pub last_seq: u64,
    /// The highest seq that survives a power cut.
    pub durable_seq: u64,
    /// How long the oldest written batch has been waiting for a sync, in milliseconds.
    pub wal_unsynced_ms: u64,
    /// Batches written.
    pub batches_written: u64,
    /// Samples written.
    pub samples_written: u64,
    /// Samples that a flush or a merge dropped because a later write had the same series and
    /// timestamp.
    pub samples_superseded: u64,
    /// Samples that merges read; one that is merged twice counts twice.
    pub samples_merged: u64,
    /// Samples that merges left out because a delete hides them.
    pub samples_deleted: u64,
    /// Samples that retention dropped, with whole segments or in merges.
    pub samples_expired: u64,
    /// Merges.
    pub merges: u64,
    /// Merges that failed; most are tried again.
    pub merge_failures: u64,
    /// Why merging does not get on, until the next merge succeeds.
    pub merge_trouble: Option<String>,
    /// Whether merging in the background is paused.
    pub merges_paused: bool,
    /// Bytes of segments that flushes wrote.
    pub flush_bytes_written: u64,
    /// Bytes of segments that merges read.
    pub merge_bytes_read: u64,
    /// Bytes of segments that merges wrote. With those of flushes, over the bytes at rest: the write
    /// amplification.
    pub merge_bytes_written: u64,
    /// Level-0 segments, not merged yet: the debt. Writes slow down at `level0_slowdown`.
    pub level0_segments: u64,
    /// Their bytes.
    pub level0_bytes: u64,
    /// So many are merged.
    pub level0_merge: u64,
    /// The debt at which writes slow down.
    pub level0_slowdown: u64,
    /// The debt at which writes wait for the merge that is under way.
    pub level0_stall: u64,
    /// Groups of writes that were slowed down.
    pub slowdowns: u64,
    /// Segments that were dropped because retention no longer keeps them.
    pub segments_dropped: u64,
    /// Segments that were replaced or dropped and wait until no snapshot reads them.
    pub segments_obsolete: u64,
    /// Their bytes.
    pub obsolete_bytes: u64,
    /// Segments that are not merged any more because they are damaged or cannot be read.
    pub segments_excluded: u64,
    /// Damaged chunks that merges left out; their files are in `quarantine/`.
    pub blocks_quarantined: u64,
    /// Earlier samples have expired, in ticks.
    pub retention_horizon: Option<i64>,
    /// Deletes acknowledged.
    pub deletes: u64,
    /// Deletes that compaction has not carried out everywhere yet.
    pub tombstones: u64,
    /// Flushes that made a segment.
    pub flushes: u64,
    /// Flushes that failed and will be tried again.
    pub flush_failures: u64,
    /// Times that a writer had to wait for a flush or a merge.
    pub stalls: u64,
    /// New series that were refused for want of room, each time.
    pub series_refused: u64,
    /// New series that had to wait for a flush that made room.
    pub series_waited: u64,
    /// Series that made room for others.
    pub series_evicted: u64,
    /// Batches that were refused because the queue was full.
    pub queue_refused: u64,
    /// Memtables that were sealed early to make room for new series.
    pub early_seals: u64,
    /// Damaged units met since the store was opened.
    pub corruption: u64,
    /// Time of [`Db::write`](super::Db::write) calls.
    pub write: Latency,
    /// Time of WAL syncs.
    pub fsync: Latency,
    /// Time of flushes.
    pub flush: Latency,
    /// Time of merges.
    pub merge: Latency,
    /// Time of scans.
    pub scan: Latency,
}

/// Bytes on disk by what they hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BytesByKind {
    /// Value blocks of segments, with their padding.
    pub values: u64,
    /// Timestamp blocks of segments and their table, both copies.
    pub timestamps: u64,
    /// Label index and chunk index of segments.
    pub index: u64,
    /// Headers and footers of segments, and segments whose footer cannot be read.
    pub other_segment: u64,
    /// Write-ahead log files.
    pub wal: u64,
    /// Manifest and `CURRENT`.
    pub manifest: u64,
    /// Tombstone files.
    pub tombstones: u64,
    /// Files set aside in `quarantine/`.
    pub quarantine: u64,
}

impl BytesByKind {
    /// Sums up the files of the store in `dir`, with its open segments; what cannot be listed counts
    /// as nothing.
    pub(super) fn of(vfs: &dyn Vfs, dir: &Path, segments: &[Arc<Segment>]) -> Self {
        let mut bytes = Self::default();
        let mut known = 0;
        for segment in segments {
            let Ok(of_segment) = segment.bytes_by_kind() else { continue };
            known += segment.meta().file_bytes;
            bytes.values += of_segment.values;
            bytes.timestamps += of_segment.timestamps;
            bytes.index += of_segment.chunk_index + of_segment.labels;
            bytes.other_segment += of_segment.other;
        }
        let mut listed = 0;
        for entry in vfs.list(dir).unwrap_or_default() {
            let name = entry.name.to_string_lossy();
            match FileName::parse(name.strip_suffix(TEMPORARY_SUFFIX).unwrap_or(&name)) {
                Some(FileName::Segment(_)) => listed += entry.len,
                Some(FileName::Wal(_)) => bytes.wal += entry.len,
                Some(FileName::Manifest(_) | FileName::Current) => bytes.manifest += entry.len,
                Some(FileName::Tombstones(_)) => bytes.tombstones += entry.len,
                Some(FileName::Quarantine) => {
                    let set_aside = vfs.list(&dir.join(&*name)).unwrap_or_default();
                    bytes.quarantine += set_aside.iter().map(|entry| entry.len).sum::<u64>();
                }
                Some(FileName::Lock | FileName::Reserve) | None => {}
            }
        }
        bytes.other_segment += u64::saturating_sub(listed, known);
        bytes
    }
}

/// A summary of latencies, in microseconds. Percentiles are exact to two digits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    /// Events.
    pub count: u64,
    /// Sum of all latencies.
    pub total_us: u64,
    /// Median.
    pub p50_us: u64,
    /// 90th percentile.
    pub p90_us: u64,
    /// 99th percentile.
    pub p99_us: u64,
    /// Longest.
    pub max_us: u64,
}

/// A histogram that many threads record into.
#[derive(Debug)]
pub(super) struct LatencyCell {
    state: Mutex<(Histogram<u64>, u64)>,
}

impl Default for LatencyCell {
    fn default() -> Self {
        let histogram = Histogram::new_with_max(LATENCY_US_MAX, 2).expect("bounds are valid");
        Self { state: Mutex::new((histogram, 0)) }
    }
}

impl LatencyCell {
    pub(super) fn record(&self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.0.saturating_record(us);
        state.1 = state.1.saturating_add(us);
    }

    pub(super) fn read(&self) -> Latency {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |q| state.0.value_at_quantile(q);
        Latency {
            count: state.0.len(),
            total_us: state.1,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            max_us: state.0.max(),
        }
    }
}

/// The counters that are not derived from other state.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) batches_written: Counter,
    pub(super) samples_written: Counter,
    pub(super) samples_superseded: Counter,
    pub(super) samples_merged: Counter,
    pub(super) samples_deleted: Counter,
    pub(super) samples_expired: Counter,
    pub(super) merges: Counter,
    pub(super) merge_failures: Counter,
    pub(super) flush_bytes_written: Counter,
    pub(super) merge_bytes_read: Counter,
    pub(super) merge_bytes_written: Counter,
    pub(super) slowdowns: Counter,
    pub(super) segments_dropped: Counter,
    pub(super) segments_excluded: Counter,
    pub(super) blocks_quarantined: Counter,
    pub(super) deletes: Counter,
    pub(super) flushes: Counter,
    pub(super) flush_failures: Counter,
    pub(super) stalls: Counter,
    pub(super) series_refused: Counter,
    pub(super) series_waited: Counter,
    pub(super) series_evicted: Counter,
    pub(super) queue_refused: Counter,
    pub(super) early_seals: Counter,
    pub(super) corruption: Counter,
    pub(super) write: LatencyCell,
    pub(super) fsync: LatencyCell,
    pub(super) flush: LatencyCell,
    pub(super) merge: LatencyCell,
    pub(super) scan: LatencyCell,
}

/// A number that only rises.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Core {
    /// Those of merging and retention; the rest is empty.
    fn merge_stats(&self, live: &Live) -> Stats {
        let counters = &self.counters;
        let fresh = || live.version.segments().iter().filter(|meta| meta.level == 0);
        let (segments_obsolete, obsolete_bytes) = self.compactor.graveyard.waiting();
        Stats {
            samples_merged: counters.samples_merged.get(),
            samples_deleted: counters.samples_deleted.get(),
            samples_expired: counters.samples_expired.get(),
            merges: counters.merges.get(),
            merge_failures: counters.merge_failures.get(),
            merge_trouble: self.compactor.trouble(),
            merges_paused: self.compactor.control.is_paused(),
            flush_bytes_written: counters.flush_bytes_written.get(),
            merge_bytes_read: counters.merge_bytes_read.get(),
            merge_bytes_written: counters.merge_bytes_written.get(),
            level0_segments: fresh().count() as u64,
            level0_bytes: fresh().map(|meta| meta.file_bytes).sum(),
            level0_merge: self.options.level0_merge as u64,
            level0_slowdown: self.options.level0_slowdown as u64,
            level0_stall: self.options.level0_stall as u64,
            slowdowns: counters.slowdowns.get(),
            segments_dropped: counters.segments_dropped.get(),
            segments_obsolete,
            obsolete_bytes,
            segments_excluded: counters.segments_excluded.get(),
            blocks_quarantined: counters.blocks_quarantined.get(),
            retention_horizon: self.compactor.retention.horizon(),
            merge: counters.merge.read(),
            ..Stats::default()
        }
    }

    /// Reads every counter and gauge.
    pub(super) fn stats(&self) -> Stats {
        let live = self.live();
        let generations = || live.sealed.iter().chain([&live.active]);
        let in_memory: u64 = generations().map(|g| u64::from(g.memtable.published())).sum();
        let in_segments: u64 = live.version.segments().iter().map(|meta| meta.samples).sum();
        let (last_seq, unsynced_since) = {
            let commit = self.lock_commit();
            (commit.last_seq, commit.unsynced_since)
        };
        let unsynced = unsynced_since.map(|since| self.clock().monotonic().saturating_sub(since));
        let counters = &self.counters;
        let cache = self.cache.stats();
        Stats {
            active_series: self.registry.len() as u64,
            samples: in_memory + in_segments,
            segments: live.version.segments().len() as u64,
            bytes_by_kind: BytesByKind::of(&**self.vfs(), &self.dir, &live.segments),
            memtable_bytes: generations().map(|g| g.memtable.bytes() as u64).sum(),
            registry_bytes: self.registry.memory_bytes() as u64,
            registry_used_bytes: self.registry.used_bytes() as u64,
            registry_bytes_max: self.options.registry_bytes_max(),
            cache_bytes: cache.bytes,
            queue_bytes: self.queue.bytes(),
            queue_bytes_max: self.options.queue_bytes_max(),
            snapshot_bytes: self.snapshot_bytes(),
            reserve_bytes: self.reserve.bytes(),
            reserve_bytes_max: self.reserve.bytes_max(),
            disk_full: self.reserve.is_given_back(),
            open_files: cache.open_files,
            open_files_max: self.cache.open_files_max() as u64,
            memory_budget_bytes: self.options.memory_budget_bytes,
            memtables_sealed: live.sealed.len() as u64,
            memtables_in_doubt: generations().filter(|g| g.is_in_doubt()).count() as u64,
            fault: self.fault().map(str::to_owned),
            last_seq,
            durable_seq: self.durable.get(),
            wal_unsynced_ms: unsynced.map_or(0, |d| d.as_millis() as u64),
            batches_written: counters.batches_written.get(),
            samples_written: counters.samples_written.get(),
            samples_superseded: counters.samples_superseded.get(),
            deletes: counters.deletes.get(),
            tombstones: (live.version.tombstones().count() + live.deletes.len()) as u64,
            flushes: counters.flushes.get(),
            flush_failures: counters.flush_failures.get(),
            stalls: counters.stalls.get(),
            series_refused: counters.series_refused.get(),
            series_waited: counters.series_waited.get(),
            series_evicted: counters.series_evicted.get(),
            queue_refused: counters.queue_refused.get(),
            early_seals: counters.early_seals.get(),
            corruption: counters.corruption.get() + self.report.findings.len() as u64,
            write: counters.write.read(),
            fsync: counters.fsync.read(),
            flush: counters.flush.read(),
            scan: counters.scan.read(),
            ..self.merge_stats(&live)
        }
    }
}
