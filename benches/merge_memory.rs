//! Heap of a merge, which must not depend on the size of what is merged: writes random numbers (eight
//! bytes a sample, nothing compresses) into level-0 segments, opens the store anew and compacts it.
//! Prints RssAnon before the merge and its highest during it, beside the bytes merged.
//!
//! `SILTSTONE_MB=2000 cargo bench -p siltstone --bench merge_memory` (default 200)

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::ops::ControlFlow;

use siltstone::sys::{Clock, SystemClock};
use siltstone::{Background, Db, Durability, Labels, Options, TimeRange, WriteBatch};

const SERIES: u64 = 1_000;
const BATCH_ROWS: i64 = 20;
const SAMPLE_BYTES: i64 = 8;

fn rss_anon_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}

fn options() -> Options {
    Options {
        durability: Durability::Never,
        background: Background::Manual,
        level0_slowdown: 10_000,
        level0_stall: 20_000,
        ..Options::default()
    }
}

/// The next number of a SplitMix64 generator.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

fn fill(dir: &std::path::Path, samples: i64) {
    let db = Db::open(dir, options()).unwrap();
    let labels = |i: u64| Labels::from_pairs([("__name__", "noise"), ("i", &format!("{i:04}"))]);
    let series: Vec<_> = (0..SERIES).map(|i| db.series(&labels(i).unwrap()).unwrap()).collect();
    let mut state = 1;
    let mut batch = WriteBatch::new();
    for start in (0..samples / SERIES as i64).step_by(BATCH_ROWS as usize) {
        batch.clear();
        for &series in &series {
            for row in start..start + BATCH_ROWS {
                batch.push(series, row * 1000, f64::from_bits(next(&mut state))).unwrap();
            }
        }
        db.write(&batch).unwrap();
    }
    db.close().unwrap();
}

fn main() {
    let megabytes: i64 =
        std::env::var("SILTSTONE_MB").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let samples = megabytes * 1_000_000 / SAMPLE_BYTES;
    if let Ok(dir) = std::env::var("SILTSTONE_FILL") {
        return fill(dir.as_ref(), samples);
    }
    // In a process of its own, so that memory which writing has freed is not there to be used again.
    let dir = tempfile::tempdir().unwrap();
    let mut filling = std::process::Command::new(std::env::current_exe().unwrap());
    assert!(filling.env("SILTSTONE_FILL", dir.path()).status().unwrap().success());

    let db = Db::open(dir.path(), options()).unwrap();
    let before = db.stats();
    let (mut baseline, mut peak) = (rss_anon_kib(), 0);
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let report = db.compact(TimeRange::ALL, &mut |_| {
        peak = peak.max(rss_anon_kib());
        ControlFlow::Continue(())
    });
    let seconds = (clock.monotonic() - start).as_secs_f64();
    let report = report.unwrap();
    baseline = baseline.min(peak);
    println!(
        "{} segments of {:.0} MB merged to {}: RssAnon {:.1} MiB before, {:.1} MiB at most, {:.1} above; \
         {:.1} M samples/s of wall time",
        before.segments,
        before.level0_bytes as f64 / 1e6,
        db.stats().segments,
        baseline as f64 / 1024.0,
        peak as f64 / 1024.0,
        (peak - baseline) as f64 / 1024.0,
        report.samples as f64 / seconds / 1e6,
    );
    db.close().unwrap();
}
