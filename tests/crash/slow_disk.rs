//! Syncs that take half a minute: no acknowledgement, timer or retention counts on a quick disk.

use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, CrashPlan, SimClock, SimFs};
use siltstone::{Db, Durability, Options, WriteBatch};
use siltstone_testing::record::{Fate, Record, read_all};

use crate::enumerate::{check, seeds};
use crate::findings::labels;
use crate::workload::{DIR, Run, Script, options};

const SYNC: Duration = Duration::from_secs(30);

/// Runs the script with slow syncs from its second step on.
fn run(script: Script, fs: &SimFs) -> Record {
    script.run_with(fs, |run: &mut Run| run.fs.delay_syncs(&run.clock, SYNC))
}

/// A crash at every seventh operation: what was acknowledged is there, although timers are due all the time.
#[test]
fn what_was_acknowledged_on_a_slow_disk_survives() {
    let interval = Durability::Interval(Duration::from_millis(100));
    let mut points = 0;
    for (first, durability) in [(3201, Durability::Always), (3301, interval)] {
        for seed in first..first + seeds() {
            let script = Script { seed, steps: 40, durability };
            let whole = SimFs::new();
            run(script, &whole);
            for op in (seed % 7..=whole.ops()).step_by(7) {
                let fs = SimFs::new();
                fs.crash_at(op);
                let record = run(script, &fs);
                points += 1;
                let place = |e| format!("{script:?}, crash at {op}: {e}");
                check(&fs.fork(), &record, Fate::Written).map_err(place).unwrap();
                for plan in [CrashPlan::ALL_LOST, CrashPlan::before(op), CrashPlan::torn(op)] {
                    check(&fs.crash(plan), &record, Fate::Durable).map_err(place).unwrap();
                }
            }
        }
    }
    println!("{points} crash points");
    assert!(points > 60, "{points}");
}

/// The age of a sample is measured against the newest one, so that hours in a sync expire nothing early; and what
/// has expired is hidden also if the syncs of the edit that says so took hours.
#[test]
fn retention_waits_for_a_slow_disk() {
    const HOUR_MS: i64 = 3_600_000;
    let day = Duration::from_secs(86_400);
    let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(1_700_000_000_000)));
    let simple = options(&fs, &clock, Durability::Always);
    let options = || Options { retention: Some(day), ..simple.clone() };
    let db = Db::open(DIR, options()).unwrap();
    fs.delay_syncs(&clock, Duration::from_secs(3600));
    let mut written = Vec::new();
    for value in 0..60u32 {
        let now = clock.wall_ms();
        let mut batch = WriteBatch::new();
        batch.push(db.series(&labels("a")).unwrap(), now, f64::from(value)).unwrap();
        assert!(db.write(&batch).unwrap().durable);
        assert!(clock.wall_ms() >= now + HOUR_MS, "the disk was slow");
        written.push((now, f64::from(value).to_bits()));
        if value % 5 == 0 {
            db.flush().unwrap();
        }
        db.tick().unwrap();
        let newest = now;
        let horizon = (newest + HOUR_MS).min(clock.wall_ms()) - 24 * HOUR_MS;
        let expected: Vec<_> = written.iter().copied().filter(|(t, _)| *t >= horizon).collect();
        let found = read_all(&db.snapshot().unwrap()).unwrap();
        type Rows = Vec<(i64, u64)>;
        let (early, late): (Rows, Rows) = found[0].1.iter().partition(|(t, _)| *t < horizon);
        assert_eq!(late, expected, "write {value}: what has not expired is there");
        assert!(early.is_empty() || db.stats().retention_horizon.is_none_or(|h| h <= early[0].0));
    }
    assert!(db.stats().segments_dropped > 3, "{:?}", db.stats());
    drop(db);
    let fs = fs.crash(CrashPlan::ALL_LOST);
    let simple = crate::workload::options(&fs, &clock, Durability::Always);
    let db = Db::open(DIR, Options { retention: Some(day), ..simple }).unwrap();
    let found = read_all(&db.snapshot().unwrap()).unwrap();
    let horizon = written.last().unwrap().0 - 23 * HOUR_MS;
    let recent = |samples: &[(i64, u64)]| samples.iter().filter(|(t, _)| *t >= horizon).count();
    assert_eq!(recent(&found[0].1), recent(&written), "and after a power cut");
}
