//! Files that are gone or blank: what is left is served, what is lost is named.

use std::io::ErrorKind;

use siltstone::sys::{SimFs, SyncPoint, Vfs};
use siltstone::{
    Damage, Durability, Error, Matcher, QueryOptions, ReadOnlyDb, TimeRange, WriteBatch,
};

use crate::findings::{batch, counts, files, labels, open, simple_options};
use crate::workload::DIR;

const ALL: &[Matcher] = &[];

#[test]
fn a_missing_segment_is_named_and_the_rest_is_served() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    for start in [0i64, 1_000_000] {
        let handle = db.series(&labels("a")).unwrap();
        let mut batch = WriteBatch::new();
        (start..start + 10).for_each(|t| batch.push(handle, t, t as f64).unwrap());
        db.write(&batch).unwrap();
        db.flush().unwrap();
    }
    db.close().unwrap();
    let first = files(&fs, ".seg").remove(0);
    fs.remove(&first).unwrap();
    let name = first.file_name().unwrap().to_str().unwrap();
    let options = QueryOptions::default();
    let check = |snapshot: siltstone::Snapshot| {
        let later = TimeRange::new(1_000_000, 2_000_000);
        assert_eq!(snapshot.series(ALL, later, &options, 10).unwrap().len(), 1);
        for range in [TimeRange::ALL, TimeRange::new(9, 10)] {
            let error = snapshot.select(ALL, range, &options).map(|_| ()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let damage = Damage::default();
        let partial =
            QueryOptions { skip_damaged: Some(damage.clone()), ..QueryOptions::default() };
        let found = snapshot.select(ALL, TimeRange::ALL, &partial).unwrap();
        assert_eq!(found.map(|series| series.unwrap().columns.len()).sum::<usize>(), 10);
        assert!(damage.take()[0].to_string().contains(name));
    };
    let reader = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap();
    assert!(reader.open_report().findings[0].to_string().contains(name));
    check(reader.snapshot());
    let db = open(&fs, Durability::Always).unwrap();
    assert_eq!(db.open_report().findings.len(), 1);
    assert!(db.open_report().findings[0].to_string().contains(name));
    check(db.snapshot().unwrap());
    db.write(&batch(&db, &["b"], 1)).unwrap();
    db.flush().unwrap();
    drop(db);
    let db = open(&fs, Durability::Always).unwrap();
    assert_eq!(db.open_report().findings.len(), 1, "it is not forgotten");
}

/// A store with two log files: the first could not be flushed.
fn two_logs() -> SimFs {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    fs.fail_sync(SyncPoint::SegmentData, 0, ErrorKind::Other);
    assert!(db.flush().is_err());
    db.write(&batch(&db, &["b"], 3)).unwrap();
    let survivor = fs.fork();
    assert_eq!(files(&survivor, ".wal").len(), 2);
    survivor
}

#[test]
fn a_missing_log_file_is_named_and_the_others_are_recovered() {
    let fs = two_logs();
    assert_eq!(counts(&open(&fs.fork(), Durability::Always).unwrap()).len(), 2);
    let first = files(&fs, ".wal").remove(0);
    fs.remove(&first).unwrap();
    let db = open(&fs, Durability::Always).unwrap();
    assert_eq!(counts(&db), [("b".to_owned(), 3)]);
    let findings = &db.open_report().findings;
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].path, first);
}

#[test]
fn a_blank_or_missing_current_never_becomes_a_new_store() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    db.write(&batch(&db, &["a"], 3)).unwrap();
    db.flush().unwrap();
    drop(db);
    let path = format!("{DIR}/CURRENT");
    let line = fs.read_file(&path).unwrap();
    let listing = fs.files();
    fs.write_file(&path, &vec![0; line.len()]).unwrap();
    for _ in 0..2 {
        let error = open(&fs, Durability::Always).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("CURRENT"), "{error}");
        let error = ReadOnlyDb::open(DIR, simple_options(&fs)).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    }
    assert_eq!(fs.files(), listing, "nothing was touched");
    fs.remove(path.as_ref()).unwrap();
    let error = open(&fs, Durability::Always).unwrap_err();
    assert!(matches!(error, Error::NotAStore { .. }), "{error}");
    fs.write_file(&path, &line).unwrap();
    assert_eq!(counts(&open(&fs, Durability::Always).unwrap()), [("a".to_owned(), 3)]);
}
