//! A store in the shape of TSBS's cpu-only use case.

use std::ops::ControlFlow;

use siltstone::{Db, Labels, Options, TimeRange, WriteBatch};

pub(crate) const HOSTS: u64 = 1_000;
pub(crate) const MINUTE: i64 = 60_000;
pub(crate) const HOUR: i64 = 60 * MINUTE;
/// The time of the first samples: a midnight, so that one segment holds them.
pub(crate) const START: i64 = 1_700_006_400_000;
/// The time of the last samples.
pub(crate) const END: i64 = START + 6 * HOUR - STEP;
const STEP: i64 = 10_000;
const METRICS: [&str; 2] = ["cpu_usage_user", "cpu_usage_system"];

/// A compacted store of all hosts, and where it lies.
pub(crate) fn store() -> (Db, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), Options::default()).expect("a store");
    let series: Vec<_> = (0..HOSTS)
        .flat_map(|host| METRICS.map(|metric| labels(metric, host)))
        .map(|labels| db.series(&labels).expect("a series"))
        .collect();
    let mut random = 1u64;
    let mut values = vec![50i64; series.len()];
    let times = START..=END;
    let mut batch = WriteBatch::new();
    for time in times.step_by(STEP as usize) {
        batch.clear();
        for (handle, value) in series.iter().zip(&mut values) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            // A walk between 0 and 100 in steps of about one.
            *value = (*value + (random % 3) as i64 - 1).clamp(0, 100);
            batch.push(*handle, time, *value as f64).expect("a batch has room");
        }
        db.write(&batch).expect("a write");
    }
    db.flush().expect("a flush");
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).expect("a merge");
    (db, dir)
}

fn labels(metric: &str, host: u64) -> Labels {
    let regions = ["us-east-1", "us-west-2", "eu-central-1", "ap-southeast-2", "sa-east-1"];
    let region = regions[host as usize * 7 % regions.len()];
    let pairs = [
        ("__name__", metric.to_owned()),
        ("arch", ["x64", "x86"][host as usize % 2].to_owned()),
        ("datacenter", format!("{region}{}", ["a", "b", "c"][host as usize % 3])),
        ("hostname", format!("host_{host}")),
        ("os", ["Ubuntu15.10", "Ubuntu16.04LTS", "Ubuntu16.10"][host as usize % 3].to_owned()),
        ("rack", (host * 31 % 100).to_string()),
        ("region", region.to_owned()),
        ("service", (host * 17 % 20).to_string()),
        (
            "service_environment",
            ["production", "staging", "test"][host as usize / 2 % 3].to_owned(),
        ),
        ("service_version", (host % 2).to_string()),
        ("team", ["CHI", "LON", "NYC", "SF"][host as usize / 3 % 4].to_owned()),
    ];
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str()))).expect("labels")
}
