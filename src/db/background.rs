//! What happens without being asked: syncs, SYNC frames, seals by age, flushes, merges.
//!
//! With [`Background::Threads`](super::Background) three threads run: the *timer*, so that a sync never
//! waits behind a flush, the *flusher*, and the *compactor*. With `Manual`, [`Db::tick`](super::Db::tick) does the same
//! work on the caller's thread.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::commit::Commit;
use super::compaction;
use super::core::Core;
use super::generation::SealFor;
use super::options::Durability;
use crate::error::{Error, Result};
use crate::sys::spawn;

/// A log that has been idle for this long gets a SYNC frame.
const IDLE: Duration = Duration::from_millis(500);
/// How often the timer looks.
const TIMER_INTERVAL: Duration = Duration::from_millis(250);
/// How long the flusher waits after a failure.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Starts the timer, the flusher and, if it is wanted, the compactor.
pub(super) fn start(core: &Arc<Core>) -> Result<Vec<JoinHandle<()>>> {
    let start = |name: &str, run: fn(&Core)| {
        let shared = Arc::clone(core);
        let started = spawn(name, move || {
            let _alarm = Alarm(&shared);
            run(&shared);
        });
        started.map_err(|e| Error::io("start a thread for", &core.dir, e))
    };
    let mut threads = vec![start("silt-timer", run_timer)?, start("silt-flush", run_flusher)?];
    if core.options.compaction_threads > 0 {
        threads.push(start("silt-compact", run_compactor)?);
    }
    Ok(threads)
}

fn run_timer(core: &Core) {
    let interval = match core.options.durability {
        Durability::Interval(every) => every.min(TIMER_INTERVAL),
        Durability::Always | Durability::Never => TIMER_INTERVAL,
    };
    while core.wake.pause(interval) {
        // A fault is counted and logged where it happens; the next round tries again.
        let _ = core.keep_time();
    }
}

fn run_flusher(core: &Core) {
    while core.wake.flush_request(RETRY_INTERVAL).is_some() {
        core.make_room_if_wanted();
        let flush = || while matches!(core.flush_oldest(), Ok(true)) {};
        flush();
        while matches!(core.settle_deletes(), Ok(true)) {
            flush();
        }
        if core.options.compaction_threads == 0 {
            // Tried again in the next round.
            let _ = core.keep_retention();
        }
    }
}

fn run_compactor(core: &Core) {
    while core.compactor.control.wait(compaction::INTERVAL) {
        while core.compactor.control.may_run() && matches!(core.compaction_step(), Ok(true)) {}
    }
}

impl Core {
    /// Syncs what the policy wants synced, proves an idle log durable, and seals a memtable that is
    /// old or whose log is in doubt.
    pub(super) fn keep_time(&self) -> Result<()> {
        let mut commit = self.lock_commit();
        self.check_owned()?;
        let now = self.clock().monotonic();
        self.registry.set_time(now);
        let doubtful = || self.live().active.is_in_doubt();
        // A sync is not tried again where one has failed.
        let synced = if doubtful() { Ok(()) } else { self.sync_due(&mut commit, now) };
        let active = Arc::clone(&self.live().active);
        let old = now.saturating_sub(active.created) >= self.options.flush_interval;
        // On a full disk: the next round looks again.
        let _ = self.check_disk();
        let due = (old || doubtful()) && self.live().has_unflushed();
        if due && self.check_writable().is_ok() {
            self.rotate(&mut commit, SealFor::Writes)?;
        }
        synced
    }

    /// Syncs what would be older than the policy allows when the timer looks again.
    fn sync_due(&self, commit: &mut Commit, now: Duration) -> Result<()> {
        if let (Durability::Interval(every), Some(since)) =
            (self.options.durability, commit.unsynced_since)
            && now.saturating_sub(since) + every.min(TIMER_INTERVAL) >= every
        {
            self.sync_wal(commit)?;
        }
        let idle = commit.last_write.is_some_and(|last| now.saturating_sub(last) >= IDLE);
        if idle && !matches!(self.options.durability, Durability::Never) {
            commit.last_write = None;
            self.write_sync_frame(commit)?;
        }
        Ok(())
    }
}

/// Notes the death of a thread that must live as long as the store.
struct Alarm<'a>(&'a Core);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&Error::Failed("a background thread panicked".into()));
        }
    }
}
