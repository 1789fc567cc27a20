//! A read-only opener beside the writer: sees everything written before, changes nothing.

use std::collections::VecDeque;
use std::time::Duration;

use siltstone::sys::SimFs;
use siltstone::{Durability, ReadOnlyDb};

use crate::oracle::OracleSeries;
use crate::record::read_all;
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
