//! Closing, dropping and failing, beside those who read and wait.
//!
//! What must hold in every order: nobody waits for ever (shuttle reports that by itself); a snapshot that is kept
//! reads on; what was acknowledged is there when the store is opened again; after a failed sync nothing is called durable
//! that would not survive a power cut.

use std::io::ErrorKind;
use std::time::Duration;

use siltstone::sys::{SimFs, SyncPoint};
use siltstone::{Background, Db, Durability, Error, Options};

use crate::explore::explore;
use crate::store::{
    STORE, after_power_cut, open, options, read, read_now, spawn, try_write, write,
};

fn close_beside_all() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, &[("a", 0, 0)]);
    let reader = spawn(&db, |db| {
        let Ok(snapshot) = db.snapshot() else { return };
        drop(db);
        for _ in 0..2 {
            let seen = read(&snapshot);
            assert!(seen.contains(&("a".into(), 0, 0)), "{seen:?}");
        }
    });
    let writer = spawn(&db, |db| match try_write(&db, &[("a", 1, 1)]) {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("{error}"),
    });
    let closers = [true, false].map(|closes| {
        spawn(&db, move |db| {
            if closes {
                db.close().unwrap()
            }
        })
    });
    drop(db);
    for closer in closers {
        closer.join().unwrap();
    }
    let written = writer.join().unwrap();
    reader.join().unwrap();
    let seen = read_now(&open(&fs));
    assert_eq!(seen.len(), 1 + usize::from(written), "acknowledged: {written}");
}

#[test]
fn closing_loses_nothing_and_holds_nobody_up() {
    explore("close beside all", close_beside_all);
}

fn failed_sync_beside_waiters() {
    let fs = SimFs::new();
    let db = open(&fs);
    write(&db, &[("a", 0, 0)]);
    fs.fail_sync(SyncPoint::WalFrames, 0, ErrorKind::Other);
    let writers = [1, 2, 3].map(|value| {
        spawn(&db, move |db| match try_write(&db, &[("a", value as i64, value)]) {
            Ok(ack) => Some(ack.seq),
            Err(Error::DurabilityUnknown { .. }) => None,
            Err(error) => panic!("{error}"),
        })
    });
    let disk = fs.clone();
    let auditor = spawn(&db, move |db| (db.durable_seq(), after_power_cut(&disk)));
    let acknowledged: Vec<_> = writers.into_iter().map(|writer| writer.join().unwrap()).collect();
    assert!(acknowledged.iter().any(Option::is_none), "nobody was told of the failure");
    assert_eq!(read_now(&db).len(), 4, "what is unknown is seen");
    let durable = db.durable_seq();
    for (value, seq) in (1..).zip(&acknowledged) {
        assert!(seq.is_none_or(|seq| seq <= durable), "{value} was acknowledged as durable");
    }
    let (durable, survivor) = auditor.join().unwrap();
    let survived = read_now(&open(&survivor));
    // Seqs are given in order, a sample each: as many as the durable seq says are there.
    assert!(survived.len() as u64 >= durable, "{durable} were durable: {survived:?}");
    let survived = read_now(&open(&after_power_cut(&fs)));
    for value in (1..).zip(&acknowledged).filter_map(|(value, seq)| seq.map(|_| value)) {
        assert!(survived.iter().any(|sample| sample.2 == value), "{value} was acknowledged");
    }
}

#[test]
fn a_failed_sync_answers_everybody() {
    explore("failed sync beside waiters", failed_sync_beside_waiters);
}

/// A store with threads of its own: they sync, flush and merge while it is used, and end with it.
fn threads_of_its_own() {
    let fs = SimFs::new();
    let threads = Options {
        background: Background::Threads,
        level0_merge: 2,
        ..options(&fs, Durability::Interval(Duration::from_millis(100)))
    };
    let db = Db::open(STORE, threads).unwrap();
    let writer = spawn(&db, |db| {
        for value in 0..2 {
            let ack = write(&db, &[("a", value, value as u64)]);
            db.wait_durable(ack.seq).unwrap();
            assert!(db.durable_seq() >= ack.seq);
            db.flush().unwrap();
        }
    });
    let reader = spawn(&db, |db| {
        for _ in 0..2 {
            let values: Vec<u64> = read_now(&db).iter().map(|sample| sample.2).collect();
            assert!(values.is_empty() || values == [0] || values == [0, 1], "{values:?}");
        }
    });
    writer.join().unwrap();
    reader.join().unwrap();
    // Dropping the last handle ends the threads as closing does, but for the answer.
    if shuttle::rand::RngCore::next_u32(&mut shuttle::rand::thread_rng()) % 2 == 0 {
        db.close().unwrap();
    }
    drop(db);
    assert_eq!(read_now(&open(&fs)).len(), 2);
}

#[test]
fn its_threads_end_with_the_store() {
    explore("threads of its own", threads_of_its_own);
}
