//! A seeded script of what a program does to a store, and the record of what it was promised.
//!
//! The script never panics on an error of the store: after a crash nothing more happens, after any
//! other error it goes on as a stubborn program would.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{Clock, SimClock, SimFs, Vfs};
use siltstone::{
    Ack, Background, CompactProgress, Db, Durability, Labels, Matcher, Options, Result, TimeRange,
    WriteBatch,
};
use siltstone_testing::record::{Fate, Record, read_all};

/// The directory of the store; its parents do not exist either.
pub(crate) const DIR: &str = "/data/metrics/store";

/// The names and values of the labels, in several scripts.
const SERIES: &[[(&str, &str); 2]] = &[
    [("__name__", "temperature"), ("city", "تبریز")],
    [("__name__", "temperature"), ("city", "北京")],
    [("__name__", "temperature"), ("city", "Санкт-Петербург")],
    [("__name__", "температура"), ("δωμάτιο", "σαλόνι")],
    [("__name__", "up"), ("instance", "10.0.0.1:9100")],
    [("__name__", "up"), ("instance", "10.0.0.2:9100")],
    [("__name__", "http_requests_total"), ("path", "/a b/\"c\"\n")],
    [("__name__", "気温"), ("都市", "大阪")],
    [("__name__", "emoji"), ("sign", "🪨")],
];
/// Rows of a large batch: its frame reaches over several pages.
const LARGE_ROWS: usize = 900;

/// A workload: the same seed does the same.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Script {
    pub(crate) seed: u64,
    pub(crate) steps: usize,
    pub(crate) durability: Durability,
}

/// A workload in progress.
pub(crate) struct Run {
    pub(crate) fs: SimFs,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) record: Record,
    pub(crate) db: Option<Db>,
    durability: Durability,
    random: Random,
    values: u64,
}

/// How the tests open a store.
pub(crate) fn options(fs: &SimFs, clock: &Arc<SimClock>, durability: Durability) -> Options {
    Options {
        durability,
        background: Background::Manual,
        query_threads: 0,
        memory_budget_bytes: 16 << 20,
        wal_bytes_max: 1 << 20,
        flush_interval: Duration::from_secs(20),
        vfs: Arc::new(fs.clone()) as Arc<dyn Vfs>,
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        ..Options::default()
    }
}

impl Script {
    /// Runs the whole script, or what a crash allows of it.
    pub(crate) fn run(&self, fs: &SimFs) -> Record {
        self.run_with(fs, |_| ())
    }

    /// As [`run`](Self::run), looking on after every step.
    pub(crate) fn run_with(&self, fs: &SimFs, mut look: impl FnMut(&mut Run)) -> Record {
        let mut run = Run::new(fs, self);
        run.reopen();
        for _ in 0..self.steps {
            if fs.has_crashed() {
                break;
            }
            run.step();
            run.note_durable();
            look(&mut run);
        }
        run.record
    }
}

impl Run {
    pub(crate) fn new(fs: &SimFs, script: &Script) -> Self {
        Self {
            fs: fs.clone(),
            clock: Arc::new(SimClock::new(1_700_000_000_000)),
            record: Record::default(),
            db: None,
            durability: script.durability,
            random: Random(script.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            values: 0,
        }
    }

    /// Opens the store if it is not open.
    pub(crate) fn reopen(&mut self) {
        if self.db.is_none() {
            let options = options(&self.fs, &self.clock, self.durability);
            self.db = Db::open(DIR, options).ok();
        }
    }

    fn step(&mut self) {
        self.reopen();
        self.clock.advance(Duration::from_millis(50));
        match self.random.below(100) {
            0..50 => drop(self.write(1)),
            50..55 => drop(self.delete()),
            55..70 => {
                let batches = 2 + self.random.below(3);
                let _ = self.write(batches);
            }
            70..77 => self.ask(|db| db.flush()),
            77..80 => {
                // Given up in the middle, or not.
                let mut steps = 1 + self.random.below(12);
                self.ask(|db| {
                    let progress = &mut |_: &CompactProgress| {
                        steps -= 1;
                        if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    };
                    db.compact(TimeRange::ALL, progress).map(|_| ())
                });
            }
            80..88 => {
                let ms = [60, 600, 25_000][self.random.below(3)];
                self.clock.advance(Duration::from_millis(ms as u64));
                self.ask(|db| db.tick());
            }
            88..93 => self.look(),
            93..97 => {
                self.ask(|db| db.close());
                self.note_durable();
                self.db = None;
                self.reopen();
            }
            _ => {
                // The program dies, the machine does not.
                self.db = None;
                self.reopen();
            }
        }
    }

    fn ask(&self, request: impl FnOnce(&Db) -> Result<()>) {
        if let Some(db) = &self.db {
            let _ = request(db);
        }
    }

    /// Notes what the store says is durable.
    pub(crate) fn note_durable(&mut self) {
        if let Some(db) = &self.db {
            self.record.durable_to(db.durable_seq());
        }
    }

    /// Without faults a store that is open shows exactly what was acknowledged.
    fn look(&mut self) {
        let Some(db) = &self.db else { return };
        let found = db.snapshot().and_then(|snapshot| read_all(&snapshot));
        if let Ok(found) = found {
            self.record.explain(&found, Fate::Written).unwrap();
        }
    }

    /// Writes `batches` batches as one group.
    pub(crate) fn write(&mut self, batches: usize) -> Result<()> {
        let Some(db) = self.db.clone() else { return Ok(()) };
        let mut tickets = Vec::new();
        for _ in 0..batches {
            let rows = self.rows();
            let place = self.record.issue(rows);
            let batch = self.encode(&db, place)?;
            if batches == 1 {
                let ack = db.write(&batch);
                return self.note_answer(place, ack);
            }
            tickets.push((place, db.submit(&batch)?));
        }
        while db.commit_step() {}
        for (place, ticket) in tickets {
            if let Some(answer) = ticket.poll() {
                let _ = self.note_answer(place, answer);
            }
        }
        Ok(())
    }

    /// Deletes some series, or a part of them.
    fn delete(&mut self) -> Result<()> {
        let Some(db) = self.db.clone() else { return Ok(()) };
        let [name, (label, value)] = SERIES[self.random.below(SERIES.len())];
        let matchers = match self.random.below(3) {
            0 => vec![Matcher::equal(name.0, name.1)],
            1 => vec![Matcher::equal(label, value), Matcher::not_equal("only", "")],
            _ => vec![Matcher::not_regex(name.0, "t.*|u.*").unwrap()],
        };
        let from = 1_700_000_000_000 + self.random.below(20) as i64 * 15_000;
        let range = match self.random.below(3) {
            0 => TimeRange::ALL,
            _ => TimeRange::new(from, from + 200_000),
        };
        let place = self.record.issue_delete(matchers.clone(), range);
        let receipt = db.delete(&matchers, range)?;
        let delete = &mut self.record.deletes[place];
        delete.seq = Some(receipt.seq);
        delete.fate = if receipt.durable { Fate::Durable } else { Fate::Written };
        Ok(())
    }

    fn encode(&self, db: &Db, place: usize) -> Result<WriteBatch> {
        let mut batch = WriteBatch::new();
        for (labels, timestamp, bits) in &self.record.batches[place].rows {
            batch.push_bits(db.series(labels)?, *timestamp, *bits)?;
        }
        Ok(batch)
    }

    fn note_answer(&mut self, place: usize, answer: Result<Ack>) -> Result<()> {
        let ack = answer?;
        let batch = &mut self.record.batches[place];
        batch.seq = Some(ack.seq);
        batch.fate = if ack.durable { Fate::Durable } else { Fate::Written };
        Ok(())
    }

    /// The rows of the next batch: out of order, often at times that were written before.
    fn rows(&mut self) -> Vec<(Labels, i64, u64)> {
        let large = self.random.below(10) == 0;
        let rows = if large { LARGE_ROWS } else { 1 + self.random.below(6) };
        let new_series = self.random.below(6) == 0;
        let mut series = self.random.below(SERIES.len());
        let mut found = Vec::with_capacity(rows);
        for row in 0..rows {
            if !large || row % 300 == 0 {
                series = self.random.below(SERIES.len());
            }
            let timestamp = match self.random.below(40) {
                0 => -(self.random.below(1000) as i64),
                _ if large => 1_700_000_100_000 + row as i64 * 250,
                _ => 1_700_000_000_000 + self.random.below(30) as i64 * 15_000,
            };
            found.push((self.labels(series, new_series), timestamp, self.bits()));
        }
        found
    }

    fn labels(&self, series: usize, new: bool) -> Labels {
        let mut pairs = SERIES[series].to_vec();
        let number = self.record.batches.len().to_string();
        if new {
            pairs.push(("only", &number));
        }
        Labels::from_pairs(pairs).unwrap()
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
}

/// A small generator (xorshift64*), so that a seed means the same for ever.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound as u64) as usize
    }
}
