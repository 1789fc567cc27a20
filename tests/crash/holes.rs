//! Holes in an unsynced log: what is recovered is a prefix of what was acknowledged, or damage is reported.
//!
//! Under `Never` and `Interval` the system writes the pages of a log back in any order, so that a power cut
//! may take those of an older frame and leave those of a younger one.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, SimClock, SimFs};
use siltstone::{Db, Durability, Matcher, ReadOnlyDb, TimeRange};
use siltstone_testing::record::{Fate, Record, read_all};

use crate::findings::{files, labels, open};
use crate::workload::{DIR, options};

const PAGE: usize = 4096;
const INTERVAL: Durability = Durability::Interval(Duration::from_secs(1));

/// A write of `rows` samples of the same series at the same times, with values of its own.
fn write(db: &Db, record: &mut Record, rows: i64) {
    let first = record.batches.len() as i64 * 1000;
    let rows: Vec<_> =
        (0..rows).map(|t| (labels("a"), t * 1000, ((first + t) as f64 / 8.0).to_bits())).collect();
    let place = record.issue(rows.clone());
    let mut batch = siltstone::WriteBatch::new();
    for (labels, timestamp, bits) in &rows {
        batch.push_bits(db.series(labels).unwrap(), *timestamp, *bits).unwrap();
    }
    let ack = db.write(&batch).unwrap();
    record.batches[place].seq = Some(ack.seq);
    record.batches[place].fate = if ack.durable { Fate::Durable } else { Fate::Written };
}

/// Opens and reads what the disk holds; how many whole records were left out behind a tear.
fn check(fs: &SimFs, record: &Record, floor: Fate) -> Result<u64, String> {
    let reader_options = options(fs, &Arc::new(SimClock::new(0)), Durability::Never);
    let reader = ReadOnlyDb::open(DIR, reader_options).map_err(|e| e.to_string())?;
    let seen = read_all(&reader.snapshot()).map_err(|e| e.to_string())?;
    let db = open(fs, Durability::Never).map_err(|e| e.to_string())?;
    let report = db.open_report();
    let found = read_all(&db.snapshot().unwrap()).map_err(|e| e.to_string())?;
    if seen != found {
        return Err("a reader sees something else".into());
    }
    if report.findings.is_empty() {
        record.explain_prefix(&found, floor)?;
    }
    // Opening once more changes nothing, and what is written then stays.
    let left_out = report.torn_records;
    let ack = db.write(&crate::findings::batch(&db, &["later"], 1)).unwrap();
    // One is missing between what came back and what was left out, which all have seqs.
    let came_back = report.recovered_batches + report.recovered_deletes;
    if left_out > 0 && ack.seq <= came_back + 1 + left_out {
        return Err("the seq of a record that was left out is given again".into());
    }
    let again = open(&fs.fork(), Durability::Never).map_err(|e| e.to_string())?;
    let mut found_again = read_all(&again.snapshot().unwrap()).map_err(|e| e.to_string())?;
    found_again.retain(|(series, _)| *series != labels("later"));
    if found_again != found {
        return Err("opening twice is not opening once".into());
    }
    Ok(left_out)
}

fn log(fs: &SimFs) -> PathBuf {
    files(fs, ".wal").pop().unwrap()
}

/// The disk after the process died and the bytes of `range` in its log read as zeros.
fn zeroed(fs: &SimFs, range: std::ops::Range<usize>) -> SimFs {
    let survivor = fs.fork();
    let mut bytes = survivor.read_file(log(&survivor)).unwrap();
    bytes[range].fill(0);
    survivor.write_file(log(&survivor), &bytes).unwrap();
    survivor
}

/// Of three acknowledged writes the first and the third came back, and nothing said so.
#[test]
fn a_page_lost_in_the_middle_of_an_unsynced_log_ends_it_there() {
    for durability in [Durability::Never, INTERVAL] {
        let fs = SimFs::new();
        let db = open(&fs, durability).unwrap();
        let mut record = Record::default();
        (0..3).for_each(|_| write(&db, &mut record, 700));
        let survivor = zeroed(&fs, 3 * PAGE..4 * PAGE);
        let left_out = check(&survivor, &record, Fate::Durable).unwrap();
        assert_eq!(left_out, 1, "{durability:?}: the third write was whole");
    }
}

/// As above, with a delete in the place of the third write.
#[test]
fn a_delete_behind_a_lost_write_does_not_come_back_alone() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    db.delete(&[Matcher::equal("__name__", "nothing")], TimeRange::ALL).unwrap();
    let mut record = Record::default();
    for from in [0, 2000] {
        let place =
            record.issue_delete(vec![Matcher::equal("__name__", "a")], (from..from + 1000).into());
        let delete = &record.deletes[place];
        let seq = db.delete(&delete.matchers, delete.range).unwrap().seq;
        record.deletes[place].seq = Some(seq);
        record.deletes[place].fate = Fate::Written;
    }
    // Three deletes in one log; the second is lost.
    let bytes = fs.read_file(log(&fs)).unwrap();
    let starts: Vec<_> = (0..bytes.len() - 4).filter(|&at| &bytes[at..at + 4] == b"SWFr").collect();
    assert_eq!(starts.len(), 3);
    let survivor = zeroed(&fs, starts[1]..starts[2]);
    let db = open(&survivor.fork(), Durability::Never).unwrap();
    assert_eq!(db.open_report().recovered_deletes, 1, "that before the hole");
    assert_eq!(check(&survivor, &record, Fate::Durable).unwrap(), 1);
}

/// Every subset of the unsynced pages of the log, zeroed or as they were at the last sync.
#[test]
fn every_subset_of_unsynced_pages_leaves_a_prefix() {
    for durability in [Durability::Never, INTERVAL] {
        let fs = SimFs::new();
        let db = open(&fs, durability).unwrap();
        let mut record = Record::default();
        write(&db, &mut record, 100);
        let durable = record.batches[0].seq.unwrap();
        db.wait_durable(durable).unwrap();
        record.durable_to(durable);
        let synced = fs.read_file(log(&fs)).unwrap();
        for rows in [3, 300, 100, 2, 250, 200, 1, 150, 100] {
            write(&db, &mut record, rows);
        }
        let whole = fs.read_file(log(&fs)).unwrap();
        let pages = whole.len().div_ceil(PAGE);
        assert!((4..=9).contains(&pages), "{pages}");
        let mut left_out = 0;
        for lost in 0..1u32 << pages {
            let mut bytes = whole.clone();
            for page in (0..pages).filter(|page| lost & 1 << page != 0) {
                let end = ((page + 1) * PAGE).min(bytes.len());
                bytes[page * PAGE..end].fill(0);
            }
            bytes[..synced.len()].copy_from_slice(&synced);
            let survivor = fs.fork();
            survivor.write_file(log(&survivor), &bytes).unwrap();
            left_out += check(&survivor, &record, Fate::Durable)
                .unwrap_or_else(|e| panic!("{durability:?}, pages {lost:b}: {e}"));
        }
        assert!(left_out > 20, "{left_out}");
    }
}

/// Damage that a later frame proves: it is reported with its seqs, and what is behind it is kept.
#[test]
fn damage_in_front_of_a_proof_is_reported_and_costs_nothing_else() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    let mut record = Record::default();
    (0..2).for_each(|_| write(&db, &mut record, 300));
    let durable = record.batches[1].seq.unwrap();
    db.wait_durable(durable).unwrap();
    write(&db, &mut record, 1);
    write(&db, &mut record, 2);
    let bytes = fs.read_file(log(&fs)).unwrap();
    let second = (257..bytes.len()).find(|&at| &bytes[at..at + 4] == b"SWFr").unwrap();
    let db = open(&zeroed(&fs, second..second + 8), Durability::Never).unwrap();
    let report = db.open_report();
    assert_eq!((report.recovered_batches, report.torn_records, report.torn_bytes), (3, 0, 0));
    let findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("from seq 2 to 2"), "{findings:?}");
}

/// The same states as the enumeration makes them, on a disk that loses single pages.
#[test]
fn the_simulated_disk_makes_holes() {
    let fs = SimFs::new();
    let db = open(&fs, Durability::Never).unwrap();
    let mut record = Record::default();
    for rows in [300, 200, 300, 200, 300] {
        write(&db, &mut record, rows);
    }
    let mut left_out = 0;
    for seed in 0..40 {
        let survivor = fs.crash(CrashPlan::holes(seed));
        left_out += check(&survivor, &record, Fate::Durable).unwrap();
    }
    assert!(left_out > 10, "{left_out}");
}
