//! Back-pressure: how merging is steered, and how writers are held back when it falls behind.
//!
//! The *debt* is the number of level-0 segments. From `level0_slowdown` on each group of writes waits
//! a little; at `level0_stall` it waits while a merge is under way that lowers the debt, or after which
//! one will. A debt that nobody works off (paused,
//! failing, no thread, nothing that may be picked) only slows down: no stall is without an end.

use std::sync::PoisonError;
use std::time::Duration;

use super::Env;
use crate::sys::sync::atomic::{AtomicUsize, Ordering};
use crate::sys::sync::{Condvar, Mutex, MutexGuard};

/// The longest wait of a slowdown.
const SLOWDOWN_MAX: Duration = Duration::from_millis(50);
/// How often a stalled writer looks whether anybody still works on it.
const STALL_INTERVAL: Duration = Duration::from_millis(100);

/// Steers the compaction thread and those who wait for it.
#[derive(Debug, Default)]
pub(in crate::db) struct BackPressure {
    state: Mutex<State>,
    changed: Condvar,
    level0: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    stop: bool,
    paused: bool,
    /// Something has changed that the picker should look at.
    wanted: bool,
    /// Explicit compactions that are under way: background ones wait.
    explicit: usize,
    /// A merge is under way that lowers the debt, or after which one will.
    working: bool,
}

/// Keeps background merges from being picked while it lives.
pub(in crate::db) struct Explicit<'a>(&'a BackPressure);

impl Drop for Explicit<'_> {
    fn drop(&mut self) {
        self.0.lock().explicit -= 1;
        self.0.changed.notify_all();
    }
}

impl BackPressure {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Tells the compaction thread to end.
    pub(in crate::db) fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    pub(in crate::db) fn set_paused(&self, paused: bool) {
        self.change(|state| {
            state.paused = paused;
            state.wanted |= !paused;
        });
    }

    pub(in crate::db) fn set_working(&self, working: bool) {
        self.change(|state| state.working = working);
    }

    pub(in crate::db) fn is_paused(&self) -> bool {
        self.lock().paused
    }

    /// Whether background merges may go on.
    pub(in crate::db) fn may_run(&self) -> bool {
        let state = self.lock();
        !state.stop && !state.paused && state.explicit == 0
    }

    /// Asks the compaction thread to look.
    pub(in crate::db) fn request(&self) {
        self.change(|state| state.wanted = true);
    }

    pub(in crate::db) fn explicit(&self) -> Explicit<'_> {
        self.change(|state| state.explicit += 1);
        Explicit(self)
    }

    /// The number of level-0 segments.
    pub(in crate::db) fn level0(&self) -> usize {
        self.level0.load(Ordering::Relaxed)
    }

    pub(in crate::db) fn set_level0(&self, segments: usize) {
        self.level0.store(segments, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Waits until asked to look, at most `timeout`; false when told to stop.
    pub(in crate::db) fn wait(&self, timeout: Duration) -> bool {
        let idle = |state: &mut State| !state.stop && !state.wanted;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.wanted = false;
        !state.stop
    }

    /// Waits while there are at least `level0` segments of level 0, at most `timeout`; whether such
    /// a merge is under way.
    fn wait_below(&self, level0: usize, timeout: Duration) -> bool {
        let full = |_: &mut State| self.level0() >= level0;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, full);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.working && !state.paused && !state.stop
    }
}

impl Env {
    /// Holds the writers of the next group back if merging has fallen behind. The caller holds no
    /// lock. Where the embedder does the background work, nobody waits for it.
    pub(in crate::db) fn throttle(&self) {
        let pressure = &self.back_pressure;
        let (slowdown, stall) = (self.options.level0_slowdown, self.options.level0_stall);
        let debt = pressure.level0();
        if debt < slowdown || self.is_manual() {
            return;
        }
        pressure.request();
        self.counters.slowdowns.add(1);
        let share = (debt - slowdown + 1) as f64 / (stall - slowdown).max(1) as f64;
        let mut working = pressure.wait_below(slowdown, SLOWDOWN_MAX.mul_f64(share.min(1.0)));
        if pressure.level0() >= stall && working {
            self.counters.stalls.add(1);
            while pressure.level0() >= stall && working && self.health.check_writable().is_ok() {
                working = pressure.wait_below(stall, STALL_INTERVAL);
            }
        }
    }
}
