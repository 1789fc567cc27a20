//! Making room for new series when the registry is nearly full.
//!
//! A series leaves the registry when no memtable holds samples of it; under pressure only if it is
//! idle as well, so that the series in use are never pushed out by new ones. When idle series are
//! many enough, a new series that finds no room has the active memtable sealed and flushed early, and
//! waits for that: that is churn. When they are not, all series are in use, and it is refused at once:
//! sealing for it would make small segments and no room.
//!
//! What is many enough: a quarter of the active series, or an early seal of at least
//! [`SAMPLES_PER_SERIES_MIN`] samples a series, which costs nothing that a later seal would not.
//! Either way each early seal is paid for by the series that it lets in.
//!
//! Locks: `Room::state` is never held while another lock is taken.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::core::Core;
use super::generation::SealFor;
use super::options::Background;
use crate::error::{Error, Result};
use crate::memtable::Memtable;
use crate::series::{EncodedLabels, SeriesHandle};

/// An early seal that holds as many samples a series is worth it for few idle series.
const SAMPLES_PER_SERIES_MIN: u64 = 16;
/// The part of the active series that has to be idle for an early seal of fewer samples.
const IDLE_PART: usize = 4;
/// The part that has to be idle for any early seal.
const IDLE_PART_MIN: usize = 32;
/// Times that a new series waits for room.
const ATTEMPTS_MAX: usize = 4;
/// How long nobody looks again for room where there was none.
const HOPELESS_FOR: Duration = Duration::from_millis(250);

/// Whether room is being made, and whether there is any to be made.
#[derive(Debug, Default)]
pub(super) struct Room {
    state: Mutex<RoomState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct RoomState {
    /// Asked for or under way.
    wanted: bool,
    /// Times that it was done.
    done: u64,
    /// Waiting for this one was in vain once: nobody waits for it again.
    given_up: Option<u64>,
    /// What was known when nothing was to be gained.
    hopeless: Option<Known>,
    /// The threads that make room have ended.
    closed: bool,
}

/// What a judgement rests upon.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: Duration,
    round: u32,
    flushes: u64,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, RoomState> {
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

impl Core {
    /// Finds or makes active the series with these labels; where there is no room, waits for some to
    /// be made, or refuses.
    #[inline]
    pub(super) fn series(&self, labels: &impl EncodedLabels) -> Result<SeriesHandle> {
        self.check_writable()?;
        let resolved = self.registry.resolve(labels);
        if self.registry.take_nearly_full() {
            self.ask_for_room();
        }
        match resolved {
            Err(error @ Error::LimitExceeded(_)) => self.series_without_room(labels, error),
            resolved => resolved,
        }
    }

    #[cold]
    fn series_without_room(
        &self,
        labels: &impl EncodedLabels,
        mut refused: Error,
    ) -> Result<SeriesHandle> {
        for _ in 0..ATTEMPTS_MAX {
            if !self.registry.is_full() || !self.await_room() {
                break;
            }
            match self.registry.resolve(labels) {
                // Others were faster.
                Err(error @ Error::LimitExceeded(_)) => refused = error,
                resolved => {
                    self.counters.series_waited.add(1);
                    return resolved;
                }
            }
        }
        self.counters.series_refused.add(1);
        Err(refused)
    }

    /// Has room made in the background, if there is any to be made.
    fn ask_for_room(&self) {
        let mut state = self.room.lock();
        if !state.wanted && !self.is_hopeless(&state) {
            drop(state);
            let known = self.known();
            let promising = self.is_promising();
            state = self.room.lock();
            if promising {
                state.wanted = true;
                self.wake.request_flush();
            } else {
                state.hopeless = Some(known);
            }
        }
    }

    /// Waits until room was made; false at once if there is none to be made, and when it takes too
    /// long.
    fn await_room(&self) -> bool {
        self.ask_for_room();
        if matches!(self.options.background, Background::Manual) {
            return self.make_room_if_wanted();
        }
        let state = self.room.lock();
        let before = state.done;
        if state.closed || !state.wanted || state.given_up == Some(before) {
            return false;
        }
        let under_way = |state: &mut RoomState| state.done == before;
        let waited = self.room.changed.wait_timeout_while(state, self.options.room_wait, under_way);
        let (mut state, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            state.given_up = Some(before);
        }
        !timeout.timed_out()
    }

    fn known(&self) -> Known {
        let at = self.clock().monotonic();
        Known { at, round: self.registry.round(), flushes: self.counters.flushes.get() }
    }

    /// Whether nothing has changed since there was no room to be made.
    fn is_hopeless(&self, state: &RoomState) -> bool {
        let now = self.known();
        state.hopeless.is_some_and(|then| {
            now.at.saturating_sub(then.at) < HOPELESS_FOR
                && (now.round, now.flushes) == (then.round, then.flushes)
        })
    }

    /// Whether flushing what is in memory would free enough series.
    fn is_promising(&self) -> bool {
        self.registry.set_time(self.clock().monotonic());
        let idle = self.registry.idle(self.oldest_pinned_by_snapshots()).len();
        let active = self.registry.len();
        let memtable = &self.live().active.memtable;
        let enough_samples =
            u64::from(memtable.published()) >= SAMPLES_PER_SERIES_MIN * memtable.slot_count();
        let part = if enough_samples { IDLE_PART_MIN } else { IDLE_PART };
        idle > 0 && idle >= active / part
    }

    /// Makes room, if somebody has asked for it; whether it did.
    pub(super) fn make_room_if_wanted(&self) -> bool {
        if !self.room.lock().wanted {
            return false;
        }
        let known = self.known();
        let before = self.counters.series_evicted.get();
        if let Err(error) = self.make_room() {
            tracing::warn!(%error, "no room could be made for new series");
        }
        let freed = self.counters.series_evicted.get() - before;
        let elapsed_ms = self.clock().monotonic().saturating_sub(known.at).as_millis() as u64;
        tracing::info!(freed, elapsed_ms, "made room for new series");
        let made = freed > 0;
        let mut state = self.room.lock();
        state.wanted = false;
        state.done += 1;
        state.hopeless = (!made).then_some(known);
        drop(state);
        self.room.changed.notify_all();
        made
    }

    /// Evicts what can be; then flushes what is sealed; then seals and flushes the rest.
    fn make_room(&self) -> Result<()> {
        self.evict_series();
        if !self.registry.is_nearly_full() {
            return Ok(());
        }
        while self.flush_oldest()? {}
        if !self.registry.is_nearly_full() || !self.is_promising() {
            return Ok(());
        }
        let mut commit = self.lock_commit();
        if self.check_writable().is_ok() && self.live().active.memtable.published() > 0 {
            self.rotate(&mut commit, SealFor::Writes)?;
            self.counters.early_seals.add(1);
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
        let mut pinned = self.pinned();
        pinned.retain(|memtable| memtable.strong_count() > 0);
        let alive = pinned.iter().filter_map(Weak::upgrade);
        let oldest = alive.map(|memtable| memtable.generation()).min().unwrap_or(0);
        drop(pinned);
        let freed = if self.registry.is_half_full() {
            self.registry.set_time(self.clock().monotonic());
            self.registry.evict_idle(oldest, self.registry.len() / 2)
        } else {
            self.registry.evict(oldest)
        };
        self.counters.series_evicted.add(freed as u64);
    }

    /// The oldest generation that no flush will let go, because a snapshot reads it.
    fn oldest_pinned_by_snapshots(&self) -> u32 {
        let pinned = self.flushed_memtables();
        pinned.iter().map(|memtable| memtable.generation()).min().unwrap_or(u32::MAX)
    }

    /// Bytes of memtables that only snapshots hold.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        self.flushed_memtables().iter().map(|memtable| memtable.bytes() as u64).sum()
    }

    /// Memtables that are in segments and still read by a snapshot.
    fn flushed_memtables(&self) -> Vec<Arc<Memtable>> {
        let live = self.live();
        let oldest = live.sealed.first().unwrap_or(&live.active).memtable.generation();
        let pinned = self.pinned();
        let alive = pinned.iter().filter_map(Weak::upgrade);
        alive.filter(|memtable| memtable.generation() < oldest).collect()
    }
}
