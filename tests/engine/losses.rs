//! What happens after damage: nothing older comes back, what is lost is said, newer values heal it, and
//! somebody may accept it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use siltstone::sys::{CrashPlan, SimFs, Vfs};
use siltstone::{
    AcceptOptions, Background, Damage, Db, Error, Labels, LostSamples, Matcher, Options,
    QueryOptions, ReadOnlyDb, Snapshot, TimeRange, Verify,
};
use siltstone_testing::answers::{
    STORE, everything, labels, salvage, sim_clock, sim_options, write,
};

pub(crate) fn series(name: &str) -> Labels {
    labels(&[("__name__", "m"), ("name", name)])
}

pub(crate) fn options(fs: &SimFs) -> Options {
    Options { background: Background::Manual, ..sim_options(fs, &sim_clock()) }
}

pub(crate) fn open(fs: &SimFs) -> Db {
    Db::open(Path::new(STORE), options(fs)).unwrap()
}

pub(crate) fn segment_files(fs: &SimFs) -> Vec<PathBuf> {
    let is_listed = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "seg") && path.parent() == Some(Path::new(STORE))
    };
    let mut files: Vec<_> = fs.files().into_iter().filter(is_listed).collect();
    files.sort();
    files
}

/// A store in which the newer of two segments has replaced `10..20` of each series; the values of the
/// older are 1, of the newer 2.
fn overwritten(fs: &SimFs) -> Db {
    let db = open(fs);
    for (times, bits) in [(0..30, 1), (10..20, 2)] {
        for name in ["a", "b"] {
            let samples: Vec<_> = times.clone().map(|t| (t, bits)).collect();
            write(&db, &series(name), &samples);
        }
        db.flush().unwrap();
    }
    db
}

/// Damages the values of the newest segment: its first value block follows the header.
fn damage_values(fs: &SimFs) -> PathBuf {
    let newest = segment_files(fs).pop().unwrap();
    fs.flip(&newest, 64, 1).unwrap();
    newest
}

/// What a query gives that leaves out damage, as value by time for each series, and what it says is lost.
fn certain(snapshot: &Snapshot) -> (BTreeMap<String, BTreeMap<i64, u64>>, Vec<Error>) {
    let damage = Damage::default();
    let options = QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
    let mut found = BTreeMap::new();
    for series in snapshot.select(&[], TimeRange::ALL, &options).unwrap() {
        let series = series.unwrap();
        let samples = series.columns.iter().map(|(t, v)| (t, v.to_bits()));
        found.insert(series.labels.get("name").unwrap().to_owned(), samples.collect());
    }
    (found, damage.take())
}

fn older_around() -> BTreeMap<i64, u64> {
    (0..10).chain(20..30).map(|t| (t, 1)).collect()
}

/// That the ten samples of each series in `10..20` are lost, everything else is as it was, and every way of
/// reading says so.
fn check_lost(snapshot: &Snapshot, origin: &Path) {
    let (answers, errors) = salvage(snapshot, &[], TimeRange::ALL);
    assert!(answers.is_empty(), "an older value is shown: {answers:?}");
    assert_eq!(errors.len(), 2);
    for error in &errors {
        let Error::Lost(lost) = error else { panic!("{error}") };
        check_range(lost, origin);
    }
    let (found, errors) = certain(snapshot);
    for name in ["a", "b"] {
        assert_eq!(found[name], older_around(), "{name}");
    }
    assert_eq!(errors.len(), 2, "{errors:?}");
    // What does not need them is not concerned.
    let before = salvage(snapshot, &[], TimeRange::new(0, 10));
    assert_eq!((before.0.len(), before.1.len()), (2, 0));
    assert_eq!(snapshot.series(&[], TimeRange::ALL, &QueryOptions::default(), 9).unwrap().len(), 2);
}

fn check_range(lost: &LostSamples, origin: &Path) {
    assert_eq!((lost.first, lost.last, lost.samples, lost.times_are_known), (10, 19, 10, true));
    assert_eq!((&*lost.path, lost.offset), (origin, 64));
    assert!(lost.labels.as_ref().is_some_and(|labels| labels.get("name").is_some()));
}

fn verify(fs: &SimFs) -> u64 {
    Verify::new(Path::new(STORE)).options(options(fs)).run().unwrap().findings
}

/// A merge that read a damaged newer segment wrote the values that this had replaced, and everything was
/// fine from then on.
#[test]
fn a_merge_does_not_bring_back_what_a_damaged_segment_had_replaced() {
    let fs = SimFs::new();
    let db = overwritten(&fs);
    let origin = damage_values(&fs);
    check_lost(&db.snapshot().unwrap(), &origin);
    let held = db.snapshot().unwrap();
    let report = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.merges, report.damaged_rows), (1, 20));
    assert_eq!((report.lost, report.lost_ended), (20, 0));
    assert_eq!((db.stats().samples_lost, db.stats().samples_accepted), (20, 0));
    check_lost(&held, &origin);
    check_lost(&db.snapshot().unwrap(), &origin);
    let losses = db.losses().unwrap();
    assert_eq!((losses.lost_samples, losses.lost.len(), losses.is_whole()), (20, 2, false));
    losses.lost.iter().for_each(|lost| check_range(lost, &origin));
    assert_eq!(verify(&fs), 2);
    db.checkpoint(Path::new("/copy")).unwrap();
    db.close().unwrap();
    for dir in [STORE, STORE, "/copy"] {
        let reader = ReadOnlyDb::open(Path::new(dir), options(&fs)).unwrap();
        let origin = Path::new(dir).join(origin.file_name().unwrap());
        check_lost(&reader.snapshot(), &origin);
        assert_eq!(reader.losses().unwrap().lost_samples, 20);
        let db = Db::open(Path::new(dir), options(&fs)).unwrap();
        check_lost(&db.snapshot().unwrap(), &origin);
        // Merging again carries it on again.
        write(&db, &series("c"), &[(15, 3)]);
        db.delete(&[Matcher::equal("name", "c")], TimeRange::ALL).unwrap();
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        check_lost(&db.snapshot().unwrap(), &origin);
        db.close().unwrap();
    }
}

#[test]
fn newer_values_heal_a_loss_before_and_after_a_merge() {
    for merges in [false, true] {
        let fs = SimFs::new();
        let db = overwritten(&fs);
        let origin = damage_values(&fs);
        if merges {
            db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        }
        check_lost(&db.snapshot().unwrap(), &origin);
        let again: Vec<_> = (10..20).map(|t| (t, 3)).collect();
        write(&db, &series("a"), &again[..9]);
        write(&db, &series("b"), &again);
        let snapshot = db.snapshot().unwrap();
        let (answers, errors) = salvage(&snapshot, &[], TimeRange::ALL);
        assert_eq!((answers.len(), errors.len()), (1, 1), "one sample is lost still");
        let Error::Lost(lost) = &errors[0] else { panic!("{errors:?}") };
        assert_eq!((lost.first, lost.last, lost.samples), (19, 19, 1));
        write(&db, &series("a"), &again[9..]);
        assert_eq!(everything(&db.snapshot().unwrap()).len(), 2);
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(db.losses().unwrap().is_whole());
        assert_eq!(db.losses().unwrap().accepted_samples, 0);
        assert_eq!(verify(&fs), 0);
        for (_, samples) in everything(&db.snapshot().unwrap()) {
            let expected = (0..30).map(|t| (t, if (10..20).contains(&t) { 3 } else { 1 }));
            assert!(samples.into_iter().eq(expected));
        }
    }
}

#[test]
fn deletes_end_a_loss() {
    let fs = SimFs::new();
    let db = overwritten(&fs);
    damage_values(&fs);
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    db.delete(&[Matcher::equal("name", "a")], TimeRange::new(10, 20)).unwrap();
    let (answers, errors) = salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL);
    assert_eq!((answers.len(), errors.len()), (1, 1));
    assert!(answers[0].1.iter().copied().eq(older_around()));
    db.delete(&[Matcher::equal("name", "b")], TimeRange::ALL).unwrap();
    let report = db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!((report.lost, report.lost_ended, report.deleted), (0, 20, 20), "counted apart");
    assert!(db.losses().unwrap().is_whole());
    assert_eq!(everything(&db.snapshot().unwrap()).len(), 1);
    assert_eq!(verify(&fs), 0);
}

#[test]
fn an_accepted_loss_is_no_error_and_hides_what_is_older() {
    for merges in [false, true] {
        let fs = SimFs::new();
        let db = overwritten(&fs);
        let origin = damage_values(&fs);
        if merges {
            db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        }
        let report =
            db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.segments, report.accepted_samples, report.accepted.len()), (1, 20, 2));
        assert_eq!((db.stats().samples_lost, db.stats().samples_accepted), (20, 20));
        assert!(report.accepted.iter().all(|lost| lost.path == origin && lost.first == 10));
        let check = |db: &Db| {
            let found = everything(&db.snapshot().unwrap());
            assert_eq!(found.len(), 2);
            assert!(found.iter().all(|(_, samples)| samples.iter().copied().eq(older_around())));
            let snapshot = db.snapshot().unwrap();
            assert_eq!(certain(&snapshot).1.len(), 0);
            let inside = TimeRange::new(10, 20);
            let listed = snapshot.series(&[], inside, &QueryOptions::default(), 9).unwrap();
            assert!(listed.is_empty(), "no series has a sample there: {listed:?}");
            assert!(db.losses().unwrap().is_whole());
        };
        check(&db);
        // Nothing older is listed behind a merge of everything.
        assert_eq!(db.losses().unwrap().accepted_samples, if merges { 0 } else { 20 });
        assert_eq!(verify(&fs), 0);
        assert_eq!(
            db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(()))
                .unwrap()
                .segments,
            0
        );
        db.close().unwrap();
        let db = open(&fs);
        check(&db);
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        check(&db);
        assert_eq!(db.losses().unwrap().accepted_samples, 0, "the mask has left with what it hid");
        // What was lost is counted for the life of the store, also in a copy and by who only looks.
        db.checkpoint("/copy").unwrap();
        db.close().unwrap();
        for dir in [STORE, "/copy"] {
            let reader = ReadOnlyDb::open(dir, options(&fs)).unwrap();
            let lifetime = reader.losses().unwrap().lifetime;
            assert_eq!((lifetime.lost, lifetime.accepted), (20, 20), "{dir}");
        }
        let db = open(&fs);
        assert_eq!((db.stats().samples_lost, db.stats().samples_accepted), (20, 20));
        write(&db, &series("a"), &[(12, 4)]);
        assert_eq!(everything(&db.snapshot().unwrap())[0].1.len(), 21, "new values count");
    }
}

/// Damage of an index: which chunks, or which series, there were is not known. Nothing older of the time is
/// certain, and nothing is shown in its place.
#[test]
fn behind_a_damaged_index_nothing_older_is_shown() {
    for section in ["label blocks", "label top", "chunk top", "chunk block"] {
        let fs = SimFs::new();
        let db = overwritten(&fs);
        db.close().unwrap();
        let newest = segment_files(&fs).pop().unwrap();
        let reader = ReadOnlyDb::open(STORE, options(&fs)).unwrap();
        let number = reader.segments().iter().map(|meta| meta.file_number).max().unwrap();
        let sections = reader.segment(number).unwrap().sections;
        let offset = match sections.iter().find(|found| found.name == section) {
            Some(found) => found.offset + found.bytes / 2,
            // The last block of the data.
            None => sections
                .iter()
                .find(|found| found.name == "data")
                .map(|d| d.offset + d.bytes - 30)
                .unwrap(),
        };
        fs.flip(&newest, offset, 1).unwrap();
        newer_is_shown(&fs, section);
        let db = open(&fs);
        let snapshot = db.snapshot().unwrap();
        let (answers, errors) = salvage(&snapshot, &[], TimeRange::ALL);
        assert!(answers.is_empty() && !errors.is_empty(), "{section}: {answers:?}");
        let (found, errors) = certain(&snapshot);
        assert!(!errors.is_empty(), "{section}");
        for (name, samples) in &found {
            assert_eq!(samples, &older_around(), "{section}, {name}");
        }
        assert_eq!(found.len(), 2, "{section}");
        assert_eq!(
            snapshot.count_series(&[], TimeRange::new(0, 5), &QueryOptions::default()).unwrap(),
            2
        );
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        let (answers, _) = salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL);
        assert!(answers.is_empty(), "{section}: {answers:?}");
        let report =
            db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(())).unwrap();
        assert_eq!((report.segments, report.findings.len()), (0, 1), "{section}");
        gives_up(&fs, db, section);
    }
}

/// What is written after a segment that cannot be read is certain, in memory and in a segment.
fn newer_is_shown(fs: &SimFs, what: &str) {
    let fs = fs.fork().crash(CrashPlan::ALL_KEPT);
    let db = open(&fs);
    write(&db, &series("a"), &[(12, 5)]);
    for flushed in [false, true] {
        let (found, _) = certain(&db.snapshot().unwrap());
        assert_eq!(found["a"].get(&12), Some(&5), "{what}, flushed: {flushed}");
        db.flush().unwrap();
    }
}

/// Gives up the one segment that cannot be read: what is older at other times is there, what is older in its
/// range is not, and what is written there later is, before and after merges and reopening.
fn gives_up(fs: &SimFs, db: Db, what: &str) {
    let options = AcceptOptions { give_up_unreadable: true };
    let accept = |db: &Db| db.accept_losses(options, |_, _| ControlFlow::Continue(())).unwrap();
    let report = accept(&db);
    assert_eq!((report.given_up, report.findings.len()), (1, 0), "{what}: {report:?}");
    assert_eq!(report.accepted_samples, report.accepted[0].samples, "{what}");
    assert_eq!(accept(&db).given_up, 0, "{what}: once");
    let check = |db: &Db, step: &str| {
        let found = everything(&db.snapshot().unwrap());
        assert_eq!(found.len(), 2, "{what}, {step}");
        for (name, samples) in found {
            let samples: BTreeMap<i64, u64> = samples.into_iter().collect();
            assert_eq!(samples, older_around(), "{what}, {step}, {name}");
        }
        assert!(db.losses().unwrap().is_whole(), "{what}, {step}");
    };
    check(&db, "given up");
    db.close().unwrap();
    let db = open(fs);
    assert!(db.open_report().findings.is_empty(), "{what}: {:?}", db.open_report());
    check(&db, "reopened");
    db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
    check(&db, "merged");
    db.close().unwrap();
    let db = open(fs);
    check(&db, "merged and reopened");
    assert_eq!(
        db.losses().unwrap().accepted_samples,
        0,
        "{what}: the masks went with what they hid"
    );
}

#[test]
fn a_segment_that_is_gone_is_given_up() {
    for what in ["gone", "cut"] {
        let fs = SimFs::new();
        let db = overwritten(&fs);
        db.close().unwrap();
        let newest = segment_files(&fs).pop().unwrap();
        let bytes = fs.read_file(&newest).unwrap();
        match what {
            "cut" => fs.write_file(&newest, &bytes[..bytes.len() / 2]).unwrap(),
            _ => fs.remove(&newest).unwrap(),
        }
        let db = open(&fs);
        assert_eq!(db.open_report().findings.len(), 1, "{what}");
        assert!(!salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL).1.is_empty(), "{what}");
        newer_is_shown(&fs, what);
        let (found, errors) = certain(&db.snapshot().unwrap());
        assert_eq!(errors.len(), 1, "{what}: {errors:?}");
        for name in ["a", "b"] {
            assert_eq!(
                found[name],
                older_around(),
                "{what}, {name}: what it may have replaced is shown"
            );
        }
        let kept = db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(()));
        assert_eq!((kept.as_ref().unwrap().given_up, kept.unwrap().findings.len()), (0, 1));
        gives_up(&fs, db, what);
        let aside = fs.files().into_iter().filter(|path| {
            path.to_string_lossy().contains("quarantine/") && path.extension() == newest.extension()
        });
        assert_eq!(aside.count(), usize::from(what == "cut"), "{what}: what is there is kept");
    }
}
