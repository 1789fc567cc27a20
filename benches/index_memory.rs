//! Builds the label index of a million series once per budget, each in a process of its own: time,
//! and the growth of RssAnon at its highest.
//!
//! `cargo bench -p siltstone --bench index_memory`; `SILTSTONE_SERIES` for another number.

#![expect(clippy::print_stdout, reason = "a report is what a benchmark is for")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use siltstone::Labels;
use siltstone::index::IndexBuilder;
use siltstone::sys::{Clock, SystemClock};

fn rss_anon() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the process's own memory")]
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    line.and_then(|rest| rest.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}
fn labels(i: u32, unique: bool) -> Labels {
    let (metric, host) = (i / 100_000, i % 100_000);
    let mix = host.wrapping_mul(0x9E37_79B9) >> 7;
    let metric = format!("cpu_usage_{metric}");
    let id = if unique { format!("{i:08x}") } else { "x".to_owned() };
    let pick = |n: u32| ((mix / n) % n).to_string();
    let hostname = format!("host_{host:06}");
    let (rack, service, team) = (pick(100), pick(20), pick(4));
    let (region, version) = (pick(9), pick(2));
    let pairs = [
        ("__name__", metric.as_str()),
        ("arch", "x64"),
        ("datacenter", region.as_str()),
        ("hostname", &hostname),
        ("id", &id),
        ("os", "Ubuntu16.04LTS"),
        ("rack", &rack),
        ("region", &region),
        ("service", &service),
        ("service_version", &version),
        ("team", &team),
    ];
    Labels::from_pairs(pairs).expect("labels")
}
fn main() {
    let unique = std::env::args().any(|a| a == "unique");
    let mut all: Vec<Labels> = (0..1_000_000).map(|i| labels(i, unique)).collect();
    all.sort();
    static PEAK: AtomicU64 = AtomicU64::new(0);
    static STOP: AtomicBool = AtomicBool::new(false);
    let before = rss_anon();
    std::thread::scope(|s| {
        #[expect(clippy::disallowed_methods, reason = "samples")]
        s.spawn(|| {
            while !STOP.load(Ordering::Relaxed) {
                PEAK.fetch_max(rss_anon(), Ordering::Relaxed);
                #[expect(clippy::disallowed_methods, reason = "samples")]
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let clock = SystemClock::new();
        let start = clock.monotonic();
        let mut builder = IndexBuilder::new();
        for l in &all {
            builder.push(l);
        }
        let mid = clock.monotonic();
        let pushed = rss_anon();
        let parts = builder.finish();
        let end = clock.monotonic();
        STOP.store(true, Ordering::Relaxed);
        println!(
            "push {:?} finish {:?} bytes {} top {} pushed {} KB peak {} KB",
            mid - start,
            end - mid,
            parts.blocks.len(),
            parts.top.len(),
            pushed - before,
            PEAK.load(Ordering::Relaxed) - before
        );
    });
}
