//! A store on a simulated disk, what it must hold, and what it promised.
//!
//! `expected` is what the open store shows, exactly: also after errors, since an error says whether
//! what failed took place. Only the end of a process leaves a choice, among what was not promised to
//! survive it: there `record` judges what is found, which is then what is expected.
//!
//! While no fault is armed, and since the last that was a healthy opening has happened, the store is
//! *sound*: nothing may fail. A disk that was full is sound as soon as it has room.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{CrashPlan, ReadMode, SimClock, SimFs, Vfs};
use siltstone::{
    Ack, Background, ContentDigest, Db, Durability, Error, Finding, Labels, Matcher, Options,
    QueryOptions, ReadOnlyDb, Result, Snapshot, TimeRange, Verify, WriteBatch,
};
use siltstone_testing::oracle::{Oracle, OracleSeries};
use siltstone_testing::record::{Fate, Record, read_all};

use crate::answers::{self, assert_same};
use crate::expiry::{Expiry, RETENTION};
use crate::input::Input;
use crate::steps::{Call, Ending, SERIES, Step, WINDOW_MS, crash_plan};

const DIR: &str = "/data/metrics/store";
const CAPACITY: u64 = 1 << 40;
/// Snapshots and copies kept at once.
const KEPT_MAX: usize = 3;
const COPIES_MAX: usize = 4;

/// What went wrong on the disk since all was well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    /// It has little room.
    Full,
    /// Operations failed, or will.
    Faults,
}

pub(crate) struct Machine {
    fs: SimFs,
    clock: Arc<SimClock>,
    /// How every store is opened.
    options: Options,
    series: Vec<Labels>,
    db: Db,
    trouble: Trouble,
    expected: Oracle,
    record: Record,
    kept: Vec<(Snapshot, Vec<OracleSeries>)>,
    expiry: Expiry,
    copies: Vec<(PathBuf, Vec<OracleSeries>)>,
    copies_made: usize,
    reader: Option<ReadOnlyDb>,
    /// Values written so far: no two are equal.
    values: u64,
}

impl Machine {
    pub(crate) fn new(input: &mut Input<'_>) -> Self {
        let (fs, clock) = (SimFs::new(), Arc::new(SimClock::new(1_700_000_000_000)));
        let interval = Durability::Interval(Duration::from_millis(100));
        let durability = input.one_of(&[Durability::Always, interval, Durability::Never]);
        let config = input.byte();
        let read_mode = if config & 1 == 0 { ReadMode::Pread } else { ReadMode::Map };
        let options = Options {
            durability,
            read_mode,
            reserve_bytes: (config & 2 != 0).then_some(16 << 10),
            retention: (config & 4 != 0).then_some(RETENTION),
            ..small_options(&fs, &clock)
        };
        let db = Db::open(DIR, options.clone()).expect("an empty disk");
        let labels = |pairs: &&[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        Self {
            expiry: Expiry::new(&clock),
            fs,
            clock,
            options,
            series: SERIES.iter().map(labels).collect::<Result<_, _>>().expect("valid labels"),
            db,
            trouble: Trouble::None,
            expected: Oracle::default(),
            record: Record::default(),
            kept: Vec::new(),
            copies: Vec::new(),
            copies_made: 0,
            reader: None,
            values: 0,
        }
    }

    /// Takes a step and compares what the store holds; `input` says how the power comes back.
    pub(crate) fn run(&mut self, step: &Step, input: &mut Input<'_>) {
        self.clock.advance(Duration::from_millis(1));
        self.expiry.allow();
        self.fs.take_trace();
        match step {
            Step::Write(batches) => self.write(batches),
            Step::Bulk { series, start, interval, rows } => {
                let row = |i: usize| (*series, start + interval * i as i64);
                self.write(&[(0..*rows).map(row).collect()]);
            }
            Step::Delete(matchers, range) => self.delete(matchers, *range),
            Step::Flush => self.keeping_content(Db::flush),
            Step::Tick(ms) => {
                self.clock.advance(Duration::from_millis(*ms));
                self.keeping_content(Db::tick);
            }
            Step::Compact(range, steps) => self.compact(*range, *steps),
            Step::WaitDurable => {
                let last = self.db.stats().last_seq;
                self.keeping_content(|db| db.wait_durable(last));
            }
            Step::Snapshot => self.keep_snapshot(),
            Step::CheckSnapshots => self.check_kept(),
            Step::Query(matchers, range, step) => {
                let range = self.expiry.known(*range);
                let snapshot = self.db.snapshot().expect("the store is open");
                answers::check(&snapshot, &self.expected, matchers, range, *step);
            }
            Step::Checkpoint => self.checkpoint(),
            Step::Reader { keep } => self.read_beside(*keep),
            Step::Pause(true) => self.db.pause(),
            Step::Pause(false) => self.db.resume(),
            Step::Reopen(ending) => self.reopen(*ending),
            Step::Fault { after, kind } => {
                self.trouble = Trouble::Faults;
                self.fs.fail_op(self.fs.ops() + after, *kind);
            }
            Step::CutDuring { after } => self.fs.crash_at(self.fs.ops() + after),
            Step::Fill(bytes) => {
                self.trouble = self.trouble.max(Trouble::Full);
                leave(&self.fs, *bytes);
            }
            Step::Heal => self.heal(),
            Step::ReadFault { after, call } => self.with_read_fault(*after, call),
            Step::Hours(hours) => {
                self.clock.advance(Duration::from_secs(hours * 3600));
                self.keeping_content(Db::tick);
            }
            Step::Jump(days) => self.expiry.jump(*days),
        }
        self.observe_expiry();
        self.record.durable_to(self.db.durable_seq());
        if self.fs.has_crashed() {
            self.reopen(Ending::PowerCut(crash_plan(input)));
        }
        self.check();
    }

    pub(crate) fn finish(mut self) {
        self.check_kept();
        self.heal();
        self.reopen(Ending::Kill);
        self.reopen(Ending::Close);
        self.reopen(Ending::PowerCut(CrashPlan::ALL_LOST));
        self.check();
    }

    fn is_sound(&self) -> bool {
        self.trouble == Trouble::None && !self.fs.has_crashed()
    }

    /// A call that may fail only when something is wrong with the disk.
    fn excuse<T>(&self, what: &str, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(!self.is_sound(), "{what} of a sound store: {error}");
                None
            }
        }
    }

    fn heal(&mut self) {
        self.fs.heal();
        self.fs.set_capacity(CAPACITY);
        if self.trouble == Trouble::Full {
            self.trouble = Trouble::None;
            // The reserve is taken again; until then writes are refused.
            self.excuse("tick", self.db.tick());
            self.observe_expiry();
        }
    }

    /// What the store shows is what is expected.
    fn check(&self) {
        let found = self.db.snapshot().and_then(|snapshot| read_all(&snapshot));
        let found = self.expiry.visible(found.expect("an open store is read"));
        assert_same(&found, &self.all_expected(), "the store");
    }

    /// What has expired is expected no more.
    fn observe_expiry(&mut self) {
        if self.fs.has_crashed() {
            return;
        }
        let horizon = self.expiry.observe(&self.db.stats());
        self.expected.expire(horizon);
        self.record.expire(horizon);
    }

    fn all_expected(&self) -> Vec<OracleSeries> {
        self.expected.select(&[], TimeRange::ALL)
    }

    fn digest(&self) -> Option<ContentDigest> {
        let snapshot = self.db.snapshot().ok()?;
        snapshot.digest(&[], TimeRange::ALL, &QueryOptions::default()).ok()
    }

    /// Something that may move samples, but changes none.
    fn keeping_content(&mut self, act: impl FnOnce(&Db) -> Result<()>) {
        let before = self.digest();
        self.excuse("background work", act(&self.db));
        if self.is_sound() && self.options.retention.is_none() {
            assert_eq!(self.digest(), before);
        }
    }

    /// A call during which one read fails: it answers rightly or with an error, and the store is none
    /// the worse for it.
    fn with_read_fault(&mut self, after: u64, call: &Call) {
        let snapshot = self.db.snapshot().expect("the store is open");
        self.fs.fail_read(self.fs.reads() + after, ErrorKind::Other);
        let done = match call {
            Call::Query(matchers, range) => {
                let range = self.expiry.known(*range);
                answers::select(&snapshot, matchers, range).map(|found| {
                    assert_same(&found, &self.expected.select(matchers, range), "a poor query");
                })
            }
            Call::Flush => self.db.flush(),
            Call::Tick => self.db.tick(),
            Call::Compact(range) => {
                let report = self.db.compact(*range, &mut |_| ControlFlow::Continue(()));
                report.map(|report| {
                    // A segment that could not be read is left out and named, and is not damaged.
                    let is_poor = |finding: &Finding| finding.message.ends_with("other error");
                    assert!(report.damage.is_empty(), "{report:?}");
                    assert!(report.findings.iter().all(is_poor), "{report:?}");
                })
            }
            Call::Reader => ReadOnlyDb::open(DIR, self.options(&self.fs)).and_then(|reader| {
                // What could not be opened is reported, and queries that need it fail.
                let found = self.expiry.filter(read_all(&reader.snapshot())?);
                if self.is_sound() {
                    assert_same(&found, &self.all_expected(), "a poor reader");
                }
                Ok(())
            }),
            Call::Digest => {
                snapshot.digest(&[], TimeRange::ALL, &QueryOptions::default()).map(drop)
            }
        };
        if let Err(error) = done {
            let is_damage = matches!(error, Error::Corrupt { .. } | Error::Lost(_));
            assert!(!is_damage, "what cannot be read is not damaged: {error}");
        }
        // Other faults are called off with it, which `trouble` need not know.
        self.fs.heal();
    }

    fn compact(&mut self, range: TimeRange, mut steps: usize) {
        let before = self.digest();
        let report = self.db.compact(range, &mut |_| {
            steps = steps.wrapping_sub(1);
            if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let Some(report) = self.excuse("compact", report) else { return };
        assert!(report.damage.is_empty() && report.damaged_rows == 0, "{report:?}");
        self.expiry.must_be_applied(&self.db.stats());
        if self.is_sound() {
            assert!(report.findings.is_empty(), "{report:?}");
            if self.options.retention.is_none() {
                assert_eq!(self.digest(), before);
            }
            if range == TimeRange::ALL && !report.cancelled {
                assert_eq!(self.db.stats().level0_segments, 0, "{report:?}");
            }
        }
    }

    fn write(&mut self, batches: &[Vec<(usize, i64)>]) {
        let mut answers = Vec::new();
        for rows in batches {
            let rows = rows.iter().map(|&(i, time)| (self.series[i].clone(), time, self.bits()));
            let rows: Vec<_> = rows.collect();
            let place = self.record.issue(rows);
            let submitted = self.encode(place).and_then(|batch| self.db.submit(&batch));
            answers.push((place, submitted));
        }
        while self.db.commit_step() {}
        for (place, submitted) in answers {
            let answer = submitted.and_then(|ticket| ticket.poll().expect("every step was taken"));
            self.note(place, answer);
        }
    }

    fn encode(&self, place: usize) -> Result<WriteBatch> {
        let mut batch = WriteBatch::new();
        for (labels, timestamp, bits) in &self.record.batches[place].rows {
            batch.push_bits(self.db.series(labels)?, *timestamp, *bits)?;
        }
        Ok(batch)
    }

    /// Takes in what became of a batch.
    fn note(&mut self, place: usize, answer: Result<Ack>) {
        let is_sound = self.is_sound();
        let batch = &mut self.record.batches[place];
        match answer {
            Ok(ack) => {
                assert!(self.options.durability != Durability::Always || ack.durable);
                batch.seq = Some(ack.seq);
                batch.fate = if ack.durable { Fate::Durable } else { Fate::Written };
            }
            // It is visible, and may or may not survive.
            Err(Error::DurabilityUnknown { .. }) if !is_sound => {}
            Err(Error::StaleHandle(_)) => return,
            Err(error) => {
                assert!(!is_sound, "write to a sound store: {error}");
                if self.fs.has_crashed() {
                    let rows = batch.rows.iter();
                    rows.for_each(|(_, timestamp, _)| self.expiry.may_be_there(*timestamp));
                }
                return;
            }
        }
        for (labels, timestamp, bits) in &batch.rows {
            self.expected.write(labels, *timestamp, *bits);
            self.expiry.accepted(*timestamp);
        }
    }

    /// Bits that no row had before: counters, decimals, quiet and signalling NaNs with a payload.
    fn bits(&mut self) -> u64 {
        self.values += 1;
        let n = self.values;
        match n % 5 {
            0 => (n as f64).to_bits(),
            1 => (n as f64 / 100.0).to_bits(),
            2 => 0x7ff8_0000_0000_0000 | n,
            3 => 0xfff0_0000_0000_0000 | n,
            _ => (-(n as f64) * 1e9).to_bits(),
        }
    }

    fn delete(&mut self, matchers: &[Matcher], range: TimeRange) {
        if matchers.is_empty() || range.is_empty() {
            let refused = self.db.delete(matchers, range);
            assert!(
                matches!(refused, Err(Error::InvalidArgument(_))) || !self.is_sound(),
                "{refused:?}"
            );
            return;
        }
        let hidden = self.expected.select(matchers, range);
        let place = self.record.issue_delete(matchers.to_vec(), range);
        match self.db.delete(matchers, range) {
            Ok(receipt) => {
                // What has expired is counted as long as it is stored.
                let counts_more = self.options.retention.is_some();
                let series = hidden.len() as u64;
                assert!(receipt.series == series || counts_more && receipt.series > series);
                let samples: usize = hidden.iter().map(|(_, samples)| samples.len()).sum();
                assert!(receipt.samples >= samples as u64, "{receipt:?}");
                let delete = &mut self.record.deletes[place];
                delete.seq = Some(receipt.seq);
                delete.fate = if receipt.durable { Fate::Durable } else { Fate::Written };
            }
            Err(Error::DurabilityUnknown { .. }) if !self.is_sound() => {}
            Err(error) => {
                assert!(!self.is_sound(), "delete from a sound store: {error}");
                return;
            }
        }
        self.expected.delete(matchers, range);
    }

    fn keep_snapshot(&mut self) {
        if self.kept.len() == KEPT_MAX {
            self.kept.remove(0);
        }
        let snapshot = self.db.snapshot().expect("the store is open");
        let shows = read_all(&snapshot).expect("an open store is read");
        assert_same(&self.expiry.visible(shows.clone()), &self.all_expected(), "a new snapshot");
        self.kept.push((snapshot, shows));
    }

    /// Snapshots show what they showed, whatever happened since.
    fn check_kept(&self) {
        for (snapshot, expected) in &self.kept {
            assert_same(&read_all(snapshot).expect("pinned"), expected, "a snapshot");
        }
    }

    /// Makes a copy, which is a store of its own.
    fn checkpoint(&mut self) {
        if self.copies_made == COPIES_MAX {
            return;
        }
        self.copies_made += 1;
        let dir = PathBuf::from(format!("/data/metrics/copy-{}", self.copies_made));
        let made = self.db.checkpoint(&dir);
        let Some(_) = self.excuse("checkpoint", made) else {
            let may_be_left = self.fs.has_crashed() || self.trouble == Trouble::Faults;
            assert!(may_be_left || self.fs.list(&dir).is_err(), "a part of a checkpoint is left");
            return;
        };
        let expected = self.all_expected();
        self.check_copy(&dir, &expected);
        if self.is_sound() {
            // As another process would, on a disk of its own.
            let fs = self.fs.fork();
            let copy = Db::open(&dir, self.options(&fs)).expect("a copy opens");
            let found = read_all(&copy.snapshot().expect("open")).expect("undamaged");
            // It looks at the clock as it opens, which this one may not have done for a while.
            let expected = self.expiry.seen_by(&copy.stats(), expected.clone());
            assert_same(&self.expiry.seen_by(&copy.stats(), found), &expected, "a copy");
            copy.close().expect("nothing to flush");
        }
        self.copies.push((dir, expected));
    }

    fn check_copy(&self, dir: &Path, expected: &[OracleSeries]) {
        if self.fs.has_crashed() {
            return;
        }
        let reader = ReadOnlyDb::open(dir, self.options(&self.fs)).expect("a copy opens");
        assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report());
        let found = read_all(&reader.snapshot()).expect("undamaged");
        // Both are held against each other from the present horizon on.
        let expected = self.expiry.filter(expected.to_vec());
        assert_same(&self.expiry.filter(found), &expected, "a copy");
    }

    fn read_beside(&mut self, keep: bool) {
        let ops = self.fs.ops();
        let reader = match self.reader.take() {
            Some(mut reader) => {
                reader.refresh().expect("nothing changes meanwhile");
                reader
            }
            None => ReadOnlyDb::open(DIR, self.options(&self.fs)).expect("a reader opens"),
        };
        assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report());
        let found = read_all(&reader.snapshot()).expect("nothing changes meanwhile");
        let found = self.expiry.filter(found);
        if self.is_sound() {
            assert_same(&found, &self.all_expected(), "a reader");
        } else if let Err(why) = self.record.explain(&found, Fate::Written) {
            panic!("a reader: {why}");
        }
        assert_eq!(self.fs.ops(), ops, "a reader changes nothing");
        self.reader = Some(reader).filter(|_| keep);
    }

    /// Ends the process, and perhaps more than that, and starts the next one.
    fn reopen(&mut self, ending: Ending) {
        self.reader = None;
        let mut floor = Fate::Written;
        match ending {
            Ending::Close => {
                if self.excuse("close", self.db.close()).is_some() {
                    self.record.durable_to(self.db.durable_seq());
                }
            }
            Ending::Kill => {
                let armed = self.trouble;
                self.fs = self.fs.fork();
                // Faults are of the process that died; room is not.
                self.trouble = armed.min(Trouble::Full);
            }
            Ending::PowerCut(plan) => {
                floor = Fate::Durable;
                self.kept.clear();
                self.fs = self.fs.crash(plan);
                self.fs.set_capacity(CAPACITY);
                self.trouble = Trouble::None;
            }
        }
        if self.fs.has_crashed() {
            // While it was closed.
            return self.reopen(Ending::PowerCut(CrashPlan::torn(self.values)));
        }
        self.db = loop {
            match Db::open(DIR, self.options(&self.fs)) {
                _ if self.fs.has_crashed() => {
                    return self.reopen(Ending::PowerCut(CrashPlan::torn(self.values)));
                }
                Ok(db) => break db,
                Err(error) => {
                    assert!(!self.is_sound(), "open: {error}");
                    self.fs.heal();
                    self.fs.set_capacity(CAPACITY);
                    self.trouble = Trouble::None;
                }
            }
        };
        self.expiry.reopened();
        self.observe_expiry();
        self.judge(ending, floor);
    }

    /// Holds a store that was opened against what was promised.
    fn judge(&mut self, ending: Ending, floor: Fate) {
        let report = self.db.open_report();
        assert!(report.findings.is_empty() && report.lost_rows == 0, "{ending:?}: {report:?}");
        let found = self.db.snapshot().and_then(|snapshot| read_all(&snapshot));
        let found = self.expiry.filter(found.expect("a store that opens is read"));
        if let Err(why) = self.record.explain(&found, floor) {
            panic!("{ending:?}: {why}");
        }
        if matches!(ending, Ending::Close) && self.is_sound() {
            assert_same(&found, &self.all_expected(), "a store that was closed");
        }
        self.adopt(&found, floor);
        let mut findings = Vec::new();
        let note = |finding: &siltstone::Finding| findings.push(finding.to_string());
        let options = self.options(&self.fs);
        let check = Verify::new(Path::new(DIR)).options(options).on_finding(note);
        check.run().expect("a store");
        assert!(findings.is_empty(), "{ending:?}: {findings:?}");
        for (dir, expected) in &self.copies {
            self.check_copy(dir, expected);
        }
    }

    /// What was found is what there is from now on.
    fn adopt(&mut self, found: &[OracleSeries], floor: Fate) {
        let rows: Vec<_> = found
            .iter()
            .flat_map(|(labels, samples)| {
                samples.iter().map(|&(t, bits)| (labels.clone(), t, bits))
            })
            .collect();
        self.expected = Oracle::default();
        rows.iter().for_each(|(labels, t, bits)| self.expected.write(labels, *t, *bits));
        if self.db.durable_seq() >= self.db.stats().last_seq {
            // All of it is durable: what was not found will never be.
            self.record = Record::default();
            let place = self.record.issue(rows);
            self.record.batches[place].fate = Fate::Durable;
        } else if floor == Fate::Durable {
            // Some of it may be lost yet, and what was lost has no seq.
            let lost = |fate: Fate| fate < Fate::Durable;
            self.record.batches.iter_mut().filter(|b| lost(b.fate)).for_each(|batch| {
                (batch.fate, batch.seq) = (Fate::Unknown, None);
            });
            self.record.deletes.iter_mut().filter(|d| lost(d.fate)).for_each(|delete| {
                (delete.fate, delete.seq) = (Fate::Unknown, None);
            });
        }
    }

    fn options(&self, fs: &SimFs) -> Options {
        Options { vfs: Arc::new(fs.clone()), ..self.options.clone() }
    }
}

/// Limits that are met soon.
fn small_options(fs: &SimFs, clock: &Arc<SimClock>) -> Options {
    Options {
        background: Background::Manual,
        query_threads: 0,
        memory_budget_bytes: 16 << 20,
        wal_bytes_max: 1 << 20,
        flush_interval: Duration::from_secs(20),
        erase_after: Duration::from_secs(30),
        level0_merge: 2,
        window: Duration::from_millis(WINDOW_MS as u64),
        open_files_max: 16,
        vfs: Arc::new(fs.clone()),
        clock: Arc::clone(clock) as _,
        ..Options::default()
    }
}

/// Leaves so many bytes of free space.
fn leave(fs: &SimFs, bytes: u64) {
    if let Ok(space) = fs.free_space(Path::new("/")) {
        fs.set_capacity(space.total - space.available + bytes);
    }
}
