//! The commit: writers that queue, one of them that leads, and the answers.
//!
//! What must hold in every order: a batch that is acknowledged is seen by every snapshot that is taken from
//! then on; a batch is seen whole or not at all; of two values for the same time the one with the higher seq is seen;
//! the durable seq never falls, and what it covers survives a power cut at that moment.

use siltstone::sys::SimFs;
use siltstone::{Db, Durability, WriteBatch};

use crate::explore::explore;
use crate::store::{
    STORE, Sample, after_power_cut, labels, open, options, read, read_now, spawn, write,
};

/// Batches of each writer.
const BATCHES: u64 = 2;

/// The value of a batch: it names the writer and the batch.
fn value(writer: u64, batch: u64) -> u64 {
    10 * writer + batch
}

/// Writes batches of three samples: two that belong to this writer alone, and one at a time that all writers
/// write to. The seqs, with the values.
fn write_batches(db: &Db, writer: u64) -> Vec<(u64, u64)> {
    let mut acknowledged = Vec::new();
    for batch in 0..BATCHES {
        let value = value(writer, batch);
        let time = value as i64;
        let ack = write(db, &[("left", time, value), ("right", time, value), ("shared", 0, value)]);
        acknowledged.push((ack.seq, value));
        let seen = read_now(db);
        for &(_, value) in &acknowledged {
            assert!(seen.contains(&("left".into(), value as i64, value)), "{value} in {seen:?}");
        }
        assert!(!ack.durable || db.durable_seq() >= ack.seq);
        assert_whole(&seen);
    }
    acknowledged
}

/// Batches are seen whole: each value is there three times, but for the shared one, which only the newest has.
fn assert_whole(seen: &[Sample]) {
    let of = |name: &str| {
        let own = seen.iter().filter(|sample| sample.0 == name);
        own.map(|sample| sample.2).collect::<Vec<_>>()
    };
    let (left, shared) = (of("left"), of("shared"));
    assert_eq!(left, of("right"), "half a batch");
    assert_eq!(shared.len(), left.len().min(1), "{seen:?}");
    assert!(shared.iter().all(|value| left.contains(value)), "half a batch: {seen:?}");
}

/// Looks at the store again and again: what was there stays.
fn watch(db: &Db) {
    let (mut before, mut durable) = (Vec::new(), 0);
    for _ in 0..3 {
        let seen = read_now(db);
        assert_whole(&seen);
        let kept = |sample: &Sample| sample.0 == "shared" || seen.contains(sample);
        assert!(before.iter().all(kept), "{before:?} and then {seen:?}");
        before = seen;
        let now = db.durable_seq();
        assert!(now >= durable, "the durable seq fell from {durable} to {now}");
        durable = now;
    }
}

fn commit_as(durability: Durability) {
    let fs = SimFs::new();
    let db = Db::open(STORE, options(&fs, durability)).unwrap();
    let writers = [1, 2].map(|writer| spawn(&db, move |db| write_batches(&db, writer)));
    let watcher = spawn(&db, |db| watch(&db));
    let disk = fs.clone();
    let auditor = spawn(&db, move |db| {
        if !matches!(durability, Durability::Always) {
            // Of those who wait for a seq, one syncs for all.
            let seq = db.stats().last_seq;
            db.wait_durable(seq).unwrap();
            assert!(db.durable_seq() >= seq);
        }
        let durable = db.durable_seq();
        (durable, after_power_cut(&disk))
    });
    let mut batches: Vec<_> = writers.into_iter().flat_map(|w| w.join().unwrap()).collect();
    watcher.join().unwrap();
    batches.sort_unstable();
    assert_eq!(batches.iter().map(|b| b.0).collect::<Vec<_>>(), [1, 2, 3, 4], "a seq each");
    let seen = read_now(&db);
    assert_eq!(seen.len(), 9);
    assert!(seen.contains(&("shared".into(), 0, batches[3].1)), "{batches:?}, {seen:?}");
    let (durable, survivor) = auditor.join().unwrap();
    let survived = read(&open(&survivor).snapshot().unwrap());
    for &(seq, value) in batches.iter().filter(|batch| batch.0 <= durable) {
        assert!(survived.iter().any(|s| s.2 == value && s.0 == "left"), "{seq} was durable");
    }
    assert_whole(&survived);
}

#[test]
fn what_is_acknowledged_is_seen_and_synced() {
    explore("commit, always synced", || commit_as(Durability::Always));
}

#[test]
fn who_waits_for_a_seq_is_told_when_it_is_durable() {
    explore("commit, synced by who waits", || commit_as(Durability::Never));
}

/// Nothing but the hand-over: one row each, of a series that is known, so that most points are those between
/// a leader that answers and a follower that asks.
fn one_row_each() {
    let fs = SimFs::new();
    let db = open(&fs);
    let series = db.series(&labels("a")).unwrap();
    let writers = [1, 2].map(|value| {
        spawn(&db, move |db| {
            let mut batch = WriteBatch::new();
            batch.push(series, value as i64, value as f64).unwrap();
            let seq = db.write(&batch).unwrap().seq;
            let snapshot = db.snapshot().unwrap();
            let seen = read(&snapshot);
            assert!(seen.contains(&("a".into(), value as i64, value)), "{value} in {seen:?}");
            seq
        })
    });
    let mut seqs = writers.map(|writer| writer.join().unwrap());
    seqs.sort_unstable();
    assert_eq!(seqs, [1, 2]);
}

#[test]
fn an_answer_comes_after_the_rows() {
    explore("commit of one row each", one_row_each);
}
