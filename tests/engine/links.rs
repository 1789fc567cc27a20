//! Stores and segments that are reached through links, on the real file system: a store is known by what
//! it is, not by the path that leads to it.

#![allow(clippy::disallowed_methods, reason = "links and moves that no store makes")]

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use siltstone::{
    Background, Db, Labels, Matcher, Options, QueryOptions, TimeRange,
    Verify, WriteBatch,
};

fn open(dir: &Path) -> Db {
    let options =
        Options { background: Background::Manual, query_threads: 0, ..Options::default() };
    Db::open(dir, options).unwrap()
}

fn write(db: &Db, timestamp: i64, value: f64) {
    let series = db.series(&Labels::from_pairs([("__name__", "a")]).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(series, timestamp, value).unwrap();
    db.write(&batch).unwrap();
}

fn read(db: &Db) -> Vec<(i64, f64)> {
    let snapshot = db.snapshot().unwrap();
    let matchers = [Matcher::equal("__name__", "a")];
    let found = snapshot.select(&matchers, TimeRange::ALL, &QueryOptions::default()).unwrap();
    found.flat_map(|series| series.unwrap().columns.iter().collect::<Vec<_>>()).collect()
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries.filter(|p| p.extension().is_some_and(|e| e == "seg")).collect();
    found.sort();
    found
}

#[test]
fn a_checkpoint_of_a_linked_segment_has_the_segment() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let own = root.join("own");
    let db = open(&own);
    for timestamp in [1, 2] {
        write(&db, timestamp, 1.0);
        db.flush().unwrap();
    }
    db.close().unwrap();
    // One is moved to another folder and linked by a relative path, one by an absolute one.
    let found = segments(&own);
    std::fs::create_dir(root.join("far")).unwrap();
    for (i, segment) in found.iter().enumerate() {
        let name = segment.file_name().unwrap();
        let far = root.join("far").join(name);
        std::fs::rename(segment, &far).unwrap();
        let target = if i == 0 { Path::new("../far").join(name) } else { far };
        symlink(target, segment).unwrap();
    }
    let db = open(&own);
    std::fs::create_dir(root.join("deep")).unwrap();
    let copy = root.join("deep/copy");
    assert_eq!(db.checkpoint(&copy).unwrap().segments, 2);
    for segment in segments(&copy) {
        assert!(std::fs::symlink_metadata(&segment).unwrap().is_file(), "{segment:?} is a link");
    }
    // The copy does not need the store.
    drop(db);
    std::fs::remove_dir_all(&own).unwrap();
    std::fs::remove_dir_all(root.join("far")).unwrap();
    let verified = Verify::new(&copy).on_finding(|finding| panic!("{finding}")).run().unwrap();
    assert_eq!(verified.segments, 2);
    assert_eq!(read(&open(&copy)), [(1, 1.0), (2, 1.0)]);
}

#[test]
fn a_checkpoint_of_a_dangling_link_is_refused_and_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let own = root.path().join("own");
    let db = open(&own);
    write(&db, 1, 1.0);
    db.flush().unwrap();
    let segment = segments(&own).remove(0);
    std::fs::remove_file(&segment).unwrap();
    symlink("nowhere.seg", &segment).unwrap();
    let copy = root.path().join("copy");
    let error = db.checkpoint(&copy).unwrap_err().to_string();
    assert!(error.contains(segment.to_str().unwrap()), "{error}");
    assert!(!copy.exists());
}
