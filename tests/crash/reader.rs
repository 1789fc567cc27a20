//! A read-only opener beside the writer: sees everything written before, changes nothing.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::manifest::{Manifest, VersionEdit};
use siltstone::segment::{SegmentInfo, SegmentWriter};
use siltstone::sys::{SimFs, Vfs};
use siltstone::types::FileName;
use siltstone::{
    Db, Durability, Error, Labels, Matcher, Options, QueryOptions, ReadOnlyDb, TimeRange,
    WriteBatch,
};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::read_all;

use crate::findings::{batch, files, labels, open, simple_options};
use crate::workload::{DIR, Run, Script, options};

/// Readers that are kept while the writer goes on.
const KEPT_MAX: usize = 6;

type Kept = VecDeque<(ReadOnlyDb, Vec<OracleSeries>)>;

fn look(run: &mut Run, kept: &mut Kept) {
    let ops = run.fs.ops();
    let options = options(&run.fs, &run.clock, Durability::Always);
    let reader = ReadOnlyDb::open(DIR, options).unwrap();
    assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report());
    let found = read_all(&reader.snapshot()).unwrap();
    let owner = run.db.as_ref().unwrap();
    assert_eq!(found, read_all(&owner.snapshot().unwrap()).unwrap());
    kept.push_back((reader, found));
    for (reader, found) in kept.iter() {
        assert_eq!(&read_all(&reader.snapshot()).unwrap(), found, "a reader sees one moment");
    }
    if kept.len() > KEPT_MAX {
        kept.pop_front();
    }
    assert_eq!(run.fs.ops(), ops, "a reader changes nothing");
}

#[test]
fn a_reader_sees_all_that_was_written_and_changes_nothing() {
    let interval = Durability::Interval(Duration::from_millis(100));
    for (seed, durability) in [(11, Durability::Always), (12, interval), (13, Durability::Never)] {
        let mut kept = Kept::new();
        let script = Script { seed, steps: 60, durability };
        let record = script.run_with(&SimFs::new(), |run| look(run, &mut kept));
        assert!(record.batches.len() > 30);
    }
}

/// One reader that is refreshed after every step of the writer sees what the writer sees.
#[test]
fn a_refreshed_reader_follows_the_writer() {
    for (seed, durability) in [(21, Durability::Always), (22, Durability::Never)] {
        let mut reader: Option<ReadOnlyDb> = None;
        let (mut changed, mut kept) = (0, 0);
        let script = Script { seed, steps: 60, durability };
        let look = |run: &mut Run| {
            let ops = run.fs.ops();
            let options = options(&run.fs, &run.clock, Durability::Always);
            let reader = reader.get_or_insert_with(|| ReadOnlyDb::open(DIR, options).unwrap());
            let before = (reader.snapshot(), read_all(&reader.snapshot()).unwrap());
            changed += usize::from(reader.refresh().unwrap());
            let found = read_all(&reader.snapshot()).unwrap();
            let owner = run.db.as_ref().unwrap();
            assert_eq!(found, read_all(&owner.snapshot().unwrap()).unwrap());
            assert_eq!(read_all(&before.0).unwrap(), before.1, "a snapshot sees one moment");
            let reads = run.fs.reads();
            assert!(!reader.refresh().unwrap(), "nothing was written");
            // CURRENT and the manifest: open, length, bytes; one listing.
            assert_eq!(run.fs.reads() - reads, 7, "a store at rest is not read again");
            kept = kept.max(reader.segments().len());
            assert_eq!(run.fs.ops(), ops, "a reader changes nothing");
        };
        script.run_with(&SimFs::new(), look);
        assert!(changed > 20 && kept > 3, "{changed} {kept}");
    }
}

const DAY_MS: i64 = 86_400_000;
const SERIES: usize = 200;

/// A store with `segments` segments on each of two days, each with one sample of every series.
fn two_days(fs: &SimFs, segments: i64) -> Db {
    let db = open(fs, Durability::Never).unwrap();
    for segment in 0..2 * segments {
        let mut batch = WriteBatch::new();
        for i in 0..SERIES {
            let labels = [("__name__", "m"), ("i", &format!("{i:03}"))];
            let series = db.series(&Labels::from_pairs(labels).unwrap()).unwrap();
            let day = segment / segments * DAY_MS;
            batch.push(series, day + segment, i as f64).unwrap();
        }
        db.write(&batch).unwrap();
        db.flush().unwrap();
    }
    db
}

/// What a query reads is open before its first row: the owner may remove the files meanwhile, and
/// other queries may close what the reader has open beyond its limit.
#[test]
fn files_that_vanish_under_a_running_query_are_read_to_the_end() {
    let fs = SimFs::new();
    let db = two_days(&fs, 16);
    let options = Options { open_files_max: 16, ..simple_options(&fs) };
    let reader = ReadOnlyDb::open(DIR, options).unwrap();
    let snapshot = reader.snapshot();
    let matchers = [Matcher::equal("__name__", "m")];
    let day = |n: i64| TimeRange::new(n * DAY_MS, (n + 1) * DAY_MS);
    let select = |n| snapshot.select(&matchers, day(n), &QueryOptions::default());
    let mut running = select(0).unwrap();
    assert_eq!(running.next().unwrap().unwrap().columns.len(), 16);
    assert_eq!(select(1).unwrap().map(Result::unwrap).count(), SERIES);
    db.close().unwrap();
    let segments = files(&fs, ".seg");
    assert_eq!(segments.len(), 32);
    segments.iter().for_each(|path| fs.remove(path).unwrap());
    let rest: Vec<_> = running.map(Result::unwrap).collect();
    assert_eq!(rest.len(), SERIES - 1);
    assert!(rest.iter().all(|series| series.columns.len() == 16));
    // The next one says that it cannot, before its first row.
    let gone = select(0).map(drop).unwrap_err();
    assert!(matches!(gone, Error::SnapshotGone { .. }), "{gone}");
    let all = |snapshot: &siltstone::Snapshot| {
        snapshot.scan(&matchers, TimeRange::ALL, &QueryOptions::default(), &mut |_, _| {
            panic!("a row of a part")
        })
    };
    assert!(matches!(all(&snapshot), Err(Error::SnapshotGone { .. })));
    let values = snapshot.label_values("i", &[], day(0), &QueryOptions::default(), 5);
    assert!(matches!(values, Err(Error::SnapshotGone { .. })));
}

/// What a merge does: the rows of the only segment once more under another number, then the edit,
/// then the removal.
fn rewrite(fs: &SimFs) {
    let vfs: Arc<dyn Vfs> = Arc::new(fs.clone());
    let (mut manifest, _) = Manifest::open(&vfs, Path::new(DIR)).unwrap();
    let old = *manifest.version().segments()[0];
    let number = manifest.version().next_file_number();
    let info = SegmentInfo {
        uuid: manifest.uuid(),
        level: 1,
        min_seq: old.min_seq,
        max_seq: old.max_seq,
        ..SegmentInfo::default()
    };
    let mut writer = SegmentWriter::create(&vfs, Path::new(DIR), number, info).unwrap();
    writer.begin_series(&labels("a")).unwrap();
    let times: Vec<i64> = (0..10).map(|t| t * 1000).collect();
    let values: Vec<f64> = (0..10).map(f64::from).collect();
    writer.chunk(&times, &values).unwrap();
    let edit = VersionEdit {
        added: vec![writer.finish().unwrap()],
        removed: vec![old.file_number],
        next_file_number: Some(number + 1),
        ..VersionEdit::default()
    };
    manifest.append(&edit).unwrap();
    fs.remove(&Path::new(DIR).join(FileName::Segment(old.file_number).to_string())).unwrap();
}

/// What vanished was replaced: after a refresh it is there.
#[test]
fn a_reader_whose_files_were_replaced_starts_over() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 10)).unwrap();
    db.close().unwrap();
    let other = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    let expected = read_all(&other.snapshot()).unwrap();
    let mut reader = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    rewrite(&fs);
    let mut calls = 0;
    let found = reader.read(|snapshot| {
        calls += 1;
        read_all(snapshot)
    });
    assert_eq!((calls, found.unwrap()), (2, expected.clone()), "too late, then after a refresh");
    assert_eq!(reader.segments()[0].level, 1);
    // A file that is gone for good is damage, and no reason to try for ever.
    files(&fs, ".seg").iter().for_each(|path| fs.remove(path).unwrap());
    let mut reader = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    assert_eq!(reader.open_report().findings.len(), 1);
    let gone = reader.read(read_all);
    assert!(matches!(gone, Err(Error::Io { .. })), "{gone:?}");
    let mut calls = 0;
    let gone = reader.read(|_| -> Result<(), Error> {
        calls += 1;
        Err(Error::SnapshotGone { path: DIR.into() })
    });
    assert!(matches!(gone, Err(Error::SnapshotGone { .. })), "{gone:?}");
    assert_eq!(calls, 10);
}

/// Who answers with one result before it asks for the next keeps open what both need.
#[test]
fn files_that_are_kept_open_are_there_for_the_next_query() {
    let fs = SimFs::new();
    let db = two_days(&fs, 16);
    let options = Options { open_files_max: 16, ..simple_options(&fs) };
    let snapshot = ReadOnlyDb::open(DIR, options).unwrap().snapshot();
    let day = |n: i64| TimeRange::new(n * DAY_MS, (n + 1) * DAY_MS);
    let count = |n| snapshot.count_series(&[], day(n), &QueryOptions::default());
    let kept = snapshot.keep_open(day(0)).unwrap();
    // Takes the places of the first day's among those that stay open by themselves.
    assert_eq!(count(1).unwrap(), SERIES as u64);
    db.close().unwrap();
    files(&fs, ".seg").iter().for_each(|path| fs.remove(path).unwrap());
    assert_eq!(count(0).unwrap(), SERIES as u64);
    assert_eq!(count(0).unwrap(), SERIES as u64, "and once more");
    drop(kept);
    assert!(matches!(snapshot.keep_open(TimeRange::ALL), Err(Error::SnapshotGone { .. })));
}

/// A segment that could not be opened is tried again by each refresh: its disk, or a copy of it, may be back.
#[test]
fn a_segment_that_comes_back_is_found_by_a_refresh() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 10)).unwrap();
    db.close().unwrap();
    let expected =
        read_all(&ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap().snapshot()).unwrap();
    let path = files(&fs, ".seg").remove(0);
    let away = path.with_extension("away");
    fs.rename(&path, &away).unwrap();
    let mut reader = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    assert!(matches!(read_all(&reader.snapshot()), Err(Error::Io { .. })));
    fs.rename(&away, &path).unwrap();
    assert!(reader.refresh().unwrap());
    assert_eq!(read_all(&reader.snapshot()).unwrap(), expected);
    assert!(!reader.refresh().unwrap(), "it is at rest");
}

/// A store that was put in the place of another has the same file numbers for other blocks.
#[test]
fn a_refresh_does_not_go_over_to_another_store() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 10)).unwrap();
    db.checkpoint("copy").unwrap();
    db.close().unwrap();
    let mut reader = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    let expected = read_all(&reader.snapshot()).unwrap();
    let of_copy = |path: &&PathBuf| path.parent().is_some_and(|dir| dir.ends_with("copy"));
    let all = files(&fs, "");
    all.iter().filter(|path| !of_copy(path)).for_each(|path| fs.remove(path).unwrap());
    for path in all.iter().filter(of_copy) {
        fs.rename(path, &Path::new(DIR).join(path.file_name().unwrap())).unwrap();
    }
    let refused = reader.refresh();
    assert!(
        matches!(&refused, Err(Error::InvalidArgument(why)) if why.contains("another store")),
        "{refused:?}"
    );
    assert!(reader.refresh().is_err(), "and never does");
    let opened = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    assert_eq!(read_all(&opened.snapshot()).unwrap(), expected, "it is one for who opens it");
}
