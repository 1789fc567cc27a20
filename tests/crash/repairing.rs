//! What the tests of repairs share: doing one, and looking whether the store is as it was.

use std::path::{Path, PathBuf};

use siltstone::sys::SimFs;
use siltstone::{Db, Durability, Repair, RepairPlan, TimeRange, Verify};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::findings::{open, simple_options};
use crate::workload::DIR;

const TICKS: u64 = 1000;

pub(crate) fn repair<T>(fs: &SimFs, act: impl FnOnce(Repair<'_>) -> T) -> T {
    let repair = Repair::new(Path::new(DIR)).options(simple_options(fs));
    act(repair.ticks_per_second(TICKS))
}

pub(crate) fn apply(fs: &SimFs) -> siltstone::Result<RepairPlan> {
    repair(fs, |repair| repair.apply())
}

pub(crate) fn current() -> PathBuf {
    Path::new(DIR).join("CURRENT")
}

/// Opens after the repair, twice, and holds it against what the store held.
pub(crate) fn holds(fs: &SimFs, held: &[OracleSeries], place: &str) {
    for _ in 0..2 {
        let db = open(fs, Durability::Always).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert!(db.open_report().findings.is_empty(), "{place}: {:?}", db.open_report());
        assert_eq!(read_all(&db.snapshot().unwrap()).unwrap(), held, "{place}");
        db.close().unwrap();
    }
    let mut findings = Vec::new();
    let verify = Verify::new(Path::new(DIR)).options(simple_options(fs));
    verify.on_finding(|finding| findings.push(finding.to_string())).run().unwrap();
    assert!(findings.is_empty(), "{place}: {findings:?}");
    assert!(!repair(fs, |repair| repair.plan()).unwrap().is_needed(), "{place}: still to do");
}

pub(crate) fn merge(db: &Db, range: TimeRange) {
    db.compact(range, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
}
