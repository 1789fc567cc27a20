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
//! - [`unscheduled`]: what no order can matter for.
//! - The tables of `types`, below this floor: constants that are computed at their first use.
//!
//! Shuttle treats every order of an atomic as `SeqCst`: too weak an `Ordering` is not found by schedules
//! (`RELIABILITY.md`, "Known limits").
//!
//! Invariant, held by `tests/tidy`: no file above `sys` names these types of `std` itself.

#[cfg(siltstone_schedules)]
mod scheduled;

#[cfg(not(siltstone_schedules))]
pub(crate) use crossbeam::sync::{ShardedLock, ShardedLockReadGuard, ShardedLockWriteGuard};
#[cfg(not(siltstone_schedules))]
pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, RwLock, RwLockReadGuard, atomic};
#[cfg(not(siltstone_schedules))]
pub(crate) use std::thread;

#[cfg(siltstone_schedules)]
pub(crate) use self::scheduled::{Condvar, Mutex, MutexGuard, OnceLock};
#[cfg(siltstone_schedules)]
pub(crate) use shuttle::sync::{
    RwLock, RwLock as ShardedLock, RwLockReadGuard, RwLockReadGuard as ShardedLockReadGuard,
    RwLockWriteGuard as ShardedLockWriteGuard, atomic,
};
#[cfg(siltstone_schedules)]
pub(crate) use shuttle::thread;

/// What is `std`'s under the schedules too, since no order of it can matter or since it outlives a schedule:
/// statistics, numbers of a whole process, pages that are filled once. A point at each would only make
/// the orders that do matter rarer.
pub(crate) mod unscheduled {
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    pub(crate) use std::sync::{Mutex, OnceLock};
}

/// To be called before something is decided by how many references there are: a point at which another
/// thread may run, under the schedules; nothing otherwise.
#[inline(always)]
pub(crate) fn counted() {
    #[cfg(siltstone_schedules)]
    scheduled::point();
}

#[cfg(all(test, not(siltstone_schedules)))]
mod tests {
    use std::any::TypeId;

    #[test]
    fn a_normal_build_has_the_types_of_std_themselves() {
        let same = [
            (TypeId::of::<super::Mutex<u8>>(), TypeId::of::<std::sync::Mutex<u8>>()),
            (TypeId::of::<super::RwLock<u8>>(), TypeId::of::<std::sync::RwLock<u8>>()),
            (TypeId::of::<super::OnceLock<u8>>(), TypeId::of::<std::sync::OnceLock<u8>>()),
            (TypeId::of::<super::Condvar>(), TypeId::of::<std::sync::Condvar>()),
            (
                TypeId::of::<super::atomic::AtomicU64>(),
                TypeId::of::<std::sync::atomic::AtomicU64>(),
            ),
            (
                TypeId::of::<super::ShardedLock<u8>>(),
                TypeId::of::<crossbeam::sync::ShardedLock<u8>>(),
            ),
        ];
        assert!(same.iter().all(|(ours, theirs)| ours == theirs));
    }
}
