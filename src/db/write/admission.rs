//! Admission: whether a new series is taken in when the registry is nearly full.
//!
//! A series can leave the registry (be *evicted*) when no memtable holds samples of it; where the registry
//! is at least half full, only if it is idle as well, so that series in use are never pushed out by new
//! ones. A series that was resolved and never written is in no memtable, and goes without a flush.
//!
//! 1. Given a new series for which the registry has no memory left, it is judged whether an *early flush*,
//!    of a memtable that is not full yet, would let enough idle series be evicted.
//! 2. If so, the flusher is asked for it, and the new series waits, `admission_wait` at most.
//! 3. If not, all series are in use, and the new one is refused at once: an early flush would make small
//!    segments and free nothing. Nobody judges again before something has changed.
//!
//! Enough is a quarter of the active series, or, where the memtable holds at least
//! [`SAMPLES_PER_SERIES_MIN`] samples a series, so that the flush costs nothing that a later one would
//! not, a thirty-second part.
//!
//! Lock: that of `Admission` is never held while another lock is taken.
//!
//! # Why idle series are counted
//!
//! Refusing whenever early flushes would hold fewer than 16 samples a series is no substitute: with
//! labels like TSBS's the registry's share holds 1.1 M series, of which a full memtable holds 3
//! samples each. Counting idle series instead lets short-lived ones through (four samples each, in
//! turn) and refuses the same series that 16 would refuse.

use std::sync::PoisonError;
use std::time::Duration;

use super::Writer;
use super::seal::SealFor;
use crate::error::{Error, Result};
use crate::series::{EncodedLabels, SeriesHandle};
use crate::sys::sync::{Condvar, Mutex, MutexGuard};

/// An early seal that holds as many samples a series is worth it for few idle series.
const SAMPLES_PER_SERIES_MIN: u64 = 16;
/// The part of the active series that has to be idle for an early seal of fewer samples.
const IDLE_PART: usize = 4;
/// The part that has to be idle for any early seal.
const IDLE_PART_MIN: usize = 32;
/// Times that a new series waits for an early flush.
const ATTEMPTS_MAX: usize = 4;
/// How long nobody judges again where an early flush was of no use.
const USELESS_FOR: Duration = Duration::from_millis(250);

/// Whether an early flush is asked for, and whether one would be of use.
#[derive(Debug, Default)]
pub(super) struct Admission {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// An early flush is asked for or under way.
    wanted: bool,
    /// Early flushes that are done.
    done: u64,
    /// The early flush that was waited for in vain once: nobody waits for it again.
    given_up: Option<u64>,
    /// What was known when an early flush was found to be of no use.
    useless_since: Option<Known>,
    /// The thread that flushes has ended.
    closed: bool,
}

/// What a judgement rests upon.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: Duration,
    round: u32,
    flushes: u64,
}

impl Admission {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends all waiting: nobody makes room any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.done += 1;
        drop(state);
        self.changed.notify_all();
    }
}

impl Writer {
    /// Finds or makes active the series with these labels; where there is no room, waits for some to
    /// be made, or refuses.
    #[inline]
    pub(in crate::db) fn series(&self, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        self.env.health.check_writable()?;
        let resolved = self.registry.resolve(labels);
        if self.registry.take_nearly_full() {
            self.request_eviction();
        }
        match resolved {
            Err(error @ Error::LimitExceeded(_)) => self.series_when_full(labels, error),
            resolved => resolved,
        }
    }

    #[cold]
    fn series_when_full(
        &self,
        labels: &impl EncodedLabels,
        mut refused: Error,
    ) -> Result<SeriesHandle> {
        for _ in 0..ATTEMPTS_MAX {
            if !self.registry.is_full() || !self.wait_for_eviction() {
                break;
            }
            match self.registry.resolve(labels) {
                // Others were faster.
                Err(error @ Error::LimitExceeded(_)) => refused = error,
                resolved => {
                    self.env.counters.series_waited.add(1);
                    return resolved;
                }
            }
        }
        self.env.counters.series_refused.add(1);
        Err(refused)
    }

    /// Asks for an early flush in the background, if one is of use.
    fn request_eviction(&self) {
        let mut state = self.admission.lock();
        if !state.wanted && !self.is_known_useless(&state) {
            drop(state);
            let known = self.known();
            let promising = self.is_worth_flushing();
            state = self.admission.lock();
            if promising {
                state.wanted = true;
                self.env.flush_signal.request();
            } else {
                state.useless_since = Some(known);
            }
        }
    }

    /// Waits until an early flush is done; false at once if none is of use, and when it takes too long.
    fn wait_for_eviction(&self) -> bool {
        self.request_eviction();
        if self.env.is_manual() {
            return self.evict_if_requested();
        }
        let state = self.admission.lock();
        let before = state.done;
        if state.closed || !state.wanted || state.given_up == Some(before) {
            return false;
        }
        let under_way = |state: &mut State| state.done == before;
        let waited = self.admission.changed.wait_timeout_while(
            state,
            self.env.options.admission_wait,
            under_way,
        );
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.given_up = Some(before);
        }
        !timeout.timed_out()
    }

    fn known(&self) -> Known {
        let at = self.env.clock().monotonic();
        Known { at, round: self.registry.round(), flushes: self.env.counters.flushes.get() }
    }

    /// Whether nothing has changed since an early flush was found to be of no use.
    fn is_known_useless(&self, state: &State) -> bool {
        let now = self.known();
        state.useless_since.is_some_and(|then| {
            now.at.saturating_sub(then.at) < USELESS_FOR
                && (now.round, now.flushes) == (then.round, then.flushes)
        })
    }

    /// Whether flushing what is in memory would free enough series.
    fn is_worth_flushing(&self) -> bool {
        self.registry.set_time(self.env.clock().monotonic());
        let idle = self.registry.idle(self.oldest_held_by_snapshots()).len();
        let active = self.registry.len();
        let memtable = &self.view.current().active.memtable;
        let enough_samples =
            u64::from(memtable.published()) >= SAMPLES_PER_SERIES_MIN * memtable.slot_count();
        let part = if enough_samples { IDLE_PART_MIN } else { IDLE_PART };
        idle > 0 && idle >= active / part || self.can_evict_unwritten()
    }

    /// Whether enough idle series are in no memtable, so that they can go without a flush.
    fn can_evict_unwritten(&self) -> bool {
        let idle = self.registry.idle_unwritten(self.view.oldest_held()).len();
        idle > 0 && idle >= self.registry.len() / IDLE_PART_MIN
    }

    /// Flushes early, if somebody has asked for it; whether series could be evicted.
    pub(in crate::db) fn evict_if_requested(&self) -> bool {
        if !self.admission.lock().wanted {
            return false;
        }
        let known = self.known();
        let before = self.env.counters.series_evicted.get();
        if let Err(error) = self.evict_early() {
            tracing::warn!(%error, "an early flush for new series failed");
        }
        let freed = self.env.counters.series_evicted.get() - before;
        let elapsed_ms = self.env.clock().monotonic().saturating_sub(known.at).as_millis() as u64;
        tracing::info!(freed, elapsed_ms, "flushed early for new series");
        let made = freed > 0;
        let mut state = self.admission.lock();
        state.wanted = false;
        state.done += 1;
        state.useless_since = (!made).then_some(known);
        drop(state);
        self.admission.changed.notify_all();
        made
    }

    /// Evicts what can be; then flushes what is sealed; then seals and flushes the rest.
    fn evict_early(&self) -> Result<()> {
        self.evict_series();
        if self.registry.is_nearly_full() {
            self.evict_unwritten();
        }
        if !self.registry.is_nearly_full() {
            return Ok(());
        }
        while self.flush_oldest()? {}
        if !self.registry.is_nearly_full() || !self.is_worth_flushing() {
            return Ok(());
        }
        let mut commit = self.lock_commit();
        if self.env.health.check_writable().is_ok()
            && self.view.current().active.memtable.published() > 0
        {
            self.rotate(&mut commit, SealFor::Writes)?;
            self.env.counters.early_seals.add(1);
        }
        drop(commit);
        while self.flush_oldest()? {}
        // The active memtable may have held the last of them without rows.
        self.evict_series();
        Ok(())
    }

    /// Frees the slots of series that no memtable holds any more; of a registry that is half full
    /// only those of idle ones.
    pub(super) fn evict_series(&self) {
        let oldest = self.view.oldest_held();
        let freed = if self.registry.is_half_full() {
            self.registry.set_time(self.env.clock().monotonic());
            self.registry.evict_idle(oldest, self.registry.len() / 2)
        } else {
            self.registry.evict(oldest)
        };
        self.env.counters.series_evicted.add(freed as u64);
    }

    /// Frees the slots of idle series that were resolved for the memtables there are and are in none of them.
    fn evict_unwritten(&self) {
        // No commit is half done: what it writes it has defined, or not looked up yet.
        let _commit = self.lock_commit();
        self.registry.set_time(self.env.clock().monotonic());
        let (oldest, wanted) = (self.view.oldest_held(), self.registry.len() / 2);
        let freed = self.registry.evict_unwritten(oldest, wanted);
        self.env.counters.series_evicted.add(freed as u64);
    }

    /// The oldest generation that no flush will let go, because a snapshot reads it.
    fn oldest_held_by_snapshots(&self) -> u32 {
        let held = self.view.held_by_snapshots();
        held.iter().map(|memtable| memtable.generation()).min().unwrap_or(u32::MAX)
    }
}
