//! The view of a store that another process may own, and the thread that refreshes it.
//!
//! A refresh holds `db`, also while a slow disk answers; who only wants the view as it is takes `held`, which is
//! never locked while a file is read. `db` comes before `held`.
//!
//! A refresh that finds nothing new costs two reads and a listing; one that does reads the whole log of the owner.
//! It also opens what is new, as many segments as may be open, which the owner can then replace without harm.
//! So the pause before the next one is the interval, but no less than [`REST`] times what the last one took: it
//! takes at most a fifth of a processor and of a disk, and the view is as old as that.
//!
//! A failed refresh is logged at most once in [`LOG_EVERY`], and once more when one succeeds again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::JoinHandle;
use std::time::Duration;

use siltstone::{Error, Losses, Options, ReadOnlyDb, Snapshot, Stats};

/// The pause after a refresh in times of what it took.
const REST: u32 = 4;
/// Least time between two refreshes that no query asked for.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Least time between two lines about refreshes that fail.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Debug)]
pub(super) struct View {
    db: Mutex<ReadOnlyDb>,
    held: Mutex<Held>,
    options: Options,
    dir: PathBuf,
    ticks_per_second: u64,
}

/// The view as it is, and how refreshes have fared.
#[derive(Debug)]
struct Held {
    now: Now,
    stats: Stats,
    figures: ViewFigures,
    /// When the refresh began that found the view to be the store as it was then, by the clock of the options.
    current_at: Duration,
    /// When a failure was logged that no success has followed.
    failure_logged_at: Option<Duration>,
    /// Damage that the last reading has found.
    findings: Vec<String>,
}

/// A view that is not changed any more.
#[derive(Debug, Clone)]
pub(super) struct Now {
    pub(super) snapshot: Snapshot,
    /// Later views have higher ones.
    pub(super) generation: u64,
    pub(super) recovered_batches: u64,
}

/// How a view is doing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ViewFigures {
    /// For how long the view may have lacked what the owner has written.
    pub(crate) age: Duration,
    /// How long the last refresh took.
    pub(crate) took: Duration,
    /// Refreshes that found something new.
    pub(crate) refreshes: u64,
    pub(crate) failures: u64,
    /// Queries that ran again because the owner had replaced files.
    pub(crate) retries: u64,
}

impl Now {
    fn of(db: &ReadOnlyDb, generation: u64) -> Self {
        let recovered_batches = db.open_report().recovered_batches;
        Self { snapshot: db.snapshot(), generation, recovered_batches }
    }
}

impl View {
    pub(super) fn new(db: ReadOnlyDb) -> Self {
        let held = Held {
            now: Now::of(&db, 0),
            stats: db.stats(),
            figures: ViewFigures { took: db.opened_in(), ..ViewFigures::default() },
            // At the latest: when it was opened is not known, but how long that took.
            current_at: db.options().clock.monotonic().saturating_sub(db.opened_in()),
            failure_logged_at: None,
            findings: texts(&db),
        };
        Self {
            held: Mutex::new(held),
            options: db.options().clone(),
            dir: db.dir().to_path_buf(),
            ticks_per_second: db.ticks_per_second(),
            db: Mutex::new(db),
        }
    }

    pub(super) fn options(&self) -> &Options {
        &self.options
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn ticks_per_second(&self) -> u64 {
        self.ticks_per_second
    }

    /// The view as it is.
    pub(super) fn now(&self) -> Now {
        self.held().now.clone()
    }

    /// For a query that failed on the view of `generation` because files were gone: a newer one, if there is one
    /// or a refresh finds one.
    pub(super) fn newer_than(&self, generation: u64) -> Option<Now> {
        let mut db = self.db();
        if self.held().now.generation <= generation {
            self.refresh_held(&mut db);
        }
        drop(db);
        let mut held = self.held();
        (held.now.generation > generation).then(|| {
            held.figures.retries += 1;
            held.now.clone()
        })
    }

    /// Takes in what was written since; how long that took.
    fn refresh(&self) -> Duration {
        self.refresh_held(&mut self.db());
        self.held().figures.took
    }

    fn refresh_held(&self, db: &mut ReadOnlyDb) {
        let started = self.options.clock.monotonic();
        let refreshed = db.refresh();
        // Read while no other lock is held: it lists the directory.
        let news = matches!(refreshed, Ok(true)).then(|| (db.stats(), texts(db)));
        let ended = self.options.clock.monotonic();
        let mut held = self.held();
        held.figures.took = ended.saturating_sub(started);
        match refreshed {
            Ok(_) => {
                held.current_at = started;
                if held.failure_logged_at.take().is_some() {
                    tracing::info!("the view of the store is refreshed again");
                }
            }
            Err(error) => held.note_failure(&error, ended),
        }
        if let Some((stats, findings)) = news {
            held.now = Now::of(db, held.now.generation + 1);
            held.figures.refreshes += 1;
            held.stats = stats;
            for finding in findings.iter().filter(|finding| !held.findings.contains(finding)) {
                tracing::error!(finding, "damage found");
            }
            held.findings = findings;
        }
    }

    /// What the view counts; of the last refresh while another one runs, so that it can be asked about that.
    pub(super) fn stats(&self) -> Stats {
        match self.db.try_lock() {
            Ok(db) => db.stats(),
            Err(TryLockError::Poisoned(db)) => db.into_inner().stats(),
            Err(TryLockError::WouldBlock) => self.held().stats.clone(),
        }
    }

    pub(super) fn figures(&self) -> ViewFigures {
        let now = self.options.clock.monotonic();
        let held = self.held();
        ViewFigures { age: now.saturating_sub(held.current_at), ..held.figures }
    }

    /// # Errors
    /// Those of [`ReadOnlyDb::losses`], after a refresh if files were gone.
    pub(super) fn losses(&self) -> siltstone::Result<Losses> {
        let mut db = self.db();
        match db.losses() {
            Err(Error::SnapshotGone { .. }) => {
                self.refresh_held(&mut db);
                db.losses()
            }
            answer => answer,
        }
    }

    /// What `ask` says of the store when no refresh runs.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&ReadOnlyDb) -> T) -> T {
        ask(&self.db())
    }

    fn db(&self) -> MutexGuard<'_, ReadOnlyDb> {
        // A refresh replaces the view at its end: after a panic it is the one before.
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing can panic while it is changed.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn note_failure(&mut self, error: &Error, now: Duration) {
        self.figures.failures += 1;
        if self.failure_logged_at.is_none_or(|at| now >= at + LOG_EVERY) {
            self.failure_logged_at = Some(now);
            let age_s = now.saturating_sub(self.current_at).as_secs();
            tracing::warn!(%error, age_s, "cannot refresh the view of the store: it is served as it was");
        }
    }
}

fn texts(db: &ReadOnlyDb) -> Vec<String> {
    db.open_report().findings.iter().map(ToString::to_string).collect()
}

/// The thread that refreshes a view. When this is dropped it ends, after the refresh that runs.
#[derive(Debug)]
pub(crate) struct Following {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Following {
    /// # Errors
    /// If the system refuses the thread.
    pub(super) fn start(view: Arc<View>, interval: Duration) -> io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let (seen, interval) = (Arc::clone(&stop), interval.max(INTERVAL_MIN));
        let named = std::thread::Builder::new().name("siltstone-refresh".to_owned());
        let thread = named.spawn(move || {
            let mut pause = interval;
            while !seen.comes_within(pause) {
                pause = pause_after(view.refresh(), interval);
            }
        })?;
        Ok(Self { stop, thread: Some(thread) })
    }

    /// Ends the thread and waits for that: the directory is not read any more.
    pub(crate) fn end(mut self) {
        self.stop.set();
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread that refreshed the view of the store had panicked");
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        self.stop.set();
    }
}

fn pause_after(took: Duration, interval: Duration) -> Duration {
    interval.max(took.saturating_mul(REST))
}

impl Stop {
    fn set(&self) {
        *self.is_set.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    fn comes_within(&self, time: Duration) -> bool {
        let is_set = self.is_set.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(is_set, time, |is_set| !*is_set);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_takes_a_fifth_of_the_time_at_most() {
        let ms = Duration::from_millis;
        assert_eq!(pause_after(ms(1), ms(5000)), ms(5000));
        assert_eq!(pause_after(ms(2000), ms(5000)), ms(8000));
    }

    #[test]
    fn the_thread_ends_when_it_is_told() {
        let dir = tempfile::tempdir().unwrap();
        siltstone::Db::open(dir.path(), Options::default()).unwrap().close().unwrap();
        let db = ReadOnlyDb::open(dir.path(), Options::default()).unwrap();
        let view = Arc::new(View::new(db));
        Following::start(Arc::clone(&view), Duration::from_secs(3600)).unwrap().end();
        assert_eq!(Arc::strong_count(&view), 1);
    }
}
