//! A store and what it must answer, side by side, through any sequence of steps.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{ReadMode, SimClock, SimFs};
use siltstone::wal::WalReader;
use siltstone::{
    Db, Durability, Error, Labels, Options, QueryOptions, ReadOnlyDb, SeriesHandle, Snapshot,
    Ticket, TimeRange, WriteBatch, manifest,
};
use siltstone_testing::answers::{STORE, select, sim_clock, sim_options};
use siltstone_testing::oracle::Oracle;

use crate::ops::{Config, Op, Query, Row, SERIES};

/// Snapshots kept at once.
const SNAPSHOTS_MAX: usize = 3;

pub(crate) struct Machine {
    pub(crate) fs: SimFs,
    clock: Arc<SimClock>,
    series: Vec<Labels>,
    db: Db,
    oracle: Oracle,
    /// Kept from earlier batches; they may be stale.
    handles: HashMap<usize, SeriesHandle>,
    snapshots: Vec<(Snapshot, Oracle)>,
}

impl Machine {
    pub(crate) fn new(config: Config) -> Self {
        let (fs, clock) = (SimFs::new(), sim_clock());
        let db = Db::open(STORE, options(&fs, &clock, config)).unwrap();
        let series = SERIES.iter().map(|s| Labels::from_pairs(s.iter().copied()).unwrap());
        Self {
            fs,
            clock,
            series: series.collect(),
            db,
            oracle: Oracle::default(),
            handles: HashMap::new(),
            snapshots: Vec::new(),
        }
    }

    pub(crate) fn run(&mut self, op: &Op) {
        match op {
            Op::Write { rows, by_handles } => self.write(rows, *by_handles),
            Op::Group(batches) => self.commit_together(batches),
            Op::Bulk { series, start, step, rows } => {
                let time = |i: usize| start.saturating_add(step * i as i64);
                let value = |i: usize| ((i * i % 977) as f64 / 10.0).to_bits();
                let rows: Vec<Row> = (0..*rows).map(|i| (*series, time(i), value(i))).collect();
                self.write(&rows, false);
            }
            Op::Delete(query) => self.delete(query),
            Op::Flush => {
                self.db.flush().unwrap();
                assert_eq!(self.db.stats().memtables_sealed, 0);
            }
            Op::Compact(range, steps) => self.compact(*range, *steps),
            Op::Tick(ms) => {
                self.clock.advance(Duration::from_millis(*ms));
                self.db.tick().unwrap();
            }
            Op::Snapshot => {
                if self.snapshots.len() == SNAPSHOTS_MAX {
                    let (snapshot, oracle) = self.snapshots.remove(0);
                    check_everything(&snapshot, &oracle);
                }
                self.snapshots.push((self.db.snapshot().unwrap(), self.oracle.clone()));
            }
            Op::CheckSnapshots => self.check_snapshots(),
            Op::Reopen { kill, config } => self.reopen(*kill, *config),
            Op::ReadOnly(query, config) => self.check_reader(query, *config),
            Op::Query(query) => check_query(&self.db.snapshot().unwrap(), &self.oracle, query),
        }
    }

    /// The last comparisons: of what is stored, and of every snapshot that was kept.
    pub(crate) fn finish(mut self) {
        self.check_snapshots();
        check_everything(&self.db.snapshot().unwrap(), &self.oracle);
    }

    /// Flushes since the store was opened.
    pub(crate) fn flushes(&self) -> u64 {
        self.db.stats().flushes
    }

    pub(crate) fn check(&self, query: &Query) {
        check_query(&self.db.snapshot().unwrap(), &self.oracle, query);
    }

    /// Answers and digest are the same before and after, whatever was merged.
    fn compact(&mut self, range: TimeRange, mut steps: usize) {
        let digest = |db: &Db| {
            let options = QueryOptions::default();
            db.snapshot().unwrap().digest(&[], TimeRange::ALL, &options).unwrap()
        };
        let before = digest(&self.db);
        let report = self.db.compact(range, &mut |_| {
            steps -= 1;
            if steps == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let report = report.unwrap();
        assert!(report.findings.is_empty() && report.damage.is_empty(), "{report:?}");
        assert_eq!(digest(&self.db), before, "{report:?}");
        let stats = self.db.stats();
        assert_eq!(stats.bytes_by_kind.quarantine, 0);
        if range == TimeRange::ALL && !report.cancelled {
            assert_eq!(stats.level0_segments, 0, "{report:?}");
        }
        assert!(!self.snapshots.is_empty() || stats.segments_obsolete == 0, "files are let go");
    }

    /// Deletes what a query selects; the receipt must tell of what the oracle loses, and be what the
    /// preview told.
    fn delete(&mut self, query: &Query) {
        let Query { matchers, range, .. } = query;
        let preview = self.db.preview_delete(matchers, *range);
        let deleted = self.db.delete(matchers, *range);
        if matchers.is_empty() || range.is_empty() {
            assert!(matches!(preview, Err(Error::InvalidArgument(_))), "{preview:?}");
            assert!(matches!(deleted, Err(Error::InvalidArgument(_))), "{deleted:?}");
            return;
        }
        let (preview, receipt) = (preview.unwrap(), deleted.unwrap());
        let gone = self.oracle.select(matchers, *range);
        let visible: usize = gone.iter().map(|(_, samples)| samples.len()).sum();
        assert_eq!(receipt.series, gone.len() as u64, "{query:?}");
        assert!(receipt.samples >= visible as u64, "{query:?}: {receipt:?}");
        assert_eq!(receipt.durable, self.db.options().durability == Durability::Always);
        // In between the memtable may have become a segment.
        assert_eq!((preview.series, preview.samples), (receipt.series, receipt.samples));
        self.oracle.delete(matchers, *range);
    }

    fn check_snapshots(&mut self) {
        for (snapshot, oracle) in &self.snapshots {
            check_everything(snapshot, oracle);
        }
    }

    fn write(&mut self, rows: &[Row], by_handles: bool) {
        let mut batch = self.batch(rows, by_handles);
        let written = match self.db.write(&batch) {
            Err(Error::StaleHandle(_)) if by_handles => {
                self.handles.clear();
                batch = self.batch(rows, true);
                self.db.write(&batch)
            }
            written => written,
        };
        let ack = written.unwrap();
        assert_eq!(ack.durable, self.db.options().durability == Durability::Always);
        self.note(rows);
    }

    fn commit_together(&mut self, batches: &[Vec<Row>]) {
        let tickets: Vec<(Ticket, &Vec<Row>)> = batches
            .iter()
            .map(|rows| (self.db.submit(&self.batch_of_labels(rows)).unwrap(), rows))
            .collect();
        assert!(tickets.iter().all(|(ticket, _)| ticket.poll().is_none()), "nobody has led");
        assert!(self.db.commit_step());
        assert!(!self.db.commit_step(), "one step takes them all");
        let mut seq = 0;
        for (ticket, rows) in tickets {
            let ack = ticket.poll().unwrap().unwrap();
            assert!(ack.seq > seq, "seqs follow the order of submission");
            seq = ack.seq;
            self.note(rows);
        }
    }

    fn batch(&mut self, rows: &[Row], by_handles: bool) -> WriteBatch {
        if !by_handles {
            return self.batch_of_labels(rows);
        }
        let mut batch = WriteBatch::new();
        for &(i, timestamp, bits) in rows {
            let (db, series) = (&self.db, &self.series);
            let handle = self.handles.entry(i).or_insert_with(|| db.series(&series[i]).unwrap());
            batch.push_bits(*handle, timestamp, bits).unwrap();
        }
        batch
    }

    fn batch_of_labels(&self, rows: &[Row]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for &(i, timestamp, bits) in rows {
            let handle = self.db.series(&self.series[i]).unwrap();
            batch.push_bits(handle, timestamp, bits).unwrap();
        }
        batch
    }

    fn note(&mut self, rows: &[Row]) {
        for &(i, timestamp, bits) in rows {
            self.oracle.write(&self.series[i], timestamp, bits);
        }
    }

    /// A kill leaves the old handles and snapshots on the disk as it was; the next process finds a
    /// copy of it.
    pub(crate) fn reopen(&mut self, kill: bool, config: Config) {
        if kill {
            self.fs = self.fs.fork();
        } else {
            self.db.close().unwrap();
            let live = self.fs.files();
            let logs = live.iter().filter(|path| path.extension().is_some_and(|e| e == "wal"));
            for log in logs {
                let name = log.file_stem().unwrap().to_string_lossy().into_owned();
                let uuid = manifest::load(&self.fs, Path::new(STORE)).unwrap().uuid;
                let identity = (uuid, name.parse().unwrap());
                let reader = WalReader::open(&self.fs, log, identity, None).unwrap();
                let record = reader.and_then(|mut reader| reader.next_record().unwrap());
                assert!(record.is_none(), "close leaves no batch in the log: {record:?}");
            }
        }
        self.handles.clear();
        self.db = Db::open(STORE, options(&self.fs, &self.clock, config)).unwrap();
        let report = self.db.open_report();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        assert_eq!((report.torn_bytes, report.lost_rows), (0, 0));
        assert!(kill || report.recovered_batches == 0, "close leaves nothing to recover");
    }

    fn check_reader(&self, query: &Query, config: Config) {
        let (ops, files) = (self.fs.ops(), self.fs.files());
        let options = options(&self.fs, &self.clock, config);
        let reader = ReadOnlyDb::open(Path::new(STORE), options).unwrap();
        assert!(reader.open_report().findings.is_empty(), "{:?}", reader.open_report().findings);
        check_query(&reader.snapshot(), &self.oracle, query);
        assert_eq!((self.fs.ops(), self.fs.files()), (ops, files), "a reader changes nothing");
    }
}

fn options(fs: &SimFs, clock: &Arc<SimClock>, config: Config) -> Options {
    let (memory_budget_bytes, wal_bytes_max) =
        if config.small { (16 << 20, 1 << 20) } else { (512 << 20, 256 << 20) };
    Options {
        query_threads: config.query_threads,
        read_mode: if config.mapped { ReadMode::Map } else { ReadMode::Pread },
        memory_budget_bytes,
        wal_bytes_max,
        durability: match config.durability {
            0 => Durability::Always,
            1 => Durability::Interval(Duration::from_secs(1)),
            _ => Durability::Never,
        },
        flush_interval: Duration::from_secs(10),
        ..sim_options(fs, clock)
    }
}

fn check_everything(snapshot: &Snapshot, oracle: &Oracle) {
    let all = Query { matchers: Vec::new(), range: TimeRange::ALL, limit: usize::MAX };
    check_query(snapshot, oracle, &all);
}

/// Compares every kind of answer to one question.
pub(crate) fn check_query(snapshot: &Snapshot, oracle: &Oracle, query: &Query) {
    let Query { matchers, range, limit } = query;
    let expected = oracle.select(matchers, *range);
    assert_eq!(select(snapshot, matchers, *range), expected, "{query:?}");
    let options = QueryOptions::default();

    let mut scanned: Vec<(Labels, Vec<(i64, u64)>)> = Vec::new();
    let mut visit = |labels: &Labels, columns: &siltstone::Columns| {
        let samples = columns.iter().map(|(t, v)| (t, v.to_bits()));
        match scanned.last_mut() {
            Some((last, found)) if last == labels => found.extend(samples),
            _ => scanned.push((labels.clone(), samples.collect())),
        }
        ControlFlow::Continue(())
    };
    snapshot.scan(matchers, *range, &options, &mut visit).unwrap();
    assert_eq!(scanned, expected, "{query:?}");
    assert_eq!(listed(snapshot, query), expected, "{query:?}");

    let series: Vec<Labels> = expected.into_iter().map(|(labels, _)| labels).take(*limit).collect();
    assert_eq!(snapshot.series(matchers, *range, &options, *limit).unwrap(), series, "{query:?}");
    let first = |mut list: Vec<String>| {
        list.truncate(*limit);
        list
    };
    let names = snapshot.label_names(matchers, *range, &options, *limit).unwrap();
    assert_eq!(names, first(oracle.label_names(matchers, *range)), "{query:?}");
    for name in ["job", "شهر", "absent"] {
        let values = snapshot.label_values(name, matchers, *range, &options, *limit).unwrap();
        assert_eq!(values, first(oracle.label_values(name, matchers, *range)), "{name} {query:?}");
    }
}

/// What a list that holds no labels reads.
fn listed(snapshot: &Snapshot, query: &Query) -> Vec<(Labels, Vec<(i64, u64)>)> {
    let take = |_: Option<&Labels>, labels: &Labels| Ok(labels.clone());
    let options = QueryOptions::default();
    let (set, labels) = snapshot.list_as(&query.matchers, query.range, &options, &take).unwrap();
    let numbers: Vec<u32> = (0..set.series_count() as u32).collect();
    let mut found = Vec::new();
    let mut visit = |number: u32, columns: &siltstone::Columns| {
        let samples: Vec<_> = columns.iter().map(|(t, v)| (t, v.to_bits())).collect();
        if !samples.is_empty() {
            found.push((labels[number as usize].clone(), samples));
        }
        ControlFlow::Continue(())
    };
    set.fold(&numbers, &mut visit).unwrap();
    found
}
