//! The memory of queries: what one may hold, and what all of them may hold together.
//!
//! A [`MemoryPool`] is a number of bytes that all queries of a process share. A quarter of it is set
//! aside in equal parts, one for each of the queries that may run at a time; the rest goes to whoever
//! asks first. So a query that takes all it can get leaves its neighbours their parts: it is the one
//! that is refused.
//!
//! # Invariants
//!
//! - What a query holds beyond its own part is counted in the pool, in whole [`GRAIN`]s.
//! - All of it goes back when the last clone of the query's [`QueryMemory`] is dropped, whatever the
//!   query still counted as held: a query that fails need not give back piece by piece.

use std::sync::Arc;

use crate::error::Result;
use crate::sys::sync::atomic::{AtomicU64, Ordering};
use crate::types::{Limit, LimitExceeded};

/// Unit in which queries take from the pool, so that they seldom meet there.
const GRAIN: u64 = 64 << 10;

/// Bytes that queries share. Clones share them.
///
/// ```
/// # use siltstone::MemoryPool;
/// let pool = MemoryPool::new(64 << 20, 16);
/// let (greedy, modest) = (pool.query(u64::MAX), pool.query(u64::MAX));
/// greedy.hold(49 << 20)?; // its own part, and all that is free for everybody
/// assert!(greedy.hold(1).is_err());
/// modest.hold(1 << 20)?; // its own part is there for it
/// # Ok::<(), siltstone::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct MemoryPool {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    bytes_max: u64,
    /// What each query has for itself.
    part: u64,
    /// What is for everybody.
    free: u64,
    /// Taken of what is for everybody.
    taken: AtomicU64,
}

impl MemoryPool {
    /// A pool of `bytes_max` bytes for `queries_max` queries at a time. More queries than that may
    /// hold more together than there is: whoever admits them keeps to the number.
    #[must_use]
    pub fn new(bytes_max: u64, queries_max: usize) -> Self {
        let set_aside = bytes_max / 4;
        let (part, free) = (set_aside / (queries_max.max(1) as u64), bytes_max - set_aside);
        Self { shared: Arc::new(Shared { bytes_max, part, free, taken: AtomicU64::new(0) }) }
    }

    /// The account of a query that may hold at most `bytes_max` bytes.
    #[must_use]
    pub fn query(&self, bytes_max: u64) -> QueryMemory {
        QueryMemory::with(bytes_max.min(self.shared.bytes_max), Some(Arc::clone(&self.shared)))
    }

    /// Bytes of the pool.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.shared.bytes_max
    }

    /// Bytes that queries hold beyond their own parts.
    #[must_use]
    pub fn bytes_taken(&self) -> u64 {
        self.shared.taken.load(Ordering::Relaxed)
    }
}

/// Counts the bytes that one query holds, and refuses what is too much. Clones share the count.
#[derive(Debug, Clone)]
pub struct QueryMemory {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    bytes_max: u64,
    held: AtomicU64,
    peak: AtomicU64,
    pool: Option<Arc<Shared>>,
    /// Bytes taken of what is for everybody; a multiple of the grain.
    taken: AtomicU64,
}

impl QueryMemory {
    /// The account of a query outside of any pool.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        Self::with(bytes_max, None)
    }

    fn with(bytes_max: u64, pool: Option<Arc<Shared>>) -> Self {
        let (held, peak, taken) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Self { account: Arc::new(Account { bytes_max, held, peak, pool, taken }) }
    }

    /// Counts bytes that the query holds until they are released. They count also if this fails, so
    /// that [`release`](Self::release) follows in any case, or the end of the query.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`](crate::Error::LimitExceeded) says how much the query needs at least, and which bound it meets.
    pub fn hold(&self, bytes: u64) -> Result<()> {
        let account = &*self.account;
        let held = account.held.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        account.peak.fetch_max(held, Ordering::Relaxed);
        let max = account.bytes_max;
        if held > max {
            return Err(LimitExceeded::new(Limit::QueryBytes, held, max).into());
        }
        account.take(held).map_err(|(taken, pool)| {
            LimitExceeded::new(Limit::PoolBytes { taken }, held, pool).into()
        })
    }

    /// The counterpart of [`hold`](Self::hold), also of one that failed.
    pub fn release(&self, bytes: u64) {
        let before = self.account.held.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{bytes} bytes released of {before}");
    }

    /// Bytes that are held.
    #[must_use]
    pub fn bytes_held(&self) -> u64 {
        self.account.held.load(Ordering::Relaxed)
    }

    /// The most bytes that were held at a time.
    #[must_use]
    pub fn bytes_peak(&self) -> u64 {
        self.account.peak.load(Ordering::Relaxed)
    }

    /// The most bytes that may be held.
    #[must_use]
    pub fn bytes_max(&self) -> u64 {
        self.account.bytes_max
    }
}

impl Account {
    /// Takes from the pool what `held` bytes need beyond the query's own part. What was taken once
    /// stays with the query: it is likely to need it again. On failure: what all queries have taken,
    /// and of how much.
    fn take(&self, held: u64) -> std::result::Result<(), (u64, u64)> {
        let Some(pool) = &self.pool else { return Ok(()) };
        let wanted = held.saturating_sub(pool.part).div_ceil(GRAIN) * GRAIN;
        let before = self.taken.load(Ordering::Acquire);
        let Some(more) = wanted.checked_sub(before).filter(|more| *more > 0) else { return Ok(()) };
        // Two threads of one query may both take what they see missing: too much, until it ends.
        let take = |taken: u64| taken.checked_add(more).filter(|taken| *taken <= pool.free);
        match pool.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, take) {
            Ok(_) => {
                self.taken.fetch_add(more, Ordering::AcqRel);
                Ok(())
            }
            Err(taken) => Err((taken.saturating_sub(before), pool.free)),
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.taken.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn message(result: Result<()>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn a_query_alone_has_its_bound() {
        let memory = QueryMemory::new(100);
        memory.hold(60).unwrap();
        memory.clone().hold(40).unwrap();
        let text = message(memory.hold(1));
        assert!(text.contains("at least 101 bytes of memory, more than bytes_max = 100"), "{text}");
        memory.release(1);
        memory.release(90);
        assert_eq!((memory.bytes_held(), memory.bytes_peak()), (10, 101));
    }

    #[test]
    fn a_greedy_query_leaves_the_others_their_parts() {
        let pool = MemoryPool::new(16 * MIB, 4);
        let greedy = pool.query(u64::MAX);
        greedy.hold(13 * MIB).unwrap();
        assert_eq!(pool.bytes_taken(), 12 * MIB);
        let text = message(greedy.hold(1));
        assert!(text.contains("at least 13631489 bytes"), "{text}");
        greedy.release(1);
        let others = [pool.query(u64::MAX), pool.query(u64::MAX), pool.query(u64::MAX)];
        for other in &others {
            other.hold(MIB).unwrap();
        }
        let text = message(others[0].hold(1));
        assert!(text.contains("take 12582912 of the 12582912"), "{text}");
        drop(greedy);
        others[1].hold(12 * MIB).unwrap();
    }

    #[test]
    fn what_is_refused_is_not_taken_and_all_comes_back() {
        let pool = MemoryPool::new(16 * MIB, 4);
        let failing = pool.query(u64::MAX);
        assert!(failing.hold(14 * MIB).is_err());
        assert_eq!(pool.bytes_taken(), 0);
        // As a query does that decodes less ahead then.
        failing.release(14 * MIB);
        failing.hold(2 * MIB).unwrap();
        assert_eq!(pool.bytes_taken(), MIB);
        failing.release(2 * MIB);
        let clone = failing.clone();
        drop(failing);
        assert_eq!(pool.bytes_taken(), MIB, "still the same query");
        drop(clone);
        assert_eq!(pool.bytes_taken(), 0);
    }

    #[test]
    fn threads_take_no_more_than_there_is() {
        let pool = MemoryPool::new(16 * MIB, 8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let memory = pool.query(u64::MAX);
                    for _ in 0..2000 {
                        if memory.hold(GRAIN).is_err() {
                            memory.release(GRAIN);
                        }
                        assert!(pool.bytes_taken() <= 12 * MIB);
                    }
                    memory.release(memory.bytes_held());
                });
            }
        });
        assert_eq!(pool.bytes_taken(), 0);
    }
}
