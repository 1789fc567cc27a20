//! Page writes that the disk says it has done, and that are lost or land elsewhere.
//!
//! Each case runs a script on a disk of which one page write of a sync is struck, cuts the power, right behind
//! that sync, soon after it, or at the end, and reads what is left as a reader and as the owner. Either every
//! acknowledged value is there, or somebody says that something is damaged, and where.
//!
//! What no store can tell is allowed, and nothing else: the disk is one that a power cut during that very sync leaves,
//! before its answer (`cannot_be_told`). What is left is then still a prefix of what was acknowledged.
//!
//! `SILTSTONE_BAD_WRITES_STRIDE=1` strikes every page write (default: every third), `SILTSTONE_CRASH_SEEDS`
//! adds scripts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, Op, OpKind, PageFault, SimClock, SimFs};
use siltstone::{Db, Durability, Error, Labels, OpenReport, ReadOnlyDb, Snapshot, TimeRange};
use siltstone_testing::answers::salvage;
use siltstone_testing::oracle::Oracle;
use siltstone_testing::record::{Fate, Record};

use crate::enumerate::{digest, seeds};
use crate::workload::{DIR, Script, options};

/// What became of the cases.
#[derive(Debug, Default)]
struct Tally {
    cases: u64,
    /// Everything acknowledged was there, and nobody said a word.
    whole: u64,
    /// Somebody reported damage.
    reported: u64,
    /// Of these, the store was not opened.
    refused: u64,
    /// Something acknowledged was gone, and the disk was one that a power cut during the sync leaves.
    untold: u64,
}

/// What somebody who opened the store says and shows.
struct Seen {
    /// Refusals, findings and errors of reading.
    reports: Vec<String>,
    refused: bool,
    /// Whether it was said at opening already that something is missing.
    degraded: bool,
    found: Vec<(Labels, Vec<(i64, u64)>)>,
}

impl Seen {
    fn refusal(error: &Error) -> Self {
        let reports = vec![error.to_string()];
        Self { reports, refused: true, degraded: true, found: Vec::new() }
    }

    fn of(report: &OpenReport, snapshot: &Snapshot) -> Self {
        let mut reports: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
        let degraded = !reports.is_empty();
        let (found, errors) = salvage(snapshot, &[], TimeRange::ALL);
        reports.extend(errors.iter().map(ToString::to_string));
        Self { reports, refused: false, degraded, found }
    }

    fn by_reader(fs: &SimFs) -> Self {
        let options = options(fs, &Arc::new(SimClock::new(0)), Durability::Always);
        match ReadOnlyDb::open(DIR, options) {
            Err(error) => Self::refusal(&error),
            Ok(db) => Self::of(db.open_report(), &db.snapshot()),
        }
    }

    fn by_owner(fs: &SimFs) -> Self {
        let clock = Arc::new(SimClock::new(1_800_000_000_000));
        match Db::open(DIR, options(fs, &clock, Durability::Always)) {
            Err(error) => Self::refusal(&error),
            Ok(db) => Self::of(db.open_report(), &db.snapshot().unwrap()),
        }
    }

    /// Whether damage was reported; `Err` at a value that nobody wrote. `Ok(None)` if what was promised is
    /// gone without a word, or replaced by what is older.
    fn judge(&self, record: &Record) -> Result<Option<bool>, String> {
        if let Some(report) = self.reports.iter().find(|report| !report.contains(DIR)) {
            return Err(format!("names no place: {report:?}"));
        }
        every_value_was_written(record, &self.found)?;
        if self.reports.is_empty() {
            let explained = record.explain_prefix(&self.found, Fate::Durable);
            return Ok(explained.ok().map(|()| false));
        }
        let is_last = self.degraded || every_value_is_the_last(record, &self.found).is_ok();
        Ok(is_last.then_some(true))
    }
}

type Samples = [(Labels, Vec<(i64, u64)>)];

fn every_value_was_written(record: &Record, found: &Samples) -> Result<(), String> {
    let rows = record.batches.iter().flat_map(|batch| &batch.rows);
    let written: HashMap<u64, (&Labels, i64)> = rows.map(|(l, t, v)| (*v, (l, *t))).collect();
    for (labels, samples) in found {
        for (timestamp, bits) in samples {
            if written.get(bits) != Some(&(labels, *timestamp)) {
                return Err(format!("{labels} at {timestamp}: {bits:#x} was never written there"));
            }
        }
    }
    Ok(())
}

/// Whether `found` is what the first so many batches and deletes make, however many.
fn is_a_prefix(record: &Record, found: &Samples) -> bool {
    let mut expected = Oracle::default();
    let mut deletes = record.deletes.iter().peekable();
    let mut is_found = false;
    for place in 0..=record.batches.len() {
        is_found |= expected.select(&[], TimeRange::ALL) == found;
        while let Some(delete) = deletes.next_if(|delete| delete.place <= place) {
            expected.delete(&delete.matchers, delete.range);
            is_found |= expected.select(&[], TimeRange::ALL) == found;
        }
        if let Some(batch) = record.batches.get(place) {
            batch.rows.iter().for_each(|(l, t, v)| expected.write(l, *t, *v));
        }
    }
    is_found
}

/// Beside errors of reading, what is shown is neither replaced nor deleted, but by what was promised nothing.
fn every_value_is_the_last(record: &Record, found: &Samples) -> Result<(), String> {
    let mut expected = Oracle::default();
    let mut deletes = record.deletes.iter().filter(|d| d.fate >= Fate::Durable).peekable();
    let mut unsure = Vec::new();
    for (place, batch) in record.batches.iter().enumerate() {
        while let Some(delete) = deletes.next_if(|delete| delete.place <= place) {
            expected.delete(&delete.matchers, delete.range);
        }
        if batch.fate < Fate::Durable {
            unsure.extend(batch.rows.iter().map(|(labels, timestamp, _)| (labels, *timestamp)));
        }
        batch.rows.iter().for_each(|(l, t, v)| expected.write(l, *t, *v));
    }
    deletes.for_each(|delete| expected.delete(&delete.matchers, delete.range));
    let expected: HashMap<Labels, Vec<(i64, u64)>> =
        expected.select(&[], TimeRange::ALL).into_iter().collect();
    for (labels, samples) in found {
        let expected = expected.get(labels).map_or(&[][..], Vec::as_slice);
        let wrong = |sample: &&(i64, u64)| {
            !expected.contains(sample) && !unsure.contains(&(labels, sample.0))
        };
        if let Some((timestamp, _)) = samples.iter().find(wrong) {
            return Err(format!("{labels} at {timestamp}: replaced or deleted"));
        }
    }
    Ok(())
}

/// Holds what a power cut leaves against the record.
fn judge(fs: &SimFs, record: &Record, tally: &mut Tally) -> Result<(), String> {
    let survivor = fs.crash(CrashPlan::ALL_LOST);
    tally.cases += 1;
    let seen =
        [("reader", Seen::by_reader(&survivor)), ("owner", Seen::by_owner(&survivor.fork()))];
    let mut reported = false;
    for (who, seen) in &seen {
        match seen.judge(record).map_err(|e| format!("{who}: {e}"))? {
            Some(said) => reported |= said,
            None => {
                if !cannot_be_told(fs, &survivor) {
                    return Err(format!("{who}: something acknowledged is gone without a word"));
                }
                if seen.reports.is_empty() && !is_a_prefix(record, &seen.found) {
                    return Err(format!("{who}: what is left is no prefix"));
                }
                tally.untold += 1;
                return Ok(());
            }
        }
    }
    tally.reported += u64::from(reported);
    tally.whole += u64::from(!reported);
    tally.refused += u64::from(seen.iter().any(|(_, seen)| seen.refused));
    Ok(())
}

/// Whether no store could know of the struck write: either nothing became durable after the sync that it was a
/// part of, or what it should have become, or lies over, is the end of the log, and no log was synced since. Flushes
/// and merges of what is older go on beside a sync of the log, so that they prove nothing of it.
fn cannot_be_told(fs: &SimFs, survivor: &SimFs) -> bool {
    let bad = fs.bad_page_writes().pop().expect("it was struck");
    let then = fs.crash_at_bad_page_write().expect("it was struck");
    let is_log = |path: &Path| path.extension().is_some_and(|ending| ending == "wal");
    let synced_later = |op: &Op| {
        let is_sync = matches!(op.kind, OpKind::SyncData(_)) && op.error.is_none();
        op.number > bad.op && is_sync && is_log(&op.path)
    };
    // By their numbers. Where the header of the newest is lost, the one before it is the end.
    let mut logs: Vec<PathBuf> = survivor.files().into_iter().filter(|path| is_log(path)).collect();
    let mut ends: Vec<PathBuf> = logs.pop().into_iter().collect();
    if bad.page == 0 && ends.contains(&bad.path) {
        ends.extend(logs.pop());
    }
    let concerns_end = ends.contains(&bad.path)
        || bad.landed.as_ref().is_some_and(|(path, _)| ends.contains(path));
    digest(&then) == digest(survivor) || concerns_end && !fs.trace().iter().any(synced_later)
}

/// One page write that is struck.
#[derive(Debug, Clone, Copy)]
struct Strike {
    script: Script,
    number: u64,
    fault: PageFault,
}

impl Strike {
    /// Runs the script, cuts the power at operation `op` or at the end, and judges; the number of the sync that
    /// was struck.
    fn cut(self, op: Option<u64>, tally: &mut Tally) -> Result<u64, String> {
        let fs = SimFs::new();
        fs.fail_page_write(self.number, self.fault);
        op.into_iter().for_each(|op| fs.crash_at(op));
        let record = self.script.run(&fs);
        let bad = fs.bad_page_writes().pop().ok_or("it was not struck")?;
        judge(&fs, &record, tally).map_err(|violation| {
            let ops = fs.trace().into_iter().skip_while(|op| op.number < bad.op);
            let ops: Vec<_> = ops.map(|op| format!("{:?} {:?}", op.kind, op.path)).collect();
            format!("{self:?}: {bad:?}, power cut at {op:?}: {violation}; {ops:#?}")
        })?;
        Ok(bad.op)
    }

    /// Drops the cache under the open store before it reads everything.
    fn read_without_cache(self) -> Result<(), String> {
        let fs = SimFs::new();
        fs.fail_page_write(self.number, self.fault);
        let (mut steps, mut seen) = (0, None);
        let record = self.script.run_with(&fs, |run| {
            steps += 1;
            if steps == self.script.steps
                && let Some(db) = &run.db
            {
                fs.drop_caches();
                seen = db.snapshot().ok().map(|snapshot| Seen::of(db.open_report(), &snapshot));
            }
        });
        match seen.map(|seen| seen.judge(&record)).transpose()? {
            Some(None) => Err(format!("{self:?}: an open store shows something else, in silence")),
            _ => Ok(()),
        }
    }

    /// The power goes at the end, at once, and a few operations later: the last in turn.
    fn run(self, tally: &mut Tally) -> Result<(), String> {
        let op = self.cut(None, tally)?;
        self.read_without_cache()?;
        for later in [1, 3 + self.number % 7, 12 + self.number % 31] {
            if later == 1 || self.number % 3 == later % 3 {
                self.cut(Some(op + later), tally)?;
            }
        }
        Ok(())
    }
}

fn strike_everywhere(script: Script, stride: usize, tally: &mut Tally) -> Vec<String> {
    let whole = SimFs::new();
    script.run(&whole);
    let mut violations = Vec::new();
    for number in (script.seed % stride as u64..whole.page_writes()).step_by(stride) {
        let seed = number ^ script.seed << 8;
        let misdirected = [seed * 2, seed * 2 + 1].map(|seed| PageFault::Misdirected { seed });
        for fault in [PageFault::Lost].into_iter().chain(misdirected) {
            violations.extend(Strike { script, number, fault }.run(tally).err());
        }
    }
    violations
}

fn enumerate(durability: Durability, first_seed: u64) {
    let stride = std::env::var("SILTSTONE_BAD_WRITES_STRIDE").ok();
    let stride = stride.and_then(|text| text.parse().ok()).unwrap_or(3);
    let mut tally = Tally::default();
    let mut violations = Vec::new();
    for seed in first_seed..first_seed + seeds() {
        let script = Script { seed, steps: 40, durability };
        violations.extend(strike_everywhere(script, stride, &mut tally));
    }
    println!("{durability:?}: {tally:?}");
    for violation in violations.iter().take(20) {
        println!("{violation}");
    }
    assert!(violations.is_empty(), "{} violations, the first {}", violations.len(), violations[0]);
    assert!(tally.reported > 20 && tally.whole > 20, "{tally:?}");
}

#[test]
fn a_page_write_that_is_not_carried_out_is_noticed_with_always() {
    enumerate(Durability::Always, 3001);
}

#[test]
fn a_page_write_that_is_not_carried_out_is_noticed_with_interval() {
    enumerate(Durability::Interval(Duration::from_millis(100)), 3101);
}
