//! Files with the store's kind of name and a number that it cannot have given out: it works beside
//! them, leaves them alone and names them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use siltstone::sys::{SimFs, Vfs};
use siltstone::{Background, Db, Labels, Options, ReadOnlyDb, Verify, WriteBatch};

const DIR: &str = "/store";

/// The highest number that a file may have, and the highest that 64 bits hold.
const STRAYS: &[&str] = &[
    "18446744073709551614.seg",
    "18446744073709551615.wal",
    "18446744073709551614.tomb",
    "MANIFEST-18446744073709551615",
    "18446744073709551614.seg.tmp",
    "18446744073709551614.seg.index.tmp",
    "99999999999999999999999999.wal",
    "4611686018427387904.seg",
    // Below the maximum, and yet no store has got there.
    "4611686018427387903.seg",
    "4611686018427387903.wal",
    "4611686018427387903.tomb",
    "4611686018427387903.wal.tmp",
    "MANIFEST-4611686018427387903",
];

fn options(fs: &SimFs) -> Options {
    Options {
        vfs: Arc::new(fs.clone()),
        background: Background::Manual,
        query_threads: 0,
        ..Options::default()
    }
}

fn write(db: &Db, timestamp: i64) {
    let series = db.series(&Labels::from_pairs([("__name__", "a")]).unwrap()).unwrap();
    let mut batch = WriteBatch::new();
    batch.push(series, timestamp, 1.0).unwrap();
    db.write(&batch).unwrap();
}

/// A store with a segment, a quarantine and samples in its log.
fn store() -> SimFs {
    let fs = SimFs::new();
    let db = Db::open(DIR, options(&fs)).unwrap();
    write(&db, 1);
    db.flush().unwrap();
    write(&db, 2);
    drop(db);
    fs.create_dir_all(&Path::new(DIR).join("quarantine")).unwrap();
    fs
}

fn assert_works_beside(fs: &SimFs, path: &Path, is_there: &dyn Fn(&SimFs) -> bool) {
    let what = path.display();
    let name = path.file_name().unwrap().to_str().unwrap();
    let reader = ReadOnlyDb::open(DIR, options(fs)).unwrap();
    let warned = |warnings: &[siltstone::Finding]| {
        let found: Vec<_> = warnings.iter().map(|warning| warning.path.clone()).collect();
        assert_eq!(found, [path], "{what}");
    };
    assert_eq!(reader.stats().samples, 2, "{what}");
    assert!(reader.open_report().findings.is_empty(), "{what}");
    warned(&reader.open_report().warnings);
    for round in 0..3 {
        let db = Db::open(DIR, options(fs)).unwrap_or_else(|e| panic!("{what}, {round}: {e}"));
        assert!(db.open_report().findings.is_empty(), "{what}: {:?}", db.open_report());
        warned(&db.open_report().warnings);
        write(&db, 3 + round);
        db.flush().unwrap();
        write(&db, 6 + round);
        let copy = PathBuf::from(format!("/copy{round}"));
        db.checkpoint(&copy).unwrap();
        assert!(!fs.files().contains(&copy.join(name)), "{what}");
        assert!(is_there(fs), "{what} was touched");
    }
    let mut warnings = Vec::new();
    let report = Verify::new(Path::new(DIR))
        .options(options(fs))
        .on_finding(|finding| panic!("{finding}"))
        .on_warning(|warning| warnings.push(warning.path.clone()))
        .run()
        .unwrap();
    assert_eq!((warnings, report.warnings), (vec![path.to_path_buf()], 1), "{what}");
    assert_eq!(Db::open(DIR, options(fs)).unwrap().stats().samples, 8, "{what}");
}

#[test]
fn a_number_that_no_store_has_given_out_is_left_alone() {
    let found = store();
    for folder in ["", "quarantine"] {
        for name in STRAYS {
            let fs = found.fork();
            let path = Path::new(DIR).join(folder).join(name);
            fs.write_file(&path, b"not ours").unwrap();
            let is_there = |fs: &SimFs| fs.read_file(&path).is_ok_and(|found| found == b"not ours");
            assert_works_beside(&fs, &path, &is_there);
        }
    }
}

#[test]
fn a_directory_by_the_name_of_a_file_is_left_alone() {
    let found = store();
    for name in ["000900.seg", "000900.wal", "000900.tomb", "000900.seg.tmp", "MANIFEST-000900"] {
        let fs = found.fork();
        let path = Path::new(DIR).join(name);
        fs.create_dir_all(&path).unwrap();
        let is_there = |fs: &SimFs| fs.list(&path).is_ok();
        assert_works_beside(&fs, &path, &is_there);
    }
}
