//! The one place that names what threads of the engine synchronise with.
//!
//! Every file above `sys` takes its locks, condition variables, atomics and cells from here, and the threads
//! that it starts from [`spawn`](super::spawn). In a normal build these are the types of `std` and of `crossbeam` by
//! another path, so that nothing is paid for it. Built with `--cfg siltstone_schedules` they are those of
//! [shuttle](https://docs.rs/shuttle): each operation is a point at which the test decides which thread runs
//! on, and `tests/schedules` runs a whole store, on the simulated disk, through thousands of such orders.
//!
//! | here | in a normal build | under the schedules |
//! |---|---|---|
//! | `RwLock`, atomics, threads | `std` | shuttle's |
//! | `ShardedLock` | `crossbeam` | shuttle's `RwLock`: the shards only make it fast |
//! | `Mutex`, `Condvar`, `OnceLock` | `std` | `scheduled`, over what shuttle has |
//! | [`counted`] | nothing | a point before references are counted |
//!
//! What stays `std`'s in both, and why:
//!
//! - `Arc` and `Weak`. Shuttle has none of its own, and a type of ours could not hold a `dyn` trait. Counting
//!   up and down commutes, so only who decides something by the count needs a point: [`counted`].
//! - `PoisonError`, which shuttle's locks answer with as well.
//! - The directories of `sparse_array`: a page is made by whoever comes first and never changes; what
//!   is in it comes from here.
//! - The tables of `types`, below this floor: constants that are computed at their first use.
//! - [`statistics`]: counters that nothing is decided by. A point at each would only make the interesting
//!   orders rarer.
//!
//! Shuttle treats every order of an atomic as `SeqCst`. Too weak an `Ordering` is not found by schedules; that is
//! what ThreadSanitizer is for (`RELIABILITY.md`).
//!
//! Invariant, held by `tests/tidy`: no file above `sys` names these types of `std` itself.

#[cfg(siltstone_schedules)]
mod scheduled;

#[cfg(not(siltstone_schedules))]
pub(crate) use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
#[cfg(not(siltstone_schedules))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, atomic};
#[cfg(not(siltstone_schedules))]
pub(super) use std::thread;

#[cfg(siltstone_schedules)]
pub(crate) use self::scheduled::{Condvar, Mutex, MutexGuard, OnceLock};
#[cfg(siltstone_schedules)]
pub(crate) use shuttle::sync::{
    RwLock, RwLock as ShardedLock, RwLockReadGuard, RwLockReadGuard as ShardedLockReadGuard,
    RwLockWriteGuard as ShardedLockWriteGuard, atomic,
};
#[cfg(siltstone_schedules)]
pub(super) use shuttle::thread;

/// What counts for statistics: `std`'s, also under the schedules. Its lock is held for nothing but counting.
pub(crate) mod statistics {
    pub(crate) use std::sync::Mutex;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
}

/// To be called before something is decided by how many references there are: a point at which another
/// thread may run, under the schedules; nothing otherwise.
#[inline(always)]
pub(crate) fn counted() {
    #[cfg(siltstone_schedules)]
    scheduled::point();
}
