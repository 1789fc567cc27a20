//! What shuttle does not have, over what it has. Only built for `tests/schedules`.
//!
//! Used by the engine through the seam, in the place of the types of `std` with the same names.
//!
//! - [`OnceLock`]: the value lies in one of `std`; a lock of shuttle is held while it is computed, so that a
//!   second thread waits in a way that the scheduler sees.
//! - [`Condvar`]: shuttle's own never times out, so that two threads which wait for each other with a timeout
//!   would count as a deadlock. Here such a wait lets others run a few times and then is over, whatever the
//!   clock says. A wait without a timeout may end for no reason, as `std` says of its own: who waits so looks
//!   at what he waits for at any moment, where shuttle alone would let him look only when he is woken. In
//!   the end such a wait is shuttle's, and who is never woken is reported.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{LockResult, PoisonError};
use std::time::Duration;

use shuttle::rand::RngCore;
use shuttle::sync;
use shuttle::sync::atomic::{AtomicBool, Ordering};

/// How often others may run while a thread waits with a timeout.
const TURNS: usize = 3;

/// All but one of so many waits without a timeout end before anybody wakes them.
const WAKES_FOR_NOTHING: u32 = 8;

/// A point at which another thread may run.
pub(super) fn point() {
    AtomicBool::new(false).load(Ordering::SeqCst);
}

/// As [`std::sync::OnceLock`].
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    filling: sync::Mutex<()>,
}

impl<T> OnceLock<T> {
    pub(crate) const fn new() -> Self {
        Self { value: std::sync::OnceLock::new(), filling: sync::Mutex::new(()) }
    }

    pub(crate) fn get(&self) -> Option<&T> {
        point();
        self.value.get()
    }

    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.value.set(value)
    }

    pub(crate) fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        if let Some(value) = self.get() {
            return value;
        }
        let _filling = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = self.value.get() {
            return value;
        }
        let value = f();
        self.value.get_or_init(|| value)
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.value.fmt(f)
    }
}

/// As [`std::sync::Mutex`].
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(sync::Mutex<T>);

/// As [`std::sync::MutexGuard`]; it knows its lock, which [`Condvar`] lets go of and takes again.
pub(crate) struct MutexGuard<'a, T> {
    guard: sync::MutexGuard<'a, T>,
    mutex: &'a sync::Mutex<T>,
}

impl<T> Mutex<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        MutexGuard::take(&self.0)
    }

    pub(crate) fn get_mut(&mut self) -> LockResult<&mut T> {
        self.0.get_mut()
    }
}

impl<'a, T> MutexGuard<'a, T> {
    fn take(mutex: &'a sync::Mutex<T>) -> LockResult<Self> {
        match mutex.lock() {
            Ok(guard) => Ok(Self { guard, mutex }),
            Err(poisoned) => Err(PoisonError::new(Self { guard: poisoned.into_inner(), mutex })),
        }
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T: fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// As [`std::sync::Condvar`].
#[derive(Debug, Default)]
pub(crate) struct Condvar(sync::Condvar);

impl Condvar {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let mutex = guard.mutex;
        if shuttle::rand::thread_rng().next_u32() % WAKES_FOR_NOTHING != 0 {
            drop(guard);
            shuttle::thread::yield_now();
            return MutexGuard::take(mutex);
        }
        match self.0.wait(guard.guard) {
            Ok(guard) => Ok(MutexGuard { guard, mutex }),
            Err(poisoned) => {
                Err(PoisonError::new(MutexGuard { guard: poisoned.into_inner(), mutex }))
            }
        }
    }

    pub(crate) fn wait_timeout_while<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        _timeout: Duration,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        for _ in 0..TURNS {
            if !condition(&mut guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            let mutex = guard.mutex;
            drop(guard);
            shuttle::thread::yield_now();
            guard = MutexGuard::take(mutex)
                .map_err(|e| PoisonError::new((e.into_inner(), WaitTimeoutResult(false))))?;
        }
        let timed_out = condition(&mut guard);
        Ok((guard, WaitTimeoutResult(timed_out)))
    }

    pub(crate) fn notify_all(&self) {
        self.0.notify_all();
    }
}

/// Whether a wait ended because its time was over.
#[derive(Debug)]
pub(crate) struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    pub(crate) fn timed_out(&self) -> bool {
        self.0
    }
}
