//! Segments that are truncated while they are mapped: every query is right or says which file is not, other
//! segments answer, and merges put nothing in the place of what cannot be read. On a real disk.

#![expect(clippy::disallowed_methods, reason = "tests damage files behind the engine's back")]

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use siltstone::{
    Background, Damage, Db, Durability, Error, Labels, Options, QueryOptions, TimeRange, Verify,
    WriteBatch, turn_map_faults_into_errors,
};
use siltstone_testing::answers::salvage;
use tempfile::TempDir;

const SEGMENTS: i64 = 3;
const SERIES: usize = 24;
/// Of each series in each segment; values are noise, so that a segment has hundreds of pages.
const ROWS: i64 = 2500;

fn options() -> Options {
    Options {
        durability: Durability::Never,
        background: Background::Manual,
        query_threads: 2,
        ..Options::default()
    }
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("number", &format!("{series:02}"))]).unwrap()
}

/// A value that no other sample has, and that is not 0.
fn value(series: usize, t: i64) -> u64 {
    let mixed = (series as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (t as u64 + 1);
    // The exponent is that of a number from 1 to 2.
    (mixed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 12) | 0x3FF0_0000_0000_0000
}

/// The time of segment `number`, of 0 to [`SEGMENTS`].
fn range(number: i64) -> TimeRange {
    TimeRange::new(number * ROWS, (number + 1) * ROWS)
}

/// A store with [`SEGMENTS`] segments of all series each, one after the other in time.
struct Store {
    root: TempDir,
    db: Option<Db>,
}

impl Store {
    fn new() -> Self {
        turn_map_faults_into_errors().unwrap();
        let mut store = Self { root: tempfile::tempdir().unwrap(), db: None };
        store.open();
        for number in 0..SEGMENTS {
            let mut batch = WriteBatch::new();
            for series in 0..SERIES {
                let handle = store.db().series(&labels(series)).unwrap();
                for t in number * ROWS..(number + 1) * ROWS {
                    batch.push_bits(handle, t, value(series, t)).unwrap();
                }
            }
            store.db().write(&batch).unwrap();
            store.db().flush().unwrap();
        }
        assert_eq!(store.segments().len(), SEGMENTS as usize);
        store
    }

    fn dir(&self) -> PathBuf {
        self.root.path().join("store")
    }

    fn db(&self) -> &Db {
        self.db.as_ref().unwrap()
    }

    fn open(&mut self) {
        self.db = None;
        self.db = Some(Db::open(self.dir(), options()).unwrap());
    }

    /// By age.
    fn segments(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap().path());
        let mut found: Vec<_> =
            entries.filter(|path| path.extension().is_some_and(|e| e == "seg")).collect();
        found.sort();
        found
    }

    fn is_whole(&self) {
        assert_eq!(check(self.db(), TimeRange::ALL, Path::new("none")), 0);
        let verified = Verify::new(&self.dir()).options(options()).run().unwrap();
        assert_eq!(verified.findings, 0);
    }
}

fn cut(path: &Path, len: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// That a query of the range gives every series as it was written, or an error that names the file; how many
/// errors there were.
fn check(db: &Db, within: TimeRange, damaged: &Path) -> usize {
    let (found, errors) = salvage(&db.snapshot().unwrap(), &[], within);
    for error in &errors {
        names(error, damaged);
    }
    assert!(!errors.is_empty() || found.len() == SERIES, "{} series", found.len());
    let times = (0..SEGMENTS * ROWS).filter(|&t| within.contains(t));
    for (labels, samples) in found {
        let series = labels.get("number").unwrap().parse().unwrap();
        let expected = times.clone().map(|t| (t, value(series, t)));
        assert!(samples.into_iter().eq(expected), "{labels}: wrong values");
    }
    errors.len()
}

/// That an error is typed, and says which file and what happened to it.
fn names(error: &Error, damaged: &Path) {
    let says = error.to_string();
    let is_typed = matches!(error, Error::Lost(_) | Error::Corrupt { .. });
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(is_typed && says.contains(name), "{error:?}");
    assert!(says.contains("file at byte") && says.contains("has changed"), "{says}");
}

/// What a query gives that leaves out damage: no value is wrong, and none of another segment is missing.
fn check_rest(db: &Db, cut: i64, damaged: &Path) {
    let damage = Damage::default();
    let options = QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
    let mut found = BTreeMap::new();
    for series in db.snapshot().unwrap().select(&[], TimeRange::ALL, &options).unwrap() {
        let series = series.unwrap();
        let samples: BTreeMap<i64, u64> =
            series.columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        found.insert(series.labels.get("number").unwrap().parse::<usize>().unwrap(), samples);
    }
    assert_eq!(found.len(), SERIES);
    for (series, samples) in found {
        assert!(samples.iter().all(|(&t, &bits)| bits == value(series, t)), "{series}");
        let others = (0..SEGMENTS * ROWS).filter(|&t| !range(cut).contains(t));
        assert!(others.into_iter().all(|t| samples.contains_key(&t)), "{series}");
    }
    let errors = damage.take();
    assert!(!errors.is_empty());
    errors.iter().for_each(|error| names(error, damaged));
}

#[test]
fn a_file_that_was_cut_before_a_query_is_named_and_others_answer() {
    let mut store = Store::new();
    let path = store.segments().remove(1);
    let whole = fs::read(&path).unwrap();
    for is_read_before in [true, false] {
        for len in [0, 1, 5000, whole.len() as u64 / 2 + 1, whole.len() as u64 - 1] {
            store.open();
            if is_read_before {
                store.is_whole();
            }
            cut(&path, len);
            for _ in 0..2 {
                let errors = check(store.db(), TimeRange::ALL, &path);
                // At the end there is a footer that has a twin.
                assert!(errors > 0 || len == whole.len() as u64 - 1, "{len}");
                for number in [0, 2] {
                    assert_eq!(check(store.db(), range(number), &path), 0);
                }
                if errors > 0 {
                    check_rest(store.db(), 1, &path);
                }
            }
            let verified = Verify::new(&store.dir()).options(options()).run().unwrap();
            assert_eq!(verified.findings, 1, "{len}");
            // A good copy of the file is all that it needs.
            let copy = path.with_extension("copy");
            fs::write(&copy, &whole).unwrap();
            fs::rename(&copy, &path).unwrap();
        }
    }
    store.open();
    store.is_whole();
}

/// More rounds than any thread makes.
const ENDED: usize = usize::MAX / 2;

/// Lets nobody wait for a thread that has ended.
struct Ended<'a>(&'a AtomicUsize);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(ENDED, Ordering::Relaxed);
    }
}

/// Waits until each counter has risen by so much.
fn each_goes_on(rounds: &[AtomicUsize; 3], by: usize) {
    let aims = rounds.each_ref().map(|count| count.load(Ordering::Relaxed) + by);
    let waits = |(count, aim): (&AtomicUsize, usize)| {
        let now = count.load(Ordering::Relaxed);
        now < aim && now < ENDED
    };
    while rounds.iter().zip(aims).any(waits) {
        std::thread::yield_now();
    }
}

#[test]
fn queries_of_a_file_that_is_cut_meanwhile_are_right_or_name_it() {
    let mut store = Store::new();
    let (stop, rounds, errors) =
        (AtomicBool::new(false), [0; 3].map(AtomicUsize::new), AtomicUsize::new(0));
    for round in 0..6 {
        store.open();
        store.is_whole();
        let path = store.segments().remove(round % 3);
        let whole = fs::read(&path).unwrap();
        stop.store(false, Ordering::Relaxed);
        rounds.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        std::thread::scope(|scope| {
            for count in &rounds {
                let (db, stop, errors, path) = (store.db(), &stop, &errors, &path);
                scope.spawn(move || {
                    let _ended = Ended(count);
                    while !stop.load(Ordering::Relaxed) {
                        errors.fetch_add(check(db, TimeRange::ALL, path), Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let cuts =
                [95, 60, 37, 0].map(|percent| whole.len() as u64 * percent / 100 + round as u64);
            for len in cuts {
                each_goes_on(&rounds, 1);
                cut(&path, len);
            }
            each_goes_on(&rounds, 2);
            stop.store(true, Ordering::Relaxed);
        });
        assert!(check(store.db(), TimeRange::ALL, &path) > 0);
        let copy = path.with_extension("copy");
        fs::write(&copy, &whole).unwrap();
        fs::rename(&copy, &path).unwrap();
    }
    assert!(errors.into_inner() > 0);
    store.open();
    store.is_whole();
}

#[test]
fn a_merge_of_a_file_that_is_cut_under_it_replaces_nothing() {
    for (is_read_before, percent) in [(true, 0), (true, 40), (false, 0), (false, 70)] {
        let mut store = Store::new();
        if is_read_before {
            store.is_whole();
        }
        let path = store.segments().remove(1);
        let whole = fs::read(&path).unwrap();
        let mut steps = 0;
        let mut progress = |_: &_| {
            steps += 1;
            if steps == 1 {
                cut(&path, whole.len() as u64 * percent / 100 + 1);
            }
            ControlFlow::Continue(())
        };
        let report = store.db().compact(TimeRange::ALL, &mut progress).unwrap();
        assert!(steps > 0, "the merge takes steps");
        assert_eq!((report.damaged_rows, report.lost), (0, 0), "{report:?}");
        assert_eq!(report.findings.len(), 1, "{report:?}");
        let says = report.findings[0].to_string();
        assert!(says.contains(path.file_name().unwrap().to_str().unwrap()), "{says}");
        assert!(path.exists() && store.db().losses().unwrap().lost_samples == 0);
        assert!(check(store.db(), TimeRange::ALL, &path) > 0);
        for number in [0, 2] {
            assert_eq!(check(store.db(), range(number), &path), 0);
        }
        // Opened as it is, it is the damaged file that it always was.
        store.open();
        assert!(check(store.db(), TimeRange::ALL, &path) > 0);
        store.db().compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        let copy = path.with_extension("copy");
        fs::write(&copy, &whole).unwrap();
        fs::rename(&copy, &path).unwrap();
        store.open();
        store.is_whole();
        store.db().compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!(store.segments().len(), 1);
        store.is_whole();
    }
}
