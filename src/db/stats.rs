//! What the store counts about itself. Counting never decides anything.

use std::path::Path;
use std::sync::Arc;

use super::compact::Compactor;
use super::env::counters::Latency;
use super::view::read_view::ReadView;
use crate::segment::Segment;
use crate::sys::Vfs;
use crate::types::{FileName, TEMPORARY_SUFFIX};

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
    /// How many bytes of disk should be kept back.
    pub reserve_bytes_max: u64,
    /// Whether the reserve was given back, or could not be taken: writes are refused until there is
    /// room for it again, which ends by itself.
    pub disk_full: bool,
    /// Segments that are open.
    pub open_files: u64,
    /// How many segments may be open at a time.
    pub open_files_max: u64,
    /// Bytes of heap that everything above may take together: the memory budget.
    pub memory_budget_bytes: u64,
    /// Memtables that wait to be flushed, or are being flushed.
    pub memtables_sealed: u64,
    /// Memtables whose log could not be synced: what of them survives a power cut is unknown until
    /// they are flushed.
    pub memtables_durability_unknown: u64,
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
    /// Samples that merges could not read because their block is damaged, since the store was made: lost, until
    /// they are written again, deleted or accepted. See [`Db::losses`](crate::Db::losses) for what is lost now.
    pub samples_lost: u64,
    /// Samples whose loss was accepted, since the store was made.
    pub samples_accepted: u64,
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
    /// Damaged chunks that merges met; their files are in `quarantine/`.
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

/// Those of merging and retention; the rest is empty.
fn of_merges(compactor: &Compactor, view: &ReadView) -> Stats {
    let (env, versions) = (&compactor.env, &compactor.versions);
    let (counters, options) = (&env.counters, &env.options);
    let fresh = || view.version.segments().iter().filter(|meta| meta.level == 0);
    let (segments_obsolete, obsolete_bytes) = versions.obsolete_waiting();
    Stats {
        samples_merged: counters.samples_merged.get(),
        samples_deleted: counters.samples_deleted.get(),
        samples_expired: counters.samples_expired.get(),
        samples_lost: view.version.losses().lost,
        samples_accepted: view.version.losses().accepted,
        merges: counters.merges.get(),
        merge_failures: counters.merge_failures.get(),
        merge_trouble: compactor.trouble(),
        merges_paused: env.back_pressure.is_paused(),
        flush_bytes_written: counters.flush_bytes_written.get(),
        merge_bytes_read: counters.merge_bytes_read.get(),
        merge_bytes_written: counters.merge_bytes_written.get(),
        level0_segments: fresh().count() as u64,
        level0_bytes: fresh().map(|meta| meta.file_bytes).sum(),
        level0_merge: options.level0_merge as u64,
        level0_slowdown: options.level0_slowdown as u64,
        level0_stall: options.level0_stall as u64,
        slowdowns: counters.slowdowns.get(),
        segments_dropped: counters.segments_dropped.get(),
        segments_obsolete,
        obsolete_bytes,
        segments_excluded: counters.segments_excluded.get(),
        blocks_quarantined: counters.blocks_quarantined.get(),
        retention_horizon: versions.retention.horizon(),
        merge: counters.merge.read(),
        ..Stats::default()
    }
}

/// Reads every counter and gauge; `findings` is the number of damaged places that opening found.
pub(super) fn read(compactor: &Compactor, findings: u64) -> Stats {
    let (env, writer) = (&compactor.env, &compactor.writer);
    let view = compactor.view.current();
    let in_memory: u64 = view.generations().map(|g| u64::from(g.memtable.published())).sum();
    let in_segments: u64 = view.version.segments().iter().map(|meta| meta.samples).sum();
    let held = compactor.view.held_by_snapshots();
    let unknown = view.generations().filter(|g| g.is_durability_unknown());
    let (last_seq, unsynced) = writer.last_written();
    let (counters, cache) = (&env.counters, env.cache.stats());
    Stats {
        active_series: writer.registry.len() as u64,
        samples: in_memory + in_segments,
        segments: view.version.segments().len() as u64,
        bytes_by_kind: BytesByKind::of(&**env.vfs(), &env.dir, &view.segments),
        memtable_bytes: view.generations().map(|g| g.memtable.bytes() as u64).sum(),
        registry_bytes: writer.registry.memory_bytes() as u64,
        registry_used_bytes: writer.registry.used_bytes() as u64,
        registry_bytes_max: env.options.registry_bytes_max(),
        cache_bytes: cache.bytes,
        queue_bytes: writer.queue_bytes(),
        queue_bytes_max: env.options.queue_bytes_max(),
        snapshot_bytes: held.iter().map(|memtable| memtable.bytes() as u64).sum(),
        reserve_bytes: env.reserve.bytes(),
        reserve_bytes_max: env.reserve.bytes_max(),
        disk_full: env.reserve.is_given_back(),
        open_files: cache.open_files,
        open_files_max: env.cache.open_files_max() as u64,
        memory_budget_bytes: env.options.memory_budget_bytes,
        memtables_sealed: view.sealed.len() as u64,
        memtables_durability_unknown: unknown.count() as u64,
        fault: env.health.fault().map(str::to_owned),
        last_seq,
        durable_seq: writer.durable_seq(),
        wal_unsynced_ms: unsynced.map_or(0, |d| d.as_millis() as u64),
        batches_written: counters.batches_written.get(),
        samples_written: counters.samples_written.get(),
        samples_superseded: counters.samples_superseded.get(),
        deletes: counters.deletes.get(),
        tombstones: (view.version.tombstones().count() + view.deletes.len()) as u64,
        flushes: counters.flushes.get(),
        flush_failures: counters.flush_failures.get(),
        stalls: counters.stalls.get(),
        series_refused: counters.series_refused.get(),
        series_waited: counters.series_waited.get(),
        series_evicted: counters.series_evicted.get(),
        queue_refused: counters.queue_refused.get(),
        early_seals: counters.early_seals.get(),
        corruption: counters.corruption.get() + findings,
        write: counters.write.read(),
        fsync: counters.fsync.read(),
        flush: counters.flush.read(),
        scan: counters.scan.read(),
        ..of_merges(compactor, &view)
    }
}
