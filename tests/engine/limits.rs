//! Bad input and limits: a clear error that names the place, and nothing else is lost.

use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{SimClock, SimFs, Vfs};
use siltstone::{
    BATCH_ROWS_MAX, Cancel, Db, Durability, EncodedLabels, Error, LabelError, Labels, LabelsLimits,
    Limit, Matcher, Options, QueryOptions, ReadOnlyDb, TimeRange, WriteBatch,
};
use siltstone_testing::answers::{
    self, STORE, everything, labels, open_sim, sim_clock, sim_options, write,
};

/// Labels as a sender encodes them: nothing is checked.
struct Sent {
    bytes: Vec<u8>,
    pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

fn sent(pairs: &[(&[u8], &[u8])]) -> Sent {
    let bytes = pairs.iter().flat_map(|(n, v)| [*n, b"=", *v, b";"].concat()).collect();
    Sent { bytes, pairs: pairs.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect() }
}

impl EncodedLabels for Sent {
    fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn pairs<'a>(&'a self, mut visit: impl FnMut(&'a [u8], &'a [u8]) -> bool) {
        let _ = self.pairs.iter().all(|(name, value)| visit(name, value));
    }
}

fn refusal(db: &Db, pairs: &[(&[u8], &[u8])]) -> LabelError {
    match db.series_encoded(&sent(pairs)) {
        Err(Error::Labels(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bad_labels_are_refused_by_name() {
    let db = open_sim(&SimFs::new()).unwrap();
    assert_eq!(refusal(&db, &[]), LabelError::Empty);
    assert_eq!(refusal(&db, &[(b"a", b"")]), LabelError::Empty);
    assert_eq!(refusal(&db, &[(b"", b"x")]), LabelError::EmptyName("x".into()));
    let twice = refusal(&db, &[(b"a", b"1"), (b"b", b"2"), (b"a", b"1")]);
    assert_eq!(twice, LabelError::DuplicateName("a".into()));
    assert!(matches!(refusal(&db, &[(b"a", b"\xff")]), LabelError::NotUtf8(_)));
    assert!(matches!(refusal(&db, &[(b"\xc3", b"x")]), LabelError::NotUtf8(_)));
    assert!(matches!(refusal(&db, &[(b"a\xffb", b"x")]), LabelError::NotUtf8(_)));
    let max = LabelsLimits::default();
    for (name, value) in [(max.name_bytes_max + 1, 1), (1, max.value_bytes_max + 1)] {
        let (name, value) = ("n".repeat(name), "v".repeat(value));
        let error = refusal(&db, &[(name.as_bytes(), value.as_bytes())]);
        assert!(matches!(error, LabelError::TooLong { .. }), "{error}");
        assert!(error.to_string().len() < 200, "the message does not repeat it all: {error}");
    }
    let many: Vec<Vec<u8>> =
        (0..=max.labels_max).map(|i| format!("l{i:03}").into_bytes()).collect();
    let many: Vec<(&[u8], &[u8])> = many.iter().map(|name| (&name[..], &b"x"[..])).collect();
    assert!(matches!(refusal(&db, &many), LabelError::TooMany { .. }));
    assert_eq!(db.stats().active_series, 0, "nothing of them is kept");

    // Unsorted labels are sorted, empty values dropped: aliases of one series.
    let plain = db.series(&labels(&[("a", "1"), ("b", "2")])).unwrap();
    let alias = sent(&[(b"b", b"2"), (b"gone", b""), (b"a", b"1")]);
    assert_eq!(db.series_encoded(&alias).unwrap(), plain);
}

#[test]
fn the_ends_of_time_are_stored_and_found() {
    let fs = SimFs::new();
    let db = open_sim(&fs).unwrap();
    let ends = [(i64::MIN, 1), (i64::MIN + 1, 2), (0, 3), (i64::MAX - 1, 4), (i64::MAX, 5)];
    write(&db, &labels(&[("a", "1")]), &ends);
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let snapshot = db.snapshot().unwrap();
        assert_eq!(everything(&snapshot)[0].1, ends);
        let count = |range| answers::select(&snapshot, &[], range).first().map_or(0, |s| s.1.len());
        assert_eq!(count(TimeRange::new(i64::MIN, i64::MIN)), 0);
        assert_eq!(count(TimeRange::new(i64::MIN, i64::MIN + 1)), 1);
        assert_eq!(count(TimeRange::new(i64::MAX - 1, i64::MAX)), 2, "MAX includes the last tick");
        assert_eq!(count(TimeRange::new(i64::MIN, i64::MAX - 1)), 3);
    }
}

/// A query that does not say how many bytes it may hold gets a quarter of the budget.
#[test]
fn a_query_is_bounded_by_the_budget_unless_it_says_otherwise() {
    let fs = SimFs::new();
    let options = Options { memory_budget_bytes: 16 << 20, ..sim_options(&fs, &sim_clock()) };
    let db = Db::open(STORE, options).unwrap();
    let labels = labels(&[("a", "1")]);
    let rows = 300_000; // 4.8 MB of columns
    for part in 0..3 {
        let handle = db.series(&labels).unwrap();
        let mut batch = WriteBatch::new();
        let times = part * rows / 3..(part + 1) * rows / 3;
        batch.extend(handle, times.map(|t| (t, 0.5))).unwrap();
        db.write(&batch).unwrap();
    }
    let snapshot = db.snapshot().unwrap();
    let count = |options: &QueryOptions| -> Result<usize, Error> {
        let found = snapshot.select(&[Matcher::equal("a", "1")], TimeRange::ALL, options)?;
        found.map(|series| Ok(series?.columns.len())).sum()
    };
    let Err(Error::LimitExceeded(exceeded)) = count(&QueryOptions::default()) else { panic!() };
    assert_eq!((exceeded.limit, exceeded.max), (Limit::QueryBytes, 4 << 20));
    let more = QueryOptions { bytes_max: Some(64 << 20), ..QueryOptions::default() };
    assert_eq!(count(&more).unwrap(), rows as usize);
}

#[test]
fn one_stale_handle_refuses_its_batch_and_no_other() {
    let db = open_sim(&SimFs::new()).unwrap();
    let (old, kept) = (labels(&[("a", "old")]), labels(&[("a", "kept")]));
    let stale = db.series(&old).unwrap();
    for round in 0..2 {
        write(&db, &kept, &[(round, 1)]);
        db.flush().unwrap();
    }
    let mut bad = WriteBatch::new();
    bad.push(db.series(&kept).unwrap(), 10, 1.0).unwrap();
    bad.push(stale, 10, 1.0).unwrap();
    let mut good = WriteBatch::new();
    good.push(db.series(&kept).unwrap(), 11, 1.0).unwrap();
    let tickets = [db.submit(&bad).unwrap(), db.submit(&good).unwrap()];
    assert!(db.commit_step());
    assert!(matches!(tickets[0].poll(), Some(Err(Error::StaleHandle(_)))));
    assert!(tickets[1].poll().unwrap().is_ok());
    let found = everything(&db.snapshot().unwrap());
    let times: Vec<i64> = found[0].1.iter().map(|(t, _)| *t).collect();
    assert_eq!((found.len(), times), (1, vec![0, 1, 11]));
}

#[test]
fn a_batch_has_a_limit_and_an_empty_one_is_written() {
    let db = open_sim(&SimFs::new()).unwrap();
    let handle = db.series(&labels(&[("a", "1")])).unwrap();
    let mut batch = WriteBatch::new();
    assert_eq!(db.write(&batch).unwrap().seq, 0);
    for row in 0..BATCH_ROWS_MAX as i64 {
        batch.push(handle, row, 0.5).unwrap();
    }
    let Err(error @ Error::LimitExceeded(_)) = batch.push(handle, -1, 0.5) else {
        panic!("no limit")
    };
    let text = error.to_string();
    assert!(text.contains("1048576"), "{text}");
    db.write(&batch).unwrap();
    assert_eq!(everything(&db.snapshot().unwrap())[0].1.len(), BATCH_ROWS_MAX);
}

#[test]
fn known_series_go_on_where_new_ones_are_refused() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = Options { series_max: Some(3), ..sim_options(&fs, &clock) };
    let db = Db::open(STORE, options).unwrap();
    let series: Vec<Labels> = (0..4).map(|i| labels(&[("i", &i.to_string())])).collect();
    series[..3].iter().for_each(|labels| write(&db, labels, &[(1, 1)]));
    let Err(error @ Error::LimitExceeded(_)) = db.series(&series[3]) else { panic!("no limit") };
    let text = error.to_string();
    assert!(
        text.contains("has 3 active series") && text.contains("Raise the limit"),
        "says what to do: {text}"
    );
    write(&db, &series[0], &[(2, 2)]);
    // Rest frees their places.
    for _ in 0..3 {
        db.flush().unwrap();
        write(&db, &series[0], &[(3, 3)]);
        clock.advance(Duration::from_secs(100));
    }
    write(&db, &series[3], &[(1, 1)]);
    assert_eq!(everything(&db.snapshot().unwrap()).len(), 4);
}

#[test]
fn samples_outside_the_age_limits_are_refused() {
    let fs = SimFs::new();
    let clock = Arc::new(SimClock::new(1_000_000_000));
    let day = Duration::from_secs(86_400);
    let options =
        Options { age_max: Some(day), ahead_max: Some(day / 24), ..sim_options(&fs, &clock) };
    let db = Db::open(STORE, options).unwrap();
    let handle = db.series(&labels(&[("a", "1")])).unwrap();
    let write_at = |timestamp| {
        let mut batch = WriteBatch::new();
        batch.push(handle, timestamp, 1.0).unwrap();
        db.write(&batch)
    };
    write_at(1_000_000_000 - 86_400_000).unwrap();
    write_at(1_000_000_000 + 3_600_000).unwrap();
    for bad in [1_000_000_000 - 86_400_001, 1_000_000_000 + 3_600_001, i64::MIN, i64::MAX] {
        let Err(Error::InvalidArgument(text)) = write_at(bad) else { panic!("{bad} is taken") };
        assert!(text.contains(&bad.to_string()), "{text}");
    }
    assert_eq!(db.stats().samples, 2);
}

#[test]
fn options_out_of_range_are_refused() {
    let defaults = || sim_options(&SimFs::new(), &sim_clock());
    let short = Duration::from_millis(9);
    let bad = [
        Options { durability: Durability::Interval(short), ..defaults() },
        Options { durability: Durability::Interval(Duration::from_secs(11)), ..defaults() },
        Options { memory_budget_bytes: (16 << 20) - 1, ..defaults() },
        Options { wal_bytes_max: (1 << 20) - 1, ..defaults() },
        Options { window: Duration::from_secs(59), ..defaults() },
        Options { flush_interval: short, ..defaults() },
        Options { series_idle: short, ..defaults() },
        Options { ticks_per_second: 1_000_000_001, ..defaults() },
    ];
    for options in bad {
        let fs = Arc::clone(&options.vfs);
        assert!(matches!(Db::open(STORE, options), Err(Error::InvalidArgument(_))));
        assert!(fs.list("/".as_ref()).unwrap().is_empty(), "nothing was created");
    }
}

#[test]
fn a_store_keeps_its_ticks_per_second() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let options = |ticks| Options { ticks_per_second: ticks, ..sim_options(&fs, &clock) };
    Db::open(STORE, options(1_000_000)).unwrap().close().unwrap();
    let Err(Error::InvalidArgument(text)) = Db::open(STORE, options(1000)) else { panic!("taken") };
    assert!(text.contains("1000000") && text.contains("1000"), "{text}");
    let db = Db::open(STORE, options(0)).unwrap();
    assert_eq!(db.ticks_per_second(), 1_000_000, "0 takes what there is");
}

#[test]
fn a_directory_that_is_no_store_stays_as_it_is() {
    let fs = SimFs::new();
    fs.create_dir_all(STORE.as_ref()).unwrap();
    fs.write_file("/store/letter.txt", b"dear").unwrap();
    let error = open_sim(&fs).unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    assert!(error.to_string().contains(STORE) && error.to_string().contains("letter.txt"));
    assert!(matches!(
        ReadOnlyDb::open(STORE, sim_options(&fs, &sim_clock())),
        Err(Error::NotAStore { .. })
    ));
    assert_eq!(fs.files(), [std::path::PathBuf::from("/store/letter.txt")]);
}

#[test]
fn queries_stop_at_their_limits() {
    let (fs, clock) = (SimFs::new(), sim_clock());
    let db = Db::open(STORE, sim_options(&fs, &clock)).unwrap();
    for i in 0..10 {
        let samples: Vec<(i64, u64)> = (0..1000).map(|t| (t, t as u64)).collect();
        write(&db, &labels(&[("i", &i.to_string())]), &samples);
    }
    let run = |snapshot: &siltstone::Snapshot, options: &QueryOptions| -> Result<usize, Error> {
        let mut samples = 0;
        for series in snapshot.select(&[Matcher::not_equal("i", "x")], TimeRange::ALL, options)? {
            samples += series?.columns.len();
        }
        Ok(samples)
    };
    for flushed in [false, true] {
        if flushed {
            db.flush().unwrap();
        }
        let snapshot = db.snapshot().unwrap();
        let options = QueryOptions { samples_max: 10_000, series_max: 10, ..Default::default() };
        assert_eq!(run(&snapshot, &options).unwrap(), 10_000);
        for (limit, options) in [
            ("samples_max", QueryOptions { samples_max: 9_999, ..Default::default() }),
            ("series_max", QueryOptions { series_max: 9, ..Default::default() }),
            ("bytes_max", QueryOptions { bytes_max: Some(1000), ..Default::default() }),
        ] {
            let error = run(&snapshot, &options).unwrap_err();
            assert!(matches!(error, Error::LimitExceeded(_)), "{error}");
            assert!(error.to_string().contains(limit), "{error}");
        }
        let cancel = Cancel::default();
        cancel.cancel();
        let options = QueryOptions { cancel: Some(cancel), ..Default::default() };
        assert!(matches!(run(&snapshot, &options), Err(Error::Cancelled)));
        let options = QueryOptions { timeout: Some(Duration::from_secs(5)), ..Default::default() };
        assert_eq!(run(&snapshot, &options).unwrap(), 10_000);
        let mut selection = snapshot.select(&[], TimeRange::ALL, &options).unwrap();
        clock.advance(Duration::from_secs(6));
        assert!(selection.any(|series| matches!(series, Err(Error::Cancelled))), "time is up");
    }
}

/// As many days as `SILTSTONE_DAYS` says: one flush, one segment, some bytes a day.
#[test]
fn many_days_do_not_explode() {
    const DAY: i64 = 86_400_000;
    let days = std::env::var("SILTSTONE_DAYS").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { background: siltstone::Background::Manual, ..Options::default() };
    let db = Db::open(dir.path(), options()).unwrap();
    // A step of 24 h and a bit, over most of the range of time where it must be.
    let samples: Vec<(i64, u64)> = (0..days)
        .map(|day| ((day - days / 2) * DAY + day % 1000, ((day % 977) as f64).to_bits()))
        .collect();
    let series = labels(&[("__name__", "daily")]);
    samples.chunks(100_000).for_each(|chunk| write(&db, &series, chunk));
    db.flush().unwrap();
    let stats = db.stats();
    assert_eq!((stats.segments, stats.flushes), (1, 1));
    let files = ReadOnlyDb::open(dir.path(), options()).unwrap().segments()[0].file_bytes;
    let each = files as f64 / days as f64;
    println!("{days} days: {files} bytes, {each:.1} a day, flushed in {} us", stats.flush.max_us);
    assert!(each < 60.0, "{each:.1} bytes a day");
    assert_eq!(everything(&db.snapshot().unwrap()), [(series.clone(), samples.clone())]);
    db.compact(TimeRange::ALL, &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
    let segments = db.stats().segments;
    println!("{segments} segments after compaction");
    assert!((1..100).contains(&segments), "{segments} segments");
    assert_eq!(everything(&db.snapshot().unwrap()), [(series.clone(), samples.clone())]);
    let range = TimeRange::new(0, 10 * DAY);
    let expected: Vec<(i64, u64)> =
        samples.into_iter().filter(|(t, _)| range.contains(*t)).collect();
    assert_eq!(answers::select(&db.snapshot().unwrap(), &[], range), [(series, expected)]);
}
