//! The label index of a million series, built in memory and within budgets: processor seconds, and
//! the growth of RssAnon at its highest. Every build runs in a process of its own.
//!
//! `cargo bench -p siltstone --bench index_memory`. The series are those of TSBS (ten labels of each
//! of 100,000 hosts, ten metrics), and the same with an eleventh label that is different for each.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]
#![expect(clippy::unwrap_used, reason = "a benchmark stops at the first surprise")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use siltstone::Labels;
use support::index::{build, tsbs_like};
use support::processor_seconds;

mod support;

/// Hosts; each has ten series.
const HOSTS: u32 = 100_000;
const MIB: usize = 1 << 20;

/// Heap and stack of this process in KiB.
fn rss_anon() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn series(kind: &str) -> Vec<Labels> {
    // Never freed: what the allocator keeps of it would hide the growth that is measured.
    let series: &[Labels] = tsbs_like(HOSTS, 10).leak();
    if kind == "shared" {
        return series.to_vec();
    }
    let with_id = |(i, labels): (usize, &Labels)| {
        let id = format!("{:08x}", (i as u32).wrapping_mul(0x9E37_79B9));
        Labels::from_pairs(labels.iter().chain([("id", &id[..])])).unwrap()
    };
    let mut series: Vec<Labels> = series.iter().enumerate().map(with_id).collect();
    series.sort();
    series
}

/// Builds once and prints what it took.
fn run(kind: &str, budget: usize) {
    let series = series(kind);
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let before = rss_anon();
    let (seconds, bytes, top) = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(rss_anon(), Ordering::Relaxed);
                #[expect(clippy::disallowed_methods, reason = "watches its own memory")]
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
        let start = processor_seconds();
        let built = build(series.iter(), budget);
        let mut bytes = 0;
        let Ok(()) = built.write_blocks(|piece| {
            bytes += piece.len();
            Ok(())
        });
        let seconds = processor_seconds() - start;
        done.store(true, Ordering::Relaxed);
        (seconds, bytes, built.top().len())
    });
    let peak = (peak.load(Ordering::Relaxed) - before) as f64 / 1024.0;
    let budget = match budget {
        usize::MAX => "in memory".to_owned(),
        bytes => format!("{} MiB", bytes / MIB),
    };
    println!("{kind:>8} {budget:>10} {seconds:>8.2} s {peak:>8.1} MiB {bytes:>10} B, top {top} B");
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [kind, budget] = &args[..] {
        return run(kind, budget.parse().unwrap());
    }
    for kind in ["shared", "distinct"] {
        for budget in [usize::MAX, 8 * MIB, MIB] {
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            assert!(child.args([kind, &budget.to_string()]).status().unwrap().success());
        }
    }
}
