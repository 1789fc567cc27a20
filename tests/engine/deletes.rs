//! Deletes through the public API: what is deleted is gone at once and stays gone, and nothing else.

use std::path::Path;

use siltstone::sys::SimFs;
use siltstone::{Db, Error, Labels, Matcher, Options, QueryOptions, ReadOnlyDb, TimeRange, Verify};
use siltstone_testing::answers::{
    STORE, everything, labels, open_sim, select, sim_clock, sim_options, write,
};

fn disk() -> SimFs {
    SimFs::new()
}

fn series(job: &str, i: u64) -> Labels {
    labels(&[("__name__", "m"), ("job", job), ("i", &i.to_string())])
}

fn job(job: &str) -> Vec<Matcher> {
    vec![Matcher::equal("job", job)]
}

/// What a second process sees.
fn second(fs: &SimFs) -> ReadOnlyDb {
    ReadOnlyDb::open(Path::new(STORE), sim_options(fs, &sim_clock())).unwrap()
}

fn check_verifies(fs: &SimFs) {
    let mut findings = Vec::new();
    let options = sim_options(fs, &sim_clock());
    let check = Verify::new(Path::new(STORE)).options(options);
    check.on_finding(|f| findings.push(f.to_string())).run().unwrap();
    assert_eq!(findings, [""; 0]);
}

/// Runs a check in every place where the samples and the delete can be: in memory, flushed before the
/// delete, flushed behind it, recovered from the log, read by a second process.
fn everywhere(
    before: impl Fn(&Db),
    delete: impl Fn(&Db),
    after: impl Fn(&Db),
    expected: &[(Labels, Vec<(i64, u64)>)],
) {
    for flushes in 0..8 {
        let fs = disk();
        let db = open_sim(&fs).unwrap();
        let flush = |db: &Db, bit: u32| {
            if flushes >> bit & 1 == 1 {
                db.flush().unwrap()
            }
        };
        before(&db);
        flush(&db, 0);
        delete(&db);
        flush(&db, 1);
        after(&db);
        flush(&db, 2);
        let what = format!("flushes {flushes:03b}");
        assert_eq!(everything(&db.snapshot().unwrap()), expected, "{what}");
        assert_eq!(everything(&second(&fs).snapshot()), expected, "{what}, a second process");
        check_verifies(&fs);
        drop(db);
        let db = open_sim(&fs).unwrap();
        assert_eq!(everything(&db.snapshot().unwrap()), expected, "{what}, recovered");
        assert!(db.open_report().findings.is_empty());
        db.close().unwrap();
        check_verifies(&fs);
        let db = open_sim(&fs).unwrap();
        assert_eq!(everything(&db.snapshot().unwrap()), expected, "{what}, opened again");
    }
}

#[test]
fn a_delete_between_two_writes_of_one_series_and_timestamp() {
    let (a, b) = (series("a", 1), series("b", 1));
    everywhere(
        |db| {
            write(db, &a, &[(10, 1), (20, 1), (30, 1)]);
            write(db, &b, &[(20, 2)]);
        },
        |db| {
            db.delete(&job("a"), TimeRange::new(10, 30)).unwrap();
        },
        |db| write(db, &a, &[(20, 3), (25, 3)]),
        &[(a.clone(), vec![(20, 3), (25, 3), (30, 1)]), (b.clone(), vec![(20, 2)])],
    );
}

#[test]
fn a_whole_series_and_its_names_are_gone_and_what_comes_back_is_new() {
    let (a, b) = (series("a", 1), labels(&[("__name__", "m"), ("only", "b")]));
    everywhere(
        |db| {
            write(db, &a, &[(10, 1), (i64::MAX, 1), (i64::MIN, 1)]);
            write(db, &b, &[(20, 2)]);
        },
        |db| {
            db.delete(&[Matcher::not_equal("job", "")], TimeRange::ALL).unwrap();
            let snapshot = db.snapshot().unwrap();
            let options = QueryOptions::default();
            let names = snapshot.label_names(&[], TimeRange::ALL, &options, 99).unwrap();
            assert_eq!(names, ["__name__", "only"]);
            let values = snapshot.label_values("job", &[], TimeRange::ALL, &options, 99).unwrap();
            assert_eq!(values, [""; 0]);
            assert_eq!(
                snapshot.series(&[], TimeRange::ALL, &options, 99).unwrap(),
                std::slice::from_ref(&b)
            );
            let mut visited = 0;
            let mut visit = |_: &Labels, columns: &siltstone::Columns| {
                visited += columns.len();
                std::ops::ControlFlow::Continue(())
            };
            snapshot.scan(&[], TimeRange::ALL, &options, &mut visit).unwrap();
            assert_eq!(visited, 1);
        },
        |db| write(db, &a, &[(5, 7)]),
        &[(a.clone(), vec![(5, 7)]), (b.clone(), vec![(20, 2)])],
    );
}

#[test]
fn deletes_without_rows_between_them() {
    let a = series("a", 1);
    let samples: Vec<(i64, u64)> = (0..100).map(|t| (t, 1)).collect();
    let left: Vec<_> = samples.iter().copied().filter(|(t, _)| t % 2 == 1).collect();
    everywhere(
        |db| write(db, &a, &samples),
        |db| {
            for t in (0..100).step_by(2) {
                let receipt = db.delete(&job("a"), TimeRange::closed(t, t)).unwrap();
                assert_eq!((receipt.samples, receipt.series), (1, 1));
            }
            let nothing = db.delete(&job("a"), TimeRange::closed(0, 0)).unwrap();
            assert_eq!((nothing.samples, nothing.series), (0, 0), "gone already");
        },
        |_| {},
        &[(a.clone(), left)],
    );
}

#[test]
fn a_snapshot_sees_a_delete_and_what_follows_wholly_or_not_at_all() {
    let fs = disk();
    let db = open_sim(&fs).unwrap();
    let (a, b) = (series("a", 1), series("b", 1));
    write(&db, &a, &[(1, 1)]);
    db.flush().unwrap();
    // The active memtable is empty: its rows to come are not for this snapshot.
    let before = db.snapshot().unwrap();
    db.delete(&job("a"), TimeRange::ALL).unwrap();
    let between = db.snapshot().unwrap();
    write(&db, &b, &[(2, 2)]);
    assert_eq!(everything(&before), [(a.clone(), vec![(1, 1)])]);
    assert_eq!(everything(&between), []);
    db.flush().unwrap();
    assert_eq!(everything(&before), [(a, vec![(1, 1)])]);
    assert_eq!(everything(&between), []);
    assert_eq!(everything(&db.snapshot().unwrap()), [(b, vec![(2, 2)])]);
}

#[test]
fn arguments_that_delete_nothing_are_errors() {
    let db = open_sim(&disk()).unwrap();
    let invalid = |matchers: &[Matcher], range| {
        let deleted = db.delete(matchers, range);
        assert!(matches!(deleted, Err(Error::InvalidArgument(_))), "{deleted:?}");
        let preview = db.preview_delete(matchers, range);
        assert!(matches!(preview, Err(Error::InvalidArgument(_))), "{preview:?}");
    };
    invalid(&[], TimeRange::ALL);
    invalid(&job("a"), TimeRange::new(5, 5));
    invalid(&job("a"), TimeRange::new(6, 5));
    let many = vec![Matcher::equal("a", "b"); 65];
    assert!(matches!(db.delete(&many, TimeRange::ALL), Err(Error::LimitExceeded(_))));
    let long = [Matcher::equal("a", "x".repeat(70_000))];
    assert!(matches!(db.delete(&long, TimeRange::ALL), Err(Error::LimitExceeded(_))));
    assert_eq!((db.stats().last_seq, db.stats().tombstones), (0, 0));
    db.close().unwrap();
    assert!(matches!(db.delete(&job("a"), TimeRange::ALL), Err(Error::Closed)));
    assert!(matches!(db.preview_delete(&job("a"), TimeRange::ALL), Err(Error::Closed)));
}

#[test]
fn a_receipt_counts_what_is_hidden_where() {
    let fs = disk();
    let db = open_sim(&fs).unwrap();
    for i in 0..3 {
        let samples: Vec<_> = (0..1000).map(|t| (t * 10, t as u64)).collect();
        write(&db, &series("a", i), &samples);
        write(&db, &series("b", i), &samples);
    }
    db.flush().unwrap();
    // Overwritten ones are stored twice.
    write(&db, &series("a", 0), &[(500, 1), (510, 1), (505, 1)]);
    let range = TimeRange::new(500, 1_000);
    let preview = db.preview_delete(&job("a"), range).unwrap();
    assert_eq!((preview.series, preview.samples, preview.memtable_samples), (3, 153, 3));
    assert_eq!((preview.seq, preview.durable), (0, false));
    assert_eq!(everything(&db.snapshot().unwrap()).len(), 6, "a preview deletes nothing");
    let receipt = db.delete(&job("a"), range).unwrap();
    assert_eq!(receipt.seq, db.stats().last_seq);
    assert!(receipt.durable && receipt.is_complete);
    assert_eq!((preview.series, preview.samples), (receipt.series, receipt.samples));
    assert_eq!((preview.bytes, &preview.segments), (receipt.bytes, &receipt.segments));
    assert_eq!((receipt.segments.len(), receipt.segments[0].samples), (1, 150));
    assert!(receipt.bytes > 0 && receipt.bytes == receipt.segments[0].bytes);
    let whole = db.preview_delete(&job("a"), TimeRange::ALL).unwrap();
    assert_eq!((whole.series, whole.samples), (3, 3_000 - 150), "less what is gone already");
    assert!(whole.bytes > receipt.bytes);
    let none = db.preview_delete(&job("c"), TimeRange::ALL).unwrap();
    assert_eq!((none.series, none.samples, none.bytes, none.segments.len()), (0, 0, 0, 0));
}

#[test]
fn a_log_that_is_full_of_deletes_is_flushed_without_a_segment() {
    let fs = disk();
    let options = Options { wal_bytes_max: 1 << 20, ..sim_options(&fs, &sim_clock()) };
    let db = Db::open(Path::new(STORE), options).unwrap();
    let long = Matcher::not_equal("job", "x".repeat(60_000));
    for _ in 0..40 {
        db.delete(std::slice::from_ref(&long), TimeRange::ALL).unwrap();
        db.tick().unwrap();
    }
    assert!(db.stats().bytes_by_kind.wal < 1 << 20, "{:?}", db.stats().bytes_by_kind);
    assert_eq!(db.stats().segments, 0);
    let last_seq = db.stats().last_seq;
    assert_eq!(last_seq, 40);
    drop(db);
    let db = open_sim(&fs).unwrap();
    write(&db, &series("a", 1), &[(1, 1)]);
    assert_eq!(db.stats().last_seq, last_seq + 1, "seqs of deletes are never given again");
    assert_eq!(select(&db.snapshot().unwrap(), &job("a"), TimeRange::ALL).len(), 1);
}

#[test]
fn deletes_that_match_nothing_leave_the_manifest_and_others_stay() {
    let fs = disk();
    let db = open_sim(&fs).unwrap();
    let tombs = |fs: &SimFs| {
        let files = fs.files();
        files.iter().filter(|path| path.extension().is_some_and(|e| e == "tomb")).count()
    };
    write(&db, &series("a", 1), &[(10, 1), (20, 1)]);
    db.flush().unwrap();
    write(&db, &series("b", 1), &[(10, 1), (20, 1)]);
    db.flush().unwrap();
    // Applies to nothing from the start.
    db.delete(&job("a"), TimeRange::new(30, 40)).unwrap();
    db.flush().unwrap();
    assert_eq!((db.stats().tombstones, tombs(&fs)), (0, 0));
    // Matches in neither segment; then in one of them.
    db.delete(&job("c"), TimeRange::ALL).unwrap();
    db.flush().unwrap();
    assert_eq!((db.stats().tombstones, tombs(&fs)), (1, 1));
    db.tick().unwrap();
    assert_eq!((db.stats().tombstones, tombs(&fs)), (0, 0));
    db.delete(&job("c"), TimeRange::ALL).unwrap();
    db.delete(&job("b"), TimeRange::new(15, 25)).unwrap();
    db.delete(&job("a"), TimeRange::new(11, 12)).unwrap();
    db.flush().unwrap();
    db.tick().unwrap();
    assert_eq!(tombs(&fs), 1);
    let expected = [(series("a", 1), vec![(10, 1), (20, 1)]), (series("b", 1), vec![(10, 1)])];
    drop(db);
    let mut fs = fs;
    for _ in 0..3 {
        fs = fs.fork();
        let db = open_sim(&fs).unwrap();
        db.tick().unwrap();
        assert_eq!(everything(&db.snapshot().unwrap()), expected);
        assert_eq!(everything(&second(&fs).snapshot()), expected);
        let left = db.preview_delete(&job("b"), TimeRange::ALL).unwrap();
        assert_eq!((left.samples, db.stats().tombstones, tombs(&fs)), (1, 2, 1));
        check_verifies(&fs);
    }
}

#[test]
fn deletes_and_writes_at_once_each_hold_wholly() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { query_threads: 0, ..Options::default() };
    let db = Db::open(dir.path(), options.clone()).unwrap();
    // A writer for each job: a delete of its own job hides what it wrote before and nothing after.
    let work = &|name: &str| {
        let series = series(name, 1);
        for round in 0..20_i64 {
            write(&db, &series, &[(2 * round, 1), (2 * round + 1, 1)]);
            let receipt = db.delete(&job(name), TimeRange::ALL).unwrap();
            assert_eq!((receipt.series, receipt.samples), (1, 2 + u64::from(round > 0)), "{name}");
            write(&db, &series, &[(1_000, round as u64)]);
            assert_eq!(
                select(&db.snapshot().unwrap(), &job(name), TimeRange::ALL),
                [(series.clone(), vec![(1_000, round as u64)])]
            );
        }
    };
    let names = ["a", "b", "c"];
    std::thread::scope(|scope| {
        for name in names {
            scope.spawn(move || work(name));
        }
    });
    let expected: Vec<_> = names.iter().map(|n| (series(n, 1), vec![(1_000, 19)])).collect();
    assert_eq!(everything(&db.snapshot().unwrap()), expected);
    drop(db);
    let db = Db::open(dir.path(), options).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), expected);
    db.close().unwrap();
}

#[test]
fn compacting_erases_what_was_deleted_from_every_file() {
    let fs = disk();
    let db = open_sim(&fs).unwrap();
    let secret = labels(&[("__name__", "m"), ("job", "secret-name")]);
    write(&db, &secret, &[(10, 0x4141_4141_4141_4141), (20, 2)]);
    write(&db, &series("a", 1), &[(10, 1), (20, 1)]);
    db.flush().unwrap();
    write(&db, &secret, &[(20, 3), (30, 3)]);
    db.delete(&job("secret-name"), TimeRange::ALL).unwrap();
    write(&db, &secret, &[(20, 9)]);
    write(&db, &series("a", 1), &[(30, 1)]);
    let expected =
        [(series("a", 1), vec![(10, 1), (20, 1), (30, 1)]), (secret.clone(), vec![(20, 9)])];
    db.flush().unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), expected);
    let mut go_on = |_: &siltstone::CompactProgress| std::ops::ControlFlow::Continue(());
    db.compact(TimeRange::ALL, &mut go_on).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), expected, "what was written later stays");
    db.delete(&job("secret-name"), TimeRange::ALL).unwrap();
    db.compact(TimeRange::ALL, &mut go_on).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap()), expected[..1]);
    assert_eq!(db.stats().tombstones, 0);
    db.close().unwrap();
    check_verifies(&fs);
    // The manifest's history has the matchers still: the next opening begins it anew.
    assert_eq!(holders(&fs, b"secret-name"), ["/store/MANIFEST-000001"]);
    let db = open_sim(&fs).unwrap();
    assert_eq!(holders(&fs, b"secret-name"), [""; 0]);
    assert_eq!(everything(&db.snapshot().unwrap()), expected[..1]);
}

/// The files that hold these bytes.
fn holders(fs: &SimFs, bytes: &[u8]) -> Vec<String> {
    let holds = |path: &std::path::PathBuf| {
        fs.read_file(path).unwrap().windows(bytes.len()).any(|window| window == bytes)
    };
    fs.files().into_iter().filter(holds).map(|path| path.display().to_string()).collect()
}
