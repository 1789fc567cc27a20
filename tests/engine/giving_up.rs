//! Giving up segments that cannot be read: whatever was done with what is older, nothing of it shows in their place,
//! and nothing else is concerned.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use siltstone::sys::{SimFs, Vfs};
use siltstone::{AcceptOptions, AcceptReport, Db, Matcher, Options, ReadOnlyDb, TimeRange, Verify};
use siltstone_testing::answers::{STORE, everything, salvage, write};

use crate::losses::{open, options, segment_files, series};

/// What a store holds: value by time for each series.
type Held = BTreeMap<String, BTreeMap<i64, u64>>;

/// Times, and the value at all of them.
type Run = (std::ops::Range<i64>, u64);

/// One layer: for each series its times, and the value that it has at all of them.
type Layer<'a> = (&'a [(&'a str, std::ops::Range<i64>)], u64);

/// A store with a segment for each layer, the oldest first.
fn layered(fs: &SimFs, layers: &[Layer<'_>]) -> Db {
    let db = open(fs);
    for (all, value) in layers {
        for (name, times) in *all {
            let samples: Vec<_> = times.clone().map(|t| (t, *value)).collect();
            write(&db, &series(name), &samples);
        }
        db.flush().unwrap();
    }
    assert_eq!(segment_files(fs).len(), layers.len());
    db
}

/// Closes the store, removes the segments `at` (0 is the oldest), and opens it again.
fn without(fs: &SimFs, db: Db, at: &[usize]) -> Db {
    db.close().unwrap();
    let files = segment_files(fs);
    at.iter().for_each(|&at| fs.remove(&files[at]).unwrap());
    let db = open(fs);
    assert_eq!(db.open_report().findings.len(), at.len());
    db
}

fn accept(db: &Db) -> AcceptReport {
    let options = AcceptOptions { give_up_unreadable: true };
    db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap()
}

fn gives_up(db: &Db, segments: u64) {
    let report = accept(db);
    assert_eq!((report.given_up, report.findings.len()), (segments, 0), "{report:?}");
}

fn merge(db: &Db) {
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
}

fn held(db: &Db) -> Held {
    let all = everything(&db.snapshot().unwrap()).into_iter();
    all.map(|(labels, samples)| {
        (labels.get("name").unwrap().to_owned(), samples.into_iter().collect())
    })
    .collect()
}

fn expected(all: &[(&str, &[Run])]) -> Held {
    let samples = |parts: &[Run]| {
        parts.iter().flat_map(|(times, v)| times.clone().map(|t| (t, *v))).collect()
    };
    all.iter().map(|(name, parts)| ((*name).to_owned(), samples(parts))).collect()
}

/// That nothing is wrong with the files, and every way of reading says the same.
fn check_sound(fs: &SimFs) {
    let mut findings = Vec::new();
    let verify = Verify::new(Path::new(STORE)).options(options(fs)).deep(true);
    verify.on_finding(|finding| findings.push(finding.to_string())).run().unwrap();
    assert!(findings.is_empty(), "{findings:?}");
}

/// That the store holds `expected` now, when it is opened twice more, and when all was merged; then no mask is left.
fn stays(fs: &SimFs, db: Db, expected: &Held) -> Db {
    let check = |db: &Db, step: &str| {
        assert_eq!(&held(db), expected, "{step}");
        assert!(db.losses().unwrap().is_whole(), "{step}");
    };
    check(&db, "given up");
    db.close().unwrap();
    check_sound(fs);
    for _ in 0..2 {
        let reader = ReadOnlyDb::open(STORE, options(fs)).unwrap();
        assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report());
        let db = open(fs);
        assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
        check(&db, "reopened");
        db.close().unwrap();
    }
    let db = open(fs);
    merge(&db);
    check(&db, "merged");
    assert_eq!(db.losses().unwrap().accepted_samples, 0, "the masks left with what they hid");
    db.close().unwrap();
    check_sound(fs);
    let db = open(fs);
    check(&db, "merged and reopened");
    db
}

/// A delete in the place of such a segment would have counted as carried out where a later one was, and hidden
/// nothing there.
#[test]
fn nothing_older_shows_where_later_deletes_were_carried_out() {
    let fs = SimFs::new();
    let all = 0..30;
    let db = layered(&fs, &[(&[("a", all.clone()), ("b", all)], 1), (&[("a", 10..20)], 2)]);
    let db = without(&fs, db, &[1]);
    db.delete(&[Matcher::equal("name", "a")], TimeRange::new(5, 15)).unwrap();
    merge(&db);
    gives_up(&db, 1);
    let expected = expected(&[
        ("a", &[(0..5, 1), (20..30, 1)]),
        // Which series the segment had is not known.
        ("b", &[(0..10, 1), (20..30, 1)]),
    ]);
    let db = stays(&fs, db, &expected);
    assert_eq!(db.stats().tombstones, 0, "the delete is carried out");
}

/// Segments of one attach have the same seq.
#[test]
fn both_of_one_attach_are_given_up() {
    const LATER: i64 = 10_000_000_000;
    for merges_between in [false, true] {
        let fs = SimFs::new();
        let db = open(&fs);
        let other = Db::open("/other", options(&fs)).unwrap();
        // Segments that do not overlap are attached one by one.
        for (store, value) in [(&db, 1), (&other, 2)] {
            for timestamp in [1, LATER] {
                write(
                    store,
                    &series("a"),
                    &[(timestamp, value), (timestamp + value as i64, value)],
                );
                store.flush().unwrap();
            }
        }
        other.close().unwrap();
        let own = segment_files(&fs).len();
        db.attach("/other").unwrap();
        let db = without(&fs, db, &[own, own + 1]);
        if merges_between {
            merge(&db);
            assert!(!salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL).1.is_empty());
        }
        gives_up(&db, 2);
        // Each had three ticks, and beneath it were the first two.
        stays(&fs, db, &Held::new());
    }
}

#[test]
fn only_what_is_older_in_its_range_is_hidden() {
    let fs = SimFs::new();
    let older = [("a", 0..30), ("apart", 40..60), ("inside", 16..18), ("part", 18..30)];
    let db = layered(&fs, &[(&older, 1), (&[("a", 10..20), ("own", 10..20)], 2)]);
    let db = without(&fs, db, &[1]);
    gives_up(&db, 1);
    // a: 10 to 19; inside: 16 and 17; part: 18 and 19.
    assert_eq!(db.losses().unwrap().accepted_samples, 10 + 2 + 2, "no more masks than it takes");
    assert_eq!((db.stats().samples_lost, db.stats().samples_accepted), (20, 20));
    let apart: (&str, &[_]) = ("apart", &[(40..60, 1)]);
    let mut now = expected(&[("a", &[(0..10, 1), (20..30, 1)]), apart, ("part", &[(20..30, 1)])]);
    assert_eq!(held(&db), now);
    // What is written there later counts, whether anything older was there or not.
    for (name, time) in [("a", 12), ("inside", 16), ("own", 15), ("new", 15)] {
        write(&db, &series(name), &[(time, 5)]);
        now.entry(name.to_owned()).or_default().insert(time, 5);
    }
    assert_eq!(held(&db), now);
    db.flush().unwrap();
    stays(&fs, db, &now);
}

#[test]
fn where_nothing_is_older_nothing_takes_its_place() {
    let fs = SimFs::new();
    let db = layered(&fs, &[(&[("a", 0..30)], 1), (&[("a", 10..20)], 2), (&[("a", 40..50)], 3)]);
    let db = without(&fs, db, &[0, 2]);
    gives_up(&db, 2);
    assert_eq!((segment_files(&fs).len(), db.losses().unwrap().accepted_samples), (1, 0));
    stays(&fs, db, &expected(&[("a", &[(10..20, 2)])]));
}

/// Which series the one in the middle had is known to nobody; once it is given up, what takes its place can be read.
#[test]
fn of_several_the_oldest_goes_first() {
    for damaged_index in [false, true] {
        let fs = SimFs::new();
        let layers: [Layer<'_>; 3] =
            [(&[("a", 0..30)], 1), (&[("a", 10..25)], 2), (&[("a", 5..20), ("b", 5..20)], 3)];
        let db = layered(&fs, &layers);
        let gone: &[usize] = if damaged_index { &[2] } else { &[1, 2] };
        if damaged_index {
            // Labels are stored once, in the index.
            let file = &segment_files(&fs)[1];
            let bytes = fs.read_file(file).unwrap();
            let at = bytes.windows(8).position(|word| word == b"__name__").unwrap();
            fs.flip(file, at as u64, 1).unwrap();
        }
        let db = without(&fs, db, gone);
        gives_up(&db, 2);
        assert_eq!(db.losses().unwrap().accepted_samples, 15 + 15, "of a, once each");
        stays(&fs, db, &expected(&[("a", &[(0..5, 1), (25..30, 1)])]));
    }
}

/// Merges of what is newer carry the masks on, as long as something older is there.
#[test]
fn masks_are_carried_on_by_merges_that_do_not_reach_what_they_hide() {
    let fs = SimFs::new();
    let layers: [Layer<'_>; 3] =
        [(&[("a", 0..30)], 1), (&[("a", 10..20)], 2), (&[("a", 12..14)], 3)];
    let db = without(&fs, layered(&fs, &layers), &[1]);
    gives_up(&db, 1);
    let now = expected(&[("a", &[(0..10, 1), (12..14, 3), (20..30, 1)])]);
    // A merge of the newer ones alone: the oldest cannot be read for now.
    db.close().unwrap();
    let oldest = segment_files(&fs).remove(0);
    let bytes = fs.read_file(&oldest).unwrap();
    fs.remove(&oldest).unwrap();
    let db = open(&fs);
    assert_eq!(db.stats().segments, 3);
    merge(&db);
    assert_eq!(db.stats().segments, 2, "merged");
    db.close().unwrap();
    fs.write_file(&oldest, &bytes).unwrap();
    let db = open(&fs);
    assert_eq!(db.losses().unwrap().accepted_samples, 2 + 6, "before and behind 12 and 13");
    stays(&fs, db, &now);
}

#[test]
fn deletes_and_retention_take_masks_away() {
    const DAY: i64 = 86_400_000;
    let start = 1_700_000_000_000 - 3 * DAY;
    for deletes in [true, false] {
        let fs = SimFs::new();
        let layers: [Layer<'_>; 2] =
            [(&[("a", start..start + 30)], 1), (&[("a", start + 10..start + 20)], 2)];
        let db = without(&fs, layered(&fs, &layers), &[1]);
        gives_up(&db, 1);
        let now = (start + 2 * DAY, 7);
        write(&db, &series("a"), &[now]);
        db.flush().unwrap();
        let db = if deletes {
            db.delete(&[Matcher::equal("name", "a")], TimeRange::new(0, start + DAY)).unwrap();
            db
        } else {
            db.close().unwrap();
            let retention = Some(Duration::from_secs(86_400 * 2));
            Db::open(STORE, Options { retention, ..options(&fs) }).unwrap()
        };
        merge(&db);
        assert_eq!(held(&db), Held::from([("a".to_owned(), BTreeMap::from([now]))]), "{deletes}");
        assert_eq!(db.losses().unwrap().accepted_samples, 0, "{deletes}");
        assert_eq!((db.stats().segments, db.stats().tombstones), (1, 0), "{deletes}");
        db.close().unwrap();
        check_sound(&fs);
    }
}

/// A copy, and another store that attaches it, hold what the store shows.
#[test]
fn copies_and_attaches_show_what_the_store_shows() {
    let fs = SimFs::new();
    let db = layered(&fs, &[(&[("a", 0..30)], 1), (&[("a", 10..20)], 2)]);
    let db = without(&fs, db, &[1]);
    gives_up(&db, 1);
    let now = held(&db);
    db.checkpoint("/copy").unwrap();
    let copy = Db::open("/copy", options(&fs)).unwrap();
    assert_eq!(held(&copy), now);
    copy.close().unwrap();
    let other = Db::open("/other", options(&fs)).unwrap();
    write(&other, &series("a"), &[(15, 9)]);
    other.attach("/copy").unwrap();
    let mut with_own = now.clone();
    with_own.get_mut("a").unwrap().insert(15, 9);
    assert_eq!(held(&other), with_own, "the masks are of the other store's order");
    stays(&fs, db, &now);
}
