//! What the enumeration once found in the engine, each as a test of its own.

use std::path::PathBuf;
use std::sync::Arc;

use siltstone::sys::{CrashPlan, SimClock, SimFs};
use siltstone::{Db, Durability, Labels, Result, WriteBatch};

use crate::record::read_all;
use crate::workload::{DIR, options};

pub(crate) fn open(fs: &SimFs, durability: Durability) -> Result<Db> {
    Db::open(DIR, options(fs, &Arc::new(SimClock::new(0)), durability))
}

pub(crate) fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)]).unwrap()
}

/// A batch of `rows` samples of each of `names`.
pub(crate) fn batch(db: &Db, names: &[&str], rows: i64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for name in names {
        let handle = db.series(&labels(name)).unwrap();
        (0..rows).for_each(|t| batch.push(handle, t * 1000, t as f64).unwrap());
    }
    batch
}

/// The number of samples of each series, by its name.
pub(crate) fn counts(db: &Db) -> Vec<(String, usize)> {
    let found = read_all(&db.snapshot().unwrap()).unwrap();
    found
        .into_iter()
        .map(|(labels, samples)| (labels.get("__name__").unwrap().to_owned(), samples.len()))
        .collect()
}

/// The files with this ending, by their number.
pub(crate) fn files(fs: &SimFs, ending: &str) -> Vec<PathBuf> {
    let mut files = fs.files();
    files.retain(|path| path.to_string_lossy().ends_with(ending));
    files
}

/// Only the directory above the store was synced: those above that, as new, were lost with it.
#[test]
fn a_new_store_survives_with_its_new_parents() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Always).unwrap();
    assert!(db.write(&batch(&db, &["a"], 1)).unwrap().durable);
    let db = open(&fs.crash(CrashPlan::ALL_LOST), Durability::Always).unwrap();
    assert_eq!(counts(&db), [("a".to_owned(), 1)]);
}

/// An empty log file was removed without a word in the manifest, and was missed by the header of the
/// next one.
#[test]
fn the_removal_of_an_empty_log_is_no_loss() {
    let fs = SimFs::new();
    drop(open(&fs, Durability::Always).unwrap());
    drop(open(&fs, Durability::Always).unwrap());
    let db = open(&fs.crash(CrashPlan::ALL_KEPT), Durability::Always).unwrap();
    assert!(db.open_report().findings.is_empty(), "{:?}", db.open_report());
}

/// Of a batch behind a torn frame, those samples came back whose series an older frame had defined.
#[test]
fn a_batch_comes_back_whole_or_not_at_all() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    db.write(&batch(&db, &["first"], 1)).unwrap();
    db.write(&batch(&db, &["torn"], 1)).unwrap();
    db.write(&batch(&db, &["first", "torn", "new"], 2)).unwrap();
    let wal = files(&fs, ".wal").pop().unwrap();
    let mut bytes = fs.read_file(&wal).unwrap();
    let second = bytes[256..].windows(4).skip(1).position(|w| w == b"SWFr").unwrap() + 257;
    bytes[second..second + 8].fill(0);
    let survivor = fs.fork();
    survivor.write_file(&wal, &bytes).unwrap();
    let db = open(&survivor, Durability::Never).unwrap();
    assert_eq!(counts(&db), [("first".to_owned(), 1)]);
    assert_eq!(db.open_report().lost_rows, 0, "nothing of it had been promised");
    assert!(db.open_report().torn_bytes > 0);
}
