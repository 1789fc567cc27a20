//! What happens without being asked: syncs, seals by age, flushes, merges.
//!
//! With [`Background::Threads`](super::Background) three threads run: one that syncs and seals by time, so that
//! a sync never waits behind a flush, one that flushes, and one that merges. With `Manual`,
//! [`Db::tick`](super::Db::tick) does the same work on the caller's thread.
//!
//! A thread that panics makes the store refuse writes.

use std::sync::Arc;

use super::compact::{Compactor, run};
use super::env::Env;
use super::env::options::Durability;
use super::write::log::TIMER_INTERVAL;
use crate::error::{Error, Result};
use crate::sys::spawn;
use crate::sys::sync::thread::JoinHandle;

/// How long the flusher waits after a failure.
const RETRY_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);
/// Steps of a merge that a tick takes.
const TICK_STEPS: usize = 8;

/// Starts the threads of a store that has its own.
///
/// # Errors
/// When a thread cannot be started.
pub(super) fn start(compactor: &Arc<Compactor>) -> Result<Vec<JoinHandle<()>>> {
    let env = &compactor.env;
    let start = |name: &str, run: fn(&Compactor)| {
        let shared = Arc::clone(compactor);
        let started = spawn(name, move || {
            let _alarm = Alarm(&shared.env);
            run(&shared);
        });
        started.map_err(|e| Error::io("start a thread for", &env.dir, e))
    };
    if env.is_manual() {
        return Ok(Vec::new());
    }
    let mut threads =
        vec![start("siltstone-sync", run_timer)?, start("siltstone-flush", run_flusher)?];
    if env.options.compaction_threads > 0 {
        threads.push(start("siltstone-merge", run_compactor)?);
    }
    Ok(threads)
}

/// Does what is due on the caller's thread.
///
/// # Errors
/// The first fault; whatever fails, the rest is tried.
pub(super) fn tick(compactor: &Compactor) -> Result<()> {
    let writer = &compactor.writer;
    let synced = writer.sync_and_seal_due();
    writer.evict_if_requested();
    // Retention frees the disk that a flush finds full.
    let flushed = repeat(|| writer.flush_oldest());
    let retired = repeat(|| compactor.retire_tombstones());
    let mut left = TICK_STEPS;
    let merged = repeat(|| {
        left -= 1;
        Ok(compactor.step()? && left > 0)
    });
    synced.and(flushed).and(retired).and(merged)
}

/// Does `step` until there is no more to do, or it fails.
fn repeat(mut step: impl FnMut() -> Result<bool>) -> Result<()> {
    while step()? {}
    Ok(())
}

fn run_timer(compactor: &Compactor) {
    let env = &compactor.env;
    let interval = match env.options.durability {
        Durability::Interval(every) => every.min(TIMER_INTERVAL),
        Durability::Always | Durability::Never => TIMER_INTERVAL,
    };
    while env.flush_signal.pause(interval) {
        // A fault is counted and logged where it happens; the next round tries again.
        let _ = compactor.writer.sync_and_seal_due();
    }
}

fn run_flusher(compactor: &Compactor) {
    let writer = &compactor.writer;
    while compactor.env.flush_signal.wait(RETRY_INTERVAL).is_some() {
        writer.evict_if_requested();
        let flush = || while matches!(writer.flush_oldest(), Ok(true)) {};
        flush();
        while matches!(compactor.retire_tombstones(), Ok(true)) {
            flush();
        }
        if compactor.env.options.compaction_threads == 0 {
            // Tried again in the next round.
            let _ = compactor.keep_retention();
        }
    }
}

fn run_compactor(compactor: &Compactor) {
    let pressure = &compactor.env.back_pressure;
    while pressure.wait(run::INTERVAL) {
        while pressure.may_run() && matches!(compactor.step(), Ok(true)) {}
    }
}

/// Notes the death of a thread that must live as long as the store.
struct Alarm<'a>(&'a Env);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.health.fail(&Error::Failed("a background thread panicked".into()));
        }
    }
}
