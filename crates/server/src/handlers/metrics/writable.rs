//! The figures of a store that is open for writing: writes and flushes, the disk and the memory that they take,
//! merges and what they owe, and how long all that takes.

use std::fmt::{self, Write};

use siltstone::{Latency, Stats};

use super::{Page, held, open_files, seconds, stored};
use crate::app::App;

pub(super) fn write(page: &mut Page, stats: &Stats, app: &App) -> fmt::Result {
    store(page, stats)
        .and_then(|()| room(page, stats))
        .and_then(|()| memory(page, stats, app))
        .and_then(|()| merging(page, stats))
        .and_then(|()| latencies(page, stats))
}

fn store(page: &mut Page, stats: &Stats) -> fmt::Result {
    stored(page, stats)?;
    page.head("siltstone_wal_unsynced_seconds", "gauge", "Age of the oldest batch not durable.")?;
    writeln!(page.0, "siltstone_wal_unsynced_seconds {}", stats.wal_unsynced_ms as f64 / 1000.0)?;
    page.gauge("siltstone_durable_seq", "The last durable seq.", stats.durable_seq)?;
    let failed = u64::from(stats.fault.is_some());
    page.gauge("siltstone_failed", "Whether the store refuses writes after a fault.", failed)?;
    page.counter("siltstone_samples_written_total", "Samples written.", stats.samples_written)?;
    page.counter("siltstone_batches_written_total", "Batches written.", stats.batches_written)?;
    page.counter("siltstone_flushes_total", "Memtables flushed.", stats.flushes)?;
    let failures = stats.flush_failures;
    page.counter("siltstone_flush_failures_total", "Flushes that failed.", failures)?;
    let written = stats.flush_bytes_written;
    page.counter("siltstone_flush_bytes_written_total", "Bytes that flushes wrote.", written)?;
    page.counter("siltstone_corruption_total", "Damaged units met.", stats.corruption)?;
    let help = "Samples replaced by later ones, dropped by flushes and merges.";
    page.counter("siltstone_superseded_total", help, stats.samples_superseded)
}

/// Merges, what they owe, and what expires.
fn merging(page: &mut Page, stats: &Stats) -> fmt::Result {
    for (name, help, value) in [
        ("level0_segments", "Segments not merged yet: the debt.", stats.level0_segments),
        ("level0_bytes", "Bytes of segments not merged yet.", stats.level0_bytes),
        ("level0_merge", "So many segments are merged.", stats.level0_merge),
        ("level0_slowdown", "Debt at which writes are slowed down.", stats.level0_slowdown),
        ("level0_stall", "Debt at which writes wait.", stats.level0_stall),
        ("tombstones", "Deletes not erased everywhere yet.", stats.tombstones),
        ("merges_paused", "Whether merging is paused.", u64::from(stats.merges_paused)),
        ("merge_trouble", "Whether merging fails.", u64::from(stats.merge_trouble.is_some())),
        ("segments_obsolete", "Replaced segments that are still read.", stats.segments_obsolete),
        ("obsolete_bytes", "Bytes of replaced segments.", stats.obsolete_bytes),
        (
            "segments_excluded",
            "Damaged or unreadable segments left unmerged.",
            stats.segments_excluded,
        ),
    ] {
        page.gauge(&format!("siltstone_{name}"), help, value)?;
    }
    if let Some(horizon) = stats.retention_horizon {
        let name = "siltstone_retention_horizon_ticks";
        page.head(name, "gauge", "Earlier samples have expired.")?;
        writeln!(page.0, "{name} {horizon}")?;
    }
    for (name, help, value) in [
        ("merges", "Merges done.", stats.merges),
        ("merge_failures", "Merges that failed.", stats.merge_failures),
        ("merge_bytes_read", "Bytes of segments that merges read.", stats.merge_bytes_read),
        ("merge_bytes_written", "Bytes that merges wrote.", stats.merge_bytes_written),
        ("samples_merged", "Samples that merges read.", stats.samples_merged),
        ("deletes", "Deletes acknowledged.", stats.deletes),
        ("samples_deleted", "Deleted samples that merges erased.", stats.samples_deleted),
        ("samples_expired", "Samples that retention dropped.", stats.samples_expired),
        (
            "samples_lost",
            "Samples that merges could not read, since the store was made.",
            stats.samples_lost,
        ),
        (
            "samples_accepted",
            "Lost samples that were accepted, since the store was made.",
            stats.samples_accepted,
        ),
        ("segments_dropped", "Segments that retention dropped.", stats.segments_dropped),
        ("blocks_quarantined", "Damaged chunks set aside.", stats.blocks_quarantined),
        ("slowdowns", "Groups of writes slowed down by the debt.", stats.slowdowns),
        ("stalls", "Writes held back by a flush or a merge.", stats.stalls),
    ] {
        page.counter(&format!("siltstone_{name}_total"), help, value)?;
    }
    Ok(())
}

/// Disk and files that are kept back or bounded.
fn room(page: &mut Page, stats: &Stats) -> fmt::Result {
    let held = stats.reserve_bytes;
    page.gauge("siltstone_reserve_bytes", "Disk space kept back for a full disk.", held)?;
    let wanted = stats.reserve_bytes_max;
    page.gauge("siltstone_reserve_bytes_max", "Disk space that should be kept back.", wanted)?;
    let help = "1 while writes are refused because the reserve was given back.";
    page.gauge("siltstone_disk_full", help, u64::from(stats.disk_full))?;
    open_files(page, stats)
}

/// What the memory budget is spent on, and what was refused for its sake.
fn memory(page: &mut Page, stats: &Stats, app: &App) -> fmt::Result {
    let of_writing = [("snapshot", stats.snapshot_bytes), ("queue", stats.queue_bytes)];
    held(page, stats, app, &of_writing)?;
    let limit = stats.queue_bytes_max;
    page.gauge("siltstone_queue_bytes_max", "The limit of batches before their commit.", limit)?;
    let limit = stats.registry_bytes_max;
    page.gauge("siltstone_registry_bytes_max", "The registry's share of the budget.", limit)?;
    let families = app.metadata.size().0 as u64;
    let help = "Metrics whose type, help and unit are remembered.";
    page.gauge("siltstone_metadata_families", help, families)?;
    let used = stats.registry_used_bytes;
    let help = "Bytes of the registry in use: what admission of new series goes by.";
    page.gauge("siltstone_registry_used_bytes", help, used)?;
    for (name, help, value) in [
        ("memtables_sealed", "Memtables that wait for their flush.", stats.memtables_sealed),
        (
            "memtables_durability_unknown",
            "Memtables whose log was not synced.",
            stats.memtables_durability_unknown,
        ),
    ] {
        page.gauge(&format!("siltstone_{name}"), help, value)?;
    }
    for (name, help, value) in [
        ("early_seals", "Memtables sealed early to make room for series.", stats.early_seals),
        ("series_refused", "New series refused for want of room.", stats.series_refused),
        ("series_waited", "New series that waited for room.", stats.series_waited),
        ("series_evicted", "Series that left the registry.", stats.series_evicted),
        ("queue_refused", "Batches refused because the queue was full.", stats.queue_refused),
    ] {
        page.counter(&format!("siltstone_{name}_total"), help, value)?;
    }
    Ok(())
}

fn latencies(page: &mut Page, stats: &Stats) -> fmt::Result {
    let name = "siltstone_operation_seconds";
    page.head(name, "summary", "Latency of operations of the store.")?;
    let Stats { write, fsync, flush, merge, scan, .. } = stats;
    for (operation, latency) in
        [("write", write), ("fsync", fsync), ("flush", flush), ("merge", merge), ("scan", scan)]
    {
        let Latency { count, p50_us, p90_us, p99_us, max_us, total_us, .. } = latency;
        let of = format!("operation=\"{operation}\"");
        for (quantile, us) in [("0.5", p50_us), ("0.9", p90_us), ("0.99", p99_us), ("1", max_us)] {
            writeln!(page.0, "{name}{{{of},quantile=\"{quantile}\"}} {}", seconds(*us))?;
        }
        writeln!(
            page.0,
            "{name}_sum{{{of}}} {}\n{name}_count{{{of}}} {count}",
            seconds(*total_us)
        )?;
    }
    Ok(())
}
