//! Back-pressure: writers are slowed down and held back while merges are behind, and never for ever.
//!
//! A merge is held at a gate in the disk, so that "under way" lasts as long as a test wants. What is to
//! happen is waited for however long it takes: a test that hangs has failed. What must not happen is
//! given a moment to do so, which no store that is right can be blamed for.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use siltstone::sys::{SimClock, spawn};
use siltstone::{Ack, Background, Db, Error, Labels, Options, Result};
use siltstone_testing::answers::{STORE, everything, labels, sim_clock, write};
use siltstone_testing::gate::{GatedFs, Merges};

const SLOWDOWN: u64 = 3;
const STALL: u64 = 5;
/// How long what must not happen may take to do so.
const MOMENT: Duration = Duration::from_millis(300);

fn series() -> Labels {
    labels(&[("__name__", "давление")])
}

fn options(fs: &Arc<GatedFs>, clock: &Arc<SimClock>) -> Options {
    Options {
        query_threads: 0,
        level0_merge: 2,
        level0_slowdown: SLOWDOWN as usize,
        level0_stall: STALL as usize,
        vfs: Arc::clone(fs) as _,
        clock: Arc::clone(clock) as _,
        ..Options::default()
    }
}

/// Adds level-0 segments until there are `debt` of them. A write to each is slowed down, but for the
/// first `SLOWDOWN`.
fn owe(db: &Db, debt: u64) {
    for segment in db.stats().level0_segments..debt {
        write(db, &series(), &[(segment as i64, segment)]);
        db.flush().unwrap();
    }
    assert_eq!(db.stats().level0_segments, debt);
}

/// A store whose merge of `STALL` segments is under way, held at the gate.
struct Merging {
    fs: Arc<GatedFs>,
    clock: Arc<SimClock>,
    db: Db,
}

impl Merging {
    fn new() -> Self {
        let (fs, clock) = (GatedFs::new(), sim_clock());
        let db = Db::open(STORE, options(&fs, &clock)).unwrap();
        db.pause();
        owe(&db, STALL);
        fs.set(Merges::Wait);
        db.resume();
        fs.wait_for_merge();
        assert_eq!(db.stats().stalls, 0);
        Self { fs, clock, db }
    }
}

impl Drop for Merging {
    /// A test that fails must not wait for the merge.
    fn drop(&mut self) {
        self.fs.set(Merges::Pass);
    }
}

/// A write on a thread of its own, once it is held back.
fn stalled(db: &Db) -> Receiver<Result<Ack>> {
    let (done, answer) = channel();
    let shared = db.clone();
    let write = move || {
        let mut batch = siltstone::WriteBatch::new();
        let written = shared.series(&series()).and_then(|handle| {
            batch.push(handle, 1000, 1.0)?;
            shared.write(&batch)
        });
        done.send(written).unwrap();
    };
    drop(spawn("writer", write).unwrap());
    while db.stats().stalls == 0 {
        std::thread::yield_now();
    }
    let early = answer.recv_timeout(MOMENT);
    assert_eq!(early.unwrap_err(), RecvTimeoutError::Timeout, "the merge is not done");
    answer
}

#[test]
fn writers_are_slowed_down_from_the_slowdown_on() {
    let (fs, clock) = (GatedFs::new(), sim_clock());
    // Nobody merges.
    let db = Db::open(STORE, Options { compaction_threads: 0, ..options(&fs, &clock) }).unwrap();
    owe(&db, SLOWDOWN);
    assert_eq!(db.stats().slowdowns, 0, "the debt was below it at each write");
    for (count, debt) in (1..).zip(SLOWDOWN..STALL + 3) {
        owe(&db, debt + 1);
        let stats = db.stats();
        assert_eq!((stats.slowdowns, stats.stalls), (count, 0), "with a debt of {debt}");
    }
    let stats = db.stats();
    assert_eq!((stats.level0_slowdown, stats.level0_stall), (SLOWDOWN, STALL));
    // Once it is worked off, nobody waits.
    db.compact(siltstone::TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    write(&db, &series(), &[(0, 0)]);
    assert_eq!((db.stats().level0_segments, db.stats().slowdowns), (0, stats.slowdowns));
}

#[test]
fn a_stalled_writer_waits_for_the_merge_and_goes_on_after_it() {
    let merging = Merging::new();
    let Merging { fs, db, .. } = &merging;
    let answer = stalled(db);
    assert_eq!(everything(&db.snapshot().unwrap())[0].1.len() as u64, STALL, "readers go on");
    fs.set(Merges::Pass);
    assert!(answer.recv().unwrap().unwrap().durable);
    assert!(db.stats().level0_segments < STALL);
    assert_eq!(everything(&db.snapshot().unwrap())[0].1.len() as u64, STALL + 1);
    assert_eq!(db.stats().stalls, 1);
}

#[test]
fn a_merge_that_fails_ends_a_stall() {
    let merging = Merging::new();
    let Merging { fs, clock, db } = &merging;
    let answer = stalled(db);
    fs.set(Merges::Fail);
    answer.recv().unwrap().unwrap();
    while db.stats().merge_failures == 0 {
        std::thread::yield_now();
    }
    // It stands still until it is tried again: the debt is as it was, and writes go on.
    assert_eq!(db.stats().level0_segments, STALL);
    let slowdowns = db.stats().slowdowns;
    for row in 0..3 {
        write(db, &series(), &[(2000 + row, 1)]);
    }
    assert_eq!((db.stats().slowdowns, db.stats().stalls), (slowdowns + 3, 1));
    fs.set(Merges::Pass);
    clock.advance(Duration::from_secs(10));
    // The segments are replaced a moment before the merge counts as done.
    while db.stats().level0_segments > 0 || db.stats().merge_trouble.is_some() {
        std::thread::yield_now();
    }
}

#[test]
fn a_pause_ends_a_stall_and_holds_nobody() {
    let merging = Merging::new();
    let Merging { fs, db, .. } = &merging;
    let answer = stalled(db);
    db.pause();
    answer.recv().unwrap().unwrap();
    let slowdowns = db.stats().slowdowns;
    write(db, &series(), &[(2000, 1)]);
    assert_eq!((db.stats().slowdowns, db.stats().stalls), (slowdowns + 1, 1));
    assert_eq!((db.stats().level0_segments, db.stats().merges_paused), (STALL, true));
    fs.set(Merges::Pass);
    db.close().unwrap();
}

#[test]
fn closing_the_store_ends_a_stall() {
    let merging = Merging::new();
    let Merging { fs, clock, db } = &merging;
    let answer = stalled(db);
    let closing = db.clone();
    let closed = spawn("closer", move || closing.close()).unwrap();
    // The merge is still held: closing waits for it, the writer does not.
    assert!(matches!(answer.recv().unwrap(), Err(Error::Closed)));
    fs.set(Merges::Pass);
    closed.join().unwrap().unwrap();
    let db = Db::open(STORE, options(fs, clock)).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap())[0].1.len() as u64, STALL, "it was refused");
}

#[test]
fn who_does_the_background_work_waits_for_nobody() {
    let (fs, clock) = (GatedFs::new(), sim_clock());
    let manual = Options { background: Background::Manual, ..options(&fs, &clock) };
    let db = Db::open(STORE, manual).unwrap();
    owe(&db, STALL + 2);
    assert_eq!((db.stats().slowdowns, db.stats().stalls), (0, 0));
    while db.stats().level0_segments > 0 {
        db.tick().unwrap();
    }
}
