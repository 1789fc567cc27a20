//! What the machine found, as small tests with names.

use std::time::Duration;

use siltstone::sys::SimFs;
use siltstone::{Db, Options};
use siltstone_testing::answers::{
    STORE, everything, labels, open_sim, sim_clock, sim_options, write,
};

/// The log of an idle store is removed at the next opening; its successor named it, and the opening
/// after that reported it missing.
#[test]
fn an_empty_log_is_not_missed() {
    let fs = SimFs::new();
    for _ in 0..3 {
        let db = open_sim(&fs).unwrap();
        assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report().findings);
        db.close().unwrap();
    }
}

/// The same for a log that holds nothing but a SYNC frame.
#[test]
fn a_log_without_batches_is_not_missed() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    write(&db, &labels(&[("a", "1")]), &[(1, 1)]);
    db.flush().unwrap();
    clock.advance(Duration::from_secs(1));
    db.tick().unwrap();
    db.close().unwrap();
    for _ in 0..3 {
        let db = open_sim(&fs).unwrap();
        assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report().findings);
        db.close().unwrap();
    }
}

/// A snapshot that outlives its store keeps neither the lock nor anybody out.
#[test]
fn a_dropped_store_gives_up_its_lock_though_a_snapshot_lives() {
    let fs = SimFs::new();
    let db = open_sim(&fs).unwrap();
    write(&db, &labels(&[("a", "1")]), &[(1, 1)]);
    let snapshot = db.snapshot().unwrap();
    drop(db);
    let again = Db::open(STORE, Options { create: false, ..sim_options(&fs, &sim_clock()) });
    assert_eq!(everything(&again.unwrap().snapshot().unwrap()).len(), 1);
    assert_eq!(everything(&snapshot).len(), 1);
}
