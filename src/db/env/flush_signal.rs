//! The signal between those who want a flush and the thread that makes it.
//!
//! Raised by whoever seals a memtable or needs series evicted; waited for by the background threads.
//! Its lock is held for a few instructions, and no other is taken under it.

use std::sync::PoisonError;
use std::time::Duration;

use crate::sys::sync::{Condvar, Mutex};

/// Wakes the thread that flushes, and tells it and the timer to end.
#[derive(Debug, Default)]
pub(in crate::db) struct FlushSignal {
    state: Mutex<SignalState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SignalState {
    wanted: bool,
    stop: bool,
}

impl FlushSignal {
    /// Asks for a flush of the sealed memtables.
    pub(in crate::db) fn request(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).wanted = true;
        self.changed.notify_all();
    }

    /// Tells every thread to end.
    pub(in crate::db) fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stop = true;
        self.changed.notify_all();
    }

    /// Waits for `timeout` or until told to stop; whether to go on.
    pub(in crate::db) fn pause(&self, timeout: Duration) -> bool {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(guard, timeout, |state| !state.stop);
        let (guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !guard.stop
    }

    /// Waits for a flush request, at most `timeout`; `None` when told to stop, else whether a flush
    /// was asked for.
    pub(in crate::db) fn wait(&self, timeout: Duration) -> Option<bool> {
        let guard = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = |state: &mut SignalState| !state.stop && !state.wanted;
        let waited = self.changed.wait_timeout_while(guard, timeout, idle);
        let (mut guard, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if guard.stop {
            return None;
        }
        Some(std::mem::take(&mut guard.wanted))
    }
}
