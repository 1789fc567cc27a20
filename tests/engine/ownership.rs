//! A store whose directory or lock file was moved or removed under it: it acknowledges nothing more, and
//! changes no file of the store that is there now. On a real disk.

#![expect(
    clippy::disallowed_methods,
    reason = "tests do what an operator does behind the engine's back"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use siltstone::{
    Background, Db, Durability, Error, Labels, Matcher, Options, ReadOnlyDb, TimeRange, WriteBatch,
};
use siltstone_testing::record::read_all;

const POLICIES: [Durability; 3] =
    [Durability::Always, Durability::Interval(Duration::from_millis(100)), Durability::Never];

fn options(durability: Durability) -> Options {
    Options { durability, background: Background::Manual, query_threads: 0, ..Options::default() }
}

fn write(db: &Db, name: &str) -> siltstone::Result<()> {
    let mut batch = WriteBatch::new();
    let labels = Labels::from_pairs([("__name__", name)]).unwrap();
    let series = db.series(&labels)?;
    (0..50).for_each(|t| batch.push(series, t * 1000, t as f64).unwrap());
    db.write(&batch).map(|_| ())
}

fn names(db: &Db) -> Vec<String> {
    let found = read_all(&db.snapshot().unwrap()).unwrap();
    found.iter().map(|(labels, _)| labels.get("__name__").unwrap().to_owned()).collect()
}

/// Every file below `dir` with its bytes, but for the lock file.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.is_file());
    let named = files.map(|path| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap())
    });
    named.filter(|(name, _)| name != "LOCK").collect()
}

/// Everything that a store may be asked for that changes files: all of it is refused.
fn refuses_everything(db: &Db) {
    for attempt in 0..2 {
        let error = write(db, "lost").unwrap_err();
        assert!(attempt == 0 || matches!(error, Error::Failed(_)), "{error:?}");
        let says = error.to_string();
        assert!(says.contains("LOCK") || says.contains("moved"), "{says}");
    }
    assert!(db.delete(&[Matcher::equal("__name__", "first")], TimeRange::ALL).is_err());
    assert!(db.flush().is_err());
    assert!(db.tick().is_err());
    assert!(db.fault().is_some());
}

/// Both were served, and the first one removed the live log of the second.
#[test]
fn a_second_store_is_refused_where_the_lock_file_was_removed() {
    for durability in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), options(durability)).unwrap();
        write(&db, "first").unwrap();
        fs::remove_file(dir.path().join("LOCK")).unwrap();
        let second = Db::open(dir.path(), options(durability));
        assert!(matches!(second, Err(Error::Locked { .. })), "{second:?}");
        let before = files(dir.path());
        refuses_everything(&db);
        let after = files(dir.path());
        assert!(before.keys().all(|name| after.contains_key(name)), "{durability:?}: removed");
        drop(db);
        // What was acknowledged is there; what was not, may be.
        let db = Db::open(dir.path(), options(durability)).unwrap();
        assert!(names(&db).contains(&"first".to_owned()));
        assert!(db.open_report().findings.is_empty());
    }
}

/// Another program, which knows the lock file alone, has made itself a new one.
#[test]
fn a_store_whose_lock_file_was_replaced_fails() {
    for durability in POLICIES {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), options(durability)).unwrap();
        write(&db, "first").unwrap();
        db.flush().unwrap();
        write(&db, "second").unwrap();
        fs::remove_file(dir.path().join("LOCK")).unwrap();
        fs::write(dir.path().join("LOCK"), "").unwrap();
        let before: Vec<String> = files(dir.path()).into_keys().collect();
        refuses_everything(&db);
        let _ = db.close();
        let after: Vec<String> = files(dir.path()).into_keys().collect();
        assert_eq!(before, after, "{durability:?}");
        let reader = ReadOnlyDb::open(dir.path(), options(durability)).unwrap();
        assert!(read_all(&reader.snapshot()).unwrap().len() >= 2);
    }
}

/// The first store acknowledged writes whose log went into the directory of the second, and removed files there.
#[test]
fn a_store_whose_directory_was_moved_leaves_the_one_at_its_old_name_alone() {
    for durability in POLICIES {
        let parent = tempfile::tempdir().unwrap();
        let (dir, moved) = (parent.path().join("d"), parent.path().join("d2"));
        let first = Db::open(&dir, options(durability)).unwrap();
        write(&first, "first").unwrap();
        fs::rename(&dir, &moved).unwrap();
        let second = Db::open(&dir, options(durability)).unwrap();
        write(&second, "second").unwrap();
        let before = files(&dir);
        refuses_everything(&first);
        let _ = first.close();
        drop(first);
        assert!(before == files(&dir), "{durability:?}: the files of the second store changed");
        write(&second, "third").unwrap();
        second.flush().unwrap();
        drop(second);
        assert_eq!(names(&Db::open(&dir, options(durability)).unwrap()), ["second", "third"]);
        let first = Db::open(&moved, options(durability)).unwrap();
        assert!(names(&first).contains(&"first".to_owned()));
    }
}

/// A store that nobody writes to notices it by itself.
#[test]
fn an_idle_store_notices_that_its_directory_was_moved() {
    let parent = tempfile::tempdir().unwrap();
    let (dir, moved) = (parent.path().join("d"), parent.path().join("d2"));
    let threads = Options { query_threads: 0, ..Options::default() };
    let db = Db::open(&dir, threads).unwrap();
    fs::rename(&dir, &moved).unwrap();
    let start = Instant::now();
    while db.fault().is_none() {
        assert!(start.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(write(&db, "lost").is_err());
}

#[test]
fn readers_need_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path(), options(Durability::Never)).unwrap();
    write(&db, "first").unwrap();
    for _ in 0..2 {
        let reader = ReadOnlyDb::open(dir.path(), options(Durability::Never)).unwrap();
        assert_eq!(read_all(&reader.snapshot()).unwrap().len(), 1);
        let _ = fs::remove_file(dir.path().join("LOCK"));
    }
}
