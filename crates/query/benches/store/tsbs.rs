//! A store in the shape of TSBS's cpu-only use case.

use std::ops::ControlFlow;

use siltstone::{Db, Labels, Options, TimeRange, WriteBatch};
use siltstone_testing::tsbs::tags;

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
    let mut random = 1u64;
    let mut draw = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut series = Vec::new();
    for host in 0..HOSTS {
        let tags = tags(host, |n| draw() % n);
        for metric in METRICS {
            let pairs = tags.iter().map(|(name, value)| (*name, value.as_str()));
            let labels = Labels::from_pairs(pairs.chain([("__name__", metric)])).expect("labels");
            series.push(db.series(&labels).expect("a series"));
        }
    }
    let mut values = vec![50i64; series.len()];
    let times = START..=END;
    let mut batch = WriteBatch::new();
    for time in times.step_by(STEP as usize) {
        batch.clear();
        for (handle, value) in series.iter().zip(&mut values) {
            // A walk between 0 and 100 in steps of about one.
            *value = (*value + (draw() % 3) as i64 - 1).clamp(0, 100);
            batch.push(*handle, time, *value as f64).expect("a batch has room");
        }
        db.write(&batch).expect("a write");
    }
    db.flush().expect("a flush");
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).expect("a merge");
    (db, dir)
}
