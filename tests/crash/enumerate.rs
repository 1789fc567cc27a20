//! A crash at every operation of a workload, and at every operation of the recovery from it.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, SimClock, SimFs, SyncPoint};
use siltstone::{Db, Durability, Finding, Labels, ReadOnlyDb, Verify, WriteBatch};
use siltstone_testing::oracle::OracleSeries;
use siltstone_testing::record::{Fate, Record, read_all};

use crate::workload::{DIR, Script, options};

/// What an enumeration covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Enumeration {
    pub(crate) script: Script,
    pub(crate) ignored: Option<SyncPoint>,
    /// Torn plans a crash point, beside the extremes.
    pub(crate) torn: u64,
    /// Plans a crash point that lose pages and keep later ones.
    pub(crate) holes: u64,
    /// Every `deep`-th crash point is followed by crashes of its recovery; 0 for none.
    pub(crate) deep: u64,
}

/// How much was checked.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) points: u64,
    /// Points and plans.
    pub(crate) states: u64,
    /// Of these, disks that differed from the others of their point, and were opened.
    pub(crate) opened: u64,
    pub(crate) deep: u64,
}

impl Enumeration {
    fn disk(&self) -> SimFs {
        let fs = SimFs::new();
        self.ignored.into_iter().for_each(|point| fs.ignore_sync(point));
        fs
    }

    /// Runs the script up to a crash at every operation; the first violation, or what was checked.
    pub(crate) fn run(&self) -> Result<Tally, String> {
        let fs = self.disk();
        self.script.run(&fs);
        let mut tally = Tally::default();
        for op in 0..=fs.ops() {
            tally.points += 1;
            self.crash_at(op, &mut tally).map_err(|e| {
                let last = fs.trace().into_iter().take(op as usize).next_back();
                format!("seed {}, crash at {op} (after {last:?}): {e}", self.script.seed)
            })?;
        }
        Ok(tally)
    }

    fn crash_at(&self, op: u64, tally: &mut Tally) -> Result<(), String> {
        let fs = self.disk();
        fs.crash_at(op);
        let record = self.script.run(&fs);
        // The death of the process alone: what was written is there.
        tally.states += 1;
        tally.opened += 1;
        check(&fs.fork(), &record, Fate::Written).map_err(|e| format!("killed: {e}"))?;
        let mut seen = HashSet::new();
        let seed = self.script.seed.wrapping_add(op << 8);
        let holes = (0..self.holes).map(|i| CrashPlan::holes(seed + i));
        for plan in CrashPlan::spread(seed, self.torn).into_iter().chain(holes) {
            let survivor = fs.crash(plan);
            tally.states += 1;
            if !seen.insert(digest(&survivor)) {
                continue;
            }
            tally.opened += 1;
            let place = |e| format!("{plan:?}: {e}");
            check(&survivor.fork(), &record, Fate::Durable).map_err(place)?;
            if self.deep > 0 && op.is_multiple_of(self.deep) {
                tally.deep += self.crash_recovery(&survivor, &record).map_err(place)?;
            }
        }
        Ok(())
    }

    /// Crashes the recovery of `survivor` at each of its operations.
    fn crash_recovery(&self, survivor: &SimFs, record: &Record) -> Result<u64, String> {
        let whole = survivor.fork();
        drop(open(&whole));
        let mut states = 0;
        for op in survivor.ops()..whole.ops() {
            let fs = survivor.fork();
            fs.crash_at(op);
            drop(open(&fs));
            let mut seen = HashSet::new();
            for plan in CrashPlan::spread(op, 1) {
                let again = fs.crash(plan);
                states += 1;
                if seen.insert(digest(&again)) {
                    check_recovery(&again, record).map_err(|e| {
                        format!("then crash of the recovery at {op}, {plan:?}: {e}")
                    })?;
                }
            }
        }
        Ok(states)
    }
}

pub(crate) fn digest(fs: &SimFs) -> u64 {
    let mut hasher = DefaultHasher::new();
    for path in fs.files() {
        fs.read_file(&path).unwrap().hash(&mut hasher);
        path.hash(&mut hasher);
    }
    hasher.finish()
}

fn open(fs: &SimFs) -> siltstone::Result<Db> {
    let clock = Arc::new(SimClock::new(1_800_000_000_000));
    Db::open(DIR, options(fs, &clock, Durability::Always))
}

/// Opens the store on a disk that crashed and holds it against the record. A panic of the engine is
/// a violation like any other.
pub(crate) fn check(fs: &SimFs, record: &Record, floor: Fate) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| check_store(fs, record, floor)))
        .unwrap_or_else(|panic| Err(format!("panic: {:?}", panic.downcast_ref::<String>())))
}

/// As [`check`], of a crash during recovery: only what was recovered counts.
fn check_recovery(fs: &SimFs, record: &Record) -> Result<(), String> {
    let (db, found) = open_clean(fs)?;
    record.explain_prefix(&found, Fate::Durable)?;
    drop(db);
    let (_, again) = open_clean(&fs.crash(CrashPlan::ALL_LOST))?;
    if again == found { Ok(()) } else { Err("opening twice is not opening once".into()) }
}

fn check_store(fs: &SimFs, record: &Record, floor: Fate) -> Result<(), String> {
    check_reader(fs, record, floor)?;
    let (db, found) = open_clean(fs)?;
    record.explain_prefix(&found, floor)?;
    drop(db);
    check_tombstone_files(fs)?;
    // What was recovered is durable, and recovering it again changes nothing.
    let cut = fs.crash(CrashPlan::ALL_LOST);
    let (db, again) = open_clean(&cut).map_err(|e| format!("opened again: {e}"))?;
    if again != found {
        return Err("opening twice is not opening once".into());
    }
    // The store is as good as new.
    let probe = Labels::from_pairs([("__name__", "probe")]).unwrap();
    let mut batch = WriteBatch::new();
    let handle = db.series(&probe).map_err(|e| e.to_string())?;
    batch.push(handle, 1, 1.0).unwrap();
    let ack = db.write(&batch).map_err(|e| format!("a write after recovery: {e}"))?;
    assert!(ack.durable);
    drop(db);
    let (_, with_probe) = open_clean(&cut.crash(CrashPlan::ALL_LOST))?;
    let without: Vec<_> = with_probe.into_iter().filter(|(labels, _)| *labels != probe).collect();
    if without != found {
        return Err("a write after recovery changed what was there".into());
    }
    Ok(())
}

/// What is deleted according to the manifest is so according to the tombstone files.
fn check_tombstone_files(fs: &SimFs) -> Result<(), String> {
    if !fs.files().iter().any(|path| path.extension().is_some_and(|e| e == "tomb")) {
        return Ok(());
    }
    let mut findings = Vec::new();
    let options = options(fs, &Arc::new(SimClock::new(0)), Durability::Always);
    let note = |finding: &Finding| findings.push(finding.to_string());
    let check = Verify::new(Path::new(DIR)).options(options).on_finding(note);
    check.run().map_err(|e| e.to_string())?;
    findings.first().map_or(Ok(()), |finding| Err(format!("verify: {finding}")))
}

/// A read-only opener sees the same promises and changes nothing.
fn check_reader(fs: &SimFs, record: &Record, floor: Fate) -> Result<(), String> {
    let ops = fs.ops();
    let clock = Arc::new(SimClock::new(0));
    match ReadOnlyDb::open(DIR, options(fs, &clock, Durability::Always)) {
        Ok(reader) => {
            let found = read_all(&reader.snapshot()).map_err(|e| format!("reader: {e}"))?;
            record.explain_prefix(&found, floor).map_err(|e| format!("reader: {e}"))?;
        }
        Err(siltstone::Error::NotAStore { .. } | siltstone::Error::Io { .. })
            if record.promised(floor) == 0 => {}
        Err(error) => return Err(format!("reader: {error}")),
    }
    if fs.ops() == ops { Ok(()) } else { Err("a reader changed the disk".into()) }
}

/// A crash leaves no damage: the store opens without a finding.
fn open_clean(fs: &SimFs) -> Result<(Db, Vec<OracleSeries>), String> {
    let db = open(fs).map_err(|e| format!("does not open: {e}"))?;
    let report = db.open_report();
    if let Some(finding) = report.findings.first() {
        return Err(format!("damage reported: {finding}"));
    }
    if report.lost_rows > 0 {
        return Err(format!("{} rows lost", report.lost_rows));
    }
    let found = read_all(&db.snapshot().unwrap()).map_err(|e| format!("does not read: {e}"))?;
    Ok((db, found))
}

/// How many seeds each policy is tried with.
pub(crate) fn seeds() -> u64 {
    std::env::var("SILTSTONE_CRASH_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

fn enumerate(durability: Durability, first_seed: u64) {
    let mut total = Tally::default();
    for seed in first_seed..first_seed + seeds() {
        let script = Script { seed, steps: 40, durability };
        let tally = Enumeration { script, ignored: None, torn: 3, holes: 6, deep: 48 }.run();
        let tally = tally.unwrap_or_else(|violation| panic!("{durability:?}: {violation}"));
        total.points += tally.points;
        total.states += tally.states;
        total.opened += tally.opened;
        total.deep += tally.deep;
    }
    println!("{durability:?}: {total:?}");
    assert!(total.points > 50 && total.states > 500 && total.deep > 50, "{total:?}");
}

#[test]
fn acknowledged_is_durable_with_always() {
    enumerate(Durability::Always, 1);
}

#[test]
fn acknowledged_is_written_with_interval() {
    enumerate(Durability::Interval(Duration::from_millis(100)), 1001);
}

#[test]
fn acknowledged_is_written_with_never() {
    enumerate(Durability::Never, 2001);
}
