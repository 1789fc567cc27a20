//! Stores that hold more than writes and flushes, each as a kill leaves it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use siltstone::sys::{SimClock, SimFs};
use siltstone::{AcceptOptions, Db, Options, ReadOnlyDb, TimeRange};
use siltstone_testing::answers::{STORE, everything, salvage, sim_options};

use super::history::{History, START};

/// Another store, on the same disk.
const OTHER: &str = "/other";
const SECOND: i64 = 1000;
const HOUR: i64 = 3_600_000;

/// A store, and what was written to it.
pub(crate) struct Wide {
    pub(crate) name: &'static str,
    pub(crate) fs: SimFs,
    /// What its clock shows at each opening.
    pub(crate) now: i64,
    pub(crate) retention: Option<Duration>,
    pub(crate) history: History,
}

impl Wide {
    fn new(name: &'static str) -> (Self, Arc<SimClock>) {
        let clock = Arc::new(SimClock::new(START));
        let (fs, history) = (SimFs::new(), History::default());
        (Self { name, fs, now: START, retention: None, history }, clock)
    }

    pub(crate) fn options(&self, fs: &SimFs, clock: &Arc<SimClock>) -> Options {
        Options { retention: self.retention, ..sim_options(fs, clock) }
    }

    fn open(&self, dir: &str, clock: &Arc<SimClock>) -> Db {
        Db::open(dir, self.options(&self.fs, clock)).unwrap()
    }

    /// Rows that are in the log alone, a second later the SYNC frame behind them, and a kill.
    fn killed(mut self, db: &Db, clock: &Arc<SimClock>) -> Self {
        self.history.write(db, &["a", "in the log"], seconds(30..50));
        self.history.write(db, &["b"], seconds(35..45));
        clock.advance(Duration::from_secs(1));
        db.tick().unwrap();
        self.now = siltstone::sys::Clock::wall_ms(&**clock);
        self.fs = self.fs.fork();
        self
    }

    /// Segments of another store, one of them with deletes, between older and newer ones.
    pub(crate) fn attached() -> Self {
        let (mut store, clock) = Self::new("attached");
        let mut foreign = History::from(1 << 20);
        let other = store.open(OTHER, &clock);
        foreign.write(&other, &["a", "foreign"], seconds(0..40));
        other.flush().unwrap();
        foreign.write(&other, &["b", "foreign"], seconds(20..60));
        foreign.delete(&other, "foreign", 5 * SECOND);
        other.close().unwrap();
        let db = store.open(STORE, &clock);
        store.history.write(&db, &["a", "b"], seconds(10..30));
        db.flush().unwrap();
        db.attach(OTHER).unwrap();
        store.history.attach(foreign);
        store.history.write(&db, &["a", "foreign"], seconds(50..70));
        store.history.delete(&db, "b", 12 * SECOND);
        db.flush().unwrap();
        store.killed(&db, &clock)
    }

    /// Segments that reach below the horizon, which has moved since they were written.
    pub(crate) fn expiring() -> Self {
        let (mut store, clock) = Self::new("expiring");
        store.retention = Some(Duration::from_secs(86_400));
        let db = store.open(STORE, &clock);
        db.pause();
        let hours = |hours: std::ops::Range<i64>| hours.map(|h| h * HOUR / 2);
        store.history.write(&db, &["a", "b"], hours(0..8));
        db.flush().unwrap();
        store.history.write(&db, &["a"], hours(2..60));
        db.flush().unwrap();
        store.history.write(&db, &["b"], hours(4..12));
        db.flush().unwrap();
        for _ in 0..27 {
            clock.advance(Duration::from_secs(3600));
            db.tick().unwrap();
        }
        db.resume();
        db.tick().unwrap();
        let horizon = db.stats().retention_horizon.unwrap();
        let reader = ReadOnlyDb::open(STORE, store.options(&store.fs, &clock)).unwrap();
        let partly = reader
            .segments()
            .iter()
            .filter(|s| s.min_timestamp < horizon && s.max_timestamp > horizon);
        assert!(horizon > START + 2 * HOUR && partly.count() > 0, "rows of segments have expired");
        store.killed(&db, &clock)
    }

    /// A store in which the newer of two segments is damaged.
    fn damaged(name: &'static str) -> (Self, Arc<SimClock>, Db) {
        let (mut store, clock) = Self::new(name);
        let db = store.open(STORE, &clock);
        store.history.write(&db, &["a", "b", "old"], seconds(0..40));
        db.flush().unwrap();
        store.history.write(&db, &["a", "b"], seconds(20..60));
        db.flush().unwrap();
        let newest = store.files().into_iter().filter(|path| path.ends_with(".seg")).max().unwrap();
        store.fs.flip(Path::new(STORE).join(newest), 64, 1).unwrap();
        (store, clock, db)
    }

    /// A merge has set aside what was damaged, and newer values have healed the loss.
    pub(crate) fn quarantined() -> Self {
        let (mut store, clock, db) = Self::damaged("quarantined");
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(!db.losses().unwrap().is_whole());
        store.history.write(&db, &["a", "b"], seconds(20..60));
        db.flush().unwrap();
        db.compact(TimeRange::ALL, &mut |_| ControlFlow::Continue(())).unwrap();
        assert!(db.losses().unwrap().is_whole());
        let store = store.killed(&db, &clock);
        assert!(store.files().iter().filter(|path| path.starts_with("quarantine/")).count() > 1);
        store
    }

    /// The loss was accepted: what it hides is in an older segment still.
    pub(crate) fn accepted() -> Self {
        let (mut store, clock, db) = Self::damaged("accepted");
        db.accept_losses(AcceptOptions::default(), |_, _| ControlFlow::Continue(())).unwrap();
        let found = everything(&db.snapshot().unwrap());
        assert_eq!(store.history.accept(&found), 80, "the rows of the damaged segment");
        store.killed(&db, &clock)
    }

    /// A copy that went its own way, beside the store that it was made of, which did so too.
    pub(crate) fn copied() -> Self {
        let (mut store, clock) = Self::new("copied");
        let first = store.open(OTHER, &clock);
        store.history.write(&first, &["a", "b"], seconds(0..40));
        first.flush().unwrap();
        store.history.write(&first, &["a", "c"], seconds(20..60));
        store.history.delete(&first, "b", 10 * SECOND);
        first.flush().unwrap();
        store.history.write(&first, &["b"], seconds(5..8));
        first.checkpoint(STORE).unwrap();
        let copy = store.open(STORE, &clock);
        store.history.write(&copy, &["b", "copy"], seconds(10..30));
        copy.flush().unwrap();
        let mut elsewhere = History::from(1 << 21);
        elsewhere.write(&first, &["a", "elsewhere"], seconds(0..60));
        first.flush().unwrap();
        elsewhere.write(&first, &["a", "elsewhere"], seconds(10..20));
        first.tick().unwrap();
        store.killed(&copy, &clock)
    }

    /// What the store answers, undamaged: all that was written and not replaced, deleted or expired.
    pub(crate) fn check_whole(&self) {
        let fs = self.fs.fork();
        let clock = Arc::new(SimClock::new(self.now));
        let db = Db::open(STORE, self.options(&fs, &clock)).unwrap();
        assert!(db.open_report().findings.is_empty(), "{}", self.name);
        let (found, errors) = salvage(&db.snapshot().unwrap(), &[], TimeRange::ALL);
        assert!(errors.is_empty(), "{}: {errors:?}", self.name);
        let samples = found.iter().map(|(_, samples)| samples.len()).sum::<usize>();
        let horizon = db.stats().retention_horizon.unwrap_or(i64::MIN);
        assert_eq!(samples, self.history.samples(horizon), "{}", self.name);
        for (labels, samples) in &found {
            for (time, bits) in samples {
                assert!(self.history.is_last(labels, *time, *bits), "{}: {labels}", self.name);
            }
        }
    }

    /// The files of the store, by their paths within it.
    pub(crate) fn files(&self) -> Vec<String> {
        let paths = self.fs.files();
        let inside = paths.iter().filter_map(|path| path.strip_prefix(STORE).ok());
        inside.map(|path| path.to_string_lossy().into_owned()).collect()
    }

    /// All files of the disk that have the kind of `file`, but for itself.
    pub(crate) fn twins(&self, file: &str) -> Vec<PathBuf> {
        let own = Path::new(STORE).join(file);
        let mut twins = self.fs.files();
        twins.retain(|path| *path != own && kind(&path.to_string_lossy()) == kind(file));
        twins
    }
}

fn seconds(times: std::ops::Range<i64>) -> impl Iterator<Item = i64> {
    times.map(|second| second * SECOND)
}

/// What a file is, by its name.
pub(crate) fn kind(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap();
    match name.split_once('.') {
        Some((_, kind)) => kind,
        None => name.split('-').next().unwrap(),
    }
}
