//! The store through its public API: what is written is read, before and after every event.

use siltstone::{
    Background, Db, Durability, Error, Labels, Matcher, Options, QueryOptions, ReadOnlyDb,
    Snapshot, TimeRange, WriteBatch,
};

fn labels(name: &str, i: usize) -> Labels {
    Labels::from_pairs([("__name__", name), ("i", i.to_string().as_str())]).unwrap()
}

fn options() -> Options {
    Options { background: Background::Manual, query_threads: 0, ..Options::default() }
}

/// Every sample as (labels, timestamp, bits).
fn all(snapshot: &Snapshot) -> Vec<(String, i64, u64)> {
    let mut found = Vec::new();
    let matchers = [Matcher::not_equal("__name__", "")];
    for series in snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default()).unwrap() {
        let series = series.unwrap();
        for (timestamp, value) in series.columns.iter() {
            found.push((series.labels.to_string(), timestamp, value.to_bits()));
        }
    }
    found
}

fn write(db: &Db, series: &Labels, samples: &[(i64, f64)]) -> u64 {
    let handle = db.series(series).unwrap();
    let mut batch = WriteBatch::new();
    samples.iter().for_each(|&(t, v)| batch.push(handle, t, v).unwrap());
    let ack = db.write(&batch).unwrap();
    assert!(ack.durable);
    ack.seq
}

#[test]
fn samples_survive_flush_close_and_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    write(&db, &labels("a", 1), &[(10, 1.5), (20, f64::NAN), (5, -0.0)]);
    write(&db, &labels("a", 2), &[(i64::MIN, 1.0), (i64::MAX, 2.0)]);
    write(&db, &labels("a", 1), &[(10, 2.5)]);
    let expected = all(&db.snapshot().unwrap());
    assert_eq!(expected.len(), 5);
    assert!(expected.contains(&("a{i=\"1\"}".into(), 10, 2.5f64.to_bits())), "the last write wins");
    db.flush().unwrap();
    assert_eq!(all(&db.snapshot().unwrap()), expected);
    assert_eq!(db.stats().segments, 1);
    write(&db, &labels("b", 1), &[(1, 1.0)]);
    let expected = all(&db.snapshot().unwrap());
    drop(db);
    let db = Db::open(dir.path(), options()).unwrap();
    assert_eq!(db.open_report().recovered_batches, 1);
    assert_eq!(all(&db.snapshot().unwrap()), expected);
    db.close().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    assert_eq!(db.open_report().recovered_batches, 0, "close leaves nothing in the log");
    assert_eq!(all(&db.snapshot().unwrap()), expected);
}

#[test]
fn a_snapshot_does_not_change() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    write(&db, &labels("a", 1), &[(10, 1.0)]);
    let snapshot = db.snapshot().unwrap();
    let expected = all(&snapshot);
    write(&db, &labels("a", 1), &[(10, 2.0), (11, 3.0)]);
    assert_eq!(all(&snapshot), expected);
    db.flush().unwrap();
    write(&db, &labels("a", 1), &[(12, 2.0)]);
    db.flush().unwrap();
    assert_eq!(all(&snapshot), expected);
    assert_eq!(all(&db.snapshot().unwrap()).len(), 3);
}

#[test]
fn a_second_opener_is_refused_and_a_reader_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    write(&db, &labels("a", 1), &[(10, 1.0)]);
    assert!(matches!(Db::open(dir.path(), options()), Err(Error::Locked { .. })));
    let reader = ReadOnlyDb::open(dir.path(), options()).unwrap();
    assert_eq!(all(&reader.snapshot()), all(&db.snapshot().unwrap()));
    db.flush().unwrap();
    write(&db, &labels("a", 2), &[(10, 1.0)]);
    let reader = ReadOnlyDb::open(dir.path(), options()).unwrap();
    assert_eq!(all(&reader.snapshot()), all(&db.snapshot().unwrap()));
    assert_eq!(reader.stats().samples, 2);
}

#[test]
fn a_directory_that_is_no_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    #[expect(clippy::disallowed_methods, reason = "a file that is not a store's")]
    std::fs::write(dir.path().join("letter.txt"), "dear").unwrap();
    assert!(matches!(Db::open(dir.path(), options()), Err(Error::NotAStore { .. })));
    let empty = dir.path().join("none");
    let without = Options { create: false, ..options() };
    assert!(matches!(Db::open(&empty, without), Err(Error::NotAStore { .. })));
    assert!(matches!(ReadOnlyDb::open(&empty, options()), Err(Error::NotAStore { .. })));
}

#[test]
fn handles_go_stale_when_their_series_rests() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    let old = db.series(&labels("a", 1)).unwrap();
    write(&db, &labels("a", 1), &[(10, 1.0)]);
    db.flush().unwrap();
    write(&db, &labels("a", 2), &[(10, 1.0)]);
    db.flush().unwrap();
    let mut batch = WriteBatch::new();
    batch.push(old, 11, 2.0).unwrap();
    assert!(matches!(db.write(&batch), Err(Error::StaleHandle(_))));
    assert_eq!(all(&db.snapshot().unwrap()).len(), 2, "nothing of it was written");
    write(&db, &labels("a", 1), &[(11, 2.0)]);
    assert_eq!(all(&db.snapshot().unwrap()).len(), 3);
}

#[test]
fn a_write_renews_the_handles_that_are_stale_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options()).unwrap();
    let [rested, other, fresh] = [1, 2, 3].map(|n| labels("a", n));
    let (old, older) = (db.series(&rested).unwrap(), db.series(&other).unwrap());
    for time in [10, 20] {
        write(&db, &labels("b", 1), &[(time, 1.0)]);
        db.flush().unwrap();
    }
    let kept = db.series(&fresh).unwrap();
    let mut batch = WriteBatch::new();
    for handle in [old, kept, older] {
        batch.push(handle, 30, 2.0).unwrap();
    }
    let mut asked = Vec::new();
    let refused = db.write_renewing(&mut batch, |handle| Err(Error::StaleHandle(handle)));
    assert!(matches!(refused, Err(Error::StaleHandle(handle)) if handle == old));
    db.write_renewing(&mut batch, |handle| {
        asked.push(handle);
        db.series(if handle == old { &rested } else { &other })
    })
    .unwrap();
    assert_eq!(asked, [old, older]);
    assert_eq!(all(&db.snapshot().unwrap()).len(), 2 + 3);
    // The batch has the new handles now.
    assert!(db.write_renewing(&mut batch, |_| panic!("none is stale")).is_ok());
}

/// The next owner of the directory merges segments away that the snapshot has not opened yet, more than
/// may be open at a time.
#[test]
fn a_snapshot_outlives_its_handle_and_what_the_next_owner_does() {
    let few_files = || Options { open_files_max: 16, ..options() };
    for closes in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), few_files()).unwrap();
        for n in 0..24 {
            write(&db, &labels("a", n), &[(10, 1.5)]);
            db.flush().unwrap();
        }
        db.close().unwrap();
        let db = Db::open(dir.path(), few_files()).unwrap();
        let snapshot = db.snapshot().unwrap();
        if closes {
            db.close().unwrap();
        }
        drop(db);
        let next = Db::open(dir.path(), few_files()).unwrap();
        let mut go_on = |_: &_| std::ops::ControlFlow::Continue(());
        assert_eq!(next.compact(TimeRange::ALL, &mut go_on).unwrap().segments_in, 24);
        next.close().unwrap();
        assert_eq!(all(&snapshot).len(), 24, "closed: {closes}");
    }
}

#[test]
fn many_threads_share_commits_and_lose_nothing() {
    const ROUNDS: i64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { wal_bytes_max: 1 << 20, ..Options::default() };
    let db = Db::open(dir.path(), options).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..4usize {
            let db = db.clone();
            scope.spawn(move || {
                let mut batch = WriteBatch::new();
                for round in 0..ROUNDS {
                    batch.clear();
                    for i in 0..500 {
                        let handle = db.series(&labels("m", writer * 1000 + i)).unwrap();
                        batch
                            .push(handle, round, (writer * 1000 + i) as f64 + round as f64)
                            .unwrap();
                    }
                    db.write(&batch).unwrap();
                }
            });
        }
    });
    // 1.5 MB of log: at half a MiB a memtable is sealed, and at the next half only once that one is flushed. The counter
    // of flushes may rise a moment later.
    assert!(db.stats().segments > 0, "the log's limit made it flush");
    let found = all(&db.snapshot().unwrap());
    assert_eq!(found.len(), 4 * ROUNDS as usize * 500);
    db.close().unwrap();
    let db = Db::open(dir.path(), Options::default()).unwrap();
    assert_eq!(all(&db.snapshot().unwrap()), found);
}

#[test]
fn policies_acknowledge_what_they_promise() {
    for durability in
        [Durability::Interval(std::time::Duration::from_millis(20)), Durability::Never]
    {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options { durability, ..Options::default() }).unwrap();
        let handle = db.series(&labels("a", 1)).unwrap();
        let mut batch = WriteBatch::new();
        batch.push(handle, 1, 1.0).unwrap();
        let ack = db.write(&batch).unwrap();
        assert!(!ack.durable);
        db.wait_durable(ack.seq).unwrap();
        assert!(db.durable_seq() >= ack.seq);
        assert!(db.wait_durable(ack.seq + 1).is_err(), "no such batch");
        db.close().unwrap();
        assert!(matches!(db.write(&batch), Err(Error::Closed)));
    }
}
